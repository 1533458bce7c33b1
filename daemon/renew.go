package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"sightd/camera"
	"sightd/inference/tflite"
	"sightd/publish"
)

// renewTime is how long a flow that ends for another configuration waits for the broker to acknowledge what was sent.
const renewTime = time.Second

// renewing reports whether ctx has ended because another configuration is to be taken over.
func renewing(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errRenewing) }

// renewal is another configuration, with its model, that is to be taken over.
type renewal struct {
	config  Config
	keys    []string // that have changed
	network *network // opened and proven
	was     string   // sha256 of the model before
	begun   time.Time
	answer  func(publish.ReloadResult, error)
}

// drop frees what wasn't taken over. A nil renewal has nothing.
func (r *renewal) drop() error {
	if r == nil {
		return nil
	}
	return r.network.engine.Close()
}

// reply answers, once.
func (r *renewal) reply(result publish.ReloadResult, err error) {
	if r.answer != nil {
		r.answer(result, err)
		r.answer = nil
	}
}

// fixed are the keys that only a start takes over: what is kept below them would be lost, or somebody else's.
var fixed = []string{"name", "state_dir", "log.format"}

// reread reads the configuration again, and gives the keys that have changed. It makes sure of what can be known beforehand.
func (d *Daemon) reread() (Config, []string, error) {
	if d.opts.Load == nil {
		return d.config, nil, nil
	}
	c, err := d.opts.Load()
	if err != nil {
		return c, nil, err
	}
	if c, err = c.named(); err != nil {
		return c, nil, err
	}
	keys := d.config.changes(c)
	for _, key := range fixed {
		if slices.Contains(keys, key) {
			return c, nil, fmt.Errorf("take over the configuration: %s has changed, which takes a restart of sightd", key)
		}
	}
	if err := d.makeFolders(c); err != nil {
		return c, nil, err
	}
	linked, err := c.fingerprint()
	if err != nil {
		return c, nil, err
	}
	intake := c.Limits.MaxFileMB != d.config.Limits.MaxFileMB // is linked's too, and has its key already
	if linked != d.linked && !intake && !slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, "mqtt.") }) {
		keys = append(keys, "mqtt") // a file that it names
	}
	return c, keys, nil
}

// makeFolders makes sure of the folders of c that are to be opened. One that is watched may be away, and goes on when it is back: closed
// it couldn't be opened again, by the configuration before neither.
func (d *Daemon) makeFolders(c Config) error {
	for _, s := range c.Sources {
		before, known := d.config.source(s.Name)
		if s.Live() || known && c.Limits == d.config.Limits && sameStream(before, s) {
			continue
		}
		if err := os.MkdirAll(s.Path, 0o777); err != nil {
			return fmt.Errorf("open source %s: %w", s.Name, err)
		}
	}
	return nil
}

// renew takes d.renewal over, while the flow stands still. What the configuration doesn't change goes on: cameras stay open, the
// connection stands. When something of the new one can't be opened the one before is taken up again; the error is that it can't be.
func (d *Daemon) renew() error {
	r, before := d.renewal, d.config
	was := d.network.Load()
	defer tflite.Trim()
	if delegate := r.network.engine.Delegation().Delegate; d.chooser.marked(r.network.choice.Key, delegate) != "" {
		return d.refuse(r, fmt.Errorf("use model %s: %s has failed meanwhile: ask again", r.network.engine.Name, delegate))
	}
	d.network.Store(r.network)
	if err := d.apply(r.config); err != nil {
		d.network.Store(was)
		if again := d.apply(before); again != nil {
			return errors.Join(err, fmt.Errorf("take up the configuration before: %w", again))
		}
		return d.refuse(r, err)
	}
	d.renewal = nil
	d.reloaded(nil)
	d.log.Info("configuration is taken over", "keys", strings.Join(r.keys, " "))
	d.noteUse()
	d.tellNetwork()
	d.replyRenewed(r)
	if err := d.retire(was); err != nil {
		return err
	}
	d.chooser.tidy(r.network.engine.SHA256, was.engine.SHA256)
	return nil
}

// refuse frees what isn't taken over for that reason. An error is that of a delegate that hangs: the process must end.
func (d *Daemon) refuse(r *renewal, why error) error {
	d.renewal = nil
	err := d.retire(r.network)
	d.noteUse()
	d.reloaded(why)
	r.reply(publish.ReloadResult{}, why)
	return err
}

// replyRenewed says that r is taken over, if that isn't said yet.
func (d *Daemon) replyRenewed(r *renewal) {
	result := d.reloadResult(r.network.engine, r.was, r.begun)
	result.Keys = r.keys
	r.reply(result, nil)
}

// apply brings the parts to what c says, from whatever they are at.
func (d *Daemon) apply(c Config) error {
	before := d.config
	d.config = c
	if d.opts.Level != nil {
		d.opts.Level(c.Log)
	}
	if err := d.site.apply(d); err != nil {
		return err
	}
	if err := d.applyDecoder(before); err != nil {
		return err
	}
	if c.Snapshots != before.Snapshots || c.Privacy != before.Privacy {
		d.album = nil
		if err := d.openAlbum(); err != nil {
			return err
		}
	}
	if err := d.applySources(before); err != nil {
		return err
	}
	if err := d.applyLink(before); err != nil {
		return err
	}
	past := saved{Announced: d.announced}
	if before.Snapshots.MQTT {
		for _, s := range before.Sources {
			past.Pictured = append(past.Pictured, s.Name)
		}
	}
	return d.introduce(past)
}

// applyDecoder takes the limits of pictures over.
func (d *Daemon) applyDecoder(before Config) error {
	if d.config.Limits == before.Limits {
		return nil
	}
	err := d.decoder.Close()
	d.decoder = camera.NewDecoder(d.limits())
	return err
}

// applySources closes the sources that are others now or aren't any more, and opens those that there are.
func (d *Daemon) applySources(before Config) error {
	var kept []*source
	for _, s := range d.sources {
		c, known := d.config.source(s.config.Name)
		if known && d.config.Limits == before.Limits && sameStream(s.config, c) {
			kept = append(kept, s)
			continue
		}
		d.part(s, !known)
		if err := s.close(); err != nil {
			d.log.Error("close a source", "source", s.config.Name, "err", err)
		}
		d.service.feed("", d.now()) // a step, while nobody looks
	}
	d.sources = kept
	if err := d.openSources(); err != nil {
		return err
	}
	for _, s := range kept {
		c, _ := d.config.source(s.config.Name) // it is there: else it wasn't kept
		if s.watcher != nil && !(reflect.DeepEqual(s.config, c) && reflect.DeepEqual(d.config.Decide, before.Decide)) {
			if err := d.refit(s, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameStream reports whether a live source's pictures are brought the same way in both, however they are looked at, and whether a folder
// is the same in everything.
func sameStream(a, b SourceConfig) bool {
	if a.Live() && b.Live() {
		for _, c := range []*SourceConfig{&a, &b} {
			c.Interval, c.Crop, c.Resize, c.Rotate, c.Flip, c.Motion, c.Refresh, c.Frozen = 0, [4]float64{}, "", 0, "", "", 0, 0
		}
	}
	return reflect.DeepEqual(a, b)
}

// part says goodbye to what a live source shows, and remembers the source; one that goes for good is offline from now on.
func (d *Daemon) part(s *source, gone bool) {
	if s.watcher != nil {
		d.quit(s.watcher)
	}
	if gone && d.client != nil {
		if err := d.client.SetAvailability(s.config.Name, publish.Offline); err != nil {
			d.log.Error("tell a source's state", "source", s.config.Name, "err", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.state
	d.parted[s.config.Name] = savedSource{Disabled: !last.Enabled, Last: &last}
}

// quit has what a live source shows leave.
func (d *Daemon) quit(w *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := d.now()
	d.tell(w, now, w.decider.Quit(now, "the configuration was changed"), false)
}

// refit has a live source's pictures looked at as c and the rules say from now on. Its stream goes on.
func (d *Daemon) refit(s *source, c SourceConfig) error {
	before := s.watcher
	d.quit(before)
	o, err := d.observe(c)
	if err != nil {
		return err
	}
	s.config = c
	s.watcher = newWatcher(s, o, before.live)
	return before.observer.close()
}

// applyLink opens client, embedded broker and outbox anew, where what they depend on has changed.
func (d *Daemon) applyLink(before Config) error {
	linked, err := d.config.fingerprint()
	if err != nil {
		return err
	}
	if linked == d.linked {
		return nil
	}
	if d.renewal != nil && d.client != nil {
		d.replyRenewed(d.renewal) // while it can be heard
		ctx, cancel := context.WithTimeout(context.Background(), renewTime)
		d.client.Settle(ctx)
		cancel()
	}
	if err := d.unlink(); err != nil {
		d.log.Error("close the connection before", "err", err)
	}
	d.service.feed("", d.now()) // a broker that doesn't answer takes its time, and what follows too
	if d.config.MQTT.Outbox != before.MQTT.Outbox {
		if d.outbox != nil { // nil: it couldn't be opened as the other configuration says
			if err := d.outbox.Close(); err != nil {
				d.log.Error("close the outbox", "err", err)
			}
		}
		if err := d.openOutbox(); err != nil {
			return err
		}
	}
	_, err = d.link()
	return err
}

// refusedReload is why the last reload was refused.
type refusedReload struct {
	mu  sync.Mutex
	why string // with the time; "": it wasn't
}

// reloaded notes and tells what came of a reload.
func (d *Daemon) reloaded(err error) {
	why := ""
	if err != nil {
		d.log.Error("the configuration and the model before go on", "err", err)
		why = fmt.Sprintf("reload refused at %s, the configuration and the model before go on: %v", d.now().UTC().Format(time.RFC3339), err)
	}
	d.refused.mu.Lock()
	d.refused.why = why
	d.refused.mu.Unlock()
	signal(d.look)
}

// reloadCheck says whether the last reload was taken over.
func (d *Daemon) reloadCheck() publish.Finding {
	d.refused.mu.Lock()
	defer d.refused.mu.Unlock()
	c := publish.Finding{Name: "reload", Status: publish.CheckOK}
	if d.refused.why != "" {
		c.Status, c.Detail = publish.CheckWarn, d.refused.why
	}
	return c
}
