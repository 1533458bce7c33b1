package export

import (
	"fmt"

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

// form says how a graph is written.
type form struct {
	int8   bool                      // an int8 network, not a float one
	plan   *quantize.Plan            // of the int8 network, whose graph Plan.Apply gave
	layers map[string]quantize.Layer // of the int8 network: its quantized layers
	half   bool                      // weights of a float network as float16
	input  inference.Type            // INT8 and UINT8 hold plain pixels, FLOAT32 what the graph takes
	pixels quantize.Params           // of an INT8 input

	integer  bool // scores and features as integers: of the input's type, INT8 for a FLOAT32 input
	features bool // give the pooled features as output 1

	without map[step]bool // steps that are left out

	more []string // values of the graph to give as outputs behind the others, as float
}

// emitter writes a graph as a .tflite model. A value may be there as int8, as float or as both: whichever an operator wants is made of
// the other when it is first asked for.
type emitter struct {
	form
	m     tflitefile.Model
	g     *graph.Graph
	ints  map[string]int // value of the graph -> int8 tensor
	reals map[string]int // value of the graph -> float32 tensor
	float map[string]bool
}

// Float writes the graph with float32 weights. Its input is the normalized picture, output 0 the probabilities; with
// all, the outputs behind it are what the graph's layers compute, in the order that it names.
func Float(g *graph.Graph, all []string) (*tflitefile.Model, error) {
	return write(g, form{input: inference.Float32, more: all})
}

// write writes the graph. Output 0 are the probabilities: as float32, computed in float from float logits, unless the form wants
// integers.
func write(g *graph.Graph, f form) (*tflitefile.Model, error) {
	e := emitter{form: f, g: g, ints: map[string]int{}, reals: map[string]int{}, float: floatOps(g, f)}
	switch {
	case f.int8:
		e.m.Description, e.m.MinRuntime = "GoogLeNet, int8, one scale for each output channel", "2.3.0"
	case f.half:
		e.m.Description = "GoogLeNet, float16"
	default:
		e.m.Description = "GoogLeNet, float32"
	}
	if err := e.input(); err != nil {
		return nil, err
	}
	for i := range g.Ops {
		if err := e.operator(&g.Ops[i]); err != nil {
			return nil, fmt.Errorf("write %s: %w", g.Ops[i].Name, err)
		}
	}
	e.outputs()
	e.m.InputNames = []string{inputName}
	return &e.m, e.m.Validate()
}

// floatOps names the operators that are computed in float: all of a float network. Of an int8 one local response normalization, which
// turns 0 to 4000 into 0 to 139 and hangs on its input's small differences, and therefore all layers before the first one; and
// behind the last convolution the average and the classifier, whose weights alone are int8: their float logits cost less than a
// hundredth of a convolution, and int8 logits would cost more agreement than all convolutions do.
func floatOps(g *graph.Graph, f form) map[string]bool {
	float := map[string]bool{}
	first := -1
	for i := range g.Ops {
		switch op := &g.Ops[i]; {
		case op.Kind == graph.LRN:
			float[op.Name] = true
			if first < 0 {
				first = i
			}
		case (op.Kind == graph.Mean || op.Kind == graph.FullyConnected) && !f.integer && !f.without[stepLogits]:
			float[op.Name] = true
		}
		if !f.int8 {
			float[g.Ops[i].Name] = true
		}
	}
	for i := range first {
		// The border of an integer input is set before it is widened.
		if op := &g.Ops[i]; (op.Kind != graph.Pad || f.input == inference.Float32) && !f.without[stepFront] {
			float[op.Name] = true
		}
	}
	return float
}

// input appends the input tensor.
func (e *emitter) input() error {
	shape, p := e.g.Shape(graph.Input), e.pixels
	var in int
	switch e.form.input {
	case inference.Int8:
		in = e.tensor(tflitefile.Tensor{Name: inputName, Type: tflitefile.Int8, Shape: shape, Quant: quantization(p)})
		e.ints[graph.Input] = in
	case inference.UInt8:
		quant := quantization(quantize.Params{Scale: p.Scale, ZeroPoint: p.ZeroPoint + 128})
		in = e.tensor(tflitefile.Tensor{Name: inputName, Type: tflitefile.UInt8, Shape: shape, Quant: quant})
		if !e.int8 {
			e.reals[graph.Input] = e.dequantize(in, graph.Input)
			break
		}
		e.ints[graph.Input] = e.tensor(tflitefile.Tensor{Name: graph.Input, Type: tflitefile.Int8, Shape: shape, Quant: quantization(p)})
		e.op(tflitefile.OpQuantize, nil, []int{in}, e.ints[graph.Input])
	case inference.Float32:
		in = e.tensor(tflitefile.Tensor{Name: inputName, Type: tflitefile.Float32, Shape: shape})
		e.reals[graph.Input] = in
	default:
		return fmt.Errorf("write the input: want INT8, UINT8 or FLOAT32, have %s", e.form.input)
	}
	e.m.Inputs = []int{in}
	return nil
}

// outputs appends what is behind the classifier.
func (e *emitter) outputs() {
	logits := e.g.Op(graph.Classifier)
	shape := logits.Shape()
	if e.integer {
		scores := e.tensor(tflitefile.Tensor{Name: outputName, Type: tflitefile.Int8, Shape: shape, Quant: quantization(quantize.Params{Scale: 1.0 / 256, ZeroPoint: -128})})
		e.op(tflitefile.OpSoftmax, tflitefile.SoftmaxOptions{Beta: 1}, []int{e.quantized(logits.Name)}, scores)
		e.output(e.asInput(scores, outputName), outputName)
		if e.features {
			e.output(e.asInput(e.quantized(graph.Features), featuresName), featuresName)
		}
	} else {
		scores := e.tensor(tflitefile.Tensor{Name: outputName, Type: tflitefile.Float32, Shape: shape})
		e.op(tflitefile.OpSoftmax, tflitefile.SoftmaxOptions{Beta: 1}, []int{e.real(logits.Name)}, scores)
		e.output(scores, outputName)
		if e.features {
			e.output(e.undivided(graph.Features, featuresName), featuresName)
		}
	}
	for _, name := range e.more {
		e.output(e.real(name), name)
	}
}

// asInput turns an int8 tensor into uint8 if the input is of that type.
func (e *emitter) asInput(tensor int, name string) int {
	if e.form.input != inference.UInt8 {
		return tensor
	}
	in := e.m.Tensors[tensor]
	e.m.Tensors[tensor].Name = name + "/int8"
	out := e.tensor(tflitefile.Tensor{Name: name, Type: tflitefile.UInt8, Shape: in.Shape,
		Quant: &tflitefile.Quantization{Scale: in.Quant.Scale, ZeroPoint: []int64{in.Quant.ZeroPoint[0] + 128}}})
	e.op(tflitefile.OpQuantize, nil, []int{tensor}, out)
	return out
}

// undivided gives a value as float, multiplied by the factors that its channels were divided by.
func (e *emitter) undivided(value, name string) int {
	in := e.real(value)
	if !e.int8 || e.plan.Factors[value] == nil {
		return in
	}
	factors := make([]float32, len(e.plan.Factors[value]))
	for c, f := range e.plan.Factors[value] {
		factors[c] = float32(f)
	}
	return e.elementwise(tflitefile.OpMul, tflitefile.MulOptions{}, name, e.g.Shape(value), in, e.floats(name+"/factors", []int{len(factors)}, factors))
}

// quantized gives a value as an int8 tensor.
func (e *emitter) quantized(value string) int {
	if t, ok := e.ints[value]; ok {
		return t
	}
	p := e.plan.Params[value]
	out := e.tensor(tflitefile.Tensor{Name: value + "/int8", Type: tflitefile.Int8, Shape: e.g.Shape(value), Quant: quantization(p)})
	e.op(tflitefile.OpQuantize, nil, []int{e.reals[value]}, out)
	e.ints[value] = out
	return out
}

// real gives a value as a float32 tensor.
func (e *emitter) real(value string) int {
	if t, ok := e.reals[value]; ok {
		return t
	}
	e.reals[value] = e.dequantize(e.ints[value], value+"/float")
	return e.reals[value]
}

// result appends the tensor that an operator of the graph computes.
func (e *emitter) result(op *graph.Op) int {
	t := tflitefile.Tensor{Name: op.Name, Type: tflitefile.Float32, Shape: op.Shape()}
	if e.float[op.Name] {
		e.reals[op.Name] = e.tensor(t)
		return e.reals[op.Name]
	}
	t.Type, t.Quant = tflitefile.Int8, quantization(e.plan.Params[op.Name])
	e.ints[op.Name] = e.tensor(t)
	return e.ints[op.Name]
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

// dequantize appends a float copy of an integer tensor.
func (e *emitter) dequantize(tensor int, name string) int {
	out := e.tensor(tflitefile.Tensor{Name: name, Type: tflitefile.Float32, Shape: e.m.Tensors[tensor].Shape})
	e.op(tflitefile.OpDequantize, nil, []int{tensor}, out)
	return out
}

// elementwise appends an operator whose output is float and has that shape.
func (e *emitter) elementwise(code tflitefile.BuiltinOperator, options tflitefile.Options, name string, shape []int, inputs ...int) int {
	out := e.tensor(tflitefile.Tensor{Name: name, Type: tflitefile.Float32, Shape: shape})
	e.op(code, options, inputs, out)
	return out
}
