package testbench

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sightd/testbench/cameras"
)

// mostLatency is how much longer than the step a picture may take from its last byte to its event, of the p95 of both.
const mostLatency = 1.5

// TestCameraLatency compares how long a camera's picture takes from its last byte to its event at a subscriber with how long the step
// itself takes.
func TestCameraLatency(t *testing.T) {
	const attempts = 3 // the machine may be busy with something else
	l := startLatency(t)
	var ratio float64
	for attempt := range attempts {
		took, step := l.measure(t)
		ratio = quantile(took, 0.95) / step.P95
		t.Logf("attempt %d: from a picture's last byte to its event, of %d: p50 %.2f ms, p95 %.2f ms, p99 %.2f ms; step p50 %.2f ms, p95 %.2f ms: ratio %.2f",
			attempt+1, len(took), median(took), quantile(took, 0.95), quantile(took, 0.99), step.P50, step.P95, ratio)
		if ratio <= mostLatency {
			break
		}
	}
	if ratio > mostLatency && !raceDetector {
		t.Errorf("p95 from picture to event over p95 of a step: want at most %v, have %.2f in the last of %d attempts", mostLatency, ratio, attempts)
	}
	l.p.stop(t)
}

// latency is a daemon with a camera each of whose pictures is an event.
type latency struct {
	p      *process
	a      *audience
	camera *cameras.Camera
	labels []string
}

func startLatency(t testing.TB) latency {
	t.Helper()
	photos := surePhotos(t, 10)
	camera := httpCamera(t, 30, 1, photos...)
	p, a := liveBoard(t, eager, fmt.Sprintf("name: door, type: url, url: %q, motion: off", camera.URL())).watch(t)
	return latency{p, a, camera, labels(photos)}
}

// measure gives the milliseconds from a picture to its event, of the next 200 events but those that come first, and of the step.
func (l latency) measure(t testing.TB) (took []float64, step spread) {
	t.Helper()
	const each = 200
	skip := len(l.a.heard("door").events) + 30
	l.a.until(t, func() bool { return len(l.a.of("door").events) >= skip+each }, func() string {
		return fmt.Sprintf("want %d events, have %d", skip+each, len(l.a.of("door").events))
	})
	health := l.a.vitals(t).StepMS
	if health == nil || health.P95 <= 0 {
		t.Fatalf("want step_ms in the bridge's health, have %v", health)
	}
	return latencies(t, l.a.heard("door").events[skip:], l.camera.Sent(), l.labels), *health
}

// latencies are the milliseconds from a picture to its event, of each event that shows something. The picture of an event is the last
// one with its label that the camera had sent when it arrived at the daemon.
func latencies(t testing.TB, events []sighting, sent []cameras.Sent, labels []string) (took []float64) {
	t.Helper()
	const rounding = 2 * time.Millisecond // of frame_age_ms
	for _, e := range events {
		if !e.shows() {
			continue
		}
		which := slices.Index(labels, e.label())
		arrived := e.at.Add(-time.Duration(e.FrameAgeMS*1e6) + rounding)
		i := len(sent) - 1
		for i >= 0 && (sent[i].Picture != which || sent[i].At.After(arrived)) {
			i--
		}
		if i < 0 {
			t.Fatalf("want the picture of an event that %v shows to have been sent before %v, have %s", labels, e.at, e.payload)
		}
		took = append(took, milliseconds(e.at.Sub(sent[i].At)))
	}
	if len(took) < len(events)/2 {
		t.Fatalf("want most pictures to show something else than those before, have %d of %d", len(took), len(events))
	}
	return took
}

// Limits of TestSlowModel.
const (
	slowAgesMS = 10 // by which pictures may be older in the end than twice what they were
	slowGrowth = 16 // MB of resident memory
)

// TestSlowModel has a camera bring pictures faster than the model judges them: the newest is judged, the others are dropped and counted,
// and nothing grows.
func TestSlowModel(t *testing.T) {
	if raceDetector {
		t.Skip("the program is the same without the race detector, and the test's own camera would be slower")
	}
	s := overtax(t, 1200)
	for _, name := range slowNames {
		ages := s.ages[name]
		first, last := tenths(ages)
		p := s.health.pulse(t, name)
		t.Logf("%s: age of a judged picture: median %.1f ms in the first tenth, %.1f ms in the last, %.0f ms at most, of %d; %+v",
			name, first, last, quantile(ages, 1), len(ages), p)
		if last > 2*first+slowAgesMS {
			t.Errorf("%s: want the pictures to be as old in the end as in the beginning, have a median of %.1f ms and before %.1f ms", name, last, first)
		}
		if missing := p.unaccounted(); p.Dropped == 0 || missing < 0 || missing > slowUnderWay {
			t.Errorf("%s: want each picture to be judged or counted as dropped, have %+v", name, p)
		}
	}
	if door, yard := s.health.pulse(t, "door").Done, s.health.pulse(t, "yard").Done; float64(min(door, yard)) < 0.9*float64(max(door, yard)) {
		t.Errorf("want the sources to have their turns, have %d and %d pictures judged", door, yard)
	}
	t.Logf("resident memory: %.1f MB after a fifth, %.1f MB in the end", s.early, s.late)
	if s.late > s.early+slowGrowth {
		t.Errorf("want the resident memory not to grow, have %.1f MB in the end and %.1f MB after a fifth", s.late, s.early)
	}
}

var slowNames = []string{"door", "yard"}

// slowUnderWay are the pictures of a source that are not counted yet: one may be on its way, and one may wait.
const slowUnderWay = 2

// overtaxed is what became of cameras that are faster than the model.
type overtaxed struct {
	ages        map[string][]float64 // milliseconds, of each source's judged pictures
	health      vitals
	early, late float64 // MB of resident memory after a fifth of the pictures, and in the end
}

// overtax has two cameras bring so many pictures each, 60 a second, to a model that is slower.
func overtax(t *testing.T, pictures int) overtaxed {
	t.Helper()
	photos := surePhotos(t, 10)
	var lines []string
	var camera *cameras.Camera // the last one
	for _, name := range slowNames {
		camera = httpCamera(t, 60, 1, photos...)
		lines = append(lines, fmt.Sprintf("name: %s, type: url, url: %q, motion: off", name, camera.URL()))
	}
	b := liveBoard(t, eager, lines...)
	b.configure(t, fixedModel, "model: {delegate: cpu, threads: 1}\n")
	p, a := b.watch(t)
	a.well(t, slowNames...)
	enough := func(share float64) {
		eventually(t, func() bool { return float64(len(camera.Sent())) >= share*float64(pictures) }, func() string {
			return fmt.Sprintf("want the camera to send %v of %d pictures, have %d", share, pictures, len(camera.Sent()))
		})
	}
	for share := 0.05; share < 0.2; share += 0.05 { // patience is for each step
		enough(share)
	}
	s := overtaxed{ages: map[string][]float64{}, early: memoryMB(t, p.cmd.Process.Pid, "VmRSS:")}
	for share := 0.25; share < 1; share += 0.05 {
		enough(share)
	}
	enough(1)
	s.late, s.health = memoryMB(t, p.cmd.Process.Pid, "VmRSS:"), a.vitals(t)
	for _, name := range slowNames {
		for _, e := range a.heard(name).events {
			if e.shows() {
				s.ages[name] = append(s.ages[name], e.FrameAgeMS)
			}
		}
		if len(s.ages[name]) < 40 {
			t.Fatalf("%s: want at least 40 events, have %d", name, len(s.ages[name]))
		}
	}
	p.stop(t)
	return s
}

// tenths are the medians of the first and of the last tenth.
func tenths(values []float64) (first, last float64) {
	tenth := len(values) / 10
	return median(values[:tenth]), median(values[len(values)-tenth:])
}

// unaccounted are the source's pictures that were seen and not counted otherwise.
func (p pulse) unaccounted() int64 {
	return int64(p.Seen) - int64(p.Done+p.Dropped+p.Stale+p.Unchanged+p.Paced+p.Blind+p.Refused)
}
