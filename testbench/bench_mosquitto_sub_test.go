package testbench

import (
	"bufio"
	"bytes"
	"encoding/json"
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
// quarter of what a client within this process does, whose runtime looks about for a while each time that it is woken.
type mosquittoSub struct {
	cmd    *exec.Cmd
	file   string // of what it prints
	ended  chan error
	events int
}

// startMosquittoSub starts one, and returns when its subscription stands.
func startMosquittoSub(t testing.TB, url string, events int) *mosquittoSub {
	t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(url, "mqtt://"))
	if err != nil {
		t.Fatal(err)
	}
	s := &mosquittoSub{file: filepath.Join(t.TempDir(), "events"), ended: make(chan error, 1), events: events}
	out, err := os.Create(s.file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() // mosquitto_sub has it, too
	// bridge/state is retained, so it comes first, once.
	s.cmd = exec.Command("mosquitto_sub", "-h", host, "-p", port, "-q", "1", "-C", strconv.Itoa(events+1), "-F", "%U %p",
		"-t", base+"bridge/state", "-t", base+"+/event")
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() {
		s.cmd.Process.Kill() // has ended, if all went well
	})
	printed := func() string {
		data, err := os.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	eventually(t, func() bool { return strings.HasSuffix(printed(), " online\n") }, func() string {
		return fmt.Sprintf("want what is retained on bridge/state from mosquitto_sub, have %q", printed())
	})
	return s
}

// wait waits until all events have come, and gives when those of each file came first, by source and file, and when the last one did.
func (s *mosquittoSub) wait(t testing.TB) (at map[string]time.Time, last time.Time) {
	t.Helper()
	limit := time.NewTimer(patience * time.Duration(1+s.events/1000))
	defer limit.Stop()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-limit.C:
		t.Fatalf("want %d events, have fewer", s.events)
	}
	data, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	at = make(map[string]time.Time)
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Scan() // bridge/state
	for lines.Scan() {
		stamp, payload, _ := strings.Cut(lines.Text(), " ")
		var e event
		if err := json.Unmarshal([]byte(payload), &e); err != nil || e.Type != "classified" {
			t.Errorf("bad event: %s", lines.Text())
			continue
		}
		came, err := strconv.ParseFloat(stamp, 64)
		if err != nil {
			t.Fatal(err)
		}
		key := e.Source + "/" + e.File
		if last = time.UnixMicro(int64(came * 1e6)); at[key].IsZero() { // else it is a repeat
			at[key] = last
		}
	}
	return at, last
}
