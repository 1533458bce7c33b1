package daemon

import (
	"strings"
	"sync"
	"testing"
	"time"

	"sightd/camera/live"
)

// TestProgress has steps of 10 s at most.
func TestProgress(t *testing.T) {
	const limit = 10 * time.Second
	for _, test := range []struct {
		name string
		do   func(p *progress, a, b *track, pass func(time.Duration))
		want string
	}{
		{"nothing was begun", func(_ *progress, _, _ *track, pass func(time.Duration)) { pass(time.Hour) }, ""},
		{"within its limit", func(_ *progress, a, _ *track, pass func(time.Duration)) {
			a.busy()
			pass(limit)
		}, ""},
		{"too long", func(_ *progress, a, _ *track, pass func(time.Duration)) {
			a.busy()
			pass(limit + time.Second)
		}, "a takes 11s already"},
		{"ended", func(_ *progress, a, _ *track, pass func(time.Duration)) {
			a.busy()
			pass(time.Minute)
			a.idle()
		}, ""},
		{"ended twice, and waits for long", func(_ *progress, a, _ *track, pass func(time.Duration)) {
			a.busy()
			a.idle()
			a.idle()
			pass(time.Hour)
		}, ""},
		{"one step after the other", func(_ *progress, a, _ *track, pass func(time.Duration)) {
			for range 10 {
				a.busy()
				pass(limit)
			}
		}, ""},
		{"the second of two", func(_ *progress, a, b *track, pass func(time.Duration)) {
			b.busy()
			a.busy()
			pass(time.Minute)
			a.idle()
		}, "b takes 1m0s already"},
		{"the one that began first", func(_ *progress, a, b *track, pass func(time.Duration)) {
			b.busy()
			pass(time.Second)
			a.busy()
			pass(time.Minute)
		}, "b takes 1m1s already"},
		{"a step that others go on beside", func(_ *progress, a, b *track, pass func(time.Duration)) {
			b.busy()
			for range 5 {
				a.busy()
				pass(limit / 2)
				a.idle()
			}
		}, "b takes 25s already"},
		{"it has a deadline of its own", func(_ *progress, a, _ *track, pass func(time.Duration)) {
			a.busy()
			pass(limit)
			a.extend(time.Minute)
			pass(time.Minute)
		}, ""},
		{"it has missed that", func(_ *progress, a, _ *track, pass func(time.Duration)) {
			a.busy()
			a.extend(time.Minute)
			pass(61 * time.Second)
		}, "a takes 1m1s already"},
		{"the deadline was the step's before", func(_ *progress, a, _ *track, pass func(time.Duration)) {
			a.busy()
			a.extend(time.Hour)
			a.busy()
			pass(limit + time.Second)
		}, "a takes 11s already"},
		{"a deadline that is nearer than the limit", func(_ *progress, a, _ *track, pass func(time.Duration)) {
			a.busy()
			a.extend(time.Second)
			pass(limit)
		}, ""},
		{"a single step", func(p *progress, _, _ *track, pass func(time.Duration)) {
			p.begin("done").idle()
			p.begin("filing")
			pass(time.Minute)
		}, "filing takes 1m0s already"},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := noon
			p := newProgress(func() time.Time { return now }, limit)
			test.do(p, p.track("a"), p.track("b"), func(d time.Duration) { now = now.Add(d) })
			if got := p.stuck(now); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestProgressTogether has many goroutines at it, which the race detector watches, and none left at a step.
func TestProgressTogether(t *testing.T) {
	p := newProgress(func() time.Time { return noon }, time.Second)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			own := p.track("own")
			for range 500 {
				own.busy()
				own.extend(time.Minute)
				p.begin("single").idle()
				if why := p.stuck(noon); why != "" {
					t.Errorf("got %q, want nothing stuck", why)
				}
				own.idle()
			}
		})
	}
	all.Wait()
	if len(p.busy) != 0 {
		t.Errorf("%d tracks are busy still, want none", len(p.busy))
	}
}

// TestNoProgress has nobody to tell: all is there, and does nothing.
func TestNoProgress(t *testing.T) {
	var none *service
	without := newService(&Notify{}, quiet, time.Now) // a watchdog
	for _, s := range []*service{none, without} {
		for _, work := range []*track{s.track("a"), s.begin("b")} {
			if work != nil {
				t.Errorf("got a track, want none")
			}
			work.busy()
			work.extend(time.Second)
			work.idle()
		}
	}
	none.starting("a model", time.Minute)
	none.started()
	none.reloading()
	none.look(nil, noon)
	none.stopping()
}

func TestDeserted(t *testing.T) {
	const stall, limit = 5 * time.Second, 15 * time.Second
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	for _, test := range []struct {
		name  string
		stats live.Stats
		want  bool
	}{
		{"pictures come", live.Stats{Online: true, Last: ago(0)}, false},
		{"the next is late, which is seen soon", live.Stats{Online: true, Last: ago(stall + limit)}, false},
		{"nobody has noticed", live.Stats{Online: true, Last: ago(stall + limit + time.Second)}, true},
		{"so, with a problem of the pictures", live.Stats{Online: true, Problem: "picture is black", Last: ago(time.Hour)}, true},
		{"it was lost", live.Stats{Problem: "no picture for 5s", Last: ago(time.Hour)}, false},
		{"it was never there", live.Stats{Problem: "connection refused"}, false},
		{"it is being opened", live.Stats{}, false},
		{"it was switched off, or a recording has ended", live.Stats{Ended: true, Last: ago(time.Hour)}, false},
		{"its streams can't be ended", live.Stats{Stuck: 2, Problem: "2 streams of it can't be ended: waiting for one of them", Last: ago(time.Hour)}, false},
	} {
		got := deserted(test.stats, noon, stall, limit)
		if (got != "") != test.want || test.want && !strings.Contains(got, "without a picture for") {
			t.Errorf("%s: got %q, want it stuck: %v", test.name, got, test.want)
		}
	}
}
