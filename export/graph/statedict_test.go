package graph

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sightd/export/weights"
)

// stored is a tensor of a file that a test writes. Without data it is zeros.
type stored struct {
	name  string
	shape []int
	data  []float32
}

func (s *stored) size() int {
	n := 1
	for _, d := range s.shape {
		n *= d
	}
	return n
}

// tensorsOf gives the tensors that the architecture wants, all zeros.
func tensorsOf(a Architecture, classes int) []stored {
	var tensors []stored
	for _, w := range a.Wants() {
		shape := slices.Clone(w.Shape)
		for i := range shape {
			if shape[i] == weights.Classes {
				shape[i] = classes
			}
		}
		tensors = append(tensors, stored{name: w.Name, shape: shape})
	}
	return tensors
}

// find gives the tensor of that name.
func find(t testing.TB, tensors []stored, name string) *stored {
	t.Helper()
	i := slices.IndexFunc(tensors, func(s stored) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("no tensor %s", name)
	}
	return &tensors[i]
}

// open writes the tensors as a safetensors file, zeros as a hole, and opens it.
func open(t testing.TB, tensors []stored) *weights.Set {
	t.Helper()
	type entry struct {
		Type    string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header, end := map[string]entry{}, 0
	for _, s := range tensors {
		header[s.name] = entry{"F32", s.shape, [2]int{end, end + 4*s.size()}}
		end += 4 * s.size()
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "googlenet.safetensors")
	if err := os.WriteFile(path, append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(8+len(text)+end)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range tensors {
		if s.data == nil {
			continue
		}
		if _, err := f.Seek(int64(8+len(text)+header[s.name].Offsets[0]), 0); err != nil {
			t.Fatal(err)
		}
		w := bufio.NewWriter(f)
		if err := binary.Write(w, binary.LittleEndian, s.data); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return openFile(t, path)
}

// openFile opens a file of weights. It is closed with the test.
func openFile(t testing.TB, path string) *weights.Set {
	t.Helper()
	set, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return set
}

// builtKey says which graph empty has made.
type builtKey struct {
	a    Architecture
	size int
}

// built has the graphs that empty has made.
var built = map[builtKey]*Graph{}

// extras are tensors of each architecture that the exported network has no use for.
var extras = map[Architecture][]stored{
	Torchvision: {{name: "aux1.fc2.weight", shape: []int{9, 9}}, {name: "conv1.bn.num_batches_tracked", shape: []int{1}}},
	BVLC:        {{name: "loss1/classifier.weight", shape: []int{9, 9}}, {name: "loss2/fc.bias", shape: []int{9}}},
}

// empty gives the network for 10 classes whose weights are zeros, of a file that has tensors of the auxiliary heads too. The
// graph is shared by the tests.
func empty(t testing.TB, a Architecture, size int) *Graph {
	t.Helper()
	key := builtKey{a, size}
	if g := built[key]; g != nil {
		return g
	}
	g, err := GoogLeNet(open(t, append(tensorsOf(a, 10), extras[a]...)), size)
	if err != nil {
		t.Fatal(err)
	}
	if g.Architecture != a {
		t.Fatalf("recognized as %s, want %s", g.Architecture, a)
	}
	built[key] = g
	return g
}
