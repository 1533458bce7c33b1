package tflitefile

import (
	"fmt"
	"math"
	"slices"
)

// step is an operator with its tensors at hand.
type step struct {
	op Operator
	in []*Tensor // nil: absent
	y  *Tensor   // the only output
}

// rule says how many inputs an operator has, and tests the rest.
type rule struct {
	least, most int // inputs
	bias        bool
	check       func(step) error
}

const anyNumber = math.MaxInt

// rules are those of the operators that this package writes. With bias the input 2 may be absent.
var rules = map[BuiltinOperator]rule{
	OpConv2D:                     {2, 3, true, step.checkConv2D},
	OpDepthwiseConv2D:            {2, 3, true, step.checkDepthwiseConv2D},
	OpFullyConnected:             {2, 3, true, step.checkFullyConnected},
	OpMaxPool2D:                  {1, 1, false, step.checkPool2D},
	OpAveragePool2D:              {1, 1, false, step.checkPool2D},
	OpConcatenation:              {1, anyNumber, false, step.checkConcatenation},
	OpSoftmax:                    {1, 1, false, step.checkSoftmax},
	OpMean:                       {2, 2, false, step.checkMean},
	OpReshape:                    {1, 2, false, step.checkReshape},
	OpSpaceToDepth:               {1, 1, false, step.checkSpaceToDepth},
	OpPad:                        {2, 2, false, step.checkPad},
	OpPadV2:                      {3, 3, false, step.checkPadV2},
	OpAdd:                        {2, 2, false, step.checkAdd},
	OpSub:                        {2, 2, false, step.checkSub},
	OpMul:                        {2, 2, false, step.checkMul},
	OpLocalResponseNormalization: {1, 1, false, step.checkLocalResponseNormalization},
	OpRsqrt:                      {1, 1, false, step.checkRsqrt},
	OpSqrt:                       {1, 1, false, step.checkSqrt},
	OpQuantize:                   {1, 1, false, step.checkQuantize},
	OpDequantize:                 {1, 1, false, step.checkDequantize},
}

// checkOperators tests each operator against its rule. The tensors and their indices have been tested before.
func (m *Model) checkOperators() error {
	for i, op := range m.Operators {
		if err := m.checkOperator(op); err != nil {
			return fmt.Errorf("%s: %w", m.label(i), err)
		}
	}
	return nil
}

func (m *Model) checkOperator(op Operator) error {
	r, known := rules[op.Code]
	switch {
	case !known:
		return fmt.Errorf("operator %s isn't one that can be written", op.Code)
	case op.Version < 0 || op.Version > math.MaxInt32:
		return fmt.Errorf("version %d: want 1 or more, or 0 to have it chosen", op.Version)
	case len(op.Inputs) < r.least || len(op.Inputs) > r.most:
		return fmt.Errorf("%d inputs: want %s", len(op.Inputs), r.inputs())
	case len(op.Outputs) != 1:
		return fmt.Errorf("%d outputs: want 1", len(op.Outputs))
	}
	s := step{op: op, y: &m.Tensors[op.Outputs[0]]}
	for i, t := range op.Inputs {
		if t == -1 && !(r.bias && i == 2) {
			return fmt.Errorf("input %d is absent", i)
		}
		if t == -1 {
			s.in = append(s.in, nil)
			continue
		}
		s.in = append(s.in, &m.Tensors[t])
	}
	return r.check(s)
}

func (r rule) inputs() string {
	switch r.most {
	case r.least:
		return fmt.Sprint(r.least)
	case anyNumber:
		return fmt.Sprintf("at least %d", r.least)
	}
	return fmt.Sprintf("%d to %d", r.least, r.most)
}

// optionsOf gives the operator's options as the type that it takes.
func optionsOf[T Options](s step) (T, error) {
	options, ok := s.op.Options.(T)
	if !ok {
		return options, fmt.Errorf("options %T: want %T", s.op.Options, options)
	}
	return options, nil
}

// checkOptional tests that the options are absent or of the type T.
func checkOptional[T Options](s step) error {
	if s.op.Options == nil {
		return nil
	}
	_, err := optionsOf[T](s)
	return err
}

func (s step) checkPool2D() error {
	o, err := optionsOf[Pool2DOptions](s)
	if err != nil {
		return err
	}
	x := s.in[0]
	if err := checkWindow(o.Padding, o.StrideW, o.StrideH, o.Activation); err != nil {
		return err
	}
	if o.FilterWidth < 1 || o.FilterHeight < 1 || max(o.FilterWidth, o.FilterHeight) > math.MaxInt32 {
		return fmt.Errorf("filter %dx%d: want 1x1 or more", o.FilterWidth, o.FilterHeight)
	}
	if len(x.Shape) != 4 {
		return fmt.Errorf("input %q of shape %s: want NHWC", x.Name, dims(x.Shape))
	}
	h, w := outputSize(o.Padding, x.Shape[1], o.FilterHeight, o.StrideH, 1),
		outputSize(o.Padding, x.Shape[2], o.FilterWidth, o.StrideW, 1)
	if err := s.wantShape([]int{x.Shape[0], h, w, x.Shape[3]}); err != nil {
		return err
	}
	return s.moves(x, Float32, Int8, UInt8)
}

func (s step) checkConcatenation() error {
	o, err := optionsOf[ConcatenationOptions](s)
	if err != nil {
		return err
	}
	if o.Activation != ActivationNone {
		return fmt.Errorf("activation %s: want NONE", o.Activation)
	}
	rank := len(s.in[0].Shape)
	axis := o.Axis
	if axis < 0 {
		axis += rank
	}
	if axis < 0 || axis >= rank {
		return fmt.Errorf("axis %d: want one of shape %s", o.Axis, dims(s.in[0].Shape))
	}
	want := slices.Clone(s.in[0].Shape)
	want[axis] = 0
	for _, x := range s.in {
		if len(x.Shape) != rank {
			return fmt.Errorf("input %q of shape %s: want %d dimensions", x.Name, dims(x.Shape), rank)
		}
		for i, d := range x.Shape {
			if i != axis && d != want[i] {
				return fmt.Errorf("input %q of shape %s: want that of %q, %s, but for axis %d", x.Name, dims(x.Shape),
					s.in[0].Name, dims(s.in[0].Shape), axis)
			}
		}
		want[axis] += x.Shape[axis]
		if err := s.moves(x, Float32, Int8, UInt8); err != nil {
			return err
		}
	}
	return s.wantShape(want)
}

func (s step) checkSoftmax() error {
	o, err := optionsOf[SoftmaxOptions](s)
	if err != nil {
		return err
	}
	if !(o.Beta > 0) || math.IsInf(float64(o.Beta), 0) {
		return fmt.Errorf("beta %g: want a positive one", o.Beta)
	}
	if err := s.unary(Float32, Int8, UInt8); err != nil {
		return err
	}
	if s.y.Type == Float32 {
		return nil
	}
	zeroPoint := int64(0)
	if s.y.Type == Int8 {
		zeroPoint = math.MinInt8
	}
	if q := s.y.Quant; q.Scale[0] != 1.0/256 || q.ZeroPoint[0] != zeroPoint {
		return fmt.Errorf("output scale %g and zero point %d: want 1/256 and %d for %s", q.Scale[0], q.ZeroPoint[0],
			zeroPoint, s.y.Type)
	}
	return nil
}

func (s step) checkLocalResponseNormalization() error {
	o, err := optionsOf[LocalResponseNormalizationOptions](s)
	if err != nil {
		return err
	}
	if o.Radius < 0 || o.Radius > math.MaxInt32 {
		return fmt.Errorf("radius %d: want 0 or more", o.Radius)
	}
	if len(s.in[0].Shape) != 4 {
		return fmt.Errorf("input %q of shape %s: want NHWC", s.in[0].Name, dims(s.in[0].Shape))
	}
	return s.unary(Float32)
}

func (s step) checkRsqrt() error {
	if s.op.Options != nil {
		return fmt.Errorf("options %T: want none", s.op.Options)
	}
	return s.unary(Float32, Int8)
}

func (s step) checkSqrt() error {
	if s.op.Options != nil {
		return fmt.Errorf("options %T: want none", s.op.Options)
	}
	return s.unary(Float32)
}

func (s step) checkQuantize() error {
	if err := checkOptional[QuantizeOptions](s); err != nil {
		return err
	}
	if err := s.in[0].wantType(Float32, Int8, UInt8); err != nil {
		return err
	}
	if err := s.y.wantType(Int8, UInt8); err != nil {
		return err
	}
	return s.wantShape(s.in[0].Shape)
}

func (s step) checkDequantize() error {
	if err := checkOptional[DequantizeOptions](s); err != nil {
		return err
	}
	if err := s.in[0].wantType(Int8, UInt8, Float16); err != nil {
		return err
	}
	if q := s.in[0].Quant; q != nil && len(q.Scale) > 1 {
		return fmt.Errorf("input %q has %d scales: want 1", s.in[0].Name, len(q.Scale))
	}
	if err := s.y.wantType(Float32); err != nil {
		return err
	}
	return s.wantShape(s.in[0].Shape)
}

// unary tests that the output has the input's shape and type, and that type is one of types.
func (s step) unary(types ...TensorType) error {
	x := s.in[0]
	if err := x.wantType(types...); err != nil {
		return err
	}
	if err := s.y.wantType(x.Type); err != nil {
		return err
	}
	return s.wantShape(x.Shape)
}

// moves tests that the output has the type and quantization of the input x, as operators that change no value demand.
func (s step) moves(x *Tensor, types ...TensorType) error {
	if err := x.wantType(types...); err != nil {
		return err
	}
	if err := s.y.wantType(x.Type); err != nil {
		return err
	}
	if x.Quant == nil {
		return nil
	}
	in, out := x.Quant, s.y.Quant
	if len(in.Scale) != 1 || in.Scale[0] != out.Scale[0] || in.ZeroPoint[0] != out.ZeroPoint[0] {
		return fmt.Errorf("input %q has scales %g and zero points %d: want those of the output, %g and %d", x.Name,
			in.Scale, in.ZeroPoint, out.Scale, out.ZeroPoint)
	}
	return nil
}

func (s step) wantShape(shape []int) error {
	if !slices.Equal(s.y.Shape, shape) {
		return fmt.Errorf("output of shape %s: want %s", dims(s.y.Shape), dims(shape))
	}
	return nil
}

func (t *Tensor) wantType(types ...TensorType) error {
	if !slices.Contains(types, t.Type) {
		return fmt.Errorf("%q of type %s: want %s", t.Name, t.Type, oneOf(types))
	}
	return nil
}

func oneOf(types []TensorType) string {
	text := types[0].String()
	for _, t := range types[1:] {
		text += " or " + t.String()
	}
	return text
}
