// Package tflite runs a classifier with TensorFlow Lite through go-tflite: on the built-in kernels, or with the XNNPACK
// delegate. It reads what the model wants and gives from its file, and frees everything that it took from C.
//
// It prepares no picture and knows no label. A Classifier is used by one goroutine at a time; several Classifiers may
// run side by side.
package tflite

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"github.com/mattn/go-tflite"
	"golang.org/x/sys/unix"

	"sightd/inference"
)

// Classifier is an opened model. It must be closed.
type Classifier struct {
	model       *tflite.Model
	interpreter *tflite.Interpreter
	owned       []deleter // what must be deleted after the interpreter, in this order

	log        *errorLog
	spec       inference.Spec
	delegation inference.Delegation
	threads    int

	input   []byte   // the input tensor's memory, in C
	outputs [][]byte // the output tensors' memory, in C
}

type deleter interface{ Delete() }

// maxThreads bounds what Options.Threads may ask for.
const maxThreads = 64

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

// OpenBytes opens a .tflite file that is in memory. The bytes are copied into a file without a name, which the library
// maps: go-tflite's NewModel would keep a copy for ever. The error names no file.
func OpenBytes(data []byte, opts inference.Options) (*Classifier, error) {
	if opts.Threads < 0 || opts.Threads > maxThreads {
		return nil, fmt.Errorf("threads: want 0 (chosen by sightd) to %d, have %d", maxThreads, opts.Threads)
	}
	model, err := load(data)
	if err != nil {
		return nil, err
	}
	c := &Classifier{model: model, threads: numThreads(opts.Threads)}
	if err := c.build(opts.Delegate); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// numThreads replaces 0 by the number of cores, at most 4: a network of this size gains nothing from more.
func numThreads(n int) int {
	if n > 0 {
		return n
	}
	return min(runtime.NumCPU(), 4)
}

// load makes a model of the bytes. The library's verifier has walked the flatbuffer when it returns.
func load(data []byte) (*tflite.Model, error) {
	if len(data) < 8 || string(data[4:8]) != "TFL3" {
		return nil, errors.New("not a TensorFlow Lite model: want \"TFL3\" at byte 4")
	}
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

// build makes the interpreter with the delegate that is asked for. For Auto, a model that XNNPACK can't prepare runs on
// the built-in kernels, and the delegation says why.
func (c *Classifier) build(want inference.Delegate) error {
	switch want {
	case inference.CPU:
		return c.interpret(inference.CPU)
	case inference.XNNPACK:
		return c.interpret(inference.XNNPACK)
	case inference.Auto, "":
		err := c.interpret(inference.XNNPACK)
		if err == nil {
			return nil
		}
		c.deleteInterpreter()
		if cpuErr := c.interpret(inference.CPU); cpuErr != nil {
			return errors.Join(err, cpuErr)
		}
		c.delegation.Reason = err.Error()
		return nil
	}
	return fmt.Errorf("delegate: want auto, cpu or xnnpack, have %q", want)
}

// interpret makes the interpreter, allocates its tensors and reads what they are.
func (c *Classifier) interpret(delegate inference.Delegate) error {
	options := tflite.NewInterpreterOptions()
	if options == nil {
		return errors.New("create interpreter options: the library gave none")
	}
	defer options.Delete()
	options.SetNumThread(c.threads)
	log, err := newErrorLog(options)
	if err != nil {
		return err
	}
	c.log = log
	c.owned = append(c.owned, log)

	before, err := newInspector()
	if err != nil {
		return err
	}
	c.owned = append(c.owned, before)
	options.AddDelegate(before)
	after := before
	if delegate == inference.XNNPACK {
		x, err := newXNNPACK(c.threads)
		if err != nil {
			return err
		}
		c.owned = append(c.owned, x)
		options.AddDelegate(x)
		if after, err = newInspector(); err != nil {
			return err
		}
		c.owned = append(c.owned, after)
		options.AddDelegate(after)
	}

	c.interpreter = tflite.NewInterpreter(c.model, options)
	if c.interpreter == nil {
		return fmt.Errorf("create the interpreter with delegate %s: %s", delegate, log.take())
	}
	if s := c.interpreter.AllocateTensors(); s != tflite.OK {
		return fmt.Errorf("allocate tensors with delegate %s: status %d: %s", delegate, int(s), log.take())
	}
	rest, numDelegated := after.builtin()
	c.delegation = inference.Delegation{
		Delegate: delegate,
		Total:    before.numNodes(),
		Taken:    before.numNodes() - len(rest),
		Rest:     rest,
	}
	if delegate == inference.XNNPACK && numDelegated == 0 {
		return errors.New("XNNPACK took no node of the graph")
	}
	return c.readTensors()
}

// readTensors fills spec, input and outputs, and refuses a model that isn't an image classifier.
func (c *Classifier) readTensors() error {
	if n := c.interpreter.GetInputTensorCount(); n != 1 {
		return fmt.Errorf("read inputs: want 1 input, the model has %d", n)
	}
	var err error
	if c.spec.Input, c.input, err = tensor(c.interpreter.GetInputTensor(0)); err != nil {
		return fmt.Errorf("read input: %w", err)
	}
	in := c.spec.Input
	if len(in.Shape) != 4 || in.Shape[0] != 1 || in.Shape[1] < 1 || in.Shape[2] < 1 || in.Shape[3] != 3 {
		return fmt.Errorf("read input: want one RGB picture [1 height width 3], the model wants %v", in.Shape)
	}
	n := c.interpreter.GetOutputTensorCount()
	if n < 1 {
		return errors.New("read outputs: the model has none")
	}
	c.spec.Outputs, c.outputs = nil, nil
	for i := range n {
		spec, memory, err := tensor(c.interpreter.GetOutputTensor(i))
		if err != nil {
			return fmt.Errorf("read output %d: %w", i, err)
		}
		c.spec.Outputs = append(c.spec.Outputs, spec)
		c.outputs = append(c.outputs, memory)
	}
	out := c.spec.Outputs[0]
	if out.NumElements() < 2 || out.Shape[len(out.Shape)-1] != out.NumElements() {
		return fmt.Errorf("read output 0: want scores [1 classes], the model gives %v", out.Shape)
	}
	return nil
}

// tensor reads what a tensor is and where its memory lies. The memory belongs to the interpreter.
func tensor(t *tflite.Tensor) (inference.TensorSpec, []byte, error) {
	if t == nil {
		return inference.TensorSpec{}, nil, errors.New("the library gave no tensor")
	}
	q := t.QuantizationParams()
	spec := inference.TensorSpec{
		Name:      t.Name(),
		Type:      elementType(t.Type()),
		Shape:     t.Shape(),
		Scale:     float32(q.Scale),
		ZeroPoint: q.ZeroPoint,
	}
	switch {
	case spec.Type == inference.UnknownType || spec.Type == inference.Int32:
		return spec, nil, fmt.Errorf("tensor %s: want FLOAT32, UINT8 or INT8, have type %d", spec.Name, int(t.Type()))
	case spec.Type != inference.Float32 && !(spec.Scale > 0):
		return spec, nil, fmt.Errorf("tensor %s: want a scale above 0, have %g", spec.Name, spec.Scale)
	case t.Data() == nil || len(spec.Shape) == 0 || int(t.ByteSize()) != spec.ByteSize():
		return spec, nil, fmt.Errorf("tensor %s: want %d bytes of memory for %s, have %d", spec.Name, spec.ByteSize(), spec, t.ByteSize())
	}
	return spec, unsafe.Slice((*byte)(t.Data()), spec.ByteSize()), nil
}

func elementType(t tflite.TensorType) inference.Type {
	switch t {
	case tflite.Float32:
		return inference.Float32
	case tflite.UInt8:
		return inference.UInt8
	case tflite.Int8:
		return inference.Int8
	case tflite.Int32:
		return inference.Int32
	}
	return inference.UnknownType
}

// Spec describes the model's tensors.
func (c *Classifier) Spec() inference.Spec { return c.spec }

// Delegation says what runs the graph.
func (c *Classifier) Delegation() inference.Delegation { return c.delegation }

// Threads is the number of threads that the graph runs on.
func (c *Classifier) Threads() int { return c.threads }

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

// Output writes output i of the last Invoke to dst as real values: (q - zero point) * scale where it is quantized. dst must
// have exactly that output's number of elements. It allocates nothing, and refuses values that are no numbers.
func (c *Classifier) Output(i int, dst []float32) error {
	if i < 0 || i >= len(c.outputs) {
		return fmt.Errorf("read output %d: the model has %d", i, len(c.outputs))
	}
	spec, memory := &c.spec.Outputs[i], c.outputs[i]
	if len(dst) != spec.NumElements() {
		return fmt.Errorf("read output %d: want room for %d values, have %d", i, spec.NumElements(), len(dst))
	}
	switch spec.Type {
	case inference.Float32:
		copy(dst, asFloats(memory))
	case inference.Int8:
		for j, q := range memory {
			dst[j] = float32(int(int8(q))-spec.ZeroPoint) * spec.Scale
		}
	case inference.UInt8:
		for j, q := range memory {
			dst[j] = float32(int(q)-spec.ZeroPoint) * spec.Scale
		}
	}
	for j, v := range dst {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("read output %d: value %d is %g", i, j, v)
		}
	}
	return nil
}

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

// asFloats gives the memory of a FLOAT32 tensor as its values.
func asFloats(memory []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory)/4)
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
