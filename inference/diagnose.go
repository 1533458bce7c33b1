package inference

import (
	"errors"
	"math"
)

// Run runs a model on the pixels of a golden picture and writes every element of scores.
type Run func(scores []float32, pixels []byte) error

// Variant is another way to fill the model's input, and what is wrong if the model is right that way.
type Variant struct {
	Cause string // such as "red and blue are swapped"
	Run   Run
}

// Diagnose says the likely cause where Prove fails, "" where there is none to tell. plain is run on TensorFlow Lite's built-in kernels,
// and nil where run is that already or it can't be had. The variants are tried in their order. It runs each golden picture once in every
// way, until it knows.
func Diagnose(goldens []Golden, tolerance float32, run, plain Run, variants []Variant) string {
	have, err := runAll(goldens, run)
	if err != nil && !errors.Is(err, ErrNotANumber) {
		return "" // the error tells what there is to tell
	}
	broken := err != nil || !allNumbers(have)
	if err == nil && agree(goldens, have, tolerance) {
		return "" // this time it is right
	}
	if plain != nil {
		switch right := passes(goldens, tolerance, plain); {
		case right && broken:
			return "the delegate or its driver is broken: it puts out what is no number"
		case right:
			return "the delegate or its driver computes wrong: on the built-in kernels the scores are right"
		}
	}
	for _, v := range variants {
		if passes(goldens, tolerance, v.Run) {
			return v.Cause
		}
	}
	switch {
	case broken:
		return "the file is damaged: the network puts out what is no number, and not because of its delegate"
	case permuted(goldens, have, tolerance):
		return "the classes are in another order: the scores are right, but those of other classes"
	}
	return "the file isn't the one that its card was made of, or was changed"
}

// runAll gives the scores of each golden picture.
func runAll(goldens []Golden, run Run) ([][]float32, error) {
	all := make([][]float32, len(goldens))
	for i, g := range goldens {
		all[i] = make([]float32, len(g.Scores))
		if err := run(all[i], g.Pixels); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func passes(goldens []Golden, tolerance float32, run Run) bool {
	have, err := runAll(goldens, run)
	return err == nil && agree(goldens, have, tolerance)
}

// agree reports whether the scores are those of the golden pictures.
func agree(goldens []Golden, have [][]float32, tolerance float32) bool {
	for i, g := range goldens {
		if d, _ := difference(have[i], g.Scores); !(d <= tolerance) {
			return false
		}
	}
	return true
}

func allNumbers(all [][]float32) bool {
	for _, scores := range all {
		for _, s := range scores {
			if v := float64(s); math.IsNaN(v) || math.IsInf(v, 0) {
				return false
			}
		}
	}
	return true
}

// permuted reports whether the scores are right in some other order of the classes, the same one for each picture.
func permuted(goldens []Golden, have [][]float32, tolerance float32) bool {
	for _, g := range goldens {
		if len(g.Scores) != len(goldens[0].Scores) {
			return false
		}
	}
	if len(goldens) == 0 {
		return false
	}
	taken := make([]bool, len(goldens[0].Scores))
	for class := range taken {
		best, least := -1, float32(math.Inf(1))
		for other := range taken {
			worst := float32(0) // of all pictures
			for i, g := range goldens {
				worst = max(worst, float32(math.Abs(float64(have[i][other]-g.Scores[class]))))
			}
			if !taken[other] && worst <= tolerance && worst < least {
				best, least = other, worst
			}
		}
		if best < 0 {
			return false
		}
		taken[best] = true
	}
	return true
}
