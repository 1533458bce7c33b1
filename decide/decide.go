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

// The kinds.
const (
	Classified Kind = "classified" // a folder's or a request's picture got its labels
	Refused    Kind = "error"      // a folder's picture was refused, or a source has a problem
	Enter      Kind = "enter"      // a live source shows something, where it showed nothing that is known
	Leave      Kind = "leave"      // what it showed is gone
	Change     Kind = "change"     // it shows something else than before
)

// What a source shows where it shows no label.
const (
	None    = "none"    // nothing was seen yet, or nothing can be
	Unknown = "unknown" // pictures are seen, but nothing in them is known well enough
)

// NoIndex is the Index of a Score whose label is a group, or Unknown: it is no class of the model.
const NoIndex = -1

// Score is one class of a picture.
type Score struct {
	Label string  `json:"label"`
	Index int     `json:"index"` // position in the model's output, from 0; NoIndex: a group of labels
	Score float32 `json:"score"` // probability, 0 to 1
}

// Event is what is said about one picture, or about what a live source shows from a picture on.
type Event struct {
	Kind   Kind
	ID     string    // stable: the same picture at the same place keeps it, whatever is repeated
	Seq    uint64    // counts a source's events from 1 since the daemon's start
	Time   time.Time // when the picture was classified or refused
	Source string    // the source's name
	File   string    // relative to the watched folder, with slashes

	Top      []Score       // of the picture, best first; empty for a refused picture, and for a Leave without one
	Error    string        // why it was refused, or why a label can't be seen any more; else empty
	InferMS  float64       // milliseconds of Invoke
	FrameAge time.Duration // from when its source handed the picture out until Time

	// The rest is said by the events of live sources alone.
	Label    *Score        // what entered, or changed to; of a Leave what left. Its Score is that of this picture
	Smoothed float32       // Label's score over several pictures, 0 to 1
	Previous string        // label before, None or Unknown
	Duration time.Duration // for how long Previous (of a Leave: Label) was shown
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
