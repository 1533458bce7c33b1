package camera_test

import (
	"fmt"
	"image"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"sightd/camera"
	"sightd/camera/view"
)

func newGrey(t testing.TB) *camera.Grey {
	t.Helper()
	grey := camera.NewGrey()
	t.Cleanup(func() {
		if err := grey.Close(); err != nil {
			t.Error(err)
		}
	})
	return grey
}

// shades draws a picture whose pixels all have one colour in each quarter: blue, green, red.
func shades(t testing.TB, width, height int, quarter func(right, low bool) [3]uint8) gocv.Mat {
	t.Helper()
	mat := gocv.NewMatWithSize(height, width, gocv.MatTypeCV8UC3)
	t.Cleanup(func() { mat.Close() }) // always nil
	pixels, err := mat.DataPtrUint8()
	if err != nil {
		t.Fatal(err)
	}
	for y := range height {
		for x := range width {
			colour := quarter(x >= width/2, y >= height/2)
			copy(pixels[3*(y*width+x):], colour[:])
		}
	}
	return mat
}

func TestGrey(t *testing.T) {
	grey := newGrey(t)
	for _, size := range []image.Point{{640, 480}, {1920, 1080}, {64, 48}, {48, 64}, {100, 30}, {2, 2}, {4000, 2}} {
		mat := shades(t, size.X, size.Y, func(right, low bool) [3]uint8 {
			switch {
			case right && low:
				return [3]uint8{0, 0, 255}
			case right:
				return [3]uint8{0, 255, 0}
			case low:
				return [3]uint8{255, 0, 0}
			}
			return [3]uint8{255, 255, 255}
		})
		var small view.Picture
		if err := grey.Shrink(&small, mat, image.Rectangle{Max: size}); err != nil {
			t.Errorf("%v: %v", size, err)
			continue
		}
		for _, want := range []struct {
			x, y  int
			level byte
		}{{0, 0, 255}, {view.Width - 1, 0, 150}, {0, view.Height - 1, 29}, {view.Width - 1, view.Height - 1, 76}} {
			if got := small[want.y*view.Width+want.x]; max(got, want.level)-min(got, want.level) > 1 {
				t.Errorf("%v: cell %d,%d is %d, want %d", size, want.x, want.y, got, want.level)
			}
		}
		var part view.Picture
		if err := grey.Shrink(&part, mat, image.Rect(size.X/2, 0, size.X, size.Y/2)); err != nil {
			t.Errorf("%v: a quarter: %v", size, err)
		}
		for i, level := range part {
			if level < 149 || level > 151 {
				t.Errorf("%v: cell %d of the green quarter is %d, want 150", size, i, level)
				break
			}
		}
	}
}

func TestGreyRefuses(t *testing.T) {
	grey, mat := newGrey(t), shades(t, 10, 8, func(bool, bool) [3]uint8 { return [3]uint8{} })
	empty, single := gocv.NewMat(), gocv.NewMatWithSize(8, 10, gocv.MatTypeCV8UC1)
	defer empty.Close()  // always nil
	defer single.Close() // always nil
	tests := []struct {
		name string
		mat  gocv.Mat
		part image.Rectangle
	}{
		{"none", gocv.Mat{}, image.Rect(0, 0, 10, 8)},
		{"empty", empty, image.Rect(0, 0, 10, 8)},
		{"one channel", single, image.Rect(0, 0, 10, 8)},
		{"no part", mat, image.Rectangle{}},
		{"too wide", mat, image.Rect(0, 0, 11, 8)},
		{"outside", mat, image.Rect(20, 20, 30, 30)},
		{"negative", mat, image.Rect(-1, 0, 5, 5)},
		{"inside out", mat, image.Rectangle{Min: image.Pt(5, 5), Max: image.Pt(2, 2)}},
	}
	for _, test := range tests {
		var small view.Picture
		if err := grey.Shrink(&small, test.mat, test.part); err == nil {
			t.Errorf("%s: shrunk, want an error", test.name)
		}
	}
}

func TestGreyAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	grey, mat := newGrey(t), shades(t, 320, 240, func(bool, bool) [3]uint8 { return [3]uint8{1, 2, 3} })
	var small view.Picture
	allocations := testing.AllocsPerRun(10, func() {
		for _, part := range []image.Rectangle{image.Rect(0, 0, 320, 240), image.Rect(9, 9, 30, 40)} {
			if err := grey.Shrink(&small, mat, part); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
}

// photos calls each with the decoded photos of a folder.
func photos(t *testing.T, folder string, each func(name string, mat gocv.Mat)) {
	t.Helper()
	decoder := newDecoder(t)
	root := os.DirFS(folder)
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		mat, _, err := decoder.Decode(file)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		each(path, mat)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPhotosAreNotBlind shows an Eye real photos: hardly any may be called black, overexposed or covered.
func TestPhotosAreNotBlind(t *testing.T) {
	folder := shared(t, "images/imagenette/val")
	grey := newGrey(t)
	total := 0
	var blind []string
	photos(t, folder, func(name string, mat gocv.Mat) {
		var small view.Picture
		if err := grey.Shrink(&small, mat, image.Rect(0, 0, mat.Cols(), mat.Rows())); err != nil {
			t.Fatal(err)
		}
		eye, now := view.New(view.Options{}), time.Unix(1_800_000_000, 0)
		eye.Look(&small, now)
		look := eye.Look(&small, now.Add(time.Minute))
		if total++; look.Sight != view.Clear {
			blind = append(blind, name+": "+look.Problem)
		}
	})
	t.Logf("%d of %d photos (%.2f %%) are called blind: %s", len(blind), total, 100*float64(len(blind))/float64(total), strings.Join(blind, "; "))
	if total < 100 || len(blind)*100 > total {
		t.Errorf("%d of %d photos are called blind, want at most 1 %%", len(blind), total)
	}
}

// TestNoisyPhotosAreStill lets a camera look at a photo for a minute, with a sensor's noise on each pixel, through JPEG, and counts the
// looks that weren't worth it; then something comes in.
func TestNoisyPhotosAreStill(t *testing.T) {
	folder := shared(t, "images/imagenette/val")
	files, err := filepath.Glob(filepath.Join(folder, "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no photos: %v", err)
	}
	if raceDetector {
		t.Skip("takes long under the race detector, and starts nothing")
	}
	const fps, seconds = 5, 60
	random := rand.New(rand.NewPCG(1, 2))
	for i, sigma := range []float64{2, 4, 6} {
		t.Run(fmt.Sprintf("noise of %v levels", sigma), func(t *testing.T) {
			sensor := newSensor(t, files[i*len(files)/3], sigma, random)
			eye, grey, looks := view.New(view.Options{Motion: view.Auto, Refresh: -1}), newGrey(t), 0
			var small view.Picture
			now := time.Unix(1_800_000_000, 0)
			look := func() view.Look {
				mat := sensor.take(t)
				if err := grey.Shrink(&small, mat, image.Rect(0, 0, mat.Cols(), mat.Rows())); err != nil {
					t.Fatal(err)
				}
				now = now.Add(time.Second / fps)
				return eye.Look(&small, now)
			}
			look()
			for n := range seconds * fps {
				if n%(10*fps) == 0 {
					eye.Classified() // as a Refresh would: for 10 s all is compared with one and the same picture
				}
				if look().Changed {
					looks++
					eye.Classified()
				}
			}
			t.Logf("%d false looks in %d s", looks, seconds)
			if looks > 1 {
				t.Errorf("%d false looks in %d s, want at most 1", looks, seconds)
			}
			look()
			eye.Classified()
			sensor.enter(t)
			if l := look(); !l.Changed {
				t.Errorf("an object of a sixteenth of the width isn't seen: motion %.4f", l.Motion)
			}
		})
	}
}

// sensor takes noisy pictures of a photo.
type sensor struct {
	photo  []byte // BGR, 640x480
	noise  []int8
	random *rand.Rand
	mat    gocv.Mat
	again  *camera.Decoder
}

func newSensor(t *testing.T, file string, sigma float64, random *rand.Rand) *sensor {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &sensor{random: random, mat: gocv.NewMat(), again: newDecoder(t), noise: make([]int8, 1<<20)}
	t.Cleanup(func() { s.mat.Close() }) // always nil
	mat, _, err := s.again.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := gocv.Resize(mat, &s.mat, image.Pt(640, 480), 0, 0, gocv.InterpolationLinear); err != nil {
		t.Fatal(err)
	}
	s.photo = append(s.photo, s.pixels(t)...)
	for i := range s.noise {
		s.noise[i] = int8(min(max(sigma*random.NormFloat64(), -120), 120))
	}
	return s
}

func (s *sensor) pixels(t *testing.T) []byte {
	t.Helper()
	pixels, err := s.mat.DataPtrUint8()
	if err != nil {
		t.Fatal(err)
	}
	return pixels
}

// take takes a picture, encodes and decodes it.
func (s *sensor) take(t *testing.T) gocv.Mat {
	t.Helper()
	pixels := s.pixels(t)
	for row := range 480 {
		start := s.random.IntN(len(s.noise) - 640*3)
		noise := s.noise[start : start+640*3]
		for i := range noise {
			pixels[row*640*3+i] = byte(min(max(int(s.photo[row*640*3+i])+int(noise[i]), 0), 255))
		}
	}
	file, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, s.mat, []int{gocv.IMWriteJpegQuality, 80})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	mat, _, err := s.again.Decode(file.GetBytes())
	if err != nil {
		t.Fatal(err)
	}
	return mat
}

// enter puts something into the middle, 40 by 40 pixels.
func (s *sensor) enter(t *testing.T) {
	t.Helper()
	for y := 220; y < 260; y++ {
		for x := 300 * 3; x < 340*3; x++ {
			s.photo[y*640*3+x] ^= 0x40 // 64 levels brighter or darker
		}
	}
}

func BenchmarkGrey(b *testing.B) {
	for _, size := range []image.Point{{640, 480}, {1280, 720}, {1920, 1080}} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			grey, mat := newGrey(b), shades(b, size.X, size.Y, func(right, low bool) [3]uint8 { return [3]uint8{1, 2, 3} })
			var small view.Picture
			b.ReportAllocs()
			for b.Loop() {
				if err := grey.Shrink(&small, mat, image.Rectangle{Max: size}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
