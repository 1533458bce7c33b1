package quantize

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRoundOneTap shows that a layer without kernels is rounded weight by weight, halves to the even number.
func TestRoundOneTap(t *testing.T) {
	weights := []float32{0, 1, -1, 2.5, 3.5, -2.5, 126.4, -126.6, 127, -127, 0.49, 0.51}
	want := []int8{0, 1, -1, 2, 4, -2, 126, -127, 127, -127, 0, 1}
	have := make([]int8, len(weights))
	round(have, weights, 1, 1)
	if !slices.Equal(have, want) {
		t.Errorf("have %v, want %v", have, want)
	}
}

// TestRound draws kernels: each weight must become one of its two neighbours within [-127, 127], and each kernel's sum be off by half a
// step at most.
func TestRound(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for _, taps := range []int{2, 9, 16, 25, 49} {
		turned := 0
		for range 300 {
			inputs := 1 + r.IntN(5)
			weights, largest := make([]float32, taps*inputs), 0.0
			for i := range weights {
				weights[i] = float32(r.NormFloat64())
				largest = max(largest, math.Abs(float64(weights[i])))
			}
			if r.IntN(2) == 0 {
				largest *= 3 // a scale that is enlarged for the bias
			}
			q, scale := make([]int8, len(weights)), float32(largest/127)
			round(q, weights, scale, taps)
			sums := make([]float64, inputs)
			for i, w := range weights {
				e := float64(q[i]) - float64(w)/float64(scale)
				if q[i] < -127 || math.Abs(e) > 1+1e-4 {
					t.Fatalf("%d taps: weight %g of scale %g became %d", taps, w, scale, q[i])
				}
				if math.Abs(e) > 0.5+1e-4 {
					turned++
				}
				sums[i%inputs] += e
			}
			for i, sum := range sums {
				if math.Abs(sum) > 0.5+1e-9 {
					t.Fatalf("%d taps: the sum of kernel %d is off by %g steps, want half a step at most", taps, i, sum)
				}
			}
		}
		if turned == 0 {
			t.Errorf("%d taps: no weight was rounded the other way", taps)
		}
	}
}

// TestRoundLeast compares with all ways to round kernels of few weights: of those whose sum is off by half a step at most, the one with the
// fewest weights that don't go to the nearest step, and of these the one with the least squared error.
func TestRoundLeast(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	for range 500 {
		weights := make([]float32, 2+r.IntN(7))
		for i := range weights {
			weights[i] = float32(20 * r.NormFloat64())
		}
		q := make([]int8, len(weights))
		round(q, weights, 1, len(weights))
		haveTurned, haveError := 0, 0.0
		nearest := make([]float64, len(weights))
		for i, w := range weights {
			nearest[i] = math.RoundToEven(float64(w)) - float64(w)
			e := float64(q[i]) - float64(w)
			haveError += e * e
			if math.Abs(e-nearest[i]) > 0.5 {
				haveTurned++
			}
		}
		leastTurned, leastError := math.MaxInt, 0.0
		for set := range uint(1) << len(weights) { // the weights that are turned
			sum, squares := 0.0, 0.0
			for i, e := range nearest {
				if set>>i&1 == 1 {
					e -= math.Copysign(1, e)
				}
				sum += e
				squares += e * e
			}
			n := bits.OnesCount(set)
			if math.Abs(sum) <= 0.5 && (n < leastTurned || n == leastTurned && squares < leastError) {
				leastTurned, leastError = n, squares
			}
		}
		if haveTurned != leastTurned || math.Abs(haveError-leastError) > 1e-9 {
			t.Fatalf("%v became %v: %d turned, squared error %g, want %d and %g", weights, q, haveTurned, haveError, leastTurned, leastError)
		}
	}
}

// TestRoundAtTheEnd has kernels whose sum could be mended only with a number beyond 127 or -127: it stays as it is.
func TestRoundAtTheEnd(t *testing.T) {
	for _, sign := range []float32{1, -1} {
		weights := []float32{127.4 * sign, 127.4 * sign, 127.4 * sign, 127.4 * sign}
		q := make([]int8, len(weights))
		round(q, weights, 1, len(weights))
		if want := int8(127 * sign); !slices.Equal(q, []int8{want, want, want, want}) {
			t.Errorf("four weights of %g became %v, want %d", weights[0], q, want)
		}
	}
}
