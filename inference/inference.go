// Package inference holds what every way to run a network has in common: the description of a model's tensors, the
// options to open it with, what a Classifier does, and the proof that it answers as it should. It runs nothing by itself: packages
// inference/tflite and inference/litert do. It knows no cameras and no labels.
package inference

import (
	"errors"
	"fmt"
	"strings"
)

// Type is the element type of a tensor.
type Type int

// The element types that sightd reads or writes. The numbers are sightd's own, not TensorFlow Lite's.
const (
	UnknownType Type = iota
	Float32
	UInt8
	Int8
	Int32
)

// String gives the type's name as TensorFlow Lite writes it.
func (t Type) String() string {
	switch t {
	case Float32:
		return "FLOAT32"
	case UInt8:
		return "UINT8"
	case Int8:
		return "INT8"
	case Int32:
		return "INT32"
	}
	return fmt.Sprintf("Type(%d)", int(t))
}

// Size is the number of bytes of one element, 0 for an unknown type.
func (t Type) Size() int {
	switch t {
	case Float32, Int32:
		return 4
	case UInt8, Int8:
		return 1
	}
	return 0
}

// TensorSpec describes one input or output tensor, as its file states it.
type TensorSpec struct {
	Name  string
	Type  Type
	Shape []int // NHWC for an input: [1, height, width, 3]

	// Scale and ZeroPoint give a quantized element its value: (q - ZeroPoint) * Scale. Scale is 0 where the tensor
	// isn't quantized.
	Scale     float32
	ZeroPoint int
}

// NumElements is the product of the shape: 1 for a tensor without dimensions.
func (s TensorSpec) NumElements() int {
	n := 1
	for _, d := range s.Shape {
		n *= d
	}
	return n
}

// ByteSize is the number of bytes that the tensor takes.
func (s TensorSpec) ByteSize() int { return s.NumElements() * s.Type.Size() }

// String gives type, shape and quantization on one line.
func (s TensorSpec) String() string {
	dims := make([]string, len(s.Shape))
	for i, d := range s.Shape {
		dims[i] = fmt.Sprint(d)
	}
	text := fmt.Sprintf("%s [%s]", s.Type, strings.Join(dims, ","))
	if s.Scale != 0 {
		text += fmt.Sprintf(" scale %g zero point %d", s.Scale, s.ZeroPoint)
	}
	return text
}

// Spec describes a model: one input picture, the scores as output 0, and perhaps more outputs behind them.
type Spec struct {
	Input   TensorSpec
	Outputs []TensorSpec
}

// NumClasses is the number of scores of output 0, 0 for a model without outputs.
func (s Spec) NumClasses() int {
	if len(s.Outputs) == 0 {
		return 0
	}
	return s.Outputs[0].NumElements()
}

// Options say how to open a model.
type Options struct {
	Delegate Delegate // "" is Auto
	Threads  int      // 0: one for each core, at most 4

	// WeightCache is the path of a file in which XNNPACK finds the weights in the order in which its kernels read them, or leaves
	// them for the next time; "" is none. Its folder must exist. No other delegate looks at it.
	WeightCache string
}

// Classifier is an opened model. One goroutine at a time uses it, and it must be closed. Package inference/contract tests what an
// implementation promises.
type Classifier interface {
	Spec() Spec             // of the model's tensors
	Delegation() Delegation // what runs the graph
	Threads() int           // of the processor that the graph runs on

	// Input is the memory of the input tensor, Spec().Input.ByteSize() bytes in NHWC order, to be filled before Invoke. It is memory
	// of C: it must not be used after Close.
	Input() []byte

	// Invoke runs the network on what Input holds, which it leaves as it is. It allocates nothing on the Go heap.
	Invoke() error

	// Output writes output i of the last Invoke to dst as real values: (q - zero point) * scale where it is quantized. dst must have
	// exactly that output's number of elements. It allocates nothing. Values that are no numbers are an error that wraps
	// ErrNotANumber.
	Output(i int, dst []float32) error

	// Close frees everything. It may be called more than once.
	Close() error
}

// ErrNotANumber is the error of a network that puts out NaN or an infinity.
var ErrNotANumber = errors.New("the network puts out what is no number")

// Delegation says how much of the graph a delegate took.
type Delegation struct {
	Delegate Delegate // what runs the graph: never Auto
	Reason   string   // why it isn't what was asked for, "" where it is
	Total    int      // nodes of the graph as its file has them
	Taken    int      // how many of those the delegate took; Unknown: some, and its library doesn't tell how many
	Rest     []string // names of the operators that stayed with the processor's kernels, in order of execution, as far as they are known
}

// Unknown is the number of nodes that a delegate took where its library only tells that it didn't take all.
const Unknown = -1

// Partial reports whether a part of the graph stayed with the processor's kernels though a delegate was asked for.
func (d Delegation) Partial() bool { return d.Delegate != CPU && d.Taken != d.Total }

// rest lists the operators that were left, each kind once and with its number.
func (d Delegation) rest() string {
	var kinds []string
	number := map[string]int{}
	for _, name := range d.Rest {
		if number[name]++; number[name] == 1 {
			kinds = append(kinds, name)
		}
	}
	for i, name := range kinds {
		if number[name] > 1 {
			kinds[i] = fmt.Sprintf("%d %s", number[name], name)
		}
	}
	return strings.Join(kinds, ", ")
}

// String gives the delegation on one line.
func (d Delegation) String() string {
	text := fmt.Sprintf("%s, %d of %d nodes", d.Delegate, d.Taken, d.Total)
	if d.Taken == Unknown {
		text = fmt.Sprintf("%s, a part of %d nodes", d.Delegate, d.Total)
	}
	if d.Delegate == CPU {
		text = fmt.Sprintf("cpu, %d nodes", d.Total)
	}
	if len(d.Rest) > 0 && d.Delegate != CPU {
		text += " (left to the processor: " + d.rest() + ")"
	}
	if d.Reason != "" {
		text += "; " + d.Reason
	}
	return text
}
