package quantize

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sightd/export/graph"
	"sightd/export/weights"
)

// googLeNet gives GoogLeNet for 10 classes at 96 pixels with random weights, and made-up sights of all its values.
func googLeNet(t testing.TB, a graph.Architecture) (*graph.Graph, map[string]*Seen) {
	t.Helper()
	r := rand.New(rand.NewPCG(37, 38))
	header, size := map[string]any{}, 0
	for _, w := range a.Wants() {
		n, shape := 4, slices.Clone(w.Shape)
		for i := range shape {
			if shape[i] == weights.Classes {
				shape[i] = 10
			}
			n *= shape[i]
		}
		header[w.Name] = map[string]any{"dtype": "F32", "shape": shape, "data_offsets": []int{size, size + n}}
		size += n
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	for range size / 4 {
		file = binary.LittleEndian.AppendUint32(file, math.Float32bits(r.Float32()))
	}
	path := filepath.Join(t.TempDir(), "weights.safetensors")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	set, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close() // it was only read
	g, err := graph.GoogLeNet(set, 96)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]*Seen{}
	for _, op := range g.Ops {
		if op.Computes() || op.Kind == graph.MaxPool {
			seen[op.Name] = seenOf(op.Channels, spread(r, 0, 16*op.Channels), spread(r, 1, 16*op.Channels))
		}
	}
	return g, seen
}

// TestGoogLeNet counts the different ranges of the whole network: one for each reduction, module, convolution and norm outside modules, and for
// input, features and logits.
func TestGoogLeNet(t *testing.T) {
	if raceEnabled {
		t.Skip("writing and reading the weights takes long with the race detector")
	}
	for a, want := range map[graph.Architecture]int{graph.Torchvision: 3 + 9*3 + 3, graph.BVLC: 3 + 2 + 9*3 + 3} {
		g, seen := googLeNet(t, a)
		order, _, _ := groups(g)
		if len(order) != want {
			t.Errorf("%s: %d groups, want %d", a, len(order), want)
		}
		plan := choose(t, g, seen, Options{})
		checkTies(t, g, plan)
		for i := range g.Ops {
			if _, ok := plan.Params[g.Ops[i].Name]; !ok {
				t.Errorf("%s: %s has no parameters", a, g.Ops[i].Name)
			}
			if op := &g.Ops[i]; op.Kind == graph.Conv && op.Name != graph.FirstConv && len(plan.InputMeans(op)) == 0 {
				t.Errorf("%s: the means that %s reads aren't known", a, op.Name)
			}
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	for _, a := range []graph.Architecture{graph.Torchvision, graph.BVLC} {
		b.Run(string(a), func(b *testing.B) {
			g, seen := googLeNet(b, a)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Choose(g, seen, inputParams, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	g, seen := googLeNet(b, graph.Torchvision)
	plan, err := Choose(g, seen, inputParams, Options{Alphas: []float64{1}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		plan.Apply(g)
	}
}
