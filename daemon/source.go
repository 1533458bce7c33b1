package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	"sightd/camera"
	"sightd/decide"
	"sightd/publish"
)

// source is a watched folder or a live source, and what is said about it.
type source struct {
	config  SourceConfig
	folder  *camera.Folder // of a folder
	watcher *watcher       // of a live source

	mu     sync.Mutex
	state  publish.State
	told   string    // availability, the last time
	arisen time.Time // when a problem was an event, the last time

	telling sync.Mutex // held from a look at what is to be said until it is said, so that the last word is the newest

	changed chan struct{} // closed when state.Enabled changes, and replaced
}

func newSource(c SourceConfig, saved savedSource) *source {
	s := &source{config: c, changed: make(chan struct{})}
	if saved.Last != nil {
		s.state = *saved.Last
		if c.Live() {
			s.state.Best, s.state.Smoothed, s.state.Since = nil, 0, time.Time{} // nobody knows what has happened since
		}
	}
	s.state.Enabled = !saved.Disabled
	return s
}

// openSources begins to watch the sources that aren't open yet, switched as they were before. d.sources is in the configuration's order
// then.
func (d *Daemon) openSources() error {
	var all []*source
	for _, c := range d.config.Sources {
		if i := slices.IndexFunc(d.sources, func(s *source) bool { return s.config.Name == c.Name }); i >= 0 {
			all = append(all, d.sources[i])
			continue
		}
		s, err := d.openSource(c, d.parted[c.Name])
		if err != nil {
			return err
		}
		d.sources = append(d.sources, s) // what is open must be closed, whatever fails next
		all = append(all, s)
	}
	d.sources = all
	return nil
}

// openSource begins to watch a folder or a live source.
func (d *Daemon) openSource(c SourceConfig, saved savedSource) (*source, error) {
	s := newSource(c, saved)
	var err error
	if c.Live() {
		s.watcher, err = d.openWatcher(s)
		return s, err
	}
	s.folder, err = camera.OpenFolder(camera.FolderOptions{
		Name: c.Name, Path: c.Path, Recursive: c.Recursive, Ignore: c.Ignore,
		Settle: c.Settle, Poll: camera.Poll(c.Poll), After: camera.After(c.After),
		Results: c.Results, Done: quota(c.Done), Failed: quota(c.Failed),
		Whole:    camera.Whole(d.limits()),
		StateDir: d.config.StateDir,
		Changed:  func() { signal(d.look) },
		Log:      d.log,
	})
	return s, err
}

func quota(c QuotaConfig) camera.Quota {
	return camera.Quota{MaxBytes: int64(c.MaxMB) << 20, MaxFiles: c.MaxFiles}
}

// signal wakes up whoever reads c, now or when it reads next.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it was told already
	}
}

// obey carries out the commands that come over MQTT, until ctx ends.
func (d *Daemon) obey(ctx context.Context) {
	for {
		name, enabled, err := d.client.NextSet(ctx)
		if err != nil {
			return
		}
		d.set(name, enabled)
	}
}

func (d *Daemon) set(name string, enabled bool) {
	for _, s := range d.sources {
		if s.config.Name != name {
			continue
		}
		defer d.service.begin("switching " + name).idle()
		if !s.enable(enabled) {
			return
		}
		d.log.Info("source switched", "source", name, "enabled", enabled)
		if err := d.tellAvailability(s); err != nil {
			d.log.Error("tell a source's state", "source", name, "err", err)
		}
		if err := d.save(false); err != nil {
			d.log.Warn("the switch is forgotten at the next start", "source", name, "err", err)
		}
		return
	}
	d.log.Warn("command for a source that there isn't", "source", name)
}

// enable switches the source, and reports whether that changed anything.
func (s *source) enable(on bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Enabled == on {
		return false
	}
	s.state.Enabled, s.arisen = on, time.Time{}
	close(s.changed)
	s.changed = make(chan struct{})
	if s.watcher != nil {
		s.watcher.live.SetEnabled(on)
	}
	return true
}

// enabled reports whether the source is switched on, and gives what is closed when that changes.
func (s *source) enabled() (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Enabled, s.changed
}

// next waits for a picture, and while the source is switched off for that to change. The error is that of camera.Folder.Next.
func (s *source) next(ctx context.Context) (*camera.Item, error) {
	for {
		on, changed := s.enabled()
		if !on {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		item, err := s.folder.Next(ctx)
		if err != nil {
			return nil, err
		}
		if on, _ := s.enabled(); on {
			return item, nil
		}
		item.Release() // it came after the switch
	}
}

// judged takes an event into the state, and numbers it. What a live source shows is said by its decisions: see shows.
func (s *source) judged(e *decide.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Seq++
	e.Seq = s.state.Seq
	if e.Kind != decide.Classified || len(e.Top) == 0 {
		return
	}
	best := e.Top[0]
	if s.state.Best == nil || s.state.Best.Index != best.Index {
		s.state.Since = e.Time
	}
	s.state.Best, s.state.Smoothed = &best, best.Score
}

// shows takes what a live source shows into the state, and reports whether that is another label than before.
func (s *source) shows(now decide.State) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.state.Best
	var best *decide.Score
	if now.Label != decide.None {
		best = &now.Score // of a copy: what was given away before isn't changed
	}
	s.state.Best, s.state.Smoothed, s.state.Since = best, now.Smoothed, now.Since
	s.state.Unseen = best != nil && !now.Seen
	if best == nil || before == nil {
		return (best == nil) != (before == nil)
	}
	return before.Label != best.Label || before.Index != best.Index
}

// problem says why nothing new comes from the source, "" where nothing is wrong.
func (s *source) problem() string {
	if s.watcher != nil {
		return s.watcher.live.Stats().Problem
	}
	return s.folder.Stats().Problem
}

// problemEach is how often a live source's problem makes an event at most: one that comes and goes would drown all else.
const problemEach = time.Minute

// say returns the state to publish, with the source's problem in it, and whether that has just come up. A live source that can't be
// opened has one problem, whatever is said of each try.
func (s *source) say(now time.Time) (publish.State, bool) {
	problem := s.problem()
	s.mu.Lock()
	defer s.mu.Unlock()
	arisen := problem != "" && problem != s.state.Problem
	if s.watcher != nil && arisen {
		if arisen = s.state.Problem == "" && now.Sub(s.arisen) >= problemEach; arisen {
			s.arisen = now
		}
	}
	s.state.Problem, s.state.Time = problem, now
	return s.state, arisen
}

// available is what is said of the source's availability.
func (s *source) available() string {
	if on, _ := s.enabled(); !on {
		return publish.Disabled
	}
	if s.watcher != nil && !s.watcher.live.Stats().Online {
		return publish.Offline
	}
	return publish.Online
}

// turned reports whether the source's availability or problem are others than was said.
func (s *source) turned() bool {
	available, problem := s.available(), s.problem()
	s.mu.Lock()
	defer s.mu.Unlock()
	return available != s.told || problem != s.state.Problem
}

// close ends the source's goroutines, and what it has opened.
func (s *source) close() error {
	if s.watcher != nil {
		return s.watcher.close()
	}
	return s.folder.Close()
}

// tellAvailability publishes whether the source is switched on and there, with its state.
func (d *Daemon) tellAvailability(s *source) error {
	s.telling.Lock()
	defer s.telling.Unlock()
	available := s.available()
	s.mu.Lock()
	s.told = available
	s.mu.Unlock()
	if err := d.client.SetAvailability(s.config.Name, available); err != nil {
		return err
	}
	return d.tellStateNow(s)
}

// tellState publishes the source's state. A problem that has come up is an event too.
func (d *Daemon) tellState(s *source) error {
	s.telling.Lock()
	defer s.telling.Unlock()
	return d.tellStateNow(s)
}

// tellStateNow is tellState for those who hold telling.
func (d *Daemon) tellStateNow(s *source) error {
	now := d.now()
	state, arisen := s.say(now)
	if err := d.client.SetState(s.config.Name, state); err != nil {
		return err
	}
	if !arisen {
		return nil
	}
	e := decide.Event{Kind: decide.Refused, ID: eventID(now), Time: now, Source: s.config.Name, Error: state.Problem}
	s.judged(&e)
	return d.client.Accept(e)
}
