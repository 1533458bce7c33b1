// Package decide turns the scores of a picture into what is said about it: the best labels in order, and the Event that
// is published. It is pure: it reads no clock, no file and no network.
//
// This version says what each picture of a folder shows ("classified") or why it was refused ("error"). It doesn't
// smooth, confirm or hold: that is for live cameras.
package decide

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Kind is an Event's event_type.
type Kind string

// The kinds of this version.
const (
	Classified Kind = "classified" // a folder's picture got its labels
	Refused    Kind = "error"      // a folder's picture was refused
)

// Score is one class of a picture.
type Score struct {
	Label string  `json:"label"`
	Index int     `json:"index"` // position in the model's output, from 0
	Score float32 `json:"score"` // probability, 0 to 1
}

// Event is what is said about one picture.
type Event struct {
	Kind   Kind
	ID     string    // stable: the same picture at the same place keeps it, whatever is repeated
	Seq    uint64    // counts a source's events from 1 since the daemon's start
	Time   time.Time // when the picture was classified or refused
	Source string    // the source's name
	File   string    // relative to the watched folder, with slashes

	Top      []Score       // best first; empty for a refused picture
	Error    string        // why it was refused; empty for a classified one
	InferMS  float64       // milliseconds of Invoke
	FrameAge time.Duration // from when its source handed the picture out until Time
}

// Top fills dst with the len(dst) best scores, best first, and returns how many there are: fewer than len(dst) where scores
// is shorter. Equal scores are ordered by index, NaN is below every number. A class that labels is too short for gets the
// label "". It allocates nothing.
func Top(dst []Score, scores []float32, labels []string) int {
	n := 0
	for i, s := range scores {
		at := n
		for at > 0 && cmp.Less(dst[at-1].Score, s) {
			at--
		}
		if at == len(dst) {
			continue
		}
		if n < len(dst) {
			n++
		}
		copy(dst[at+1:n], dst[at:n-1])
		dst[at] = Score{Index: i, Score: s}
		if i < len(labels) {
			dst[at].Label = labels[i]
		}
	}
	return n
}

// CheckLabels tests that there is one label for each class and that none is empty. Labels may repeat.
func CheckLabels(labels []string, classes int) error {
	if len(labels) != classes {
		return fmt.Errorf("match labels to the model: have %d labels, the model has %d classes", len(labels), classes)
	}
	if i := slices.Index(labels, ""); i >= 0 {
		return fmt.Errorf("match labels to the model: label %d is empty", i)
	}
	return nil
}
