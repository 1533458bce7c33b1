package auction

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sightd/inference"
)

const (
	trialMode  = "AUCTION_TEST_MODE"
	trialNotes = "AUCTION_TEST_NOTES" // folder
	limit      = time.Minute          // for what takes no time
)

// testSpec is what the processes of the tests are told.
type testSpec struct {
	Runs    int    `json:"runs"`
	Padding string `json:"padding"`
}

// TestMain is the program of each trial, too.
func TestMain(m *testing.M) {
	if mode := os.Getenv(trialMode); mode != "" {
		if err := trial(mode); err != nil {
			fmt.Fprintln(os.Stderr, "sightd:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func good(spec testSpec) Receipt {
	return Receipt{
		Passed: true, MS: 4, InitMS: 3, FirstMS: 5, Runs: spec.Runs, Proven: 3, Worst: 0.01,
		Total: 88, Taken: 80, Rest: []string{"CUSTOM\x1b"},
	}
}

// trial plays what may happen in one.
func trial(mode string) error {
	answer := os.NewFile(answerFD, "answer")
	switch mode {
	case "good":
		fmt.Println("the driver prints, too")
		return Inside(good)
	case "wrong":
		return Inside(func(testSpec) Receipt {
			return Receipt{Reason: "score of class 3: want 0.2,\n\x1b[31mhave 0.7 \xff" + strings.Repeat("!", 1000), Worst: 0.5}
		})
	case "not a number":
		return Inside(func(testSpec) Receipt { return Receipt{Reason: "puts out NaN", Worst: float32(math.NaN())} })
	case "endless milliseconds":
		return Inside(func(testSpec) Receipt { return Receipt{Passed: true, MS: math.Inf(1), Runs: 1} })
	case "segfault":
		fmt.Fprint(os.Stderr, "driver: bad \x1b[31mshader\n\n")
		return die(unix.SIGSEGV)
	case "panic":
		panic("no device")
	case "status":
		return errors.New("no device")
	case "quiet":
		return nil
	case "nonsense":
		return say(answer, "hello")
	case "neither":
		return say(answer, "{}")
	case "passed without milliseconds":
		return say(answer, `{"passed":true,"runs":3,"worst":0}`)
	case "passed with NaN":
		return say(answer, `{"passed":true,"runs":3,"ms":1,"worst":null}`)
	case "absent":
		return say(answer, `{"reason":"no device","absent":true,"worst":0}`)
	case "half":
		return errors.Join(say(answer, `{"passed":`), errors.New("no space"))
	case "flood of answers":
		return flood(answer, " ")
	case "flood of words":
		if err := flood(os.Stderr, "x"); err != nil {
			return err
		}
		for i := range 10_000 {
			fmt.Fprintln(os.Stderr, "line", i)
		}
		return Inside(good)
	case "hang":
		note("process", os.Getpid())
		time.Sleep(time.Hour)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		note("process", os.Getpid())
		time.Sleep(time.Hour)
	case "shut":
		answer.Close()
		time.Sleep(time.Hour)
	case "lingers":
		if err := Inside(good); err != nil {
			return err
		}
		time.Sleep(time.Hour)
	case "crashes behind":
		return errors.Join(Inside(good), die(unix.SIGSEGV))
	case "deaf":
		return say(answer, `{"passed":true,"runs":3,"ms":1,"worst":0}`)
	case "family", "orphan", "family that hangs":
		return family(mode, answer)
	case "parent":
		os.Setenv(trialMode, "hang")
		r := Child{Argv: []string{"/proc/self/exe"}}.Try(context.Background(), Candidate{inference.GPU, 1}, testSpec{})
		return errors.New(r.Reason)
	default:
		return fmt.Errorf("mode %q", mode)
	}
	return nil
}

func say(f *os.File, text string) error {
	_, err := f.WriteString(text)
	return err
}

// flood writes a megabyte on one line.
func flood(f *os.File, text string) error {
	return say(f, strings.Repeat(text, 1<<20)+"\n")
}

// die ends by a signal, which Go takes for a crash in C.
func die(s unix.Signal) error {
	if err := unix.Kill(os.Getpid(), s); err != nil {
		return err
	}
	time.Sleep(time.Hour)
	return nil
}

// family starts a process that holds all that this one has open.
func family(mode string, answer *os.File) error {
	cmd := exec.Command("sleep", "3600")
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdin, os.Stdout, os.Stderr, []*os.File{answer}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: mode == "orphan"}
	if err := cmd.Start(); err != nil {
		return err
	}
	note("descendant", cmd.Process.Pid)
	if mode == "family that hangs" {
		time.Sleep(time.Hour)
	}
	return errors.New("left a descendant")
}

// note leaves a process number.
func note(name string, pid int) {
	path := filepath.Join(os.Getenv(trialNotes), name)
	err := os.WriteFile(path+".new", fmt.Append(nil, pid), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		panic(err)
	}
}

// noted reads a process number that a trial has left.
func noted(t *testing.T, notes, name string) int {
	t.Helper()
	var pid int
	eventually(t, "the number of "+name, func() bool {
		text, err := os.ReadFile(filepath.Join(notes, name))
		if err == nil {
			pid, err = strconv.Atoi(string(text))
		}
		return err == nil
	})
	return pid
}

// play makes a Child whose processes play a mode, and gives the folder of their notes.
func play(t *testing.T, mode string) (Child, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	notes := t.TempDir()
	return Child{Argv: []string{self}, Env: append(os.Environ(), trialMode+"="+mode, trialNotes+"="+notes), Timeout: limit}, notes
}

// gone reports whether a process has ended, reaped or not.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return bytes.HasPrefix(rest, []byte("Z")) || bytes.HasPrefix(rest, []byte("X"))
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%s: not within %v\n%s", what, limit, buf[:runtime.Stack(buf, true)])
		}
	}
}

// noLeak checks at the test's end that no goroutine, descriptor or child is left of it. Call it first.
func noLeak(t *testing.T) {
	t.Helper()
	goroutines, descriptors := runtime.NumGoroutine(), countDescriptors(t)
	t.Cleanup(func() {
		eventually(t, fmt.Sprintf("want %d goroutines", goroutines), func() bool { return runtime.NumGoroutine() <= goroutines })
		eventually(t, fmt.Sprintf("want %d descriptors", descriptors), func() bool { return countDescriptors(t) <= descriptors })
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
			t.Errorf("a child is left: wait4 has process %d, error %v", pid, err)
		}
	})
}

func countDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
