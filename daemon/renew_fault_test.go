package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sightd/publish"
)

// hears waits until the daemon hears requests: it connects for them when all else stands, and what comes before is lost.
func (r *running) hears(t *testing.T) {
	t.Helper()
	for i := range patience / time.Second {
		id := fmt.Sprintf(`"transaction":"hears %d"`, i)
		r.send(t, publish.RequestTopic(testBase, publish.HealthCheck), "{"+id+"}")
		for late := time.After(time.Second); late != nil; {
			r.mu.Lock()
			payload, more := r.last[publish.ResponseTopic(testBase, publish.HealthCheck)], r.more
			r.mu.Unlock()
			if strings.Contains(payload, id) {
				return
			}
			select {
			case <-more:
			case <-late:
				late = nil
			}
		}
	}
	t.Fatal("it hears no request")
}

// TestReloadingRenewed has wishes come while a flow ends for another configuration: the one of a signal is kept for the next flow, and a
// request hears why it must ask again.
func TestReloadingRenewed(t *testing.T) {
	for range 50 { // of several things that are due one is taken at random
		reload := make(chan struct{}, 1)
		d := &Daemon{opts: Options{Reload: reload, Log: quiet}, log: quiet, asks: make(chan func(publish.ReloadResult, error), 1)}
		ctx, stop := context.WithCancelCause(t.Context())
		stop(errRenewing)
		reload <- struct{}{}
		answered := make(chan error, 1)
		d.asks <- func(_ publish.ReloadResult, err error) { answered <- err }
		close(d.asks)
		d.reloading(ctx, stop)
		if len(reload) != 1 {
			t.Fatal("the signal's wish is lost")
		}
		if err := <-answered; !errors.Is(err, errRenewing) {
			t.Fatalf("want a request told %q, have %v", errRenewing, err)
		}
	}
}

// TestRenewedEnds has a network that was opened by a flow outlive it: that the flow ends for another configuration isn't that all ends.
func TestRenewedEnds(t *testing.T) {
	o := observe(t, testConfig(t))
	ending, end := context.WithCancel(t.Context())
	o.ends, o.end = ending.Done(), end
	o.parted, o.sitting = map[string]savedSource{}, make(chan struct{}, 1)
	next := o.config
	next.Log.Level = "debug"
	o.opts.Load = func() (Config, error) { return next, nil }
	var err error
	if o.linked, err = o.config.fingerprint(); err != nil {
		t.Fatal(err)
	}
	reload := make(chan struct{}, 1)
	o.opts.Reload = reload
	reload <- struct{}{}
	if err := o.flow(t.Context()); err != nil || o.renewal == nil {
		t.Fatalf("want a flow that ends for another configuration, have error %v", err)
	}
	if err := o.renew(); err != nil {
		t.Fatal(err)
	}
	if closed(o.network.Load().options.ends) {
		t.Error("the network in use is told that all ends")
	}
}

// TestRenewFault changes the configuration to what fails half-way, where that before can't be taken up as if nothing had been.
func TestRenewFault(t *testing.T) {
	n := runRenewed(t)
	n.until(t, publish.SourceStateTopic(testBase, "door"), `"label":"golf ball"`)
	inbox := n.config.Sources[1].Path
	goesOn := func(what, file string) {
		t.Helper()
		drop(t, inbox, "parachute", file)
		n.until(t, publish.EventTopic(testBase, n.config.Sources[1].Name), file)
		if f := n.fares(t); f.reloadStatus(t) != "warn" || len(f.Sources) != 2 {
			t.Errorf("%s: want the check to warn, have %+v", what, f)
		}
	}
	n.take(t, func(c *Config) { c.Limits.MaxFileMB++ }, `"status":"ok"`, `"keys":["limits.max_file_mb"]`)
	n.hears(t) // over another connection
	bad := n.config
	bad.MQTT.Outbox.MaxMB = -1
	n.next.Store(&bad)
	n.reload(t, "outbox", `"status":"ok"`) // comes before the connection is changed
	n.until(t, publish.HealthTopic(testBase), "reload refused", "open outbox")
	goesOn("an outbox that can't be", "a.png")

	if err := os.Rename(inbox, inbox+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(inbox, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n.take(t, func(c *Config) { c.Limits.MaxPixels++ }, `"status":"error"`, inbox)
	if err := os.Remove(inbox); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(inbox+".away", inbox); err != nil {
		t.Fatal(err)
	}
	goesOn("a folder that is away", "b.png")
	n.finish(t)
}
