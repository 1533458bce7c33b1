package quantize

import "math"

// numBins is the number of bins of a channel's histogram.
const numBins = 256

// histogram counts a channel's values above 0 in numBins bins of equal width, from 0 up. The width doubles whenever a value lies
// beyond the last bin, so that no range need be known before: the largest value lies in the upper half, and is known to 1 %. Its
// zero value has seen nothing.
type histogram struct {
	width   float64 // of a bin, a power of 2; 0 as long as nothing above 0 was seen
	inverse float32 // 1/width
	count   [numBins]uint32
	rest    uint64 // values that were 0, below, or no finite number
}

// include counts a value. One that is no finite number counts as 0: the range of its layer tells of it.
func (h *histogram) include(v float32) {
	if !(v > 0 && v <= math.MaxFloat32) {
		h.rest++
		return
	}
	if h.width == 0 {
		_, exponent := math.Frexp(float64(v))
		h.setWidth(math.Ldexp(1, exponent) / numBins)
	}
	for v*h.inverse >= numBins { // exact: the inverse is a power of 2
		h.double()
	}
	h.count[int32(v*h.inverse)]++
}

func (h *histogram) setWidth(width float64) {
	h.width, h.inverse = width, float32(1/width)
}

// double makes each bin twice as wide.
func (h *histogram) double() {
	for i := range numBins / 2 {
		h.count[i] = h.count[2*i] + h.count[2*i+1]
	}
	clear(h.count[numBins/2:])
	h.setWidth(2 * h.width)
}

// moments gives the number of values, their mean and the mean of their squares, each value taken for the middle of its bin.
func (h *histogram) moments() (n, mean, square float64) {
	n = float64(h.rest)
	for i, c := range h.count {
		v := (float64(i) + 0.5) * h.width
		n += float64(c)
		mean += float64(c) * v
		square += float64(c) * v * v
	}
	if n == 0 {
		return 0, 0, 0
	}
	return n, mean / n, square / n
}

// noise is the mean squared error that a value gets when 255 steps reach from 0 to high: that of rounding, a twelfth of the step's
// square, for what is above 0, and the square of what a value beyond high loses. 0 is exact.
func (h *histogram) noise(high float64) float64 {
	step := high / 255
	n, sum := float64(h.rest), 0.0
	for i, c := range h.count {
		if c == 0 {
			continue
		}
		n += float64(c)
		if beyond := (float64(i)+0.5)*h.width - high; beyond > 0 {
			sum += float64(c) * beyond * beyond
		} else {
			sum += float64(c) * step * step / 12
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}
