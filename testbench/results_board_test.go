package testbench

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBoardResults measures what is claimed of sightd on a small board, as far as that doesn't depend on the board, and writes
// RESULTS_BOARD.md.
func TestBoardResults(t *testing.T) {
	results{
		file: "RESULTS_BOARD.md", title: "Results for small boards", target: "board-results",
		how: "Beside sightd runs testbench/trivial, by turns: what a first program with go-tflite and gocv does with the same libraries and model. Comparisons are of medians.",
		groups: []group{
			{"start", measureFirstLabel},
			{"memory", measureMemory},
			{"replay", measureReplayMemory},
			{"disk", measureIdleDisk},
			{"size", measureSizes},
		},
		notes: boardNotes,
	}.measure(t)
}

const boardNotes = `
- These are figures of the machine that is named above, not of a board: only the ratios, the memory and the sizes say something of one. No
  speed of arm64 is claimed.
- First label: from the start of the process to the first byte on its standard output, files in the page cache. Both run XNNPACK with as many
  threads. sightd runs the golden inputs before it says anything; the trivial program proves nothing.
- Memory: the peak (VmHWM) of the whole process, pages of files that the system can drop included. "Bound" is without those: RssAnon and
  RssShmem. sightd runs with its embedded broker, and was started before, so that the weight cache is there.
- Disk: write_bytes of /proc/PID/io, the files in state_dir with their times, and the lines of the log. Every minute bridge/health is told.
- What is written and when: docs/boards.md.
`

// firstOutput runs a program until its end, and gives the time until its first output.
func firstOutput(t *testing.T, dir string, command ...string) time.Duration {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	output := bufio.NewReader(out)
	_, err = output.ReadByte()
	took := time.Since(begin)
	if err == nil {
		_, err = io.Copy(io.Discard, output)
	}
	if ended := cmd.Wait(); err != nil || ended != nil {
		t.Fatalf("%s: %v, %v", strings.Join(command, " "), err, ended)
	}
	return took
}

// measureFirstLabel compares the time from exec to the first label, and tells that of the daemon.
func measureFirstLabel(t *testing.T) []figure {
	const n = 40
	photos, _ := validationPhotos(t, 1)
	trivial := append(trivialProgram(t), photos...)
	plain := append([]string{trivial[0], "-plain"}, trivial[1:]...)
	ours := []string{sightd(t), "classify", photos[0]}
	dir := t.TempDir()
	var ourMS, trivialMS, plainMS, ratios []float64
	for i := range n {
		var a, b time.Duration
		if i%2 == 0 {
			a, b = firstOutput(t, dir, ours...), firstOutput(t, dir, trivial...)
		} else {
			b, a = firstOutput(t, dir, trivial...), firstOutput(t, dir, ours...)
		}
		ourMS, trivialMS = append(ourMS, milliseconds(a)), append(trivialMS, milliseconds(b))
		ratios = append(ratios, a.Seconds()/b.Seconds())
		plainMS = append(plainMS, milliseconds(firstOutput(t, dir, plain...)))
	}
	ratio := median(ourMS) / median(trivialMS)
	figures := []figure{
		{what: "exec to first label: sightd classify over the trivial program", value: fmt.Sprintf("%.2f (%.0f over %.0f ms)", ratio, median(ourMS), median(trivialMS)),
			target: "2.00 or less", met: ratio <= 2, n: n, spread: fmt.Sprintf("%.2f to %.2f (5 to 95 %%)", quantile(ratios, 0.05), quantile(ratios, 0.95))},
		{what: "exec to first label: the trivial program without XNNPACK", value: fmt.Sprintf("%.0f ms", median(plainMS)), n: n, spread: between(plainMS, "ms")},
	}
	return append(figures, measureDaemonStart(t, photos[0])...)
}

// measureDaemonStart tells how long the daemon takes to watch its folder, and to say what a picture shows that lies there.
func measureDaemonStart(t *testing.T, photo string) []figure {
	const n = 10
	b := newBoard(t, embedded)
	b.configure(t, fixedModel, "") // auto
	b.startOnce(t)                 // finds out which delegate is best
	data, err := os.ReadFile(photo)
	if err != nil {
		t.Fatal(err)
	}
	var readyMS, labelMS []float64
	for i := range n {
		if err := os.WriteFile(filepath.Join(b.inbox, fmt.Sprintf("%d.jpg", i)), data, 0o600); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		p := start(t, b.dir, sightd(t), "run", "-c", "sightd.yaml")
		p.line(t, `"msg":"ready`)
		readyMS = append(readyMS, milliseconds(time.Since(begin)))
		p.line(t, `"msg":"classified"`)
		labelMS = append(labelMS, milliseconds(time.Since(begin)))
		p.signal(t, syscall.SIGTERM)
	}
	return []figure{
		{what: "exec to ready: sightd run, its delegate found out before", value: fmt.Sprintf("%.0f ms", median(readyMS)), n: n, spread: between(readyMS, "ms")},
		{what: "exec to first label: sightd run, a picture in its folder, which must not have changed for 200 ms", value: fmt.Sprintf("%.0f ms", median(labelMS)),
			n: n, spread: between(labelMS, "ms")},
	}
}

// measureMemory compares the peak of the resident memory.
func measureMemory(t *testing.T) []figure {
	const n = 10
	pictures, _ := validationPhotos(t, 200)
	command := trivialProgram(t)
	plain := append([]string{command[0], "-plain"}, command[1:]...)
	b := newBoard(t, embedded)
	b.startOnce(t)
	var trivialMB, plainMB, idle, bound, busy, ratios []float64
	for i := range n {
		mb, _ := trivialPeak(t, command, pictures)
		m := daemonMemory(t, b, pictures)
		trivialMB, ratios = append(trivialMB, mb), append(ratios, m.busy/mb)
		idle, bound, busy = append(idle, m.idle), append(bound, m.bound), append(busy, m.busy)
		if i < 3 {
			mb, _ = trivialPeak(t, plain, pictures)
			plainMB = append(plainMB, mb)
		}
	}
	over := median(busy) / median(trivialMB)
	return []figure{
		{what: fmt.Sprintf("busy with %d photos, peak of the resident memory: sightd run over the trivial program", len(pictures)),
			value:  fmt.Sprintf("%.2f (%.1f over %.1f MB)", over, median(busy), median(trivialMB)),
			target: fmt.Sprintf("%d.00 or less", mostMemory), met: over <= mostMemory, n: n, spread: fmt.Sprintf("%.2f to %.2f", quantile(ratios, 0), quantile(ratios, 1))},
		{what: "busy, peak of the resident memory: sightd run", value: fmt.Sprintf("%.1f MB", median(busy)), target: fmt.Sprintf("%d MB or less", mostMB),
			met: median(busy) <= mostMB, n: n, spread: between(busy, "MB")},
		{what: "busy, peak of the resident memory: the trivial program without XNNPACK", value: fmt.Sprintf("%.1f MB", median(plainMB)), n: len(plainMB), spread: between(plainMB, "MB")},
		{what: "idle, resident memory: sightd run", value: fmt.Sprintf("%.1f MB", median(idle)), n: n, spread: between(idle, "MB")},
		{what: "idle, bound memory: sightd run", value: fmt.Sprintf("%.1f MB", median(bound)), n: n, spread: between(bound, "MB")},
	}
}

// measureReplayMemory tells the memory with a live source.
func measureReplayMemory(t *testing.T) []figure {
	const n = 3
	photos, _ := validationPhotos(t, 50)
	dir := t.TempDir()
	for _, photo := range photos {
		data, err := os.ReadFile(photo)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(photo)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var peak []float64
	for range n {
		p, a := liveBoard(t, prompt, fmt.Sprintf("name: door, type: replay, path: %q, loop: true, fps: 10", dir)).watch(t)
		a.well(t, "door")
		done := int64(0)
		eventually(t, func() bool { done = int64(a.vitals(t).pulse(t, "door").Done); return done >= 60 },
			func() string { return fmt.Sprintf("want 60 pictures judged, have %d", done) })
		peak = append(peak, memoryMB(t, p.cmd.Process.Pid, "VmHWM:"))
		p.stop(t)
	}
	return []figure{
		{what: "busy with a replayed source of 10 a second, peak of the resident memory: sightd run", value: fmt.Sprintf("%.1f MB", median(peak)), n: n, spread: between(peak, "MB")},
	}
}

// measureIdleDisk tells what an idle daemon writes.
func measureIdleDisk(t *testing.T) []figure {
	const seconds = 130 // bridge/health is told twice
	b := newBoard(t, embedded)
	p, url := b.run(t)
	record(t, url).health(t)
	bytes, lines := b.idle(t, p, seconds, time.Second)
	p.signal(t, syscall.SIGTERM)
	what := fmt.Sprintf("idle for %d s, the broker there: ", seconds)
	return []figure{
		{what: what + "bytes written to disks", value: fmt.Sprint(bytes), target: "0", met: bytes == 0, n: 1},
		{what: what + "lines written into the log", value: fmt.Sprint(len(lines)), target: "0", met: len(lines) == 0, n: 1},
	}
}

// measureSizes tells the sizes of the program and its packages.
func measureSizes(t *testing.T) []figure {
	size := func(path string) float64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return float64(info.Size()) / 1e6
	}
	figures := []figure{{what: "the program, 5.8 MB of model in it", value: fmt.Sprintf("%.1f MB", size(sightd(t))), n: 1, command: "make"}}
	packages, err := filepath.Glob(filepath.Join(repository(t), "bin", "*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range packages {
		figures = append(figures, figure{what: "package " + filepath.Base(file), value: fmt.Sprintf("%.1f MB", size(file)),
			target: "25 MB or less", met: size(file) <= 25, n: 1, command: "make deb"})
	}
	if len(packages) == 0 {
		figures = append(figures, figure{what: "packages", value: "not built", target: "25 MB or less", command: "make deb"})
	}
	return figures
}
