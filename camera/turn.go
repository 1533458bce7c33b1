package camera

import (
	"errors"
	"fmt"

	"gocv.io/x/gocv"
)

// Turn says how a camera hangs: what is done to its pictures to have them upright.
type Turn struct {
	Rotate int    // degrees clockwise: 0, 90, 180 or 270
	Flip   string // after that: "", "horizontal" (left and right change places), "vertical" or "both"
}

// Check says what is wrong with a Turn.
func (t Turn) Check() error {
	_, err := t.steps()
	return err
}

// steps are what a Turn comes to: transpose the picture or not, then mirror it.
type steps struct{ transpose, horizontal, vertical bool }

func (t Turn) steps() (steps, error) {
	var s steps
	switch t.Rotate {
	case 0:
	case 90:
		s = steps{transpose: true, horizontal: true}
	case 180:
		s = steps{horizontal: true, vertical: true}
	case 270:
		s = steps{transpose: true, vertical: true}
	default:
		return s, fmt.Errorf("turn picture: rotate %d, want 0, 90, 180 or 270", t.Rotate)
	}
	switch t.Flip {
	case "":
	case "horizontal":
		s.horizontal = !s.horizontal
	case "vertical":
		s.vertical = !s.vertical
	case "both":
		s.horizontal, s.vertical = !s.horizontal, !s.vertical
	default:
		return s, fmt.Errorf("turn picture: flip %q, want horizontal, vertical, both or nothing", t.Flip)
	}
	return s, nil
}

// Turner turns pictures. It reuses its memory and isn't safe for concurrent use.
type Turner struct {
	steps  steps
	turned gocv.Mat
}

// NewTurner makes a Turner. Close it to free its memory.
func NewTurner(t Turn) (*Turner, error) {
	s, err := t.steps()
	if err != nil {
		return nil, err
	}
	return &Turner{steps: s, turned: gocv.NewMat()}, nil
}

// Close frees the Turner's memory and with it the last picture. The Turner must not be used any more.
func (t *Turner) Close() error { return t.turned.Close() }

// Apply turns a picture, which is only read. The result belongs to the Turner and is valid until the next call of Apply or
// Close; where there is nothing to do, it is the picture itself. Apply allocates nothing on Go's heap.
func (t *Turner) Apply(mat gocv.Mat) (gocv.Mat, error) {
	if mat.Closed() || mat.Empty() {
		return gocv.Mat{}, errors.New("turn picture: it is empty")
	}
	const (
		bothAxes   = -1
		vertical   = 0
		horizontal = 1
	)
	if t.steps.transpose {
		if err := gocv.Transpose(mat, &t.turned); err != nil {
			return gocv.Mat{}, fmt.Errorf("turn picture: %w", err)
		}
		mat = t.turned
	}
	axis := horizontal
	switch {
	case !t.steps.horizontal && !t.steps.vertical:
		return mat, nil
	case t.steps.horizontal && t.steps.vertical:
		axis = bothAxes
	case t.steps.vertical:
		axis = vertical
	}
	if err := gocv.Flip(mat, &t.turned, axis); err != nil { // also in place
		return gocv.Mat{}, fmt.Errorf("turn picture: %w", err)
	}
	return t.turned, nil
}
