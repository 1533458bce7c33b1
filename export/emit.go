package export

import (
	"encoding/binary"
	"fmt"
	"math"

	"sightd/export/graph"
	"sightd/export/quantize"
	"sightd/export/tflitefile"
	"sightd/inference"
)

// The names of the tensors that a program which runs the file meets.
const (
	inputName    = "image"
	outputName   = "probabilities"
	featuresName = "features"
)

// emitter writes a graph as a .tflite model: as floats where params is nil, else as int8.
type emitter struct {
	m      tflitefile.Model
	g      *graph.Graph
	values map[string]int // value of the graph -> tensor
	params map[string]quantize.Params
}

// Float writes the graph with float32 weights. Its input is the normalized picture, output 0 the probabilities; with
// all, the outputs behind it are what the graph's layers compute, in the order that it names.
func Float(g *graph.Graph, all []string) (*tflitefile.Model, error) {
	e := emitter{g: g, values: map[string]int{}}
	e.m.Description = "GoogLeNet, float32"
	e.values[graph.Input] = e.tensor(tflitefile.Tensor{Name: inputName, Type: tflitefile.Float32, Shape: g.Shape(graph.Input)})
	e.m.Inputs = []int{e.values[graph.Input]}
	if err := e.ops(); err != nil {
		return nil, err
	}
	e.output(e.softmax(e.values[graph.Classifier]), outputName)
	for _, name := range all {
		e.output(e.values[name], name)
	}
	e.m.InputNames = []string{inputName}
	return &e.m, e.m.Validate()
}

// Int8 writes the graph with int8 weights and activations. Its input holds plain pixels (Graph.TakePixels) as uint8 p, as int8
// p-128, or as float32 values that a QUANTIZE turns into params[graph.Input]. Output 0 are the probabilities as float32, computed
// in float from the int8 logits; with features, output 1 are the pooled features as float32.
func Int8(g *graph.Graph, params map[string]quantize.Params, input inference.Type, features bool) (*tflitefile.Model, error) {
	e := emitter{g: g, values: map[string]int{}, params: params}
	e.m.Description = "GoogLeNet, int8, one scale for each output channel"
	e.m.MinRuntime = "2.3.0"
	if err := e.input(input); err != nil {
		return nil, err
	}
	if err := e.ops(); err != nil {
		return nil, err
	}
	e.output(e.softmax(e.dequantize(e.values[graph.Classifier], "logits")), outputName)
	if features {
		e.output(e.dequantize(e.values[graph.Features], featuresName), featuresName)
	}
	e.m.InputNames = []string{inputName}
	return &e.m, e.m.Validate()
}

// input appends the input tensor, and what makes int8 of it.
func (e *emitter) input(t inference.Type) error {
	shape, p := e.g.Shape(graph.Input), e.params[graph.Input]
	switch t {
	case inference.Int8:
		e.values[graph.Input] = e.tensor(tflitefile.Tensor{Name: inputName, Type: tflitefile.Int8, Shape: shape, Quant: quantization(p)})
		e.m.Inputs = []int{e.values[graph.Input]}
		return nil
	case inference.UInt8:
		in := e.tensor(tflitefile.Tensor{Name: inputName, Type: tflitefile.UInt8, Shape: shape,
			Quant: quantization(quantize.Params{Scale: p.Scale, ZeroPoint: p.ZeroPoint + 128})})
		e.m.Inputs = []int{in}
	case inference.Float32:
		in := e.tensor(tflitefile.Tensor{Name: inputName, Type: tflitefile.Float32, Shape: shape})
		e.m.Inputs = []int{in}
	default:
		return fmt.Errorf("write the input: want INT8, UINT8 or FLOAT32, have %s", t)
	}
	out := e.tensor(tflitefile.Tensor{Name: graph.Input, Type: tflitefile.Int8, Shape: shape, Quant: quantization(p)})
	e.op(tflitefile.OpQuantize, nil, e.m.Inputs, out)
	e.values[graph.Input] = out
	return nil
}

func quantization(p quantize.Params) *tflitefile.Quantization {
	return &tflitefile.Quantization{Scale: []float32{p.Scale}, ZeroPoint: []int64{int64(p.ZeroPoint)}}
}

func (e *emitter) tensor(t tflitefile.Tensor) int {
	e.m.Tensors = append(e.m.Tensors, t)
	return len(e.m.Tensors) - 1
}

func (e *emitter) op(code tflitefile.BuiltinOperator, options tflitefile.Options, inputs []int, output int) {
	e.m.Operators = append(e.m.Operators, tflitefile.Operator{Code: code, Inputs: inputs, Outputs: []int{output}, Options: options})
}

func (e *emitter) output(tensor int, name string) {
	e.m.Outputs = append(e.m.Outputs, tensor)
	e.m.OutputNames = append(e.m.OutputNames, name)
}

// value appends the tensor that an operator of the graph computes.
func (e *emitter) value(op *graph.Op) int {
	t := tflitefile.Tensor{Name: op.Name, Type: tflitefile.Float32, Shape: op.Shape()}
	if e.params != nil {
		t.Type, t.Quant = tflitefile.Int8, quantization(e.params[op.Name])
	}
	e.values[op.Name] = e.tensor(t)
	return e.values[op.Name]
}

// ops appends the graph's operators.
func (e *emitter) ops() error {
	for i := range e.g.Ops {
		op := &e.g.Ops[i]
		inputs := make([]int, len(op.Inputs))
		for j, name := range op.Inputs {
			inputs[j] = e.values[name]
		}
		padding := tflitefile.PaddingSame
		if op.Padding == graph.Valid {
			padding = tflitefile.PaddingValid
		}
		switch op.Kind {
		case graph.Conv, graph.FullyConnected:
			if err := e.layer(op, inputs[0], padding); err != nil {
				return fmt.Errorf("write %s: %w", op.Name, err)
			}
		case graph.MaxPool:
			e.op(tflitefile.OpMaxPool2D, tflitefile.Pool2DOptions{Padding: padding, StrideW: op.Stride, StrideH: op.Stride,
				FilterWidth: op.Kernel, FilterHeight: op.Kernel}, inputs, e.value(op))
		case graph.Concat:
			e.op(tflitefile.OpConcatenation, tflitefile.ConcatenationOptions{Axis: 3}, inputs, e.value(op))
		case graph.Mean:
			axes := e.constant(op.Name+"/axes", []int32{1, 2}, []int{2})
			e.op(tflitefile.OpMean, tflitefile.ReducerOptions{}, append(inputs, axes), e.value(op))
		case graph.Pad:
			b := int32(op.Border)
			borders := e.constant(op.Name+"/borders", []int32{0, 0, b, b, b, b, 0, 0}, []int{4, 2})
			e.op(tflitefile.OpPad, tflitefile.PadOptions{}, append(inputs, borders), e.value(op))
		default:
			return fmt.Errorf("write %s: operator %s is not known", op.Name, op.Kind)
		}
	}
	return nil
}

func (e *emitter) constant(name string, values []int32, shape []int) int {
	return e.tensor(tflitefile.Tensor{Name: name, Type: tflitefile.Int32, Shape: shape, Data: int32Bytes(values)})
}

// layer appends a convolution or the fully connected layer with its constants.
func (e *emitter) layer(op *graph.Op, input int, padding tflitefile.Padding) error {
	shape := []int{op.Channels, op.Kernel, op.Kernel, len(op.Weights) / max(op.Channels*op.Kernel*op.Kernel, 1)}
	if op.Kind == graph.FullyConnected {
		shape = []int{op.Channels, len(op.Weights) / op.Channels}
	}
	w := tflitefile.Tensor{Name: op.Name + "/weights", Shape: shape, Type: tflitefile.Float32}
	b := tflitefile.Tensor{Name: op.Name + "/bias", Shape: []int{op.Channels}, Type: tflitefile.Float32}
	if e.params == nil {
		w.Data, b.Data = float32Bytes(op.Weights), float32Bytes(op.Bias)
	} else if err := quantizeLayer(op, e.params[op.Inputs[0]].Scale, &w, &b); err != nil {
		return err
	}
	inputs := []int{input, e.tensor(w), e.tensor(b)}
	if op.Kind == graph.FullyConnected {
		e.op(tflitefile.OpFullyConnected, tflitefile.FullyConnectedOptions{}, inputs, e.value(op))
		return nil
	}
	e.op(tflitefile.OpConv2D, tflitefile.Conv2DOptions{Padding: padding, StrideW: op.Stride, StrideH: op.Stride,
		Activation: tflitefile.ActivationRelu, DilationW: 1, DilationH: 1}, inputs, e.value(op))
	return nil
}

// quantizeLayer fills the tensors of weights and bias.
func quantizeLayer(op *graph.Op, input float32, w, b *tflitefile.Tensor) error {
	l, err := quantize.Weights(op.Weights, op.Bias, input)
	if err != nil {
		return err
	}
	w.Type, b.Type = tflitefile.Int8, tflitefile.Int32
	w.Data = make([]byte, len(l.Weights))
	for i, q := range l.Weights {
		w.Data[i] = byte(q)
	}
	b.Data = int32Bytes(l.Bias)
	w.Quant = &tflitefile.Quantization{Scale: l.Scales, ZeroPoint: make([]int64, len(l.Scales))}
	b.Quant = &tflitefile.Quantization{Scale: make([]float32, len(l.Scales)), ZeroPoint: make([]int64, len(l.Scales))}
	for i, s := range l.Scales {
		b.Quant.Scale[i] = input * s
	}
	return nil
}

// dequantize appends a float copy of an int8 tensor.
func (e *emitter) dequantize(tensor int, name string) int {
	out := e.tensor(tflitefile.Tensor{Name: name, Type: tflitefile.Float32, Shape: e.m.Tensors[tensor].Shape})
	e.op(tflitefile.OpDequantize, nil, []int{tensor}, out)
	return out
}

// softmax appends the probabilities of float logits.
func (e *emitter) softmax(logits int) int {
	out := e.tensor(tflitefile.Tensor{Name: outputName, Type: tflitefile.Float32, Shape: e.m.Tensors[logits].Shape})
	e.op(tflitefile.OpSoftmax, tflitefile.SoftmaxOptions{Beta: 1}, []int{logits}, out)
	return out
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
