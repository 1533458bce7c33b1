package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sightd/camera/capture"
	"sightd/camera/live"
	"sightd/camera/picture"
	"sightd/camera/view"
	"sightd/decide"
)

const (
	// lookAfterEach is how often the live sources that show nothing are told how time passes.
	lookAfterEach = 500 * time.Millisecond

	// unseen is for how long there must be no good picture for a problem to count as a loss of sight.
	unseen = time.Second

	// manyRefused is how many pictures in a row can't be decoded for that to be a problem of the source, and recovery for how long all
	// must be good for it to be over.
	manyRefused = 3
	recovery    = 2 * time.Second

	// thawEach is how often a source that is frozen is opened anew.
	thawEach = 10 * time.Minute

	// most is how many pictures a second are looked at where fps says nothing.
	most = 30
)

// watcher watches a live source: its goroutine takes the newest picture, has it judged when it is worth that, and publishes what is
// decided.
type watcher struct {
	*observer
	source *source
	live   *live.Live

	work    *track // what its goroutine is at
	shot    capture.Shot
	job     job        // the picture that is judged
	answer  chan error // of the judge: nil, errStale or errStopped
	sitters chan chan<- portrait

	refusedRun   int       // pictures in a row that couldn't be decoded
	refusedFirst time.Time // the first of them
	refusing     string    // what is said of such pictures; "": nothing
	goodSince    time.Time // when pictures could be decoded again
	thawed       time.Time // when the source was opened anew because it was frozen; zero: it isn't

	rate                              pace // of the pictures that were looked at
	judged, refused, unchanged, stale atomic.Uint64
	paced, blinded                    atomic.Uint64

	mu    sync.Mutex  // guards what decides: the observer's decider and ring, and when something was last seen
	told  time.Time   // when something was last decided
	blind decide.Gate // why nothing is seen though pictures come
}

// openWatcher begins to bring a live source up.
func (d *Daemon) openWatcher(s *source) (*watcher, error) {
	open, err := d.openCapture(s.config)
	if err != nil {
		return nil, fmt.Errorf("open source %s: %w", s.config.Name, err)
	}
	o, err := d.observe(s.config)
	if err != nil {
		return nil, err
	}
	l, err := live.Start(live.Options{
		Name: s.config.Name, Open: open, Stall: s.config.Stall, Enabled: s.state.Enabled,
		Changed: func() { signal(d.look) },
		Log:     d.log,
	})
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	return newWatcher(s, o, l), nil
}

// observe makes what looks at the pictures of c.
func (d *Daemon) observe(c SourceConfig) (*observer, error) {
	o, err := newObserver(c, d.config.Decide, d.engine(), d.limits())
	if err == nil && o.config.FPS == 0 {
		o.config.FPS = most
	}
	return o, err
}

func newWatcher(s *source, o *observer, l *live.Live) *watcher {
	return &watcher{observer: o, source: s, live: l, answer: make(chan error, 1), sitters: make(chan chan<- portrait, heldRequests)}
}

func (w *watcher) close() error { return errors.Join(w.live.Close(), w.observer.close()) }

// watch looks at a live source's pictures until ctx ends.
func (d *Daemon) watch(ctx context.Context, w *watcher, taken chan<- *job) error {
	w.work = d.service.track("a picture of " + w.config.Name)
	defer w.work.idle()
	for {
		w.work.idle()
		err := w.live.Next(ctx, &w.shot)
		w.work.busy()
		switch {
		case errors.Is(err, io.EOF): // it may be switched off and on again
		case err != nil:
			return nil // ctx has ended: the source is closed later
		case len(w.sitters) > 0 || w.wanted(d.heat.factor()):
			if err := d.glance(ctx, w, taken); err != nil {
				return err
			}
		default:
			w.paced.Add(1)
		}
	}
}

// wanted reports whether the newest picture is to be looked at.
func (w *watcher) wanted(heat float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mayLook(w.shot.Time, heat)
}

// glance looks at the newest picture: whether there is anything new to be seen, and if so what. Errors are faults of the machine.
func (d *Daemon) glance(ctx context.Context, w *watcher, taken chan<- *job) error {
	begun := d.now()
	w.rate.mark(begun, 0)
	w.mu.Lock()
	look, gate, err := w.see(&w.shot, begun)
	w.mu.Unlock()
	if gate == decide.Unchanged && w.engine != d.engine() {
		gate = decide.Decided // another model may see something else
	}
	if refused := (*picture.RefusedError)(nil); errors.As(err, &refused) {
		w.refuse(refused.Reason, begun)
		return nil
	} else if err != nil {
		return fmt.Errorf("look at a picture of %s: %w", w.config.Name, err)
	}
	d.sit(w, w.frame)
	w.complain(look, begun)
	if gate != decide.Decided {
		w.mu.Lock()
		defer w.mu.Unlock()
		if gate == decide.Unchanged {
			w.unchanged.Add(1)
			w.blind = decide.Decided
		} else {
			w.blinded.Add(1)
			w.blind = gate
		}
		d.tell(w, begun, w.skip(begun, gate), true)
		return nil
	}
	seen := d.now()
	w.job = job{source: w.source, watcher: w, frame: w.frame, met: w.shot.Time}
	if err := w.hand(ctx, taken); err != nil {
		if errors.Is(err, errStale) {
			w.stale.Add(1)
			w.mu.Lock()
			defer w.mu.Unlock()
			d.tell(w, begun, w.skip(d.now(), decide.Stale), false)
		}
		return nil // or all ends
	}
	if w.job.event.Kind == decide.Refused { // by the network: another picture may do
		w.refused.Add(1)
		w.refusing, w.goodSince = w.job.event.Error, time.Time{}
		w.live.Complain(w.refusing)
		return nil
	}
	w.judged.Add(1)
	now := d.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blind = decide.Decided
	if err := d.follow(w, now); err != nil {
		return err
	}
	events := w.decide(now)
	d.steps.mark(now, milliseconds(seen.Sub(begun)+w.job.took+d.now().Sub(now)))
	d.tell(w, now, events, true)
	return nil
}

// hand has the picture judged when it is its turn.
func (w *watcher) hand(ctx context.Context, taken chan<- *job) error {
	w.work.idle() // the judge is what may be stuck
	defer w.work.busy()
	select {
	case taken <- &w.job:
		return <-w.answer // the judge answers always
	case <-ctx.Done():
		return errStopped
	}
}

// follow has a source decide on the labels of the model that has judged its picture, where that is another than before. What is shown of
// other labels leaves. The caller holds w.mu.
func (d *Daemon) follow(w *watcher, now time.Time) error {
	e := w.job.engine
	if e == w.engine {
		return nil
	}
	if slices.Equal(e.Labels, w.engine.Labels) {
		w.engine = e
		return w.decider.SetTemperature(e.Temperature)
	}
	d.tell(w, now, w.decider.Quit(now, "the model was replaced"), false)
	return w.observer.follow(e, d.config.Decide)
}

// refuse counts a picture that can't be decoded. When all are so the source is opened anew.
func (w *watcher) refuse(reason string, now time.Time) {
	w.refused.Add(1)
	if w.refusedRun == 0 {
		w.refusedFirst = now
	}
	w.goodSince = time.Time{}
	if w.refusedRun++; w.refusedRun < manyRefused {
		return
	}
	w.refusing = undecodable(reason)
	w.live.Complain(w.refusing)
	w.mu.Lock()
	w.blind = decide.Decided // the source is lost for another reason now
	w.mu.Unlock()
	if now.Sub(w.refusedFirst) >= w.config.Stall {
		w.refusedRun = 0
		w.restart(w.refusing)
	}
}

// undecodable is what is said of a source whose pictures are refused for a reason.
func undecodable(reason string) string { return "its pictures can't be decoded: " + reason }

// complain says what is wrong with what is seen. A picture that is frozen may come to life when the source is opened anew, which is
// tried from time to time.
func (w *watcher) complain(look view.Look, now time.Time) {
	w.refusedRun = 0
	if w.goodSince.IsZero() {
		w.goodSince = now
	}
	if now.Sub(w.goodSince) >= recovery {
		w.refusing = ""
	}
	problem := look.Problem
	if problem == "" {
		problem = w.refusing
	}
	w.live.Complain(problem)
	switch {
	case !look.Frozen:
		w.thawed = time.Time{}
	case now.Sub(w.thawed) >= thawEach:
		w.thawed = now
		w.restart(view.FrozenProblem(w.config.Frozen))
	}
}

// restart has the source opened anew. A recording would only begin again.
func (w *watcher) restart(why string) {
	if w.config.Type != TypeReplay {
		w.live.Restart(why)
	}
}

// tell publishes what was decided. pictured: by the picture in w.frame, which the caller may use. The caller holds w.mu.
func (d *Daemon) tell(w *watcher, now time.Time, events []decide.Event, pictured bool) {
	w.told = now
	for i := range events {
		e := &events[i]
		e.ID, e.Source = eventID(e.Time), w.config.Name
		if pictured {
			e.InferMS, e.FrameAge, e.File = w.job.event.InferMS, now.Sub(w.frame.Time), w.frame.File
		}
		e.Model = w.engine.Model()
		w.source.judged(e)
		d.log.Info(string(e.Kind), said(e)...)
		if err := d.client.Accept(*e); err != nil {
			d.log.Error("publish", "source", e.Source, "event", e.Kind, "err", err)
		}
		if pictured {
			d.depict(e, w.frame)
		}
	}
	if w.source.shows(w.decider.State()) {
		if err := d.tellState(w.source); err != nil {
			d.log.Error("tell a source's state", "source", w.config.Name, "err", err)
		}
	}
}

// said is what the log says of an event.
func said(e *decide.Event) []any {
	about := []any{"source", e.Source, "label", e.Label.Label}
	if len(e.Top) > 0 {
		about = append(about, "score", thousandths(e.Label.Score), "smoothed", thousandths(e.Smoothed))
	}
	if e.Kind != decide.Leave {
		about = append(about, "previous", e.Previous)
	}
	about = append(about, "duration", e.Duration.Round(time.Millisecond))
	if e.Error != "" {
		about = append(about, "why", e.Error)
	}
	return about
}

// lookAfter has time pass for the live sources that show nothing, and feels the board's heat, until ctx ends.
func (d *Daemon) lookAfter(ctx context.Context) {
	tick := time.NewTicker(lookAfterEach)
	defer tick.Stop()
	for {
		for _, s := range d.sources {
			if s.watcher != nil {
				d.miss(s.watcher, d.now())
			}
		}
		d.heat.feel()
		d.service.look(d, d.now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// miss says of a source that shows nothing why that is, and of one whose next picture isn't due that time passes.
func (d *Daemon) miss(w *watcher, now time.Time) {
	stats := w.live.Stats()
	why, gate := stats.Problem, decide.CameraLost
	switch on, _ := w.source.enabled(); {
	case !on:
		why, gate = "source is switched off", decide.Disabled
	case stats.Ended:
		why = "recording has ended"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if stats.Online && w.blind != decide.Decided {
		gate = w.blind
	}
	switch {
	case w.lost(why, now):
		d.tell(w, now, w.lose(now, gate, why), false)
	case why == "" && now.Sub(w.told) >= unseen:
		d.tell(w, now, w.skip(now, decide.Waiting), false)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
