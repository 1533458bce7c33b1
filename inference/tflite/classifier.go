// Package tflite runs a classifier with TensorFlow Lite through go-tflite: on the built-in kernels, with the XNNPACK delegate, or with
// a delegate out of a shared library. It reads what the model wants and gives from its file, and frees everything that it took from C.
//
// It prepares no picture and knows no label. A Classifier is used by one goroutine at a time; several Classifiers may
// run side by side.
package tflite

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"github.com/mattn/go-tflite"
	"golang.org/x/sys/unix"

	"sightd/inference"
)

// Classifier is an opened model, an inference.Classifier. It must be closed.
type Classifier struct {
	model       *tflite.Model
	interpreter *tflite.Interpreter
	owned       []deleter // what must be deleted after the interpreter, in this order

	log        *errorLog
	spec       inference.Spec
	delegation inference.Delegation
	threads    int
	cache      CacheUse
	cacheErr   error

	input   []byte   // the input tensor's memory, in C
	outputs [][]byte // the output tensors' memory, in C
}

type deleter interface{ Delete() }

var _ inference.Classifier = (*Classifier)(nil)

// MaxThreads bounds what Options.Threads may ask for.
const MaxThreads = 64

// Open opens the .tflite file at path.
func Open(path string, opts inference.Options) (*Classifier, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	c, err := OpenBytes(data, opts)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", path, err)
	}
	return c, nil
}

// OpenBytes opens a .tflite file that is in memory, with any delegate but the GPU, which package litert runs. The bytes are copied into
// a file without a name, which the library maps: go-tflite's NewModel would keep a copy for ever. The error names no file.
func OpenBytes(data []byte, opts inference.Options) (*Classifier, error) {
	return openWith(load, data, opts)
}

// OpenConstant is OpenBytes of a file that lies where the program has its constants, as an embedded one does: it isn't copied.
func OpenConstant(data []byte, opts inference.Options) (*Classifier, error) {
	return openWith(point, data, opts)
}

func openWith(load func([]byte) (*tflite.Model, error), data []byte, opts inference.Options) (*Classifier, error) {
	if opts.Threads < 0 || opts.Threads > MaxThreads {
		return nil, fmt.Errorf("threads: want 0 (chosen by sightd) to %d, have %d", MaxThreads, opts.Threads)
	}
	if len(data) < 8 || string(data[4:8]) != "TFL3" {
		return nil, errors.New("not a TensorFlow Lite model: want \"TFL3\" at byte 4")
	}
	model, err := load(data)
	if err != nil {
		return nil, err
	}
	c := &Classifier{model: model, threads: Threads(opts.Threads)}
	if err := c.build(data, opts); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Threads is how many threads run a network for Options.Threads: for 0 as many as there are cores, at most 4, since a network of this size
// gains nothing from more.
func Threads(n int) int {
	if n > 0 {
		return n
	}
	return min(runtime.NumCPU(), 4)
}

// load makes a model of the bytes. The library's verifier has walked the flatbuffer when it returns.
func load(data []byte) (*tflite.Model, error) {
	fd, err := unix.MemfdCreate("model.tflite", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create a file in memory for the model: %w", err)
	}
	f := os.NewFile(uintptr(fd), "model.tflite")
	defer f.Close() // the library has mapped it; nothing was buffered
	if _, err := f.Write(data); err != nil {
		return nil, fmt.Errorf("write %d bytes of model to memory: %w", len(data), err)
	}
	model := tflite.NewModelFromFile("/proc/self/fd/" + strconv.Itoa(fd))
	if model == nil {
		return nil, errors.New("not a TensorFlow Lite model: the library's verifier refused it")
	}
	return model, nil
}

// Spec describes the model's tensors.
func (c *Classifier) Spec() inference.Spec { return c.spec }

// Delegation says what runs the graph.
func (c *Classifier) Delegation() inference.Delegation { return c.delegation }

// Threads is the number of threads that the graph runs on.
func (c *Classifier) Threads() int { return c.threads }

// WeightCache says what became of Options.WeightCache, and why where it wasn't of use: the model runs without it.
func (c *Classifier) WeightCache() (CacheUse, error) { return c.cache, c.cacheErr }

// Input is the memory of the input tensor, Spec().Input.ByteSize() bytes in NHWC order, to be filled before Invoke. It is
// memory of C: it must not be used after Close.
func (c *Classifier) Input() []byte { return c.input }

// Invoke runs the network on what Input holds. It allocates nothing on the Go heap.
func (c *Classifier) Invoke() error {
	if c.interpreter == nil {
		return errors.New("invoke: the classifier is closed")
	}
	if s := c.interpreter.Invoke(); s != tflite.OK {
		return fmt.Errorf("invoke: status %d: %s", int(s), c.log.take())
	}
	return nil
}

// Output writes output i of the last Invoke to dst as real values: (q - zero point) * scale where it is quantized. dst must have
// exactly that output's number of elements. It allocates nothing, and refuses values that are no numbers.
func (c *Classifier) Output(i int, dst []float32) error { return c.spec.ReadOutput(i, c.outputs, dst) }

// Floats gives output i of the last Invoke, which must be of type FLOAT32, where it lies: memory of C, which the next Invoke
// overwrites, and which must not be used after Close. Values may be no numbers.
func (c *Classifier) Floats(i int) ([]float32, error) {
	if i < 0 || i >= len(c.outputs) {
		return nil, fmt.Errorf("read output %d: the model has %d", i, len(c.outputs))
	}
	if t := c.spec.Outputs[i].Type; t != inference.Float32 {
		return nil, fmt.Errorf("read output %d: want type FLOAT32, have %s", i, t)
	}
	return asFloats(c.outputs[i]), nil
}

// deleteInterpreter frees the interpreter and what it used, in that order.
func (c *Classifier) deleteInterpreter() {
	if c.interpreter != nil {
		c.interpreter.Delete()
	}
	for _, d := range c.owned {
		d.Delete()
	}
	c.interpreter, c.owned, c.log, c.input, c.outputs = nil, nil, nil, nil, nil
}

// Close frees everything. It may be called more than once.
func (c *Classifier) Close() error {
	c.deleteInterpreter()
	if c.model != nil {
		c.model.Delete()
	}
	c.model = nil
	return nil
}
