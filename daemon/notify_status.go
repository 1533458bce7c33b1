package daemon

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What the status is cut to: bytes in all, bytes of a label and of a problem, and sources that are named.
const (
	maxStatus        = 500
	maxStatusLabel   = 40
	maxStatusProblem = 100
	maxStatusSources = 6
)

// sight is what a source shows, for the status.
type sight struct {
	name    string
	problem string // "": there is none
	idle    string // why nothing is to be seen, where that is no problem
	label   string // ""; nothing is
	score   float32
}

// status says in one line how the daemon fares.
func (d *Daemon) status(now time.Time) string {
	classified, _ := d.pace.figures(now)
	rate := fmt.Sprintf("%.1f pictures/s", classified)
	var sights []sight
	looked, live := 0.0, false
	for _, s := range d.sources {
		if s.watcher != nil {
			fps, _ := s.watcher.rate.figures(now)
			looked, live = looked+fps, true
		}
		sights = append(sights, s.sight())
	}
	if live {
		rate = fmt.Sprintf("%.1f pictures/s, %.1f classified", max(looked, classified), classified)
	}
	e := d.engine()
	return statusLine(rate, d.client.Stats().Connected, sights, e.Name+" on "+string(e.Delegation().Delegate))
}

// sight is what the source shows now.
func (s *source) sight() sight {
	v := sight{name: s.config.Name, problem: s.problem()}
	if s.watcher != nil {
		stats := s.watcher.live.Stats()
		if v.problem != "" && !stats.Online {
			v.problem = "gone: " + v.problem
		}
		if stats.Ended {
			v.idle = "recording has ended"
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.state.Enabled {
		v.idle = "switched off"
	}
	if best := s.state.Best; best != nil {
		v.label, v.score = best.Label, best.Score
	}
	return v
}

// text is the sight in a few words.
func (v sight) text() string {
	switch {
	case v.idle != "":
		return v.name + ": " + v.idle
	case v.problem != "":
		return v.name + ": " + oneLine(v.problem, maxStatusProblem)
	case v.label != "":
		return fmt.Sprintf("%s: %s %.2f", v.name, escapedLabel(v.label), v.score)
	}
	return v.name + ": nothing seen"
}

// statusLine puts the status together. Sources with problems come first, for there may be too many.
func statusLine(rate string, connected bool, sights []sight, model string) string {
	parts := []string{rate}
	if !connected {
		parts = append(parts, "not connected to the broker")
	}
	sights = slices.Clone(sights)
	slices.SortStableFunc(sights, func(a, b sight) int {
		return cmp.Compare(min(len(b.problem), 1), min(len(a.problem), 1))
	})
	more := max(len(sights)-maxStatusSources, 0)
	for _, v := range sights[:len(sights)-more] {
		parts = append(parts, v.text())
	}
	if more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more sources", more))
	}
	return oneLine(strings.Join(append(parts, model), "; "), maxStatus)
}

// escapedLabel is a label, which comes from strangers, as a part of the status: quoted where it could be taken for something else.
func escapedLabel(label string) string {
	label = cut(label, maxStatusLabel)
	if quoted := strconv.Quote(label); quoted != `"`+label+`"` || strings.ContainsAny(label, ";:") {
		return cut(quoted, 2*maxStatusLabel)
	}
	return label
}

// oneLine is a text with spaces for what can't be printed, cut to so many bytes.
func oneLine(text string, most int) string {
	return cut(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "\uFFFD")), most)
}

// cut shortens a text to so many bytes, between two runes.
func cut(text string, most int) string {
	const mark = "…"
	if len(text) <= most {
		return text
	}
	end := most - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}
