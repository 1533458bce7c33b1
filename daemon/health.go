package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sightd/decide"
	"sightd/publish"
)

// healthEach is how often the bridge's health and the sources' states are published at least.
const healthEach = time.Minute

// report publishes health and states each healthEach, and at once where a folder has changed its mind about a problem, until
// ctx ends.
func (d *Daemon) report(ctx context.Context) {
	tick := time.NewTicker(healthEach)
	defer tick.Stop()
	work := d.service.track("reporting")
	for all := true; ; {
		work.busy()
		if err := d.tellHealth(); err != nil {
			d.log.Error("tell the bridge's health", "err", err)
		}
		for _, s := range d.sources {
			if !all && !s.turned() {
				continue
			}
			if err := d.tellAvailability(s); err != nil {
				d.log.Error("tell a source's state", "source", s.config.Name, "err", err)
			}
		}
		work.idle()
		select {
		case <-tick.C:
			all = true
		case <-d.look:
			all = false
		case <-ctx.Done():
			return
		}
	}
}

func (d *Daemon) tellHealth() error { return d.client.SetHealth(d.health()) }

// health looks at all parts.
func (d *Daemon) health() publish.Health {
	defer d.service.begin("looking at the bridge's health").idle()
	now := d.now()
	client, box := d.client.Stats(), d.outbox.Stats()
	h := publish.Health{
		Temperature: temperature(),
		RSS:         residentBytes(),
		Outbox: publish.OutboxHealth{
			Pending: box.Pending, Bytes: box.Bytes, Oldest: box.Oldest,
			Dropped: box.Dropped, Expired: box.Expired, Degraded: box.Degraded,
		},
		Requests: publish.RequestHealth(client.Requests),
		MQTT:     publish.MQTTHealth{Connects: client.Connects, Unsent: client.Unsent},
		Uptime:   now.Sub(d.started),
		Time:     now,
	}
	h.FPS, h.Infer = d.pace.figures(now)
	_, h.Step = d.steps.figures(now)
	h.Checks = append(h.Checks, d.modelCheck(), d.delegateCheck(), d.reloadCheck(), outboxCheck(h.Outbox), d.diskCheck(), d.heatCheck())
	for _, s := range d.sources {
		about := s.health(now)
		h.Sources = append(h.Sources, about)
		check := publish.Finding{Name: "source " + s.config.Name, Status: publish.CheckOK}
		if about.Problem != "" {
			check.Status, check.Detail = publish.CheckWarn, about.Problem
		}
		h.Checks = append(h.Checks, check)
	}
	h.Status = publish.StatusOK
	for _, c := range h.Checks {
		switch {
		case c.Status == publish.CheckFail:
			h.Status = publish.StatusFailing
		case c.Status == publish.CheckWarn && h.Status == publish.StatusOK:
			h.Status = publish.StatusDegraded
		}
	}
	return h
}

// health is how a source fares.
func (s *source) health(now time.Time) publish.SourceHealth {
	h := publish.SourceHealth{Name: s.config.Name, Type: s.config.Type}
	if w := s.watcher; w != nil {
		stats := w.live.Stats()
		h.FPS, _ = w.rate.figures(now)
		h.Seen, h.Dropped, h.Opened, h.Errors, h.Problem = stats.Seen, stats.Dropped, stats.Opened, stats.Failed, stats.Problem
		h.Stale = stats.Stale + w.stale.Load()
		h.Done, h.Refused, h.Unchanged = w.judged.Load(), w.refused.Load(), w.unchanged.Load()
		h.Paced, h.Blind = w.paced.Load(), w.blinded.Load()
		return h
	}
	stats := s.folder.Stats()
	h.Seen, h.Done, h.Refused, h.Ignored, h.Errors = stats.Seen, stats.Done, stats.Refused, stats.Ignored, stats.Errors
	h.Pending, h.Removed, h.Problem = stats.Pending, stats.RemovedFiles, stats.Problem
	return h
}

func (d *Daemon) heatCheck() publish.Finding {
	c := publish.Finding{Name: "heat", Status: publish.CheckOK}
	if factor, why := d.heat.slow(); factor > 1 {
		c.Status, c.Detail = publish.CheckWarn, fmt.Sprintf("live sources are looked at %.1f times as seldom: %s", factor, why)
	}
	return c
}

func (d *Daemon) modelCheck() publish.Finding {
	c := publish.Finding{Name: "model", Status: publish.CheckOK, Detail: "proven on " + strconv.Itoa(d.engine().Proven) + " golden inputs"}
	if d.engine().Proven == 0 {
		c.Status, c.Detail = publish.CheckWarn, "no card beside the model: it runs without proof"
	}
	return c
}

// delegateCheck says what runs the model, and whether that is what should.
func (d *Daemon) delegateCheck() publish.Finding {
	n := d.network.Load()
	c := publish.Finding{Name: "delegate", Status: publish.CheckOK, Detail: n.reason()}
	if n.trouble != "" {
		c.Status = publish.CheckWarn
	}
	return c
}

// scarce is how many bytes must be free where the state is kept.
const scarce = 50 << 20

func (d *Daemon) diskCheck() publish.Finding {
	c := publish.Finding{Name: "disk", Status: publish.CheckOK}
	var fs unix.Statfs_t
	if err := unix.Statfs(d.config.StateDir, &fs); err != nil {
		c.Status, c.Detail = publish.CheckWarn, "state_dir: "+err.Error()
		return c
	}
	free := int64(fs.Bavail) * fs.Bsize
	c.Detail = strconv.FormatInt(free>>20, 10) + " MiB free in state_dir"
	if free < scarce {
		c.Status = publish.CheckWarn
	}
	return c
}

// outboxCheck judges the outbox.
func outboxCheck(o publish.OutboxHealth) publish.Finding {
	c := publish.Finding{Name: "outbox", Status: publish.CheckOK}
	switch {
	case o.Degraded != "":
		c.Status, c.Detail = publish.CheckWarn, "in memory only: "+o.Degraded
	case o.Dropped+o.Expired > 0:
		c.Detail = strconv.FormatUint(o.Dropped+o.Expired, 10) + " events were dropped since it was made"
	}
	return c
}

// pace measures how fast pictures are classified.
type pace struct {
	mu    sync.Mutex
	times [256]float64 // milliseconds of Invoke, the last ones
	n     int          // that were ever stored
	marks []time.Time  // of the pictures within the last healthEach, at most maxMarks
	more  int          // that marks had no room for
	begun time.Time    // when the first picture came
}

// maxMarks bounds the memory; a board that is faster counts what comes on top without its time.
const maxMarks = 4096

// add counts an event.
func (p *pace) add(e decide.Event) {
	if e.Kind == decide.Classified {
		p.mark(e.Time, e.InferMS)
	}
}

// mark counts a picture that took so many milliseconds.
func (p *pace) mark(at time.Time, ms float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times[p.n%len(p.times)] = ms
	if p.n == 0 {
		p.begun = at
	}
	p.n++
	if p.forget(at); len(p.marks) < maxMarks {
		p.marks = append(p.marks, at)
	} else {
		p.more++
	}
}

// forget drops the marks older than healthEach. The caller holds mu.
func (p *pace) forget(now time.Time) {
	old := 0
	for old < len(p.marks) && now.Sub(p.marks[old]) > healthEach {
		old++
	}
	if old > 0 {
		p.marks, p.more = slices.Delete(p.marks, 0, old), 0
	}
}

// figures are the pictures a second over the last healthEach, and the last times of Invoke, nil before the first.
func (p *pace) figures(now time.Time) (fps float64, infer *publish.Latency) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(now)
	span := min(max(now.Sub(p.begun), time.Second), healthEach)
	fps = float64(len(p.marks)+p.more) / span.Seconds()
	if p.n == 0 {
		return fps, nil
	}
	sorted := slices.Clone(p.times[:min(p.n, len(p.times))])
	slices.Sort(sorted)
	return fps, &publish.Latency{P50: sorted[(len(sorted)-1)/2], P95: sorted[(len(sorted)-1)*95/100]}
}

// temperature is that of the hottest thermal zone in °C, nil where the kernel tells none.
func temperature() *float64 {
	var hottest *float64
	zones, err := filepath.Glob(filepath.Join("/sys", heatThermal, "thermal_zone*/temp"))
	if err != nil {
		return nil // only a bad pattern
	}
	for _, zone := range zones {
		celsius, err := heatCelsius(zone) // of one that is switched off there is none
		if err == nil && celsius > heatLeast && celsius < heatTop && (hottest == nil || celsius > *hottest) {
			hottest = &celsius
		}
	}
	return hottest
}

// residentBytes is the memory that the process has (RSS), 0 where the kernel doesn't tell.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
