package publish

import (
	"fmt"
	"time"

	"sightd/decide"
)

// State is what a source shows now, on SourceStateTopic. For a folder that is its last picture.
type State struct {
	Best     *decide.Score // nil until there is a label
	Smoothed float32       // Best's score over several pictures, 0 to 1; for a folder Best.Score
	Since    time.Time     // when the label last changed; zero: there was none yet
	Enabled  bool          // as SetTopic was told last
	Problem  string        // why nothing new comes; "": nothing is wrong
	Seq      uint64        // of the source's last event
	Time     time.Time     // of this statement
}

type stateJSON struct {
	Label    *string  `json:"label"`
	Index    *int     `json:"index"`
	Score    *float64 `json:"score"`
	Smoothed *float64 `json:"smoothed"`
	Since    *string  `json:"since"`
	Enabled  bool     `json:"enabled"`
	Problem  *string  `json:"problem"`
	Seq      uint64   `json:"seq"`
	Time     string   `json:"ts"`
}

// StatePayload is the JSON of s, in at most limit bytes. Scores have four decimals. Label and problem have at most 1024
// bytes, and down to 32 where limit asks for it; the cut is marked with "…". That fits into 512 bytes. What is still
// larger, and a score that is not a number, are errors.
func StatePayload(s State, limit int) ([]byte, error) {
	payload, err := fit(limit, func(cut int) any {
		v := stateJSON{
			Since:   timeOrNull(s.Since),
			Enabled: s.Enabled,
			Problem: textOrNull(s.Problem, cut),
			Seq:     s.Seq,
			Time:    timestamp(s.Time),
		}
		if s.Best != nil {
			label, score, smoothed := text(s.Best.Label, cut), round(float64(s.Best.Score), 4), round(float64(s.Smoothed), 4)
			v.Label, v.Index, v.Score, v.Smoothed = &label, &s.Best.Index, &score, &smoothed
		}
		return v
	})
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	return payload, nil
}
