package testbench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sightd/testbench/cameras"
)

// TestCameraLabels shows photos to live sources of all kinds that need no device: what is said of them is what classify says.
func TestCameraLabels(t *testing.T) {
	t.Parallel()
	labels, heard := showAll(t, 4)
	for source, events := range heard {
		checkEvents(t, source, events)
		for _, e := range misfits(events, labels) {
			t.Errorf("%s: want one of %q, the one after the last, with a smoothed score of 0.6 or more, have %s", source, labels, e.payload)
		}
	}
}

// showAll shows n photos to live sources of all kinds that need no device, until each has shown all of them. It gives their labels as
// classify has them, in order, and the sources' events.
func showAll(t *testing.T, n int) (want []string, heard map[string][]sighting) {
	t.Helper()
	program(t, "gst-launch-1.0", "gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good")
	photos := surePhotos(t, n)
	const seconds = 2 // for each photo
	camera := httpCamera(t, 30, 30*seconds, photos...)
	dir, path := fakeRpicam(t)
	if _, err := cameras.NewRpicam(dir, 0, cameras.Orders{FPS: 15, Each: 15 * seconds}, pictures(photos)...); err != nil {
		t.Fatal(err)
	}
	motionJPEG := film(t, photos, seconds, 15, "film.avi", "-c:v", "mjpeg", "-q:v", "1")
	mpeg4 := film(t, photos, seconds, 15, "film.mp4", "-c:v", "mpeg4", "-q:v", "1")
	pipeline := fmt.Sprintf(`multifilesrc location=%s/%%d.jpg index=0 stop-index=%d loop=true caps=image/jpeg,framerate=1/%d ! jpegdec ! videorate ! video/x-raw,framerate=10/1 ! identity sync=true`,
		numberedFiles(t, photos), len(photos)-1, seconds)

	sources := map[string]string{
		"http":   fmt.Sprintf("name: http, type: url, url: %q", camera.URL()),
		"replay": fmt.Sprintf("name: replay, type: replay, path: %q, loop: true", motionJPEG),
		"video":  fmt.Sprintf("name: video, type: url, url: %q", "file://"+mpeg4),
		"gst":    fmt.Sprintf("name: gst, type: gstreamer, pipeline: %q", pipeline),
		"rpicam": "name: rpicam, type: rpicam, size: 224x224, fps: 15",
		"every":  fmt.Sprintf("name: every, type: url, motion: off, url: %q", camera.URL()),
	}
	var lines []string
	for _, s := range sources {
		lines = append(lines, s)
	}
	p, a := liveBoard(t, prompt, lines...).watch(t, path)
	for source := range sources {
		want := labels(photos)
		if source == "video" { // a file URL isn't begun again: what came before the audience is missing
			want = want[len(want)-2:]
		}
		a.until(t, func() bool { return len(a.of(source).shown()) >= len(want) }, func() string {
			return fmt.Sprintf("%s: want events of %q, have %q", source, want, a.of(source).shown())
		})
	}
	heard = map[string][]sighting{}
	for source := range sources {
		heard[source] = a.heard(source).events
	}
	programs := descendants(t, p.cmd.Process.Pid)
	if len(programs) < 3 {
		t.Errorf("want ffmpeg, gst-launch-1.0 and rpicam-vid to run, have %v", programs)
	}
	p.stop(t)
	for _, pid := range programs {
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
			t.Errorf("want no process of the daemon after its end, have %d, %s", pid, name)
		}
	}
	return labels(photos), heard
}

// descendants are the processes that a process has started, those that these have, and so on; also those that have ended and were not
// waited for.
func descendants(t testing.TB, pid int) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended meanwhile
		}
		var child, parent int
		var state string
		_, rest, _ := strings.Cut(string(text), ") ") // behind its name, which may hold anything
		if _, err := fmt.Sscan(rest, &state, &parent); err != nil || parent != pid {
			continue
		}
		if _, err := fmt.Sscan(string(text), &child); err != nil {
			t.Fatal(err)
		}
		pids = append(append(pids, child), descendants(t, child)...)
	}
	return pids
}

// checkEvents checks what an event says besides its label.
func checkEvents(t testing.TB, source string, events []sighting) {
	t.Helper()
	for i, e := range events {
		if e.Source != source || e.ID == "" || e.File != nil && source != "replay" || i > 0 && e.Seq <= events[i-1].Seq {
			t.Errorf("%s: want events of that source, with ids, in order, have %s", source, e.payload)
		}
		if at, err := time.Parse(time.RFC3339, e.Time); err != nil || e.at.Before(at.Add(-time.Millisecond)) {
			t.Errorf("%s: want a time before its arrival, %v, have %s", source, e.at, e.payload)
		}
	}
}

// misfits are the events by which a source hasn't shown the labels in their order, round and round, from any of them on.
func misfits(events []sighting, labels []string) (misfits []sighting) {
	next := -1
	for _, e := range events {
		if !e.shows() {
			continue
		}
		place := slices.Index(labels, e.label())
		if next >= 0 && place != next || place < 0 || e.Score == nil || e.Smoothed == nil || *e.Smoothed < 0.6 {
			misfits = append(misfits, e)
		}
		next = (place + 1) % len(labels)
	}
	return misfits
}
