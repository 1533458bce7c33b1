package export

import (
	"encoding/binary"
	"fmt"
	"math"

	"sightd/export/graph"
	"sightd/export/quantize"
	"sightd/export/tflitefile"
)

// operator appends an operator of the graph.
func (e *emitter) operator(op *graph.Op) error {
	inputs := make([]int, len(op.Inputs))
	for i, name := range op.Inputs {
		if e.float[op.Name] {
			inputs[i] = e.real(name)
		} else {
			inputs[i] = e.quantized(name)
		}
	}
	switch op.Kind {
	case graph.Conv:
		e.conv(op, inputs[0])
	case graph.FullyConnected:
		return e.fullyConnected(op, inputs[0])
	case graph.LRN:
		return e.norm(op, inputs[0])
	case graph.MaxPool:
		e.op(tflitefile.OpMaxPool2D, tflitefile.Pool2DOptions{Padding: padding(op), StrideW: op.Stride, StrideH: op.Stride,
			FilterWidth: op.Kernel, FilterHeight: op.Kernel}, inputs, e.result(op))
	case graph.Concat:
		e.op(tflitefile.OpConcatenation, tflitefile.ConcatenationOptions{Axis: 3}, inputs, e.result(op))
	case graph.Mean:
		axes := e.constant(op.Name+"/axes", []int32{1, 2}, []int{2})
		e.op(tflitefile.OpMean, tflitefile.ReducerOptions{}, append(inputs, axes), e.result(op))
	case graph.SpaceToDepth:
		e.op(tflitefile.OpSpaceToDepth, tflitefile.SpaceToDepthOptions{BlockSize: 2}, inputs, e.result(op))
	case graph.Pad:
		e.pad(op, inputs[0])
	default:
		return fmt.Errorf("operator %s is not known", op.Kind)
	}
	return nil
}

func padding(op *graph.Op) tflitefile.Padding {
	if op.Padding == graph.Valid {
		return tflitefile.PaddingValid
	}
	return tflitefile.PaddingSame
}

// conv appends a convolution with its constants.
func (e *emitter) conv(op *graph.Op, input int) {
	shape := []int{op.Channels, op.Kernel, op.Kernel, len(op.Weights) / max(op.Channels*op.Kernel*op.Kernel, 1)}
	inputs := append([]int{input}, e.constants(op, shape)...)
	e.op(tflitefile.OpConv2D, tflitefile.Conv2DOptions{Padding: padding(op), StrideW: op.Stride, StrideH: op.Stride,
		Activation: tflitefile.ActivationRelu, DilationW: 1, DilationH: 1}, inputs, e.result(op))
}

// fullyConnected appends the classifier with its constants.
func (e *emitter) fullyConnected(op *graph.Op, input int) error {
	shape := []int{op.Channels, len(op.Weights) / op.Channels}
	if e.int8 && e.float[op.Name] {
		return e.hybrid(op, input, shape)
	}
	inputs := append([]int{input}, e.constants(op, shape)...)
	e.op(tflitefile.OpFullyConnected, tflitefile.FullyConnectedOptions{}, inputs, e.result(op))
	return nil
}

// hybrid appends the classifier of an int8 network with float scores: its weights are int8 and the rest is float. The kernel quantizes the
// features of each picture by themselves. Each class has a scale of its own, which is multiplied afterwards: see tflitefile for
// why the weights' tensor can have but one.
//
//	y = MUL(FULLY_CONNECTED(x, w/scale of the class), scale of the class) + bias
func (e *emitter) hybrid(op *graph.Op, input int, shape []int) error {
	q, scales, bias, err := quantize.Rows(op.Weights, op.Bias, e.plan.InputMeans(op))
	if err != nil {
		return err
	}
	weights := e.tensor(tflitefile.Tensor{Name: op.Name + "/weights", Shape: shape, Type: tflitefile.Int8, Data: int8Bytes(q),
		Quant: &tflitefile.Quantization{Scale: []float32{1}, ZeroPoint: []int64{0}}})
	none := e.floats(op.Name+"/none", []int{op.Channels}, make([]float32, op.Channels))
	sums := e.elementwise(tflitefile.OpFullyConnected, tflitefile.FullyConnectedOptions{AsymmetricQuantizeInputs: true},
		op.Name+"/sums", op.Shape(), input, weights, none)
	scaled := e.elementwise(tflitefile.OpMul, tflitefile.MulOptions{}, op.Name+"/scaled", op.Shape(), sums,
		e.floats(op.Name+"/scales", []int{op.Channels}, scales))
	e.op(tflitefile.OpAdd, tflitefile.AddOptions{}, []int{scaled, e.floats(op.Name+"/bias", []int{op.Channels}, bias)}, e.result(op))
	return nil
}

// constants appends a layer's weights, of that shape, and its bias: as float, or as int8 and int32.
func (e *emitter) constants(op *graph.Op, shape []int) []int {
	if e.float[op.Name] {
		return []int{e.weights(op.Name+"/weights", shape, op.Weights), e.weights(op.Name+"/bias", []int{op.Channels}, op.Bias)}
	}
	l, in := e.layers[op.Name], e.plan.Params[op.Inputs[0]].Scale
	steps := make([]float32, len(l.Scales))
	for i, s := range l.Scales {
		steps[i] = in * s
	}
	weights := e.tensor(tflitefile.Tensor{Name: op.Name + "/weights", Shape: shape, Type: tflitefile.Int8, Data: int8Bytes(l.Weights),
		Quant: &tflitefile.Quantization{Scale: l.Scales, ZeroPoint: make([]int64, len(steps))}})
	bias := e.tensor(tflitefile.Tensor{Name: op.Name + "/bias", Shape: []int{op.Channels}, Type: tflitefile.Int32, Data: int32Bytes(l.Bias),
		Quant: &tflitefile.Quantization{Scale: steps, ZeroPoint: make([]int64, len(steps))}})
	return []int{weights, bias}
}

// pad appends a border: PAD if it is 0. Other values, one for each channel, PAD doesn't have: constants are set around the picture.
func (e *emitter) pad(op *graph.Op, input int) {
	if op.Fill == nil {
		before, after := int32(op.Before), int32(op.After)
		borders := e.constant(op.Name+"/borders", []int32{0, 0, before, after, before, after, 0, 0}, []int{4, 2})
		e.op(tflitefile.OpPad, tflitefile.PadOptions{}, []int{input, borders}, e.result(op))
		return
	}
	in := e.m.Tensors[input]
	height, width := op.Height, in.Shape[2]
	above := e.filled(op, op.Name+"/above", []int{1, op.Before, width, op.Channels}, in)
	below := e.filled(op, op.Name+"/below", []int{1, op.After, width, op.Channels}, in)
	left := e.filled(op, op.Name+"/left", []int{1, height, op.Before, op.Channels}, in)
	right := e.filled(op, op.Name+"/right", []int{1, height, op.After, op.Channels}, in)
	tall := e.tensor(tflitefile.Tensor{Name: op.Name + "/tall", Type: in.Type, Shape: []int{1, height, width, op.Channels}, Quant: in.Quant})
	e.op(tflitefile.OpConcatenation, tflitefile.ConcatenationOptions{Axis: 1}, []int{above, input, below}, tall)
	e.op(tflitefile.OpConcatenation, tflitefile.ConcatenationOptions{Axis: 2}, []int{left, tall, right}, e.result(op))
}

// filled appends a constant whose pixels all are the border's, of the type and quantization of the tensor like.
func (e *emitter) filled(op *graph.Op, name string, shape []int, like tflitefile.Tensor) int {
	var pixel []byte
	if like.Type == tflitefile.Float32 {
		for _, v := range op.Fill {
			pixel = binary.LittleEndian.AppendUint32(pixel, math.Float32bits(float32(v)))
		}
	} else {
		for _, v := range op.Fill {
			q := math.RoundToEven(v/float64(like.Quant.Scale[0])) + float64(like.Quant.ZeroPoint[0])
			pixel = append(pixel, byte(int8(min(max(q, math.MinInt8), math.MaxInt8))))
		}
	}
	data := make([]byte, 0, shape[1]*shape[2]*len(pixel))
	for range shape[1] * shape[2] {
		data = append(data, pixel...)
	}
	return e.tensor(tflitefile.Tensor{Name: name, Type: like.Type, Shape: shape, Data: data, Quant: like.Quant})
}

// weights appends the weights or the bias of a layer that is computed in float: as float16, which a DEQUANTIZE widens, if the form wants so.
// XNNPACK takes the layer only if both are of the same type.
func (e *emitter) weights(name string, shape []int, values []float32) int {
	if !e.half {
		return e.floats(name, shape, values)
	}
	data := make([]byte, 0, 2*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint16(data, float16(v))
	}
	return e.dequantize(e.tensor(tflitefile.Tensor{Name: name + "/half", Type: tflitefile.Float16, Shape: shape, Data: data}), name)
}

// floats appends a float constant.
func (e *emitter) floats(name string, shape []int, values []float32) int {
	return e.tensor(tflitefile.Tensor{Name: name, Type: tflitefile.Float32, Shape: shape, Data: float32Bytes(values)})
}

// constant appends an int32 constant.
func (e *emitter) constant(name string, values []int32, shape []int) int {
	return e.tensor(tflitefile.Tensor{Name: name, Type: tflitefile.Int32, Shape: shape, Data: int32Bytes(values)})
}

func float32Bytes(values []float32) []byte {
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

func int32Bytes(values []int32) []byte {
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, uint32(v))
	}
	return out
}

func int8Bytes(values []int8) []byte {
	out := make([]byte, len(values))
	for i, v := range values {
		out[i] = byte(v)
	}
	return out
}

// float16 gives the bits of the half-precision number nearest to v, the even one of two (IEEE 754-2008, 4.3.1). What is too large becomes
// infinite, what is too small 0.
func float16(v float32) uint16 {
	bits := math.Float32bits(v)
	sign := uint16(bits >> 16 & 0x8000)
	x := math.Abs(float64(v))
	switch {
	case math.IsNaN(x):
		return sign | 0x7e00
	case x >= 65520: // the middle between the largest half and the next one, if there were one
		return sign | 0x7c00
	case x < 0x1p-14: // subnormal: whole steps of 2^-24
		return sign | uint16(math.RoundToEven(x*0x1p24))
	}
	fraction, exponent := math.Frexp(x) // x = fraction * 2^exponent, fraction in [0.5, 1)
	mantissa := uint16(math.RoundToEven((fraction*2 - 1) * 1024))
	return sign | (uint16(exponent+14)<<10 + mantissa) // a mantissa of 1024 carries into the exponent
}
