package tflite

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sightd/export/tflitefile"
	"sightd/inference"
)

// openCached opens the embedded model with a weight cache, and gives the scores of a picture and what became of the cache.
func openCached(t *testing.T, path string, threads int) ([]float32, CacheUse) {
	t.Helper()
	c := openDefault(t, inference.Options{Delegate: inference.XNNPACK, Threads: threads, WeightCache: path})
	use, err := c.WeightCache()
	if (err != nil) != (use == CacheUnused) {
		t.Errorf("weight cache: %s, %v", use, err)
	}
	scores := answerOf(t, c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	return scores, use
}

func TestWeightCache(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "weights")
	honest := answerOf(t, openDefault(t, inference.Options{Delegate: inference.XNNPACK, Threads: 2}))
	for i, want := range []CacheUse{CacheWritten, CacheRead, CacheRead} {
		if scores, use := openCached(t, path, []int{2, 1, 4}[i]); use != want || !slices.Equal(scores, honest) {
			t.Errorf("opening %d: have %s, want %s; scores %v, want %v", i+1, use, want, scores, honest)
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 2 {
		t.Errorf("have files %v, %v, want the weights and their stamp", entries, err)
	}
}

// TestWeightCacheDamage shows that a file that isn't what was written is never handed to XNNPACK, which would take it or abort.
func TestWeightCacheDamage(t *testing.T) {
	folder := t.TempDir()
	good, foreign := filepath.Join(folder, "good"), filepath.Join(folder, "foreign")
	honest, _ := openCached(t, good, 2)
	other, err := OpenBytes(halfModel(t, tflitefile.Float32), inference.Options{Delegate: inference.XNNPACK, WeightCache: foreign})
	if err != nil {
		t.Fatal(err)
	}
	if use, err := other.WeightCache(); use != CacheWritten {
		t.Errorf("the other model's cache: %s, %v", use, err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	weights, stamp := read(t, good), read(t, good+stampName)
	flipped := func(at int) []byte {
		b := slices.Clone(weights)
		b[at] ^= 0x40
		return b
	}
	for _, test := range []struct {
		name           string
		weights, stamp []byte // nil: there is no such file
	}{
		{"no weights", nil, stamp},
		{"no stamp", weights, nil},
		{"empty weights", []byte{}, stamp},
		{"empty stamp", weights, []byte{}},
		{"cut weights", weights[:len(weights)/2], stamp},
		{"cut stamp", weights, stamp[:len(stamp)-3]},
		{"longer weights", append(slices.Clone(weights), 0), stamp},
		{"a bit of the header", flipped(9), stamp},
		{"a bit of a weight", flipped(len(weights) / 2), stamp},
		{"a bit of the list", flipped(len(weights) - 300), stamp},
		{"noise", bytes.Repeat([]byte("noise"), len(weights)/5), stamp},
		{"another model's weights", read(t, foreign), stamp},
		{"another model's", read(t, foreign), read(t, foreign+stampName)},
		{"another library's", weights, bytes.Replace(stamp, []byte("tflite "+Version()), []byte("tflite 2.19.0"), 1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "weights")
			for name, content := range map[string][]byte{path: test.weights, path + stampName: test.stamp} {
				if content == nil {
					continue
				}
				if err := os.WriteFile(name, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, want := range []CacheUse{CacheWritten, CacheRead} {
				if scores, use := openCached(t, path, 2); use != want || !slices.Equal(scores, honest) {
					t.Errorf("have %s, want %s; scores %v, want %v", use, want, scores, honest)
				}
			}
			if !bytes.Equal(read(t, path), weights) {
				t.Error("the file isn't written as it was before")
			}
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestWeightCacheUnused shows that what can't be kept is no obstacle, and that it is said why.
func TestWeightCacheUnused(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "weights")
	if err := os.Mkdir(filepath.Join(folder, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	emulateHalf(t)
	for _, test := range []struct {
		name, path string
		delegate   inference.Delegate
		model      []byte
		want       string // a part of why not, "" for nothing
	}{
		{"none asked for", "", inference.XNNPACK, defaultModel(t), ""},
		{"another delegate", path, inference.CPU, defaultModel(t), ""},
		{"no folder", filepath.Join(folder, "none", "weights"), inference.XNNPACK, defaultModel(t), "no such file or directory"},
		{"a folder", filepath.Join(folder, "folder"), inference.XNNPACK, defaultModel(t), "write weight cache: rename"},
		{"auto", filepath.Join(folder, "none", "weights"), inference.Auto, defaultModel(t), "no such file or directory"},
		{"weights of 16 bits", path, inference.XNNPACK, halfModel(t, tflitefile.Float16), "a graph with the operator DEQUANTIZE"},
		{"computed with 16 bits", path, inference.XNNPACKFP16, halfModel(t, tflitefile.Float32), "XNNPACK can't keep the weights"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.delegate == inference.XNNPACKFP16 && !nativeHalf {
				t.Skip("this processor doesn't compute with 16-bit floats")
			}
			c, err := OpenBytes(test.model, inference.Options{Delegate: test.delegate, WeightCache: test.path})
			if err != nil {
				t.Fatal(err)
			}
			use, why := c.WeightCache()
			if use != CacheUnused || (why == nil) != (test.want == "") || why != nil && !strings.Contains(why.Error(), test.want) {
				t.Errorf("have %s, %v, want %q", use, why, test.want)
			}
			if err := c.Invoke(); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(folder, "*.new")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestWeightCacheFull shows that a full disk costs the file alone.
func TestWeightCacheFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weights")
	w, err := openWeightCache(path, inference.XNNPACK, defaultModel(t))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Delete()
	if _, err := w.file.Write(make([]byte, 1<<16)); err != nil {
		t.Fatal(err)
	}
	if err := discard(w.target); err != nil {
		t.Fatal(err)
	}
	if w.target, err = os.OpenFile("/dev/full", os.O_WRONLY, 0); err != nil {
		t.Fatal(err)
	}
	err = w.save()
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("have error %v, want a full disk's", err)
	}
	w.target.Close() // it is no file that Delete may remove
	w.target = nil
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is there: %v", err)
	}
}

func TestRemoveLeftovers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weights")
	old, fresh := path+".123.new", path+".456.new"
	for _, name := range []string{path, old, fresh} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{path, old} {
		if err := os.Chtimes(name, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	removeLeftovers(path)
	for name, want := range map[string]bool{path: true, old: false, fresh: true} {
		if _, err := os.Stat(name); (err == nil) != want {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
	}
}

func TestProcessorSum(t *testing.T) {
	const board = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd\nCPU part\t: 0xd08\n"
	sum := processorSum(board)
	if processorSum(strings.Replace(board, "108.00", "54.00", 1)) != sum {
		t.Error("the clock makes another processor")
	}
	for _, other := range []string{"", strings.Replace(board, "0xd08", "0xd0b", 1), strings.Replace(board, "fp asimd", "fp asimd asimdhp", 1)} {
		if processorSum(other) == sum {
			t.Errorf("the same processor as %q: %q", board, other)
		}
	}
}

// halfModel is a network of floats, CONV_2D, MEAN and SOFTMAX, whose weights are stored as given: FLOAT16, with a DEQUANTIZE, or
// FLOAT32.
func halfModel(t testing.TB, stored tflitefile.TensorType) []byte {
	t.Helper()
	const classes = 4
	one := func(name string, shape ...int) tflitefile.Tensor {
		return tflitefile.Tensor{Name: name, Type: tflitefile.Float32, Shape: shape}
	}
	weights := tflitefile.Tensor{Name: "weights", Type: stored, Shape: []int{classes, 1, 1, 3}}
	weights.Data = bytes.Repeat([]byte{0, 0x3c}, classes*3*stored.Size()/2) // ones of 16 bits, and something of 32
	m := tflitefile.Model{
		Tensors: []tflitefile.Tensor{
			one("input", 1, 8, 8, 3), weights,
			{Name: "bias", Type: tflitefile.Float32, Shape: []int{classes}, Data: make([]byte, 4*classes)},
			one("conv", 1, 8, 8, classes),
			{Name: "axes", Type: tflitefile.Int32, Shape: []int{2}, Data: []byte{1, 0, 0, 0, 2, 0, 0, 0}},
			one("mean", 1, classes), one("scores", 1, classes),
		},
		Operators: []tflitefile.Operator{
			{Code: tflitefile.OpConv2D, Inputs: []int{0, 1, 2}, Outputs: []int{3}, Options: tflitefile.Conv2DOptions{
				Padding: tflitefile.PaddingSame, StrideW: 1, StrideH: 1, DilationW: 1, DilationH: 1}},
			{Code: tflitefile.OpMean, Inputs: []int{3, 4}, Outputs: []int{5}, Options: tflitefile.ReducerOptions{}},
			{Code: tflitefile.OpSoftmax, Inputs: []int{5}, Outputs: []int{6}, Options: tflitefile.SoftmaxOptions{Beta: 1}},
		},
		Inputs: []int{0}, Outputs: []int{6},
	}
	if stored == tflitefile.Float16 {
		m.Tensors = append(m.Tensors, one("weights32", classes, 1, 1, 3))
		m.Operators[0].Inputs = []int{0, 7, 2}
		m.Operators = slices.Insert(m.Operators, 0, tflitefile.Operator{Code: tflitefile.OpDequantize, Inputs: []int{1}, Outputs: []int{7},
			Options: tflitefile.DequantizeOptions{}})
	}
	data, err := m.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// BenchmarkOpen is what a start costs, without and with a weight cache.
func BenchmarkOpen(b *testing.B) {
	data, path := defaultModel(b), filepath.Join(b.TempDir(), "weights")
	for name, cache := range map[string]string{"plain": "", "cached": path} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c, err := OpenBytes(data, inference.Options{Delegate: inference.XNNPACK, WeightCache: cache})
				if err != nil {
					b.Fatal(err)
				}
				if err := c.Invoke(); err != nil {
					b.Fatal(err)
				}
				if err := c.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
