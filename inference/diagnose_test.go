package inference

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// shares is a small network: the scores of a picture are the shares of red, green and blue, which change maps before.
func shares(change func(p []byte) []byte) Run {
	return func(scores []float32, pixels []byte) error {
		var sum [3]float32
		total := float32(0)
		for i, p := range change(slices.Clone(pixels)) {
			sum[i%3] += float32(p)
			total += float32(p)
		}
		for c := range scores {
			scores[c] = sum[c] / total
		}
		return nil
	}
}

func asIs(p []byte) []byte { return p }

func swap(p []byte) []byte {
	for i := 0; i < len(p); i += 3 {
		p[i], p[i+2] = p[i+2], p[i]
	}
	return p
}

func shift(p []byte) []byte {
	for i := range p {
		p[i] ^= 0x80
	}
	return p
}

// both changes pixels twice.
func both(first, second func([]byte) []byte) func([]byte) []byte {
	return func(p []byte) []byte { return second(first(p)) }
}

// ordered gives the scores of another order of classes.
func ordered(run Run, order ...int) Run {
	return func(scores []float32, pixels []byte) error {
		right := make([]float32, len(scores))
		if err := run(right, pixels); err != nil {
			return err
		}
		for i, from := range order {
			scores[i] = right[from]
		}
		return nil
	}
}

func failing(err error) Run {
	return func([]float32, []byte) error { return fmt.Errorf("invoke: %w", err) }
}

func colourGoldens(t *testing.T) []Golden {
	t.Helper()
	goldens := []Golden{
		{Name: "a", Pixels: []byte{200, 10, 40, 180, 30, 20}},
		{Name: "b", Pixels: []byte{10, 150, 90, 0, 140, 110}},
	}
	for i := range goldens {
		goldens[i].Scores = make([]float32, 3)
		if err := shares(asIs)(goldens[i].Scores, goldens[i].Pixels); err != nil {
			t.Fatal(err)
		}
	}
	return goldens
}

func TestDiagnose(t *testing.T) {
	goldens := colourGoldens(t)
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	right := shares(asIs)
	// What the variants give is the network's answer to an input that is filled in another way.
	variants := func(network func([]byte) []byte) []Variant {
		return []Variant{
			{"red and blue are swapped", shares(both(swap, network))},
			{"the zero point is off by 128", shares(both(shift, network))},
		}
	}
	const driver, wrong, damaged = "broken: it puts out what is no number", "computes wrong", "the file is damaged"
	const file, order = "the file isn't the one", "the classes are in another order"
	for _, test := range []struct {
		name       string
		run, plain Run
		variants   []Variant
		want       string // a part of the cause, "" for none
	}{
		{"right after all", right, right, variants(asIs), ""},
		{"can't run", failing(errors.New("node 3 failed")), right, variants(asIs), ""},
		{"swapped, on both", shares(swap), shares(swap), variants(swap), "red and blue are swapped"},
		{"swapped, without another delegate", shares(swap), nil, variants(swap), "red and blue are swapped"},
		{"zero point", shares(shift), shares(shift), variants(shift), "the zero point is off by 128"},
		{"NaN here alone", answer(nan, 0.5, 0.5), right, variants(asIs), driver},
		{"infinite here alone", answer(0.5, inf, 0.5), right, nil, driver},
		{"said to be no number", failing(ErrNotANumber), right, nil, driver},
		{"NaN on both", answer(nan, 0, 0), failing(ErrNotANumber), []Variant{{"x", answer(nan, 0, 0)}}, damaged},
		{"NaN on the built-in kernels", failing(ErrNotANumber), nil, nil, damaged},
		{"wrong here alone", answer(0, 0, 0), right, variants(asIs), wrong},
		{"swapped by the driver", shares(swap), right, variants(swap), wrong},
		{"another model", answer(0.3, 0.3, 0.4), answer(0.3, 0.3, 0.4), []Variant{{"x", answer(0, 0, 0)}}, file},
		{"another model, alone", answer(0.3, 0.3, 0.4), nil, nil, file},
		{"plain kernels can't be had", answer(0.3, 0.3, 0.4), failing(errors.New("no memory")), nil, file},
		{"rotated", ordered(right, 1, 2, 0), ordered(right, 1, 2, 0), nil, order},
		{"two exchanged", ordered(right, 1, 0, 2), nil, []Variant{{"x", answer(0, 0, 0)}}, order},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Diagnose(goldens, 0.01, test.run, test.plain, test.variants)
			if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("got cause %q, want %q", got, test.want)
			}
		})
	}
}

// TestDiagnoseOtherOrders shows that an order that isn't the same for each picture is no order, and that classes are given away once.
func TestDiagnoseOtherOrders(t *testing.T) {
	goldens := []Golden{
		{Name: "a", Pixels: []byte{0}, Scores: []float32{0.7, 0.2, 0.1}},
		{Name: "b", Pixels: []byte{1}, Scores: []float32{0.1, 0.2, 0.7}},
	}
	give := func(all ...[]float32) Run {
		return func(scores []float32, pixels []byte) error {
			copy(scores, all[pixels[0]])
			return nil
		}
	}
	for _, test := range []struct {
		name string
		run  Run
		want bool
	}{
		{"one order", give([]float32{0.1, 0.7, 0.2}, []float32{0.7, 0.1, 0.2}), true},
		{"an order each", give([]float32{0.1, 0.7, 0.2}, []float32{0.7, 0.2, 0.1}), false},
		{"one class twice", give([]float32{0.7, 0.7, 0.2}, []float32{0.1, 0.1, 0.2}), false},
		{"about right", give([]float32{0.105, 0.205, 0.7}, []float32{0.7, 0.2, 0.1}), true},
	} {
		got := Diagnose(goldens, 0.01, test.run, nil, nil)
		if strings.Contains(got, "another order") != test.want {
			t.Errorf("%s: got %q, want that of another order: %t", test.name, got, test.want)
		}
	}
	if got := Diagnose(nil, 0, answer(1), nil, nil); got != "" {
		t.Errorf("without pictures: %q, want none", got)
	}
}
