package daemon

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"sightd/camera"
	"sightd/inference/tflite"
)

// laneRest is for how long a lane without a picture keeps its memory.
const laneRest = time.Minute

// lane judges one picture after the other. Its decoder is its own. Its network is too, on one thread, where the processor runs it: that
// many pictures then are judged at a time as else threads share one, and none waits for another. Where a driver runs the network, all
// take turns at it, and are decoded side by side.
type lane struct {
	d       *Daemon
	decoder *camera.Decoder
	work    *track

	own    bool        // it is to have an engine of its own
	opens  *sync.Mutex // held to open that: one after the other they take less memory
	engine *Engine     // nil: it has none, or couldn't have it
	like   *network    // that engine was opened like, or couldn't be; nil: none yet
}

// classify runs the network on a job's picture, and has the job take what that says.
func (l *lane) classify(j *job, f camera.Frame, v View) error {
	if l.own {
		judged, err := l.side(j, f, v)
		if judged {
			return err
		}
	}
	l.work.idle() // others may take their time
	l.d.cores.Lock()
	defer l.d.cores.Unlock()
	l.work.busy()
	l.d.acting = l.work
	r, err := l.d.classify(f, v)
	j.take(r)
	return err
}

// side is classify with the lane's own engine, beside others. It reports whether that could judge: else the daemon's network is to.
func (l *lane) side(j *job, f camera.Frame, v View) (judged bool, err error) {
	l.work.idle()
	runtime.Gosched() // whom the last picture has woken runs now: else Go's monitor looks every 20 us whether they can have this place
	l.d.cores.RLock()
	defer l.d.cores.RUnlock()
	l.work.busy()
	e := l.follow(l.d.network.Load())
	if e == nil {
		return false, nil
	}
	r, err := e.ClassifyView(f, v)
	if failure := (*delegateError)(nil); errors.As(err, &failure) {
		return false, nil
	}
	j.take(r)
	return true, err
}

// follow gives an engine of the lane's own like that of n, nil where there can be none.
func (l *lane) follow(n *network) *Engine {
	if l.like == n {
		return l.engine
	}
	l.drop()
	l.like = n
	if n.engine.Delegation().Delegate.HasDriver() {
		return nil
	}
	l.opens.Lock()
	defer l.opens.Unlock()
	var err error
	if l.engine, err = OpenEngine(n.options.Beside(n.engine)); err != nil {
		l.d.log.Warn("pictures that wait are judged one by one: the model can't be opened once more", "err", err)
	}
	return l.engine
}

// drop frees the lane's engine.
func (l *lane) drop() {
	if l.engine != nil {
		if err := l.engine.Close(); err != nil {
			l.d.log.Error("free a lane's model", "err", err)
		}
	}
	l.engine, l.like = nil, nil
}

// rest frees what the lane has.
func (l *lane) rest() {
	l.drop()
	if err := l.decoder.Close(); err != nil {
		l.d.log.Error("free a lane's decoder", "err", err)
	}
	l.decoder = nil
	tflite.Trim()
}

// lanes are those that judge side by side. They are started when first needed, and free their memory when they weren't for laneRest.
type lanes struct {
	d    *Daemon
	stop context.CancelCauseFunc // ends all for a fault of the machine

	work    chan *job // nil before they are started
	opens   sync.Mutex
	at      atomic.Int64
	running sync.WaitGroup

	mu     sync.Mutex
	broken error // the first fault
}

func newLanes(d *Daemon, stop context.CancelCauseFunc) *lanes { return &lanes{d: d, stop: stop} }

// hand gives a picture to the next lane that is free. It reports whether there are lanes.
func (s *lanes) hand(j *job) bool {
	if s.work == nil {
		n := s.d.network.Load().options.Lanes()
		if n < 2 {
			return false
		}
		s.work = make(chan *job, n) // a lane that is done finds its next picture waiting
		for i := range n {
			l := &lane{d: s.d, own: true, opens: &s.opens, work: s.d.service.track(fmt.Sprintf("the judge's step in lane %d", i+1))}
			s.running.Go(func() { s.run(l) })
		}
	}
	s.at.Add(1)
	s.work <- j
	return true
}

// busy reports whether there is a picture in a lane.
func (s *lanes) busy() bool { return s.at.Load() > 0 }

// run judges what comes until there is no more.
func (s *lanes) run(l *lane) {
	rest := time.NewTimer(laneRest)
	defer rest.Stop()
	for {
		select {
		case j, more := <-s.work:
			if !more {
				if l.decoder != nil {
					l.rest()
				}
				return
			}
			if l.decoder == nil {
				l.decoder = camera.NewDecoder(s.d.limits())
			}
			l.work.busy()
			s.judge(l, j)
			l.work.idle()
			s.at.Add(-1)
			rest.Reset(laneRest)
		case <-rest.C:
			if l.decoder != nil {
				l.rest()
			}
		}
	}
}

// judge steps with a picture in a lane. After a fault of the machine pictures are given back.
func (s *lanes) judge(l *lane, j *job) {
	if s.fault() != nil {
		s.d.settle(j, errStopped)
		return
	}
	err := s.d.step(j, l)
	if err != nil && !errors.Is(err, errUnread) && !errors.Is(err, errStale) {
		s.fail(err)
		err = errStopped
	}
	s.d.settle(j, err)
}

// fail notes a fault of the machine, and ends all.
func (s *lanes) fail(err error) {
	s.mu.Lock()
	if s.broken == nil {
		s.broken = err
	}
	s.mu.Unlock()
	s.stop(err)
}

// fault is the first fault of the machine, nil where there is none.
func (s *lanes) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// close waits for the pictures in the lanes, and frees what those have.
func (s *lanes) close() {
	if s.work == nil {
		return
	}
	close(s.work)
	s.running.Wait()
	s.work = nil
}
