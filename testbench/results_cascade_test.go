package testbench

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sightd/camera"
	"sightd/daemon"
	"sightd/export"
	"sightd/inference"
	"sightd/models"
	"sightd/preprocess"
	"sightd/testbench/baseline"
)

// TestCascadeResults measures what a cascade of two input sizes would save and writes RESULTS_CASCADE.md.
func TestCascadeResults(t *testing.T) {
	results{
		file: "RESULTS_CASCADE.md", title: "Results of a cascade of two sizes", target: "cascade-results",
		how: "Times are of the processor, on one thread, medians over all pictures. An interval behind a share is Wilson's of 95 %.",
		groups: []group{
			{"imagenette", measureImagenetteCascade},
			{"bvlc", measureBVLCCascade},
		},
		notes: cascadeNotes,
	}.measure(t)
}

const (
	cascadeCPU    = 0.60 // of the full size's, at most
	cascadePoints = -0.2 // of top-1, at least

	// allowedOther is the share of pictures that may get another label by a fitted threshold. On some of them the small size is right and on some neither
	// is: each costs about half a picture of top-1.
	allowedOther = 0.004

	centre = 0.75 // part of a side that the small size looks at, where it doesn't look at all
)

const cascadeNotes = `
- The same weights at a small input answer first, and where the gap between the logarithms of the best two scores is below a threshold, the
  full size runs. What is compared is decoding, preparing and every Invoke of a picture, over the same of the full size alone.
- Imagenette: the default model's own file, its input resized. BVLC: files exported at each size, since its file has maps of constants; each
  half of the photos is judged by files that were calibrated on the other half.
- Fitted: the least threshold at which at most 0.4 % of other pictures get another label than by the full size. It needs no
  labels. "On the other half": each half of the photos by the threshold of the other one. "On calibration pictures": photos that the network was
  trained on, on which it is too sure of itself; and from some 240 pictures no share below 1.2 % can be told with 95 % confidence.
- At best: the one threshold, of all sizes and views above, that is best on the very pictures it is measured on. No fitted one can be better.
- The centre is a square of 0.75 of each side: a small input that sees things as large as the full one does. It is blind for what is at the edge.
- Tried once, not shown, at best as above. On Imagenette: the best score or the entropy in the place of the gap, 0.70 and more; the geometric mean of both
  sizes' scores where both have run, 0.73 and more; three sizes, 0.68; the last layer fitted anew to the small size's features on four fifths of the
  photos and used on the last, 0.66, and with three sizes 0.68. On BVLC: a centre of 0.85 of each side, 0.81, at 192 pixels.
`

// cascadeNet is a network at a size.
type cascadeNet struct {
	name      string
	model     *baseline.Model
	transform *preprocess.Transform
	scores    []float32
	times     []float64
	judged    judged
}

// openNet opens a file on one thread, with another size than its own if resize is set.
func openNet(t *testing.T, file []byte, size, classes int, part float64, resize bool) *cascadeNet {
	t.Helper()
	m, err := baseline.Open(file, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	if resize {
		if err := m.Resize(size); err != nil {
			t.Fatal(err)
		}
	}
	n := &cascadeNet{name: fmt.Sprintf("%d pixels, whole", size), model: m, scores: make([]float32, classes)}
	crop := preprocess.Whole
	if part < 1 {
		n.name = fmt.Sprintf("%d pixels, centre", size)
		edge := (1 - part) / 2
		crop = preprocess.Crop{X1: edge, Y1: edge, X2: 1 - edge, Y2: 1 - edge}
	}
	in := preprocess.Input{Width: size, Height: size, Type: inference.Int8}
	if n.transform, err = preprocess.NewCropped(in, preprocess.Squash, crop); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.transform.Close() }) // frees C memory; there is nothing to report
	return n
}

// judge runs the network on a frame. The goroutine is locked to its thread.
func (n *cascadeNet) judge(t *testing.T, frame camera.Frame) {
	t.Helper()
	start := threadMS(t)
	if err := n.transform.Apply(n.model.Input(), frame); err != nil {
		t.Fatal(err)
	}
	if err := n.model.Run(make([]time.Duration, 1)); err != nil {
		t.Fatal(err)
	}
	n.times = append(n.times, threadMS(t)-start)
	if err := n.model.Output(n.scores); err != nil {
		t.Fatal(err)
	}
	best, second := 0, math.Inf(-1)
	for i, s := range n.scores {
		if s > n.scores[best] {
			best = i
		}
	}
	for i, s := range n.scores {
		if i != best {
			second = max(second, math.Log(max(float64(s), leastScore)))
		}
	}
	n.judged.best = append(n.judged.best, best)
	n.judged.margins = append(n.judged.margins, math.Log(max(float64(n.scores[best]), leastScore))-second)
}

// leastScore stands for scores that are 0.
const leastScore = 1e-8

// threadMS is the processor's time of this thread in milliseconds.
func threadMS(t *testing.T) float64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		t.Fatal(err)
	}
	return float64(now.Nano()) / 1e6
}

// judgeAll runs all networks on each of the photos and gives the time to decode one.
func judgeAll(t *testing.T, photos []string, nets []*cascadeNet) (decodeMS float64) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	decoder := camera.NewDecoder(testLimits)
	defer decoder.Close() // frees C memory; there is nothing to report
	var times []float64
	for _, photo := range photos {
		data, err := os.ReadFile(photo)
		if err != nil {
			t.Fatal(err)
		}
		start := threadMS(t)
		mat, _, err := decoder.Decode(data)
		if err != nil {
			t.Fatalf("decode %s: %v", photo, err)
		}
		times = append(times, threadMS(t)-start)
		for _, n := range nets {
			n.judge(t, camera.Frame{Mat: mat, File: photo})
		}
	}
	for _, n := range nets {
		n.judged.name, n.judged.ms = n.name, median(n.times)
	}
	return median(times)
}

// smallAndFull opens the networks: each small size for whole pictures and for their centre, the full size last. file gives that for a size;
// where resize is set, it has the full size.
func smallAndFull(t *testing.T, file func(size int) []byte, sizes []int, full, classes int, resize bool) (nets []*cascadeNet) {
	t.Helper()
	for _, size := range sizes {
		data := file(size)
		nets = append(nets, openNet(t, data, size, classes, 1, resize), openNet(t, data, size, classes, centre, resize))
	}
	return append(nets, openNet(t, file(full), full, classes, 1, false))
}

// measureImagenetteCascade measures the default model.
func measureImagenetteCascade(t *testing.T) []figure {
	data, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	photos, classes := validationPhotos(t, 0)
	halves := make([][]int, 2)
	for i := range photos { // the photos take turns by class
		half := i / len(card.Labels) % 2
		halves[half] = append(halves[half], i)
	}
	calibration, err := filepath.Glob(filepath.Join(shared(t, "images", "imagenette", "calibration"), "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var others []int
	for i := range calibration {
		others = append(others, len(photos)+i)
	}
	nets := smallAndFull(t, func(int) []byte { return data }, []int{64, 80, 96, 112, 128}, card.Input.Size, len(card.Labels), true)
	c := cascades{what: "Imagenette", decodeMS: judgeAll(t, append(photos, calibration...), nets), classes: classes, halves: halves}
	for _, n := range nets {
		c.nets = append(c.nets, n.judged)
	}
	return c.figures(func(small, half int) float64 { return c.of(small).fit(halves[1-half], allowedOther) },
		func(small int) float64 { return c.of(small).fit(others, allowedOther) })
}

// measureBVLCCascade measures BVLC's network, calibrated on one half of the photos and judged on the other, and the other way round.
func measureBVLCCascade(t *testing.T) []figure {
	photos, err := filepath.Glob(filepath.Join(shared(t, "images", "imagenet"), "*.jpg"))
	if err != nil || len(photos) == 0 {
		t.Fatalf("list photos: want some, have none, %v", err)
	}
	classes, halves := make([]int, len(photos)), make([][]int, 2)
	for i, photo := range photos {
		if classes[i], err = strconv.Atoi(filepath.Base(photo)[:3]); err != nil {
			t.Fatalf("%s: want a name that starts with the class: %v", photo, err)
		}
		halves[i%2] = append(halves[i%2], i)
	}
	labels, err := daemon.ReadLabels(shared(t, "weights", "imagenet_labels.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var made [2]cascades // calibrated on a half, judged on all
	for half := range made {
		dir := t.TempDir()
		for _, i := range halves[half] {
			if err := os.Symlink(photos[i], filepath.Join(dir, filepath.Base(photos[i]))); err != nil {
				t.Fatal(err)
			}
		}
		export := func(size int) []byte { return exportBVLC(t, dir, labels, size) }
		nets := smallAndFull(t, export, []int{96, 128, 160, 192}, 224, len(labels), false)
		made[half] = cascades{what: "BVLC", decodeMS: judgeAll(t, photos, nets), classes: classes, halves: halves}
		for _, n := range nets {
			made[half].nets = append(made[half].nets, n.judged)
		}
	}
	crossed := made[0] // each photo is judged by files that weren't calibrated on it
	crossed.nets = nil
	for k, of0 := range made[0].nets {
		of1 := made[1].nets[k]
		n := judged{name: of0.name, ms: (of0.ms + of1.ms) / 2, best: slices.Clone(of0.best), margins: slices.Clone(of0.margins)}
		for _, i := range halves[0] {
			n.best[i], n.margins[i] = of1.best[i], of1.margins[i]
		}
		crossed.nets = append(crossed.nets, n)
	}
	return crossed.figures(func(small, half int) float64 { return made[1-half].of(small).fit(halves[1-half], allowedOther) }, nil)
}

// exportBVLC gives BVLC's network at a size, calibrated on the pictures in dir.
func exportBVLC(t *testing.T, dir string, labels []string, size int) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bvlc.tflite")
	_, err := export.Run(export.Options{
		Weights: shared(t, "weights", "bvlc_googlenet.caffemodel"), Output: file, Labels: labels, Calibration: dir, Size: size,
		Precision: export.PrecisionInt8, Input: inference.Int8, Exporter: "sightd",
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
