package quantize

import (
	"math"
	"slices"
)

// Seen is what calibration saw of a value: of each channel how large it became, and how its values are spread. It keeps the first,
// third, fifth … picture apart from the others, so that what is chosen after one half of the pictures can be judged on the
// other half. No value is left out, also none far from the others; after a NaN nothing is of use any more, which Choose says.
type Seen struct {
	// Sampled says that the value's range is that of another one, and only its means are wanted: not all positions are looked at.
	Sampled bool

	halves [2]half
}

// half is what half of the pictures gave, by channel.
type half struct {
	tops      []float32 // the largest value, 0 or above
	histogram []histogram
	low       float32
}

// maxPositions is about how many positions of a map go into the histograms, for each picture. The largest values are looked for at all of
// them.
const maxPositions = 16

// NewSeen is for a value with n channels.
func NewSeen(n int) *Seen {
	s := &Seen{}
	for i := range s.halves {
		s.halves[i] = half{tops: make([]float32, n), histogram: make([]histogram, n)}
	}
	return s
}

// Include counts the values of a map, [positions, channels], that a picture gave. Pictures are numbered from 0: the even ones are
// one half, the odd ones the other. Two goroutines may count at the same time, one for each half.
func (s *Seen) Include(picture int, values []float32) {
	h := &s.halves[picture%2]
	n := len(h.tops)
	if !s.Sampled && !h.bound(values) {
		return // of no use any more
	}
	step := n * stride(len(values)/n)
	for c := range h.histogram { // channel by channel: one histogram fits the nearest cache, all of them don't
		for p := c; p < len(values); p += step {
			h.histogram[c].include(values[p])
		}
	}
}

// bound widens the range, and says whether it is finite.
func (h *half) bound(values []float32) bool {
	n, low, tops := len(h.tops), h.low, h.tops
	for p := 0; p+n <= len(values); p += n {
		row := values[p : p+n]
		for c := range tops {
			// As bits, the floats from 0 up are in order, and behind them come NaN and the negative ones: one comparison tells that a
			// value is nothing new, as nearly all are.
			v := row[c]
			if math.Float32bits(v) <= math.Float32bits(tops[c]) {
				continue
			}
			if v > tops[c] {
				tops[c] = v
			} else if !(v >= low) && low == low { // nothing is lower than NaN
				low = v // a NaN too, for good
			}
		}
	}
	h.low = low
	return low == low && !math.IsInf(float64(low), 0) && !math.IsInf(float64(slices.Max(tops)), 0)
}

// Bounds gives the smallest and the largest value, 0 included.
func (s *Seen) Bounds() (low, high float64) {
	for i := range s.halves {
		low = min(low, float64(s.halves[i].low))
		high = max(high, float64(slices.Max(s.halves[i].tops)))
	}
	return low, high
}

// stride is how many positions of a map lie between two that are counted: a number without a common divisor with that of all, so
// that not always the same columns are met.
func stride(positions int) int {
	step := positions/maxPositions + 1
	for divisor(step, positions) > 1 {
		step++
	}
	return step
}

// divisor is the greatest common one.
func divisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// finite says whether all values were.
func (s *Seen) finite() bool {
	low, high := s.Bounds()
	return low >= -math.MaxFloat32 && high <= math.MaxFloat32
}

// channels is their number.
func (s *Seen) channels() int { return len(s.halves[0].tops) }

// moments gives the mean of a channel's values and that of their squares, over both halves; 0 if there are none.
func (s *Seen) moments(c int) (mean, square float64) {
	n0, m0, q0 := s.halves[0].histogram[c].moments()
	n1, m1, q1 := s.halves[1].histogram[c].moments()
	n := n0 + n1
	if n == 0 {
		return 0, 0
	}
	return (n0*m0 + n1*m1) / n, (n0*q0 + n1*q1) / n
}

// means gives the mean of each channel.
func (s *Seen) means() []float64 {
	out := make([]float64, s.channels())
	for c := range out {
		out[c], _ = s.moments(c)
	}
	return out
}

// variances gives each channel's.
func (s *Seen) variances() []float64 {
	out := make([]float64, s.channels())
	for c := range out {
		mean, square := s.moments(c)
		out[c] = max(square-mean*mean, 0)
	}
	return out
}

// power gives the sum over the channels of the mean square.
func (s *Seen) power() float64 {
	sum := 0.0
	for c := range s.channels() {
		_, square := s.moments(c)
		sum += square
	}
	return sum
}
