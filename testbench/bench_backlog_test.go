package testbench

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"sightd/decide"
	"sightd/publish"
	"sightd/publish/outbox"
)

const waitingEvents = 100_000

// liveEvent is an event such as live sources have, each with other numbers.
func liveEvent(n int) decide.Event {
	score := float32(n%4000)/10000 + 0.6
	best := decide.Score{Label: "golf ball", Index: 8, Score: score}
	return decide.Event{
		Kind: decide.Change, ID: fmt.Sprintf("01J8Z6%020X", n*2654435761), Seq: uint64(n + 1), Time: time.Unix(1790000000+int64(n), 0).UTC(), Source: "door",
		Top: []decide.Score{best, {Label: "parachute", Index: 9, Score: (1 - score) / 2}, {Label: "church", Index: 4, Score: (1 - score) / 4},
			{Label: "gas pump", Index: 7, Score: (1 - score) / 8}, {Label: "French horn", Index: 5, Score: (1 - score) / 16}},
		Label: &best, Smoothed: score, Previous: "parachute", Duration: time.Duration(n%977) * 100 * time.Millisecond,
		InferMS: 2 + float64(n%83)/100, FrameAge: time.Duration(3+n%7) * time.Millisecond,
		Model: decide.Model{Name: "googlenet-imagenette-int8", SHA256: fmt.Sprintf("%064x", 1), Delegate: "xnnpack"},
	}
}

// fillOutbox writes events as the daemon does while its broker is away, and gives the microseconds of each.
func fillOutbox(t testing.TB, dir string) (us []float64, payload int, stats outbox.Stats) {
	t.Helper()
	o, err := outbox.Open(outbox.Options{Dir: dir, MaxBytes: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	accepted := time.Now()
	for n := range waitingEvents {
		begin := time.Now()
		data, err := publish.EventPayload(liveEvent(n), decide.Model{}, publish.MaxPayload)
		if err == nil {
			err = o.Put(base+"door/event", data, accepted)
		}
		if err != nil {
			t.Fatal(err)
		}
		us = append(us, 1000*milliseconds(time.Since(begin)))
		payload = len(data)
	}
	stats = o.Stats()
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	return us, payload, stats
}

// drain is a client that counts a source's events.
type drain struct {
	watched
	n           int
	first, last time.Time
}

// startDrain connects one whose session the broker keeps while it is away.
func startDrain(t testing.TB, url string) *drain {
	t.Helper()
	d := &drain{}
	client := paho.NewClient(paho.NewClientOptions().AddBroker(url).SetClientID("testbench-drain").
		SetCleanSession(false).SetResumeSubs(true).SetAutoReconnect(true).SetMaxReconnectInterval(time.Second).
		SetDefaultPublishHandler(func(paho.Client, paho.Message) {
			d.change(func() {
				d.last = time.Now()
				if d.n++; d.n == 1 {
					d.first = d.last
				}
			})
		}))
	settle(t, client.Connect())
	t.Cleanup(func() { client.Disconnect(250) })
	settle(t, client.Subscribe(base+"door/event", 1, nil))
	return d
}

// measureBacklog has events wait for a broker that is away.
func measureBacklog(t *testing.T) []figure {
	m := startMosquitto(t)
	b := newBoard(t, fmt.Sprintf("broker: %q, outbox: {max_mb: 256}", m.url))
	b.startOnce(t)
	d := startDrain(t, m.url)
	m.stop(t)
	startMS := func() (ms, mb float64, p *process) {
		begin := time.Now()
		p, _ = b.run(t)
		ms = milliseconds(time.Since(begin))
		return ms, memoryMB(t, p.cmd.Process.Pid, "VmHWM:"), p
	}
	var without, emptyMB []float64
	const starts = 5
	for range starts {
		ms, mb, p := startMS()
		p.signal(t, syscall.SIGKILL)
		without, emptyMB = append(without, ms), append(emptyMB, mb)
	}
	dir := filepath.Join(b.dir, "state", "outbox")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	us, payload, stats := fillOutbox(t, dir)
	var with, fullMB []float64
	var p *process
	for i := range starts {
		ms, mb, running := startMS()
		if with, fullMB, p = append(with, ms), append(fullMB, mb), running; i < starts-1 {
			p.signal(t, syscall.SIGKILL)
		}
	}
	m.start(t)
	for want := 0; want < waitingEvents; {
		want += 5000 // patience is for each step
		d.until(t, func() bool { return d.n >= want }, func() string { return fmt.Sprintf("want %d events, have %d", want, d.n) })
	}
	peak := memoryMB(t, p.cmd.Process.Pid, "VmHWM:")
	p.stop(t)
	m.stop(t)
	d.mu.Lock()
	defer d.mu.Unlock()
	took := d.last.Sub(d.first).Seconds()
	return []figure{
		{what: "backlog of 100,000 events, the broker away: time to make and write one", value: fmt.Sprintf("p50 %.1f us, p99 %.1f us", median(us), quantile(us, 0.99)),
			n: waitingEvents, spread: between(us, "us")},
		{what: "backlog: on the disk", n: waitingEvents, value: fmt.Sprintf("%.1f MB, %.0f bytes for a payload of %d; %d wait",
			float64(stats.Bytes)/1e6, float64(stats.Bytes)/waitingEvents, payload, stats.Pending)},
		{what: "backlog: start until ready, with it and without", value: fmt.Sprintf("%.0f ms, %.0f ms", median(with), median(without)), n: 2 * starts,
			spread: between(with, "ms") + ", " + between(without, "ms")},
		{what: "backlog: peak of the resident memory once ready, with it and without", value: fmt.Sprintf("%.1f MB, %.1f MB", median(fullMB), median(emptyMB)), n: 2 * starts},
		{what: "backlog: handed to the broker (mosquitto) when that is back, as a client hears them", n: d.n,
			value: fmt.Sprintf("%.0f a second, %.1f s for all", waitingEvents/took, took)},
		{what: "backlog: peak of the resident memory then", value: fmt.Sprintf("%.1f MB", peak), n: 1},
	}
}
