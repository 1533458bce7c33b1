package quantize

import (
	"math"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
)

// seenOf gives what was seen of pictures with those maps of n channels.
func seenOf(n int, maps ...[]float32) *Seen {
	s := NewSeen(n)
	for i, values := range maps {
		s.Include(i, values)
	}
	return s
}

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// TestBounds includes values, picture after picture.
func TestBounds(t *testing.T) {
	for _, test := range []struct {
		name      string
		values    [][]float32
		low, high float64
	}{
		{"nothing", nil, 0, 0},
		{"no values", [][]float32{{}}, 0, 0},
		{"0 belongs to a positive range", [][]float32{{3, 5, 4}}, 0, 5},
		{"0 belongs to a negative range", [][]float32{{-3, -5, -4}}, -5, 0},
		{"first and last count", [][]float32{{-7, 1, 9}}, -7, 9},
		{"it only widens", [][]float32{{-2, 8}, {-1, 1}, {-3}, {2}}, -3, 8},
		{"the second half alone", [][]float32{{}, {-2, 8}}, -2, 8},
		{"a value far from the others", [][]float32{{1, 1, 0x1p100}}, 0, 0x1p100},
		{"infinite", [][]float32{{-inf, inf}}, math.Inf(-1), math.Inf(1)},
		{"infinite once", [][]float32{{1, inf}, {2, 3}, {4}}, 0, math.Inf(1)},
	} {
		s := seenOf(1, test.values...)
		low, high := s.Bounds()
		if low != test.low || high != test.high {
			t.Errorf("%s: have %g to %g, want %g to %g", test.name, low, high, test.low, test.high)
		}
		if want := !math.IsInf(test.low, 0) && !math.IsInf(test.high, 0); s.finite() != want {
			t.Errorf("%s: finite is %t", test.name, !want)
		}
	}
}

// TestNaN shows that a NaN is not forgotten, whatever comes after it and wherever it stands.
func TestNaN(t *testing.T) {
	for name, values := range map[string][][]float32{
		"alone":                   {{nan}},
		"first":                   {{nan, 1, 2}},
		"between":                 {{1, nan, 2}},
		"last":                    {{1, 2, nan}},
		"before a lower value":    {{1, nan, -1, -2}},
		"before other pictures":   {{1, nan}, {2}, {3}, {-1}, {0}},
		"in the other half":       {{1}, {nan, 0.5}, {3}, {-1, 0}},
		"after an infinite value": {{inf, nan, 1}},
	} {
		s := seenOf(1, values...)
		if low, _ := s.Bounds(); !math.IsNaN(low) || s.finite() {
			t.Errorf("%s: low is %g, finite %t, want NaN to stay", name, low, s.finite())
		}
	}
}

// TestInclude looks at what each half keeps of each channel.
func TestInclude(t *testing.T) {
	s := seenOf(2,
		[]float32{1, 10, 3, 0, 2, -4}, // three positions
		[]float32{7, 0},
		[]float32{0, 20},
		[]float32{-1, 5, 0, 6},
	)
	want := [2]half{
		{tops: []float32{3, 20}, low: -4, histogram: []histogram{*histogramOf(1, 3, 2, 0), *histogramOf(10, 0, -4, 20)}},
		{tops: []float32{7, 6}, low: -1, histogram: []histogram{*histogramOf(7, -1, 0), *histogramOf(0, 5, 6)}},
	}
	if !reflect.DeepEqual(s.halves, want) {
		t.Errorf("have %+v, want %+v", s.halves, want)
	}
}

// TestIncludeSampled has a value whose range isn't wanted: its means are there, its range isn't, and values that are no numbers
// do no harm.
func TestIncludeSampled(t *testing.T) {
	s := NewSeen(2)
	s.Sampled = true
	for i, values := range [][]float32{{1, 10, 3, 30}, {2, 20}, {inf, nan}, {-inf, 0}} {
		s.Include(i, values)
	}
	if low, high := s.Bounds(); low != 0 || high != 0 {
		t.Errorf("the range is %g to %g, want none", low, high)
	}
	for c, want := range []float64{6.0 / 5, 60.0 / 5} {
		if have := s.means()[c]; math.Abs(have/want-1) > 0.01 {
			t.Errorf("channel %d: mean %g, want %g", c, have, want)
		}
	}
}

// TestMomentsOfSeen compares the figures over both halves with the values themselves. The maps are so small that all positions count.
func TestMomentsOfSeen(t *testing.T) {
	const channels = 3
	r := rand.New(rand.NewPCG(7, 8))
	s, n := NewSeen(channels), 0
	var sum, squares [channels]float64
	for i := range 301 { // not as many for both halves
		values := make([]float32, channels*(1+r.IntN(8)))
		for j := range values {
			if c := j % channels; c > 0 { // channel 0 stays 0
				values[j] = float32(math.Abs(10 * float64(c) * r.NormFloat64()))
				sum[c] += float64(values[j])
				squares[c] += float64(values[j]) * float64(values[j])
			}
		}
		n += len(values) / channels
		s.Include(i, values)
	}
	means, variances, power := s.means(), s.variances(), 0.0
	for c := range channels {
		mean, square := sum[c]/float64(n), squares[c]/float64(n)
		power += square
		if math.Abs(means[c]-mean) > 0.01*mean || math.Abs(variances[c]-square+mean*mean) > 0.02*square {
			t.Errorf("channel %d: mean %g and variance %g, want %g and %g", c, means[c], variances[c], mean, square-mean*mean)
		}
	}
	if math.Abs(s.power()-power) > 0.02*power {
		t.Errorf("power %g, want %g", s.power(), power)
	}
	nothing := NewSeen(2)
	if m, v := nothing.means(), nothing.variances(); m[0] != 0 || v[1] != 0 || nothing.power() != 0 || nothing.channels() != 2 {
		t.Errorf("nothing seen: means %v, variances %v, power %g of %d channels", m, v, nothing.power(), nothing.channels())
	}
}

// TestIncludeSideBySide counts both halves at the same time, and one after the other in either order.
func TestIncludeSideBySide(t *testing.T) {
	const channels, pictures = 5, 40
	r := rand.New(rand.NewPCG(9, 10))
	maps := make([][]float32, pictures)
	for i := range maps {
		maps[i] = spread(r, i%3, channels*14*14)
	}
	include := func(s *Seen, half int) {
		for i := half; i < pictures; i += 2 {
			s.Include(i, maps[i])
		}
	}
	want := seenOf(channels, maps...)
	back, both := NewSeen(channels), NewSeen(channels)
	include(back, 1)
	include(back, 0)
	var wait sync.WaitGroup
	for half := range 2 {
		wait.Go(func() { include(both, half) })
	}
	wait.Wait()
	if !reflect.DeepEqual(back, want) || !reflect.DeepEqual(both, want) {
		t.Error("the order in which the halves are counted changes what was seen")
	}
}

// TestStride shows that every column of a map is met, and how many positions: maxPositions at most, and not less than a quarter of that.
func TestStride(t *testing.T) {
	for _, side := range []int{1, 3, 5, 6, 7, 12, 14, 16, 24, 28, 32, 48, 56, 64, 80, 112, 128, 256} {
		positions := side * side
		step := stride(positions)
		if step < 1 || divisor(step, positions) != 1 {
			t.Fatalf("%d positions: stride %d has a common divisor", positions, step)
		}
		columns, met := make([]bool, side), 0
		for p := 0; p < positions; p += step {
			columns[p%side] = true
			met++
		}
		if met > maxPositions+1 || met < min(positions, maxPositions/4) {
			t.Errorf("%d positions: %d are met, want at most %d", positions, met, maxPositions)
		}
		missed := 0
		for _, c := range columns {
			if !c {
				missed++
			}
		}
		if side <= maxPositions/2 && missed > 0 {
			t.Errorf("%d positions: %d of %d columns are never met", positions, missed, side)
		}
	}
	if stride(0) < 1 {
		t.Errorf("no positions: stride %d", stride(0))
	}
}

func TestIncludeAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes allocations")
	}
	values := spread(rand.New(rand.NewPCG(11, 12)), 1, 64*28*28)
	s, i := NewSeen(64), 0
	if n := testing.AllocsPerRun(20, func() {
		s.Include(i, values)
		i++
	}); n != 0 {
		t.Errorf("%g allocations a picture, want none", n)
	}
}

// BenchmarkInclude counts a picture's map of inception_3a/output at 224 pixels, and of the first convolution.
func BenchmarkInclude(b *testing.B) {
	for name, shape := range map[string][2]int{"28x28x256": {28, 256}, "112x112x64": {112, 64}} {
		b.Run(name, func(b *testing.B) {
			values := spread(rand.New(rand.NewPCG(13, 14)), 1, shape[0]*shape[0]*shape[1])
			seen, i := NewSeen(shape[1]), 0
			b.SetBytes(int64(4 * len(values)))
			b.ReportAllocs()
			for b.Loop() {
				seen.Include(i, values)
				i++
			}
		})
	}
}
