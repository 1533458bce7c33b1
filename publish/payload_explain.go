package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"sightd/decide"
)

// MaxEntries is how many entries an Explanation has at most on its way. Who hands one more to ExplainResponse has it said that
// there are more.
const MaxEntries = 2000

// Explanation is the answer to a request of Explain: what became of a source's pictures around a moment.
type Explanation struct {
	Source    string
	At        time.Time      // the moment that was asked about; not sent
	From, To  time.Time      // between which Entries were looked for
	Truncated bool           // Entries that are further from At were left out
	Problem   string         // what keeps the source from seeing when it answers, whatever At is; "": nothing
	Entries   []decide.Entry // the oldest first
}

type explanationJSON struct {
	Source    string            `json:"source"`
	From      string            `json:"from"`
	To        string            `json:"to"`
	Truncated bool              `json:"truncated"`
	Problem   *string           `json:"problem"`
	Entries   []json.RawMessage `json:"entries"`
}

// entryJSON is a decide.Entry with its texts and indices as all payloads have them.
type entryJSON struct {
	Time  string `json:"ts"`
	Until string `json:"until"`
	plainEntry
	Top []scoreJSON `json:"top"`
}

type plainEntry decide.Entry

// ExplainResponse answers a request of Explain, in at most limit bytes. Of more than MaxEntries entries, and of those that would
// make the answer too large, the ones go that are the furthest from e.At, and truncated is true. Labels and the problem have at
// most 1024 bytes, the problem down to 32 where limit asks for it.
// Entries with a gate that there isn't, or a score that is not a number, are answered with an error.
func ExplainResponse(transaction json.RawMessage, e Explanation, limit int) ([]byte, error) {
	v := explanationJSON{Source: printable(e.Source), From: timestamp(e.From), To: timestamp(e.To), Truncated: e.Truncated, Entries: []json.RawMessage{}}
	bare, err := fit(limit-around, func(cut int) any {
		v.Problem = textOrNull(e.Problem, cut)
		return v
	})
	if err != nil {
		return nil, wrapResponse(err)
	}
	if v.Entries, err = nearest(e.Entries, e.At, limit-around-len(bare)); err != nil {
		return ErrorResponse(transaction, err, limit)
	}
	v.Truncated = e.Truncated || len(v.Entries) < len(e.Entries)
	data, err := encode(v, limit)
	if err != nil {
		return nil, wrapResponse(err)
	}
	return ResponsePayload(Response{Data: data, Transaction: transaction}, limit)
}

// nearest is the JSON of the entries around at that have at most room bytes together, commas included. It is never nil.
func nearest(entries []decide.Entry, at time.Time, room int) ([]json.RawMessage, error) {
	from := slices.IndexFunc(entries, func(e decide.Entry) bool { return !e.Until.Before(at) })
	if from < 0 {
		from = len(entries)
	}
	var before, after []json.RawMessage
	for to := from; (from > 0 || to < len(entries)) && len(before)+len(after) < MaxEntries; {
		back := to == len(entries) || from > 0 && at.Sub(entries[from-1].Until) <= entries[to].Time.Sub(at)
		next := to
		if back {
			next = from - 1
		}
		entry, err := encode(newEntry(&entries[next]), MaxPayload)
		if err != nil {
			return nil, fmt.Errorf("encode entry %d: %w", next, err)
		}
		if room -= len(entry) + len(","); room < 0 {
			break
		}
		if back {
			from, before = next, append(before, entry)
		} else {
			to, after = next+1, append(after, entry)
		}
	}
	slices.Reverse(before)
	return append(append([]json.RawMessage{}, before...), after...), nil
}

func newEntry(e *decide.Entry) *entryJSON {
	v := &entryJSON{Time: timestamp(e.Time), Until: timestamp(e.Until), plainEntry: plainEntry(*e), Top: make([]scoreJSON, len(e.Top))}
	v.Reason, v.Before, v.Shown = text(e.Why(), maxText), text(e.Before, maxText), text(e.Shown, maxText)
	for i, s := range e.Top {
		v.Top[i] = scoreJSON{Label: text(s.Label, maxText), Index: indexOrNull(s), Score: round(float64(s.Score), 4)}
	}
	return v
}

// ParseExplanation reads the data of an answer that ExplainResponse made. At is not in it.
func ParseExplanation(data []byte) (Explanation, error) {
	e, err := parseExplanation(data)
	if err != nil {
		return Explanation{}, fmt.Errorf("read the answer to %s: %w", Explain, err)
	}
	return e, nil
}

func parseExplanation(data []byte) (Explanation, error) {
	var v explanationJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return Explanation{}, err
	}
	from, err1 := time.Parse(time.RFC3339, v.From)
	to, err2 := time.Parse(time.RFC3339, v.To)
	if err := errors.Join(err1, err2); err != nil {
		return Explanation{}, fmt.Errorf("want from and to as times in RFC 3339, have %q and %q", v.From, v.To)
	}
	e := Explanation{Source: v.Source, From: from, To: to, Truncated: v.Truncated, Entries: make([]decide.Entry, len(v.Entries))}
	if v.Problem != nil {
		e.Problem = *v.Problem
	}
	for i, raw := range v.Entries {
		var err error
		if e.Entries[i], err = parseEntry(raw); err != nil {
			return Explanation{}, fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return e, nil
}

func parseEntry(raw []byte) (decide.Entry, error) {
	var v entryJSON
	if err := json.Unmarshal(raw, &v); err != nil {
		return decide.Entry{}, err
	}
	e := decide.Entry(v.plainEntry)
	var err1, err2 error
	e.Time, err1 = time.Parse(time.RFC3339, v.Time)
	e.Until, err2 = time.Parse(time.RFC3339, v.Until)
	if err := errors.Join(err1, err2); err != nil {
		return decide.Entry{}, fmt.Errorf("want ts and until as times in RFC 3339, have %q and %q", v.Time, v.Until)
	}
	e.Top = make([]decide.Score, len(v.Top))
	for i, s := range v.Top {
		e.Top[i] = decide.Score{Label: s.Label, Index: decide.NoIndex, Score: float32(s.Score)}
		if s.Index != nil {
			e.Top[i].Index = *s.Index
		}
	}
	return e, nil
}
