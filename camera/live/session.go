package live

import (
	"context"
	"io"
	"time"

	"sightd/camera/capture"
)

// fate is what became of a stream.
type fate uint8

const (
	failed      fate = iota + 1 // it broke, fell silent or was restarted
	ended                       // a recording has come to its end
	switchedOff                 // nobody wants it any more
)

// settle is for how long pictures must have come after a failure for it to be over.
const (
	settle    = time.Second
	maxSettle = 30 * time.Second
)

// session is one opening of the source, and the stream that came of it.
type session struct {
	ctx    context.Context // ends when the stream is to end
	cancel context.CancelFunc
	lost   chan struct{} // closed when it isn't the current one any more
	done   chan struct{} // closed when nothing is left of it
	news   chan struct{} // tells the supervisor that pictures come, with no problem left

	shot     capture.Shot // what it reads into; work's, until done is closed
	closeErr error        // the same

	turn  uint64 // Live.turns when it began
	began time.Time

	// These are guarded by Live.mu. After lost is closed fate and problem stay.
	fate     fate
	problem  string
	opened   bool
	over     bool // done is closed
	left     bool // it was left behind
	healthy  bool
	pictures uint64
	first    time.Time // when its first picture came
	last     time.Time // and its last
	good     time.Time // since when there was no complaint
}

// lasted is for how long the stream brought pictures. The caller holds mu.
func (s *session) lasted() time.Duration { return s.last.Sub(s.first) }

// work opens the stream and reads it until it ends or is ended.
func (l *Live) work(s *session) {
	defer l.finish(s)
	stream, err := l.opts.Open(s.ctx)
	if err != nil {
		l.broke(s, err, failed)
		return
	}
	closed := make(chan struct{})
	context.AfterFunc(s.ctx, func() {
		s.closeErr = stream.Close()
		close(closed)
	})
	l.open(s)
	for {
		if err = stream.Read(&s.shot); err != nil || !l.put(s) {
			break
		}
	}
	if err == io.EOF {
		l.broke(s, err, ended)
	} else if err != nil {
		l.broke(s, err, failed)
	}
	s.cancel()
	<-closed
}

// finish tells that nothing is left of the session.
func (l *Live) finish(s *session) {
	s.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	s.over = true
	if s.left {
		l.left--
		signal(l.kick)
	}
	close(s.done)
}

// open notes that Open has returned a stream.
func (l *Live) open(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Opened++
	s.opened = true
}

// broke loses the stream for what Open or Read said, if it was not lost before.
func (l *Live) broke(s *session, err error, fate fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose(s, fate, oneLine(err.Error()))
}

// lose makes the session one whose pictures are not taken any more. Of several calls the first decides; s may be nil. The caller
// holds mu.
func (l *Live) lose(s *session, fate fate, problem string) {
	if s == nil || l.current != s {
		return
	}
	if fate == failed && problem == "" {
		problem = "failed without saying why"
	}
	l.current = nil
	l.online = false
	s.fate, s.problem = fate, problem
	switch fate {
	case failed:
		l.stats.Failed++
		l.trouble = problem
	case ended:
		l.trouble, l.ended, l.eof = "", true, true
		l.attempt, l.flaps = 0, 0
		signal(l.wake)
	}
	close(s.lost)
	l.changed()
}

// put swaps the picture that was read with the one in the mailbox. It is false when nobody wants the stream's pictures any more.
func (l *Live) put(s *session) bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != s {
		return false
	}
	l.stats.Seen++
	l.stats.Last, l.stats.Width, l.stats.Height = now, s.shot.Width, s.shot.Height
	if l.pending {
		l.stats.Dropped++
	}
	s.shot, l.box = l.box, s.shot
	l.pending, l.born = true, s.born(l.box.Time, now)
	signal(l.wake)

	if s.pictures++; s.pictures == 1 {
		s.first = now
	}
	s.last = now
	l.judge(s, now)
	return true
}

// born is what the age of a picture that came now counts from: its own time, if that can be true of one that is live.
func (s *session) born(taken, now time.Time) time.Time {
	if taken.Before(s.began) || taken.After(now) {
		return now
	}
	return taken
}

// judge sees whether what was wrong with the source is over, now that a picture has come. The caller holds mu.
func (l *Live) judge(s *session, now time.Time) {
	switch {
	case l.complaint != "":
		s.good = time.Time{}
	case s.good.IsZero():
		s.good = now
	case now.Sub(s.good) >= l.opts.Healthy:
		s.healthy = true
	}
	if l.online && l.trouble == "" {
		return
	}
	if l.trouble == "" || s.pictures > 1 && s.lasted() >= settle {
		l.online = true
	}
	if l.trouble == "" || s.pictures > 1 && s.lasted() >= min(settle<<min(max(l.flaps-1, 0), 10), maxSettle) {
		l.trouble = ""
		signal(s.news)
	}
	l.changed()
}
