package auction

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"sightd/inference"
)

var candidate = Candidate{inference.GPU, 4}

func TestTryPasses(t *testing.T) {
	for _, mode := range []string{"good", "lingers", "crashes behind", "flood of words"} {
		t.Run(mode, func(t *testing.T) {
			noLeak(t)
			child, _ := play(t, mode)
			got := child.Try(t.Context(), candidate, testSpec{Runs: 7})
			want := good(testSpec{Runs: 7})
			want.Candidate, want.Rest = candidate, []string{"CUSTOM?"}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestTryFails(t *testing.T) {
	shell := func(script string) []string { return []string{"/bin/sh", "-c", script} }
	for _, test := range []struct {
		name string // the mode, where there is no program
		argv []string
		want string // beginning of the reason
	}{
		{"wrong", nil, "score of class 3: want 0.2, ?[31mhave 0.7 ?!!!"},
		{"not a number", nil, "puts out NaN"},
		{"endless milliseconds", nil, "ended with status 1: sightd: answer: json: "},
		{"segfault", nil, "crashed: segmentation fault: driver: bad ?[31mshader"},
		{"panic", nil, "ended with status 2: panic: no device"},
		{"status", nil, "ended with status 1: sightd: no device"},
		{"quiet", nil, "ended with status 0, without an answer"},
		{"nonsense", nil, "answered nonsense: invalid character 'h'"},
		{"neither", nil, "answered nonsense: neither passed nor a reason"},
		{"passed without milliseconds", nil, `answered nonsense: passed with reason "", 0 ms, 3 runs`},
		{"passed with NaN", nil, "answered nonsense: passed with scores that are no numbers"},
		{"absent", nil, "answered nonsense: was tried, and says that it wasn't"},
		{"half", nil, "ended with status 1: sightd: no space"},
		{"flood of answers", nil, "answered nonsense: more than 65536 bytes"},
		{"family", nil, "ended with status 1: sightd: left a descendant"},
		{"aborted in C", shell("echo 'free(): invalid pointer' >&2; kill -ABRT $$"), "crashed: aborted: free(): invalid pointer"},
		{"crashed in C, silently", shell("kill -SEGV $$"), "crashed: segmentation fault"},
		{"killed", shell("kill -KILL $$"), "killed by another: perhaps the memory ran out"},
		{"deaf", shell("exec <&-; echo deaf; exit 4"), "ended with status 4: deaf"},
		{"no program", []string{"/no/such"}, "start a trial: fork/exec /no/such: no such file or directory"},
		{"no argument", []string{}, "start a trial: no program"},
	} {
		t.Run(test.name, func(t *testing.T) {
			noLeak(t)
			child, notes := play(t, test.name)
			if test.argv != nil {
				child.Argv = test.argv
			}
			got := child.Try(t.Context(), candidate, testSpec{Runs: 7})
			if got.Passed || got.Candidate != candidate || !strings.HasPrefix(got.Reason, test.want) || len(got.Reason) > 2*wordsBytes {
				t.Errorf("got  %+v\nwant reason %q", got, test.want)
			}
			if test.name == "not a number" && got.Worst == got.Worst {
				t.Errorf("worst difference %v, want NaN", got.Worst)
			}
			if test.name == "family" {
				pid := noted(t, notes, "descendant")
				eventually(t, "the descendant's end", func() bool { return gone(pid) })
			}
		})
	}
}

// TestTryHangs has processes that don't answer in time: they are killed however they resist.
func TestTryHangs(t *testing.T) {
	for _, mode := range []string{"hang", "stubborn", "shut"} {
		t.Run(mode, func(t *testing.T) {
			noLeak(t)
			child, _ := play(t, mode)
			child.Timeout = 300 * time.Millisecond
			got := child.Try(t.Context(), candidate, testSpec{})
			if want := "hung: no answer within 300ms, killed"; got.Reason != want || got.Candidate != candidate {
				t.Errorf("got %+v, want reason %q", got, want)
			}
		})
	}
}

// TestTryIsEnded ends the context while the process is at work.
func TestTryIsEnded(t *testing.T) {
	for mode, name := range map[string]string{"hang": "process", "stubborn": "process", "family that hangs": "descendant"} {
		t.Run(mode, func(t *testing.T) {
			noLeak(t)
			child, notes := play(t, mode)
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan Receipt)
			go func() { done <- child.Try(ctx, candidate, testSpec{}) }()
			pid := noted(t, notes, name)
			if gone(pid) {
				t.Error("the process has ended by itself")
			}
			cancel(errors.New("enough"))
			if got := <-done; got.Reason != "stopped: enough" {
				t.Errorf("got %+v, want it stopped", got)
			}
			eventually(t, "the process's end", func() bool { return gone(pid) })
		})
	}
}

// TestTryOrphan has a descendant that has left the group and holds all pipes: it isn't killed, but it holds nothing up either.
func TestTryOrphan(t *testing.T) {
	noLeak(t)
	child, notes := play(t, "orphan")
	got := child.Try(t.Context(), candidate, testSpec{Padding: strings.Repeat("x", specBytes/2)})
	pid := noted(t, notes, "descendant")
	defer syscall.Kill(pid, syscall.SIGKILL)
	if want := "ended with status 1: sightd: left a descendant"; got.Reason != want {
		t.Errorf("got %+v, want reason %q", got, want)
	}
	if gone(pid) {
		t.Error("the descendant has ended: it wasn't one that holds the pipes")
	}
}

func TestTrySpec(t *testing.T) {
	noLeak(t)
	child, _ := play(t, "good")
	if got := child.Try(t.Context(), candidate, func() {}); !strings.HasPrefix(got.Reason, "start a trial: json: ") {
		t.Errorf("a function: got %+v, want an error", got)
	}
	long := testSpec{Padding: strings.Repeat("x", specBytes)}
	if got := child.Try(t.Context(), candidate, long); !strings.HasPrefix(got.Reason, "start a trial: want at most 65536 bytes") {
		t.Errorf("a long one: got %+v, want an error", got)
	}
	long = testSpec{Runs: 3, Padding: strings.Repeat("x", specBytes-100)}
	if got := child.Try(t.Context(), candidate, long); !got.Passed || got.Runs != 3 {
		t.Errorf("one that fits: got %+v, want it to pass", got)
	}
	child.Argv = []string{"/bin/sh", "-c", `echo '{"passed":true,"runs":3,"ms":1,"worst":0}' >&3`}
	if got := child.Try(t.Context(), candidate, long); !got.Passed {
		t.Errorf("one that nobody reads: got %+v, want it to pass", got)
	}
	child.Argv = append(child.Argv[:2:2], `head -c 1 >/dev/null; exec <&-; echo '{"reason":"bad"}' >&3`)
	if got := child.Try(t.Context(), candidate, long); got.Reason != "bad" {
		t.Errorf("one that is read in part: got %+v, want its reason", got)
	}
}

// TestTryLogs shows that what a process prints is logged, but not without end.
func TestTryLogs(t *testing.T) {
	noLeak(t)
	child, _ := play(t, "flood of words")
	var logged bytes.Buffer
	child.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	child.Try(t.Context(), candidate, testSpec{Runs: 1})
	text := logged.String()
	if n := strings.Count(text, "\n"); n > loggedLines+1 || len(text) > (loggedLines+1)*(lineBytes+200) {
		t.Errorf("%d lines, %d bytes are logged, want at most %d lines", n, len(text), loggedLines+1)
	}
	for _, want := range []string{`level=DEBUG msg="the trial prints" trial=gpu line="line 1"`, "more than is logged"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log doesn't have %q:\n%s", want, text)
		}
	}
}

// TestTryDiesWithItsParent kills the process that waits for a trial.
func TestTryDiesWithItsParent(t *testing.T) {
	child, notes := play(t, "parent")
	parent := exec.Command(child.Argv[0])
	parent.Env = child.Env
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := noted(t, notes, "process")
	if gone(pid) {
		t.Error("the trial has ended by itself")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := parent.Wait(); err == nil {
		t.Error("the parent has ended by itself")
	}
	eventually(t, "the trial's end", func() bool { return gone(pid) })
}

func TestTryManyTimes(t *testing.T) {
	noLeak(t)
	child := Child{Argv: []string{"/bin/sh", "-c", `echo '{"reason":"bad"}' >&3`}}
	for range 100 {
		if got := child.Try(t.Context(), candidate, nil); got.Reason != "bad" {
			t.Fatalf("got %+v, want its reason", got)
		}
	}
}

func TestClean(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"", ""},
		{"plain", "plain"},
		{"a\tb\nc", "a b c"},
		{"\x1b[31m\x00\x7f\u0085\u202e\xff", "?[31m?????"},
		{"größer", "größer"},
		{"1234567890", "1234567890"},
		{"12345678901", "1234567…"},
		{"123456ä78901", "123456…"},
	} {
		if got := clean(test.words, 10); got != test.want || len(got) > 10 {
			t.Errorf("%q: got %q, want %q", test.words, got, test.want)
		}
	}
}

// TestCrash shows what is taken from what Go prints when C has crashed.
func TestCrash(t *testing.T) {
	for _, test := range []struct {
		text   string
		signal string
		words  string
	}{
		{"hello\nfatal error: unexpected signal during runtime execution\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x0]\n\nx",
			"segmentation fault", "hello"},
		{"terminate called\nSIGABRT: abort\nPC=0x7f m=3\nsignal arrived during cgo execution\n\ngoroutine 1", "aborted", "terminate called"},
		{"hello\nfatal error: out of memory\nx", "signal 0", "fatal error: out of memory"},
		{"hello\npanic: runtime error: index out of range\n\ngoroutine 1", "signal 0", "panic: runtime error: index out of range"},
		{"SIGNALS: none", "signal 0", ""},
		{"\n \nlast\n\n", "signal 0", "last"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		s := &stderr{r: r, log: slog.New(slog.DiscardHandler)}
		if _, err := w.WriteString(test.text); err != nil {
			t.Fatal(err)
		}
		w.Close() // all is written
		s.drain()
		r.Close() // was only read
		if signal, words := s.words(); signal.String() != test.signal || words != test.words {
			t.Errorf("%q: got %v, %q, want %s, %q", test.text, signal, words, test.signal, test.words)
		}
	}
}
