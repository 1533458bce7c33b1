package daemon

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"sightd/inference"
)

// scripted is a Classifier that does as the test says.
type scripted struct {
	inference.Classifier
	invoke, end func() error
	closed      int
}

func (s *scripted) Invoke() error { return s.invoke() }

func (s *scripted) Close() error {
	s.closed++
	if s.end != nil {
		return s.end()
	}
	return nil
}

var errBroken = errors.New("broken")

// opens is what guard wants.
func (s *scripted) opens() (inference.Classifier, error) { return s, nil }

// guardTest guards what run is.
func guardTest(t *testing.T, limit time.Duration, ends <-chan struct{}, run *scripted) *guarded {
	t.Helper()
	g, err := guard(limit, ends, run.opens)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGuard(t *testing.T) {
	for _, limit := range []time.Duration{0, time.Second} {
		for _, want := range []error{nil, errBroken} {
			synctest.Test(t, func(t *testing.T) { // which ends when all goroutines have
				calls, pause := 0, time.Duration(0)
				run := &scripted{invoke: func() error {
					calls++
					time.Sleep(pause)
					return want
				}, end: func() error { return want }}
				g := guardTest(t, limit, nil, run)
				for i := range 9 {
					pause = time.Duration(i) * 124 * time.Millisecond // a limit counts from its own start
					if err := g.Invoke(); err != want || calls != i+1 {
						t.Errorf("limit %v, invoke %d: got error %v after %d calls, want %v", limit, i, err, calls, want)
					}
					time.Sleep(5 * time.Second)
				}
				if err := g.Close(); err != want || run.closed != 1 {
					t.Errorf("close: got error %v, closed %d times, want %v, once", err, run.closed, want)
				}
				if err := g.Close(); err != nil || run.closed != 1 {
					t.Errorf("close again: got error %v, closed %d times, want no error, once", err, run.closed)
				}
				if err := g.Invoke(); err == nil || errors.Is(err, errHung) {
					t.Errorf("invoke what is closed: got error %v, want one", err)
				}
			})
		}
	}
}

func TestGuardOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, err := guard(time.Second, nil, func() (inference.Classifier, error) { return nil, errBroken }); err != errBroken {
			t.Errorf("got error %v, want %v", err, errBroken)
		}
	})
	synctest.Test(t, func(t *testing.T) { // it opens late, and is closed then
		run := &scripted{}
		begun := time.Now()
		_, err := guard(time.Second, nil, func() (inference.Classifier, error) {
			time.Sleep(time.Hour)
			return run, nil
		})
		if took := time.Since(begun); !errors.Is(err, errHung) || took != time.Second || !strings.HasPrefix(err.Error(), "open: no answer within 1s") {
			t.Errorf("got error %v after %v, want %v after a second", err, took, errHung)
		}
		time.Sleep(time.Hour)
		if synctest.Wait(); run.closed != 1 {
			t.Errorf("closed %d times, want once", run.closed)
		}
	})
}

// TestGuardClosesAtOnce goes from Invoke to Close without a pause, many times.
func TestGuardClosesAtOnce(t *testing.T) {
	for range 2000 {
		run := &scripted{invoke: func() error { return nil }}
		g := guardTest(t, time.Minute, nil, run)
		if err := errors.Join(g.Invoke(), g.Close()); err != nil || run.closed != 1 {
			t.Fatalf("got error %v, closed %d times, want none, once", err, run.closed)
		}
	}
}

// TestGuardHangs has a network that takes too long: it is not run any more, and freed when it comes back.
func TestGuardHangs(t *testing.T) {
	for _, invoke := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int32
			back := make(chan struct{})
			wait := func() error {
				calls.Add(1)
				<-back
				return nil
			}
			run := &scripted{invoke: wait, end: wait}
			g := guardTest(t, 3*time.Second, nil, run)
			begun := time.Now()
			err := g.Close
			if invoke {
				err = g.Invoke
			}
			if err, took := err(), time.Since(begun); !errors.Is(err, errHung) || took != 3*time.Second || !strings.Contains(err.Error(), "no answer within 3s") {
				t.Errorf("got error %v after %v, want %v after 3 s", err, took, errHung)
			}
			if err := g.Invoke(); !errors.Is(err, errHung) {
				t.Errorf("invoke: got error %v, want %v", err, errHung)
			}
			if err := g.Close(); err != nil || calls.Load() != 1 {
				t.Errorf("close: got error %v, %d calls, want none more", err, calls.Load())
			}
			close(back)
		})
	}
}

// TestGuardEnds cuts waiting short when all ends, and blames nobody for that.
func TestGuardEnds(t *testing.T) {
	for _, limit := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			ends, back := make(chan struct{}), make(chan struct{})
			g := guardTest(t, limit, ends, &scripted{invoke: func() error {
				<-back
				return nil
			}})
			time.AfterFunc(time.Minute, func() { close(ends) })
			begun := time.Now()
			err := g.Invoke()
			if took := time.Since(begun); !errors.Is(err, errAbandoned) || errors.Is(err, errHung) || took != time.Minute+endLimit {
				t.Errorf("got error %v after %v, want %v after %v", err, took, errAbandoned, time.Minute+endLimit)
			}
			if err := g.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			close(back)
		})
	}
	synctest.Test(t, func(t *testing.T) { // what answers has its time at the end, too
		ends := make(chan struct{})
		close(ends)
		run := &scripted{invoke: func() error {
			time.Sleep(endLimit - time.Millisecond)
			return nil
		}}
		g := guardTest(t, time.Hour, ends, run)
		if err := errors.Join(g.Invoke(), g.Close()); err != nil || run.closed != 1 {
			t.Errorf("got error %v, closed %d times, want none, once", err, run.closed)
		}
	})
}

// TestGuardThread has one thread do all.
func TestGuardThread(t *testing.T) {
	var threads []int
	note := func() error {
		threads = append(threads, unix.Gettid())
		return nil
	}
	run := &scripted{invoke: note, end: note}
	g, err := guard(time.Minute, nil, func() (inference.Classifier, error) { return run, note() })
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := g.Invoke(); err != nil {
			t.Error(err)
		}
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	for _, id := range threads {
		if id != threads[0] || id == unix.Gettid() {
			t.Errorf("threads %v: want one alone, other than %d", threads, unix.Gettid())
		}
	}
}

func TestGuardAllocatesNothing(t *testing.T) {
	g := guardTest(t, time.Hour, nil, &scripted{invoke: func() error { return nil }})
	if n := testing.AllocsPerRun(1000, func() {
		if err := g.Invoke(); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a run, want none", n)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}
