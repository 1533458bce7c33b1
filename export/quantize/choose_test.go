package quantize

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sightd/export/graph"
)

// plain chooses without equalization.
var plain = Options{Alphas: []float64{0}}

// TestChoosePlain has the shapes of GoogLeNet: a padded input, a module whose branches and pools share one range, a layer alone.
func TestChoosePlain(t *testing.T) {
	g := ops("pad P data", "conv L pad", "pool M conv", "a L pool", "b_reduce L pool", "b L b_reduce", "inner M pool", "c L inner",
		"output C a b c", "last M output", "features A last", "logits F features")
	seen := map[string]*Seen{}
	for name, high := range map[string]float32{"conv": 2.55, "a": 5.1, "b_reduce": 25.5, "b": 10.2, "c": 7.65, "logits": 127.5} {
		seen[name] = seenOf(1, []float32{high / 2}, []float32{high})
	}
	seen["features"] = seenOf(3, []float32{1.02, 0.5, 0}, []float32{1, 0.2, 0})
	seen["logits"].Include(1, []float32{-127.5})
	input := Params{Scale: 1 / 127.5, ZeroPoint: -1}
	plan, err := Choose(g, seen, input, plain)
	if err != nil {
		t.Fatal(err)
	}
	of := func(high float32) Params { return Activation(0, float64(high)) }
	want := map[string]Params{
		"data": input, "pad": input, "conv": of(2.55), "pool": of(2.55), "inner": of(2.55),
		"b_reduce": of(25.5), "a": of(10.2), "b": of(10.2), "c": of(10.2), "output": of(10.2), "last": of(10.2),
		"features": of(1.02), "logits": {1, 0},
	}
	for name, p := range want {
		if plan.Params[name] != p {
			t.Errorf("%s: have %+v, want %+v", name, plan.Params[name], p)
		}
	}
	if len(plan.Params) != len(want) || len(plan.Factors) != 0 {
		t.Errorf("have %d values and factors %v, want %d and none", len(plan.Params), plan.Factors, len(want))
	}
	if p := plan.Params["b_reduce"]; math.Abs(float64(p.Scale)-0.1) > 1e-7 || p.ZeroPoint != -128 {
		t.Errorf("b_reduce: have %+v, want a tenth from -128 up", p)
	}
}

// TestChooseMeans gives the means of layers, of concatenations, and of pools that were looked at; those of others aren't known.
func TestChooseMeans(t *testing.T) {
	g := ops("conv L2 data", "pool M conv", "a L pool", "b L2 pool", "output C a b", "last M output", "features A last", "logits F features")
	seen := map[string]*Seen{
		"conv": seenOf(2, []float32{1, 10}, []float32{3, 30}), "pool": seenOf(2, []float32{2, 20}, []float32{4, 40}),
		"a": seenOf(1, []float32{5}), "b": seenOf(2, []float32{6, 7}), "features": seenOf(3, []float32{1, 1, 1}), "logits": seenOf(1, []float32{1}),
	}
	plan, err := Choose(g, seen, Params{1, 0}, plain)
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string][]float64{"data": nil, "conv": {2, 20}, "pool": {3, 30}, "a": {5}, "b": {6, 7}, "output": {5, 6, 7},
		"last": nil, "features": {1, 1, 1}} {
		have := plan.Means[value]
		if len(have) != len(want) {
			t.Errorf("%s: have means %v, want %v", value, have, want)
			continue
		}
		for c := range want {
			if math.Abs(have[c]/want[c]-1) > 0.01 { // half a bin
				t.Errorf("%s: have means %v, want %v", value, have, want)
			}
		}
	}
	if m := plan.InputMeans(g.Op("a")); !slices.Equal(m, plan.Means["pool"]) {
		t.Errorf("a reads the means %v, want those of the pool", m)
	}
	if m := plan.InputMeans(g.Op("conv")); m != nil {
		t.Errorf("conv reads the means %v, want none", m)
	}
	plan.Factors["pool"] = []float64{0.5, 0.25}
	if m, want := plan.InputMeans(g.Op("a")), plan.Means["pool"]; m[0] != 2*want[0] || m[1] != 4*want[1] {
		t.Errorf("a reads the means %v, want %v divided by 0.5 and 0.25", m, want)
	}
}

func TestChooseErrors(t *testing.T) {
	one := seenOf(1, []float32{-1, 1})
	for _, test := range []struct {
		name string
		g    *graph.Graph
		seen map[string]*Seen
		want string
	}{
		{"not seen", ops("a L data", "b L a"), map[string]*Seen{"a": one}, "nothing was seen of b"},
		{"NaN", ops("a L data"), map[string]*Seen{"a": seenOf(1, []float32{nan})}, "want a finite range of a, have NaN to 0"},
		{"NaN among others", ops("a L data"), map[string]*Seen{"a": seenOf(1, []float32{1}, []float32{nan, 2}, []float32{-3})},
			"want a finite range of a, have NaN to 2"},
		{"infinite", ops("a L data"), map[string]*Seen{"a": seenOf(1, []float32{inf})}, "want a finite range of a, have 0 to +Inf"},
		{"infinite below", ops("a L data"), map[string]*Seen{"a": seenOf(1, []float32{1}, []float32{-inf})}, "want a finite range of a, have -Inf to 1"},
		{"channels", ops("a L2 data"), map[string]*Seen{"a": one}, "want 2 channels of a, 1 were seen"},
		{"tied to the input", ops("a L data", "b C a data"), map[string]*Seen{"a": one}, "a would need the scale of the graph's input"},
		{"tied to the input, which comes first", ops("a L data", "b C data a"), map[string]*Seen{"a": one},
			"a would need the scale of the graph's input"},
		{"tied to the input through others", ops("p P data", "a L p", "m M a", "b C m p"), map[string]*Seen{"a": one},
			"a would need the scale of the graph's input"},
		{"from nowhere", ops("a L data", "b M c"), map[string]*Seen{"a": one}, "b reads c, which nothing computes"},
		{"a layer from nowhere", ops("a L data", "b L c"), map[string]*Seen{"a": one, "b": one}, "b reads c, which nothing computes"},
		{"from behind", ops("a L b", "b L data"), map[string]*Seen{"a": one, "b": one}, "a reads b, which nothing computes"},
	} {
		plan, err := Choose(test.g, test.seen, Params{1, 0}, Options{})
		if err == nil || plan != nil || !strings.HasPrefix(err.Error(), "choose ranges: "+test.want) {
			t.Errorf("%s: %v, error %v, want %q", test.name, plan, err, test.want)
		}
	}
}

// TestChooseFloat leaves layers float: what only they read gets no parameters.
func TestChooseFloat(t *testing.T) {
	g := ops(small...)
	r := rand.New(rand.NewPCG(23, 24))
	float := map[string]bool{"conv": true, "pool1": true, "norm": true, "features": true, "logits": true}
	seen := map[string]*Seen{}
	for _, op := range g.Ops {
		if op.Computes() && op.Name != "conv" { // a float convolution need not have been seen
			seen[op.Name] = seenOf(op.Channels, spread(r, 0, 8*op.Channels), spread(r, 0, 8*op.Channels))
		}
	}
	for _, alphas := range [][]float64{nil, {0}, {1}} {
		plan, err := Choose(g, seen, Params{1, 0}, Options{Float: float, Alphas: alphas})
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range g.Ops {
			// The norm's values are read by int8 layers.
			want := !float[op.Name] || op.Name == "norm"
			if p, ok := plan.Params[op.Name]; ok != want {
				t.Errorf("alphas %v: %s has parameters %v: %t, want %t", alphas, op.Name, p, ok, want)
			}
		}
		if (plan.Factors["features"] != nil) != (plan.Factors["pool3"] != nil) {
			t.Errorf("alphas %v: the features have factors %v, what they average %v", alphas, plan.Factors["features"], plan.Factors["pool3"])
		}
	}
}

// TestChooseProperties checks on random graphs what TensorFlow Lite asks for, that all that was seen of each layer is held, and that
// without equalization the ranges are the plain ones.
func TestChooseProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	input := Params{Scale: 0.5, ZeroPoint: 3}
	for range 60 {
		g := randomNetwork(r)
		seen := observe(r, g, 3)
		for _, o := range []Options{{}, plain, {PlainFeatures: true}, {Alphas: []float64{1}}} {
			plan, err := Choose(g, seen, input, o)
			if err != nil {
				t.Fatal(err)
			}
			if plan.Params[graph.Input] != input || len(plan.Params) != len(g.Ops)+1 {
				t.Fatalf("input %+v, %d values of %d operators", plan.Params[graph.Input], len(plan.Params), len(g.Ops))
			}
			checkTies(t, g, plan)
			checkHeld(t, g, seen, plan)
			if o.Alphas != nil && o.Alphas[0] == 0 {
				if len(plan.Factors) > 0 {
					t.Fatalf("without equalization there are factors: %v", plan.Factors)
				}
				checkPlain(t, g, seen, plan)
			}
			if o.PlainFeatures && plan.Factors[graph.Features] != nil {
				t.Fatalf("the features have factors %v, want none", plan.Factors[graph.Features])
			}
		}
	}
}

// checkTies holds the plan to the same parameters and factors on both sides of operators that only pass values on.
func checkTies(t *testing.T, g *graph.Graph, plan *Plan) {
	t.Helper()
	for i := range g.Ops {
		op := &g.Ops[i]
		if op.Computes() {
			continue
		}
		var factors []float64
		for _, in := range op.Inputs {
			if plan.Params[in] != plan.Params[op.Name] {
				t.Fatalf("%s %s has %+v, its input %s %+v", op.Kind, op.Name, plan.Params[op.Name], in, plan.Params[in])
			}
			factors = append(factors, plan.Factors[in]...)
		}
		if !slices.Equal(factors, plan.Factors[op.Name]) {
			t.Fatalf("%s %s has the factors %v, its inputs %v", op.Kind, op.Name, plan.Factors[op.Name], factors)
		}
	}
}

// checkHeld tests that no channel's largest value is beyond what its parameters and factor hold, and what factors there are.
func checkHeld(t *testing.T, g *graph.Graph, seen map[string]*Seen, plan *Plan) {
	t.Helper()
	largest := map[Params]float64{}
	for i := range g.Ops {
		op := &g.Ops[i]
		factors, p := plan.Factors[op.Name], plan.Params[op.Name]
		low, high := bounds(p)
		if op.Kind == graph.FullyConnected || op.Kind == graph.LRN {
			if factors != nil || op.Kind == graph.LRN && plan.Factors[op.Inputs[0]] != nil {
				t.Fatalf("%s %s has the factors %v, and what it reads %v, want none", op.Kind, op.Name, factors, plan.Factors[op.Inputs[0]])
			}
		}
		for c := range op.Channels {
			f := 1.0
			if factors != nil {
				f = factors[c]
			}
			if !(f > 0 && f <= 1) || factors != nil && len(factors) != op.Channels {
				t.Fatalf("%s has the factors %v for %d channels, want each above 0 and at most 1", op.Name, factors, op.Channels)
			}
			if op.Kind != graph.Mean {
				largest[p] = max(largest[p], f)
			}
			if !op.Computes() {
				continue
			}
			top := max(seen[op.Name].halves[0].tops[c], seen[op.Name].halves[1].tops[c])
			if slack := (0.5 + 1e-4) * float64(p.Scale); float64(top)/f > high+slack {
				t.Fatalf("%s channel %d: %g was seen, which is %g after division; int8 holds %g", op.Name, c, top, float64(top)/f, high)
			}
		}
		if l, _ := seen[op.Name].Bounds(); op.Computes() && l < low-float64(p.Scale) {
			t.Fatalf("%s: %g was seen, int8 holds %g and more", op.Name, l, low)
		}
	}
	for p, f := range largest {
		if f != 1 {
			t.Fatalf("the largest factor of values with %+v is %g, want 1", p, f)
		}
	}
}

// checkPlain compares the parameters of each layer with the range that was seen of all layers with the same.
func checkPlain(t *testing.T, g *graph.Graph, seen map[string]*Seen, plan *Plan) {
	t.Helper()
	low, high := map[Params]float64{}, map[Params]float64{}
	for i := range g.Ops {
		if op := &g.Ops[i]; op.Computes() {
			p := plan.Params[op.Name]
			l, h := seen[op.Name].Bounds()
			low[p], high[p] = min(low[p], l), max(high[p], h)
		}
	}
	for p := range low {
		if want := Activation(low[p], high[p]); p != want {
			t.Fatalf("values of [%g, %g] have %+v, want %+v", low[p], high[p], p, want)
		}
	}
}
