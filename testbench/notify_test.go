package testbench

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// systemd is what sightd tells on a notify socket.
type systemd struct {
	socket string
	heard  chan string
}

// newSystemd listens on a socket: a path, or a name of the abstract namespace.
func newSystemd(t testing.TB, abstract bool) *systemd {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // a test's own folder has too long a name for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) // in the folder of temporary files
	s := &systemd{socket: filepath.Join(dir, "socket"), heard: make(chan string, 10_000)}
	if abstract {
		s.socket = "@" + s.socket
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for buf := make([]byte, 4096); ; {
			n, err := conn.Read(buf)
			if err != nil {
				return // closed
			}
			s.heard <- string(buf[:n])
		}
	})
	t.Cleanup(func() {
		conn.Close() // only read from
		reading.Wait()
	})
	return s
}

// next waits for a datagram.
func (s *systemd) next(t testing.TB, p *process) string {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case text := <-s.heard:
		return text
	case <-timeout.C:
		t.Fatalf("systemd hears nothing more, sightd runs: %v", p.running())
		return ""
	}
}

// until waits for a datagram with all of parts, and gives it and those before it.
func (s *systemd) until(t testing.TB, p *process, parts ...string) (before []string, found string) {
	t.Helper()
	for {
		text, all := s.next(t, p), true
		for _, part := range parts {
			all = all && strings.Contains(text, part)
		}
		if all {
			return before, text
		}
		before = append(before, text)
	}
}

// count counts those of the texts that are one.
func count(texts []string, one string) (n int) {
	for _, text := range texts {
		if text == one {
			n++
		}
	}
	return n
}

// TestNotify runs sightd as systemd does: it is told when sightd is ready, how it fares, that it reloads and that it stops; and no child
// inherits the socket's name.
func TestNotify(t *testing.T) {
	for _, abstract := range []bool{false, true} {
		t.Run(map[bool]string{false: "path", true: "abstract"}[abstract], func(t *testing.T) {
			t.Parallel()
			s := newSystemd(t, abstract)
			b := newBoard(t, embedded)
			env := filepath.Join(b.dir, "env.txt")
			b.configure(t, "sources:\n", "sources:\n  - {name: cam, type: rpicam}\n")
			tools := t.TempDir()
			script := fmt.Sprintf("#!/bin/sh\nenv > %s.new && mv %s.new %s\nexec sleep 1000\n", env, env, env)
			if err := os.WriteFile(filepath.Join(tools, "rpicam-vid"), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			p := &process{cmd: exec.Command(sightd(t), "run", "-c", "sightd.yaml")}
			p.cmd.Dir = b.dir
			p.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.socket, "WATCHDOG_USEC=3000000", "PATH="+tools+":"+os.Getenv("PATH"))
			p.begin(t)

			before, _ := s.until(t, p, "READY=1")
			if log := p.String(); !strings.Contains(log, `"msg":"model is ready"`) || !strings.Contains(log, `"golden_inputs":4`) {
				t.Errorf("ready before the model is proven: %s", log)
			}
			if len(before) == 0 || !strings.HasPrefix(before[0], "EXTEND_TIMEOUT_USEC=") || count(before, "WATCHDOG=1") > 0 {
				t.Errorf("before it is ready: want it to ask for time, and no watchdog fed, have %q", before)
			}
			b.drop(t, 0, "a.jpg", drawnJPEG(t, "golf_ball", 200))
			s.until(t, p, "STATUS=", "pictures/s", "inbox: golf ball 0.", " on xnnpack")
			for range 9 { // one and a half periods
				s.until(t, p, "WATCHDOG=1")
			}
			eventually(t, func() bool { _, err := os.Stat(env); return err == nil }, func() string { return "the camera's program isn't started" })
			text, err := os.ReadFile(env)
			if err != nil || strings.Contains(string(text), "NOTIFY_SOCKET") || strings.Contains(string(text), "WATCHDOG") || !strings.Contains(string(text), "PATH=") {
				t.Errorf("the camera's program has inherited %s, %v", text, err)
			}

			if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			s.until(t, p, "RELOADING=1\nMONOTONIC_USEC=")
			s.until(t, p, "READY=1")
			s.until(t, p, "WATCHDOG=1")
			if state := p.signal(t, syscall.SIGTERM); state.ExitCode() != 0 {
				t.Errorf("want a clean stop, have %v", state)
			}
			s.until(t, p, "STOPPING=1")
			if len(s.heard) > 0 {
				t.Errorf("want nothing after STOPPING, have %q", <-s.heard)
			}
		})
	}
}

// TestNotifyRefused has sightd fail before it is ready, and amid a reload, after which the model before goes on.
func TestNotifyRefused(t *testing.T) {
	t.Parallel()
	s := newSystemd(t, false)
	b := newBoard(t, embedded)
	first, _ := b.namedModel(t, "first", "")
	b.configure(t, fixedModel, fmt.Sprintf("model: {delegate: xnnpack, threads: 2, path: %s}\n", first))
	p := &process{cmd: exec.Command(sightd(t), "run", "-c", "sightd.yaml")}
	p.cmd.Dir, p.cmd.Env = b.dir, append(os.Environ(), "NOTIFY_SOCKET="+s.socket)
	p.begin(t)
	s.until(t, p, "READY=1")
	if err := os.WriteFile(filepath.Join(b.dir, first), []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.until(t, p, "RELOADING=1")
	before, _ := s.until(t, p, "READY=1")
	if n := count(before, "WATCHDOG=1"); n > 0 {
		t.Errorf("want no watchdog fed where systemd has none, have %d", n)
	}
	p.stop(t)
	s.until(t, p, "STOPPING=1")

	again := &process{cmd: exec.Command(sightd(t), "run", "-c", "sightd.yaml")}
	again.cmd.Dir, again.cmd.Env = b.dir, p.cmd.Env
	again.begin(t)
	again.until(t, func() bool { return again.over }, func() string { return "it runs without a model" })
	heard, _ := s.until(t, again, "STOPPING=1")
	if again.cmd.ProcessState.ExitCode() == 0 || count(heard, "READY=1") > 0 {
		t.Errorf("without a model: want it to fail before it is ready, have %v, %q", again.cmd.ProcessState, heard)
	}
}
