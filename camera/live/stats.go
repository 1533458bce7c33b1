package live

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Stats are counts since Start, and how the source is.
type Stats struct {
	Seen    uint64 // pictures that came; of them all but one at most were handed out, Dropped or Stale
	Dropped uint64 // pictures that a newer one replaced before Next took them, or that waited when the source was switched off or restarted
	Stale   uint64 // pictures that were too old when Next took them
	Opened  uint64 // streams that Open returned
	Failed  uint64 // openings that failed, and streams that broke, fell silent or were restarted
	Stuck   int    // streams that were left behind since they could not be ended, and still are there

	// Online: pictures come, none is overdue. After a failure two pictures and a second of them are waited for.
	Online bool

	// Problem is what keeps the pictures from coming or from being of use, in a few words such as "no picture for 5s"; "" if there is
	// nothing, and while the source is switched off or has ended. It begins with the loss, and ends when pictures have come for a second;
	// of a source that fails again and again for longer, up to 30 s, so that it doesn't come and go.
	Problem string
	Since   time.Time // when there was no Problem last; zero without one

	Last          time.Time // when the last picture came; zero before the first
	Ended         bool      // a recording has come to its end
	Width, Height int       // pixels of the last picture; 0 where only its header would tell
}

// Stats returns the counts, and how the source is now.
func (l *Live) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := l.stats
	stats.Stuck = l.left
	stats.Online, stats.Problem, stats.Since = l.shown.online, l.shown.problem, l.since
	stats.Ended = l.ended
	return stats
}

// changed works out what Stats says, and has the caller hear of it. The caller holds mu.
func (l *Live) changed() {
	now := view{online: l.online}
	if l.enabled && !l.ended && !l.closed {
		now.problem = l.trouble
		if now.problem == "" {
			now.problem = l.complaint
		}
	}
	if now == l.shown {
		return
	}
	switch {
	case now.problem == "":
		l.since = time.Time{}
	case l.shown.problem == "":
		l.since = time.Now()
	}
	l.shown = now
	signal(l.news)
}

// tell calls Options.Changed.
func (l *Live) tell() {
	defer close(l.told)
	var told view
	for {
		select {
		case <-l.news:
		case <-l.closing:
			return
		}
		l.mu.Lock()
		now, closed := l.shown, l.closed
		l.mu.Unlock()
		if closed {
			return
		}
		if now != told && l.opts.Changed != nil {
			l.opts.Changed()
		}
		told = now
	}
}

// maxProblem is how many bytes of a problem are shown.
const maxProblem = 300

// oneLine is a text that may hold what strangers sent, as people can be shown it.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= maxProblem {
		return text
	}
	end := maxProblem
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// words writes a time without the zeros at its end.
func words(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
