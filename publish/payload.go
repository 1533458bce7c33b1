package publish

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"sightd/decide"
)

// MaxPayload bounds a payload in bytes. Brokers refuse large packets by closing the connection, and 3.1.1 has no way to
// say why.
const MaxPayload = 256 << 10

// maxText bounds labels and error texts in bytes: both may come from a stranger's file.
const maxText = 1024

// Model names the network that made an event's scores.
type Model struct {
	Name     string // such as googlenet-int8
	SHA256   string // of the file, 64 hex digits
	Delegate string // what ran it: cpu, xnnpack, gpu ...
}

// Info is what the bridge says about itself on InfoTopic.
type Info struct {
	Version  string
	Model    ModelInfo
	Delegate DelegateInfo
	Board    string    // such as "Raspberry Pi 5 Model B Rev 1.0"
	Started  time.Time // of the daemon
}

// ModelInfo describes the network in use.
type ModelInfo struct {
	Name   string   `json:"name"`
	SHA256 string   `json:"sha256"` // of the file, 64 hex digits
	Labels []string `json:"labels"` // one a class, in the order of the model's output; may repeat
}

// DelegateInfo says what runs the network, and why.
type DelegateInfo struct {
	Requested string `json:"requested"` // as configured
	Active    string `json:"active"`    // what runs
	Reason    string `json:"reason"`    // why this one
}

// model is the part of the description that every event carries.
func (i Info) model() Model {
	return Model{Name: i.Model.Name, SHA256: i.Model.SHA256, Delegate: i.Delegate.Active}
}

// eventJSON has the keys of an event in their order. A pointer is null where there is nothing to say.
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
	Index int     `json:"index"`
	Score float64 `json:"score"`
}

type infoJSON struct {
	Version  string       `json:"version"`
	Model    ModelInfo    `json:"model"`
	Delegate DelegateInfo `json:"delegate"`
	Board    string       `json:"board"`
	Started  string       `json:"started"`
}

// EventPayload is the JSON of e, made with m: one object without line breaks, in UTF-8 without control characters.
// Scores have four decimals, milliseconds two, times are RFC 3339 in UTC with milliseconds. A picture's score is not
// smoothed over others, so smoothed equals score; it follows nothing, so previous is "none" and duration_s 0. A refused
// picture has null for label, index, score and smoothed, and an empty top. A score that is not a number, and a payload
// over MaxPayload, are errors.
func EventPayload(e decide.Event, m Model) ([]byte, error) {
	v := eventJSON{
		EventType:  string(e.Kind),
		ID:         printable(e.ID),
		Seq:        e.Seq,
		Time:       timestamp(e.Time),
		Source:     printable(e.Source),
		Previous:   "none",
		Top:        make([]scoreJSON, len(e.Top)),
		Model:      printable(m.Name),
		ModelSHA:   printable(m.SHA256),
		Delegate:   printable(m.Delegate),
		InferMS:    round(e.InferMS, 2),
		FrameAgeMS: e.FrameAge.Round(time.Millisecond).Milliseconds(),
	}
	for i, s := range e.Top {
		v.Top[i] = scoreJSON{Label: short(printable(s.Label)), Index: s.Index, Score: round(float64(s.Score), 4)}
	}
	if len(v.Top) > 0 {
		best := &v.Top[0]
		v.Label, v.Index, v.Score, v.Smoothed = &best.Label, &best.Index, &best.Score, &best.Score
	}
	if e.File != "" {
		file := printable(e.File)
		v.File = &file
	}
	if e.Error != "" {
		text := short(printable(e.Error))
		v.Error = &text
	}
	b, err := encode(v)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return b, nil
}

// InfoPayload is the JSON of i, in the form of EventPayload. Labels that would make it larger than MaxPayload, as those of
// tens of thousands of classes do, are left out: labels is then null.
func InfoPayload(i Info) ([]byte, error) {
	v := infoJSON{
		Version: printable(i.Version),
		Model: ModelInfo{
			Name:   printable(i.Model.Name),
			SHA256: printable(i.Model.SHA256),
			Labels: make([]string, len(i.Model.Labels)),
		},
		Delegate: DelegateInfo{
			Requested: printable(i.Delegate.Requested),
			Active:    printable(i.Delegate.Active),
			Reason:    short(printable(i.Delegate.Reason)),
		},
		Board:   printable(i.Board),
		Started: timestamp(i.Started),
	}
	for k, label := range i.Model.Labels {
		v.Model.Labels[k] = short(printable(label))
	}
	b, err := encode(v)
	if errors.Is(err, errTooLarge) {
		v.Model.Labels = nil
		b, err = encode(v)
	}
	if err != nil {
		return nil, fmt.Errorf("encode the description of the bridge: %w", err)
	}
	return b, nil
}

var errTooLarge = fmt.Errorf("want at most %d bytes", MaxPayload)

// encode is json.Marshal without its escapes for HTML, so that a label reads on a screen as it is.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	payload := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("%w, have %d", errTooLarge, len(payload))
	}
	return payload, nil
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// round keeps so many decimals of v; NaN and infinities stay, for encode to refuse.
func round(v float64, decimals int) float64 {
	scale := math.Pow10(decimals)
	return math.Round(v*scale) / scale
}

// printable is s as valid UTF-8, with U+FFFD for each run of bytes that is none, and for each character that controls a
// terminal or breaks a line. Other invisible characters stay: file names and labels in Persian or of emoji need them.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp)
}

// short cuts valid UTF-8 to maxText bytes, at a character's end, and marks the cut.
func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}
