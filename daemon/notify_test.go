package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// listenNotify is systemd's side of a notify socket: what arrives there, in order.
func listenNotify(t testing.TB, socket string) <-chan string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1000)
	var reading sync.WaitGroup
	reading.Go(func() {
		for buf := make([]byte, 4096); ; {
			n, err := conn.Read(buf)
			if err != nil {
				return // closed
			}
			heard <- string(buf[:n])
		}
	})
	t.Cleanup(func() {
		conn.Close() // only read from
		reading.Wait()
	})
	return heard
}

// notifySocket is a path that is short enough for a socket.
func notifySocket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) // in the folder of temporary files
	return filepath.Join(dir, "socket")
}

// hear waits for the next datagram.
func hear(t testing.TB, heard <-chan string) string {
	t.Helper()
	select {
	case text := <-heard:
		return text
	case <-time.After(patience):
		t.Fatal("systemd hears nothing")
		return ""
	}
}

func TestNotifySocket(t *testing.T) {
	for _, socket := range []string{notifySocket(t), fmt.Sprintf("@sightd-test-%d", os.Getpid())} {
		heard := listenNotify(t, socket)
		s := newService(&Notify{Socket: socket, Watchdog: 30 * time.Second}, quiet, time.Now)
		s.starting("opening\na model", 90*time.Second)
		s.reloading() // too early
		s.started()
		s.starting("trying", time.Hour) // too late
		s.feed("", noon)
		before := monotonic(t)
		s.reloading()
		after := monotonic(t)
		s.started()
		s.stopping()
		s.stopping()
		s.started() // too late
		s.reloading()
		s.feed("", noon.Add(time.Hour))
		s.tell("", noon.Add(time.Hour), func(time.Time) string { return "late" })
		for _, want := range []string{
			"EXTEND_TIMEOUT_USEC=90000000\nSTATUS=opening a model", "READY=1", "WATCHDOG=1", "RELOADING=1\nMONOTONIC_USEC=", "READY=1", "STOPPING=1\nSTATUS=stopping",
		} {
			got := hear(t, heard)
			if usec, ok := strings.CutPrefix(got, want); ok && strings.HasSuffix(want, "=") {
				if n, err := strconv.ParseInt(usec, 10, 64); err != nil || n < before || n > after {
					t.Errorf("%s: got %q, want a time from %d to %d", socket, got, before, after)
				}
			} else if got != want {
				t.Errorf("%s: got %q, want %q", socket, got, want)
			}
		}
		if len(heard) > 0 {
			t.Errorf("%s: got %q, want nothing after the stop", socket, <-heard)
		}
	}
}

// monotonic is the clock that systemd compares with, in microseconds.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

// TestNotifyNobody has nobody listen: that is told once, and harms nothing.
func TestNotifyNobody(t *testing.T) {
	var log strings.Builder
	s := newService(&Notify{Socket: notifySocket(t), Watchdog: time.Second}, slog.New(slog.NewTextHandler(&log, nil)), time.Now)
	s.started()
	s.feed("", noon)
	s.stopping()
	if n := strings.Count(log.String(), "systemd can't be told"); n != 1 || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("want one line, have %s", &log)
	}
}

// TestNotifyFull has systemd not read: a word waits for a moment, and no longer.
func TestNotifyFull(t *testing.T) {
	socket := notifySocket(t)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // never read from
	n := Notify{Socket: socket}
	for range 100_000 {
		if err = n.send("WATCHDOG=1"); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got error %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

func TestTakeNotify(t *testing.T) {
	self, other := strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid())
	for _, test := range []struct {
		socket, usec, pid string
		want              *Notify
		wrong             bool
	}{
		{},
		{usec: "30000000", pid: self},
		{socket: "/run/systemd/notify", want: &Notify{Socket: "/run/systemd/notify"}},
		{socket: "@x", usec: "30000000", want: &Notify{Socket: "@x", Watchdog: 30 * time.Second}},
		{socket: "@x", usec: "1500", pid: self, want: &Notify{Socket: "@x", Watchdog: 1500 * time.Microsecond}},
		{socket: "@x", usec: "30000000", pid: other, want: &Notify{Socket: "@x"}},
		{socket: "@x", usec: "no number", pid: other, want: &Notify{Socket: "@x"}},
		{socket: "@x", usec: "30s", pid: self, wrong: true},
		{socket: "@x", usec: "0", wrong: true},
		{socket: "@x", usec: "-5", wrong: true},
		{socket: "@x", usec: "9223372036854775807", wrong: true},
	} {
		names := []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
		for i, value := range []string{test.socket, test.usec, test.pid} {
			t.Setenv(names[i], value)
		}
		got, err := TakeNotify()
		if (err != nil) != test.wrong || (got == nil) != (test.want == nil) || got != nil && *got != *test.want {
			t.Errorf("%+v: got %+v, %v", test, got, err)
		}
		for _, name := range names {
			if value, there := os.LookupEnv(name); there {
				t.Errorf("%+v: a child would inherit %s=%s", test, name, value)
			}
		}
	}
}

// TestFeed feeds the watchdog now and then, and not while something is stuck.
func TestFeed(t *testing.T) {
	var log strings.Builder
	fed := 0
	s := &service{log: slog.New(slog.NewTextHandler(&log, nil)), watchdog: 30 * time.Second, out: func(text string) error {
		if fed++; text != "WATCHDOG=1" {
			t.Errorf("got %q, want the watchdog fed", text)
		}
		return nil
	}}
	now := noon
	feed := func(stuck string, looks, want int) {
		t.Helper()
		before := fed
		for range looks {
			s.feed(stuck, now)
			now = now.Add(lookAfterEach)
		}
		if fed-before != want {
			t.Errorf("fed %d times in %d looks, want %d", fed-before, looks, want)
		}
	}
	feed("", 1, 1)
	feed("", 9, 0)
	feed("", 120, 12)
	feed("the judge", 120, 0)
	feed("the judge", 1, 0)
	feed("", 1, 1) // at once
	feed("", 10, 1)
	if text := log.String(); strings.Count(text, "something is stuck") != 1 || strings.Count(text, "goes on\" was=\"the judge") != 1 || strings.Count(text, "\n") != 2 {
		t.Errorf("want two lines, have %s", text)
	}
	s = &service{log: quiet, out: func(string) error {
		t.Error("fed though there is no watchdog")
		return nil
	}}
	s.feed("", noon)
}

// TestTell tells a status when it has changed, and not often.
func TestTell(t *testing.T) {
	var told []string
	s := &service{log: quiet, out: func(text string) error {
		told = append(told, text)
		return nil
	}}
	now, asked := noon, 0
	for i, text := range []string{"a", "a", "b", "b\nREADY=1", "c"} {
		for range int(statusEach / lookAfterEach) {
			stuck := ""
			if i == 4 {
				stuck = "the judge"
			}
			s.tell(stuck, now, func(time.Time) string {
				asked++
				return text
			})
			now = now.Add(lookAfterEach)
		}
	}
	if got, want := strings.Join(told, "|"), "STATUS=a|STATUS=b|STATUS=b READY=1|STATUS=stuck: the judge; c"; got != want || asked != 5 {
		t.Errorf("got %q, asked %d times, want %q, 5 times", got, asked, want)
	}
}

func TestStatusLine(t *testing.T) {
	long := strings.Repeat("ä", 200)
	many := make([]sight, 9)
	for i := range many {
		many[i] = sight{name: fmt.Sprint("s", i), label: "a", score: 1}
	}
	many[8].problem = "black"
	for _, test := range []struct {
		connected bool
		sights    []sight
		want      string
	}{
		{true, nil, "12.3 pictures/s; net on xnnpack"},
		{true, []sight{{name: "door", label: "tabby cat", score: 0.911}}, "12.3 pictures/s; door: tabby cat 0.91; net on xnnpack"},
		{false, []sight{{name: "inbox"}}, "12.3 pictures/s; not connected to the broker; inbox: nothing seen; net on xnnpack"},
		{true, []sight{{name: "door", label: "a", score: 1}, {name: "yard", problem: "gone: connection\nrefused"}},
			"12.3 pictures/s; yard: gone: connection refused; door: a 1.00; net on xnnpack"},
		{true, []sight{{name: "a", idle: "switched off", label: "b"}, {name: "c", idle: "recording has ended"}},
			"12.3 pictures/s; a: switched off; c: recording has ended; net on xnnpack"},
		{true, []sight{{name: "a", label: "x\nWATCHDOG=1", score: 0.5}}, `12.3 pictures/s; a: "x\nWATCHDOG=1" 0.50; net on xnnpack`},
		{true, []sight{{name: "a", label: "x 0.1; door: cat", score: 0.5}}, `12.3 pictures/s; a: "x 0.1; door: cat" 0.50; net on xnnpack`},
		{true, []sight{{name: "a", label: "\xff\u202e", score: 0.5}}, `12.3 pictures/s; a: "\xff\u202e" 0.50; net on xnnpack`},
		{true, []sight{{name: "a", label: long, score: 0.5}}, "12.3 pictures/s; a: " + long[:2*18] + "… 0.50; net on xnnpack"},
		{true, many, "12.3 pictures/s; s8: black; s0: a 1.00; s1: a 1.00; s2: a 1.00; s3: a 1.00; s4: a 1.00; and 3 more sources; net on xnnpack"},
	} {
		if got := statusLine("12.3 pictures/s", test.connected, test.sights, "net on xnnpack"); got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
	for i := range many {
		many[i].problem = long
	}
	if got := statusLine("1", true, many, long); len(got) > maxStatus || !utf8.ValidString(got) {
		t.Errorf("got %d bytes, want at most %d, of UTF-8: %q", len(got), maxStatus, got)
	}
}
