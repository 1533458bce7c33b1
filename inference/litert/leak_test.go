package litert_test

import (
	"errors"
	"os"
	"slices"
	"testing"

	"sightd/inference"
	"sightd/inference/litert"
	"sightd/inference/litert/gputest"
	"sightd/inference/tflite/malloctest"
)

// TestNoLeak opens and closes a network a hundred times: neither memory nor threads may pile up.
func TestNoLeak(t *testing.T) {
	dir := gputest.Need(t)
	if raceEnabled {
		t.Skip("the race detector keeps memory of its own")
	}
	data := append(file(t, small()), make([]byte, 1<<20)...) // behind a model there may be anything; a copy that isn't freed is seen
	cycle := func(n int) {
		for range n {
			c, err := litert.OpenBytes(data, inference.Options{Delegate: inference.GPU}, dir)
			if err != nil {
				t.Fatal(err)
			}
			outputs(t, c)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cycle(20)
	memory, running := malloctest.InUse(), threads(t)
	cycle(80)
	// Drivers and their shader compilers keep some hundred bytes each time, and now and then a larger table.
	if grown := malloctest.InUse() - memory; grown > 2<<20 {
		t.Errorf("80 openings: %d bytes more in use", grown)
	} else {
		t.Logf("80 openings: %d bytes more in use", grown)
	}
	if now := threads(t); now > running+3 { // Go's own come and go
		t.Errorf("threads: %d before, %d after 80 openings", running, now)
	}
}

// TestTwoAtOnce opens and closes networks while another runs, as a change of models does: each has the scores that it has alone.
func TestTwoAtOnce(t *testing.T) {
	dir := gputest.Need(t)
	data := file(t, small())
	running := open(t, dir, data)
	want := outputs(t, running)[0]
	done := make(chan error, 1)
	go func() {
		for range 10 {
			other, err := litert.OpenBytes(data, inference.Options{Delegate: inference.GPU}, dir)
			if err == nil {
				err = errors.Join(other.Invoke(), other.Close())
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for runs := 0; ; runs++ {
		if have := outputs(t, running)[0]; !slices.Equal(have, want) {
			t.Fatalf("run %d: have %v, want %v", runs, have, want)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d runs beside", runs)
			return
		default:
		}
	}
}

// threads counts this process's threads.
func threads(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
