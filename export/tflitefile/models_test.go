package tflitefile

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
)

// floatData is the little-endian bytes of float32 values, as a constant holds them.
func floatData(values ...float32) []byte {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return data
}

// intData is the little-endian bytes of int32 values.
func intData(values ...int32) []byte {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, uint32(v))
	}
	return data
}

func byteData(values []int8) []byte {
	var data []byte
	for _, v := range values {
		data = append(data, byte(v))
	}
	return data
}

func perTensor(scale float32, zeroPoint int64) *Quantization {
	return &Quantization{Scale: []float32{scale}, ZeroPoint: []int64{zeroPoint}}
}

func randomFloats(r *rand.Rand, n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = r.Float32()*2 - 1
	}
	return values
}

func randomInt8s(r *rand.Rand, n int) []int8 {
	values := make([]int8, n)
	for i := range values {
		values[i] = int8(r.IntN(255) - 127)
	}
	return values
}

// floatNet is CONV_2D, MAX_POOL_2D, MEAN, FULLY_CONNECTED and SOFTMAX in float, on an image of 8x8.
type floatNet struct {
	convWeights, convBias, fcWeights, fcBias []float32
	model                                    *Model
}

func newFloatNet() *floatNet {
	r := rand.New(rand.NewPCG(1, 2))
	n := &floatNet{
		convWeights: randomFloats(r, 4*3*3*3),
		convBias:    randomFloats(r, 4),
		fcWeights:   randomFloats(r, 5*4),
		fcBias:      randomFloats(r, 5),
	}
	n.model = &Model{
		Description: "float test net",
		Tensors: []Tensor{
			{Name: "image", Type: Float32, Shape: []int{1, 8, 8, 3}},
			{Name: "conv/weights", Type: Float32, Shape: []int{4, 3, 3, 3}, Data: floatData(n.convWeights...)},
			{Name: "conv/bias", Type: Float32, Shape: []int{4}, Data: floatData(n.convBias...)},
			{Name: "conv", Type: Float32, Shape: []int{1, 8, 8, 4}},
			{Name: "pool", Type: Float32, Shape: []int{1, 4, 4, 4}},
			{Name: "mean/axes", Type: Int32, Shape: []int{2}, Data: intData(1, 2)},
			{Name: "mean", Type: Float32, Shape: []int{1, 4}},
			{Name: "fc/weights", Type: Float32, Shape: []int{5, 4}, Data: floatData(n.fcWeights...)},
			{Name: "fc/bias", Type: Float32, Shape: []int{5}, Data: floatData(n.fcBias...)},
			{Name: "fc", Type: Float32, Shape: []int{1, 5}},
			{Name: "probabilities", Type: Float32, Shape: []int{1, 5}},
		},
		Operators: []Operator{
			{Code: OpConv2D, Version: 1, Inputs: []int{0, 1, 2}, Outputs: []int{3}, Options: Conv2DOptions{
				StrideW: 1, StrideH: 1, Activation: ActivationRelu, DilationW: 1, DilationH: 1}},
			{Code: OpMaxPool2D, Version: 1, Inputs: []int{3}, Outputs: []int{4}, Options: Pool2DOptions{
				StrideW: 2, StrideH: 2, FilterWidth: 3, FilterHeight: 3}},
			{Code: OpMean, Version: 1, Inputs: []int{4, 5}, Outputs: []int{6}, Options: ReducerOptions{}},
			{Code: OpFullyConnected, Version: 1, Inputs: []int{6, 7, 8}, Outputs: []int{9},
				Options: FullyConnectedOptions{}},
			{Code: OpSoftmax, Version: 1, Inputs: []int{9}, Outputs: []int{10}, Options: SoftmaxOptions{Beta: 1}},
		},
		Inputs:      []int{0},
		Outputs:     []int{10},
		InputNames:  []string{"image"},
		OutputNames: []string{"probabilities"},
		MinRuntime:  "1.14.0",
		Metadata: &Metadata{
			Name: "test net", Description: "names five things", Version: "v1", Author: "somebody", License: "Apache-2.0",
			Input: TensorMetadata{
				Name: "image", Description: "an RGB picture",
				Image:         &ImageProperties{Width: 8, Height: 8},
				Normalization: &Normalization{Mean: []float32{127.5}, Std: []float32{127.5}},
				Stats:         &Stats{Min: []float32{-1}, Max: []float32{1}},
			},
			Outputs: []TensorMetadata{{
				Name: "probabilities", Description: "one a class", LabelFile: "labels.txt",
				Stats: &Stats{Min: []float32{0}, Max: []float32{1}},
			}},
			Files: []AssociatedFile{
				{Name: "labels.txt", Data: []byte("tench\ncrane\ncrane\ntruck\ngolf ball\n")},
				{Name: "card.json", Data: []byte("{}")},
			},
		},
	}
	return n
}

// int8Net is QUANTIZE from uint8, CONV_2D with per-channel weights, MAX_POOL_2D, a second CONV_2D and CONCATENATION, MEAN,
// FULLY_CONNECTED, and its logits as they are, as INT8 SOFTMAX and through DEQUANTIZE.
type int8Net struct {
	convWeights, sideWeights, fcWeights []int8
	convBias, sideBias, fcBias          []int32
	model                               *Model
}

// The scales and zero points of int8Net's values.
var (
	int8Image  = perTensor(1.0/127.5, -1)
	int8Branch = perTensor(0.05, -128)
	int8Mean   = perTensor(0.02, -128)
	int8Logits = perTensor(0.1, 3)

	int8ConvScales = []float32{0.01, 0.02, 0.005, 0.0125}
	int8SideScales = []float32{0.007, 0.011}
	int8FCScales   = []float32{0.02, 0.01, 0.03}
)

// biased is the quantization of a bias: the input's scale times the weights' scales.
func biased(x *Quantization, scales []float32) *Quantization {
	q := &Quantization{ZeroPoint: make([]int64, len(scales))}
	for _, s := range scales {
		q.Scale = append(q.Scale, x.Scale[0]*s)
	}
	return q
}

func perChannel0(scales []float32) *Quantization {
	return &Quantization{Scale: scales, ZeroPoint: make([]int64, len(scales))}
}

func newInt8Net() *int8Net {
	r := rand.New(rand.NewPCG(3, 4))
	n := &int8Net{
		convWeights: randomInt8s(r, 4*3*3*3),
		convBias:    []int32{100, -2000, 12000, 0},
		sideWeights: randomInt8s(r, 2*4),
		sideBias:    []int32{500, 1000},
		fcWeights:   randomInt8s(r, 3*6),
		fcBias:      []int32{300, -300, 0},
	}
	n.model = &Model{
		Tensors: []Tensor{
			{Name: "image", Type: UInt8, Shape: []int{1, 6, 6, 3}, Quant: perTensor(1.0/127.5, 127)},
			{Name: "image_int8", Type: Int8, Shape: []int{1, 6, 6, 3}, Quant: int8Image},
			{Name: "conv/weights", Type: Int8, Shape: []int{4, 3, 3, 3}, Data: byteData(n.convWeights),
				Quant: perChannel0(int8ConvScales)},
			{Name: "conv/bias", Type: Int32, Shape: []int{4}, Data: intData(n.convBias...),
				Quant: biased(int8Image, int8ConvScales)},
			{Name: "conv", Type: Int8, Shape: []int{1, 6, 6, 4}, Quant: int8Branch},
			{Name: "pool", Type: Int8, Shape: []int{1, 3, 3, 4}, Quant: int8Branch},
			{Name: "side/weights", Type: Int8, Shape: []int{2, 1, 1, 4}, Data: byteData(n.sideWeights),
				Quant: perChannel0(int8SideScales)},
			{Name: "side/bias", Type: Int32, Shape: []int{2}, Data: intData(n.sideBias...),
				Quant: biased(int8Branch, int8SideScales)},
			{Name: "side", Type: Int8, Shape: []int{1, 3, 3, 2}, Quant: int8Branch},
			{Name: "concat", Type: Int8, Shape: []int{1, 3, 3, 6}, Quant: int8Branch},
			{Name: "mean/axes", Type: Int32, Shape: []int{2}, Data: intData(1, 2)},
			{Name: "mean", Type: Int8, Shape: []int{1, 6}, Quant: int8Mean},
			{Name: "fc/weights", Type: Int8, Shape: []int{3, 6}, Data: byteData(n.fcWeights),
				Quant: perChannel0(int8FCScales)},
			{Name: "fc/bias", Type: Int32, Shape: []int{3}, Data: intData(n.fcBias...),
				Quant: biased(int8Mean, int8FCScales)},
			{Name: "logits_int8", Type: Int8, Shape: []int{1, 3}, Quant: int8Logits},
			{Name: "probabilities_int8", Type: Int8, Shape: []int{1, 3}, Quant: perTensor(1.0/256, -128)},
			{Name: "logits", Type: Float32, Shape: []int{1, 3}},
		},
		Operators: []Operator{
			{Code: OpQuantize, Version: 1, Inputs: []int{0}, Outputs: []int{1}},
			{Code: OpConv2D, Version: 3, Inputs: []int{1, 2, 3}, Outputs: []int{4}, Options: Conv2DOptions{
				StrideW: 1, StrideH: 1, Activation: ActivationRelu, DilationW: 1, DilationH: 1}},
			{Code: OpMaxPool2D, Version: 2, Inputs: []int{4}, Outputs: []int{5}, Options: Pool2DOptions{
				StrideW: 2, StrideH: 2, FilterWidth: 3, FilterHeight: 3}},
			{Code: OpConv2D, Version: 3, Inputs: []int{5, 6, 7}, Outputs: []int{8}, Options: Conv2DOptions{
				StrideW: 1, StrideH: 1, Activation: ActivationRelu, DilationW: 1, DilationH: 1}},
			{Code: OpConcatenation, Version: 2, Inputs: []int{5, 8}, Outputs: []int{9},
				Options: ConcatenationOptions{Axis: 3}},
			{Code: OpMean, Version: 2, Inputs: []int{9, 10}, Outputs: []int{11}, Options: ReducerOptions{}},
			{Code: OpFullyConnected, Version: 4, Inputs: []int{11, 12, 13}, Outputs: []int{14},
				Options: FullyConnectedOptions{}},
			{Code: OpSoftmax, Version: 2, Inputs: []int{14}, Outputs: []int{15}, Options: SoftmaxOptions{Beta: 1}},
			{Code: OpDequantize, Version: 2, Inputs: []int{14}, Outputs: []int{16}, Options: DequantizeOptions{}},
		},
		Inputs:     []int{0},
		Outputs:    []int{16, 15},
		MinRuntime: "2.3.0",
		Metadata: &Metadata{
			Name: "int8 test net",
			Input: TensorMetadata{Name: "image", Image: &ImageProperties{Width: 6, Height: 6},
				Normalization: &Normalization{Mean: []float32{127, 127, 127}, Std: []float32{127.5, 127.5, 127.5}}},
			Outputs: []TensorMetadata{{Name: "logits", LabelFile: "labels.txt"}, {Name: "probabilities"}},
			Files:   []AssociatedFile{{Name: "labels.txt", Data: []byte("a\nb\nc")}},
		},
	}
	return n
}
