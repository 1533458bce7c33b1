package quantize

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sightd/export/graph"
)

// relativeErrors gives for each value the squared differences of the int8 network from the float one, in relation to the squares of the float
// network's, on n random pictures.
func relativeErrors(t *testing.T, r *rand.Rand, g *graph.Graph, plan *Plan, n int) map[string]float64 {
	t.Helper()
	noise, signal := map[string]float64{}, map[string]float64{}
	for range n {
		picture := randomPicture(r, g)
		have, want := simulate(t, g, plan, picture), evaluate(g, picture, nil)
		for value := range want {
			factors := plan.Factors[value]
			for i, w := range want[value] {
				h := have[value][i]
				if factors != nil {
					h *= factors[i%len(factors)]
				}
				noise[value] += (h - w) * (h - w)
				signal[value] += w * w
			}
		}
	}
	for value := range noise {
		noise[value] /= signal[value]
	}
	return noise
}

// choose chooses, and fails the test where that fails.
func choose(t *testing.T, g *graph.Graph, seen map[string]*Seen, o Options) *Plan {
	t.Helper()
	plan, err := Choose(g, seen, inputParams, o)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// unequal gives a graph of two convolutions and the classifier. The first has a channel with values a hundred times as large as the others', for
// which the second has weights that are a hundredth.
func unequal(r *rand.Rand) *graph.Graph {
	n := newNetwork(r, 6)
	n.conv(1, 1, 4, graph.Same)
	n.conv(1, 1, 3, graph.Same)
	g := n.classifier()
	for i := range g.Ops[:2] {
		op := &g.Ops[i]
		perChannel := len(op.Weights) / op.Channels
		for j := range op.Weights {
			op.Weights[j] = float32(0.2 + r.Float64()) // no channel is dead, and none is large
			if i == 0 && j < perChannel {
				op.Weights[j] *= 100
			}
			if i == 1 && j%perChannel == 0 {
				op.Weights[j] /= 100
			}
		}
		for c := range op.Bias {
			op.Bias[c] = 0
		}
	}
	return g
}

// TestEqualization shows that a channel that is larger than the others gets a larger factor, and that the error of the answers falls.
func TestEqualization(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	for range 10 {
		g := unequal(r)
		seen := observe(r, g, 20)
		equalized, plain := choose(t, g, seen, Options{}), choose(t, g, seen, plain)
		factors := equalized.Factors[g.Ops[0].Name]
		if len(factors) != 4 || factors[0] != 1 || slices.Max(factors[1:]) > 0.2 || slices.Min(factors) < minFactor {
			t.Fatalf("have factors %v, want 1 and others far below", factors)
		}
		have := relativeErrors(t, r, g, equalized, 10)[g.Ops[1].Name]
		if without := relativeErrors(t, r, g, plain, 10)[g.Ops[1].Name]; !(have < without/10) {
			t.Errorf("squared error %g of equalized channels, %g without", have, without)
		}
	}
}

// TestEqualizationOfNetworks compares the errors of random networks, whose channels are of different sizes, with and without. What is
// averaged is left out: there the averages are what is equalized.
func TestEqualizationOfNetworks(t *testing.T) {
	r := rand.New(rand.NewPCG(27, 28))
	better, worse, gain := 0, 0, 0.0
	for range 80 {
		g := randomNetwork(r)
		seen := observe(r, g, 8)
		equalized := choose(t, g, seen, Options{})
		with, without := relativeErrors(t, r, g, equalized, 4), relativeErrors(t, r, g, choose(t, g, seen, plain), 4)
		order, ties, _ := groups(g)
		for _, gr := range order {
			for _, op := range gr.readers { // the layers that read an equalized group
				if equalized.Factors[op.Inputs[0]] == nil || ties.find(op.Name) == ties.find(g.Op(graph.Features).Inputs[0]) || op.Kind != graph.Conv {
					continue
				}
				if gain += math.Log(without[op.Name] / with[op.Name]); with[op.Name] < without[op.Name] {
					better++
				} else {
					worse++
				}
			}
		}
	}
	remains := math.Exp(-gain / float64(better+worse))
	if better < 2*worse || remains > 0.7 {
		t.Errorf("%d layers are better and %d worse, their squared error is %.2f of what it was, want 0.7 at most", better, worse, remains)
	}
}

func TestEqualizers(t *testing.T) {
	for _, test := range []struct {
		tops  []float64
		alpha float64
		want  []float64
	}{
		{[]float64{4, 16, 1}, 0, []float64{1, 1, 1}},
		{[]float64{4, 16, 1}, 1, []float64{0.25, 1, 0.0625}},
		{[]float64{4, 16, 1}, 0.5, []float64{0.5, 1, 0.25}},
		{[]float64{4, 0, 1e-9}, 1, []float64{1, minFactor, minFactor}},
		{[]float64{0, 0}, 1, []float64{1, 1}},
		{[]float64{0, 0}, 0, []float64{1, 1}},
		{[]float64{5}, 1, []float64{1}},
	} {
		have := equalizers(test.tops, test.alpha)
		for c, w := range test.want {
			if math.Abs(have[c]-w) > 1e-12 || len(have) != len(test.want) {
				t.Errorf("%v, alpha %g: have %v, want %v", test.tops, test.alpha, have, test.want)
				break
			}
		}
	}
}

// TestRareChannel has a channel that is as large as the other one, but only in one half of the pictures, and one that is small in all. It counts
// a hundred times as much, so that small steps would pay.
func TestRareChannel(t *testing.T) {
	g := ops("a L2 data", "b L1 a", "features A b", "logits F features")
	g.Op("b").Weights = []float32{0.01, 1}
	g.Op("b").Bias = []float32{0}
	r := rand.New(rand.NewPCG(33, 34))
	for _, test := range []struct {
		name      string
		second    func(half, i int) float64 // a value of the second channel
		equalized bool
	}{
		{"small", func(_, _ int) float64 { return 0.1 * r.Float64() }, true},
		{"rare", func(half, i int) float64 {
			if half == 0 && i%10 == 0 {
				return 10
			}
			return 0
		}, false},
		{"small and rarely large", func(half, i int) float64 {
			if half == 1 && i%10 == 0 {
				return 10
			}
			return 0.1 * r.Float64()
		}, false},
	} {
		a, b := NewSeen(2), NewSeen(1)
		for picture := range 8 {
			for i := range 50 {
				first, second := float32(10*r.Float64()), float32(test.second(picture%2, i))
				a.Include(picture, []float32{first, second})
				b.Include(picture, []float32{first/100 + second})
			}
		}
		plan := choose(t, g, map[string]*Seen{"a": a, "b": b, "features": b, "logits": b}, Options{})
		factors := plan.Factors["a"]
		if (factors != nil) != test.equalized || test.equalized && factors[1] > 0.1 {
			t.Errorf("%s: have factors %v, want some: %t", test.name, factors, test.equalized)
		}
	}
}

// TestTopsOfAverages shows that what is averaged is equalized after its averages, and other groups after their own values.
func TestTopsOfAverages(t *testing.T) {
	g := ops("a L2 data", "b L2 a", "features A b", "logits F features")
	seen := map[string]*Seen{"a": seenOf(2, []float32{8, 9}, []float32{3, 20}), "b": seenOf(2, []float32{100, 200}),
		"features": seenOf(2, []float32{1, 7}, []float32{2, 5})}
	order, _, _ := groups(g)
	for _, test := range []struct {
		group, first, last int
		want               []float64
	}{{1, 0, 0, []float64{8, 9}}, {1, 1, 1, []float64{3, 20}}, {1, 0, 1, []float64{8, 20}}, {2, 0, 0, []float64{1, 7}}, {2, 0, 1, []float64{2, 7}}} {
		if have := order[test.group].tops(seen, test.first, test.last); !slices.Equal(have, test.want) {
			t.Errorf("group %d, halves %d to %d: have %v, want %v", test.group, test.first, test.last, have, test.want)
		}
	}
}

// TestSumsOfAverages shows that a layer behind an average gets a share of the noise: what is averaged differs from position to position.
func TestSumsOfAverages(t *testing.T) {
	r := rand.New(rand.NewPCG(39, 40))
	n := newNetwork(r, 4)
	n.conv(3, 1, 3, graph.Same)
	g := n.classifier()
	seen := observe(r, g, 10)
	order, _, _ := groups(g)
	sums, variances := order[1].sums(g, seen), seen[graph.Features].variances()
	if len(sums) != 1 || sums[0].op.Name != graph.Classifier || sums[0].averages != 16 || !slices.Equal(sums[0].variance, variances) {
		t.Errorf("have %+v, want the classifier behind an average of 16, and variances %v", sums, variances)
	}
}

// TestNoiseEstimates compares what the choice goes by with the noise that rounding in fact brings to a layer's sums.
func TestNoiseEstimates(t *testing.T) {
	const inputs, outputs, positions = 24, 40, 400
	r := rand.New(rand.NewPCG(35, 36))
	n := newNetwork(r, 1)
	n.conv(1, 1, inputs, graph.Same)
	n.conv(1, 1, outputs, graph.Same)
	g := n.classifier()
	values, sums := make([]float32, positions*inputs), make([]float32, positions*outputs)
	layer := &g.Ops[1]
	for p := range positions {
		for c := range inputs {
			values[p*inputs+c] = float32(float64(c+1) * r.ExpFloat64())
		}
		for o := range outputs { // without bias and ReLU, so that all of the sum is looked at
			for c := range inputs {
				sums[p*outputs+o] += layer.Weights[o*inputs+c] * values[p*inputs+c]
			}
		}
	}
	seen := map[string]*Seen{g.Ops[0].Name: NewSeen(inputs), layer.Name: NewSeen(outputs)}
	signal := 0.0
	for p := range positions {
		seen[g.Ops[0].Name].Include(p, values[p*inputs:(p+1)*inputs])
		for o, v := range sums[p*outputs : (p+1)*outputs] {
			signal += float64(v) * float64(v) / positions
			sums[p*outputs+o] = float32(math.Abs(float64(v)))
		}
		seen[layer.Name].Include(p, sums[p*outputs:(p+1)*outputs])
	}
	order, _, _ := groups(g)
	gr := order[1]
	prepared := gr.sums(g, seen)
	if len(prepared) != 1 || math.Abs(prepared[0].signal/signal-1) > 0.02 {
		t.Fatalf("%d layers, of signal %g, want one of %g", len(prepared), prepared[0].signal, signal)
	}
	tops := gr.tops(seen, 0, 1)
	means := seen[g.Ops[0].Name].means()
	for _, alpha := range []float64{0, 0.5, 1} {
		factors := equalizers(tops, alpha)
		high := fullRange(narrow(tops), factors)
		var activations, weights float64
		for o := range outputs {
			row, largest := layer.Weights[o*inputs:(o+1)*inputs], 0.0
			for c, w := range row {
				largest = max(largest, math.Abs(float64(w))*factors[c])
			}
			for p := range positions {
				ofActivations, ofWeights := 0.0, 0.0
				for c, w := range row {
					v := float64(values[p*inputs+c])
					step, weightStep := high*factors[c]/255, largest/127/factors[c]
					ofActivations += float64(w) * (math.RoundToEven(v/step)*step - v)
					ofWeights += (math.RoundToEven(float64(w)/weightStep)*weightStep - float64(w)) * (v - means[c])
				}
				activations += ofActivations * ofActivations / positions / signal
				weights += ofWeights * ofWeights / positions / signal
			}
		}
		var estimated float64
		for i := range 2 {
			estimated += gr.activationNoise(prepared, gr.counts(seen, i).histogram, factors, high) / 2
		}
		if math.Abs(estimated/activations-1) > 0.15 {
			t.Errorf("alpha %g: the noise of activations is taken for %g of the signal, it is %g", alpha, estimated, activations)
		}
		if have := prepared[0].weightNoise(factors); math.Abs(have/weights-1) > 0.2 {
			t.Errorf("alpha %g: the noise of weights is taken for %g of the signal, it is %g", alpha, have, weights)
		}
	}
}
