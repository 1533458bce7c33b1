package daemon

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sightd/camera"
	"sightd/decide"
	"sightd/inference"
	"sightd/publish"
)

// observed is a daemon in parts, whose clock a test turns, and whose words to systemd it counts.
type observed struct {
	*Daemon
	turned atomic.Int64 // by how much the clock is ahead of begun
	asked  atomic.Int64 // how often it was
	begun  time.Time
	fed    atomic.Int64
}

// steadfast is the live source "door", of which no picture is overdue or stale, wherever the clock is turned to.
func steadfast(t *testing.T) Config {
	c := liveConfig(t, recording(t, 1, "golf_ball"))
	c.Sources[0].Stall = 1000 * time.Hour
	return c
}

// observe has a daemon with the sources of c, and no broker. Each step may take 15 s.
func observe(t *testing.T, c Config) *observed {
	t.Helper()
	c.MQTT.Broker = "mqtt://127.0.0.1:1" // nobody listens there
	c, err := c.named()
	if err != nil {
		t.Fatal(err)
	}
	o := &observed{begun: time.Now()}
	d := &Daemon{config: c, log: quiet, now: func() time.Time {
		o.asked.Add(1)
		return o.begun.Add(time.Duration(o.turned.Load()))
	}, look: make(chan struct{}, 1), heirs: make(chan *network), flights: make(chan struct{}, inFlight)}
	o.Daemon = d
	d.service = newService(&Notify{Watchdog: 30 * time.Second}, quiet, d.now)
	d.service.out = func(text string) error {
		if text == "WATCHDOG=1" {
			o.fed.Add(1)
		}
		return nil
	}
	d.judging = d.service.track("the judge's step")
	d.chooser = &Chooser{Log: quiet}
	d.decoder = camera.NewDecoder(d.limits())
	model, labels := quickNetwork(t)
	e, err := OpenEngine(EngineOptions{Model: model, Labels: labels, Options: inference.Options{Delegate: inference.XNNPACK, Threads: 1}, Top: 3})
	if err != nil {
		t.Fatal(err)
	}
	d.network.Store(&network{engine: e})
	opts, err := c.BrokerOptions(c.MQTT.Broker)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.openOutbox(); err != nil {
		t.Fatal(err)
	}
	opts.Info, opts.Outbox = d.info(), d.outbox
	if d.client, err = publish.New(opts); err != nil {
		t.Fatal(err)
	}
	for _, sc := range c.Sources {
		s, err := d.openSource(sc, savedSource{})
		if err != nil {
			t.Fatal(err)
		}
		d.sources = append(d.sources, s)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		d.client.Close(ctx) // nobody is there
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// turn turns the clock, looks, and reports whether the watchdog was fed.
func (o *observed) turn(by time.Duration) bool {
	o.turned.Add(int64(by))
	before := o.fed.Load()
	o.service.look(o.Daemon, o.now())
	return o.fed.Load() > before
}

// hangs wants the watchdog fed while a step may last, and not when it has lasted for longer, for the reason why.
func (o *observed) hangs(t *testing.T, why string) {
	t.Helper()
	for i := range 3 {
		if !o.turn(5 * time.Second) {
			t.Errorf("not fed after %d times 5 s: %s", i+1, o.Daemon.stuck(o.service.progress, o.now()))
		}
	}
	for range 10 {
		if o.turn(time.Second) {
			t.Error("fed though something is stuck")
		}
	}
	if got := o.Daemon.stuck(o.service.progress, o.now()); !strings.HasPrefix(got, why) {
		t.Errorf("stuck: got %q, want %q...", got, why)
	}
}

// goesOn waits until the watchdog is fed again.
func (o *observed) goesOn(t *testing.T) {
	t.Helper()
	until(t, "the step's end", func() bool { return o.Daemon.stuck(o.service.progress, o.now()) == "" })
	if !o.turn(5 * time.Second) {
		t.Errorf("not fed: %s", o.Daemon.stuck(o.service.progress, o.now()))
	}
}

// until waits for what tells nobody of itself.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal(what + ": doesn't come")
		}
	}
}

// hanging is a Classifier whose Invoke tells that it was called, and comes back when it may.
type hanging struct {
	inference.Classifier
	called chan struct{}
	back   chan struct{}
}

func (h *hanging) Invoke() error {
	h.called <- struct{}{}
	<-h.back
	return h.Classifier.Invoke()
}

// TestInvokeHangs has a network that doesn't come back, with a live source that waits for it: nobody but the judge is stuck.
func TestInvokeHangs(t *testing.T) {
	o := observe(t, steadfast(t))
	e := o.engine()
	run := &hanging{Classifier: e.run, called: make(chan struct{}, 100), back: make(chan struct{})}
	e.run = run
	taken, queued, judged := make(chan *job), make(chan *job), make(chan *job, 1)
	ctx, cancel := context.WithCancelCause(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := o.judge(taken, queued, judged, cancel); err != nil {
			t.Error(err)
		}
	})
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := o.watch(ctx, o.sources[0].watcher, taken); err != nil {
			t.Error(err)
		}
	})
	<-run.called
	o.hangs(t, "the judge's step takes")
	close(run.back)
	o.goesOn(t)
	cancel(nil)
	watching.Wait()
	close(taken)
	close(queued)
	all.Wait()
	for range 5 { // all wait for what never comes
		if !o.turn(time.Hour) {
			t.Error("not fed though all is over")
		}
	}
}

// TestWatcherHangs has a live source's own goroutine stuck amid its step.
func TestWatcherHangs(t *testing.T) {
	o := observe(t, steadfast(t))
	w := o.sources[0].watcher
	w.mu.Lock()
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := o.watch(ctx, w, make(chan *job)); err != nil { // nobody takes a picture
			t.Error(err)
		}
	})
	until(t, "a picture", func() bool {
		o.service.progress.mu.Lock()
		defer o.service.progress.mu.Unlock()
		return len(o.service.progress.busy) > 0
	})
	o.hangs(t, "a picture of door takes")
	w.mu.Unlock()
	o.goesOn(t)
	if !o.turn(14 * time.Second) { // it waits for the judge
		t.Error("not fed though it only waits")
	}
	cancel()
	watching.Wait()
}

// TestSwitchedOff has a live source that is switched off while its goroutine waits for a picture.
func TestSwitchedOff(t *testing.T) {
	o := observe(t, steadfast(t))
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	taken := make(chan *job)
	watching.Go(func() {
		if err := o.watch(ctx, o.sources[0].watcher, taken); err != nil {
			t.Error(err)
		}
	})
	o.settle(<-taken, errStale)
	o.set("door", false)
	o.goesOn(t)
	for range 5 {
		if !o.turn(time.Hour) {
			t.Errorf("not fed: %s", o.Daemon.stuck(o.service.progress, o.now()))
		}
	}
	if got := o.status(o.now()); !strings.Contains(got, "door: switched off") {
		t.Errorf("status: got %q, want that door is switched off", got)
	}
	cancel()
	watching.Wait()
}

// TestStepsHang has what isn't a picture's way stuck where a source's state is told.
func TestStepsHang(t *testing.T) {
	for _, test := range []struct {
		name, why string
		do        func(o *observed, ctx context.Context)
	}{
		{"switch", "switching inbox", func(o *observed, _ context.Context) { o.set("inbox", false) }},
		{"report", "reporting", func(o *observed, ctx context.Context) { o.report(ctx) }},
		{"acknowledged", "publishing what inbox shows", func(o *observed, ctx context.Context) {
			acknowledged := make(chan error, 1)
			acknowledged <- nil
			item, err := o.sources[0].folder.Next(ctx)
			if err != nil {
				return // the step never comes
			}
			o.flights <- struct{}{}
			j := &job{source: o.sources[0], item: item}
			j.event.Kind, j.event.Error = decide.Refused, "a test"
			o.await(ctx, sent{j, acknowledged})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := testConfig(t)
			o := observe(t, c)
			drop(t, c.Sources[0].Path, "golf_ball", "a.png")
			s := o.sources[0]
			s.telling.Lock()
			ctx, cancel := context.WithCancel(context.Background())
			var doing sync.WaitGroup
			doing.Go(func() { test.do(o, ctx) })
			until(t, "the step", func() bool {
				o.service.progress.mu.Lock()
				defer o.service.progress.mu.Unlock()
				return len(o.service.progress.busy) > 0
			})
			o.hangs(t, test.why)
			s.telling.Unlock()
			o.goesOn(t)
			cancel()
			doing.Wait()
		})
	}
}

// TestLookHangs has lookAfter itself stuck at a source: nobody else feeds.
func TestLookHangs(t *testing.T) {
	o := observe(t, steadfast(t))
	w := o.sources[0].watcher
	w.mu.Lock()
	before := o.asked.Load()
	ctx, cancel := context.WithCancel(context.Background())
	var looking sync.WaitGroup
	looking.Go(func() { o.lookAfter(ctx) })
	until(t, "the look", func() bool { return o.asked.Load() > before })
	for range 100 {
		o.turned.Add(int64(time.Minute))
		runtime.Gosched()
	}
	if n := o.fed.Load(); n != 0 {
		t.Errorf("fed %d times, want never", n)
	}
	w.mu.Unlock()
	until(t, "the feed", func() bool { return o.fed.Load() > 0 })
	cancel()
	looking.Wait()
}
