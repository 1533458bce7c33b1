package quantize

import (
	"math"
	"math/rand/v2"
	"testing"
)

// histogramOf counts the values.
func histogramOf(values ...float32) *histogram {
	h := &histogram{}
	for _, v := range values {
		h.include(v)
	}
	return h
}

// checkCounts compares the histogram with the values that it has counted: the number in each bin of its width, and that the largest lies in
// the upper half.
func checkCounts(t *testing.T, name string, h *histogram, values []float32) {
	t.Helper()
	want, rest, largest := [numBins]uint32{}, uint64(0), float32(0)
	for _, v := range values {
		if v <= 0 {
			rest++
			continue
		}
		largest = max(largest, v)
		if i := int(float64(v) / h.width); i < numBins {
			want[i]++
		} else {
			t.Fatalf("%s: %g is beyond %d bins of %g", name, v, numBins, h.width)
		}
	}
	if h.count != want || h.rest != rest {
		t.Errorf("%s: have %v and %d of 0 or below, want %v and %d", name, h.count, h.rest, want, rest)
	}
	if largest > 0x1p-110 && float64(largest) < numBins/2*h.width {
		t.Errorf("%s: the largest value, %g, lies in the lower half of %d bins of %g", name, largest, numBins, h.width)
	}
}

func TestHistogramCounts(t *testing.T) {
	for _, test := range []struct {
		name   string
		values []float32
		width  float64
	}{
		{"nothing", nil, 0},
		{"nothing above 0", []float32{0, -1, -math.MaxFloat32, 0}, 0},
		{"one", []float32{1}, 2.0 / 256},
		{"the same again", []float32{3, 3, 3}, 4.0 / 256},
		{"at the edge of a bin", []float32{1, 1.0078125, 1.0078124, 0.5}, 2.0 / 256},
		{"just inside", []float32{1, 1.9999999}, 2.0 / 256},
		{"one doubling", []float32{1, 2, 0.5}, 4.0 / 256},
		{"many doublings", []float32{1, 1.5, 0.01, 1000, 3, 0}, 1024.0 / 256},
		{"falling", []float32{1000, 100, 10, 1, 0.1, 0.01, 0}, 1024.0 / 256},
		{"far apart", []float32{1e-30, 1e30}, 0x1p100 / 256},
		{"the largest float32", []float32{1, math.MaxFloat32}, 0x1p128 / 256},
		{"the largest first", []float32{math.MaxFloat32, math.SmallestNonzeroFloat32}, 0x1p128 / 256},
	} {
		h := histogramOf(test.values...)
		if h.width != test.width {
			t.Errorf("%s: bins of %g, want %g", test.name, h.width, test.width)
		}
		checkCounts(t, test.name, h, test.values)
	}
}

// TestHistogramTiny shows that values whose bins float32 has no inverse for are counted all the same, and others after them.
func TestHistogramTiny(t *testing.T) {
	values := []float32{math.SmallestNonzeroFloat32, 0x1p-140, 0x1p-127, 0x1p-119, 0x1p-118}
	for n := range values {
		checkCounts(t, "tiny", histogramOf(values[:n+1]...), values[:n+1])
	}
	values = append(values, 0, 1, 2)
	checkCounts(t, "tiny before others", histogramOf(values...), values)
}

// spread gives random values of a kind that layers have: some zeros, and the rest uniform, normal or with a long tail.
func spread(r *rand.Rand, kind, n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		switch {
		case r.IntN(3) == 0:
		case kind == 0:
			values[i] = float32(3 * r.Float64())
		case kind == 1:
			values[i] = float32(math.Abs(50 * r.NormFloat64()))
		default:
			values[i] = float32(0.01 * r.ExpFloat64())
		}
	}
	return values
}

func TestHistogramRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for kind := range 3 {
		values := spread(r, kind, 5000)
		checkCounts(t, "random", histogramOf(values...), values)
	}
}

// TestMoments compares with the values themselves: each may lie half a bin beside the bin's middle.
func TestMoments(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for kind := range 3 {
		values := spread(r, kind, 5000)
		h := histogramOf(values...)
		mean, square := 0.0, 0.0
		for _, v := range values {
			mean += float64(v) / float64(len(values))
			square += float64(v) * float64(v) / float64(len(values))
		}
		n, m, q := h.moments()
		if n != float64(len(values)) || math.Abs(m-mean) > h.width/2 {
			t.Errorf("kind %d: %g values with mean %g, want %d and %g within %g", kind, n, m, len(values), mean, h.width/2)
		}
		if bound := h.width * (mean + h.width/4); math.Abs(q-square) > bound { // |v*v - w*w| <= width*v + width^2/4 for |v-w| <= width/2
			t.Errorf("kind %d: mean square %g, want %g within %g", kind, q, square, bound)
		}
	}
	if n, m, q := (&histogram{}).moments(); n != 0 || m != 0 || q != 0 {
		t.Errorf("nothing seen: %g values, mean %g, mean square %g", n, m, q)
	}
	if n, m, q := histogramOf(0, -3, 0).moments(); n != 3 || m != 0 || q != 0 {
		t.Errorf("nothing above 0: %g values, mean %g, mean square %g", n, m, q)
	}
}

// TestNoise compares with the mean squared error of values that are in fact rounded to one of 256 steps.
func TestNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for kind := range 3 {
		values := spread(r, kind, 100_000)
		h := histogramOf(values...)
		largest := 0.0
		for _, v := range values {
			largest = max(largest, float64(v))
		}
		for _, part := range []float64{0.1, 0.3, 0.6, 0.9, 1, 1.5, 4} {
			high, want := part*largest, 0.0
			step := high / 255
			for _, v := range values {
				e := min(math.RoundToEven(float64(v)/step), 255)*step - float64(v)
				want += e * e / float64(len(values))
			}
			if have := h.noise(high); math.Abs(have/want-1) > 0.06 {
				t.Errorf("kind %d, %g of the largest: %g, want %g within 6 %%", kind, part, have, want)
			}
		}
	}
	if have := (&histogram{}).noise(1); have != 0 {
		t.Errorf("nothing seen: noise %g", have)
	}
	if have := histogramOf(0, 0, -1).noise(1); have != 0 {
		t.Errorf("nothing above 0: noise %g", have)
	}
	if have := histogramOf(0, 0, 0, 1).noise(255); math.Abs(have-1.0/12/4) > 1e-12 {
		t.Errorf("one of four values: noise %g, want a quarter of a twelfth", have)
	}
}
