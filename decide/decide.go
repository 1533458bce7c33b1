// Package decide turns the scores of a picture into what is said about it: the best labels in order, and the Event that
// is published. It is pure: it reads no clock, no file and no network; time comes as an argument.
//
// A folder's picture stands for itself: Top names its best labels. What a live source shows is decided over several
// pictures by a Decider, one a source, in four rules:
//
//  1. A look is a picture that was classified. It votes for its best label, if that reaches enter and is known well enough.
//  2. A label enters when k of the last n looks voted for it, this one too, and its smoothed score reaches enter.
//  3. A look sees the label that is shown if that reaches stay, by itself or smoothed, and nothing else has the vote.
//     When n looks in a row don't see it, it is missing.
//  4. What is missing for as long as hold leaves; or it changes into what by then could enter. What left or was changed
//     away doesn't come back, by enter or change, within cooldown.
//
// Rule 4 is what keeps events from flapping: nothing takes the place of a label that is seen now and then. Labels which
// take turns faster than hold make one event, however long they do.
//
// Each look leaves a Record of which gate stopped what; a Ring keeps them for people to read.
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

// Model names the network that made an event's scores.
type Model struct {
	Name     string // such as googlenet-int8
	SHA256   string // of the file, 64 hex digits
	Delegate string // what ran it: cpu, xnnpack, gpu ...
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
	Model    Model         // that judged the picture; the zero value: whoever publishes the event knows

	// The rest is said by the events of live sources alone.
	Label    *Score        // what entered, or changed to; of a Leave what left. Its Score is that of this picture, 0 where Top is empty
	Smoothed float32       // Label's score over several pictures, 0 to 1
	Previous string        // label before, None or Unknown
	Duration time.Duration // for how long Previous (of a Leave: Label) was shown, its hold included
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
