package tflitefile

import "fmt"

// Model is a .tflite file in memory: one subgraph with its constants, and the metadata. The slices belong to the
// caller; nothing in this package changes them.
type Model struct {
	Description string     // free text
	Tensors     []Tensor   // constants and activations, in any order
	Operators   []Operator // in the order in which they run

	Inputs, Outputs []int // indices into Tensors

	// InputNames and OutputNames are the names in the signature "serving_default", in the order of Inputs and
	// Outputs. Both empty: the file has no signature.
	InputNames, OutputNames []string

	Metadata *Metadata // nil: none

	// MinRuntime is the oldest TensorFlow Lite that has the operators' versions, like "2.3.0": at most 16 bytes,
	// written as the metadata entry min_runtime_version. Empty: none.
	MinRuntime string
}

// Tensor is a constant or an activation.
type Tensor struct {
	Name string // unique in the model
	Type TensorType

	// Shape is NHWC for an image, OHWI for the weights of CONV_2D, [1,H,W,C] for those of DEPTHWISE_CONV_2D, [O,I]
	// for those of FULLY_CONNECTED. Empty: a scalar.
	Shape []int

	// Data is a constant's elements, little-endian, in row-major order; nil: computed at run time. Read leaves it
	// pointing into the bytes that it was given.
	Data []byte

	Quant *Quantization // nil: not quantized
}

// Quantization maps the integer q of channel i to the real number (q - ZeroPoint[i]) * Scale[i]. With one scale it
// holds for the whole tensor; with more there is one for every index along the axis Dimension of the shape.
type Quantization struct {
	Scale     []float32
	ZeroPoint []int64 // as many as scales
	Dimension int     // the axis that the scales go along; 0 with a single scale
}

// Operator is one step of the graph.
type Operator struct {
	Code BuiltinOperator

	// CustomCode is the name of a custom operator as read from a file, where Code is OpCustom. Such an operator isn't
	// written.
	CustomCode string

	// Version is the operator's version as TensorFlow Lite counts them. 0: the lowest one that covers the types of
	// its tensors is chosen, see Model.OperatorVersion.
	Version int

	Inputs, Outputs []int // indices into Model.Tensors; -1: an optional input that is absent

	Options Options // a value, not a pointer; nil where the operator takes none, or on reading has ones unknown here
}

// TensorType is the type of a tensor's elements, numbered as in the schema of the file. The C API numbers them
// otherwise.
type TensorType int8

// The element types that this package writes.
const (
	Float32 TensorType = 0
	Float16 TensorType = 1
	Int32   TensorType = 2
	UInt8   TensorType = 3
	Int64   TensorType = 4
	Int16   TensorType = 7
	Int8    TensorType = 9
)

var tensorTypes = [...]struct {
	name string
	size int // bytes of one element; 0: not of a fixed number of bytes, or not known here
}{
	{"FLOAT32", 4}, {"FLOAT16", 2}, {"INT32", 4}, {"UINT8", 1}, {"INT64", 8}, {"STRING", 0}, {"BOOL", 1},
	{"INT16", 2}, {"COMPLEX64", 8}, {"INT8", 1}, {"FLOAT64", 8}, {"COMPLEX128", 16}, {"UINT64", 8},
	{"RESOURCE", 0}, {"VARIANT", 0}, {"UINT32", 4}, {"UINT16", 2}, {"INT4", 0}, {"BFLOAT16", 2},
}

// String gives the type's name in the schema, TensorType(n) for one unknown here.
func (t TensorType) String() string {
	if t >= 0 && int(t) < len(tensorTypes) {
		return tensorTypes[t].name
	}
	return fmt.Sprintf("TensorType(%d)", int8(t))
}

// Size is the number of bytes of one element, 0 where that isn't a fixed number or isn't known.
func (t TensorType) Size() int {
	if t >= 0 && int(t) < len(tensorTypes) {
		return tensorTypes[t].size
	}
	return 0
}

// Padding says how a convolution or a pool treats the border.
type Padding int8

// PaddingSame gives an output of ceil(input/stride) positions, with the missing cells split between both sides, the
// odd one after. PaddingValid uses no cell outside the input.
const (
	PaddingSame  Padding = 0
	PaddingValid Padding = 1
)

// String gives the padding's name in the schema.
func (p Padding) String() string { return enumName(int8(p), "Padding", "SAME", "VALID") }

// Activation is the function that an operator applies to its result.
type Activation int8

// The fused activation functions.
const (
	ActivationNone      Activation = 0
	ActivationRelu      Activation = 1
	ActivationReluN1To1 Activation = 2 // clamped to [-1,1]
	ActivationRelu6     Activation = 3
	ActivationTanh      Activation = 4
	ActivationSignBit   Activation = 5
)

// String gives the function's name in the schema.
func (a Activation) String() string {
	return enumName(int8(a), "Activation", "NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
}

func enumName(value int8, enum string, names ...string) string {
	if value >= 0 && int(value) < len(names) {
		return names[value]
	}
	return fmt.Sprintf("%s(%d)", enum, value)
}
