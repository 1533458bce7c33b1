package inference

import (
	"errors"
	"fmt"
	"math"
)

// Golden is a picture whose scores on a model are known: the proof that this machine, library and delegate run the model as
// the machine did that made it.
type Golden struct {
	Name   string
	Pixels []byte    // RGB, 8 bits a channel, [height, width, 3] as the model's input has them
	Scores []float32 // what output 0 must be
}

// Prove runs every golden picture and compares the scores: none may differ by more than tolerance, and a NaN is an error. worst is the
// largest difference that was seen, NaN where a score was no number. run runs the model on the pixels and writes every element of
// scores, or says why it can't: a number of pixels or scores that isn't the model's is for run to refuse. A golden without scores proves
// nothing and is an error.
func Prove(goldens []Golden, tolerance float32, run func(scores []float32, pixels []byte) error) (worst float32, err error) {
	for _, g := range goldens {
		if len(g.Scores) == 0 {
			return worst, fmt.Errorf("prove golden input %s: want its scores, have none", g.Name)
		}
		scores := make([]float32, len(g.Scores))
		if err := run(scores, g.Pixels); err != nil {
			if errors.Is(err, ErrNotANumber) {
				worst = float32(math.NaN())
			}
			return worst, fmt.Errorf("prove golden input %s: %w", g.Name, err)
		}
		d, at := difference(scores, g.Scores)
		worst = max(worst, d) // NaN where one is
		if !(d <= tolerance) {
			return worst, fmt.Errorf("prove golden input %s: score of class %d: want %.4f, have %.4f, tolerance %.4f: "+
				"this machine doesn't run the model as it was exported", g.Name, at, g.Scores[at], scores[at], tolerance)
		}
	}
	return worst, nil
}

// difference is the largest between the elements of a and b, which are as many, and where it is. The first NaN counts as the largest.
func difference(a, b []float32) (worst float32, at int) {
	for i := range a {
		d := float32(math.Abs(float64(a[i] - b[i])))
		if d != d {
			return d, i
		}
		if d > worst {
			worst, at = d, i
		}
	}
	return worst, at
}
