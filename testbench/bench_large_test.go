package testbench

import (
	"fmt"
	"image"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"sightd/camera"
)

// Targets of pictures of 12 megapixels beside decoding them in full.
const (
	leastGain  = 2.4
	leastAgree = 0.98
)

// prepareInFull decodes all pixels of a file, which must be as many as it has, and prepares them.
func (w *worker) prepareInFull(file []byte, mat *gocv.Mat) error {
	if err := gocv.IMDecodeIntoMat(file, gocv.IMReadColor, mat); err != nil {
		return err
	}
	if size := image.Pt(mat.Cols(), mat.Rows()); size != largeSize {
		return fmt.Errorf("decode in full: want %v pixels, have %v", largeSize, size)
	}
	return w.transform.Apply(w.run.Input(), camera.Frame{Mat: *mat})
}

// measureLarge compares sightd's way with decoding all pixels of pictures of 12 megapixels.
func measureLarge(t *testing.T) []figure {
	const n = 24
	var figures []figure
	for _, noise := range []float64{0, sensorNoise / 2, sensorNoise} {
		t.Run(fmt.Sprint("noise ", noise), func(t *testing.T) { // a subtest removes its pictures
			dir, mb := largePhotos(t, imagenetPhotos(t, n), noise)
			what := fmt.Sprintf("JPEG of 12 megapixels, noise of %v levels (%.1f MB)", noise, mb)
			figures = append(figures, largeThroughput(t, what, paths(t, dir)))
			if noise == sensorNoise {
				figures = append(figures, largeFolder(t, what, dir))
			}
		})
	}
	return append(figures, largeAgreement(t)...)
}

// largeThroughput has one thread do both, picture by picture.
func largeThroughput(t *testing.T, what string, files []string) figure {
	const rounds = 3
	w, full := newWorker(t, ""), gocv.NewMat()
	defer full.Close() // frees C memory; there is nothing to report
	finish := func(err error) {
		if err == nil {
			_, err = w.best()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ours := func(file string) { finish(w.prepare(file)) }
	theirs := func(file string) {
		data, err := os.ReadFile(file)
		if err == nil {
			err = w.prepareInFull(data, &full)
		}
		finish(err)
	}
	ours(files[0])
	theirs(files[0])
	var ourMS, theirMS, gains []float64 // of each round
	for range rounds {
		var a, b float64
		for i, file := range files {
			for turn := range 2 {
				begin, mine := time.Now(), (i+turn)%2 == 0
				if mine {
					ours(file)
					a += milliseconds(time.Since(begin))
				} else {
					theirs(file)
					b += milliseconds(time.Since(begin))
				}
			}
		}
		n := float64(len(files))
		ourMS, theirMS, gains = append(ourMS, a/n), append(theirMS, b/n), append(gains, b/a)
	}
	gain := median(gains)
	return figure{what: what + ", read, decoded, prepared, Invoke, one thread: throughput of sightd's way over decoding in full",
		value:  fmt.Sprintf("%.2f (%.1f and %.1f ms a picture)", gain, median(ourMS), median(theirMS)),
		target: fmt.Sprintf("%.1f or more", leastGain), met: gain >= leastGain, n: rounds * len(files),
		spread: fmt.Sprintf("%.2f to %.2f over %d rounds", quantile(gains, 0), quantile(gains, 1), rounds)}
}

// largeFolder tells what sightd classify gets through.
func largeFolder(t *testing.T, what, dir string) figure {
	const rounds = 3
	twice := doubled(t, dir)
	var wall, cpu []float64
	for range rounds {
		cost := folderCost(t, dir, twice)
		wall, cpu = append(wall, cost.wall), append(cpu, cost.cpu)
	}
	rates := inverse(wall)
	return figure{what: what + ", `sightd classify DIR`: pictures a second", n: rounds * len(list(t, dir)),
		value:  fmt.Sprintf("%.1f, each %.1f ms of processor time, peak of the resident memory %.1f MB", median(rates), median(cpu), folderPeak(t, twice)),
		spread: between(rates, "a second")}
}

// largeAgreement compares the best classes of both ways, on pictures that are made for it, by the default model and by BVLC's; and those
// of two pictures of the same scene, both decoded in full: more agreement than a camera has with itself can't be asked for.
func largeAgreement(t *testing.T) (figures []figure) {
	imagenette, _ := validationPhotos(t, 200)
	for _, c := range []struct {
		name, model string
		photos      []string
	}{
		{"the default model, Imagenette's photos enlarged", "", imagenette},
		{"BVLC's int8, ImageNet's photos enlarged", int8BVLC(t), imagenetPhotos(t, 0)},
	} {
		n := len(c.photos)
		ours, again := countAgreement(t, c.model, c.photos)
		figures = append(figures,
			figure{what: "JPEG of 12 megapixels, the same top-1 as of decoding in full: " + c.name, value: percent(ours, n),
				target: fmt.Sprintf("%.0f %% or more", 100*leastAgree), met: float64(ours) >= leastAgree*float64(n), n: n, spread: wilson(ours, n)},
			figure{what: "the same top-1 of two pictures of 12 megapixels that differ in their noise alone, both decoded in full: " + c.name,
				value: percent(again, n), n: n, spread: wilson(again, n)})
	}
	return figures
}

// labels gives the best class of a picture of 12 megapixels our way and decoded in full, and of another of the same scene decoded in full.
func (w *worker) labels(file, another []byte, full *gocv.Mat) (ours, theirs, again int, err error) {
	mat, _, err := w.decoder.Decode(file)
	if err == nil {
		err = w.transform.Apply(w.run.Input(), camera.Frame{Mat: mat})
	}
	if err != nil {
		return 0, 0, 0, err
	}
	if ours, err = w.best(); err != nil {
		return 0, 0, 0, err
	}
	for _, f := range []struct {
		file []byte
		best *int
	}{{file, &theirs}, {another, &again}} {
		if err := w.prepareInFull(f.file, full); err != nil {
			return 0, 0, 0, err
		}
		if *f.best, err = w.best(); err != nil {
			return 0, 0, 0, err
		}
	}
	return ours, theirs, again, nil
}

// countAgreement makes two pictures of 12 megapixels of each photo, and counts those on which labels are the same: ours and decoding in
// full, and both that are decoded in full.
func countAgreement(t *testing.T, model string, photos []string) (ours, again int) {
	t.Helper()
	s, cores := newSensor(t, sensorNoise), runtime.NumCPU()
	free := make(chan *worker, cores)
	for range cores {
		free <- newWorker(t, model)
	}
	agreed := make([][2]bool, len(photos))
	each(t, len(photos), func(i int) error {
		file, err := s.take(photos[i], i)
		if err != nil {
			return err
		}
		another, err := s.take(photos[i], i+1)
		if err != nil {
			return err
		}
		w, full := <-free, gocv.NewMat()
		defer func() { free <- w }()
		defer full.Close() // frees C memory; there is nothing to report
		a, b, c, err := w.labels(file, another, &full)
		if err != nil {
			return fmt.Errorf("picture of %s: %w", filepath.Base(photos[i]), err)
		}
		agreed[i] = [2]bool{a == b, b == c}
		return nil
	})
	for _, a := range agreed {
		ours += btoi(a[0])
		again += btoi(a[1])
	}
	return ours, again
}
