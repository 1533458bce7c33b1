// Package contract tests what every inference.Classifier promises. The tests of an implementation call Run.
package contract

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"sightd/inference"
)

// Implementation is what is tested.
type Implementation struct {
	Name string

	// Open opens a model that is in memory. What it gives with an error isn't looked at.
	Open func(data []byte, opts inference.Options) (inference.Classifier, error)

	// Delegates are tried one by one with a network of int8 and one of floats.
	Delegates []inference.Delegate

	// Takes, if there is one, says whether a delegate is to be tried with networks of floats (true) or of int8 (false).
	Takes func(d inference.Delegate, floats bool) bool

	// NoNaN lists the delegates that may lose what is no number on its way from the weights to the output, as GPUs do.
	NoNaN []inference.Delegate
}

// Run tests every promise with every delegate.
func Run(t *testing.T, i Implementation) {
	for _, delegate := range i.Delegates {
		for _, n := range networks(t) {
			if i.Takes != nil && !i.Takes(delegate, n.name == "float") {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s/%s", i.Name, name(delegate), n.name), func(t *testing.T) {
				s := suite{i, inference.Options{Delegate: delegate, Threads: 2}, n}
				t.Run("spec", s.spec)
				t.Run("invoke", s.invoke)
				t.Run("two at once", s.two)
				t.Run("output errors", s.outputErrors)
				t.Run("no number", s.noNumber)
				t.Run("close", s.close)
				t.Run("no allocation", s.noAllocation)
				t.Run("no leak", s.noLeak)
				t.Run("broken models", s.broken)
			})
		}
	}
}

// name names a delegate for a test: the path of an external one has no place there.
func name(d inference.Delegate) string {
	if d.IsExternal() {
		return "external"
	}
	return string(d)
}

type suite struct {
	Implementation
	opts    inference.Options
	network network
}

// open opens a model and closes it when the test ends.
func (s suite) open(t *testing.T, data []byte) inference.Classifier {
	t.Helper()
	c, err := s.Open(data, s.opts)
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

// fill writes a picture to the input: another one for each seed.
func fill(c inference.Classifier, seed int) {
	in := c.Input()
	if c.Spec().Input.Type == inference.Float32 {
		values := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(in))), len(in)/4)
		for i := range values {
			values[i] = float32((i*seed+i/7)%255)/127.5 - 1
		}
		return
	}
	for i := range in {
		in[i] = byte(i*seed + i/7)
	}
}

// scores runs the network and gives output 0.
func scores(t *testing.T, c inference.Classifier) []float32 {
	t.Helper()
	if err := c.Invoke(); err != nil {
		t.Fatal(err)
	}
	got := make([]float32, c.Spec().NumClasses())
	if err := c.Output(0, got); err != nil {
		t.Fatal(err)
	}
	return got
}

// spec: the model is a classifier of pictures, and the delegation adds up.
func (s suite) spec(t *testing.T) {
	c := s.open(t, s.network.data)
	spec := c.Spec()
	in := spec.Input
	if len(in.Shape) != 4 || in.Shape[0] != 1 || in.Shape[1] < 1 || in.Shape[2] < 1 || in.Shape[3] != 3 {
		t.Errorf("input: have shape %v, want [1 height width 3]", in.Shape)
	}
	if len(c.Input()) != in.ByteSize() || in.ByteSize() < 1 {
		t.Errorf("input: have %d bytes of memory, want %d for %s", len(c.Input()), in.ByteSize(), in)
	}
	if spec.NumClasses() < 2 {
		t.Errorf("have %d classes, want 2 at least", spec.NumClasses())
	}
	for i, tensor := range append([]inference.TensorSpec{in}, spec.Outputs...) {
		if quantized := tensor.Type == inference.Int8 || tensor.Type == inference.UInt8; quantized != (tensor.Scale > 0) {
			t.Errorf("tensor %d: have %s with scale %g, want a scale where it is quantized", i, tensor, tensor.Scale)
		}
	}
	d := c.Delegation()
	if asked := s.opts.Delegate; asked != inference.Auto && d.Delegate != asked || d.Delegate == inference.Auto || d.Delegate == "" {
		t.Errorf("delegation: have %q, want %q", d.Delegate, asked)
	}
	if d.Total < 1 || d.Taken > d.Total || d.Taken < 0 && d.Taken != inference.Unknown {
		t.Errorf("delegation: have %d of %d nodes", d.Taken, d.Total)
	}
	if d.Delegate == inference.CPU != (d.Taken == 0) {
		t.Errorf("delegation: %s took %d nodes", d.Delegate, d.Taken)
	}
	if d.Taken >= 0 && len(d.Rest) != d.Total-d.Taken {
		t.Errorf("delegation: have %d of %d nodes, and the rest is %d: %v", d.Taken, d.Total, len(d.Rest), d.Rest)
	}
	if c.Threads() != s.opts.Threads {
		t.Errorf("threads: have %d, want %d", c.Threads(), s.opts.Threads)
	}
}

// invoke: the input stays where and as it is, the same picture gets the same scores, another one others, on whichever thread.
func (s suite) invoke(t *testing.T) {
	c := s.open(t, s.network.data)
	memory := unsafe.SliceData(c.Input())
	fill(c, 3)
	before := slices.Clone(c.Input())
	first := scores(t, c)
	if !slices.Equal(c.Input(), before) {
		t.Error("Invoke changes the input")
	}
	if again := scores(t, c); !slices.Equal(again, first) {
		t.Errorf("the same input again: have %v, want %v", again, first)
	}
	fill(c, 5)
	if other := scores(t, c); slices.Equal(other, first) {
		t.Errorf("another picture has the same scores: %v", other)
	}
	fill(c, 3)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		done <- c.Invoke()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, o := range c.Spec().Outputs {
		values := make([]float32, o.NumElements())
		if err := c.Output(i, values); err != nil {
			t.Error(err)
		}
		if i == 0 && !slices.Equal(values, first) {
			t.Errorf("on another thread: have %v, want %v", values, first)
		}
	}
	if unsafe.SliceData(c.Input()) != memory || len(c.Input()) != len(before) {
		t.Error("the input's memory moved")
	}
}

// two: an opened model doesn't disturb another.
func (s suite) two(t *testing.T) {
	a := s.open(t, s.network.data)
	fill(a, 3)
	want := scores(t, a)
	b := s.open(t, s.network.data)
	fill(b, 5)
	other := scores(t, b)
	if have := scores(t, a); !slices.Equal(have, want) {
		t.Errorf("beside another: have %v, want %v", have, want)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if have := scores(t, b); !slices.Equal(have, other) {
		t.Errorf("after the other was closed: have %v, want %v", have, other)
	}
}

func (s suite) outputErrors(t *testing.T) {
	c := s.open(t, s.network.data)
	fill(c, 3)
	n := len(scores(t, c))
	for _, test := range []struct{ output, room int }{
		{-1, n}, {len(c.Spec().Outputs), n}, {0, 0}, {0, n - 1}, {0, n + 1},
	} {
		if err := c.Output(test.output, make([]float32, test.room)); err == nil {
			t.Errorf("output %d into %d values: want an error", test.output, test.room)
		} else if errors.Is(err, inference.ErrNotANumber) {
			t.Errorf("output %d into %d values: have %v, want one of its own", test.output, test.room, err)
		}
	}
}

func (s suite) noNumber(t *testing.T) {
	if slices.Contains(s.NoNaN, s.opts.Delegate) {
		t.Skip("the delegate may lose a NaN")
	}
	if s.network.name != "float" {
		t.Skip("a network of int8 knows no NaN")
	}
	c := s.open(t, floats(t, float32(math.NaN())))
	fill(c, 3)
	if err := c.Invoke(); err != nil {
		t.Fatal(err)
	}
	if err := c.Output(0, make([]float32, c.Spec().NumClasses())); !errors.Is(err, inference.ErrNotANumber) {
		t.Errorf("have error %v, want inference.ErrNotANumber", err)
	}
}

// close: a closed model is an error, never a crash.
func (s suite) close(t *testing.T) {
	c := s.open(t, s.network.data)
	fill(c, 3)
	n := len(scores(t, c))
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Invoke(); err == nil {
			t.Error("Invoke of a closed model: want an error")
		}
		if err := c.Output(0, make([]float32, n)); err == nil {
			t.Error("Output of a closed model: want an error")
		}
	}
}

func (s suite) noAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c := s.open(t, s.network.data)
	fill(c, 3)
	values := scores(t, c)
	got := testing.AllocsPerRun(10, func() {
		if err := c.Invoke(); err != nil {
			t.Error(err)
		}
		if err := c.Output(0, values); err != nil {
			t.Error(err)
		}
	})
	if got != 0 {
		t.Errorf("Invoke and Output allocate %g times on the Go heap, want 0", got)
	}
}

// noLeak: opening and closing many times leaves no goroutine and no descriptor.
func (s suite) noLeak(t *testing.T) {
	cycle := func(n int) {
		for range n {
			c, err := s.Open(s.network.data, s.opts)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Invoke(); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cycle(2)
	descriptors(t) // Go's poller takes two descriptors when the first folder is read
	files, goroutines := descriptors(t), runtime.NumGoroutine()
	cycle(50)
	if now := descriptors(t); now > files {
		t.Errorf("descriptors: %d before, %d after 50 openings", files, now)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("goroutines: %d before, %d after 50 openings", goroutines, now)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func (s suite) broken(t *testing.T) {
	for name, data := range broken(s.network.data) {
		if c, err := s.Open(data, s.opts); err == nil {
			t.Errorf("%s: opened, want an error", name)
			c.Close() // the test has failed anyway
		}
	}
}
