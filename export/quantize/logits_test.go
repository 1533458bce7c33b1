package quantize

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// klDivergence gives the mean Kullback-Leibler divergence of the softmax of logits on the grid of 256 steps that ends at high from that of the logits.
func klDivergence(logits [][]float32, high, span float64) float64 {
	total := 0.0
	for _, row := range logits {
		largest := float64(slices.Max(row))
		sum, sumQ := 0.0, 0.0
		quantized := make([]float64, len(row))
		for i, v := range row {
			quantized[i] = high + min(max(math.Round((float64(v)-high)/(span/255)), -255), 0)*span/255
			sum += math.Exp(float64(v) - largest)
			sumQ += math.Exp(quantized[i] - largest)
		}
		for i, v := range row {
			p := math.Exp(float64(v)-largest) / sum
			total += p * (float64(v) - math.Log(sum) - quantized[i] + math.Log(sumQ)) / float64(len(logits))
		}
	}
	return total
}

// TestLogits draws logits of several kinds: all must fit below the upper end, and no full range may be better than the one chosen.
func TestLogits(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	for _, test := range []struct {
		name     string
		rows, n  int
		draw     func(row, i int) float64
		narrower bool // a part of the range is better than all of it
	}{
		{"normal", 20, 50, func(_, _ int) float64 { return 3 * r.NormFloat64() }, false},
		{"one that stands out, and many far below", 20, 100, func(row, i int) float64 {
			if i == row {
				return 15 + r.NormFloat64()
			}
			return -40*r.Float64() + 6
		}, true},
		{"close to each other", 20, 10, func(_, _ int) float64 { return 7 + 1e-3*r.Float64() }, false},
		{"large", 5, 10, func(_, _ int) float64 { return 300 * r.NormFloat64() }, false},
		{"all far below 0", 10, 10, func(_, _ int) float64 { return -500 + 3*r.NormFloat64() }, false},
		{"two classes", 10, 2, func(_, _ int) float64 { return 5 * r.NormFloat64() }, false},
		{"one picture", 1, 1000, func(_, _ int) float64 { return 2 * r.NormFloat64() }, false},
	} {
		low, top := math.Inf(1), math.Inf(-1)
		logits := make([][]float32, test.rows)
		for row := range logits {
			for i := range test.n {
				v := float32(test.draw(row, i))
				low, top = min(low, float64(v)), max(top, float64(v))
				logits[row] = append(logits[row], v)
			}
		}
		high, span := Logits(logits)
		if math.Abs(high-top-(top-low)/10) > 1e-9*(top-low) {
			t.Errorf("%s: the range ends at %g, want a tenth above %g to %g", test.name, high, low, top)
		}
		if full := high - low; !(span > 0 && span <= full*(1+1e-12)) || test.narrower && span > 0.9*full {
			t.Errorf("%s: the range spans %g of %g", test.name, span, full)
		}
		have, full := klDivergence(logits, high, span), klDivergence(logits, high, high-low)
		if !(have <= full*(1+1e-6)+1e-12) || test.narrower && have > 0.8*full {
			t.Errorf("%s: divergence %g, that of the full range is %g", test.name, have, full)
		}
		if d := divergence(logits, high, span); math.Abs(d-have) > 1e-6*have+1e-11 {
			t.Errorf("%s: the divergence is taken for %g, it is %g", test.name, d, have)
		}
	}
}

// TestLogitsDegenerate has logits that leave nothing to choose.
func TestLogitsDegenerate(t *testing.T) {
	for _, test := range []struct {
		name   string
		logits [][]float32
		high   float64
	}{
		{"constant", [][]float32{{3, 3}, {3, 3}}, 3},
		{"constant, below 0", [][]float32{{-3, -3}}, -3},
		{"one value", [][]float32{{0.5}}, 0.5},
		{"one class", [][]float32{{1}, {3}}, 3.2},
	} {
		high, span := Logits(test.logits)
		if math.Abs(high-test.high) > 1e-6 || !(span > 0) || math.IsInf(span, 0) {
			t.Errorf("%s: ends at %g and spans %g, want %g and a finite span above 0", test.name, high, span, test.high)
		}
	}
}

func BenchmarkLogits(b *testing.B) {
	r := rand.New(rand.NewPCG(21, 22))
	logits := make([][]float32, 200)
	for i := range logits {
		for range 1000 {
			logits[i] = append(logits[i], float32(3*r.NormFloat64()))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		Logits(logits)
	}
}
