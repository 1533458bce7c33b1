package tflitefile

import (
	"fmt"
	"math"
	"slices"
)

// biasTolerance is how far a bias's scale may be from input scale times weight scale, relative to it: float32 rounding.
const biasTolerance = 1e-5

func (s step) checkConv2D() error {
	o, err := optionsOf[Conv2DOptions](s)
	if err != nil {
		return err
	}
	if err := checkWindow(o.Padding, o.StrideW, o.StrideH, o.Activation); err != nil {
		return err
	}
	if err := checkDilation(o.DilationW, o.DilationH); err != nil {
		return err
	}
	x, w := s.in[0], s.in[1]
	if len(x.Shape) != 4 || len(w.Shape) != 4 || w.Shape[3] != x.Shape[3] {
		return fmt.Errorf("input %q of shape %s, weights %q of shape %s: want NHWC and OHWI with the same channels",
			x.Name, dims(x.Shape), w.Name, dims(w.Shape))
	}
	height := outputSize(o.Padding, x.Shape[1], w.Shape[1], o.StrideH, max(o.DilationH, 1))
	width := outputSize(o.Padding, x.Shape[2], w.Shape[2], o.StrideW, max(o.DilationW, 1))
	if err := s.wantShape([]int{x.Shape[0], height, width, w.Shape[0]}); err != nil {
		return err
	}
	return s.checkWeights(0)
}

func (s step) checkDepthwiseConv2D() error {
	o, err := optionsOf[DepthwiseConv2DOptions](s)
	if err != nil {
		return err
	}
	if err := checkWindow(o.Padding, o.StrideW, o.StrideH, o.Activation); err != nil {
		return err
	}
	if err := checkDilation(o.DilationW, o.DilationH); err != nil {
		return err
	}
	x, w := s.in[0], s.in[1]
	if len(x.Shape) != 4 || len(w.Shape) != 4 || w.Shape[0] != 1 || w.Shape[3]%x.Shape[3] != 0 {
		return fmt.Errorf("input %q of shape %s, weights %q of shape %s: want NHWC and 1HWC with a multiple of the channels",
			x.Name, dims(x.Shape), w.Name, dims(w.Shape))
	}
	if want := w.Shape[3] / x.Shape[3]; o.DepthMultiplier != want {
		return fmt.Errorf("depth multiplier %d: want %d", o.DepthMultiplier, want)
	}
	height := outputSize(o.Padding, x.Shape[1], w.Shape[1], o.StrideH, max(o.DilationH, 1))
	width := outputSize(o.Padding, x.Shape[2], w.Shape[2], o.StrideW, max(o.DilationW, 1))
	if err := s.wantShape([]int{x.Shape[0], height, width, w.Shape[3]}); err != nil {
		return err
	}
	return s.checkWeights(3)
}

func (s step) checkFullyConnected() error {
	o, err := optionsOf[FullyConnectedOptions](s)
	if err != nil {
		return err
	}
	if err := o.Activation.check(); err != nil {
		return err
	}
	x, w := s.in[0], s.in[1]
	if len(x.Shape) == 0 || len(w.Shape) != 2 || x.elements()%w.Shape[1] != 0 {
		return fmt.Errorf("input %q of shape %s, weights %q of shape %s: want weights [units,inputs]", x.Name,
			dims(x.Shape), w.Name, dims(w.Shape))
	}
	want := []int{x.elements() / w.Shape[1], w.Shape[0]}
	if o.KeepNumDims {
		last := len(x.Shape) - 1
		if x.Shape[last] != w.Shape[1] {
			return fmt.Errorf("input %q of shape %s: want a last dimension of %d", x.Name, dims(x.Shape), w.Shape[1])
		}
		want = append(slices.Clone(x.Shape[:last]), w.Shape[0])
	}
	if err := s.wantShape(want); err != nil {
		return err
	}
	return s.checkWeights(0)
}

// checkWeights tests types and quantization of an operator with weights as input 1 and a bias as input 2, whose output
// channels are the given axis of the weights.
func (s step) checkWeights(axis int) error {
	x, w := s.in[0], s.in[1]
	var bias *Tensor
	if len(s.in) == 3 {
		bias = s.in[2]
	}
	if err := x.wantType(Float32, Int8); err != nil {
		return err
	}
	// A hybrid operator quantizes its float input itself, to match INT8 weights. Only with one scale for all channels: the kernels outside of
	// XNNPACK answer nonsense with more (TensorFlow Lite 2.20).
	hybrid := s.op.Code == OpFullyConnected && x.Type == Float32 && w.Type == Int8
	if err := s.y.wantType(x.Type); err != nil {
		return err
	}
	if err := w.wantType(x.Type); err != nil && !hybrid {
		return err
	}
	if bias != nil {
		if want := w.Shape[axis]; len(bias.Shape) != 1 || bias.Shape[0] != want {
			return fmt.Errorf("bias %q of shape %s: want [%d]", bias.Name, dims(bias.Shape), want)
		}
		biasType := Float32
		if x.Type == Int8 {
			biasType = Int32
		}
		if err := bias.wantType(biasType); err != nil {
			return err
		}
	}
	if x.Type == Float32 && !hybrid {
		return nil
	}
	if err := w.checkInt8Weights(axis); err != nil {
		return err
	}
	if hybrid && len(w.Quant.Scale) != 1 {
		return fmt.Errorf("weights %q with %d scales: want 1 for a float input", w.Name, len(w.Quant.Scale))
	}
	if bias == nil || hybrid {
		return nil
	}
	return bias.checkInt32Bias(x, w)
}

// checkInt8Weights tests that constant weights are symmetric, and their scales along the axis of the output channels.
func (t *Tensor) checkInt8Weights(axis int) error {
	if t.Data == nil {
		return fmt.Errorf("weights %q: want a constant", t.Name)
	}
	if len(t.Quant.Scale) > 1 && t.Quant.Dimension != axis {
		return fmt.Errorf("weights %q with quantized dimension %d: want %d", t.Name, t.Quant.Dimension, axis)
	}
	for i, zeroPoint := range t.Quant.ZeroPoint {
		if zeroPoint != 0 {
			return fmt.Errorf("weights %q with zero point %d at %d: want 0", t.Name, zeroPoint, i)
		}
	}
	if i := slices.Index(t.Data, 0x80); i >= 0 {
		return fmt.Errorf("weights %q hold -128 at %d: want values in [-127,127]", t.Name, i)
	}
	return nil
}

// checkInt32Bias tests that the bias has a quantization, without which XNNPACK leaves the operator to the slow kernels,
// and that it is in steps of x's scale times that of w.
func (t *Tensor) checkInt32Bias(x, w *Tensor) error {
	if t.Data == nil {
		return fmt.Errorf("bias %q: want a constant", t.Name)
	}
	if t.Quant == nil || len(t.Quant.Scale) != len(w.Quant.Scale) {
		have := 0
		if t.Quant != nil {
			have = len(t.Quant.Scale)
		}
		return fmt.Errorf("bias %q with %d scales: want %d, as weights %q have", t.Name, have, len(w.Quant.Scale), w.Name)
	}
	for i, have := range t.Quant.Scale {
		want := float64(x.Quant.Scale[0]) * float64(w.Quant.Scale[i])
		if math.Abs(float64(have)-want) > biasTolerance*want {
			return fmt.Errorf("bias %q with scale %g at %d: want %g, input scale times weight scale", t.Name, have, i, want)
		}
	}
	return nil
}

// outputSize is the number of positions of a window along one axis; 0 or less if there is none.
func outputSize(p Padding, size, filter, stride, dilation int) int {
	if p == PaddingSame {
		return (size + stride - 1) / stride
	}
	return (size - (filter-1)*dilation - 1 + stride) / stride
}

func checkWindow(p Padding, strideW, strideH int, a Activation) error {
	if p != PaddingSame && p != PaddingValid {
		return fmt.Errorf("padding %s: want SAME or VALID", p)
	}
	if strideW < 1 || strideH < 1 || max(strideW, strideH) > math.MaxInt32 {
		return fmt.Errorf("stride %dx%d: want 1x1 or more", strideW, strideH)
	}
	return a.check()
}

func checkDilation(w, h int) error {
	if w < 0 || h < 0 || max(w, h) > math.MaxInt32 {
		return fmt.Errorf("dilation %dx%d: want 1x1 or more", w, h)
	}
	return nil
}

func (a Activation) check() error {
	if a < ActivationNone || a > ActivationSignBit {
		return fmt.Errorf("activation %s: want one of the schema", a)
	}
	return nil
}

// elements is the product of the shape, which has been tested to be small enough.
func (t *Tensor) elements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}
