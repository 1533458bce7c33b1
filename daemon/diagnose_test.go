package daemon

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/models"
	"sightd/preprocess"
)

// TestDiagnoseDefault fills the input of the embedded model in wrong ways.
func TestDiagnoseDefault(t *testing.T) {
	data, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(e *Engine, goldens []inference.Golden)
		want   string
	}{
		{"nothing", func(*Engine, []inference.Golden) {}, ""},
		{"zero point", func(e *Engine, _ []inference.Golden) { e.input.Type = inference.UInt8 }, "the input's zero point is off by 128"},
		{"channels", func(_ *Engine, goldens []inference.Golden) {
			for _, g := range goldens {
				for i := 0; i < len(g.Pixels); i += 3 {
					g.Pixels[i], g.Pixels[i+2] = g.Pixels[i+2], g.Pixels[i]
				}
			}
		}, "the channels are swapped"},
		{"classes", func(_ *Engine, goldens []inference.Golden) {
			for _, g := range goldens {
				last := len(g.Scores) - 1
				g.Scores[0], g.Scores[last] = g.Scores[last], g.Scores[0]
			}
		}, "the classes are in another order"},
		{"another model's", func(_ *Engine, goldens []inference.Golden) {
			for _, g := range goldens {
				for i := range g.Scores {
					g.Scores[i] = 0.5
				}
			}
		}, "the file isn't the one that its card was made of"},
		{"network", func(e *Engine, _ []inference.Golden) { e.run = &broken{e.run, 0.5, nil} }, "the delegate or its driver computes wrong"},
		{"NaN", func(e *Engine, _ []inference.Golden) { e.run = &broken{e.run, float32(math.NaN()), nil} }, "the delegate or its driver is broken"},
		{"no number", func(e *Engine, _ []inference.Golden) {
			e.run = &broken{e.run, 0, inference.ErrNotANumber}
		}, "the delegate or its driver is broken"},
		{"other error", func(e *Engine, _ []inference.Golden) { e.run = &broken{e.run, 0, errors.New("node 3 failed")} }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			run, err := tflite.OpenBytes(data, inference.Options{Delegate: inference.XNNPACK, Threads: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer run.Close() // frees C memory; there is nothing to report
			goldens, err := card.Goldens()
			if err != nil {
				t.Fatal(err)
			}
			for i := range goldens {
				goldens[i].Scores = slices.Clone(goldens[i].Scores) // they are the card's
			}
			in := run.Spec().Input
			e := &Engine{run: run, input: preprocess.Input{Height: in.Shape[1], Width: in.Shape[2], Type: in.Type}}
			test.change(e, goldens)
			_, failed := inference.Prove(goldens, card.Golden.Tolerance, e.scoresOf)
			if (failed == nil) != (test.name == "nothing") {
				t.Errorf("the golden inputs have error %v", failed)
			}
			got := e.diagnose(data, goldens, card.Golden.Tolerance, failed)
			if (got == "") != (test.want == "") || !strings.HasPrefix(got, test.want) {
				t.Errorf("got cause %q, want %q", got, test.want)
			}
			if got := e.diagnose(data, goldens, card.Golden.Tolerance, errHung); got != "" {
				t.Errorf("where it hangs: got cause %q, want none", got)
			}
		})
	}
}

// broken is a Classifier that gives each score the same value, or an error.
type broken struct {
	inference.Classifier
	score float32
	err   error
}

func (b *broken) Output(_ int, dst []float32) error {
	for i := range dst {
		dst[i] = b.score
	}
	return b.err
}

// floats is a network of floats, on the built-in kernels: the scores are the means of its input's channels, in the units of wants.
type floats struct {
	inference.Classifier
	wants preprocess.Input
	input []byte
}

func (f *floats) Input() []byte { return f.input }
func (f *floats) Invoke() error { return nil }
func (f *floats) Delegation() inference.Delegation {
	return inference.Delegation{Delegate: inference.CPU}
}

func (f *floats) Output(_ int, dst []float32) error {
	clear(dst)
	n := len(f.input) / 4
	for i := range n {
		c := i % 3
		x := math.Float32frombits(binary.NativeEndian.Uint32(f.input[4*i:]))
		dst[c] += (x*f.wants.Std[c] + f.wants.Mean[c]) / 255 / float32(n/3)
	}
	return nil
}

// TestDiagnoseScale has networks of floats for each way of feeding them, and feeds each in all of them.
func TestDiagnoseScale(t *testing.T) {
	goldens := []inference.Golden{
		{Name: "a", Pixels: []byte{255, 51, 0, 255, 51, 51}, Scores: []float32{1, 0.2, 0.1}},
		{Name: "b", Pixels: []byte{0, 51, 204, 102, 51, 204}, Scores: []float32{0.2, 0.2, 0.8}},
	}
	for _, wants := range usual {
		for _, has := range usual {
			in := preprocess.Input{Width: 2, Height: 1, Type: inference.Float32, Mean: has.mean, Std: has.std}
			run := &floats{wants: preprocess.Input{Mean: wants.mean, Std: wants.std}, input: make([]byte, 4*6)}
			e := &Engine{run: run, input: in}
			want := "the scale of the input is wrong: the network wants pixels as " + wants.name
			if wants.name == has.name {
				want = ""
			}
			if got := e.diagnose(nil, goldens, 1e-3, nil); (got == "") != (want == "") || !strings.HasPrefix(got, want) {
				t.Errorf("fed %s: got cause %q, want %q", has.name, got, want)
			}
		}
	}
}
