package testbench

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"sightd/testbench/cameras"
)

// cameraFaults has a camera for each fault, one without and a folder, see TestCameraFaults. Each round is a board of its own.
func cameraFaults(t *testing.T, f *fault) {
	for range f.rounds {
		o := startOrdeal(t)
		o.endure(t)
		for _, v := range o.victims {
			f.recovered = append(f.recovered, v.shows)
		}
		f.numbered(o.a)
		f.pictures(o.a, "during.jpg", "later.jpg")
		o.p.stop(t)
	}
	f.note("%d cameras with a fault each a round, and one without", len(cameras.Faults))
}

// cameraProgram kills the program that brings a camera's pictures, or stops it for good, by turns.
func cameraProgram(t *testing.T, f *fault) {
	dir, path := fakeRpicam(t)
	r, err := cameras.NewRpicam(dir, 0, cameras.Orders{FPS: 10, Each: 10}, pictures(surePhotos(t, 2))...)
	if err != nil {
		t.Fatal(err)
	}
	c := child{r, "csi"}
	b := liveBoard(t, prompt, `name: csi, type: rpicam, device: "0", size: 224x224, stall: 1s`)
	p, a := b.watch(t, path)
	var names []string
	for round := range f.rounds {
		a.until(t, func() bool { return len(a.of("csi").shown()) > 1 }, func() string { return "want events of the camera" })
		before, _ := c.running(t)
		begin := time.Now()
		c.signal(t, []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP}[round%2])
		names = append(names, fmt.Sprintf("%d.jpg", round))
		b.drop(t, round, names[round], distinct(drawnJPEG(t, "golf_ball", 64), uint64(round)))
		var again time.Time
		eventually(t, func() bool {
			running, _ := c.running(t)
			again = time.Now()
			return len(running) == 1 && !slices.Contains(before, running[0])
		}, func() string { return "want the camera's program started again" })
		a.until(t, func() bool {
			for _, e := range a.of("csi").events {
				if e.shows() && e.at.After(again) {
					f.recovered = append(f.recovered, e.at.Sub(begin))
					return true
				}
			}
			return false
		}, func() string { return "want events of the camera's new program" })
	}
	b.filed(t, names...)
	f.numbered(a)
	f.pictures(a, names...)
	p.stop(t)
}

// numbered counts the events of all sources: none of their numbers may be missing.
func (f *fault) numbered(a *audience) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, s := range a.sources {
		heard, last := map[int]bool{}, 0
		for _, e := range s.events {
			if heard[e.Seq] {
				f.repeated++
			}
			heard[e.Seq], last = true, max(last, e.Seq)
		}
		f.expected += last
		if missing := last - len(heard); missing > 0 {
			f.miss(missing, "%s: of %d events", name, last)
		}
	}
}

// pictures looks for those that have no event.
func (f *fault) pictures(a *audience, names ...string) {
	heard := a.heard("inbox")
	for _, name := range names {
		if !slices.ContainsFunc(heard.events, func(e sighting) bool { return orNothing(e.File) == name }) {
			f.expected++
			f.miss(1, "%s", name)
		}
	}
}
