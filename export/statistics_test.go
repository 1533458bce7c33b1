package export

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

func TestWilson(t *testing.T) {
	for _, test := range []struct {
		n, of     int
		low, high float64 // computed by hand from Wilson's formula
	}{
		{0, 0, 0, 1},
		{8, 10, 0.4902, 0.9433},
		{0, 10, 0, 0.2775},
		{10, 10, 0.7225, 1},
		{1800, 2000, 0.8861, 0.9124},
	} {
		if got := wilson(test.n, test.of); !near(got[0], test.low, 5e-5) || !near(got[1], test.high, 5e-5) {
			t.Errorf("%d of %d: got %.4f, want %.4f to %.4f", test.n, test.of, got, test.low, test.high)
		}
	}
}

func TestMcNemar(t *testing.T) {
	for _, test := range []struct {
		a, b int
		want float64 // twice the sum of binomial coefficients up to the smaller number, over a power of two
	}{
		{0, 0, 1},
		{0, 1, 1},
		{0, 5, 2. / 32},
		{1, 9, 2. * (1 + 10) / 1024},
		{10, 2, 2. * (1 + 12 + 66) / 4096},
		{3, 3, 1},
		{4, 3, 1},
	} {
		if got := mcnemar(test.a, test.b); !near(got, test.want, 1e-12) {
			t.Errorf("%d to %d: got p %.15g, want %.15g", test.a, test.b, got, test.want)
		}
		if there, back := mcnemar(test.a, test.b), mcnemar(test.b, test.a); there != back {
			t.Errorf("%d to %d: p %g, the other way round %g", test.a, test.b, there, back)
		}
	}
	// Of many, the binomial distribution is close to the normal one: 2*(1-Phi(9.5/10)) with the half step between whole numbers.
	if got := mcnemar(5050, 4950); !near(got, math.Erfc(99./100/math.Sqrt2), 1e-4) {
		t.Errorf("5050 to 4950: got p %g", got)
	}
}

func TestRank(t *testing.T) {
	scores := []float32{0.1, 0.3, 0.1, 0.3, 0.2}
	if got := argmax(scores); got != 1 {
		t.Errorf("argmax: got %d, want the first of the two largest, 1", got)
	}
	var ranks []int
	for class := range scores {
		ranks = append(ranks, rank(scores, class))
	}
	if want := []int{3, 0, 4, 1, 2}; !slices.Equal(ranks, want) {
		t.Errorf("ranks: got %v, want %v", ranks, want)
	}
}

func TestDivergence(t *testing.T) {
	for _, test := range []struct {
		name string
		p, q []float32
		want float64
	}{
		{"equal", []float32{0.25, 0.75}, []float32{0.25, 0.75}, 0},
		{"by hand", []float32{0.5, 0.5}, []float32{0.25, 0.75}, 0.5*math.Log(2) + 0.5*math.Log(2./3)},
		{"sum of an integer output", []float32{0.5, 0.5}, []float32{64. / 256, 128. / 256}, 0.5*math.Log(1.5) + 0.5*math.Log(0.75)},
		{"score of 0", []float32{1, 0}, []float32{0, 1}, math.Log(1e9)},
		{"all 0", []float32{0.5, 0.5}, []float32{0, 0}, 0},
	} {
		if got := divergence(test.p, test.q); !near(got, test.want, 1e-6) {
			t.Errorf("%s: got %g, want %g", test.name, got, test.want)
		}
	}
}

func TestCheckScores(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, test := range []struct {
		scores []float32
		want   string
	}{
		{nil, "have none"},
		{[]float32{0.5, nan}, "have NaN for class 1"},
		{[]float32{inf, 0}, "have +Inf for class 0"},
		{[]float32{0.1, 0.2, -0.1}, "have -0.1 for class 2"},
	} {
		if err := checkScores(test.scores); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got error %v, want one with %q", test.scores, err, test.want)
		}
	}
	if err := checkScores([]float32{0, 1}); err != nil {
		t.Error(err)
	}
}

func TestMinimize(t *testing.T) {
	for _, test := range []struct {
		name string
		f    func(x float64) float64
		want float64
	}{
		{"inside", func(x float64) float64 { return (x - 0.3) * (x - 0.3) }, 0.3},
		{"steep on one side", func(x float64) float64 { return math.Exp(5*x) - 5*x }, 0},
		{"at the low end", func(x float64) float64 { return x }, -1},
		{"at the high end", func(x float64) float64 { return -x }, 2},
	} {
		calls := 0
		got := minimize(func(x float64) float64 { calls++; return test.f(x) }, -1, 2, 1e-6)
		if !near(got, test.want, 1e-6) || calls > 40 {
			t.Errorf("%s: got %g after %d calls, want %g after 40 at most", test.name, got, calls, test.want)
		}
	}
}

func BenchmarkDivergence(b *testing.B) {
	p, q := make([]float32, 1000), make([]float32, 1000)
	for i := range p {
		p[i], q[i] = float32(i), float32(1000-i)
	}
	b.ReportAllocs()
	for b.Loop() {
		divergence(p, q)
	}
}
