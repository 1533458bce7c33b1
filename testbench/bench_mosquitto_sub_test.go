package testbench

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mosquittoSub is a mosquitto_sub that takes so many events and ends. Where many come it shares the cores with what is measured, and takes a
// quarter of what arrivals does within this process, whose runtime looks about for a while each time that it is woken.
type mosquittoSub struct {
	cmd  *exec.Cmd
	file string // of what it prints
}

// startMosquittoSub starts one, and returns when its subscription stands.
func startMosquittoSub(t testing.TB, url string, events int) *mosquittoSub {
	t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(url, "mqtt://"))
	if err != nil {
		t.Fatal(err)
	}
	s := &mosquittoSub{file: filepath.Join(t.TempDir(), "events")}
	out, err := os.Create(s.file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() // mosquitto_sub has it, too
	ctx, cancel := context.WithTimeout(context.Background(), patience*time.Duration(1+events/1000))
	t.Cleanup(cancel) // kills one that waits in vain
	// bridge/state is retained, so it comes first, once.
	s.cmd = exec.CommandContext(ctx, "mosquitto_sub", "-h", host, "-p", port, "-q", "1", "-C", strconv.Itoa(events+1), "-F", "%U %p",
		"-t", base+"bridge/state", "-t", base+"+/event")
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return strings.HasSuffix(s.printed(t), " online\n") }, func() string {
		return fmt.Sprintf("want what is retained on bridge/state from mosquitto_sub, have %q", s.printed(t))
	})
	return s
}

func (s *mosquittoSub) printed(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// wait waits until all events have come, and gives them.
func (s *mosquittoSub) wait(t testing.TB) *arrivals {
	t.Helper()
	if err := s.cmd.Wait(); err != nil {
		t.Fatalf("want as many events from mosquitto_sub as it was to take, have %v", err)
	}
	a := &arrivals{at: map[string]time.Time{}}
	_, events, _ := strings.Cut(s.printed(t), "\n") // behind bridge/state
	for line := range strings.Lines(events) {
		stamp, payload, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		at, err := strconv.ParseFloat(stamp, 64)
		if err != nil {
			t.Fatal(err)
		}
		a.receive(arrival{[]byte(payload), time.UnixMicro(int64(at * 1e6))})
	}
	a.read()
	a.complain(t)
	return a
}
