package daemon

import (
	"fmt"
	"sync"
	"time"

	"sightd/camera/live"
)

// progress knows which of the daemon's goroutines are at a step, and since when, so that one that doesn't come back can be told from one
// that waits. Waiting is no step: for a picture, for another goroutine, for the broker, for a source to be switched on or to be there.
// The methods of a nil *progress, and of the nil *track that it gives, do nothing.
type progress struct {
	now   func() time.Time
	limit time.Duration // of a step

	mu   sync.Mutex
	busy map[*track]struct{}
}

func newProgress(now func() time.Time, limit time.Duration) *progress {
	return &progress{now: now, limit: limit, busy: map[*track]struct{}{}}
}

// track is what one goroutine does. It is idle until busy is called.
type track struct {
	of    *progress
	name  string    // of what it does, for people
	since time.Time // when the step began; guarded by of.mu, as the next
	until time.Time // it may last until then, whatever the limit
}

// track makes one for a goroutine.
func (p *progress) track(name string) *track {
	if p == nil {
		return nil
	}
	return &track{of: p, name: name}
}

// begin makes a track for a single step, which has begun. Its caller calls idle when that has ended.
func (p *progress) begin(name string) *track {
	t := p.track(name)
	t.busy()
	return t
}

// busy begins a step, and ends the one before, if there is one.
func (t *track) busy() {
	if t == nil {
		return
	}
	now := t.of.now()
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.since, t.until = now, time.Time{}
	t.of.busy[t] = struct{}{}
}

// idle ends the step, if there is one.
func (t *track) idle() {
	if t == nil {
		return
	}
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	delete(t.of.busy, t)
}

// extend lets the step last for so long from now on: it has a deadline of its own.
func (t *track) extend(by time.Duration) {
	if t == nil {
		return
	}
	until := t.of.now().Add(by)
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.until = until
}

// stuck says what takes too long, "" where nothing does. Of several it is the step that began first.
func (p *progress) stuck(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var first *track
	for t := range p.busy {
		late := now.Sub(t.since) > p.limit && now.After(t.until)
		if late && (first == nil || t.since.Before(first.since)) {
			first = t
		}
	}
	if first == nil {
		return ""
	}
	return fmt.Sprintf("%s takes %v already", first.name, now.Sub(first.since).Round(time.Second))
}

// deserted says why a live source is stuck, "" where it isn't: it is said to bring pictures, and none has come for longer than whoever
// sees to its deadline can have missed. A source that has told a problem isn't stuck: it is opened again.
func deserted(stats live.Stats, now time.Time, stall, limit time.Duration) string {
	if silence := now.Sub(stats.Last); stats.Online && silence > stall+limit {
		return fmt.Sprintf("it has been without a picture for %v, and nobody has noticed", silence.Round(time.Second))
	}
	return ""
}

// stuck says which part of the daemon doesn't go on, "" where all do or have nothing to do.
func (d *Daemon) stuck(p *progress, now time.Time) string {
	if why := p.stuck(now); why != "" {
		return why
	}
	for _, s := range d.sources {
		if s.watcher == nil {
			if took := s.folder.Busy(); took > p.limit {
				return fmt.Sprintf("folder %s: its file system hasn't answered for %v", s.config.Name, took.Round(time.Second))
			}
			continue
		}
		if why := deserted(s.watcher.live.Stats(), now, s.config.Stall, p.limit); why != "" {
			return "source " + s.config.Name + ": " + why
		}
	}
	return ""
}
