package tflitefile

import (
	"fmt"
	"strings"

	flatbuffers "github.com/google/flatbuffers/go"
)

// Options are an operator's settings. The types in this package are the only ones; they are used as values.
type Options interface {
	// String gives the settings on one line, for Dump.
	String() string
	// union is the type's number in the schema's union BuiltinOptions.
	union() byte
	// write adds the table and returns its offset.
	write(b builder) flatbuffers.UOffsetT
}

// Conv2DOptions are for CONV_2D. A dilation of 0 is written as 1.
type Conv2DOptions struct {
	Padding              Padding
	StrideW, StrideH     int
	Activation           Activation
	DilationW, DilationH int
}

// DepthwiseConv2DOptions are for DEPTHWISE_CONV_2D. A dilation of 0 is written as 1. DepthMultiplier is the number of
// output channels per input channel; today's kernels ignore it and take it from the shapes.
type DepthwiseConv2DOptions struct {
	Padding              Padding
	StrideW, StrideH     int
	DepthMultiplier      int
	Activation           Activation
	DilationW, DilationH int
}

// Pool2DOptions are for MAX_POOL_2D and AVERAGE_POOL_2D. A padded cell counts neither for the maximum nor for the
// average.
type Pool2DOptions struct {
	Padding                   Padding
	StrideW, StrideH          int
	FilterWidth, FilterHeight int
	Activation                Activation
}

// ConcatenationOptions are for CONCATENATION. Axis may count from the end, -1 is the last; Activation has to be
// ActivationNone.
type ConcatenationOptions struct {
	Axis       int
	Activation Activation
}

// FullyConnectedOptions are for FULLY_CONNECTED. KeepNumDims keeps the input's leading axes in the output, which
// otherwise is [batch, units]. AsymmetricQuantizeInputs is for a float input with INT8 weights: the kernel then quantizes each row of
// the input to 8 bits with a zero point, instead of around 0.
type FullyConnectedOptions struct {
	Activation               Activation
	KeepNumDims              bool
	AsymmetricQuantizeInputs bool
}

// SoftmaxOptions are for SOFTMAX: exp(Beta*x) divided by its sum along the last axis. Beta is 1 for the usual one.
type SoftmaxOptions struct {
	Beta float32
}

// ReducerOptions are for MEAN. KeepDims leaves the reduced axes in the output with length 1.
type ReducerOptions struct {
	KeepDims bool
}

// ReshapeOptions are for RESHAPE; the operator's second input, an INT32 constant, says the same.
type ReshapeOptions struct {
	NewShape []int
}

// SpaceToDepthOptions are for SPACE_TO_DEPTH: each block of BlockSize by BlockSize pixels becomes one pixel with as many times the channels,
// those of the first row first.
type SpaceToDepthOptions struct {
	BlockSize int
}

// PadOptions are for PAD: it has no settings, the widths are its second input.
type PadOptions struct{}

// PadV2Options are for PADV2, which has the value to pad with as its third input.
type PadV2Options struct{}

// AddOptions are for ADD.
type AddOptions struct {
	Activation Activation
}

// SubOptions are for SUB.
type SubOptions struct {
	Activation Activation
}

// MulOptions are for MUL.
type MulOptions struct {
	Activation Activation
}

// LocalResponseNormalizationOptions are for LOCAL_RESPONSE_NORMALIZATION:
// x / (Bias + Alpha*sum of x*x over the channels at most Radius away)^Beta. Caffe's alpha is divided by the window's
// 2*Radius+1 channels, this one is not.
type LocalResponseNormalizationOptions struct {
	Radius            int
	Bias, Alpha, Beta float32
}

// QuantizeOptions are for QUANTIZE: it has no settings, and the options may be nil.
type QuantizeOptions struct{}

// DequantizeOptions are for DEQUANTIZE: it has no settings, and the options may be nil.
type DequantizeOptions struct{}

// The numbers in the union BuiltinOptions.
const (
	unionConv2D                     = 1
	unionDepthwiseConv2D            = 2
	unionPool2D                     = 5
	unionFullyConnected             = 8
	unionSoftmax                    = 9
	unionConcatenation              = 10
	unionAdd                        = 11
	unionLocalResponseNormalization = 13
	unionReshape                    = 17
	unionSpaceToDepth               = 19
	unionMul                        = 21
	unionPad                        = 22
	unionReducer                    = 27
	unionSub                        = 28
	unionDequantize                 = 38
	unionPadV2                      = 43
	unionQuantize                   = 89
)

func (Conv2DOptions) union() byte                     { return unionConv2D }
func (DepthwiseConv2DOptions) union() byte            { return unionDepthwiseConv2D }
func (Pool2DOptions) union() byte                     { return unionPool2D }
func (FullyConnectedOptions) union() byte             { return unionFullyConnected }
func (SoftmaxOptions) union() byte                    { return unionSoftmax }
func (ConcatenationOptions) union() byte              { return unionConcatenation }
func (AddOptions) union() byte                        { return unionAdd }
func (LocalResponseNormalizationOptions) union() byte { return unionLocalResponseNormalization }
func (ReshapeOptions) union() byte                    { return unionReshape }
func (SpaceToDepthOptions) union() byte               { return unionSpaceToDepth }
func (MulOptions) union() byte                        { return unionMul }
func (PadOptions) union() byte                        { return unionPad }
func (ReducerOptions) union() byte                    { return unionReducer }
func (SubOptions) union() byte                        { return unionSub }
func (DequantizeOptions) union() byte                 { return unionDequantize }
func (PadV2Options) union() byte                      { return unionPadV2 }
func (QuantizeOptions) union() byte                   { return unionQuantize }

// String gives the settings on one line.
func (o Conv2DOptions) String() string {
	return window(o.Padding, o.StrideW, o.StrideH) + dilated(o.DilationW, o.DilationH) + activated(o.Activation)
}

// String gives the settings on one line.
func (o DepthwiseConv2DOptions) String() string {
	return fmt.Sprintf("%s multiplier %d%s%s", window(o.Padding, o.StrideW, o.StrideH), o.DepthMultiplier,
		dilated(o.DilationW, o.DilationH), activated(o.Activation))
}

// String gives the settings on one line.
func (o Pool2DOptions) String() string {
	return fmt.Sprintf("%s filter %dx%d%s", window(o.Padding, o.StrideW, o.StrideH), o.FilterWidth, o.FilterHeight,
		activated(o.Activation))
}

// String gives the settings on one line.
func (o ConcatenationOptions) String() string {
	return fmt.Sprintf("axis %d%s", o.Axis, activated(o.Activation))
}

// String gives the settings on one line.
func (o FullyConnectedOptions) String() string {
	text := ""
	if o.KeepNumDims {
		text += " keep_num_dims"
	}
	if o.AsymmetricQuantizeInputs {
		text += " asymmetric_quantize_inputs"
	}
	return strings.TrimPrefix(text+activated(o.Activation), " ")
}

// String gives the settings on one line.
func (o SoftmaxOptions) String() string { return fmt.Sprintf("beta %g", o.Beta) }

// String gives the settings on one line.
func (o ReducerOptions) String() string {
	if o.KeepDims {
		return "keep_dims"
	}
	return ""
}

// String gives the settings on one line.
func (o ReshapeOptions) String() string { return "new_shape " + dims(o.NewShape) }

// String gives the settings on one line.
func (o SpaceToDepthOptions) String() string { return fmt.Sprintf("block_size %d", o.BlockSize) }

// String is empty.
func (PadOptions) String() string { return "" }

// String is empty.
func (PadV2Options) String() string { return "" }

// String is empty.
func (QuantizeOptions) String() string { return "" }

// String is empty.
func (DequantizeOptions) String() string { return "" }

// String gives the settings on one line.
func (o AddOptions) String() string { return strings.TrimPrefix(activated(o.Activation), " ") }

// String gives the settings on one line.
func (o SubOptions) String() string { return strings.TrimPrefix(activated(o.Activation), " ") }

// String gives the settings on one line.
func (o MulOptions) String() string { return strings.TrimPrefix(activated(o.Activation), " ") }

// String gives the settings on one line.
func (o LocalResponseNormalizationOptions) String() string {
	return fmt.Sprintf("radius %d bias %g alpha %g beta %g", o.Radius, o.Bias, o.Alpha, o.Beta)
}

func window(p Padding, strideW, strideH int) string {
	return fmt.Sprintf("%s stride %dx%d", p, strideW, strideH)
}

func dilated(w, h int) string {
	if w <= 1 && h <= 1 {
		return ""
	}
	return fmt.Sprintf(" dilation %dx%d", w, h)
}

func activated(a Activation) string {
	if a == ActivationNone {
		return ""
	}
	return " " + a.String()
}

func dims(shape []int) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", ",")
}
