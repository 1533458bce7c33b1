package testbench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// watched is a state of one goroutine that another one waits for.
type watched struct {
	mu   sync.Mutex
	more chan struct{} // closed at a change, and replaced
}

// change changes the state.
func (w *watched) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	if w.more != nil {
		close(w.more)
		w.more = nil
	}
}

// until waits until cond is true of the state. It fails the test with what describe says when that takes too long.
func (w *watched) until(t testing.TB, cond func() bool, describe func() string) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		w.mu.Lock()
		ok := cond()
		if w.more == nil {
			w.more = make(chan struct{})
		}
		more := w.more
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-more:
		case <-timeout.C:
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Fatalf("after %v: %s", patience, describe())
		}
	}
}

// eventually waits for what tells nobody of itself, such as a folder's entries.
func eventually(t testing.TB, cond func() bool, describe func() string) {
	t.Helper()
	if !happens(cond) {
		t.Fatalf("after %v: %s", patience, describe())
	}
}

// happens waits for what tells nobody of itself, and says whether it came.
func happens(cond func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// process is a running program. Its log, of both streams, is kept line by line.
type process struct {
	cmd *exec.Cmd

	watched
	lines []string
	part  []byte // of the last line
	over  bool
}

// start starts a program, which is killed at the test's end if it still runs.
func start(t testing.TB, dir, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...)}
	p.cmd.Dir = dir
	p.begin(t)
	return p
}

// begin is start of p.cmd.
func (p *process) begin(t testing.TB) {
	t.Helper()
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = p.cmd.Wait() // tests look at ProcessState
		p.change(func() { p.over = true })
		close(ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // fails where it has ended already
		<-ended
		if t.Failed() {
			t.Logf("%s %s said:\n%s", filepath.Base(p.cmd.Path), strings.Join(p.cmd.Args[1:], " "), p)
		}
	})
}

// Write takes what the program writes. os/exec has one goroutine for both streams, as they are one Writer.
func (p *process) Write(text []byte) (int, error) {
	p.change(func() {
		p.part = append(p.part, text...)
		for {
			line, rest, ok := bytes.Cut(p.part, []byte("\n"))
			if !ok {
				return
			}
			p.lines = append(p.lines, string(line))
			p.part = bytes.Clone(rest)
		}
	})
	return len(text), nil
}

// String is the log so far.
func (p *process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// line waits for the first line with all of parts.
func (p *process) line(t testing.TB, parts ...string) string {
	t.Helper()
	var found string
	find := func() bool {
		for _, line := range p.lines {
			all := true
			for _, part := range parts {
				all = all && strings.Contains(line, part)
			}
			if all {
				found = line
				return true
			}
		}
		return false
	}
	p.until(t, func() bool { return find() || p.over }, func() string { return fmt.Sprintf("want a line of the log with %q", parts) })
	if found == "" {
		t.Fatalf("want a line of the log with %q, but the program has ended: %v", parts, p.cmd.ProcessState)
	}
	return found
}

// field waits for the first message of sightd's JSON log and gives a field of it.
func (p *process) field(t testing.TB, message, key string) string {
	t.Helper()
	var fields map[string]any
	line := p.line(t, fmt.Sprintf("%q:%q", "msg", message))
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		t.Fatalf("log line %s: %v", line, err)
	}
	text, ok := fields[key].(string)
	if !ok {
		t.Fatalf("log line %s: want a text %q", line, key)
	}
	return text
}

// signal sends a signal and waits for the program's end.
func (p *process) signal(t testing.TB, s syscall.Signal) *os.ProcessState {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	p.until(t, func() bool { return p.over }, func() string { return fmt.Sprintf("the program still runs after %v", s) })
	return p.cmd.ProcessState
}

// running says whether the program hasn't ended.
func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.over
}

// files counts the open files of the program.
func (p *process) files(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
