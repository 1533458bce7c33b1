package daemon

import (
	"errors"
	"fmt"

	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/models/drawn"
)

// referenceTolerance is by how much a score of a model without a card may differ from what the built-in kernels say: integer
// networks that are computed in float, and float ones in 16 bits, differ by some hundredths.
const referenceTolerance = 0.06

// prove runs the golden inputs of the model's card. For a model without one, the built-in kernels give the scores if reference says so.
func (e *Engine) prove(m *loadedModel, reference bool) error {
	var goldens []inference.Golden
	var tolerance float32
	var err error
	switch {
	case m.card != nil:
		goldens, tolerance, err = e.cardGoldens(m)
	case reference && e.Delegation().Delegate != inference.CPU:
		goldens, err = e.referenceGoldens(m.data)
		tolerance = referenceTolerance
	default:
		return nil
	}
	if err != nil {
		return err
	}
	e.Worst, err = inference.Prove(goldens, tolerance, e.scoresOf)
	if err != nil {
		if cause := e.diagnose(m.data, goldens, tolerance, err); cause != "" {
			err = fmt.Errorf("%w; likely cause: %s", err, cause)
		}
		return err
	}
	e.Proven = len(goldens)
	return nil
}

func (e *Engine) cardGoldens(m *loadedModel) ([]inference.Golden, float32, error) {
	card := m.card
	goldens, err := m.goldens()
	if err != nil {
		return nil, 0, err
	}
	if card.Input.Size != e.input.Width || card.Input.Size != e.input.Height {
		return nil, 0, fmt.Errorf("prove the model: its card says size %d, its file %dx%d", card.Input.Size, e.input.Width, e.input.Height)
	}
	return goldens, card.Golden.Tolerance, nil
}

// scoresOf runs the model on a picture of its input's size, RGB.
func (e *Engine) scoresOf(scores []float32, pixels []byte) error {
	if err := e.input.Fill(e.run.Input(), pixels); err != nil {
		return err
	}
	if err := e.run.Invoke(); err != nil {
		return err
	}
	return e.run.Output(0, scores)
}

// referenceGoldens draws pictures and has the built-in kernels say their scores. An input that isn't square gets a part of a square one.
func (e *Engine) referenceGoldens(data []byte) (goldens []inference.Golden, err error) {
	side := max(e.input.Width, e.input.Height)
	if side > drawn.MaxSize {
		return nil, fmt.Errorf("prove the model against the built-in kernels: want an input of at most %d pixels a side, have %dx%d",
			drawn.MaxSize, e.input.Width, e.input.Height)
	}
	run, err := tflite.OpenBytes(data, inference.Options{Delegate: inference.CPU, Threads: e.Threads()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, run.Close()) }()
	plain := &Engine{run: run, input: e.input}
	for _, name := range drawn.Names() {
		square, err := drawn.Picture(name, side)
		if err != nil {
			return nil, err
		}
		g := inference.Golden{Name: name, Scores: make([]float32, len(e.scores))}
		for y := range e.input.Height {
			g.Pixels = append(g.Pixels, square[3*y*side:][:3*e.input.Width]...)
		}
		if err := plain.scoresOf(g.Scores, g.Pixels); err != nil {
			return nil, fmt.Errorf("run the model on the built-in kernels: %w", err)
		}
		goldens = append(goldens, g)
	}
	return goldens, nil
}
