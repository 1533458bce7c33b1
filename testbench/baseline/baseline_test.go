package baseline

import (
	"bytes"
	"math"
	"testing"
	"time"

	"sightd/inference"
	"sightd/models"
	"sightd/preprocess"
)

// open opens the default model and gives its golden inputs with it.
func open(t testing.TB, xnnpack bool) (*Model, *models.Card, []inference.Golden) {
	t.Helper()
	file, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	goldens, err := card.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(file, 2, xnnpack)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m, card, goldens
}

func TestScores(t *testing.T) {
	for name, xnnpack := range map[string]bool{"XNNPACK": true, "built-in kernels": false} {
		t.Run(name, func(t *testing.T) {
			m, card, goldens := open(t, xnnpack)
			in := preprocess.Input{Width: card.Input.Size, Height: card.Input.Size, Type: inference.Int8}
			for _, g := range goldens {
				if err := in.Fill(m.Input(), g.Pixels); err != nil {
					t.Fatal(err)
				}
				times := make([]time.Duration, 2)
				if err := m.Run(times); err != nil {
					t.Fatal(err)
				}
				scores := make([]float32, len(g.Scores))
				if err := m.Output(scores); err != nil {
					t.Fatal(err)
				}
				for i := range scores {
					if math.Abs(float64(scores[i]-g.Scores[i])) > float64(card.Golden.Tolerance) {
						t.Errorf("%s: score %d: want %g, have %g", g.Name, i, g.Scores[i], scores[i])
					}
				}
				if times[0] <= 0 || times[1] <= 0 {
					t.Errorf("%s: want two times, have %v", g.Name, times)
				}
			}
			if err := m.Output(make([]float32, 3)); err == nil {
				t.Error("3 scores of 10: want an error")
			}
		})
	}
}

func TestResize(t *testing.T) {
	x, _, _ := open(t, true)
	plain, _, _ := open(t, false)
	const size = 96
	var scores [2][10]float32
	for i, m := range []*Model{x, plain} {
		if err := m.Resize(size); err != nil {
			t.Fatal(err)
		}
		in := m.Input()
		if len(in) != 3*size*size {
			t.Fatalf("want an input of %d bytes, have %d", 3*size*size, len(in))
		}
		for k := range in {
			in[k] = byte(k + k/288)
		}
		if err := m.Run(make([]time.Duration, 1)); err != nil {
			t.Fatal(err)
		}
		if err := m.Output(scores[i][:]); err != nil {
			t.Fatal(err)
		}
	}
	sum := float32(0)
	for k, have := range scores[0] {
		sum += have
		if math.Abs(float64(have-scores[1][k])) > 0.06 { // XNNPACK rounds otherwise than the built-in kernels
			t.Errorf("score %d at %d pixels: want %g as the built-in kernels, have %g", k, size, scores[1][k], have)
		}
	}
	if math.Abs(float64(sum)-1) > 0.01 {
		t.Errorf("want scores that add up to 1, have %g", sum)
	}
	if err := x.Resize(0); err == nil {
		t.Error("0 pixels: want an error")
	}
}

func TestOpenRefuses(t *testing.T) {
	file, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		file    []byte
		threads int
	}{
		"no bytes":   {nil, 1},
		"no model":   {bytes.Repeat([]byte("model"), 100), 1},
		"no threads": {file, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if m, err := Open(tt.file, tt.threads, true); err == nil {
				m.Close()
				t.Error("want an error")
			}
		})
	}
}

func BenchmarkInvoke(b *testing.B) {
	m, _, _ := open(b, true)
	times := make([]time.Duration, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Run(times); err != nil {
			b.Fatal(err)
		}
	}
}
