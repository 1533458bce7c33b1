package testbench

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sightd/camera"
	"sightd/export"
	"sightd/inference"
	"sightd/inference/litert"
	"sightd/inference/litert/gputest"
	"sightd/inference/tflite"
	"sightd/models"
	"sightd/preprocess"
)

// gpuSize is the input's height and width of the networks that run on the GPU: a software device takes a third of a second for one picture.
const gpuSize = 96

// TestGPUAgrees exports the default model's weights in every precision, and shows that the GPU says of them what XNNPACK does: on the card's
// golden pictures within its tolerance, and for the best class of photos, a hundred for the two that the model comes in.
func TestGPUAgrees(t *testing.T) {
	dir := gputest.Need(t)
	if raceDetector {
		t.Skip("the race detector sees nothing of what C does here, and the time is long")
	}
	for _, test := range []struct {
		name    string
		options export.Options
		photos  int
	}{
		{"float32", export.Options{Precision: export.PrecisionFloat32, Input: inference.Float32}, 100},
		{"float16", export.Options{Precision: export.PrecisionFloat16, Input: inference.Float32}, 20}, // float32's graph, and DEQUANTIZE
		{"int8", export.Options{Precision: export.PrecisionInt8, Input: inference.Int8}, 100},
		{"uint8 in and out", export.Options{Precision: export.PrecisionInt8, Input: inference.UInt8, IntegerOutput: true}, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // a software device runs each network on one core
			data, card := exportSmall(t, test.options)
			gpu, err := litert.OpenBytes(data, inference.Options{Delegate: inference.GPU}, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer gpu.Close() // frees memory; there is nothing to report
			processor, err := tflite.OpenBytes(data, inference.Options{Delegate: inference.XNNPACK})
			if err != nil {
				t.Fatal(err)
			}
			defer processor.Close() // likewise
			if d := gpu.Delegation(); d.Delegate != inference.GPU || d.Partial() {
				t.Errorf("have %s, want the whole network on the GPU", d)
			}
			agreeOnGoldens(t, card, gpu, processor)
			agreeOnPhotos(t, card, gpu, processor, test.photos)
		})
	}
}

// exportSmall exports the default model's weights at gpuSize.
func exportSmall(t *testing.T, o export.Options) ([]byte, *models.Card) {
	t.Helper()
	_, standard, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	o.Weights, o.Labels, o.Size, o.Exporter = shared(t, "weights", standard.Source.Name), standard.Labels, gpuSize, "a test"
	o.Output = filepath.Join(t.TempDir(), "small.tflite")
	if o.Precision == export.PrecisionInt8 {
		o.Calibration = someOf(t, shared(t, "images", "imagenette", "calibration"), 2*export.MinPictures)
	}
	if _, err := export.Run(o); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(export.CardName(o.Output))
	if err != nil {
		t.Fatal(err)
	}
	card, err := models.ParseCard(text)
	if err != nil {
		t.Fatal(err)
	}
	return data, card
}

// someOf copies n files of a folder, spread evenly, into one of their own.
func someOf(t *testing.T, folder string, n int) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < n {
		t.Fatalf("%s: want %d files at least, have %d, %v", folder, n, len(files), err)
	}
	to := t.TempDir()
	for i := range n {
		path := files[i*len(files)/n]
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(path)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// agreeOnGoldens runs the card's golden pictures on both.
func agreeOnGoldens(t *testing.T, card *models.Card, gpu, processor inference.Classifier) {
	t.Helper()
	goldens, err := card.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	in := inputOf(card, gpu)
	for _, run := range []inference.Classifier{processor, gpu} {
		worst, err := inference.Prove(goldens, card.Golden.Tolerance, func(scores []float32, pixels []byte) error {
			if err := in.Fill(run.Input(), pixels); err != nil {
				return err
			}
			if err := run.Invoke(); err != nil {
				return err
			}
			return run.Output(0, scores)
		})
		if err != nil {
			t.Errorf("%s: %v", run.Delegation(), err)
		}
		t.Logf("%s: scores of %d golden pictures differ by %.5f at most, tolerance %.3f", run.Delegation(), len(goldens), worst, card.Golden.Tolerance)
	}
}

// inputOf says how the model wants its pictures.
func inputOf(card *models.Card, run inference.Classifier) preprocess.Input {
	in := preprocess.Input{Height: card.Input.Size, Width: card.Input.Size, Type: run.Spec().Input.Type}
	for c := range 3 {
		in.Mean[c], in.Std[c] = float32(card.Input.Mean[c]), float32(card.Input.Std[c])
	}
	return in
}

// agreeOnPhotos runs labelled photos on both. The best class must be the same, unless those two are closer to each other than the tolerance.
func agreeOnPhotos(t *testing.T, card *models.Card, gpu, processor inference.Classifier, n int) {
	t.Helper()
	transform, err := preprocess.New(inputOf(card, gpu), preprocess.Squash)
	if err != nil {
		t.Fatal(err)
	}
	defer transform.Close() // frees C memory; there is nothing to report
	decoder := camera.NewDecoder(testLimits)
	defer decoder.Close() // likewise
	photos, classes := validationPhotos(t, n)
	have, want := make([]float32, len(card.Labels)), make([]float32, len(card.Labels))
	same, right, worst := 0, 0, float32(0)
	var took time.Duration
	for i, photo := range photos {
		frame := decodeFile(t, decoder, photo)
		scoresOf(t, transform, frame, processor, want)
		start := time.Now()
		scoresOf(t, transform, frame, gpu, have)
		took += time.Since(start)
		for j := range have {
			worst = max(worst, have[j]-want[j], want[j]-have[j])
		}
		best, other := argmax(want), argmax(have)
		same += btoi(best == other)
		right += btoi(other == classes[i])
		if lead := want[best] - want[other]; lead > card.Golden.Tolerance {
			t.Errorf("%s: the GPU says %s, XNNPACK %s by %.3f", photo, card.Labels[other], card.Labels[best], lead)
		}
	}
	t.Logf("%d photos: the same best class in %d, right %d, scores differ by %.5f at most, %.0f ms each on the GPU", len(photos), same, right,
		worst, float64(took.Milliseconds())/float64(len(photos)))
	if same < len(photos)*98/100 {
		t.Errorf("the same best class in %d of %d photos, want 98 %% at least", same, len(photos))
	}
}

// scoresOf runs a frame.
func scoresOf(t *testing.T, transform *preprocess.Transform, frame camera.Frame, run inference.Classifier, scores []float32) {
	t.Helper()
	if err := transform.Apply(run.Input(), frame); err != nil {
		t.Fatal(err)
	}
	if err := run.Invoke(); err != nil {
		t.Fatal(err)
	}
	if err := run.Output(0, scores); err != nil {
		t.Fatal(err)
	}
}

func argmax(values []float32) (best int) {
	for i, v := range values {
		if v > values[best] {
			best = i
		}
	}
	return best
}
