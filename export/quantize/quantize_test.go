package quantize

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
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
	}, []float32{10, -0.5, 3, 0}, 1, Input{Scale: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	want := Layer{
		Weights: []int8{127, 0, 2, 0, -127, 1, 127, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		Scales:  []float32{2, 0.001, 3 / 0.5 / (1 << 30), minScale},
		Bias:    []int32{10, -1000, 1 << 30, 0},
	}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("have %v, want %v", l, want)
	}
}

// randomLayer draws channels of all magnitudes, dead ones, and biases too large for their weights' scale.
func randomLayer(r *rand.Rand, channels, n int) (weights, bias []float32) {
	weights, bias = make([]float32, channels*n), make([]float32, channels)
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
	return weights, bias
}

// TestWeightsRoundTrip quantizes random layers. Each weight must come back within half a step, or a step in a kernel, each bias within
// half a step and what float32 can tell, the steps be no wider than the rule allows, the largest weight of a channel be 127 or -127 unless its scale was enlarged,
// and a bias leave room for the sum of products.
func TestWeightsRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const channels, n = 8, 27
	enlarged, dead := 0, 0
	for round := range 500 {
		taps := []int{1, 9}[round%2]
		input := float32(math.Exp(10*r.Float64() - 8))
		weights, bias := randomLayer(r, channels, n)
		l, err := Weights(weights, bias, taps, Input{Scale: input})
		if err != nil {
			t.Fatal(err)
		}
		for o, b := range bias {
			scale, largest, most := float64(l.Scales[o]), 0.0, 0
			step := scale * (0.5 + 1e-4)
			for i, w := range weights[o*n : (o+1)*n] {
				q := l.Weights[o*n+i]
				if q < -127 {
					t.Fatalf("weight %g became %d", w, q)
				}
				if d := math.Abs(float64(q)*scale - float64(w)); d > step && (taps == 1 || d > 2*step) {
					t.Fatalf("weight %g comes back as %g, scale %g", w, float64(q)*scale, scale)
				}
				largest, most = max(largest, math.Abs(float64(w))), max(most, int(math.Abs(float64(q))))
			}
			if d := math.Abs(float64(l.Bias[o])*float64(input)*scale - float64(b)); d > float64(input)*step+0x1p-23*math.Abs(float64(b)) {
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
			case most != 127:
				t.Fatalf("the largest weight became %d, want 127", most)
			}
		}
	}
	if enlarged < 100 || dead < 100 {
		t.Errorf("only %d channels with an enlarged scale and %d dead ones were drawn", enlarged, dead)
	}
}

// TestBiasCorrection feeds the layer with the means: the sum must be that of the float layer, but for half a step of the bias.
func TestBiasCorrection(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const channels, inputs = 6, 5
	wrong := 0
	for _, taps := range []int{1, 9, 25} {
		weights, bias := make([]float32, channels*taps*inputs), make([]float32, channels)
		for i := range weights {
			weights[i] = float32(r.NormFloat64())
		}
		for o := range bias {
			bias[o] = float32(r.NormFloat64())
		}
		means := make([]float64, inputs)
		for i := range means {
			means[i] = 20 * r.Float64()
		}
		in := Input{Scale: 1e-3, Means: means}
		l, err := Weights(weights, bias, taps, in)
		if err != nil {
			t.Fatal(err)
		}
		in.Means = nil
		plain, err := Weights(weights, bias, taps, in)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(plain.Weights, l.Weights) || !slices.Equal(plain.Scales, l.Scales) {
			t.Errorf("%d taps: the means change the weights", taps)
		}
		n := taps * inputs
		for o := range channels {
			step := float64(in.Scale) * float64(l.Scales[o])
			want, have := float64(bias[o]), float64(l.Bias[o])*step
			without := float64(plain.Bias[o]) * step
			for i := range n {
				want += float64(weights[o*n+i]) * means[i%inputs]
				product := float64(l.Weights[o*n+i]) * float64(l.Scales[o]) * means[i%inputs]
				have += product
				without += product
			}
			if math.Abs(have-want) > step*(0.5+1e-6) {
				t.Errorf("%d taps, channel %d: the means give %g, want %g within half of %g", taps, o, have, want, step)
			}
			if math.Abs(without-want) > step {
				wrong++
			}
		}
	}
	if wrong == 0 {
		t.Error("the sums are right without a correction too: nothing was tested")
	}
}

// TestRows quantizes a layer with a float input and bias.
func TestRows(t *testing.T) {
	weights := []float32{127, 64.4, -3.3, 0, 0, 0, -2.54, 0.021, 0.308}
	bias := []float32{1e9, -7, 0.25}
	q, scales, corrected, err := Rows(weights, bias, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int8{127, 64, -3, 0, 0, 0, -127, 1, 15}; !slices.Equal(q, want) {
		t.Errorf("weights %v, want %v", q, want)
	}
	if want := []float32{1, minScale, 0.02}; !slices.Equal(scales, want) { // a large bias enlarges none
		t.Errorf("scales %v, want %v", scales, want)
	}
	if !slices.Equal(corrected, bias) {
		t.Errorf("without means the bias became %v, want %v", corrected, bias)
	}

	means := []float64{0.5, 100, 10}
	_, _, corrected, err = Rows(weights, bias[:3], means)
	if err != nil {
		t.Fatal(err)
	}
	for o, b := range bias {
		want, have := float64(b), float64(corrected[o])
		for i, m := range means {
			want += float64(weights[3*o+i]) * m
			have += float64(q[3*o+i]) * float64(scales[o]) * m
		}
		if math.Abs(have-want) > 1e-6*math.Abs(want) {
			t.Errorf("channel %d: the means give %g, want %g", o, have, want)
		}
	}
	if b := bias[0]; b != 1e9 {
		t.Errorf("the bias that was given became %g", b)
	}
	if q, scales, corrected, err := Rows([]float32{1, nan}, []float32{1, 1}, nil); err == nil || q != nil || scales != nil || corrected != nil {
		t.Errorf("a NaN: have %v, %v, %v, error %v", q, scales, corrected, err)
	}
	if _, _, _, err := Rows(nil, nil, nil); err == nil {
		t.Error("no channels: no error")
	}
}

func TestWeightsErrors(t *testing.T) {
	for _, test := range []struct {
		weights, bias []float32
		taps          int
		input         float32
		want          string
	}{
		{nil, nil, 1, 1, "want as many for each channel and tap, have 0 weights for 0 channels of 1 taps"},
		{[]float32{1}, nil, 1, 1, "have 1 weights for 0 channels"},
		{[]float32{1, 2, 3}, []float32{1, 2}, 1, 1, "have 3 weights for 2 channels"},
		{[]float32{1, 2, 3, 4}, []float32{1, 2}, 4, 1, "have 4 weights for 2 channels of 4 taps"},
		{[]float32{1, 2}, []float32{1, 2}, 0, 1, "have 2 weights for 2 channels of 0 taps"},
		{[]float32{1, 2}, []float32{1, 2}, -1, 1, "of -1 taps"},
		{[]float32{1}, []float32{1}, 1, 0, "want an input scale above 0 and finite, have 0"},
		{[]float32{1}, []float32{1}, 1, -1, "have -1"},
		{[]float32{1}, []float32{1}, 1, nan, "have NaN"},
		{[]float32{1}, []float32{1}, 1, inf, "have +Inf"},
		{[]float32{1, nan}, []float32{1, 1}, 1, 1, "channel 1: want a finite scale"},
		{[]float32{1, 2, -inf, 4}, []float32{1, 1}, 1, 1, "channel 1: want a finite scale, have +Inf for the largest weight +Inf"},
		{[]float32{1, 1}, []float32{nan, 1}, 1, 1, "channel 0: want a finite scale, have NaN for the largest weight 1"},
		{[]float32{1, 1}, []float32{1, -inf}, 1, 1, "channel 1: want a finite scale"},
		{[]float32{1}, []float32{3e38}, 1, 1e-20, "channel 0: want a finite scale, have +Inf"},
	} {
		l, err := Weights(test.weights, test.bias, test.taps, Input{Scale: test.input})
		if err == nil || !strings.HasPrefix(err.Error(), "quantize weights: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, %v, %g: error %v, want %q", test.weights, test.bias, test.input, err, test.want)
		}
		if l.Weights != nil || l.Scales != nil || l.Bias != nil {
			t.Errorf("%v, %v, %g: gives a layer with its error", test.weights, test.bias, test.input)
		}
	}
}

// BenchmarkWeights quantizes inception_5b/3x3, the largest convolution.
func BenchmarkWeights(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	weights, bias := make([]float32, 384*3*3*192), make([]float32, 384)
	for i := range weights {
		weights[i] = float32(r.NormFloat64())
	}
	in := Input{Scale: 0.02, Means: make([]float64, 192)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Weights(weights, bias, 9, in); err != nil {
			b.Fatal(err)
		}
	}
}
