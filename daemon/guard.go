package daemon

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"sightd/inference"
)

// errHung is the error of a delegate that doesn't come back: only the end of the process stops it.
var errHung = errors.New("the delegate hangs")

// errAbandoned is the error of a delegate that wasn't waited for any longer, because all ends.
var errAbandoned = errors.New("the delegate wasn't waited for")

const (
	// openLimit is what a delegate has at least to come up and to prove itself: a GPU's driver translates a program for each operator.
	openLimit = time.Minute

	// endLimit is what a delegate still has when all ends.
	endLimit = 3 * time.Second

	// ticks is in how many parts a limit is waited for. A machine that stands still loses one of them, however long it does.
	ticks = 10
)

// guarded is a Classifier whose delegate isn't trusted: one thread opens, runs and closes it, as some drivers ask for, and each of that
// has a limit. What comes late is freed when it does come, and the error wraps errHung or, where all ends, errAbandoned. One goroutine at a
// time uses it.
type guarded struct {
	inference.Classifier // that the thread has opened; what it is may be asked anywhere

	limit time.Duration // of one call; 0: none
	ends  <-chan struct{}
	timer *time.Timer
	calls chan call
	done  chan error    // has room: who comes late finds nobody there
	left  chan struct{} // closed when it isn't waited for any more
	gone  bool          // so, or closed
	late  error         // errHung or errAbandoned; nil: it answers
}

// call is what the thread is to do.
type call int

const (
	callInvoke call = iota
	callClose
)

// guard opens a Classifier. When ends is closed, calls have endLimit at most; nil: that doesn't happen.
func guard(limit time.Duration, ends <-chan struct{}, open func() (inference.Classifier, error)) (*guarded, error) {
	g := &guarded{
		limit: limit, ends: ends, timer: time.NewTimer(time.Hour),
		calls: make(chan call), done: make(chan error, 1), left: make(chan struct{}),
	}
	g.timer.Stop()
	go g.work(open)
	if err := g.wait("open"); err != nil {
		g.timer.Stop()
		return nil, err
	}
	return g, nil
}

// work is the thread.
func (g *guarded) work(open func() (inference.Classifier, error)) {
	runtime.LockOSThread() // for good: drivers keep things by thread, which ends with this one
	run, err := open()
	if err != nil {
		g.done <- err
		return
	}
	g.Classifier = run
	g.done <- nil
	for {
		select {
		case c := <-g.calls:
			if c == callClose {
				g.done <- run.Close()
				return
			}
			g.done <- run.Invoke()
		case <-g.left:
			run.Close() // nobody is there to hear of an error
			return
		}
	}
}

// wait waits for the thread's answer.
func (g *guarded) wait(doing string) error {
	limit, ends, late := g.limit, g.ends, errHung
	var tick <-chan time.Time
	if limit > 0 {
		g.timer.Reset(limit / ticks)
		tick = g.timer.C
	}
	for left := ticks; ; {
		select {
		case err := <-g.done:
			g.timer.Stop()
			return err
		case <-ends:
			if ends = nil; limit == 0 || limit > endLimit {
				limit, left, late = endLimit, ticks, errAbandoned
				g.timer.Reset(limit / ticks)
				tick = g.timer.C
			}
		case <-tick:
			if left--; left == 0 {
				g.gone, g.late = true, late
				close(g.left)
				return fmt.Errorf("%s: no answer within %s: %w", doing, limit, late)
			}
			g.timer.Reset(limit / ticks)
		}
	}
}

// Invoke runs the network. It allocates nothing.
func (g *guarded) Invoke() error {
	if g.gone {
		if g.late != nil {
			return fmt.Errorf("invoke: %w", g.late)
		}
		return errors.New("invoke: the classifier is closed")
	}
	g.calls <- callInvoke
	return g.wait("invoke")
}

// Close frees everything. What hangs isn't touched, for it still uses the model's memory: the thread frees it when it comes back.
func (g *guarded) Close() error {
	if g.gone {
		return nil
	}
	g.gone = true
	g.calls <- callClose
	return g.wait("close")
}
