package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"sightd/camera/capture"
	"sightd/camera/live"
)

// blocked is a log that waits for a while when the first thing is said.
type blocked struct {
	slog.Handler
	said, go_ chan struct{}
}

func (b *blocked) Enabled(context.Context, slog.Level) bool { return true }

func (b *blocked) WithAttrs([]slog.Attr) slog.Handler { return b }

func (b *blocked) Handle(context.Context, slog.Record) error {
	select {
	case b.said <- struct{}{}:
	default:
	}
	<-b.go_
	return nil
}

// silence is a stream that brings one picture, and then nothing until it is closed.
type silence struct {
	picture capture.Shot
	brought bool
	closed  chan struct{}
}

func (s *silence) Read(shot *capture.Shot) error {
	if s.brought {
		<-s.closed
		return io.ErrUnexpectedEOF
	}
	s.brought, *shot = true, s.picture
	return nil
}

func (s *silence) Close() error {
	close(s.closed)
	return nil
}

// TestSupervisorHangs has a live source that nobody sees to: it is said to bring pictures, and none comes.
func TestSupervisorHangs(t *testing.T) {
	o := observe(t, steadfast(t))
	log := &blocked{Handler: slog.DiscardHandler, said: make(chan struct{}, 1), go_: make(chan struct{})}
	l, err := live.Start(live.Options{Name: "door", Stall: time.Millisecond, Enabled: true, Log: slog.New(log), Open: func(context.Context) (capture.Stream, error) {
		return &silence{picture: capture.Shot{Data: []byte{1}, Time: time.Now()}, closed: make(chan struct{})}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := o.sources[0].watcher
	before := w.live
	w.live, w.source.config.Stall = l, 5*time.Second
	<-log.said // it has told that pictures come, and doesn't come back from that
	o.begun = l.Stats().Last
	if !o.turn(20*time.Second) || o.turn(time.Second) {
		t.Errorf("want it stuck after 21 s, have %q", o.Daemon.stuck(o.service.progress, o.now()))
	}
	close(log.go_)
	until(t, "that it is silent", func() bool { return l.Stats().Problem != "" })
	if !o.turn(time.Hour) { // it is seen to
		t.Errorf("not fed: %q", o.Daemon.stuck(o.service.progress, o.now()))
	}
	w.live = before
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestWatchdogGoesOn has all that may last for ever at once: a broker that is away, with more pictures than may be on their way, a camera
// that isn't there, another that stands still, and a recording that has ended; and the model is read again.
func TestWatchdogGoesOn(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := gone.Addr().String()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	still, err := net.Listen("tcp", "127.0.0.1:0") // never accepts
	if err != nil {
		t.Fatal(err)
	}
	defer still.Close() // the test's own
	c := liveConfig(t, recording(t, 3, "golf_ball"))
	c.Sources[0].Loop = false
	c.MQTT.Broker = "mqtt://" + away
	for name, at := range map[string]string{"yard": away, "gate": still.Addr().String()} {
		s := defaultSource(TypeURL)
		s.Name, s.URL = name, "http://"+at+"/stream"
		c.Sources = append(c.Sources, s)
	}
	c.Sources = append(c.Sources, testConfig(t).Sources[0])
	inbox := c.Sources[3].Path
	socket := notifySocket(t)
	heard := listenNotify(t, socket)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	reload := make(chan struct{}, 1)
	go func() {
		ended <- Run(ctx, c, Options{Log: quiet, Reload: reload, Notify: &Notify{Socket: socket, Watchdog: 3 * time.Second}})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for text := ""; text != "READY=1"; text = hear(t, heard) {
		if strings.Contains(text, "WATCHDOG") {
			t.Error("fed before it was ready")
		}
	}
	for i := range inFlight + 5 {
		drop(t, inbox, "golf_ball", fmt.Sprint(i, ".png"))
	}
	status := func(parts ...string) {
		t.Helper()
		for {
			text, all := hear(t, heard), true
			for _, part := range parts {
				all = all && strings.Contains(text, part)
			}
			if all {
				return
			}
		}
	}
	status("STATUS=", "not connected to the broker", "yard: gone: ", "door: recording has ended", " on xnnpack", "inbox: golf ball")
	reload <- struct{}{}
	status("RELOADING=1\nMONOTONIC_USEC=")
	status("READY=1")
	for range 12 { // for two periods, and four times what a step may take
		status("WATCHDOG=1")
	}
}
