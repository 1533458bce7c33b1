package testbench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightd/camera"
	"sightd/daemon"
	"sightd/export"
	"sightd/inference"
	"sightd/inference/litert/gputest"
	"sightd/models"
)

// trained are weights with the photos to judge their networks by.
type trained struct {
	name, file, labels string // of the weights, in ../shared
	size               int
	plain              int // photos for the built-in kernels, which are slow
	photos             []string
	classes            []int
	folds              bool // the photos are those to calibrate on, too: each half for the other
}

// bothWeights are the default model's weights and BVLC's.
func bothWeights(t testing.TB) []trained {
	t.Helper()
	_, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	small := trained{name: "Imagenette", file: card.Source.Name, labels: "imagenette_labels.txt", size: card.Input.Size, plain: 200}
	small.photos, small.classes = validationPhotos(t, 0)
	return []trained{small, bvlc(t)}
}

func bvlc(t testing.TB) trained {
	t.Helper()
	w := trained{name: "BVLC", file: "bvlc_googlenet.caffemodel", labels: "imagenet_labels.txt", size: 224, plain: 50, photos: imagenetPhotos(t, 0), folds: true}
	// Beginnings of the list are to have classes of all kinds.
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(w.photos), func(i, j int) { w.photos[i], w.photos[j] = w.photos[j], w.photos[i] })
	for _, photo := range w.photos {
		var class int
		if _, err := fmt.Sscanf(filepath.Base(photo), "%d_", &class); err != nil {
			t.Fatalf("photo %s: want a name that begins with its class: %v", photo, err)
		}
		w.classes = append(w.classes, class)
	}
	return w
}

// half are the photos of a fold: every second one.
func (w trained) half(fold int) trained {
	var photos []string
	var classes []int
	for i := fold; i < len(w.photos); i += 2 {
		photos, classes = append(photos, w.photos[i]), append(classes, w.classes[i])
	}
	w.photos, w.classes = photos, classes
	return w
}

// first are n of the photos, at most.
func (w trained) first(n int) trained {
	n = min(n, len(w.photos))
	w.photos, w.classes = w.photos[:n], w.classes[:n]
	return w
}

// exported gives the file of the weights in a precision, which is written once in a test run. calibration are the photos to calibrate on.
func (w trained) exported(t testing.TB, p export.Precision, size int, calibration string, tag string) string {
	t.Helper()
	file := filepath.Join(filepath.Dir(sightd(t)), fmt.Sprintf("%s_%s_%d%s.tflite", w.name, p, size, tag))
	if _, err := os.Stat(file); err == nil {
		return file
	}
	text, err := os.ReadFile(shared(t, "weights", w.labels))
	if err != nil {
		t.Fatal(err)
	}
	o := export.Options{
		Weights: shared(t, "weights", w.file), Output: file, Labels: strings.Split(strings.TrimSpace(string(text)), "\n"), Size: size,
		Precision: p, Input: inference.Float32, Exporter: "a test",
	}
	if p == export.PrecisionInt8 {
		o.Input, o.Calibration = inference.Int8, calibration
	}
	if _, err := export.Run(o); err != nil {
		t.Fatal(err)
	}
	return file
}

// linked is a folder of links to files.
func linked(t testing.TB, files []string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, file := range files {
		if err := os.Symlink(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// int8BVLC gives BVLC's weights in int8, calibrated on half of ImageNet's photos.
func int8BVLC(t testing.TB) string {
	t.Helper()
	w := bvlc(t)
	return w.exported(t, export.PrecisionInt8, w.size, linked(t, w.half(0).photos), "a")
}

// answers are the best classes that a network says of photos.
func answers(t testing.TB, model string, photos []string, delegate inference.Delegate) (best []int) {
	t.Helper()
	engine := openEngine(t, daemon.EngineOptions{Model: model, Top: 1, Options: inference.Options{Delegate: delegate}})
	if d := engine.Delegation(); d.Delegate != delegate {
		t.Fatalf("want %s to run %s, have %s", delegate, filepath.Base(model), d)
	}
	decoder := camera.NewDecoder(testLimits)
	defer decoder.Close() // frees C memory; there is nothing to report
	for _, photo := range photos {
		result, err := engine.Classify(decodeFile(t, decoder, photo), "")
		if err != nil {
			t.Fatal(err)
		}
		best = append(best, result.Top[0].Index)
	}
	return best
}

// judged is the row of a network's answers, beside those of another one.
func (w trained) judged(what string, best, reference []int, beside string) figure {
	right, same := 0, 0
	for i, b := range best {
		right += btoi(b == w.classes[i])
		same += btoi(b == reference[i])
	}
	n := len(best)
	return figure{what: what + ": top-1", value: fmt.Sprintf("%s, the label of %s on %s", percent(right, n), beside, percent(same, n)), n: n, spread: wilson(right, n)}
}

// measurePrecisions judges both weights in each precision on each delegate that runs here.
func measurePrecisions(t *testing.T) (figures []figure) {
	for _, w := range bothWeights(t) {
		t.Run(w.name, func(t *testing.T) { figures = append(figures, w.precisions(t)...) })
		t.Run(w.name+" on the GPU", func(t *testing.T) { figures = append(figures, w.onGPU(t)...) })
	}
	return figures
}

// delegates of the processor. What the machine can't do isn't measured.
var delegates = []inference.Delegate{inference.XNNPACK, inference.XNNPACKFP16, inference.CPU}

func (w trained) precisions(t *testing.T) (figures []figure) {
	var reference []int
	for _, p := range []export.Precision{export.PrecisionFloat32, export.PrecisionFloat16, export.PrecisionInt8} {
		for _, d := range delegates {
			if d == inference.XNNPACKFP16 && (p == export.PrecisionInt8 || !halves(t, w.exported(t, p, w.size, "", ""))) {
				continue
			}
			few := w
			if d == inference.CPU {
				few = w.first(w.plain)
			}
			best := few.judge(t, p, d)
			if reference == nil {
				reference = best
			}
			figures = append(figures, few.judged(fmt.Sprintf("%s, %s, %s", w.name, p, d), best, reference, "float32 on xnnpack"))
		}
	}
	return figures
}

// halves reports whether XNNPACK computes with 16 bits here.
func halves(t *testing.T, model string) bool {
	engine, err := daemon.OpenEngine(daemon.EngineOptions{Model: model, Options: inference.Options{Delegate: inference.XNNPACKFP16}})
	if err != nil {
		t.Logf("%s: %v", inference.XNNPACKFP16, err)
		return false
	}
	defer engine.Close() // frees C memory; there is nothing to report
	return engine.Delegation().Delegate == inference.XNNPACKFP16
}

// judge gives the answers to all photos, of int8 by the network that wasn't calibrated on them.
func (w trained) judge(t *testing.T, p export.Precision, d inference.Delegate) []int {
	switch {
	case p != export.PrecisionInt8:
		return answers(t, w.exported(t, p, w.size, "", ""), w.photos, d)
	case !w.folds:
		return answers(t, "", w.photos, d)
	}
	best := make([]int, len(w.photos))
	all := bvlc(t)
	for fold, tag := range []string{"a", "b"} {
		model := w.exported(t, p, w.size, linked(t, all.half(fold).photos), tag)
		for i, b := range answers(t, model, w.half(1-fold).photos, d) {
			best[1-fold+2*i] = b
		}
	}
	return best
}

// onGPU judges the networks at a small size, as the device may be all software.
func (w trained) onGPU(t *testing.T) (figures []figure) {
	gputest.Need(t)
	const n = 12
	few := w.first(n)
	calibration := shared(t, "images", "imagenette", "calibration")
	for _, p := range []export.Precision{export.PrecisionFloat32, export.PrecisionFloat16, export.PrecisionInt8} {
		model := w.exported(t, p, gpuSize, calibration, "")
		best, reference := answers(t, model, few.photos, inference.GPU), answers(t, model, few.photos, inference.XNNPACK)
		figures = append(figures, few.judged(fmt.Sprintf("%s, %s, gpu, at %d pixels", w.name, p, gpuSize), best, reference, "xnnpack"))
	}
	return figures
}
