package publish

import (
	"fmt"
	"time"

	"sightd/decide"
)

// State is what a source shows now, on SourceStateTopic. For a folder that is its last picture.
type State struct {
	Best     *decide.Score // with decide.NoIndex for a group, decide.Unknown and decide.None; nil is as the last
	Unseen   bool          // Best is held over a loss of sight: its Score says nothing
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

// StatePayload is the JSON of s, in at most limit bytes. Scores have four decimals. The index of a group is null; so are
// index, score and smoothed of Unknown, which is no class that could have a score, and the score of what is held Unseen. Label and problem have at most 1024 bytes,
// and down to 32 where limit asks for it; the cut is marked with "…". That fits into 512 bytes. What is still larger, and a
// score that is not a number, are errors.
func StatePayload(s State, limit int) ([]byte, error) {
	payload, err := fit(limit, func(cut int) any {
		v := stateJSON{
			Since:   timeOrNull(s.Since),
			Enabled: s.Enabled,
			Problem: textOrNull(s.Problem, cut),
			Seq:     s.Seq,
			Time:    timestamp(s.Time),
		}
		if s.Best != nil && (s.Best.Label != decide.None || s.Best.Index != decide.NoIndex) {
			v.Label, v.Index, v.Score, v.Smoothed = shown(s.Best, s.Smoothed, cut)
			if s.Unseen {
				v.Score = nil
			}
		}
		return v
	})
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	return payload, nil
}
