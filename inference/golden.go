package inference

import (
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

// Prove runs every golden picture and compares the scores: none may differ by more than tolerance, and a NaN is an error.
// run runs the model on the pixels and writes every element of scores, or says why it can't: a number of pixels or scores
// that isn't the model's is for run to refuse. A golden without scores proves nothing and is an error.
func Prove(goldens []Golden, tolerance float32, run func(scores []float32, pixels []byte) error) error {
	for _, g := range goldens {
		if len(g.Scores) == 0 {
			return fmt.Errorf("prove golden input %s: want its scores, have none", g.Name)
		}
		scores := make([]float32, len(g.Scores))
		if err := run(scores, g.Pixels); err != nil {
			return fmt.Errorf("prove golden input %s: %w", g.Name, err)
		}
		worst, at := float32(0), 0
		for i := range scores {
			if d := float32(math.Abs(float64(scores[i] - g.Scores[i]))); d > worst || d != d {
				worst, at = d, i
			}
		}
		if !(worst <= tolerance) {
			return fmt.Errorf("prove golden input %s: score of class %d: want %.4f, have %.4f, tolerance %.4f: "+
				"this machine doesn't run the model as it was exported", g.Name, at, g.Scores[at], scores[at], tolerance)
		}
	}
	return nil
}
