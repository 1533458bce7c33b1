package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"sightd/camera"
	"sightd/decide"
	"sightd/preprocess"
	"sightd/publish"
)

const (
	// heldRequests is how many requests this board takes from the broker before it has answered one. A picture takes some ten
	// milliseconds, so that a few are enough to keep the network busy; the others are left to other boards.
	heldRequests = 8

	// requestSource is the source that a request's result names.
	requestSource = "request"

	// leaveTime bounds the work on what still comes after the daemon has left the group of those who share requests, and
	// leaveIdle is for how long nothing has come when nothing comes any more.
	leaveTime = 3 * time.Second
	leaveIdle = 250 * time.Millisecond
)

// takeRequests hands the pictures of requests on, and answers what is no picture itself. When ctx ends it asks the broker for
// no more, and goes on for a moment with what that has sent already: nobody else would get it until the next start. What comes while
// the flow is renewed waits for that. Then it closes d.asks.
func (d *Daemon) takeRequests(ctx context.Context, queued chan<- *job) {
	working, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ends leaveTime after ctx: what is in hand then is answered
	defer close(d.asks)
	defer d.waiting.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(leaveTime, cancel) })()
	for ctx.Err() == nil {
		r, err := d.client.NextRequest(ctx)
		if err == nil {
			d.takeRequest(ctx, working, r, queued)
		}
	}
	if renewing(ctx) {
		return
	}
	left := make(chan struct{})
	go func() { // the broker's answer comes behind the requests that it has sent: those must be taken meanwhile
		defer close(left)
		d.client.Leave(working)
	}()
	defer func() { <-left }()
	for {
		idle, cancel := context.WithTimeout(working, leaveIdle)
		r, err := d.client.NextRequest(idle)
		cancel()
		switch {
		case err == nil:
			d.takeRequest(ctx, working, r, queued)
		case working.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return
		case closed(left) && d.client.Stats().Requests.Held == 0: // a slow picture is no end: more come when it is answered
			return
		}
	}
}

// closed reports whether c is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// takeRequest has one request answered, before working ends. When ctx ends there are no more pictures of live sources.
func (d *Daemon) takeRequest(ctx, working context.Context, r *publish.IncomingRequest, queued chan<- *job) {
	var err error
	switch {
	case r.Err != nil:
		err = r.AnswerError(working, r.Err)
	case r.Command == publish.HealthCheck:
		err = r.AnswerHealth(working, d.health())
	case r.Command == publish.Classify:
		select {
		case queued <- &job{request: r, met: r.Received, done: make(chan struct{})}:
		case <-working.Done():
			r.Release()
		}
	case r.Command == publish.Explain:
		err = d.explain(working, r)
	case r.Command == publish.Reload:
		err = d.askReload(working, r)
	case r.Command == publish.Snapshot:
		select {
		case d.sitting <- struct{}{}:
			d.waiting.Go(func() {
				defer func() { <-d.sitting }()
				d.answered(r, d.answerSnapshot(ctx, working, r))
			})
		default:
			err = r.AnswerError(working, fmt.Errorf("%d snapshots are waited for already", cap(d.sitting)))
		}
	default:
		err = r.AnswerError(working, fmt.Errorf("want a request of %s, %s, %s, %s or %s, have %q",
			publish.Classify, publish.HealthCheck, publish.Explain, publish.Snapshot, publish.Reload, r.Command))
	}
	d.answered(r, err)
}

// maxEntries bounds an explanation: by one more than is told, so that it says that it was cut.
const maxEntries = publish.MaxEntries + 1

// explain tells what became of a live source's pictures around a time.
func (d *Daemon) explain(ctx context.Context, r *publish.IncomingRequest) error {
	s, err := d.liveSource(r.Source)
	if err != nil {
		return r.AnswerError(ctx, err)
	}
	s.watcher.mu.Lock()
	ring := s.watcher.ring // another model has another
	s.watcher.mu.Unlock()
	return r.AnswerExplain(ctx, ring.Around(r.At, r.Span, maxEntries), s.problem())
}

// answerSnapshot waits for a picture of a live source.
func (d *Daemon) answerSnapshot(ctx, working context.Context, r *publish.IncomingRequest) error {
	p, err := d.portrait(ctx, r.Source)
	switch {
	case renewing(ctx) && err != nil:
		err = errRenewing
	case ctx.Err() != nil && err != nil:
		err = errStopping
	}
	if err != nil {
		return r.AnswerError(working, err)
	}
	return r.AnswerSnapshot(working, p.at, p.jpeg)
}

// liveSource is the live source of that name.
func (d *Daemon) liveSource(name string) (*source, error) {
	var live []string
	for _, s := range d.sources {
		switch {
		case s.watcher == nil && s.config.Name == name:
			return nil, fmt.Errorf("source %s is a folder: want a live source", name)
		case s.watcher != nil && s.config.Name == name:
			return s, nil
		case s.watcher != nil:
			live = append(live, s.config.Name)
		}
	}
	if len(live) == 0 {
		return nil, fmt.Errorf("there is no source %q, and no live source at all", name)
	}
	return nil, fmt.Errorf("there is no source %q: want one of %s", name, strings.Join(live, ", "))
}

// answered tells of a request that could not be answered.
func (d *Daemon) answered(r *publish.IncomingRequest, err error) {
	if err != nil {
		d.log.Warn("request not answered: the broker will send it again", "command", r.Command, "err", err)
	}
}

// decodeRequest reads the picture of a request, and begins its event.
func (d *Daemon) decodeRequest(j *job, l *lane) (camera.Frame, View, error) {
	id, err := ulid.New(ulid.Timestamp(j.met), ulid.DefaultEntropy())
	if err != nil {
		return camera.Frame{}, View{}, fmt.Errorf("make an id: %w", err)
	}
	j.event = decide.Event{ID: id.String(), Source: requestSource}
	view := View{Resize: preprocess.Resize(j.request.Resize)}
	l.decoder.Enough = d.enough(view, false)
	mat, _, err := l.decoder.Decode(j.request.Image)
	return camera.Frame{Mat: mat, Time: j.met, Source: requestSource, ID: j.event.ID}, view, err
}

// answer sends what was found out about a request's picture.
func (d *Daemon) answer(ctx context.Context, j *job) {
	if j.event.Kind == decide.Refused {
		d.log.Info("request refused", "reason", j.event.Error)
	} else {
		best := j.event.Top[0]
		d.log.Info("request classified", "label", best.Label, "score", thousandths(best.Score), "infer_ms", j.event.InferMS)
	}
	d.answered(j.request, j.request.AnswerEvent(ctx, j.event))
}
