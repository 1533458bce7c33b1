// Package live keeps one live source up: it opens the camera, stream or recording, holds it to the deadlines of its pictures,
// closes what has died or fallen silent and opens it again, waiting longer each time, and hands out the newest picture alone. It
// counts what came and what was dropped, and says in a few words what is wrong.
//
// It looks into no picture: whether one can be decoded, is frozen or black, its caller finds out and tells it, by Complain and
// Restart. Nor does it share the board among several sources.
package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"sightd/camera/capture"
)

// Options describe a source. Name and Open are required.
type Options struct {
	Name string // of the source, for the log and for errors

	// Open is called for each stream, one at a time unless one can't be ended. Its context lives as long as the stream: it ends when
	// the first picture is overdue, and otherwise when the stream is closed. An Open that doesn't return then is left behind, and the
	// Stream that it may return later is closed.
	Open capture.Open

	Stall time.Duration // deadline of each picture after the one before; default 5 s
	First time.Duration // deadline of a stream's first picture after Open was called; default 15 s, or Stall where that is more

	// Fresh is the age beyond which a picture isn't handed out any more; default Stall. The age counts from Shot.Time, or from when Read
	// returned where that lies ahead, or before Open was called, as in recordings.
	Fresh time.Duration

	// Healthy is for how long a stream must have brought pictures, without a complaint, for the next failure to count as the first:
	// default 10 s.
	Healthy time.Duration

	// Backoff is how long to wait before a stream is opened again, after failure 0, 1 ... in a row. Default: 0.5 s, doubled each time
	// up to 30 s, less up to a quarter at random.
	Backoff func(attempt int) time.Duration

	Enabled bool // switched on at the start

	// Changed is called when Stats.Problem or Stats.Online has changed, by a goroutine of its own that does nothing else. After the last
	// of several calls Stats has the latest. It may call anything but Close, and isn't called for what Close changes. nil: nobody asks.
	Changed func()

	Log *slog.Logger // default: no log
}

// complete checks the options and sets what was left to its default.
func (o *Options) complete() error {
	if o.Name == "" {
		return errors.New("name is empty: want a source's name")
	}
	if o.Open == nil {
		return errors.New("open is nil: want a function that opens the stream")
	}
	if o.Stall < 0 || o.First < 0 || o.Fresh < 0 || o.Healthy < 0 {
		return fmt.Errorf("stall %v, first %v, fresh %v, healthy %v: want no negative times", o.Stall, o.First, o.Fresh, o.Healthy)
	}
	if o.Stall == 0 {
		o.Stall = 5 * time.Second
	}
	if o.First == 0 {
		o.First = max(o.Stall, 15*time.Second)
	}
	if o.Fresh == 0 {
		o.Fresh = o.Stall
	}
	if o.Healthy == 0 {
		o.Healthy = 10 * time.Second
	}
	if o.Backoff == nil {
		o.Backoff = backoff
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func backoff(attempt int) time.Duration {
	d := min(500*time.Millisecond<<min(attempt, 6), 30*time.Second)
	return d - rand.N(d/4)
}

// Live is one live source. Its methods may be called from several goroutines.
//
// Two goroutines do the work: one opens a stream and reads it into a mailbox that holds one picture; the other sees to the
// deadlines, and to the stream's end. Neither waits for the caller. Pictures are read into three buffers that take turns: the
// stream's, the mailbox's and the caller's.
type Live struct {
	opts   Options
	report *report

	wake    chan struct{} // tells a Next that something has changed
	kick    chan struct{} // tells the supervisor the same, while it has no stream
	news    chan struct{} // tells the goroutine that calls Options.Changed
	closing chan struct{}
	done    chan struct{} // the supervisor has returned
	told    chan struct{} // the goroutine that calls Options.Changed has returned

	spare capture.Shot // the buffer of a stream that has ended; the supervisor's

	complaining sync.Mutex // held by Complain

	mu      sync.Mutex
	closed  bool
	enabled bool
	turns   uint64   // how often it was switched off
	current *session // the stream whose pictures are taken, or nil
	left    int      // streams that were to end and have not

	box     capture.Shot // the mailbox
	born    time.Time    // what the age of its picture counts from
	pending bool         // it holds a picture that was not handed out
	ended   bool         // a recording has come to its end
	eof     bool         // of which Next has not told yet

	attempt int // failures in a row, since a stream was healthy
	flaps   int // of streams in a row that brought pictures, but not for long

	online    bool
	trouble   string // of the stream
	complaint string // of the caller
	shown     view   // what Stats says
	since     time.Time
	stats     Stats // the counts, and what the last picture was
}

// view is what Options.Changed is about.
type view struct {
	online  bool
	problem string
}

// Start opens the source in the background, if it is enabled, and tries for as long as it takes.
func Start(o Options) (*Live, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("start live source %q: %w", o.Name, err)
	}
	l := &Live{
		opts:    o,
		report:  newReport(o.Log.With("source", o.Name)),
		wake:    make(chan struct{}, 1),
		kick:    make(chan struct{}, 1),
		news:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
		told:    make(chan struct{}),
		enabled: o.Enabled,
	}
	go l.supervise()
	go l.tell()
	return l, nil
}

// Next waits for a picture that is newer than the last one handed out, and not older than Options.Fresh. It swaps it with what shot
// holds, whose Data is written over later: pass the same Shot each time, and keep nothing of it. Several calls at a time get
// different pictures, if any.
//
// The error is io.EOF, bare, once for a recording that has come to its end and whose last picture was handed out: the next call waits
// for it to be switched off and on again. It is ctx's error, bare, when that ends, and wraps os.ErrClosed after Close.
func (l *Live) Next(ctx context.Context, shot *capture.Shot) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch l.take(shot) {
		case took:
			return nil
		case tookEnd:
			return io.EOF
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
		case <-l.closing:
			return fmt.Errorf("next picture of %s: %w", l.opts.Name, os.ErrClosed)
		}
	}
}

// taken is what the mailbox held.
type taken uint8

const (
	tookNothing taken = iota
	took
	tookEnd
)

// take empties the mailbox.
func (l *Live) take(shot *capture.Shot) taken {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return tookNothing
	}
	if l.pending {
		l.pending = false
		if time.Since(l.born) <= l.opts.Fresh {
			*shot, l.box = l.box, *shot
			if l.eof {
				signal(l.wake) // for another Next
			}
			return took
		}
		l.stats.Stale++
	}
	if l.eof {
		l.eof = false
		return tookEnd
	}
	return tookNothing
}

// SetEnabled switches the source on or off, and doesn't wait for that. Off: the stream is closed, a picture that waits is dropped, Next
// waits, and nothing is called a problem. On: the source is opened at once, also a recording that has ended, from its beginning, as soon
// as the stream before has ended.
func (l *Live) SetEnabled(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.enabled == on {
		return
	}
	l.enabled = on
	if on {
		l.ended, l.eof = false, false
	} else {
		l.turns++
		l.lose(l.current, switchedOff, "")
		l.drop()
		l.trouble, l.attempt, l.flaps = "", 0, 0
	}
	l.changed()
	signal(l.kick)
}

// Complain says what is wrong with the pictures themselves, or "" when they are good again. It is Stats.Problem while the stream has no
// problem of its own and the source is switched on, and lasts until the next call, over openings of the stream too. The log has a line
// when it begins, and one when it ends.
func (l *Live) Complain(problem string) {
	l.complaining.Lock() // the log has it in order
	defer l.complaining.Unlock()
	problem = oneLine(problem)
	l.mu.Lock()
	l.complaint = problem
	watched := l.enabled && !l.ended && !l.closed
	l.changed()
	l.mu.Unlock()
	if watched {
		l.report.complain(problem, time.Now())
	}
}

// Restart closes the stream, because of what is said for people in a few words, and opens it again after a wait, like one that failed. It
// doesn't wait for that. A picture that waits is dropped. It does nothing while there is no stream that has brought a picture.
func (l *Live) Restart(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil || l.current.pictures == 0 {
		return
	}
	l.lose(l.current, failed, oneLine(why))
	l.drop()
}

// drop empties the mailbox for what is no reason to tell a Next. The caller holds mu.
func (l *Live) drop() {
	if l.pending {
		l.pending = false
		l.stats.Dropped++
	}
}

// Close ends the stream, every Next, and all goroutines, and then returns. It takes at most some seconds: a stream that can't be
// ended, as its process hangs in a driver, is left behind, which is the error.
func (l *Live) Close() error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		l.lose(l.current, switchedOff, "")
		l.drop()
		l.changed()
		close(l.closing)
	}
	l.mu.Unlock()
	<-l.done
	var errs []error
	select {
	case <-l.told:
	case <-time.After(endWithin):
		errs = append(errs, fmt.Errorf("its Changed did not return within %s", words(endWithin)))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left > 0 {
		errs = append(errs, fmt.Errorf("%d of its streams did not end within %s", l.left, words(endWithin)))
	}
	if len(errs) > 0 {
		return fmt.Errorf("close live source %s: %w", l.opts.Name, errors.Join(errs...))
	}
	return nil
}

// signal leaves a token, if there is none.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
