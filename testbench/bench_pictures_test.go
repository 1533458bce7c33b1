package testbench

import (
	"bytes"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"gocv.io/x/gocv"
	"golang.org/x/sync/errgroup"
)

// benchQuality is that of the JPEGs that are made here.
const benchQuality = 90

// largeSize is that of a picture of 12 megapixels.
var largeSize = image.Pt(4000, 3000)

// imagenetPhotos are n of ImageNet's photos, one a class, spread evenly; 0 is all of them.
func imagenetPhotos(t testing.TB, n int) (photos []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(shared(t, "images", "imagenet"), "*.jpg"))
	if err != nil || len(all) == 0 || len(all) < n {
		t.Fatalf("want %d photos of ImageNet's, have %d, %v", n, len(all), err)
	}
	if n == 0 {
		return all
	}
	for i := range n {
		photos = append(photos, all[i*len(all)/n])
	}
	return photos
}

// each calls f with 0 to n-1, on as many goroutines as there are cores.
func each(t testing.TB, n int, f func(i int) error) {
	t.Helper()
	var all errgroup.Group
	all.SetLimit(runtime.NumCPU())
	for i := range n {
		all.Go(func() error { return f(i) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

// smallPhotos writes photos as JPEGs whose long side has 500 pixels into a new folder.
func smallPhotos(t testing.TB, photos []string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	each(t, len(photos), func(i int) error {
		mat := gocv.IMRead(photos[i], gocv.IMReadColor)
		defer mat.Close() // frees C memory; there is nothing to report
		if mat.Empty() {
			return fmt.Errorf("read %s: it is no picture", photos[i])
		}
		scale := 500 / float64(max(mat.Cols(), mat.Rows()))
		size := image.Pt(int(scale*float64(mat.Cols())+0.5), int(scale*float64(mat.Rows())+0.5))
		if err := gocv.Resize(mat, &mat, size, 0, 0, gocv.InterpolationCubic); err != nil {
			return err
		}
		data, err := jpegOf(mat)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, filepath.Base(photos[i])), data, 0o600)
	})
	return dir
}

// jpegOf encodes a picture.
func jpegOf(mat gocv.Mat) ([]byte, error) {
	buf, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, mat, []int{gocv.IMWriteJpegQuality, benchQuality})
	if err != nil {
		return nil, err
	}
	defer buf.Close()
	return bytes.Clone(buf.GetBytes()), nil
}

// sensor makes what a camera of 12 megapixels would have made of photos: enlarged, with noise in every pixel.
type sensor struct {
	noise gocv.Mat // around 128, larger than a picture, so that each can have another part of it
}

const (
	noiseMargin = 64
	sensorNoise = 8 // levels, of a sensor in a room
)

// newSensor makes one whose noise has a standard deviation of so many levels.
func newSensor(t testing.TB, sigma float64) *sensor {
	t.Helper()
	rows, cols := largeSize.Y+noiseMargin, largeSize.X+noiseMargin
	rng := rand.New(rand.NewPCG(12, 0))
	pixels := make([]byte, 3*rows*cols)
	for i := range pixels {
		pixels[i] = uint8(min(255, max(0, 128.5+sigma*rng.NormFloat64())))
	}
	noise, err := gocv.NewMatFromBytes(rows, cols, gocv.MatTypeCV8UC3, pixels)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noise.Close() }) // frees C memory; there is nothing to report
	return &sensor{noise}
}

// take makes a picture of a photo, the same one at each call.
func (s *sensor) take(photo string, number int) ([]byte, error) {
	mat := gocv.IMRead(photo, gocv.IMReadColor)
	defer mat.Close() // frees C memory; there is nothing to report
	if mat.Empty() {
		return nil, fmt.Errorf("read %s: it is no picture", photo)
	}
	if err := gocv.Resize(mat, &mat, largeSize, 0, 0, gocv.InterpolationCubic); err != nil {
		return nil, err
	}
	at := image.Pt(number*7%noiseMargin, number*13%noiseMargin)
	part := s.noise.Region(image.Rectangle{at, at.Add(largeSize)})
	defer part.Close() // likewise
	if err := gocv.AddWeighted(mat, 1, part, 1, -128, &mat); err != nil {
		return nil, err
	}
	return jpegOf(mat)
}

// largePhotos writes pictures of 12 megapixels of photos into a new folder, and gives the mean of their sizes in megabytes.
func largePhotos(t testing.TB, photos []string, noise float64) (dir string, meanMB float64) {
	t.Helper()
	s := newSensor(t, noise)
	dir = t.TempDir()
	sizes := make([]int, len(photos))
	each(t, len(photos), func(i int) error {
		data, err := s.take(photos[i], i)
		sizes[i] = len(data)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, filepath.Base(photos[i])), data, 0o600)
	})
	for _, size := range sizes {
		meanMB += float64(size) / 1e6 / float64(len(sizes))
	}
	return dir, meanMB
}

// doubled gives a folder with each picture of another one twice.
func doubled(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range list(t, dir) {
		for _, prefix := range []string{"a-", "b-"} {
			if err := os.Link(filepath.Join(dir, name), filepath.Join(to, prefix+name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return to
}
