package tflitefile

import (
	"math"
	"testing"
)

// operatorCase is a float operator on its own, with a result that was worked out by hand.
type operatorCase struct {
	name      string
	code      BuiltinOperator
	version   int
	options   Options
	shape     []int    // of the model's input
	constants []Tensor // the other inputs
	output    []int    // shape
	feed      []float32
	want      []float32
}

func floats(name string, shape []int, values ...float32) Tensor {
	return Tensor{Name: name, Type: Float32, Shape: shape, Data: floatData(values...)}
}

func ints(name string, shape []int, values ...int32) Tensor {
	return Tensor{Name: name, Type: Int32, Shape: shape, Data: intData(values...)}
}

func (c operatorCase) model() *Model {
	op := Operator{Code: c.code, Version: c.version, Options: c.options}
	m := &Model{Tensors: []Tensor{{Name: "x", Type: Float32, Shape: c.shape}}}
	m.Tensors = append(m.Tensors, c.constants...)
	for i := range m.Tensors {
		op.Inputs = append(op.Inputs, i)
	}
	y := len(m.Tensors)
	m.Tensors = append(m.Tensors, Tensor{Name: "y", Type: Float32, Shape: c.output})
	op.Outputs = []int{y}
	m.Operators = []Operator{op}
	m.Inputs, m.Outputs = []int{0}, []int{y}
	return m
}

func operatorCases() []operatorCase {
	counting := func(n int) []float32 {
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(i + 1)
		}
		return values
	}
	e := float32(math.E)
	return []operatorCase{
		{"conv with unlike strides", OpConv2D, 1,
			Conv2DOptions{Padding: PaddingValid, StrideW: 1, StrideH: 2, DilationW: 1, DilationH: 1}, []int{1, 3, 4, 1},
			[]Tensor{floats("w", []int{1, 1, 2, 1}, 1, 10), floats("b", []int{1}, 0.5)}, []int{1, 2, 3, 1},
			counting(12), []float32{21.5, 32.5, 43.5, 109.5, 120.5, 131.5}},
		{"conv dilated in width", OpConv2D, 1,
			Conv2DOptions{Padding: PaddingValid, StrideW: 1, StrideH: 1, DilationW: 3, DilationH: 1}, []int{1, 2, 4, 1},
			[]Tensor{floats("w", []int{1, 1, 2, 1}, 1, 10), floats("b", []int{1}, 0)}, []int{1, 2, 1, 1},
			counting(8), []float32{41, 85}},
		{"depthwise with two outputs a channel", OpDepthwiseConv2D, 2, DepthwiseConv2DOptions{Padding: PaddingValid,
			StrideW: 1, StrideH: 1, DepthMultiplier: 2, Activation: ActivationRelu6, DilationW: 1, DilationH: 2},
			[]int{1, 3, 1, 1}, []Tensor{floats("w", []int{1, 2, 1, 2}, 1, 2, -1, 1), floats("b", []int{2}, 4, -1)},
			[]int{1, 1, 1, 2}, []float32{1, 2, 3}, []float32{2, 4}},
		{"max pool with unlike filter sides", OpMaxPool2D, 1,
			Pool2DOptions{Padding: PaddingValid, StrideW: 1, StrideH: 2, FilterWidth: 3, FilterHeight: 1},
			[]int{1, 3, 4, 1}, nil, []int{1, 2, 2, 1}, counting(12), []float32{3, 4, 11, 12}},
		{"average pool over the border", OpAveragePool2D, 1,
			Pool2DOptions{StrideW: 2, StrideH: 2, FilterWidth: 2, FilterHeight: 2},
			[]int{1, 3, 3, 1}, nil, []int{1, 2, 2, 1}, counting(9), []float32{3, 4.5, 7.5, 9}},
		{"concatenation along the last axis", OpConcatenation, 1, ConcatenationOptions{Axis: -1}, []int{1, 2, 1},
			[]Tensor{floats("c", []int{1, 2, 2}, 7, 8, 9, 10)}, []int{1, 2, 3}, []float32{1, 2},
			[]float32{1, 7, 8, 2, 9, 10}},
		{"fully connected keeping dimensions", OpFullyConnected, 5,
			FullyConnectedOptions{Activation: ActivationRelu, KeepNumDims: true}, []int{1, 2, 2},
			[]Tensor{floats("w", []int{1, 2}, 1, -1), floats("b", []int{1}, 0)}, []int{1, 2, 1},
			[]float32{5, 2, 2, 5}, []float32{3, 0}},
		{"fully connected without bias", OpFullyConnected, 6, FullyConnectedOptions{}, []int{1, 2, 2},
			[]Tensor{floats("w", []int{1, 4}, 1, 10, 100, 1000)}, []int{1, 1}, []float32{1, 2, 3, 4}, []float32{4321}},
		{"softmax with beta 2", OpSoftmax, 1, SoftmaxOptions{Beta: 2}, []int{1, 2}, nil, []int{1, 2},
			[]float32{0.5, 0}, []float32{e / (e + 1), 1 / (e + 1)}},
		{"mean keeping dimensions", OpMean, 1, ReducerOptions{KeepDims: true}, []int{1, 2, 2},
			[]Tensor{ints("axes", []int{1}, -2)}, []int{1, 1, 2}, []float32{1, 2, 3, 6}, []float32{2, 4}},
		{"reshape", OpReshape, 1, ReshapeOptions{NewShape: []int{-1, 4}}, []int{1, 2, 2},
			[]Tensor{ints("shape", []int{2}, -1, 4)}, []int{1, 4}, counting(4), counting(4)},
		{"space to depth", OpSpaceToDepth, 1, SpaceToDepthOptions{BlockSize: 2}, []int{1, 2, 4, 1}, nil, []int{1, 1, 2, 4},
			counting(8), []float32{1, 2, 5, 6, 3, 4, 7, 8}},
		{"fully connected with int8 weights", OpFullyConnected, 9, FullyConnectedOptions{AsymmetricQuantizeInputs: true}, []int{1, 2},
			[]Tensor{{Name: "w", Type: Int8, Shape: []int{1, 2}, Data: []byte{100, 0xce}, Quant: &Quantization{Scale: []float32{0.5}, ZeroPoint: []int64{0}}},
				floats("b", []int{1}, 7)}, []int{1, 1}, []float32{0, 255}, []float32{7 - 25*255}},
		{"pad", OpPad, 1, PadOptions{}, []int{1, 2}, []Tensor{ints("widths", []int{2, 2}, 0, 1, 2, 0)}, []int{2, 4},
			[]float32{5, 6}, []float32{0, 0, 5, 6, 0, 0, 0, 0}},
		{"pad with a value", OpPadV2, 1, PadV2Options{}, []int{1, 2},
			[]Tensor{ints("widths", []int{2, 2}, 0, 0, 1, 1), floats("value", nil, -3)}, []int{1, 4},
			[]float32{5, 6}, []float32{-3, 5, 6, -3}},
		{"add with activation", OpAdd, 1, AddOptions{Activation: ActivationReluN1To1}, []int{1, 3},
			[]Tensor{floats("c", []int{3}, 0.5, 3, -8)}, []int{1, 3}, []float32{0.25, 1, 1}, []float32{0.75, 1, -1}},
		{"sub", OpSub, 1, SubOptions{Activation: ActivationRelu}, []int{2, 1}, []Tensor{floats("c", []int{1, 2}, 1, 5)},
			[]int{2, 2}, []float32{3, 6}, []float32{2, 0, 5, 1}},
		{"mul", OpMul, 1, MulOptions{Activation: ActivationRelu6}, []int{1, 3}, []Tensor{floats("c", nil, 2)},
			[]int{1, 3}, []float32{-1, 2, 4}, []float32{0, 4, 6}},
		{"local response normalization", OpLocalResponseNormalization, 1,
			LocalResponseNormalizationOptions{Radius: 1, Bias: 2, Alpha: 0.5, Beta: 1}, []int{1, 1, 1, 3}, nil,
			[]int{1, 1, 1, 3}, []float32{1, 2, 4}, []float32{1 / 4.5, 2 / 12.5, 4.0 / 12}},
		{"sqrt", OpSqrt, 1, nil, []int{1, 2}, nil, []int{1, 2}, []float32{4, 0.25}, []float32{2, 0.5}},
		{"rsqrt", OpRsqrt, 1, nil, []int{1, 2}, nil, []int{1, 2}, []float32{4, 0.25}, []float32{0.5, 2}},
	}
}

func TestOperatorsInTensorFlowLite(t *testing.T) {
	for _, c := range operatorCases() {
		t.Run(c.name, func(t *testing.T) {
			outputs := runFloat(t, mustBytes(t, c.model()), c.feed)
			wantClose(t, outputs[0], c.want, 1e-5)
		})
	}
}

// TestFloat16WeightsInTensorFlowLite has the layout of a file with half-precision weights: a DEQUANTIZE of a constant.
func TestFloat16WeightsInTensorFlowLite(t *testing.T) {
	m := &Model{
		Tensors: []Tensor{
			{Name: "x", Type: Float32, Shape: []int{1, 2}},
			{Name: "half", Type: Float16, Shape: []int{1, 2}, Data: []byte{0x00, 0x3c, 0x00, 0xc0}}, // 1, -2
			{Name: "weights", Type: Float32, Shape: []int{1, 2}},
			{Name: "y", Type: Float32, Shape: []int{1, 1}},
		},
		Operators: []Operator{
			{Code: OpDequantize, Inputs: []int{1}, Outputs: []int{2}},
			{Code: OpFullyConnected, Inputs: []int{0, 2, -1}, Outputs: []int{3}, Options: FullyConnectedOptions{}},
		},
		Inputs:  []int{0},
		Outputs: []int{3},
	}
	wantClose(t, runFloat(t, mustBytes(t, m), []float32{10, 3})[0], []float32{4}, 1e-6)
}
