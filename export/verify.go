package export

import (
	"fmt"

	"sightd/export/graph"
	"sightd/inference/tflite"
)

// comparison counts how two networks judge the same pictures.
type comparison struct {
	pictures   int
	agree      int // the same best class
	labelled   int
	floatRight int // of labelled
	right      int // of labelled
}

// share is n/of, 0 for none.
func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// compare runs the float network and the written one over the pictures.
func compare(f *floatNetwork, run *tflite.Classifier, norm graph.Normalization, p *pictures, progress func(done, total int)) (comparison, error) {
	var c comparison
	scores := make([]float32, run.Spec().NumClasses())
	for i, s := range p.samples {
		want, err := f.scores(s.pixels)
		if err != nil {
			return c, fmt.Errorf("compare on %s: float: %w", s.file, err)
		}
		if err := invoke(run, norm, s.pixels); err != nil {
			return c, fmt.Errorf("compare on %s: %w", s.file, err)
		}
		if err := run.Output(0, scores); err != nil {
			return c, fmt.Errorf("compare on %s: %w", s.file, err)
		}
		bestFloat, best := argmax(want), argmax(scores)
		c.pictures++
		if bestFloat == best {
			c.agree++
		}
		if s.class >= 0 {
			c.labelled++
			if bestFloat == s.class {
				c.floatRight++
			}
			if best == s.class {
				c.right++
			}
		}
		progress(i+1, len(p.samples))
	}
	return c, nil
}

func argmax(scores []float32) int {
	best := 0
	for i, s := range scores {
		if s > scores[best] {
			best = i
		}
	}
	return best
}
