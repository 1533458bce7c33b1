package testbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"sightd/camera/capture"
	"sightd/camera/live"
	"sightd/testbench/cameras"
)

// TestCameraReconnects opens sources that end after each picture a thousand times: nothing is left of any of them. It isn't parallel: it
// counts what the whole process has.
func TestCameraReconnects(t *testing.T) {
	for name, o := range endingSources(t) {
		t.Run(name, func(t *testing.T) {
			left, stats, took := leftovers(t, o, 1000)
			t.Logf("%d openings in %v, %+v", stats.Opened, took.Round(time.Millisecond), stats)
			if left != (held{}) {
				stacks := make([]byte, 1<<20)
				t.Errorf("want nothing left, have %+v\n%s", left, stacks[:runtime.Stack(stacks, true)])
			}
		})
	}
}

// endingSources are sources that end after each picture.
func endingSources(t *testing.T) map[string]capture.Options {
	t.Helper()
	photo := surePhotos(t, 2)[0]
	camera, err := cameras.StartClosing(photo.Picture)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := camera.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	file := filepath.Join(dir, "one.jpg")
	script := fmt.Sprintf("#!/bin/sh\nexec cat '%s'\n", file)
	for name, data := range map[string][]byte{file: photo.Data, filepath.Join(dir, "rpicam-vid"): []byte(script)} {
		if err := os.WriteFile(name, data, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return map[string]capture.Options{
		"http":  {Kind: capture.URL, URL: camera.URL()},
		"child": {Kind: capture.RPiCam},
	}
}

// leftovers opens a source so many times, and gives what this process has more than before when it had time to be rid of it.
func leftovers(t *testing.T, o capture.Options, times uint64) (left held, stats live.Stats, took time.Duration) {
	t.Helper()
	open, err := capture.New(o)
	if err != nil {
		t.Fatal(err)
	}
	reopen(t, open, 5) // what the process keeps from the first time on is there then
	before := holdings(t)
	begin := time.Now()
	stats = reopen(t, open, times)
	took = time.Since(begin)
	happens(func() bool { left = holdings(t).over(before); return left == held{} })
	return left, stats, took
}

// reopen keeps a source up until it was opened so many times.
func reopen(t *testing.T, open capture.Open, times uint64) live.Stats {
	t.Helper()
	source, err := live.Start(live.Options{Name: "door", Open: open, Enabled: true, Backoff: func(int) time.Duration { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var shot capture.Shot
	taken := uint64(0)
	for source.Stats().Opened < times {
		if err := source.Next(ctx, &shot); err != nil {
			t.Fatalf("after %d pictures: %v, %+v", taken, err, source.Stats())
		}
		taken++
	}
	if err := source.Close(); err != nil {
		t.Error(err)
	}
	if err := source.Next(ctx, &shot); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: want it to be closed, have %v", err)
	}
	stats := source.Stats()
	// The last stream may have been closed before its picture came, and a picture replaced before it was taken.
	if stats.Seen < stats.Opened-1 || taken+stats.Dropped+stats.Stale != stats.Seen || stats.Stuck != 0 {
		t.Errorf("want a picture of each stream, and each picture taken or dropped, have %d taken of %+v", taken, stats)
	}
	return stats
}

// held is what a process has.
type held struct{ goroutines, descriptors, children int }

// over is what is more than before.
func (h held) over(before held) held {
	return held{max(h.goroutines-before.goroutines, 0), max(h.descriptors-before.descriptors, 0), max(h.children-before.children, 0)}
}

// holdings counts what this process has.
func holdings(t testing.TB) held {
	t.Helper()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return held{runtime.NumGoroutine(), len(descriptors), len(descendants(t, os.Getpid()))}
}
