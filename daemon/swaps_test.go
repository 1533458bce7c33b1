package daemon

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sightd/inference/tflite/malloctest"
	"sightd/publish"
)

const (
	swaps      = 100
	swapsUntil = 20 // is when all that is kept for good has been made

	// Bytes that may be more after all swaps: what C has allocated, and what the process has. A model has some ten million, and at either
	// time up to four lanes may have one too, or none: a hundred would be left behind.
	mallocGrowth = 4<<20 + 4*10<<20
	rssGrowth    = 32<<20 + 4*10<<20
)

// usage is what a process has.
type usage struct{ goroutines, files, rss, malloc int }

// usageNow is what this process has, when what was left of the last picture has ended.
func usageNow(t *testing.T) usage {
	t.Helper()
	runtime.GC()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return usage{runtime.NumGoroutine(), len(entries), pages * os.Getpagesize(), int(malloctest.InUse())}
}

// rush drops pictures into a folder, some at a time, until it is told to stop, and counts their events.
type rush struct {
	mu     sync.Mutex
	events map[string]int // of each file
	models map[string]int // of each sha256
	bad    []string
	room   chan struct{}
	stop   chan struct{}
	ended  chan int // gets how many were dropped
}

const atATime = 24

func newRush(t *testing.T, r *running, inbox string) *rush {
	t.Helper()
	l := &rush{events: map[string]int{}, models: map[string]int{}, room: make(chan struct{}, atATime), stop: make(chan struct{}), ended: make(chan int, 1)}
	r.listen(t, publish.EventTopic(testBase, "inbox"), l.take)
	names := []string{"golf_ball", "parachute", "gradient", "noise"}
	var pictures [][]byte
	for _, name := range names {
		data, err := SamplePNG(name)
		if err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, data)
	}
	go func() {
		n := 0
		defer func() { l.ended <- n }()
		for ; ; n++ {
			select {
			case l.room <- struct{}{}:
			case <-l.stop:
				return
			}
			file := fmt.Sprintf("%05d_%s.png", n, names[n%len(names)])
			err := os.WriteFile(filepath.Join(inbox, "."+file), pictures[n%len(names)], 0o600)
			if err == nil {
				err = os.Rename(filepath.Join(inbox, "."+file), filepath.Join(inbox, file))
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	return l
}

func (l *rush) take(payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var e judgement
	if err := json.Unmarshal(payload, &e); err != nil || e.EventType != "classified" || e.Label == nil || e.File == "" {
		l.bad = append(l.bad, string(payload))
		return
	}
	who, label, _ := strings.Cut(*e.Label, " ")
	right := map[string]string{"golf_ball": "golf ball", "parachute": "parachute"}[e.File[len("00000_"):len(e.File)-len(".png")]]
	if e.Model != who || right != "" && right != label {
		l.bad = append(l.bad, string(payload))
	}
	l.models[e.SHA256]++
	if l.events[e.File]++; l.events[e.File] == 1 {
		<-l.room
	}
}

// judged is the number of pictures that have an event.
func (l *rush) judged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

// finish has no more pictures dropped, and waits for the events of those that were.
func (l *rush) finish(t *testing.T) (dropped int) {
	t.Helper()
	close(l.stop)
	dropped = <-l.ended
	for deadline := time.Now().Add(patience); l.judged() < dropped; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("want %d events, have %d", dropped, l.judged())
		}
	}
	return dropped
}

// TestSwapsUnderLoad replaces the model a hundred times while pictures come: each has one event, and nothing is left behind.
func TestSwapsUnderLoad(t *testing.T) {
	c := testConfig(t)
	inbox := c.Sources[0].Path
	c.Sources[0].Settle = 0
	var choices [][]byte
	var sums []string
	for _, name := range []string{"even", "odd"} {
		data, card := variant(t, name, name+" ")    // so that an event tells who has judged the picture
		card.Golden.Inputs = card.Golden.Inputs[:1] // to draw more of them takes the race detector long
		sum := card.File.SHA256
		use(t, c, writeModel(t, filepath.Join(t.TempDir(), name+".tflite"), data, card))
		text, err := os.ReadFile(installedFile(c.StateDir))
		if err != nil {
			t.Fatal(err)
		}
		choices, sums = append(choices, text), append(sums, sum)
	}
	r := runWith(t, c)
	l := newRush(t, r, inbox)
	var early usage
	begun, between := time.Now(), 0
	for i := range swaps {
		if err := replaceFile(installedFile(c.StateDir), choices[i%2]); err != nil {
			t.Fatal(err)
		}
		before := l.judged()
		r.reload(t, fmt.Sprint("swap ", i), `"status":"ok"`, sums[i%2], `"changed":true`)
		if l.judged() > before {
			between++
		}
		if i == swapsUntil {
			early = usageNow(t)
		}
	}
	took := time.Since(begun)
	late := usageNow(t)
	dropped := l.finish(t)
	t.Logf("%d swaps in %v, %d pictures meanwhile, at %d swaps; after %d swaps %+v, at the end %+v",
		swaps, took.Round(time.Millisecond), dropped, between, swapsUntil, early, late)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for file, n := range l.events {
		if n != 1 {
			t.Errorf("%s: want 1 event, have %d", file, n)
		}
	}
	if len(l.events) != dropped || len(l.bad) > 0 {
		t.Errorf("want an event of each of %d pictures, have those of %d, and wrong ones: %q", dropped, len(l.events), l.bad)
	}
	if l.models[sums[0]]+l.models[sums[1]] != dropped || l.models[sums[0]] == 0 || l.models[sums[1]] == 0 {
		t.Errorf("want all pictures judged by both models, have %v", l.models)
	}
	if left := files(t, inbox); len(left) > 0 {
		t.Errorf("want no picture left, have %q", left)
	}
	if done := files(t, filepath.Join(inbox, "done")); len(done) != dropped {
		t.Errorf("want %d pictures done, have %d", dropped, len(done))
	}
	if late.goroutines > early.goroutines+4 || late.files > early.files+10 { // pictures are on their way, now more, now fewer
		t.Errorf("want no more goroutines and files than after %d swaps, %+v, have %+v", swapsUntil, early, late)
	}
	if grown := late.malloc - early.malloc; grown > mallocGrowth {
		t.Errorf("want at most %d bytes of C more than after %d swaps, have %d", mallocGrowth, swapsUntil, grown)
	}
	if grown := late.rss - early.rss; !raceDetector && grown > rssGrowth {
		t.Errorf("want the process to have at most %d bytes more than after %d swaps, have %d", rssGrowth, swapsUntil, grown)
	}
}

// files are those of a folder.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}
