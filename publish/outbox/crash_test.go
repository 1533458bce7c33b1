package outbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The test binary is the process that is killed, too: childMode says what it does, childDir where.
const (
	childMode = "OUTBOX_TEST_CHILD"
	childDir  = "OUTBOX_TEST_DIR"
	childFrom = "OUTBOX_TEST_FROM"
)

func TestMain(m *testing.M) {
	switch mode := os.Getenv(childMode); mode {
	case "":
		os.Exit(m.Run())
	case "traffic":
		fail(traffic())
	case "syncs":
		fail(syncs())
	default:
		fail(fmt.Errorf("run as child: want a mode, have %q", mode))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// seqOf is the number of an event.
func seqOf(payload []byte) (int, error) {
	var e struct{ Seq int }
	err := json.Unmarshal(payload, &e)
	return e.Seq, err
}

// traffic puts events and takes them, until it is killed. It writes a line before and after everything it does, with one
// write(2) each, so that the lines of what was done are in the pipe whenever the end comes.
func traffic() error {
	from, err := strconv.Atoi(os.Getenv(childFrom))
	if err != nil {
		return err
	}
	o, err := Open(Options{Dir: os.Getenv(childDir), MaxAge: 1 << 62})
	if err != nil {
		return err
	}
	say := func(what byte, n int) {
		if _, err := fmt.Printf("%c %d\n", what, n); err != nil {
			panic(err)
		}
	}
	r := rand.New(rand.NewPCG(uint64(from), 3))
	go func() {
		for n := from; n < from+1000; n++ {
			say('t', n)
			if err := o.Put(topic, event(n), when); err != nil {
				panic(err)
			}
			say('p', n)
		}
	}()
	var out []*Message
	for {
		m, err := o.Next(context.Background())
		if err != nil {
			return err
		}
		n, err := seqOf(m.Payload)
		if err != nil {
			return err
		}
		if !bytes.Equal(m.Payload, event(n)) {
			n = -1
		}
		say('h', n)
		out = append(out, m)
		for len(out) > 0 && r.IntN(20) < len(out) {
			i := r.IntN(len(out))
			n, err := seqOf(out[i].Payload)
			if err != nil {
				return err
			}
			say('b', n)
			out[i].Ack()
			say('a', n)
			out = append(out[:i], out[i+1:]...)
		}
	}
}

// child is a run of the test binary in another mode.
func child(t *testing.T, wrapper []string, mode, dir string, from int) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(wrapper, self)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), childMode+"="+mode, childDir+"="+dir, childFrom+"="+strconv.Itoa(from))
	return cmd
}

// killed is what the parent of processes that are killed knows.
type killed struct {
	tried, accepted map[int]bool // before and after Put
	begun           map[int]bool // before Ack
	acked           map[int]int  // after Ack: the process that said so last, from 1 on
	from            int          // what was never tried
	handed          int
}

// run runs a process until it has said so many lines, kills it, and returns how many messages it was handed at most that one of those
// before it had acknowledged. (One that is killed soon leaves some of them to the next, which so may see those of several.)
func (k *killed) run(t *testing.T, dir string, process, limit int) (again int) {
	t.Helper()
	of := map[int]int{} // by the process that acknowledged them
	cmd := child(t, nil, "traffic", dir, k.from)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	last := -1
	for n := 0; ; n++ {
		if n == limit {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // the last line may be half of one
		}
		if err != nil {
			t.Fatal(err)
		}
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		i, err := strconv.Atoi(rest)
		if err != nil {
			t.Fatalf("read line %q: %v", line, err)
		}
		switch what {
		case "t":
			k.tried[i], k.from = true, max(k.from, i+1)
		case "p":
			k.accepted[i] = true
		case "b":
			k.begun[i] = true
		case "a":
			k.acked[i] = process
		case "h":
			if !k.tried[i] || i <= last {
				t.Fatalf("message %d after %d, put: %t", i, last, k.tried[i])
			}
			k.handed++
			if by := k.acked[i]; by > 0 && by < process {
				of[by]++
				again = max(again, of[by])
			}
			last = i
		}
	}
	_ = cmd.Wait() // it was killed
	if stderr.Len() > 0 {
		t.Fatal(stderr.String())
	}
	return again
}

// A process that is killed again and again, at random moments: nothing that Put had returned for is lost, the order is
// kept, and what was acknowledged comes again at most AckBatch times a kill.
func TestKill(t *testing.T) {
	noLeak(t)
	kills := 40
	if os.Getenv("TEST_LONG") != "" {
		kills = 1000
	}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	dir := filepath.Join(t.TempDir(), "outbox")
	k := killed{tried: map[int]bool{}, accepted: map[int]bool{}, begun: map[int]bool{}, acked: map[int]int{}}
	worst := 0
	for kill := range kills {
		// Lines until the kill: random in what the child does, not in time. It says more than 3500.
		again := k.run(t, dir, kill+1, r.IntN(3500))
		if worst = max(worst, again); again > AckBatch {
			t.Fatalf("kill %d: want at most %d messages again that were acknowledged, have %d", kill, AckBatch, again)
		}
	}
	o := open(t, Options{Dir: dir})
	for range o.Stats().Pending {
		m := next(t, o)
		n, err := seqOf(m.Payload)
		if err != nil || !bytes.Equal(m.Payload, event(n)) {
			t.Fatalf("have payload %.80q", m.Payload)
		}
		k.begun[n] = true
		m.Ack()
	}
	none(t, o)
	for n := range k.accepted {
		if !k.begun[n] {
			t.Errorf("message %d was accepted, and is lost", n)
		}
	}
	if s := o.Stats(); s.Damaged+s.Dropped+s.Expired > 0 {
		t.Errorf("want nothing lost, have %+v", s)
	}
	t.Logf("%d kills, %d messages accepted, %d handed out, at most %d acknowledged ones again after a kill", kills, len(k.accepted), k.handed, worst)
}

// tool fails or skips the test if a program is missing.
func tool(t testing.TB, name, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed (package %s)", name, pkg)
	}
	t.Skipf("%s is not installed (package %s)", name, pkg)
}

// syncs puts events and syncs every fifth.
func syncs() error {
	// strace counts the calls of each thread: all are to come from one.
	fault := func(op, _ string) error {
		if op == "sync" {
			runtime.LockOSThread()
		}
		return nil
	}
	o, err := Open(Options{Dir: os.Getenv(childDir), MaxAge: 1 << 62, fault: fault})
	if err != nil {
		return err
	}
	for n := range 60 {
		if err := o.Put(topic, event(n), when); err != nil {
			return err
		}
		if n%5 != 4 {
			continue
		}
		if err := o.Sync(); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("degraded:", o.Stats().Degraded)
	return o.Close()
}

// The kernel's own errors of fdatasync: the first, the third, and from the first on.
func TestSyncErrorInjected(t *testing.T) {
	noLeak(t)
	tool(t, "strace", "strace")
	if err := exec.Command("strace", "-e", "trace=none", "true").Run(); err != nil {
		t.Skipf("strace is not permitted here: %v", err)
	}
	for _, c := range []struct {
		when     string
		degraded bool
	}{{"1", false}, {"3", false}, {"1+", true}} {
		dir, log := t.TempDir(), filepath.Join(t.TempDir(), "strace")
		cmd := child(t, []string{"strace", "-f", "-o", log, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=" + c.when}, "syncs", dir, 0)
		out, err := cmd.CombinedOutput()
		if (err != nil) != c.degraded || strings.Contains(string(out), "input/output error") != c.degraded {
			t.Errorf("fdatasync %s fails: want messages in memory alone: %t, have %v:\n%s", c.when, c.degraded, err, out)
		}
		calls, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(calls), "INJECTED") {
			t.Errorf("fdatasync %s fails: no call did:\n%s", c.when, calls)
		}
		o := open(t, Options{Dir: dir})
		expect(t, o, 0, 60) // even those of the files that failed, since there was no power cut
		none(t, o)
	}
}
