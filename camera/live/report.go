package live

import (
	"log/slog"
	"maps"
	"regexp"
	"sync"
	"time"
)

// repeatAfter is how often the same problem is told again.
const repeatAfter = 5 * time.Minute

// maxSayings is how many problems are remembered as told.
const maxSayings = 32

// report tells the log how the source fares: a line for a loss, and one when pictures come again; a line when the pictures are of no
// use, and one when they are again. What is like something of the last minutes is counted instead, unless all was well for a minute in
// between. Several goroutines may call it.
type report struct {
	log *slog.Logger

	mu     sync.Mutex
	state  state             // what was told last
	since  time.Time         // of state
	came   bool              // pictures have come since it was switched on
	losses int               // since pictures came, told or not
	said   map[string]saying // by kind of problem

	fault  string            // what is wrong with the pictures
	bad    time.Time         // when that began
	good   time.Time         // when it ended
	told   bool              // that it began, but not that it ended
	owed   bool              // to tell that pictures come again
	faults map[string]saying // by kind of fault
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

func newReport(log *slog.Logger) *report {
	return &report{log: log, said: make(map[string]saying), faults: make(map[string]saying)}
}

// up tells that pictures come; after a loss not before they are of use.
func (r *report) up(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	says := "live source brings pictures"
	if r.came {
		says += " again"
	}
	r.came = true
	switch r.state {
	case unknown, isOff:
		r.log.Info(says)
	case isDown:
		if r.owed = r.fault != ""; r.owed {
			return
		}
		r.log.Info(says, "after", now.Sub(r.since).Round(time.Millisecond), "losses", r.losses)
	}
	r.state, r.since, r.losses = isUp, now, 0
}

// down tells that a stream failed, which had brought pictures for so long, if any came.
func (r *report) down(problem string, came bool, lasted time.Duration, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.losses++
	r.came, r.owed = r.came || came, false
	if lasted >= steady || len(r.said) >= maxSayings {
		clear(r.said)
	}
	repeated, tell := say(r.said, problem, now)
	if !tell {
		return
	}
	if r.state != isDown {
		r.state, r.since = isDown, now
	}
	about := []any{"problem", problem}
	if lasted = lasted.Round(time.Millisecond); lasted > 0 {
		about = append(about, "lasted", lasted)
	}
	if repeated > 0 {
		about = append(about, "repeated", repeated)
	}
	if r.came {
		r.log.Warn("live source lost, trying on", about...)
	} else {
		r.log.Warn("live source can't be opened, trying on", about...)
	}
}

// complain tells what is wrong with the pictures, or "" that it is over, if that is new.
func (r *report) complain(problem string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.fault
	if problem == before {
		return
	}
	r.fault = problem
	if problem == "" {
		r.relieve(now)
		return
	}
	if before == "" {
		if now.Sub(r.good) >= steady {
			clear(r.faults)
		}
		if !r.told {
			r.bad = now
		}
	}
	if len(r.faults) >= maxSayings { // each may differ from the one before: they come as fast as pictures do
		maps.DeleteFunc(r.faults, func(_ string, s saying) bool { return now.Sub(s.at) >= repeatAfter })
	}
	repeated, tell := say(r.faults, problem, now)
	if !tell {
		return
	}
	r.told = true
	about := []any{"problem", problem}
	if repeated > 0 {
		about = append(about, "repeated", repeated)
	}
	r.log.Warn("live source's pictures are of no use", about...)
}

// relieve tells that nothing is wrong with the pictures any more. The caller holds mu.
func (r *report) relieve(now time.Time) {
	r.good = now
	switch {
	case r.told:
		r.log.Info("live source's pictures are of use again", "after", now.Sub(r.bad).Round(time.Millisecond))
	case r.owed:
		r.log.Info("live source brings pictures again", "after", now.Sub(r.since).Round(time.Millisecond), "losses", r.losses)
	}
	if r.owed {
		r.state, r.since, r.losses = isUp, now, 0
	}
	r.told, r.owed = false, false
}

// off tells that the source was switched off.
func (r *report) off() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != isOff {
		r.log.Debug("live source switched off")
		r.anew(isOff)
	}
}

// ended tells that a recording has come to its end.
func (r *report) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.Info("the recording has ended")
	r.anew(unknown)
}

func (r *report) anew(state state) {
	r.state, r.losses, r.came = state, 0, false
	r.fault, r.told, r.owed = "", false, false
	clear(r.said)
	clear(r.faults)
}

// leftBehind tells that a stream could not be ended.
func (r *report) leftBehind(left int) {
	r.log.Error("a stream of the live source can't be ended, leaving it behind", "after", words(endWithin), "left", left)
}

// unclean tells that a stream was ended, but not without an error.
func (r *report) unclean(err error) {
	r.log.Debug("closing a stream of the live source", "err", err)
}

// say reports whether a problem is to be told now, and how often it was not since it was. It keeps at most maxSayings.
func say(said map[string]saying, problem string, now time.Time) (repeated int, tell bool) {
	kind := kind(problem)
	s, before := said[kind]
	switch {
	case before && now.Sub(s.at) < repeatAfter:
		s.unsaid++
		said[kind] = s
		return 0, false
	case !before && len(said) >= maxSayings:
		return 0, false
	}
	said[kind] = saying{at: now}
	return s.unsaid, true
}

// changing matches what differs between two failures for the same reason: ports, process ids, addresses in memory.
var changing = regexp.MustCompile(`0x[0-9a-f]+|[0-9]{4,}`)

// kind is a problem without the numbers that differ each time.
func kind(problem string) string { return changing.ReplaceAllLiteralString(problem, "#") }
