package quantize

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"sightd/export/graph"
)

// checkSame compares all values of the graph with those of the graph that Apply gave, multiplied by their factors.
func checkSame(t *testing.T, r *rand.Rand, g, applied *graph.Graph, plan *Plan) {
	t.Helper()
	picture := randomPicture(r, g)
	want, have := evaluate(g, picture, nil), evaluate(applied, picture, nil)
	for name, values := range want {
		largest := 0.0
		for _, v := range values {
			largest = max(largest, math.Abs(v))
		}
		factors := plan.Factors[name]
		for i, v := range values {
			h := have[name][i]
			if factors != nil {
				h *= factors[i%len(factors)]
			}
			if !(math.Abs(h-v) <= 1e-5*largest) {
				t.Fatalf("%s: value %d is %g, was %g", name, i, h, v)
			}
		}
	}
}

// TestApply computes random networks before and after their channels are divided.
func TestApply(t *testing.T) {
	r := rand.New(rand.NewPCG(29, 30))
	factors := 0
	for range 60 {
		g := randomNetwork(r)
		seen := observe(r, g, 2)
		for _, o := range []Options{{}, {Alphas: []float64{1}}, {Alphas: []float64{0.5}, PlainFeatures: true}} {
			plan := choose(t, g, seen, o)
			factors += len(plan.Factors)
			checkSame(t, r, g, plan.Apply(g), plan)
		}
	}
	if factors < 100 {
		t.Errorf("only %d values got factors", factors)
	}
}

// TestApplyCopies shows that the graph is left as it was, and that layers which nothing divides are shared.
func TestApplyCopies(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	n := newNetwork(r, 8)
	n.conv(3, 2, 4, graph.Same)
	n.pool(3, 1)
	first := n.module()
	n.conv(1, 1, 3, graph.Same)
	n.conv(1, 1, 2, graph.Same)
	g := n.classifier()
	g.Architecture = graph.BVLC
	before := *g
	before.Ops = slices.Clone(g.Ops)
	for i := range before.Ops {
		before.Ops[i].Weights, before.Ops[i].Bias = slices.Clone(g.Ops[i].Weights), slices.Clone(g.Ops[i].Bias)
	}
	divided := g.Op(first)
	plan := &Plan{Factors: map[string][]float64{first: make([]float64, divided.Channels)}}
	for c := range divided.Channels {
		plan.Factors[first][c] = 1 / float64(c+1)
	}
	offset := 0
	for _, in := range divided.Inputs {
		plan.Factors[in] = plan.Factors[first][offset : offset+g.Op(in).Channels]
		offset += g.Op(in).Channels
	}
	out := plan.Apply(g)
	checkSame(t, r, g, out, plan)
	if !reflect.DeepEqual(*g, before) {
		t.Error("Apply changed its graph")
	}
	if out.Architecture != g.Architecture || out.Size != g.Size || out.Classes != g.Classes || len(out.Ops) != len(g.Ops) {
		t.Errorf("have %s, size %d, %d classes, %d operators, want the graph's", out.Architecture, out.Size, out.Classes, len(out.Ops))
	}
	changed := map[string]bool{}
	for _, in := range divided.Inputs {
		changed[in] = true
	}
	for _, op := range g.Readers(divided) {
		changed[op.Name] = true
	}
	for i := range g.Ops {
		op := &g.Ops[i]
		if op.Weights == nil {
			continue
		}
		if own := &out.Ops[i].Weights[0] != &op.Weights[0]; own != changed[op.Name] {
			t.Errorf("%s has weights of its own: %t, want %t", op.Name, own, !own)
		}
	}
}
