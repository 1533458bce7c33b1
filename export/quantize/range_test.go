package quantize

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"sightd/export/graph"
)

func TestInclude(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, test := range []struct {
		name   string
		values [][]float32
		want   Range
	}{
		{"nothing", nil, Range{}},
		{"no values", [][]float32{{}}, Range{}},
		{"0 belongs to a positive range", [][]float32{{3, 5, 4}}, Range{0, 5}},
		{"0 belongs to a negative range", [][]float32{{-3, -5, -4}}, Range{-5, 0}},
		{"first and last count", [][]float32{{-7, 1, 9}}, Range{-7, 9}},
		{"it only widens", [][]float32{{-2, 8}, {-1, 1}, {-3}, {2}}, Range{-3, 8}},
		{"a value far from the others", [][]float32{{1, 1, 0x1p100}}, Range{0, 0x1p100}},
		{"infinite", [][]float32{{-inf, inf}}, Range{math.Inf(-1), math.Inf(1)}},
	} {
		var have Range
		for _, values := range test.values {
			have.Include(values)
		}
		if have != test.want {
			t.Errorf("%s: have %v, want %v", test.name, have, test.want)
		}
	}
	exact := Range{-0.1, 0.1} // which no float32 equals
	if exact.Include([]float32{0}); exact != (Range{-0.1, 0.1}) {
		t.Errorf("a range of float64 became %v", exact)
	}
	var r Range
	r.Include([]float32{1, float32(math.NaN()), 2})
	r.Include([]float32{-1, 3})
	if !math.IsNaN(r.Low) || !math.IsNaN(r.High) {
		t.Errorf("after a NaN: have %v, want it to stay", r)
	}
}

// ops makes operators of lines "name kind input…", with L for a layer, C for CONCATENATION, M for MAX_POOL_2D and P for PAD.
func ops(lines ...string) *graph.Graph {
	kinds := map[string]graph.Kind{"L": graph.Conv, "C": graph.Concat, "M": graph.MaxPool, "P": graph.Pad}
	g := &graph.Graph{}
	for _, line := range lines {
		f := strings.Fields(line)
		g.Ops = append(g.Ops, graph.Op{Name: f[0], Kind: kinds[f[1]], Inputs: f[2:]})
	}
	return g
}

// TestActivations has the shapes of GoogLeNet: a padded input, a module whose branches and pool share one range, a layer
// alone.
func TestActivations(t *testing.T) {
	g := ops("pad P data", "conv L pad", "pool M conv", "a L pool", "b_reduce L pool", "b L b_reduce", "inner M pool", "c L inner",
		"output C a b c", "last M output")
	g.Ops = append(g.Ops,
		graph.Op{Name: "features", Kind: graph.Mean, Inputs: []string{"last"}},
		graph.Op{Name: "logits", Kind: graph.FullyConnected, Inputs: []string{"features"}})
	seen := map[string]*Range{
		"conv": {0, 2.55}, "a": {0, 5.1}, "b_reduce": {0, 25.5}, "b": {0, 10.2}, "c": {0, 7.65}, "features": {0, 1.02}, "logits": {-12.8, 12.7},
	}
	input := Params{Scale: 1 / 127.5, ZeroPoint: -1}
	have, err := Activations(g, seen, input)
	if err != nil {
		t.Fatal(err)
	}
	of := func(step float64) Params { return Params{float32(step), -128} }
	want := map[string]Params{
		"data": input, "pad": input, "conv": Activation(0, 2.55), "pool": Activation(0, 2.55), "inner": Activation(0, 2.55),
		"b_reduce": of(0.1), "a": of(0.04), "b": of(0.04), "c": of(0.04), "output": of(0.04), "last": of(0.04),
		"features": of(0.004), "logits": {0.1, 0},
	}
	for name, p := range want {
		if have[name] != p {
			t.Errorf("%s: have %+v, want %+v", name, have[name], p)
		}
	}
	if len(have) != len(want) {
		t.Errorf("have %d values, want %d", len(have), len(want))
	}
	if *seen["a"] != (Range{0, 5.1}) {
		t.Errorf("the range of a became %v", *seen["a"])
	}
}

func TestActivationsErrors(t *testing.T) {
	finite := &Range{-1, 1}
	for _, test := range []struct {
		name string
		g    *graph.Graph
		seen map[string]*Range
		want string
	}{
		{"not seen", ops("a L data", "b L a"), map[string]*Range{"a": finite}, "nothing was seen of b"},
		{"NaN", ops("a L data"), map[string]*Range{"a": {math.NaN(), math.NaN()}}, "want a finite range of a, have NaN to NaN"},
		{"infinite", ops("a L data"), map[string]*Range{"a": {0, math.Inf(1)}}, "want a finite range of a, have 0 to +Inf"},
		{"tied to the input", ops("a L data", "b C a data"), map[string]*Range{"a": finite}, "a would need the scale of the graph's input"},
		{"tied to the input, which comes first", ops("a L data", "b C data a"), map[string]*Range{"a": finite},
			"a would need the scale of the graph's input"},
		{"tied to the input through others", ops("p P data", "a L p", "m M a", "b C m p"), map[string]*Range{"a": finite},
			"a would need the scale of the graph's input"},
		{"from nowhere", ops("a L data", "b M c"), map[string]*Range{"a": finite}, "b comes from no layer and not from the input"},
	} {
		params, err := Activations(test.g, test.seen, Params{1, 0})
		if err == nil || params != nil || err.Error() != "choose ranges: "+test.want {
			t.Errorf("%s: %v, error %v, want %q", test.name, params, err, test.want)
		}
	}
}

// randomGraph gives a graph whose concatenations read no value that is tied to the input, and the range of each layer.
func randomGraph(r *rand.Rand) (*graph.Graph, map[string]*Range) {
	g, seen := &graph.Graph{}, map[string]*Range{}
	all, computed := []string{graph.Input}, []string{} // the values; those that come from a layer
	kinds := []graph.Kind{graph.Conv, graph.Conv, graph.FullyConnected, graph.Mean, graph.MaxPool, graph.Pad, graph.Concat}
	for i := range 1 + r.IntN(30) {
		op := graph.Op{Name: fmt.Sprint("op", i), Kind: kinds[r.IntN(len(kinds))]}
		in := all[r.IntN(len(all))]
		if op.Kind == graph.Concat && len(computed) == 0 {
			op.Kind = graph.Conv
		}
		ofLayer := false
		switch op.Kind {
		case graph.Concat:
			for range 1 + r.IntN(4) {
				op.Inputs = append(op.Inputs, computed[r.IntN(len(computed))])
			}
			ofLayer = true
		case graph.MaxPool, graph.Pad:
			op.Inputs = []string{in}
			for _, v := range computed {
				ofLayer = ofLayer || v == in
			}
		default:
			op.Inputs = []string{in}
			low := 10 * r.NormFloat64()
			seen[op.Name] = &Range{low, low + 10*r.Float64()}
			ofLayer = true
		}
		if all = append(all, op.Name); ofLayer {
			computed = append(computed, op.Name)
		}
		g.Ops = append(g.Ops, op)
	}
	return g, seen
}

// TestActivationsProperties checks on random graphs what TensorFlow Lite asks for, that each layer's range is held, and that
// no group is wider than a range that some layer of it has.
func TestActivationsProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	input := Params{Scale: 0.5, ZeroPoint: 3}
	for range 2000 {
		g, seen := randomGraph(r)
		params, err := Activations(g, seen, input)
		if err != nil {
			t.Fatal(err)
		}
		if params[graph.Input] != input || len(params) != len(g.Ops)+1 {
			t.Fatalf("input %+v, %d values of %d operators", params[graph.Input], len(params), len(g.Ops))
		}
		low, high := map[Params]float64{}, map[Params]float64{}
		for _, op := range g.Ops {
			p := params[op.Name]
			switch op.Kind {
			case graph.Concat, graph.MaxPool, graph.Pad:
				for _, in := range op.Inputs {
					if params[in] != p {
						t.Fatalf("%s %s has %+v, its input %s %+v", op.Kind, op.Name, p, in, params[in])
					}
				}
			default:
				low[p], high[p] = min(low[p], seen[op.Name].Low), max(high[p], seen[op.Name].High)
			}
		}
		for p := range low {
			if want := Activation(low[p], high[p]); p != want {
				t.Fatalf("values of [%g, %g] have %+v, want %+v", low[p], high[p], p, want)
			}
		}
	}
}

func BenchmarkInclude(b *testing.B) {
	values := make([]float32, 112*112*64) // conv1's output at 224
	r := rand.New(rand.NewPCG(9, 10))
	for i := range values {
		values[i] = r.Float32()
	}
	var seen Range
	b.SetBytes(int64(4 * len(values)))
	b.ReportAllocs()
	for b.Loop() {
		seen.Include(values)
	}
}
