package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// views is a state dict with every kind of layout that is read. Each tensor's storage counts up from -3.
func views() checkpoint {
	c := checkpoint{storages: make(map[string][]byte), tensors: []savedTensor{
		{name: "contiguous", key: "0", class: "FloatStorage", shape: []int64{2, 3}, stride: []int64{3, 1}},
		{name: "channels_last", key: "1", class: "FloatStorage", shape: []int64{2, 3, 4, 4}, stride: []int64{48, 1, 12, 3}},
		{name: "transposed", key: "2", class: "FloatStorage", shape: []int64{3, 5}, stride: []int64{1, 3}},
		{name: "offset", key: "2", class: "FloatStorage", offset: 7, shape: []int64{2, 2}, stride: []int64{4, 2}},
		{name: "shared", key: "2", class: "FloatStorage", offset: 11, shape: []int64{4}, stride: []int64{1}},
		{name: "expanded", key: "2", class: "FloatStorage", offset: 1, shape: []int64{3, 2}, stride: []int64{0, 1}},
		{name: "ones", key: "2", class: "FloatStorage", offset: 14, shape: []int64{1, 1, 1}, stride: []int64{900, 1, 70}},
		{name: "scalar", key: "3", class: "FloatStorage", offset: 4},
		{name: "empty", key: "4", class: "FloatStorage", shape: []int64{4, 0}, stride: []int64{1, 1}},
		{name: "double", key: "5", class: "DoubleStorage", shape: []int64{2, 2}, stride: []int64{1, 2}},
		{name: "half", key: "6", class: "HalfStorage", offset: 1, shape: []int64{2, 2}, stride: []int64{1, 2}},
		{name: "bfloat16", key: "7", class: "BFloat16Storage", shape: []int64{3, 2}, stride: []int64{1, 3}},
		{name: "untyped", key: "8", class: "UntypedStorage", offset: 1, shape: []int64{2}, stride: []int64{2}, rebuild: "v3"},
		{name: "parameter", key: "0", class: "FloatStorage", shape: []int64{3, 2}, stride: []int64{1, 3}, rebuild: "parameter"},
		{name: "v1", key: "0", class: "FloatStorage", offset: 2, shape: []int64{2}, stride: []int64{3}, rebuild: "v1"},
	}}
	for key, n := range map[string]int{"0": 6, "1": 96, "2": 15, "3": 5, "4": 0, "5": 4, "6": 5, "7": 6, "8": 4} {
		i := slices.IndexFunc(c.tensors, func(t savedTensor) bool { return t.key == key })
		c.storages[key] = counting(c.tensors[i].class, n)
	}
	return c
}

// expected computes a tensor of views from the definition of strides.
func expected(t savedTensor) []float32 {
	at := []int64{t.offset}
	for d, n := range t.shape {
		var next []int64
		for _, base := range at {
			for i := range n {
				next = append(next, base+i*t.stride[d])
			}
		}
		at = next
	}
	out := make([]float32, len(at))
	for i, n := range at {
		out[i] = float32(n - 3)
	}
	return out
}

func readBytes(data []byte) (*Set, error) {
	return read(bytes.NewReader(data), int64(len(data)))
}

func mustRead(t *testing.T, data []byte) *Set {
	t.Helper()
	set, err := readBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestViews(t *testing.T) {
	c := views()
	old := views() // what Python 2 could save
	old.python2 = true
	old.tensors = slices.DeleteFunc(old.tensors, func(s savedTensor) bool { return s.rebuild == "v3" || s.rebuild == "parameter" })
	delete(old.storages, "8")
	for _, file := range []struct {
		name, format string
		c            checkpoint
		data         []byte
	}{
		{"zip", formatZip, c, saveZip(t, c, nil)},
		{"legacy", formatLegacy, c, saveLegacy(c)},
		{"python 2", formatLegacy, old, saveLegacy(old)},
	} {
		set := mustRead(t, file.data)
		if set.Format != file.format {
			t.Errorf("%s: format %q, want %q", file.name, set.Format, file.format)
		}
		if sum := sha256.Sum256(file.data); set.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: SHA-256 %s, want %x", file.name, set.SHA256, sum)
		}
		if n := len(set.Names()); n != len(file.c.tensors) {
			t.Errorf("%s: %d tensors, want %d", file.name, n, len(file.c.tensors))
		}
		for _, want := range file.c.tensors {
			have, err := set.Tensor(want.name)
			if err != nil {
				t.Errorf("%s: %v", file.name, err)
				continue
			}
			if fmt.Sprint(have.Shape) != fmt.Sprint(want.shape) || !slices.Equal(have.Data, expected(want)) {
				t.Errorf("%s: %s is %v %v, want %v %v", file.name, want.name, have.Shape, have.Data, want.shape, expected(want))
			}
		}
	}
}

// one is a state dict with one tensor of the given name.
func one(name string) checkpoint {
	return checkpoint{
		tensors:  []savedTensor{{name: name, key: "0", class: "FloatStorage", shape: []int64{3}, stride: []int64{1}}},
		storages: map[string][]byte{"0": counting("FloatStorage", 3)},
	}
}

func TestWrappedStateDicts(t *testing.T) {
	for _, wrapper := range []string{"", "state_dict", "model", "model_state_dict"} {
		for _, name := range []string{"fc.bias", "module.fc.bias", "_orig_mod.fc.bias", "module._orig_mod.fc.bias"} {
			c := one(name)
			c.wrapper = wrapper
			for format, data := range map[string][]byte{formatZip: saveZip(t, c, nil), formatLegacy: saveLegacy(c)} {
				set, err := readBytes(data)
				if err != nil {
					t.Errorf("%s under %q, %s: %v", name, wrapper, format, err)
					continue
				}
				if names := set.Names(); !slices.Equal(names, []string{"fc.bias"}) {
					t.Errorf("%s under %q, %s: names are %v, want fc.bias", name, wrapper, format, names)
				}
			}
		}
	}
	c := one("module.fc.bias")
	c.tensors = append(c.tensors, savedTensor{name: "scale", key: "0", class: "FloatStorage"})
	if names := mustRead(t, saveZip(t, c, nil)).Names(); !slices.Equal(names, []string{"module.fc.bias", "scale"}) {
		t.Errorf("a prefix that not every name has: names are %v, want them as in the file", names)
	}
}

func TestTensorErrors(t *testing.T) {
	c := checkpoint{
		tensors:  []savedTensor{{name: "bn.num_batches_tracked", key: "0", class: "LongStorage"}},
		storages: map[string][]byte{"0": counting("LongStorage", 1)},
	}
	set := mustRead(t, saveZip(t, c, nil))
	if shape, ok := set.Shape("bn.num_batches_tracked"); !ok || len(shape) != 0 {
		t.Errorf("shape is %v, %v, want [] and true", shape, ok)
	}
	if _, ok := set.Shape("bn.weight"); ok {
		t.Error("a tensor that isn't there has a shape")
	}
	for name, want := range map[string]string{
		"bn.num_batches_tracked": "its type is int64, want float32",
		"bn.weight":              "no such tensor",
	} {
		if _, err := set.Tensor(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("Tensor(%q): error %v, want one with %q", name, err, want)
		}
	}
}

// TestOpen reads a file, and what is none.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "weights.bin") // no extension that says anything
	if err := os.WriteFile(path, saveLegacy(one("fc.bias")), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if set.Path != path {
		t.Errorf("path is %q, want %q", set.Path, path)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	if _, err := set.Tensor("fc.bias"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Tensor of a closed set: error %v, want one with the path", err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "none.pth")} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open(%q): error %v, want one with the path", path, err)
		}
	}
}

// TestCutOff cuts a file of every format at every byte.
func TestCutOff(t *testing.T) {
	small := one("fc.bias")
	for format, data := range map[string][]byte{
		formatZip:         saveZip(t, small, nil),
		formatLegacy:      saveLegacy(small),
		formatSafetensors: safetensors(`{"fc.bias":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}`, 12),
		formatCaffe:       oneLayer(),
	} {
		if _, err := readBytes(data); err != nil {
			t.Errorf("%s, whole: %v", format, err)
		}
		for n := range data {
			if _, err := readBytes(data[:n]); err == nil {
				t.Errorf("%s, the first %d of %d bytes: no error", format, n, len(data))
			}
		}
	}
}

// TestFloat16 converts every float16 and compares it with the definition.
func TestFloat16(t *testing.T) {
	for h := range 1 << 16 {
		exponent, fraction := h>>10&0x1f, float64(h&0x3ff)
		var want float64
		switch {
		case exponent == 0x1f && fraction != 0:
			want = math.NaN()
		case exponent == 0x1f:
			want = math.Inf(1)
		case exponent == 0:
			want = math.Ldexp(fraction, -24)
		default:
			want = math.Ldexp(1024+fraction, exponent-25)
		}
		if h>>15 == 1 {
			want = math.Copysign(want, -1)
		}
		have := float64(fromFloat16(uint16(h)))
		if have != want && !(math.IsNaN(have) && math.IsNaN(want)) || math.Signbit(have) != math.Signbit(want) {
			t.Fatalf("float16 %#04x is %v, want %v", h, have, want)
		}
	}
}

// sharedFile gives the path of a file with real weights, which lies beside the repository, or skips the test.
func sharedFile(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for root := dir; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			path := filepath.Join(root, "..", "shared", "weights", name)
			if _, err = os.Stat(path); err == nil {
				return path
			}
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skipf("the real weights are not beside the repository: %v", err)
		}
		if root == filepath.Dir(root) {
			t.Fatalf("no go.mod above %s", dir)
		}
	}
}

func openShared(t testing.TB, name string) *Set {
	t.Helper()
	set, err := Open(sharedFile(t, name))
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

// TestRealFiles compares the .pth, whose tensors have channels_last strides, with the .safetensors of the same weights.
func TestRealFiles(t *testing.T) {
	torch, safe := openShared(t, "googlenet_imagenette.pth"), openShared(t, "googlenet_imagenette.safetensors")
	if len(torch.Names()) != 364 || len(safe.Names()) != len(googLeNet()) {
		t.Errorf("%d and %d tensors, want 364 and %d", len(torch.Names()), len(safe.Names()), len(googLeNet()))
	}
	for _, name := range safe.Names() {
		a, err := torch.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := safe.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		same := slices.EqualFunc(a.Data, b.Data, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
		if !slices.Equal(a.Shape, b.Shape) || !same {
			t.Errorf("%s differs between .pth and .safetensors", name)
		}
	}
	if torch.layouts["conv1.conv.weight"].contiguous() {
		t.Error("conv1.conv.weight of the .pth is contiguous: the comparison says nothing on strides")
	}
}

// TestHostileMemory opens files that claim much, and measures what that takes.
func TestHostileMemory(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector changes allocations")
	}
	objects := newPickler()
	for i := range maxSteps {
		objects.ops("}")
		objects.puts = 1<<20 + i
		objects.memo()
	}
	tuples := newPickler()
	tuples.ops(")q\x00")
	for range maxSteps {
		tuples.ops("h\x00\x85q\x00") // a tuple around the last one
	}
	lists := newPickler() // OrderedDicts of one long list, again and again
	lists.ops("ccollections\nOrderedDict\nq\x01](")
	for range 1000 {
		lists.ops("](NNe")
	}
	lists.ops("e\x85q\x02")
	for range 100_000 {
		lists.ops("h\x01h\x02R")
	}
	huge := one("fc.bias")
	huge.tensors[0].shape, huge.tensors[0].stride = []int64{1 << 28, 1 << 28}, []int64{0, 0}
	for name, data := range map[string][]byte{
		"objects":     writeZip(t, "a/", []zipEntry{{name: "data.pkl", data: objects.Bytes()}}),
		"tuples":      writeZip(t, "a/", []zipEntry{{name: "data.pkl", data: tuples.Bytes()}}),
		"lists":       writeZip(t, "a/", []zipEntry{{name: "data.pkl", data: lists.Bytes()}}),
		"shape":       saveZip(t, huge, nil),
		"entries":     writeZip(t, "a/", slices.Repeat([]zipEntry{{name: "data.pkl"}}, 60_000)),
		"descriptors": safetensors(`{"a":{"shape":[`+strings.Repeat("1,", maxHeader/2-100)+`1]}}`, 0),
		"layers":      manyLayers(),
		"names":       manyNames(),
		"blobs":       manyBlobs(),
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, err := readBytes(data)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		taken := int64(after.TotalAlloc-before.TotalAlloc) >> 20
		t.Logf("%s: %d MiB for a file of %d KiB: %v", name, taken, len(data)>>10, err)
		if taken > 200 {
			t.Errorf("%s: %d MiB were allocated, want at most 200", name, taken)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, name := range []string{"googlenet_imagenette.pth", "googlenet_imagenette.safetensors", "bvlc_googlenet.caffemodel"} {
		b.Run(filepath.Ext(name), func(b *testing.B) {
			path := sharedFile(b, name)
			b.ReportAllocs()
			for b.Loop() {
				set, err := Open(path)
				if err != nil {
					b.Fatal(err)
				}
				if err := set.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	set := openShared(b, "googlenet_imagenette.pth")
	want := googLeNet()
	b.ReportAllocs()
	for b.Loop() {
		if err := set.Check(want, auxiliary); err != nil {
			b.Fatal(err)
		}
	}
}
