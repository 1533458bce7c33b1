package tflite

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sightd/inference"
	"sightd/inference/tflite/faulty"
	"sightd/inference/tflite/malloctest"
	"sightd/models"
	"sightd/preprocess"
)

// openDefault opens the embedded model.
func openDefault(t testing.TB, opts inference.Options) *Classifier {
	t.Helper()
	data, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	c, err := OpenBytes(data, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// run makes the function that inference.Prove wants.
func run(c *Classifier) func(scores []float32, pixels []byte) error {
	in := preprocess.Input{Height: c.Spec().Input.Shape[1], Width: c.Spec().Input.Shape[2], Type: c.Spec().Input.Type}
	return func(scores []float32, pixels []byte) error {
		if err := in.Fill(c.Input(), pixels); err != nil {
			return err
		}
		if err := c.Invoke(); err != nil {
			return err
		}
		return c.Output(0, scores)
	}
}

func TestSpec(t *testing.T) {
	c := openDefault(t, inference.Options{})
	spec := c.Spec()
	in := spec.Input
	if in.Type != inference.Int8 || !slices.Equal(in.Shape, []int{1, 160, 160, 3}) || in.ZeroPoint != -1 ||
		math.Abs(float64(in.Scale)-1/127.5) > 1e-9 {
		t.Errorf("input: got %s, want INT8 [1,160,160,3] scale 1/127.5 zero point -1", in)
	}
	if len(c.Input()) != in.ByteSize() {
		t.Errorf("input memory: got %d bytes, want %d", len(c.Input()), in.ByteSize())
	}
	var shapes []string
	for _, o := range spec.Outputs {
		shapes = append(shapes, o.String())
	}
	if got, want := strings.Join(shapes, "; "), "FLOAT32 [1,10]; FLOAT32 [1,1024]"; got != want {
		t.Errorf("outputs: got %s, want %s", got, want)
	}
}

func TestDelegates(t *testing.T) {
	_, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	goldens, err := card.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		ask     inference.Delegate
		threads int
		want    inference.Delegate
		taken   int
	}{
		{inference.Auto, 0, inference.XNNPACK, 88},
		{"", 1, inference.XNNPACK, 88},
		{inference.XNNPACK, 3, inference.XNNPACK, 88},
		{inference.CPU, 2, inference.CPU, 0},
	} {
		t.Run(fmt.Sprintf("%s/%d", test.ask, test.threads), func(t *testing.T) {
			c := openDefault(t, inference.Options{Delegate: test.ask, Threads: test.threads})
			d := c.Delegation()
			if d.Delegate != test.want || d.Total != 88 || d.Taken != test.taken || d.Reason != "" {
				t.Errorf("delegation: got %+v, want %s with %d of 88 nodes", d, test.want, test.taken)
			}
			if test.want == inference.XNNPACK && len(d.Rest) != 0 {
				t.Errorf("left to built-in kernels: %v", d.Rest)
			}
			if test.threads > 0 && c.Threads() != test.threads {
				t.Errorf("threads: got %d, want %d", c.Threads(), test.threads)
			}
			if _, err := inference.Prove(goldens, card.Golden.Tolerance, run(c)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSwappedChannels shows that the golden inputs notice what they are there for.
func TestSwappedChannels(t *testing.T) {
	_, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	goldens, err := card.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range goldens {
		for i := 0; i < len(g.Pixels); i += 3 {
			g.Pixels[i], g.Pixels[i+2] = g.Pixels[i+2], g.Pixels[i]
		}
	}
	_, err = inference.Prove(goldens, card.Golden.Tolerance, run(openDefault(t, inference.Options{})))
	if err == nil {
		t.Error("golden inputs with red and blue exchanged pass, want an error")
	}
}

func TestOpenErrors(t *testing.T) {
	data, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(data)
	for i := 8; i < 64; i++ {
		damaged[i] = 0xff
	}
	for _, test := range []struct {
		name string
		data []byte
		opts inference.Options
		want string
	}{
		{"empty", nil, inference.Options{}, "not a TensorFlow Lite model"},
		{"other file", []byte("\xff\xd8\xff\xe0 not a model"), inference.Options{}, "not a TensorFlow Lite model"},
		{"cut", data[:1000], inference.Options{}, "not a TensorFlow Lite model: the library's verifier refused it"},
		{"damaged", damaged, inference.Options{}, "not a TensorFlow Lite model: the library's verifier refused it"},
		{"GPU", data, inference.Options{Delegate: inference.GPU}, "delegate gpu: LiteRT runs it"},
		{"delegate", data, inference.Options{Delegate: "tpu"}, `delegate: want auto, cpu, xnnpack, xnnpack-fp16, gpu or external:/path.so, have "tpu"`},
		{"threads", data, inference.Options{Threads: 65}, "threads: want 0 (chosen by sightd) to 64, have 65"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := OpenBytes(test.data, test.opts)
			if err == nil {
				c.Close() // the test has failed anyway
				t.Fatal("got a classifier, want an error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %q, want one with %q", err, test.want)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none.tflite"), inference.Options{}); err == nil || !strings.Contains(err.Error(), "none.tflite") {
		t.Errorf("open a missing file: got error %v, want one with its name", err)
	}
}

// TestNoLeak opens and closes the model 100 times, on the built-in kernels, with XNNPACK without and with a weight cache, and with an
// external delegate: nothing of C's heap stays in use, no mapping of the model, no descriptor, no goroutine. It runs in a process of its
// own without malloc's caches for each thread, whose content counts as in use.
func TestNoLeak(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates in C")
	}
	const uncached = "glibc.malloc.tcache_count=0"
	if os.Getenv("GLIBC_TUNABLES") != uncached {
		child := exec.Command(os.Args[0], "-test.run=^TestNoLeak$", "-test.v")
		child.Env = append(os.Environ(), "GLIBC_TUNABLES="+uncached)
		if output, err := child.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
		return
	}
	data, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	options := []inference.Options{
		{Delegate: inference.XNNPACK, Threads: 2},
		{Delegate: inference.CPU, Threads: 2},
		{Delegate: inference.XNNPACK, Threads: 2, WeightCache: filepath.Join(t.TempDir(), "weights")},
		{Delegate: inference.External + inference.Delegate(faulty.Build(t)), Threads: 2},
	}
	cycle := func(n int) {
		for i := range n {
			c, err := OpenBytes(data, options[i%len(options)])
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Invoke(); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cycle(10)
	mappings(t) // Go's poller takes two descriptors when the first file is read
	memory, files, goroutines := malloctest.InUse(), descriptors(t), runtime.NumGoroutine()
	cycle(100)
	const allowed = 32 << 10 // a thread that starts meanwhile takes some, once
	if grown := malloctest.InUse() - memory; grown > allowed {
		t.Errorf("C's heap grew by %d bytes over 100 openings, want %d at most", grown, allowed)
	} else {
		t.Logf("C's heap grew by %d bytes over 100 openings", grown)
	}
	if n := mappings(t); n > 0 {
		t.Errorf("the model is still mapped %d times", n)
	}
	if now := descriptors(t); now != files {
		t.Errorf("descriptors: %d before, %d after", files, now)
	}
	if now := runtime.NumGoroutine(); now != goroutines {
		t.Errorf("goroutines: %d before, %d after", goroutines, now)
	}
}

// mappings counts the places where a model, or weights, are in memory.
func mappings(t *testing.T) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(maps), "memfd:")
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func BenchmarkInvoke(b *testing.B) {
	for _, delegate := range []inference.Delegate{inference.XNNPACK, inference.CPU} {
		b.Run(string(delegate), func(b *testing.B) {
			c := openDefault(b, inference.Options{Delegate: delegate})
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Invoke(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// defaultModel gives the embedded model's file.
func defaultModel(t testing.TB) []byte {
	t.Helper()
	data, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	return data
}
