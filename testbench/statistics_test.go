package testbench

import (
	"slices"
	"testing"
)

func TestWilson(t *testing.T) {
	tests := []struct {
		k, n int
		want string // computed by hand from Wilson's formula
	}{
		{8, 10, "49.02 to 94.33 %"},
		{0, 10, "0.00 to 27.75 %"},
		{10, 10, "72.25 to 100.00 %"},
		{1800, 2000, "88.61 to 91.24 %"},
	}
	for _, tt := range tests {
		if have := wilson(tt.k, tt.n); have != tt.want {
			t.Errorf("wilson(%d, %d): want %s, have %s", tt.k, tt.n, tt.want, have)
		}
	}
}

func TestQuantile(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3, 6, 8, 7, 10, 9}
	before := slices.Clone(values)
	for q, want := range map[float64]float64{0: 1, 0.1: 1, 0.11: 2, 0.5: 5, 0.95: 10, 1: 10} {
		if have := quantile(values, q); have != want {
			t.Errorf("quantile(%g): want %g, have %g", q, want, have)
		}
	}
	if !slices.Equal(values, before) {
		t.Error("quantile has sorted its argument")
	}
}

func TestInterleave(t *testing.T) {
	order := ""
	side := func(name string, ms float64) func([]float64) error {
		return func(times []float64) error {
			order += name
			for i := range times {
				times[i] = ms
			}
			times[0] = 1000 // left out
			return nil
		}
	}
	a, b := interleave(t, side("A", 2), side("B", 3))
	if a != 2 || b != 3 || order != "ABBAABBAABBAABBA" {
		t.Errorf("want medians 2 and 3 of ABBA…, have %g and %g of %s", a, b, order)
	}
}
