package testbench

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sightd/testbench/cameras"
)

// TestCameraResults measures what is claimed of live sources and writes RESULTS_CAMERAS.md.
func TestCameraResults(t *testing.T) {
	results{
		file: "RESULTS_CAMERAS.md", title: "Results of live sources", target: "camera-results",
		how: "The figures are those of the tests TestCamera…, TestSlowModel and TestStaticScene…, which run shorter and allow for a busy machine.",
		groups: []group{
			{"reconnects", measureReconnects},
			{"labels", measureLabels},
			{"latency", measureLatency},
			{"slow", measureSlow},
			{"static", measureStatic},
			{"idle", measureIdle},
			{"faults", measureFaults},
			{"replay", measureReplay},
			{"memory", measureRecordings},
		},
		notes: cameraNotes,
	}.measure(t)
}

const cameraNotes = `
- No camera was there: HTTP cameras are made by testbench/cameras, which also plays rpicam-vid; ffmpeg and GStreamer are the real ones.
  The cameras and the subscriber share the machine with the daemon.
- A label is as sightd classify says if it is that of the photo after the last one, in the order in which the camera shows them, round
  and round, and its smoothed score is 0.6 or more.
- The step is all that the daemon does for a picture, from its decoding on, as bridge/health has it for the last pictures of a run. The
  picture's last byte is its sending by the camera; its event is at the subscriber when that has read it, in the camera's process.
- Slow model: one thread without XNNPACK. The age of a picture is frame_age_ms of its event.
- Static scene: 640x480 with a sensor's noise, of which each picture is another one. Its share is of the processor time that it takes to
  classify all its pictures, without capture and decoding.
- Faults: all cameras have theirs at once, until each is told, while another camera and a folder go on. Told is the first state with a
  problem, well again the one without, counted from the end of the fault. An attempt that hangs lasts up to 15 s. Limits are the deadlines of
  the sources, configured or their own, and a second.
- Replay: the whole command, with the start of the program.
`

// measureReconnects counts what is left of sources that were opened a thousand times.
func measureReconnects(t *testing.T) (figures []figure) {
	const times = 1000
	sources := endingSources(t)
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		left, stats, took := leftovers(t, sources[name], times)
		figures = append(figures, figure{
			what:   "reconnects, " + map[string]string{"http": "over HTTP", "child": "of a program"}[name] + ": goroutines, descriptors and children that are left",
			value:  fmt.Sprintf("%d, %d and %d, after %.1f s", left.goroutines, left.descriptors, left.children, took.Seconds()),
			target: "0", met: left == held{}, n: int(stats.Opened),
		})
	}
	return figures
}

// sourceKinds are the sources of showAll in words.
var sourceKinds = map[string]string{
	"http":   "HTTP",
	"every":  "HTTP, motion: off",
	"replay": "replay of a video, Motion JPEG",
	"video":  "video of MPEG-4 by ffmpeg",
	"gst":    "GStreamer's pipeline",
	"rpicam": "rpicam-vid, played",
}

// measureLabels compares events with classify.
func measureLabels(t *testing.T) (figures []figure) {
	labels, heard := showAll(t, 10)
	for _, source := range slices.Sorted(maps.Keys(heard)) {
		shown := 0
		for _, e := range heard[source] {
			shown += btoi(e.shows())
		}
		right := shown - len(misfits(heard[source], labels))
		figures = append(figures, figure{what: "labels of events as sightd classify says: " + sourceKinds[source], value: fmt.Sprintf("%d of %d", right, shown),
			target: "all", met: right == shown, n: shown})
	}
	return figures
}

// measureLatency compares the time from a picture to its event with the step's.
func measureLatency(t *testing.T) []figure {
	const runs = 5
	var ratios, stepP50, stepP95 []float64
	quantiles := map[float64][]float64{0.5: nil, 0.95: nil, 0.99: nil}
	n := 0
	for i := range runs {
		t.Run(fmt.Sprint("run ", i), func(t *testing.T) { // a subtest ends its daemon
			l := startLatency(t)
			took, step := l.measure(t)
			l.p.stop(t)
			for q := range quantiles {
				quantiles[q] = append(quantiles[q], quantile(took, q))
			}
			stepP50, stepP95 = append(stepP50, step.P50), append(stepP95, step.P95)
			ratios = append(ratios, quantile(took, 0.95)/step.P95)
			n += len(took)
		})
	}
	if len(ratios) < runs {
		t.FailNow()
	}
	const from = "picture's last byte to its event at a subscriber"
	over := fmt.Sprintf("%.2f to %.2f over %d runs", quantile(ratios, 0), quantile(ratios, 1), runs)
	figures := []figure{{what: from + ": p95 over the step's p95", value: fmt.Sprintf("%.2f", median(ratios)),
		target: fmt.Sprintf("%v or less", mostLatency), met: median(ratios) <= mostLatency, n: n, spread: over}}
	row := func(what string, values []float64) {
		figures = append(figures, figure{what: what, value: fmt.Sprintf("%.2f ms", median(values)), n: n,
			spread: fmt.Sprintf("%.2f to %.2f ms over %d runs", quantile(values, 0), quantile(values, 1), runs)})
	}
	for _, q := range slices.Sorted(maps.Keys(quantiles)) {
		row(fmt.Sprintf("%s: p%.0f", from, 100*q), quantiles[q])
	}
	row("the step in the same runs, from bridge/health: p50", stepP50)
	row("the step in the same runs, from bridge/health: p95", stepP95)
	return figures
}

// measureFaults says how long faults take to be told, and their ends.
func measureFaults(t *testing.T) (figures []figure) {
	o := startOrdeal(t)
	o.endure(t)
	o.p.stop(t)
	const quietSlack = time.Second // no test runs beside this one
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
	for _, v := range o.victims {
		f := figure{what: "camera's fault: " + string(v.fault), n: 1}
		switch {
		case v.problem != "":
			f.value = fmt.Sprintf("told after %s, well again after %s", seconds(v.told), seconds(v.well))
			f.spread = fmt.Sprintf("first told as: %s", strings.ReplaceAll(*v.first.Problem, v.camera.URL(), "URL"))
			f.target = fmt.Sprintf("told within %s, once, well within %s", seconds(v.within+quietSlack), seconds(v.recovery(quietSlack)))
			f.met = v.told <= v.within+quietSlack && v.well <= v.recovery(quietSlack) && v.once()
		case v.anything:
			f.value = fmt.Sprintf("decoders make something of it: %d problems told; an event after %s of whole ones", max(len(v.problems)-1, 0), seconds(v.shows))
		default:
			f.value = fmt.Sprintf("%d problems told", len(v.problems))
			f.target, f.met = "none, as it is no fault", len(v.problems) == 0
		}
		figures = append(figures, f)
	}
	return figures
}

// measureSlow looks at cameras that are faster than the model.
func measureSlow(t *testing.T) (figures []figure) {
	const pictures = 10_000
	s := overtax(t, pictures)
	for _, name := range slowNames {
		about := fmt.Sprintf("slow model, two cameras of 60 a second, %s: ", name)
		ages, p := s.ages[name], s.health.pulse(t, name)
		first, last := tenths(ages)
		missing := p.unaccounted()
		figures = append(figures,
			figure{what: about + "age of a judged picture, median of the first tenth and of the last", value: fmt.Sprintf("%.1f ms, %.1f ms", first, last),
				target: fmt.Sprintf("last twice the first and %d ms, or less", slowAgesMS), met: last <= 2*first+slowAgesMS, n: len(ages),
				spread: between(ages, "ms")},
			figure{what: about + "pictures that are neither judged nor counted as dropped",
				value:  fmt.Sprintf("%d (%d judged, %d dropped, %d stale, of %d)", missing, p.Done, p.Dropped, p.Stale, p.Seen),
				target: fmt.Sprintf("%d or less, under way", slowUnderWay), met: missing >= 0 && missing <= slowUnderWay, n: int(p.Seen)})
	}
	return append(figures, figure{what: "slow model: growth of the resident memory after a fifth of the pictures",
		value:  fmt.Sprintf("%.1f MB (%.1f to %.1f)", s.late-s.early, s.early, s.late),
		target: fmt.Sprintf("%d MB or less", slowGrowth), met: s.late-s.early <= slowGrowth, n: pictures})
}

// measureIdle says what a camera costs that shows nothing new.
func measureIdle(t *testing.T) []figure {
	const fps, windows, window = 15, 6, 10 // pictures a second, and seconds
	var shown []photo
	for _, file := range staticScene(t, 20) {
		p, err := cameras.NewPicture(file)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, photo{Picture: p})
	}
	camera := httpCamera(t, fps, 1, shown...)
	p, a := liveBoard(t, prompt, fmt.Sprintf("name: door, type: url, url: %q", camera.URL())).watch(t)
	a.well(t, "door")
	sent := func(n int) {
		eventually(t, func() bool { return len(camera.Sent()) >= n }, func() string { return fmt.Sprintf("want %d pictures sent, have %d", n, len(camera.Sent())) })
	}
	n := len(camera.Sent()) + 2*fps
	sent(n)
	before := a.vitals(t).pulse(t, "door")
	var minutes []float64 // seconds of processor time a minute
	for range windows {
		begin, used := time.Now(), processTime(t, p.cmd.Process.Pid)
		n += window * fps
		sent(n)
		minutes = append(minutes, 60*(processTime(t, p.cmd.Process.Pid)-used).Seconds()/time.Since(begin).Seconds())
	}
	after := a.vitals(t).pulse(t, "door")
	p.stop(t)
	return []figure{{what: fmt.Sprintf("static HTTP camera of 640x480, %d a second: the daemon's processor time, decoding included", fps),
		value: fmt.Sprintf("%.2f s a minute, %.1f %% of one core (%d of %d pictures classified)",
			median(minutes), median(minutes)/0.6, after.Done-before.Done, after.Seen-before.Seen),
		n: windows * window * fps, spread: fmt.Sprintf("%.2f to %.2f s over %d times %d s", quantile(minutes, 0), quantile(minutes, 1), windows, window)}}
}
