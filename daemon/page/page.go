// Package page shows how a board fares by HTTP, to whoever asks: a page for people, metrics for Prometheus, and the bridge's health as
// it is published over MQTT. It makes them of a Status that it is given, and reads nothing itself. It changes nothing, shows no picture,
// and asks nobody who he is: see Open for what keeps strangers out.
package page

import (
	"strings"
	"unicode"

	"sightd/decide"
	"sightd/publish"
)

// Status is all that is shown, as it was at Health.Time.
type Status struct {
	Name    string // of the board
	Info    publish.Info
	Health  publish.Health
	Limit   int // bytes of its JSON, as it is published
	Sources []Source

	Broker     string  // its URL
	Connected  bool    // to it
	Classified uint64  // pictures, since the start
	Heat       float64 // what the time between two looks at a live source is stretched by: 1 or more
}

// Source is what a source shows. Its counts are in Status.Health, by its name.
type Source struct {
	Name      string
	Available string // publish.Online, Offline or Disabled
	State     publish.State
}

// source is what is known of a source.
type source struct {
	publish.SourceHealth
	available string // "": nothing but the counts is known
	state     publish.State
}

// sources joins what is known of each source, in the order of the health.
func (s *Status) sources() []source {
	shown := make(map[string]Source, len(s.Sources))
	for _, each := range s.Sources {
		shown[each.Name] = each
	}
	joined := make([]source, len(s.Health.Sources))
	for i, h := range s.Health.Sources {
		each := shown[h.Name]
		joined[i] = source{h, each.Available, each.State}
	}
	return joined
}

// label is what is shown, with its score from 0 to 1; a negative score is none. "": nothing was seen yet, or nothing can be.
func (s *source) label() (label string, score float64) {
	best := s.state.Best
	if best == nil || best.Index == decide.NoIndex && best.Label == decide.None {
		return "", -1
	}
	if best.Index == decide.NoIndex && best.Label == decide.Unknown || s.state.Unseen {
		return best.Label, -1
	}
	return best.Label, float64(s.state.Smoothed)
}

// problem is why nothing new comes, "" where nothing is wrong.
func (s *source) problem() string {
	if s.Problem != "" {
		return s.Problem
	}
	return s.state.Problem
}

// maxText is how many bytes of a text are shown: labels, and reasons that quote files, come from strangers.
const maxText = 512

// text is what is shown of s: valid UTF-8 without control characters, cut at a character's end.
func text(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}
