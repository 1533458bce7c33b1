package testbench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sightd/daemon"
	"sightd/inference"
)

// measureStatic says what a static scene costs, and whether what enters it is noticed.
func measureStatic(t *testing.T) []figure {
	const (
		rounds = 5
		times  = 5 // that each thing enters, with other noise
	)
	engine := openEngine(t, daemon.EngineOptions{Top: 5, Options: inference.Options{Delegate: inference.XNNPACK}})
	scene := stills(t, staticScene(t, 20)...)
	var shares, fullUS, gatedUS []float64
	for range rounds {
		full, _ := glanceCost(t, engine, scene, true)
		gated, _ := glanceCost(t, engine, scene, false)
		shares = append(shares, 100*float64(gated)/float64(full))
		fullUS, gatedUS = append(fullUS, 1e6*full.Seconds()), append(gatedUS, 1e6*gated.Seconds())
	}
	entered, noticed, alarms := 0, 0, 0
	for i := range times {
		for _, thing := range things {
			changes, seen := enters(t, engine, scene, thing, 777+uint64(i))
			entered, noticed, alarms = entered+1, noticed+btoi(seen), alarms+changes
		}
	}
	n := rounds * staticPictures
	over := func(values []float64, unit string) string {
		return fmt.Sprintf("%s over %d rounds", between(values, unit), rounds)
	}
	return []figure{
		{what: "static scene: share of the processor time of classifying all", value: fmt.Sprintf("%.1f %%", median(shares)),
			target: fmt.Sprintf("%g %% or less", 100*staticShare), met: median(shares) <= 100*staticShare, n: n, spread: over(shares, "%")},
		{what: "static scene: processor time of a picture", value: fmt.Sprintf("%.0f us", median(gatedUS)), n: n, spread: over(gatedUS, "us")},
		{what: "static scene, all classified: processor time of a picture", value: fmt.Sprintf("%.0f us", median(fullUS)), n: n, spread: over(fullUS, "us")},
		{what: "something enters the static scene: noticed on the first picture that shows it", value: fmt.Sprintf("%d of %d", noticed, entered),
			target: "all", met: noticed == entered, n: entered},
		{what: "before it enters: pictures of noise that were taken for a change", value: fmt.Sprint(alarms), target: "0", met: alarms == 0, n: entered * quietPictures},
	}
}

// recordedPhotos copies all labelled photos to a new folder, in an order of their own.
func recordedPhotos(t *testing.T) (dir string, n int) {
	t.Helper()
	dir = t.TempDir()
	photos, _ := validationPhotos(t, 0)
	for i, photo := range photos {
		data, err := os.ReadFile(photo)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d%s", i, filepath.Ext(photo))), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, len(photos)
}

// measureReplay says how fast sightd replay is.
func measureReplay(t *testing.T) []figure {
	recording, n := recordedPhotos(t)
	b := liveBoard(t, prompt, fmt.Sprintf("name: door, type: replay, path: %q", recording))
	scores := filepath.Join(b.dir, "scores")
	var rates []float64
	replay := func(more ...string) {
		begin := time.Now()
		text := sightdOutput(t, b.dir, nil, append([]string{"replay", recording, "-c", "sightd.yaml", "--fps", "5"}, more...)...)
		rates = append(rates, float64(n)/time.Since(begin).Seconds())
		if want := fmt.Sprintf(" %d pictures of ", n); !strings.Contains(text, want) {
			t.Fatalf("sightd replay: want %q, have\n%s", want, text)
		}
		if len(rates) == 1 {
			text = strings.TrimSpace(text)
			t.Log(text[strings.LastIndex(text, "\n")+1:])
		}
	}
	row := func(what string) (f figure) {
		f = figure{what: fmt.Sprintf("sightd replay of %d photos: pictures a second, %s", n, what), value: fmt.Sprintf("%.0f", median(rates)), n: len(rates) * n}
		if len(rates) > 1 {
			f.spread = fmt.Sprintf("%.0f to %.0f over %d runs", quantile(rates, 0), quantile(rates, 1), len(rates))
		}
		rates = nil
		return f
	}
	for range 3 {
		replay()
	}
	pictures := row("from the pictures")
	replay("--scores", scores)
	keeping := row("from the pictures, their scores kept")
	for range 5 {
		replay("--scores", scores)
	}
	info, err := os.Stat(scores)
	if err != nil {
		t.Fatal(err)
	}
	return []figure{pictures, keeping, row("from kept scores"),
		{what: "kept scores of a picture, with its thumbnail", value: fmt.Sprintf("%.1f kB", float64(info.Size())/float64(n)/1e3), n: n}}
}

// measureRecordings says how much memory replayed recordings take.
func measureRecordings(t *testing.T) (figures []figure) {
	const runs, pictures = 3, 30 // pictures of each source
	recording, _ := recordedPhotos(t)
	medians := map[int]float64{}
	for _, sources := range []int{1, 16} {
		var mb []float64
		for i := range runs {
			t.Run(fmt.Sprint(sources, " sources, run ", i), func(t *testing.T) { // a subtest ends its daemon
				var lines []string
				for k := range sources {
					lines = append(lines, fmt.Sprintf("name: source%d, type: replay, path: %q, fps: 5, loop: true", k, recording))
				}
				p, a := liveBoard(t, prompt, lines...).watch(t)
				eventually(t, func() bool {
					v := a.vitals(t)
					for k := range sources {
						if v.pulse(t, fmt.Sprint("source", k)).Done < pictures {
							return false
						}
					}
					return true
				}, func() string { return fmt.Sprintf("want %d pictures of %d sources judged", pictures, sources) })
				mb = append(mb, memoryMB(t, p.cmd.Process.Pid, "VmRSS:"))
				p.stop(t)
			})
		}
		if len(mb) < runs {
			t.FailNow()
		}
		medians[sources] = median(mb)
		f := figure{what: fmt.Sprintf("sightd run: resident memory after %d photos, 5 a second, of each replayed recording: %d of them", pictures, sources),
			value: fmt.Sprintf("%.1f MB", medians[sources]), n: runs, spread: between(mb, "MB")}
		if sources > 1 {
			f.value += fmt.Sprintf(", %.2f MB for each more than one", (medians[sources]-medians[1])/float64(sources-1))
		}
		figures = append(figures, f)
	}
	return figures
}

// processTime is the processor time that another process has used so far, of all its threads.
func processTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	const schedulers = 2 // clock_getcpuclockid(3): the clock of a process is its id, inverted, and which clock
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedulers), &used); err != nil {
		t.Fatalf("read the processor time of process %d: %v", pid, err)
	}
	return time.Duration(used.Nano())
}
