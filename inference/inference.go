// Package inference holds what every way to run a network has in common: the description of a model's tensors, the
// options to open it with, and the proof that it answers as it should. It runs nothing by itself: package
// inference/tflite does. It knows no cameras and no labels.
package inference

import (
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

// Delegate names what runs the graph.
type Delegate string

// The delegates that this version knows.
const (
	Auto    Delegate = "auto"    // XNNPACK where it can be had, else CPU
	CPU     Delegate = "cpu"     // TensorFlow Lite's built-in kernels
	XNNPACK Delegate = "xnnpack" // the XNNPACK delegate; an error where it can't be had
)

// Options say how to open a model.
type Options struct {
	Delegate Delegate // "" is Auto
	Threads  int      // 0: one for each core, at most 4
}

// Delegation says how much of the graph a delegate took.
type Delegation struct {
	Delegate Delegate // what runs the graph: CPU or XNNPACK
	Reason   string   // why it isn't what was asked for, "" where it is
	Total    int      // nodes of the graph as its file has them
	Taken    int      // how many of those the delegate took
	Rest     []string // names of the operators that stayed with the built-in kernels, in order of execution
}

// String gives the delegation on one line.
func (d Delegation) String() string {
	text := fmt.Sprintf("%s, %d of %d nodes", d.Delegate, d.Taken, d.Total)
	if d.Delegate == CPU {
		text = fmt.Sprintf("cpu, %d nodes", d.Total)
	}
	if len(d.Rest) > 0 && d.Delegate != CPU {
		text += " (built-in kernels: " + strings.Join(d.Rest, ", ") + ")"
	}
	if d.Reason != "" {
		text += "; " + d.Reason
	}
	return text
}
