package live

import (
	"log/slog"
	"regexp"
	"time"
)

// repeatAfter is how often the same problem is told again.
const repeatAfter = 5 * time.Minute

// maxSayings is how many problems are remembered as told.
const maxSayings = 32

// report tells the log how the source fares: a line for a loss, and one when pictures come again. A loss like one of the last minutes
// is counted instead, unless the stream was steady in between. Only Live.supervise calls it.
type report struct {
	log    *slog.Logger
	state  state             // what was told last
	since  time.Time         // of state
	losses int               // since pictures came, told or not
	said   map[string]saying // by kind of problem
}

// saying is a problem that was told.
type saying struct {
	at     time.Time
	unsaid int // how often it came again since
}

// state is what the log says of the source.
type state uint8

const (
	unknown state = iota
	isUp
	isDown
	isOff
)

func newReport(log *slog.Logger) report { return report{log: log, said: make(map[string]saying)} }

// up tells that pictures come.
func (r *report) up(now time.Time) {
	switch r.state {
	case unknown, isOff:
		r.log.Info("live source brings pictures")
	case isDown:
		r.log.Info("live source brings pictures again", "after", now.Sub(r.since).Round(time.Millisecond), "losses", r.losses)
	}
	r.state, r.since, r.losses = isUp, now, 0
}

// down tells that the stream failed, which had brought pictures for so long.
func (r *report) down(problem string, lasted time.Duration, now time.Time) {
	r.losses++
	if lasted >= steady || len(r.said) >= maxSayings {
		clear(r.said)
	}
	kind := kind(problem)
	s, before := r.said[kind]
	if before && now.Sub(s.at) < repeatAfter {
		s.unsaid++
		r.said[kind] = s
		return
	}
	if r.state != isDown {
		r.state, r.since = isDown, now
	}
	r.said[kind] = saying{at: now}
	r.log.Warn("live source lost, trying on", "problem", problem, "lasted", lasted.Round(time.Millisecond), "repeated", s.unsaid)
}

// off tells that the source was switched off.
func (r *report) off() {
	if r.state != isOff {
		r.log.Info("live source switched off")
		r.anew(isOff)
	}
}

// ended tells that a recording has come to its end.
func (r *report) ended() {
	r.log.Info("recording has ended")
	r.anew(unknown)
}

func (r *report) anew(state state) {
	r.state, r.losses = state, 0
	clear(r.said)
}

// leftBehind tells that a stream could not be ended.
func (r *report) leftBehind(left int) {
	r.log.Error("a stream of the live source can't be ended, leaving it behind", "after", words(endWithin), "left", left)
}

// unclean tells that a stream was ended, but not without an error.
func (r *report) unclean(err error) {
	r.log.Debug("closing a stream of the live source", "err", err)
}

// changing matches what differs between two failures for the same reason: ports, process ids, addresses in memory.
var changing = regexp.MustCompile(`0x[0-9a-f]+|[0-9]{4,}`)

// kind is a problem without the numbers that differ each time.
func kind(problem string) string { return changing.ReplaceAllLiteralString(problem, "#") }
