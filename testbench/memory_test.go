package testbench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What sightd may need at most beside a trivial program with the same libraries.
const (
	mostMemory = 2  // times the other's peak
	mostMB     = 80 // of its own
)

// trivialProgram builds testbench/trivial, and gives its command without pictures: the embedded model with as many threads as sightd takes.
func trivialProgram(t testing.TB) (command []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trivial")
	build := exec.Command("go", "build", "-trimpath", "-o", file, "./testbench/trivial")
	build.Dir = repository(t)
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the trivial program: %v\n%s", err, output)
	}
	model := filepath.Join(repository(t), "models", "googlenet_imagenette.tflite")
	return []string{file, "-model", model, "-threads", strconv.Itoa(min(runtime.NumCPU(), 4))}
}

// trivialPeak has the trivial program classify pictures, and gives the peak of its resident memory in MB and the classes.
func trivialPeak(t *testing.T, command, pictures []string) (mb float64, classes []int) {
	t.Helper()
	args := append(slices.Clone(command[1:]), "-rounds", "0")
	p := start(t, t.TempDir(), command[0], append(args, pictures...)...)
	var lines []string
	p.until(t, func() bool {
		lines = slices.DeleteFunc(slices.Clone(p.lines), func(l string) bool { return strings.HasPrefix(l, "INFO:") })
		return len(lines) >= len(pictures) || p.over
	}, func() string {
		return fmt.Sprintf("want %d lines of the trivial program, have %d", len(pictures), len(lines))
	})
	mb = memoryMB(t, p.cmd.Process.Pid, "VmHWM:")
	p.signal(t, syscall.SIGKILL)
	if len(lines) < len(pictures) {
		t.Fatalf("want %d lines of the trivial program, have\n%s", len(pictures), p)
	}
	for _, line := range lines[:len(pictures)] {
		class, err := strconv.Atoi(line[strings.LastIndex(line, " ")+1:])
		if err != nil {
			t.Fatalf("the trivial program's line %s: %v", line, err)
		}
		classes = append(classes, class)
	}
	return mb, classes
}

// memory is what a running sightd needs, in MB.
type memory struct {
	idle  float64 // resident once the folder is watched
	bound float64 // of that, what the system can't drop and read again from a file
	busy  float64 // the peak until all pictures are in done/
}

// daemonMemory runs the daemon with its embedded broker on pictures. b must have been run before: the first start writes the weight
// cache, and still has it in memory.
func daemonMemory(t *testing.T, b *board, pictures []string) (m memory) {
	t.Helper()
	p, _ := b.run(t)
	pid := p.cmd.Process.Pid
	m.idle = memoryMB(t, pid, "VmRSS:")
	m.bound = memoryMB(t, pid, "RssAnon:") + memoryMB(t, pid, "RssShmem:")
	names := b.dropFiles(t, pictures)
	b.filed(t, names...)
	m.busy = memoryMB(t, pid, "VmHWM:")
	p.signal(t, syscall.SIGTERM)
	if err := os.RemoveAll(filepath.Join(b.inbox, "done")); err != nil {
		t.Fatal(err)
	}
	return m
}

// startOnce starts and stops the daemon.
func (b *board) startOnce(t testing.TB) {
	t.Helper()
	p, _ := b.run(t)
	p.signal(t, syscall.SIGTERM)
}

// TestMemory compares the daemon, while it classifies, with a trivial program on the same pictures.
func TestMemory(t *testing.T) {
	t.Parallel()
	command, pictures := trivialProgram(t), pictureFiles(t, 40)
	b := newBoard(t, embedded)
	b.startOnce(t)
	verdicts := classify(t, pictures)
	var trivialMB, busyMB []float64
	for range 3 {
		mb, classes := trivialPeak(t, command, pictures)
		same := 0
		for i, picture := range pictures {
			same += btoi(classes[i] == verdicts[filepath.Base(picture)].Index)
		}
		if 100*same < 95*len(pictures) {
			t.Errorf("the trivial program does something else: want the classes that sightd classify says, have %d of %d", same, len(pictures))
		}
		trivialMB = append(trivialMB, mb)
		busyMB = append(busyMB, daemonMemory(t, b, pictures).busy)
	}
	theirs, ours := median(trivialMB), median(busyMB)
	t.Logf("peak: sightd %.1f MB, the trivial program %.1f MB", ours, theirs)
	if ours > mostMemory*theirs || ours > mostMB {
		t.Errorf("peak of the resident memory: want at most %d MB and %d times the %.1f MB of a trivial program, have %.1f MB", mostMB, mostMemory, theirs, ours)
	}
}

// idle lets a daemon that has nothing to do run for as many ticks, and gives what it has written to disks and into its log meanwhile.
func (b *board) idle(t testing.TB, p *process, ticks int, each time.Duration) (bytes int64, lines []string) {
	t.Helper()
	state, written, before := b.state(t), writtenBytes(t, p), len(strings.Split(p.String(), "\n"))
	tick := time.NewTicker(each)
	defer tick.Stop()
	for range ticks {
		<-tick.C
	}
	if now := b.state(t); !slices.Equal(now, state) {
		t.Errorf("state_dir of an idle daemon: want %q as before, have %q", state, now)
	}
	return writtenBytes(t, p) - written, strings.Split(p.String(), "\n")[before:]
}

// TestIdle has a daemon do nothing: it writes nothing to disks, and no line that the journal would.
func TestIdle(t *testing.T) {
	t.Parallel()
	b := newBoard(t, embedded)
	p, url := b.run(t)
	record(t, url).health(t) // all that a start tells is told
	if n, lines := b.idle(t, p, 10, time.Second); n != 0 || len(lines) > 0 {
		t.Errorf("want nothing written, have %d bytes and %d lines of the log: %q", n, len(lines), lines)
	}
}
