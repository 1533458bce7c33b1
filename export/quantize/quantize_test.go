package quantize

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// bounds gives the real values of q = -128 and q = 127.
func bounds(p Params) (low, high float64) {
	return float64(-128-p.ZeroPoint) * float64(p.Scale), float64(127-p.ZeroPoint) * float64(p.Scale)
}

func TestActivation(t *testing.T) {
	for _, test := range []struct {
		name      string
		low, high float64
		want      Params
	}{
		{"ReLU", 0, 51, Params{0.2, -128}},
		{"ReLU that never answered 0", 7, 51, Params{0.2, -128}},
		{"both signs", -128, 127, Params{1, 0}},
		{"pixels from -1 to 1", -1, 1, Params{2.0 / 255, 0}}, // -0.5 goes to the even number
		{"negative only", -51, -7, Params{0.2, 127}},
		{"the zero point is rounded", -1.3, 253.7, Params{1, -127}},
		{"low == high", 25.5, 25.5, Params{0.1, -128}},
		{"low == high, negative", -25.5, -25.5, Params{0.1, 127}},
		{"only 0", 0, 0, Params{1.0 / 255, -128}},
		{"almost nothing", -1e-9, 1e-9, Params{1.0 / 255, -128}},
		{"denormal", 5e-324, 5e-324, Params{1.0 / 255, -128}},
		{"all of float32", -math.MaxFloat32, math.MaxFloat32, Params{math.MaxFloat32 / 127.5, 0}},
	} {
		if have := Activation(test.low, test.high); have != test.want {
			t.Errorf("%s: [%g, %g]: have %+v, want %+v", test.name, test.low, test.high, have, test.want)
		}
	}
}

// TestActivationHolds draws ranges of all magnitudes: int8 must reach from low to high but for half a step, in steps no
// wider than that takes, with a zero point of int8, so that real 0 is a q.
func TestActivationHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		magnitude := math.Exp(40*r.Float64() - 20)
		low, high := magnitude*r.NormFloat64(), magnitude*r.NormFloat64()
		if low > high {
			low, high = high, low
		}
		p := Activation(low, high)
		if p.ZeroPoint < -128 || p.ZeroPoint > 127 || !(p.Scale > 0) {
			t.Fatalf("[%g, %g]: %+v", low, high, p)
		}
		span := max(high, 0) - min(low, 0)
		if span < minSpan {
			span = deadSpan
		}
		if d := float64(p.Scale)*255/span - 1; math.Abs(d) > 1e-6 {
			t.Fatalf("[%g, %g]: scale %g takes in %g times the range", low, high, p.Scale, d+1)
		}
		slack := float64(p.Scale) * (0.5 + 1e-4)
		if l, h := bounds(p); l > min(low, 0)+slack || h < max(high, 0)-slack {
			t.Fatalf("[%g, %g]: int8 holds only [%g, %g]", low, high, l, h)
		}
	}
}

func TestWeights(t *testing.T) {
	l, err := Weights([]float32{
		254, -1, 3, 0, // steps of 2: halves go to the even number
		-0.127, 0.001, 0.127, 0.0004,
		0, 0, 0, 0,
		0, 0, 0, 0,
	}, []float32{10, -0.5, 3, 0}, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	want := Layer{
		Weights: []int8{127, 0, 2, 0, -127, 1, 127, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		Scales:  []float32{2, 0.001, 3 / 0.5 / (1 << 30), minScale},
		Bias:    []int32{10, -1000, 1 << 30, 0},
	}
	for i, q := range want.Weights {
		if l.Weights[i] != q {
			t.Errorf("weight %d: have %d, want %d", i, l.Weights[i], q)
		}
	}
	for o := range want.Scales {
		if l.Scales[o] != want.Scales[o] || l.Bias[o] != want.Bias[o] {
			t.Errorf("channel %d: have scale %g and bias %d, want %g and %d", o, l.Scales[o], l.Bias[o], want.Scales[o], want.Bias[o])
		}
	}
}

// TestWeightsRoundTrip draws layers with channels of all magnitudes, dead ones, and biases too large for their weights'
// scale. Each weight and bias must come back within half a step, the steps be no wider than the rule allows, and a bias
// leave room for the sum of products.
func TestWeightsRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const channels, n = 8, 27
	enlarged, dead := 0, 0
	for range 500 {
		input := float32(math.Exp(10*r.Float64() - 8))
		weights, bias := make([]float32, channels*n), make([]float32, channels)
		for o := range bias {
			magnitude := math.Exp(40*r.Float64() - 30)
			if r.IntN(6) == 0 {
				magnitude = 0
			}
			for i := range n {
				weights[o*n+i] = float32(magnitude * r.NormFloat64())
			}
			bias[o] = float32(r.NormFloat64())
		}
		l, err := Weights(weights, bias, input)
		if err != nil {
			t.Fatal(err)
		}
		for o, b := range bias {
			scale, step, largest := float64(l.Scales[o]), float64(l.Scales[o])*(0.5+1e-4), 0.0
			for i, w := range weights[o*n : (o+1)*n] {
				q := l.Weights[o*n+i]
				if q < -127 {
					t.Fatalf("weight %g became %d", w, q)
				}
				if d := math.Abs(float64(q)*scale - float64(w)); d > step {
					t.Fatalf("weight %g comes back as %g, scale %g", w, float64(q)*scale, scale)
				}
				largest = max(largest, math.Abs(float64(w)))
			}
			if d := math.Abs(float64(l.Bias[o])*float64(input)*scale - float64(b)); d > float64(input)*step {
				t.Fatalf("bias %g comes back as %g, scale %g", b, float64(l.Bias[o])*float64(input)*scale, float64(input)*scale)
			}
			if math.Abs(float64(l.Bias[o])) > (1<<30)*(1+1e-6) {
				t.Fatalf("bias %g became %d, want at most 2^30", b, l.Bias[o])
			}
			want := max(largest/127, math.Abs(float64(b))/float64(input)/(1<<30), minScale)
			if math.Abs(scale/want-1) > 1e-6 {
				t.Fatalf("scale %g, want %g", scale, want)
			}
			switch {
			case largest == 0:
				dead++
			case want > largest/127:
				enlarged++
			}
		}
	}
	if enlarged < 100 || dead < 100 {
		t.Errorf("only %d channels with an enlarged scale and %d dead ones were drawn", enlarged, dead)
	}
}

func TestWeightsErrors(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, test := range []struct {
		weights, bias []float32
		input         float32
		want          string
	}{
		{nil, nil, 1, "want as many for each channel, have 0 weights for 0 channels"},
		{[]float32{1}, nil, 1, "have 1 weights for 0 channels"},
		{[]float32{1, 2, 3}, []float32{1, 2}, 1, "have 3 weights for 2 channels"},
		{[]float32{1}, []float32{1}, 0, "want an input scale above 0 and finite, have 0"},
		{[]float32{1}, []float32{1}, -1, "have -1"},
		{[]float32{1}, []float32{1}, nan, "have NaN"},
		{[]float32{1}, []float32{1}, inf, "have +Inf"},
		{[]float32{1, nan}, []float32{1, 1}, 1, "channel 1: want a finite scale"},
		{[]float32{1, 2, -inf, 4}, []float32{1, 1}, 1, "channel 1: want a finite scale, have +Inf for the largest weight +Inf"},
		{[]float32{1, 1}, []float32{nan, 1}, 1, "channel 0: want a finite scale, have NaN for the largest weight 1 and the bias NaN"},
		{[]float32{1, 1}, []float32{1, -inf}, 1, "channel 1: want a finite scale"},
		{[]float32{1}, []float32{3e38}, 1e-20, "channel 0: want a finite scale, have +Inf"},
	} {
		l, err := Weights(test.weights, test.bias, test.input)
		if err == nil || !strings.HasPrefix(err.Error(), "quantize weights: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, %v, %g: error %v, want %q", test.weights, test.bias, test.input, err, test.want)
		}
		if l.Weights != nil || l.Scales != nil || l.Bias != nil {
			t.Errorf("%v, %v, %g: gives a layer with its error", test.weights, test.bias, test.input)
		}
	}
}

func BenchmarkWeights(b *testing.B) {
	// inception_5b/3x3, the largest convolution.
	r := rand.New(rand.NewPCG(5, 6))
	weights, bias := make([]float32, 384*3*3*192), make([]float32, 384)
	for i := range weights {
		weights[i] = float32(r.NormFloat64())
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Weights(weights, bias, 0.02); err != nil {
			b.Fatal(err)
		}
	}
}
