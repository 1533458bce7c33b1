package daemon

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sightd/camera/capture"
	"sightd/camera/live"
	"sightd/camera/view"
	"sightd/decide"
	"sightd/publish"
)

// recording is a folder of drawn pictures, so many of each in turn.
func recording(t *testing.T, of int, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range names {
		data, err := SamplePNG(name)
		if err != nil {
			t.Fatal(err)
		}
		for k := range of {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.png", i*of+k)), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// liveConfig has one live source, the recording "door", which is decided upon fast.
func liveConfig(t *testing.T, dir string) Config {
	t.Helper()
	c := testConfig(t)
	door := defaultSource(TypeReplay)
	door.Name, door.Path, door.FPS, door.Loop = "door", dir, 20, true
	c.Sources = []SourceConfig{door}
	c.Decide.Hold, c.Decide.Cooldown, c.Decide.Confirm = 200*time.Millisecond, 0, [2]int{2, 3}
	return c
}

// restart begins a live source's recording anew, so that no event came before the witness.
func (r *running) restart(t *testing.T, source string) {
	t.Helper()
	r.send(t, publish.SetTopic(testBase, source), "OFF")
	r.until(t, publish.SourceStateTopic(testBase, source), `"label":null`, `"enabled":false`)
	r.send(t, publish.SetTopic(testBase, source), "ON")
}

// TestLiveSource sees every kind of message of a live source: the witness holds each against its schema.
func TestLiveSource(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	c := liveConfig(t, recording(t, 20, "golf_ball", "parachute"))
	c.Snapshots.Enabled, c.Snapshots.MQTT = true, true
	r := runWith(t, c)
	events, state := publish.EventTopic(testBase, "door"), publish.SourceStateTopic(testBase, "door")
	r.restart(t, "door")
	r.until(t, publish.AvailabilityTopic(testBase, "door"), publish.Online)
	r.until(t, events, `"event_type":"enter"`, `"label":"golf ball"`, `"file":"0`)
	r.until(t, state, `"label":"golf ball"`, `"problem":null`)
	r.until(t, publish.ImageTopic(testBase, "door"), "\xff\xd8\xff")
	change := r.until(t, events, `"event_type":"change"`, `"label":"parachute"`, `"previous":"golf ball"`)
	var said struct {
		Score    float64 `json:"score"`
		Smoothed float64 `json:"smoothed"`
		Duration float64 `json:"duration_s"`
		InferMS  float64 `json:"infer_ms"`
		ID       string  `json:"id"`
	}
	if err := json.Unmarshal([]byte(change), &said); err != nil {
		t.Fatal(err)
	}
	if said.Score < 0.6 || said.Smoothed < 0.6 || said.Duration <= 0 || said.InferMS <= 0 {
		t.Errorf("want scores, a duration and a time, have %s", change)
	}

	r.send(t, publish.RequestTopic(testBase, publish.Explain), fmt.Sprintf(`{"transaction":1,"source":"door","at":%q,"span_s":60}`, time.Now().UTC().Format(time.RFC3339)))
	r.until(t, publish.ResponseTopic(testBase, publish.Explain), `"transaction":1`, `"gate":"entered"`, `"gate":"unchanged"`, `"gate":"changed"`)
	r.send(t, publish.RequestTopic(testBase, publish.Explain), `{"transaction":2,"source":"yard"}`)
	r.until(t, publish.ResponseTopic(testBase, publish.Explain), `"transaction":2`, `"status":"error"`, "door")
	r.send(t, publish.RequestTopic(testBase, publish.Snapshot), `{"transaction":3,"source":"door"}`)
	answer := r.until(t, publish.ResponseTopic(testBase, publish.Snapshot), `"transaction":3`, `"status":"ok"`)
	if jpeg := imageIn(t, answer); !strings.HasPrefix(jpeg, "\xff\xd8\xff") {
		t.Errorf("want a JPEG, have %.20q", jpeg)
	}
	if kept, err := filepath.Glob(filepath.Join(c.StateDir, "snapshots", "door", "*_"+said.ID+".jpg")); err != nil || len(kept) != 1 {
		t.Errorf("want the snapshot of the change, have %q, %v", kept, err)
	}

	r.send(t, publish.SetTopic(testBase, "door"), "OFF")
	r.until(t, publish.AvailabilityTopic(testBase, "door"), publish.Disabled)
	r.until(t, events, `"event_type":"leave"`, `"error":"source is switched off"`)
	r.until(t, state, `"label":null`, `"enabled":false`)
	r.send(t, publish.SetTopic(testBase, "door"), "ON")
	r.until(t, publish.AvailabilityTopic(testBase, "door"), publish.Online)
	r.until(t, events, `"event_type":"enter"`)
	r.send(t, publish.RequestTopic(testBase, publish.HealthCheck), `{"transaction":4}`)
	health := r.until(t, publish.ResponseTopic(testBase, publish.HealthCheck), `"transaction":4`, `"type":"replay"`, `"step_ms":{"p50":`)
	if strings.Contains(health, `"unchanged":0`) {
		t.Errorf("want pictures that were not classified, as nothing moved, have %s", health)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	settle(t, goroutines)
}

// imageIn is the picture in a response.
func imageIn(t *testing.T, response string) string {
	t.Helper()
	var answer struct {
		Data struct {
			Image string `json:"image"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(response), &answer); err != nil {
		t.Fatal(err)
	}
	file, err := base64.StdEncoding.DecodeString(answer.Data.Image)
	if err != nil {
		t.Fatal(err)
	}
	return string(file)
}

// TestLiveProblem has a camera that isn't there beside a folder and another camera, which go on.
func TestLiveProblem(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c := liveConfig(t, recording(t, 5, "golf_ball"))
	away := defaultSource(TypeURL)
	away.Name, away.URL = "yard", "http://user:secret@"+gone+"/stream"
	c.Sources = append(c.Sources, away, testConfig(t).Sources[0])
	r := runWith(t, c)
	r.until(t, publish.AvailabilityTopic(testBase, "yard"), publish.Offline)
	problem := r.until(t, publish.SourceStateTopic(testBase, "yard"), `"problem":"`, "connection refused")
	r.send(t, publish.SetTopic(testBase, "yard"), "OFF") // to see the problem arise, and leave its event
	r.until(t, publish.SourceStateTopic(testBase, "yard"), `"problem":null`, `"enabled":false`)
	r.send(t, publish.SetTopic(testBase, "yard"), "ON")
	r.until(t, publish.EventTopic(testBase, "yard"), `"event_type":"error"`, "connection refused")
	r.restart(t, "door")
	r.until(t, publish.EventTopic(testBase, "door"), `"event_type":"enter"`, `"label":"golf ball"`)
	drop(t, c.Sources[2].Path, "parachute", "a.png")
	r.until(t, publish.EventTopic(testBase, "inbox"), `"classified"`, `"label":"parachute"`)
	r.send(t, publish.RequestTopic(testBase, publish.Snapshot), `{"transaction":1,"source":"yard"}`)
	r.until(t, publish.ResponseTopic(testBase, publish.Snapshot), `"status":"error"`, "connection refused")
	r.send(t, publish.RequestTopic(testBase, publish.Snapshot), `{"transaction":2,"source":"inbox"}`)
	r.until(t, publish.ResponseTopic(testBase, publish.Snapshot), `"transaction":2`, `"status":"error"`, "folder")
	if strings.Contains(problem, "secret") {
		t.Errorf("want no password told, have %s", problem)
	}
}

// TestBlackPicture has a camera that sees nothing: it says so, and nothing is classified.
func TestBlackPicture(t *testing.T) {
	c := liveConfig(t, recording(t, 40, "golf_ball"))
	if err := writeBlack(c.Sources[0].Path, 40, 120); err != nil {
		t.Fatal(err)
	}
	c.Sources[0].Loop = true
	r := runWith(t, c)
	r.until(t, publish.EventTopic(testBase, "door"), `"event_type":"enter"`)
	r.until(t, publish.SourceStateTopic(testBase, "door"), `"problem":"picture is black"`)
	r.until(t, publish.EventTopic(testBase, "door"), `"event_type":"leave"`, `"error":"picture is black"`)
	r.until(t, publish.SourceStateTopic(testBase, "door"), `"problem":null`, `"label":"golf ball"`)
}

// TestPrivacy wants no picture anywhere.
func TestPrivacy(t *testing.T) {
	c := liveConfig(t, recording(t, 20, "golf_ball", "parachute"))
	c.Privacy = PrivacyLabelsOnly
	r := runWith(t, c)
	r.until(t, publish.EventTopic(testBase, "door"), `"event_type":"change"`)
	r.send(t, publish.RequestTopic(testBase, publish.Snapshot), `{"transaction":1,"source":"door"}`)
	r.until(t, publish.ResponseTopic(testBase, publish.Snapshot), `"status":"error"`, "labels_only")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(c.StateDir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		if strings.Contains(string(text), "\xff\xd8\xff") || strings.Contains(string(text), "\x89PNG") {
			t.Errorf("want no picture, have one in %s", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPaceOfLooks wants fps and interval kept on the average by pictures that don't come on the tick.
func TestPaceOfLooks(t *testing.T) {
	for _, test := range []struct {
		fps      float64
		interval time.Duration
		heat     float64
		want     int // looks in 10 s of pictures at 30 a second
	}{
		{0, 0, 1, 300}, {30, 0, 1, 300}, {15, 0, 1, 150}, {15, time.Second, 1, 10}, {15, 0, 3, 50}, {0, 100 * time.Millisecond, 2, 50},
	} {
		decider, err := decide.New(decide.DefaultRules(), []string{"a"}, 1)
		if err != nil {
			t.Fatal(err)
		}
		decider.Observe(decide.Look{Time: noon, Scores: []float32{0.1}}) // no decision is pending
		o := observer{config: SourceConfig{FPS: test.fps, Interval: test.interval}, decider: decider}
		n := 0
		for i := range 300 {
			jitter := time.Duration(i%5-2) * 3 * time.Millisecond
			if o.mayLook(noon.Add(time.Duration(i)*time.Second/30+jitter), test.heat) {
				n++
			}
		}
		if n < test.want-2 || n > test.want+2 {
			t.Errorf("%v fps, every %v, %v times as seldom: want %d looks, have %d", test.fps, test.interval, test.heat, test.want, n)
		}
	}
}

// TestFlappingProblem has a camera whose pictures can now be decoded, now not: that is one problem, not a hundred.
func TestFlappingProblem(t *testing.T) {
	w := &watcher{observer: &observer{config: SourceConfig{Type: TypeURL, Stall: 5 * time.Second, Frozen: 30 * time.Second}}}
	var err error
	w.live, err = live.Start(live.Options{Name: "door", Enabled: true, Open: func(ctx context.Context) (capture.Stream, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.live.Close() // the test's own
	changes, last := 0, ""
	look := func() {
		if now := w.live.Stats().Problem; now != last {
			changes, last = changes+1, now
		}
	}
	now := noon
	for range 200 { // 40 s
		for range 3 {
			now = now.Add(50 * time.Millisecond)
			w.refuse("it is cut off", now)
			look()
		}
		now = now.Add(50 * time.Millisecond)
		w.complain(view.Look{}, now)
		look()
	}
	if changes != 1 || !strings.Contains(last, "it is cut off") {
		t.Errorf("want the problem told once, have it changed %d times, to %q", changes, last)
	}
	for range 50 {
		now = now.Add(50 * time.Millisecond)
		w.complain(view.Look{}, now)
	}
	if look(); last != "" {
		t.Errorf("after good pictures: want no problem, have %q", last)
	}

	s := newSource(SourceConfig{Name: "door", Type: TypeURL}, savedSource{})
	s.watcher = w
	arisen := 0
	for i := range 120 { // a light that blinks for two minutes
		w.live.Complain([]string{"picture is black", ""}[i%2])
		if _, new := s.say(noon.Add(time.Duration(i) * time.Second)); new {
			arisen++
		}
	}
	if arisen != 2 {
		t.Errorf("want the problem to be an event once a minute, have %d in two", arisen)
	}
}
