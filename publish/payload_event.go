package publish

import (
	"bytes"
	"fmt"
	"time"

	"sightd/decide"
)

// Model names the network that made an event's scores.
type Model = decide.Model

// eventJSON has the keys of an event in their order. A pointer is null where there is nothing to say. Replayed must stay
// the last key: see replayed.
type eventJSON struct {
	EventType  string      `json:"event_type"`
	ID         string      `json:"id"`
	Seq        uint64      `json:"seq"`
	Time       string      `json:"ts"`
	Source     string      `json:"source"`
	Label      *string     `json:"label"`
	Index      *int        `json:"index"`
	Score      *float64    `json:"score"`
	Smoothed   *float64    `json:"smoothed"`
	Previous   string      `json:"previous"`
	Top        []scoreJSON `json:"top"`
	Model      string      `json:"model"`
	ModelSHA   string      `json:"model_sha"`
	Delegate   string      `json:"delegate"`
	InferMS    float64     `json:"infer_ms"`
	FrameAgeMS int64       `json:"frame_age_ms"`
	DurationS  float64     `json:"duration_s"`
	File       *string     `json:"file"`
	Error      *string     `json:"error"`
	Replayed   bool        `json:"replayed"`
}

type scoreJSON struct {
	Label string  `json:"label"`
	Index *int    `json:"index"`
	Score float64 `json:"score"`
}

// EventPayload is the JSON of e, in at most limit bytes. It names e.Model, and m where that is the zero value. Scores have four decimals, milliseconds and seconds
// two.
//
// An Enter, Leave or Change is about e.Label, which it must have. The index of a group is null; so are index, score and
// smoothed of Unknown, which is no class that could have a score, and the score of what leaves without a picture: then top is
// empty. Events of other kinds are about the best of e.Top. A picture of theirs is not smoothed over others, so smoothed equals
// score; it follows nothing, so previous is "none" and duration_s 0. A refused picture has null for label, index, score and
// smoothed, and an empty top.
//
// Labels and the error have at most 1024 bytes. An event that is larger than limit loses the last entries of top, down to
// one, and then the ends of its texts, down to 32 bytes each and of a file's path the start; each cut is marked with "…".
// That fits into 1 KiB, of live sources into 1280 bytes, whatever the texts. What is still larger, and a score that is not a
// number, are errors.
func EventPayload(e decide.Event, m Model, limit int) ([]byte, error) {
	if ofLive(e.Kind) && e.Label == nil {
		return nil, fmt.Errorf("encode event %s: want a label with %q, have none", text(e.ID, cuts[len(cuts)-1]), e.Kind)
	}
	if e.Model == (Model{}) {
		e.Model = m
	}
	v := newEvent(&e, maxText)
	payload, err := encode(v, limit)
	if large, ok := err.(tooLarge); ok {
		payload, err = shrink(e, fewer(v.Top, large.have-limit), limit)
	}
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", text(e.ID, cuts[len(cuts)-1]), err)
	}
	return payload, nil
}

// shrink is EventPayload with so many entries of top, and texts that are cut as it takes.
func shrink(e decide.Event, top, limit int) ([]byte, error) {
	e.Top = e.Top[:top]
	return fit(limit, func(cut int) any { return newEvent(&e, cut) })
}

func newEvent(e *decide.Event, cut int) *eventJSON {
	v := &eventJSON{
		EventType:  string(e.Kind),
		ID:         printable(e.ID),
		Seq:        e.Seq,
		Time:       timestamp(e.Time),
		Source:     printable(e.Source),
		Previous:   decide.None,
		Top:        make([]scoreJSON, len(e.Top)),
		Model:      text(e.Model.Name, cut),
		ModelSHA:   printable(e.Model.SHA256),
		Delegate:   text(e.Model.Delegate, cut),
		InferMS:    round(e.InferMS, 2),
		FrameAgeMS: e.FrameAge.Round(time.Millisecond).Milliseconds(),
		Error:      textOrNull(e.Error, cut),
	}
	for i, s := range e.Top {
		v.Top[i] = scoreJSON{Label: text(s.Label, cut), Index: indexOrNull(s), Score: round(float64(s.Score), 4)}
	}
	switch {
	case ofLive(e.Kind):
		v.Label, v.Index, v.Score, v.Smoothed = shown(e.Label, e.Smoothed, cut)
		if len(e.Top) == 0 {
			v.Score = nil
		}
		if e.Previous != "" {
			v.Previous = text(e.Previous, cut)
		}
		v.DurationS = round(max(0, e.Duration.Seconds()), 2) // a clock that was set back makes no negative time
	case len(v.Top) > 0:
		best := &v.Top[0]
		v.Label, v.Index, v.Score, v.Smoothed = &best.Label, best.Index, &best.Score, &best.Score
	}
	if e.File != "" {
		file := printable(e.File)
		if cut < maxText {
			file = tail(file, cut)
		}
		v.File = &file
	}
	return v
}

// ofLive reports whether events of this kind are of what a live source shows.
func ofLive(k decide.Kind) bool { return k == decide.Enter || k == decide.Leave || k == decide.Change }

// shown is what events and states have of a label that a source shows. What isn't known has no scores.
func shown(s *decide.Score, smoothed float32, cut int) (label *string, index *int, score, over *float64) {
	l, here, before := text(s.Label, cut), round(float64(s.Score), 4), round(float64(smoothed), 4)
	index = indexOrNull(*s)
	if index == nil && s.Label == decide.Unknown {
		return &l, nil, nil, nil
	}
	return &l, index, &here, &before
}

// indexOrNull is null for a label that is no class of the model.
func indexOrNull(s decide.Score) *int {
	if s.Index == decide.NoIndex {
		return nil
	}
	return &s.Index
}

// fewer is how many of the entries of top to keep, at least one where there is one, so that over bytes are saved, or as
// many of them as can be.
func fewer(top []scoreJSON, over int) int {
	n := len(top)
	for ; n > 1 && over > 0; n-- {
		entry, err := encode(top[n-1], MaxPayload)
		if err != nil {
			break // the whole has the same fault, and tells it
		}
		over -= len(entry) + len(",")
	}
	return n
}

var replayedFalse, replayedTrue = []byte(`"replayed":false}`), []byte(`"replayed":true}`)

// replayed is payload, which EventPayload made, saying that it is sent from the outbox. It is a copy; what doesn't end as
// an event does is returned as it is.
func replayed(payload []byte) []byte {
	start, ok := bytes.CutSuffix(payload, replayedFalse)
	if !ok {
		return payload
	}
	return append(start[:len(start):len(start)], replayedTrue...)
}
