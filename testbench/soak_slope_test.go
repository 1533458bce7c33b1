package testbench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// slopeBlocks are what a series is cut into: the values of seconds that follow each other are alike, the medians of longer times less so. And a
// large picture on its way is of no consequence to a median.
const slopeBlocks = 20

// Student's t for slopeBlocks-2 degrees of freedom, two-sided.
const (
	student95  = 2.101
	student999 = 3.922
)

// slope is how fast a series grows.
type slope struct {
	perHour float64
	spread  float64 // standard error
}

// slopeOf fits a line to the medians of blocks of a series of values that were taken at equal distances over a time. Where the medians are still
// alike from one to the next, the standard error is made larger by as much (as if there were fewer of them).
func slopeOf(values []float64, over time.Duration) slope {
	middles := make([]float64, slopeBlocks)
	for i := range middles {
		middles[i] = median(values[i*len(values)/slopeBlocks : (i+1)*len(values)/slopeBlocks])
	}
	hours := over.Hours() / slopeBlocks // between two medians
	var x, y float64
	for i, m := range middles {
		x, y = x+float64(i)*hours/slopeBlocks, y+m/slopeBlocks
	}
	var xx, xy float64
	for i, m := range middles {
		d := float64(i)*hours - x
		xx, xy = xx+d*d, xy+d*(m-y)
	}
	s := slope{perHour: xy / xx}
	residuals := make([]float64, slopeBlocks)
	var squares, neighbours float64
	for i, m := range middles {
		residuals[i] = m - y - s.perHour*(float64(i)*hours-x)
		squares += residuals[i] * residuals[i]
		if i > 0 {
			neighbours += residuals[i] * residuals[i-1]
		}
	}
	alike := 0.0
	if squares > 0 {
		// A line through so few points takes a part of what they have in common: 2/slopeBlocks or so is missing.
		alike = min(max(neighbours/squares+2.0/slopeBlocks, 0), 0.95)
	}
	s.spread = math.Sqrt(squares/(slopeBlocks-2)/xx) * math.Sqrt((1+alike)/(1-alike))
	return s
}

// between are the bounds of the slope by a t of Student's.
func (s slope) between(student float64) (lo, hi float64) {
	return s.perHour - student*s.spread, s.perHour + student*s.spread
}

// flat says whether 0 is among what the slope may be at 95 %.
func (s slope) flat() bool {
	lo, hi := s.between(student95)
	return lo <= 0 && hi >= 0
}

func (s slope) String() string {
	lo, hi := s.between(student95)
	return fmt.Sprintf("%+.2f (%+.2f to %+.2f)", s.perHour, lo, hi)
}

// TestSlope has the slope of made-up series found: of a leak within its bounds, and of none, with values that hang on the ones before,
// no leak more often than 1 in 10.
func TestSlope(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n, series = 1200, 400
	for _, leak := range []float64{0, 6, -6} { // MB an hour
		hit, flat := 0, 0
		for range series {
			values, wander := make([]float64, n), 0.0
			for i := range values {
				wander = 0.95*wander + 0.1*rng.NormFloat64()
				values[i] = 60 + leak*float64(i)/3600 + wander
			}
			s := slopeOf(values, n*time.Second)
			if lo, hi := s.between(student95); lo <= leak && leak <= hi {
				hit++
			}
			if s.flat() {
				flat++
			}
		}
		if hit < series*90/100 {
			t.Errorf("a leak of %v MB an hour: want it within the bounds 9 times in 10, have %d of %d", leak, hit, series)
		}
		if leak != 0 && flat > series/100 {
			t.Errorf("a leak of %v MB an hour: want it found, %d of %d are flat", leak, flat, series)
		}
	}
}
