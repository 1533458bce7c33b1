package main

import (
	"errors"
	"runtime"
	"slices"
	"sync"

	"sightd/camera"
	"sightd/daemon"
)

// manyPictures is after how many pictures, each of which had all threads, the next ones are classified side by side: it takes as long as
// some of them until there are lanes.
const manyPictures = 8

// task is a picture to be classified in a lane.
type task struct {
	name   string
	read   func(*camera.Decoder) (camera.Frame, error)
	result daemon.Result
	err    error
	done   chan struct{} // closed when result or err is there
}

// lanes classify pictures side by side, each with a decoder and a model of its own on one thread. Where a driver runs the model, or it
// can't be opened once more, they take turns at one.
type lanes struct {
	work    chan *task
	pending []*task // that were handed out, in that order
	most    int     // pending
	running sync.WaitGroup
	turn    sync.Mutex // held to use the model that is shared

	mu     sync.Mutex
	closed error // what went wrong while models and decoders were freed
}

// startLanes starts n lanes. open opens the model once more; nil: it is shared.
func startLanes(n int, shared *daemon.Engine, open func() (*daemon.Engine, error)) *lanes {
	s := &lanes{work: make(chan *task, n), most: 4 * n}
	for range n {
		s.running.Go(func() {
			var own *daemon.Engine
			if open != nil {
				own, _ = open() // it was opened before: there is no room for another one, and the shared one does
			}
			s.run(shared, own)
		})
	}
	return s
}

// run classifies what comes until there is no more.
func (s *lanes) run(shared, own *daemon.Engine) {
	decoder := newDecoder(shared)
	for t := range s.work {
		t.result, t.err = s.classify(t, decoder, shared, own)
		close(t.done)
	}
	err := decoder.Close()
	if own != nil {
		err = errors.Join(err, own.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = errors.Join(s.closed, err)
}

func (s *lanes) classify(t *task, decoder *camera.Decoder, shared, own *daemon.Engine) (daemon.Result, error) {
	engine := own
	if own == nil {
		engine = shared
	}
	frame, err := t.read(decoder)
	if err != nil {
		return daemon.Result{}, err
	}
	runtime.Gosched() // see daemon's lanes: who was woken runs now, and Go has nothing to look after meanwhile
	if own == nil {
		s.turn.Lock()
		defer s.turn.Unlock()
	}
	r, err := engine.Classify(frame, "")
	r.Top = slices.Clone(r.Top) // that is the engine's
	return r, err
}

// hand gives a picture to the next lane that is free. Before there are too many it prints the first one.
func (s *lanes) hand(t *task, print func(*task) error) error {
	t.done = make(chan struct{})
	s.work <- t
	if s.pending = append(s.pending, t); len(s.pending) < s.most {
		return nil
	}
	return s.first(print)
}

// first waits for the first picture and prints it.
func (s *lanes) first(print func(*task) error) error {
	t := s.pending[0]
	s.pending = s.pending[1:]
	<-t.done
	return print(t)
}

// close waits for all pictures and prints them, and frees what the lanes have.
func (s *lanes) close(print func(*task) error) error {
	close(s.work)
	var err error
	for len(s.pending) > 0 && err == nil {
		err = s.first(print)
	}
	s.running.Wait()
	return errors.Join(err, s.closed)
}
