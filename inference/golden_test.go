package inference

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// answer is a model that gives these scores, whatever the picture.
func answer(give ...float32) func(scores []float32, pixels []byte) error {
	return func(scores []float32, pixels []byte) error {
		if len(scores) != len(give) {
			return fmt.Errorf("read output 0: want %d scores, have room for %d", len(give), len(scores))
		}
		copy(scores, give)
		return nil
	}
}

func TestProve(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, test := range []struct {
		name      string
		scores    []float32 // of the golden picture
		tolerance float32
		run       []float32 // what the model answers
		worst     float32   // difference
		want      string    // a part of the error, "" for none
	}{
		{"the same", []float32{0.25, 0.75}, 0, []float32{0.25, 0.75}, 0, ""},
		{"at the tolerance", []float32{0.25, 0.75}, 0.125, []float32{0.375, 0.625}, 0.125, ""},
		{"within", []float32{0.25, 0.75}, 0.25, []float32{0.25, 0.875}, 0.125, ""},
		{"outside", []float32{0.25, 0.75}, 0.125, []float32{0.5, 0.75}, 0.25, "score of class 0: want 0.2500, have 0.5000, tolerance 0.1250"},
		{"the worst is named", []float32{0.5, 0.25, 0.25}, 0.0625, []float32{0.375, 0.5, 0.125}, 0.25, "score of class 1: want 0.2500, have 0.5000"},
		{"below", []float32{0.25, 0.75}, 0.125, []float32{0.25, 0.5}, 0.25, "score of class 1: want 0.7500, have 0.5000"},
		{"NaN first", []float32{0.25, 0.5, 0.25}, 1, []float32{nan, 0.5, 0.25}, nan, "score of class 0: want 0.2500, have NaN"},
		{"NaN last", []float32{0.25, 0.5, 0.25}, 1, []float32{0, 0.5, nan}, nan, "score of class 2: want 0.2500, have NaN"},
		{"infinite", []float32{0.25, 0.75}, 1, []float32{0.25, inf}, inf, "score of class 1: want 0.7500, have +Inf"},
		{"NaN expected", []float32{nan, 0.75}, 1, []float32{nan, 0.75}, nan, "score of class 0: want NaN, have NaN"},
		{"NaN as tolerance", []float32{0.25, 0.75}, nan, []float32{0.25, 0.75}, 0, "tolerance NaN"},
		{"too few scores", []float32{1}, 1, []float32{0.25, 0.75}, 0, "read output 0: want 2 scores, have room for 1"},
		{"too many scores", []float32{1, 0, 0}, 1, []float32{0.25, 0.75}, 0, "read output 0: want 2 scores, have room for 3"},
		{"no scores", nil, nan, nil, 0, "want its scores, have none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			worst, err := Prove([]Golden{{Name: "noise", Scores: test.scores}}, test.tolerance, answer(test.run...))
			if worst != test.worst && (worst == worst || test.worst == test.worst) {
				t.Errorf("worst difference %v, want %v", worst, test.worst)
			}
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), "prove golden input noise: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("have error %v, want %q", err, test.want)
			}
		})
	}
}

// TestProveRunsEach shows that each picture is run, up to the first that fails, with scores that hold nothing of the one
// before, and that the error of run can be told by errors.Is.
func TestProveRunsEach(t *testing.T) {
	broken := errors.New("invoke: node 3 failed")
	goldens := []Golden{
		{Name: "a", Pixels: []byte{1}, Scores: []float32{1, 0}},
		{Name: "b", Pixels: []byte{2}, Scores: []float32{0, 1}},
		{Name: "c", Pixels: []byte{3}, Scores: []float32{0.5, 0.5}},
		{Name: "d", Pixels: []byte{4}, Scores: []float32{0.5, 0.5}},
	}
	var seen []byte
	_, err := Prove(goldens, 0, func(scores []float32, pixels []byte) error {
		seen = append(seen, pixels...)
		if !slices.Equal(scores, []float32{0, 0}) {
			t.Errorf("picture %d: scores %v before the run, want zeros", pixels[0], scores)
		}
		if pixels[0] == 3 {
			return broken
		}
		copy(scores, goldens[pixels[0]-1].Scores)
		return nil
	})
	if !errors.Is(err, broken) || err.Error() != "prove golden input c: invoke: node 3 failed" {
		t.Errorf("have error %v, want that of c wrapped", err)
	}
	if string(seen) != "\x01\x02\x03" {
		t.Errorf("ran pictures %v, want 1, 2, 3", seen)
	}
	if worst, err := Prove(nil, 0, answer(1)); err != nil || worst != 0 {
		t.Errorf("no pictures: worst difference %v, error %v", worst, err)
	}
}

// TestProveTellsTheWorst shows that the largest difference of all pictures is told, whichever picture it was, up to one that isn't run,
// and that a network which puts out what is no number makes it NaN.
func TestProveTellsTheWorst(t *testing.T) {
	goldens := []Golden{{Name: "a", Scores: []float32{0.5}}, {Name: "b", Scores: []float32{0.25}}, {Name: "c", Scores: []float32{0.375}}}
	if worst, err := Prove(goldens, 1, answer(0.375)); err != nil || worst != 0.125 {
		t.Errorf("worst difference %v, error %v, want 0.125 and none", worst, err)
	}
	runs := 0
	worst, err := Prove(goldens, 1, func(scores []float32, _ []byte) error {
		if runs++; runs == 2 {
			return fmt.Errorf("read output 0: class 7: %w", ErrNotANumber)
		}
		return nil
	})
	if !errors.Is(err, ErrNotANumber) || worst == worst {
		t.Errorf("worst difference %v, error %v, want NaN and that of the network", worst, err)
	}
}
