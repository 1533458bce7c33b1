package testbench

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sightd/camera"
	"sightd/daemon"
	"sightd/export"
	"sightd/export/graph"
	"sightd/export/weights"
	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/models"
	"sightd/preprocess"
)

// floatNetwork is the default model's weights in float32.
type floatNetwork struct {
	run       *tflite.Classifier
	transform *preprocess.Transform
	scores    []float32
}

// openFloat opens the weights that the default model was made of, as its card describes their input.
func openFloat(t *testing.T, card *models.Card) *floatNetwork {
	t.Helper()
	set, err := weights.Open(shared(t, "weights", card.Source.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close() // it was only read
	if set.SHA256 != card.Source.SHA256 {
		t.Fatalf("%s: want the weights that the model was made of, sha256 %s, have %s", card.Source.Name, card.Source.SHA256, set.SHA256)
	}
	g, err := graph.GoogLeNet(set, card.Input.Size)
	if err != nil {
		t.Fatal(err)
	}
	m, err := export.Float(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := m.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	in := preprocess.Input{Width: card.Input.Size, Height: card.Input.Size, Type: inference.Float32}
	for c := range 3 {
		in.Mean[c], in.Std[c] = float32(card.Input.Mean[c]), float32(card.Input.Std[c])
	}
	f := &floatNetwork{}
	if f.run, err = tflite.OpenBytes(data, inference.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.run.Close() }) // frees C memory; there is nothing to report
	if f.transform, err = preprocess.New(in, preprocess.Squash); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.transform.Close() }) // likewise
	f.scores = make([]float32, f.run.Spec().NumClasses())
	return f
}

// best is the float network's best class.
func (f *floatNetwork) best(t *testing.T, frame camera.Frame) int {
	t.Helper()
	if err := f.transform.Apply(f.run.Input(), frame); err != nil {
		t.Fatal(err)
	}
	if err := f.run.Invoke(); err != nil {
		t.Fatal(err)
	}
	if err := f.run.Output(0, f.scores); err != nil {
		t.Fatal(err)
	}
	best := 0
	for i, s := range f.scores {
		if s > f.scores[best] {
			best = i
		}
	}
	return best
}

// measureAccuracy runs the labelled photos through the float network and the default model.
func measureAccuracy(t *testing.T) []figure {
	_, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	float := openFloat(t, card)
	engine := openEngine(t, daemon.EngineOptions{Top: 1})
	decoder := camera.NewDecoder(testLimits)
	defer decoder.Close() // frees C memory; there is nothing to report
	photos, classes := validationPhotos(t, 0)
	floatRight, right, same, gained, lost := 0, 0, 0, 0, 0
	for i, photo := range photos {
		frame := decodeFile(t, decoder, photo)
		floatBest := float.best(t, frame)
		result, err := engine.Classify(frame, preprocess.Squash)
		if err != nil {
			t.Fatalf("classify %s: %v", photo, err)
		}
		best := result.Top[0].Index
		floatRight += btoi(floatBest == classes[i])
		right += btoi(best == classes[i])
		same += btoi(best == floatBest)
		gained += btoi(best == classes[i] && floatBest != classes[i])
		lost += btoi(best != classes[i] && floatBest == classes[i])
	}
	n := len(photos)
	points := 100 * float64(right-floatRight) / float64(n)
	// The two networks judge the same photos: only those where one of them alone is right say anything of their difference.
	halfWidth := 100 * 1.96 * math.Sqrt(float64(gained+lost)-float64((gained-lost)*(gained-lost))/float64(n)) / float64(n)
	figures := []figure{
		{what: "top-1, float32", value: percent(floatRight, n), n: n, spread: wilson(floatRight, n)},
		{what: "top-1, int8 (the default model)", value: percent(right, n), n: n, spread: wilson(right, n)},
		{what: "int8 less float32, top-1", value: fmt.Sprintf("%+.2f points", points), target: "-0.5 points or better", met: points >= -0.5,
			n: n, spread: fmt.Sprintf("± %.2f (95 %%, paired)", halfWidth)},
		{what: "the same top-1 in int8 and float32", value: percent(same, n), target: "98 % or more", met: float64(same) >= 0.98*float64(n),
			n: n, spread: wilson(same, n)},
	}
	trained := trainedTop1(t, card)
	points = 100*float64(right)/float64(n) - trained
	figures = append(figures, figure{what: fmt.Sprintf("int8 less what the weights' own file says (%.2f %%, PyTorch)", trained),
		value: fmt.Sprintf("%+.2f points", points), target: "-0.5 points or better", met: points >= -0.5, n: n})
	if a := card.Accuracy; a != nil {
		figures = append(figures, figure{
			what:  "the same, as the model card has it",
			value: fmt.Sprintf("float32 %.2f %%, int8 %.2f %%, the same top-1 on %.2f %%", 100*a.FloatTop1, 100*a.Top1, 100*a.Agreement),
			n:     a.Pictures, command: "make model",
		})
	}
	return figures
}

// trainedTop1 is the float top-1 in percent that was measured on these photos where the weights were trained.
func trainedTop1(t *testing.T, card *models.Card) float64 {
	t.Helper()
	name := strings.TrimSuffix(card.Source.Name, filepath.Ext(card.Source.Name)) + ".json"
	text, err := os.ReadFile(shared(t, "weights", name))
	if err != nil {
		t.Fatal(err)
	}
	var measured struct {
		Top1 map[string]float64 `json:"float_top1_on_images/imagenette/val"` // by size
	}
	if err := json.Unmarshal(text, &measured); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	top1, ok := measured.Top1[strconv.Itoa(card.Input.Size)]
	if !ok {
		t.Fatalf("%s: want the float top-1 at size %d, have %v", name, card.Input.Size, measured.Top1)
	}
	return top1
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func percent(k, n int) string { return fmt.Sprintf("%.2f %%", 100*float64(k)/float64(n)) }

// wilson is Wilson's score interval of 95 % for k of n.
func wilson(k, n int) string {
	const z = 1.959964
	p, m := float64(k)/float64(n), float64(n)
	center := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m)) / (1 + z*z/m)
	return fmt.Sprintf("%.2f to %.2f %%", 100*(center-half), 100*(center+half))
}
