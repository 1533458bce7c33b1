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

// Input says what a layer reads.
type Input struct {
	Scale float32   // of the tensor
	Means []float64 // of each channel on the calibration pictures, as real values; nil: not known
}

// Weights quantizes a layer: each output channel's largest weight becomes 127 or -127. weights holds len(bias) channels one
// after the other, each [taps, channels of the input], where taps is the number of the kernel's places. They are rounded as round
// says. Where the means of the input are known, the bias takes up what the rounding of weights adds to the output on average (bias
// correction, Nagel et al. 2019, arXiv:1906.04721, section 4.2):
//
//	b' = b - sum (rounded w - w) * mean of w's input channel
//
// A channel whose bias would pass 2^30 gets a larger scale, as does one whose weights are all 0. Weights, biases and the input
// must be finite.
func Weights(weights, bias []float32, taps int, in Input) (Layer, error) {
	if !(in.Scale > 0 && in.Scale <= math.MaxFloat32) {
		return Layer{}, fmt.Errorf("quantize weights: want an input scale above 0 and finite, have %g", in.Scale)
	}
	least := make([]float64, len(bias))
	for o, b := range bias {
		least[o] = math.Abs(float64(b)) / float64(in.Scale) / maxBias
	}
	q, scales, err := rows(weights, len(bias), taps, least)
	if err != nil {
		return Layer{}, err
	}
	l := Layer{Weights: q, Scales: scales, Bias: make([]int32, len(bias))}
	n := len(weights) / len(bias)
	for o, b := range bias {
		corrected := float64(b) - drift(q[o*n:(o+1)*n], weights[o*n:(o+1)*n], scales[o], in.Means)
		whole := math.RoundToEven(corrected / (float64(in.Scale) * float64(scales[o])))
		l.Bias[o] = int32(min(max(whole, -maxBias), maxBias))
	}
	return l, nil
}

// Rows quantizes the weights of a layer whose input and bias stay float: weights is [len(bias), inputs]. bias is corrected for the means as
// Weights does.
func Rows(weights, bias []float32, means []float64) (q []int8, scales, corrected []float32, err error) {
	q, scales, err = rows(weights, len(bias), 1, make([]float64, len(bias)))
	if err != nil {
		return nil, nil, nil, err
	}
	corrected = make([]float32, len(bias))
	n := len(weights) / len(bias)
	for o, b := range bias {
		corrected[o] = float32(float64(b) - drift(q[o*n:(o+1)*n], weights[o*n:(o+1)*n], scales[o], means))
	}
	return q, scales, corrected, nil
}

// rows quantizes each of the channels, with a scale of at least least.
func rows(weights []float32, channels, taps int, least []float64) (q []int8, scales []float32, err error) {
	if channels == 0 || taps < 1 || len(weights)%(channels*taps) != 0 {
		return nil, nil, fmt.Errorf("quantize weights: want as many for each channel and tap, have %d weights for %d channels of %d taps",
			len(weights), channels, taps)
	}
	n := len(weights) / channels
	q, scales = make([]int8, len(weights)), make([]float32, channels)
	for o := range channels {
		channel := weights[o*n : (o+1)*n]
		largest := 0.0
		for _, w := range channel {
			largest = max(largest, math.Abs(float64(w)))
		}
		scale := float32(max(largest/127, least[o], minScale))
		if !(scale <= math.MaxFloat32) {
			return nil, nil, fmt.Errorf("quantize weights: channel %d: want a finite scale, have %g for the largest weight %g", o, scale, largest)
		}
		round(q[o*n:(o+1)*n], channel, scale, taps)
		scales[o] = scale
	}
	return q, scales, nil
}

// drift is what the rounding of a channel's weights adds to its output on average.
func drift(q []int8, weights []float32, scale float32, means []float64) float64 {
	if means == nil {
		return 0
	}
	sum := 0.0
	for i, w := range weights {
		sum += (float64(q[i])*float64(scale) - float64(w)) * means[i%len(means)]
	}
	return sum
}
