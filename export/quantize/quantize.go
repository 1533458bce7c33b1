// Package quantize chooses the numbers of an int8 network: ranges of activations from what they were seen to be, scales and
// zero points, weights for each output channel, biases. The rules are those of TensorFlow Lite's quantization
// specification: a real value is (q - zero point) * scale; activations are int8 with one scale for a tensor, weights int8 in
// [-127, 127] with zero point 0 and one scale for each output channel, biases int32 with scale input * weight.
//
// It runs no network and writes no file.
package quantize

import (
	"fmt"
	"math"
)

// Params gives the values of an int8 activation: (q - ZeroPoint) * Scale.
type Params struct {
	Scale     float32
	ZeroPoint int // -128 to 127
}

// minSpan is the smallest range that an activation is believed to have. A layer that never answered anything but 0 gets
// deadSpan instead: steps so small that input * weight / output passes 256 are more than XNNPACK's kernels can do.
const (
	minSpan  = 1e-6
	deadSpan = 1.0
)

// Activation gives the parameters that spread int8 over [low, high], which must be finite. The range is widened to hold 0,
// which padding and ReLU need to be exact, and one narrower than minSpan to deadSpan. The zero point is rounded to a whole number, so that
// what int8 can hold may begin and end up to half a step beside low and high.
func Activation(low, high float64) Params {
	low, high = min(low, 0), max(high, 0)
	if high-low < minSpan {
		high = low + deadSpan
	}
	scale := (high - low) / 255
	return Params{Scale: float32(scale), ZeroPoint: int(math.RoundToEven(-128 - low/scale))}
}

// Layer is a convolution or fully connected layer in int8.
type Layer struct {
	Weights []int8    // as the float weights are laid out: output channel first
	Scales  []float32 // one for each output channel
	Bias    []int32   // scale: the input's times the channel's
}

// Bounds of a layer's numbers.
const (
	// maxBias bounds a quantized bias, but for the rounding of its scale, so that adding the products to it can't leave
	// int32: a product is at most 127*255, and no layer has 2^30/(127*255), some 33,000, weights a channel.
	maxBias = 1 << 30

	// minScale is the smallest scale of a channel, well above the subnormal numbers, which kernels may take for 0.
	minScale = 0x1p-125
)

// Weights quantizes a layer: each output channel's largest weight becomes 127 or -127. weights holds len(bias) channels one
// after the other; input is the scale of the layer's input. A channel whose bias would pass 2^30 gets a larger scale, as
// does one whose weights are all 0. Weights, biases and input must be finite.
func Weights(weights, bias []float32, input float32) (Layer, error) {
	if len(bias) == 0 || len(weights)%len(bias) != 0 {
		return Layer{}, fmt.Errorf("quantize weights: want as many for each channel, have %d weights for %d channels",
			len(weights), len(bias))
	}
	if !(input > 0 && input <= math.MaxFloat32) {
		return Layer{}, fmt.Errorf("quantize weights: want an input scale above 0 and finite, have %g", input)
	}
	n := len(weights) / len(bias)
	l := Layer{
		Weights: make([]int8, len(weights)),
		Scales:  make([]float32, len(bias)),
		Bias:    make([]int32, len(bias)),
	}
	for o, b := range bias {
		channel := weights[o*n : (o+1)*n]
		largest := 0.0
		for _, w := range channel {
			largest = max(largest, math.Abs(float64(w)))
		}
		scale := float32(max(largest/127, math.Abs(float64(b))/float64(input)/maxBias, minScale))
		if !(scale <= math.MaxFloat32) {
			return Layer{}, fmt.Errorf("quantize weights: channel %d: want a finite scale, "+
				"have %g for the largest weight %g and the bias %g", o, scale, largest, b)
		}
		for i, w := range channel {
			l.Weights[o*n+i] = int8(math.RoundToEven(float64(w) / float64(scale)))
		}
		l.Scales[o] = scale
		l.Bias[o] = int32(math.RoundToEven(float64(b) / (float64(input) * float64(scale))))
	}
	return l, nil
}
