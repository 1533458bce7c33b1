package live

import (
	"context"
	"fmt"
	"time"
)

const (
	// endWithin is how long the end of a stream is waited for before it is left behind.
	endWithin = 5 * time.Second

	// maxLeft is how many streams may be left behind at a time; then nothing is opened until one of them has ended. One doesn't
	// keep the source from being opened: a device that it still holds refuses to be opened, which harms nothing, and a network camera
	// has room for another.
	maxLeft = 2

	// steady is how long a stream must have brought pictures for its loss to be nothing like the one before.
	steady = time.Minute
)

// supervise opens one stream after the other until Close.
func (l *Live) supervise() {
	defer close(l.done)
	for l.ready() {
		s := l.begin()
		if s == nil {
			continue
		}
		go l.work(s)
		l.watch(s)
		l.reportEnd(s)
		l.end(s)
		if wait, again := l.afterwards(s); again {
			l.pause(s, wait)
		}
	}
}

// ready waits until a stream is to be opened. It is false after Close.
func (l *Live) ready() bool {
	for {
		l.mu.Lock()
		closed, off, wanted, room := l.closed, !l.enabled, l.enabled && !l.ended, l.left < maxLeft
		if wanted && !room {
			l.trouble = fmt.Sprintf("%d streams of it can't be ended: waiting for one of them", l.left)
			l.changed()
		}
		l.mu.Unlock()
		switch {
		case closed:
			return false
		case wanted && room:
			return true
		case off:
			l.report.off()
		}
		select {
		case <-l.kick:
		case <-l.closing:
		}
	}
}

// begin makes a stream's session the current one. It is nil where none is wanted any more.
func (l *Live) begin() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !l.enabled || l.ended {
		return nil
	}
	s := &session{
		shot:  l.spare,
		lost:  make(chan struct{}),
		done:  make(chan struct{}),
		news:  make(chan struct{}, 1),
		turn:  l.turns,
		began: time.Now(),
	}
	l.spare.Data = nil
	s.ctx, s.cancel = context.WithCancel(context.Background())
	l.current = s
	return s
}

// watch returns when the stream is lost, and loses it itself when a picture is overdue.
func (l *Live) watch(s *session) {
	timer := time.NewTimer(min(l.opts.First, l.opts.Stall))
	defer timer.Stop()
	for {
		select {
		case <-s.lost:
			return
		case <-s.news:
			l.report.up(time.Now())
		case <-timer.C:
			timer.Reset(l.overdue(s))
		}
	}
}

// overdue returns when to look again: when the stream's next picture is due, and in Stall at the latest, as the first may come at any
// time and sets a nearer deadline. The stream is lost if the picture was due before.
func (l *Live) overdue(s *session) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	problem, deadline := "no picture for "+words(l.opts.Stall), s.last.Add(l.opts.Stall)
	if s.pictures == 0 {
		problem, deadline = "no first picture within "+words(l.opts.First), s.began.Add(l.opts.First)
		if !s.opened {
			problem = "not opened within " + words(l.opts.First)
		}
	}
	wait := time.Until(deadline)
	if wait <= 0 {
		l.lose(s, failed, problem)
	}
	return min(wait, l.opts.Stall)
}

// reportEnd tells the log what became of a stream.
func (l *Live) reportEnd(s *session) {
	l.mu.Lock()
	lasted, came := s.lasted(), s.pictures > 0
	l.mu.Unlock()
	select {
	case <-s.news:
		l.report.up(time.Now())
	default:
	}
	switch s.fate {
	case failed:
		l.report.down(s.problem, came, lasted, time.Now())
	case ended:
		l.report.ended()
	}
}

// end ends a stream that is lost, and waits for that, within limits.
func (l *Live) end(s *session) {
	s.cancel()
	timer := time.NewTimer(endWithin)
	defer timer.Stop()
	select {
	case <-s.done:
		l.spare.Data = s.shot.Data
		if s.closeErr != nil {
			l.report.unclean(s.closeErr)
		}
		return
	case <-timer.C:
	}
	l.mu.Lock()
	s.left = !s.over
	if s.left {
		l.left++
	}
	over, left := s.over, l.left
	l.mu.Unlock()
	if !over {
		l.report.leftBehind(left)
	}
}

// afterwards counts how the stream did. It returns whether it failed, and how long to wait before it is opened again.
func (l *Live) afterwards(s *session) (wait time.Duration, again bool) {
	l.mu.Lock()
	if s.fate != failed || s.turn != l.turns {
		l.mu.Unlock()
		return 0, false
	}
	if s.healthy {
		l.attempt = 0
	}
	switch {
	case s.lasted() >= steady:
		l.flaps = 0
	case s.pictures > 0:
		l.flaps++
	}
	attempt := l.attempt
	l.attempt++
	l.mu.Unlock()
	return l.opts.Backoff(attempt), true
}

// pause waits before the stream is opened again, unless the source is switched off, or was.
func (l *Live) pause(s *session, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		l.mu.Lock()
		over := l.closed || l.turns != s.turn
		l.mu.Unlock()
		if over {
			return
		}
		select {
		case <-timer.C:
			return
		case <-l.kick:
		case <-l.closing:
		}
	}
}
