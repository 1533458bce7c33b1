package testbench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightd/camera"
	"sightd/daemon"
	"sightd/decide"
	"sightd/publish"
)

// inboxed is a start of the daemon with pictures in its folder.
type inboxed struct {
	first, all float64 // milliseconds from the start to the first event, and to the last
	cpu, peak  float64 // milliseconds of processor time, MB
}

// startWith starts the daemon with n pictures in its folder, and waits for their events.
func startWith(t testing.TB, pictures []string, n int) (s inboxed) {
	t.Helper()
	m := startMosquitto(t)
	b := newBoard(t, fmt.Sprintf("broker: %q", m.url))
	b.startOnce(t) // writes the weight cache
	names := b.stage(t, "n", pictures, n)
	for _, name := range names {
		b.release(t, name)
	}
	a := arrive(t, m.url)
	begin := time.Now()
	p := start(t, b.dir, sightd(t), "run", "-c", "sightd.yaml")
	s.first = milliseconds(a.wait(t, 1).Sub(begin))
	s.all = milliseconds(a.wait(t, n).Sub(begin))
	s.cpu = milliseconds(processTime(t, p.cmd.Process.Pid))
	b.filed(t, names...)
	s.peak = memoryMB(t, p.cmd.Process.Pid, "VmHWM:")
	p.stop(t)
	m.stop(t)
	return s
}

// measurePictures starts the daemon with more and more pictures in its folder.
func measurePictures(t *testing.T) (figures []figure) {
	photos, _ := validationPhotos(t, 0)
	one := 0.0 // milliseconds of processor time with one picture: the start, above all
	for _, c := range []struct{ n, times int }{{1, 5}, {10, 5}, {100, 3}, {10_000, 1}} {
		var first, each, cpu, peak []float64
		for range c.times {
			t.Run(fmt.Sprint(c.n), func(t *testing.T) { // a subtest removes its folders
				s := startWith(t, photos, c.n)
				first, each, peak = append(first, s.first), append(each, (s.all-s.first)/float64(max(c.n-1, 1))), append(peak, s.peak)
				cpu = append(cpu, (s.cpu-one)/float64(max(c.n-1, 1)))
			})
		}
		if len(peak) < c.times {
			t.FailNow()
		}
		value := fmt.Sprintf("first event after %.0f ms", median(first))
		if c.n == 1 {
			one = median(cpu)
			value += fmt.Sprintf(", %.0f ms of processor time, peak %.1f MB", one, median(peak))
		} else {
			value += fmt.Sprintf(", each further one after %.2f ms, %.2f ms of processor time, peak %.1f MB", median(each), median(cpu), median(peak))
		}
		figures = append(figures, figure{what: fmt.Sprintf("start with photos of 224x224 in the folder: %d", c.n), value: value, n: c.n * c.times,
			spread: "first event " + between(first, "ms")})
	}
	return figures
}

// measureSources gives the same work to more and more folders, and the same rate to more and more live sources.
func measureSources(t *testing.T) (figures []figure) {
	files := paths(t, smallPhotos(t, imagenetPhotos(t, 0)))
	for _, n := range []int{1, 2, 4, 8} {
		t.Run(fmt.Sprintf("folders %d", n), func(t *testing.T) { figures = append(figures, share(t, files, n)) })
	}
	for _, n := range []int{1, 2, 4, 8} {
		t.Run(fmt.Sprintf("live %d", n), func(t *testing.T) { figures = append(figures, replays(t, files[:20], n)) })
	}
	return figures
}

// share drops as many photos into n folders together.
func share(t *testing.T, files []string, n int) figure {
	const together = 1000
	b := newBoard(t, embedded)
	inboxes := make([]string, n)
	for i := range inboxes {
		inboxes[i] = filepath.Join(b.dir, fmt.Sprint("in", i))
		if err := os.Mkdir(inboxes[i], 0o700); err != nil {
			t.Fatal(err)
		}
		b.configure(t, "sources:\n", fmt.Sprintf("sources:\n  - {name: in%d, type: folder, path: ./in%d}\n", i, i))
	}
	p, url := b.run(t)
	a := arrive(t, url)
	names := b.stage(t, "n", files, together)
	pid := p.cmd.Process.Pid
	cpu, begin := processTime(t, pid), time.Now()
	for i, name := range names {
		if err := os.Rename(filepath.Join(b.dir, name), filepath.Join(inboxes[i%n], name)); err != nil {
			t.Fatal(err)
		}
	}
	took := a.wait(t, together).Sub(begin)
	cpu = processTime(t, pid) - cpu
	peak := memoryMB(t, pid, "VmHWM:")
	p.stop(t)
	return figure{what: fmt.Sprintf("%d photos of 500 px at once, folders that share them: %d", together, n), n: together,
		value: fmt.Sprintf("%.0f a second, each %.2f ms of processor time, peak %.1f MB", together/took.Seconds(), milliseconds(cpu)/together, peak)}
}

// replays has n sources replay photos.
func replays(t *testing.T, files []string, n int) figure {
	const fps, warm, pictures = 10, 20, 60 // of each source
	dir := t.TempDir()
	for _, file := range files {
		if err := os.Link(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			t.Fatal(err)
		}
	}
	var lines, names []string
	for i := range n {
		names = append(names, fmt.Sprint("cam", i))
		lines = append(lines, fmt.Sprintf("name: cam%d, type: replay, path: %q, loop: true, fps: %d, motion: off", i, dir, fps))
	}
	p, a := liveBoard(t, prompt, lines...).watch(t)
	a.well(t, names...)
	seen := func(least uint64) (v vitals, seen, done uint64) {
		eventually(t, func() bool {
			v, seen, done = a.vitals(t), 0, 0
			enough := true
			for _, name := range names {
				s := v.pulse(t, name)
				enough, seen, done = enough && s.Seen >= least, seen+s.Seen, done+s.Done
			}
			return enough
		}, func() string {
			return fmt.Sprintf("want %d pictures of each of %d sources, have %d of all", least, n, seen)
		})
		return v, seen, done
	}
	pid := p.cmd.Process.Pid
	_, seenBefore, doneBefore := seen(warm)
	cpu, begin := processTime(t, pid), time.Now()
	v, seenAfter, doneAfter := seen(warm + pictures)
	took, done := time.Since(begin), doneAfter-doneBefore
	cpu = processTime(t, pid) - cpu
	peak := memoryMB(t, pid, "VmHWM:")
	p.stop(t)
	return figure{what: fmt.Sprintf("500-px photos, %d a second of each live source (replay): sources: %d", fps, n), n: int(seenAfter - seenBefore),
		value: fmt.Sprintf("%d of %d judged, %.1f a second, each %.1f ms of processor time with its capture; step p50 %.1f ms, p95 %.1f ms; peak %.1f MB",
			done, seenAfter-seenBefore, float64(done)/took.Seconds(), milliseconds(cpu)/float64(done), v.StepMS.P50, v.StepMS.P95, peak)}
}

// measureClasses compares a network of ten classes with one of a thousand.
func measureClasses(t *testing.T) (figures []figure) {
	file := paths(t, smallPhotos(t, imagenetPhotos(t, 1)))[0]
	for _, c := range []struct{ name, model string }{
		{"10 (the default model, 160 pixels)", ""}, {"1000 (BVLC's int8, 224 pixels)", int8BVLC(t)},
	} {
		t.Run(c.name, func(t *testing.T) { figures = append(figures, classCost(t, "classes: "+c.name, c.model, file)...) })
	}
	return figures
}

// classCost tells what a network's classes cost beside its Invoke.
func classCost(t *testing.T, what, model, file string) []figure {
	const n = 300
	begin := time.Now()
	engine := openEngine(t, daemon.EngineOptions{Model: model, Top: 5})
	opened := time.Since(begin)
	decoder := camera.NewDecoder(testLimits)
	defer decoder.Close() // frees C memory; there is nothing to report
	frame := decodeFile(t, decoder, file)
	rules := decide.DefaultRules()
	decider, err := decide.New(rules, engine.Labels, engine.Temperature)
	if err != nil {
		t.Fatal(err)
	}
	var sorted, observed, encoded, invoke []float64
	var payload []byte
	top := make([]decide.Score, 5)
	now := time.Unix(0, 0)
	for i := range n {
		result, err := engine.Classify(frame, "")
		if err != nil {
			t.Fatal(err)
		}
		a := time.Now()
		decide.Top(top, result.Scores, engine.Labels)
		b := time.Now()
		decider.Observe(decide.Look{Time: now.Add(time.Duration(i) * time.Second), Seq: uint64(i + 1), Scores: result.Scores})
		c := time.Now()
		event := decide.Event{Kind: decide.Classified, ID: strings.Repeat("0", 26), Source: "inbox", File: filepath.Base(file), Time: now, Top: top, InferMS: result.InferMS}
		payload, err = publish.EventPayload(event, engine.Model(), publish.MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		invoke, sorted = append(invoke, result.InferMS), append(sorted, 1000*milliseconds(b.Sub(a)))
		observed, encoded = append(observed, 1000*milliseconds(c.Sub(b))), append(encoded, 1000*milliseconds(time.Since(c)))
	}
	return []figure{
		{what: what + ": for each picture", n: n, value: fmt.Sprintf(
			"Invoke %.2f ms; best five %.1f us, a live source's decision %.1f us, an event's payload %.1f us, of %d bytes",
			median(invoke), median(sorted), median(observed), median(encoded), len(payload))},
		{what: what + ": to open and prove the model", n: 1, value: fmt.Sprintf("%.0f ms", milliseconds(opened))},
	}
}
