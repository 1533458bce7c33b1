package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sightd/inference"
	"sightd/inference/auction"
	"sightd/inference/tflite/faulty"
	"sightd/publish"
)

// about is what a test reads of bridge/info and bridge/health.
type about struct {
	Delegate struct {
		Requested, Active, Reason string
		Threads                   int
		Nodes                     struct{ Taken, Total *int }
		Tried                     []struct {
			Delegate, Reason string
			Passed           bool
			MS               *float64
		}
	}
	Status string
	Checks []struct {
		Name, Detail string
		Status       publish.CheckStatus
	}
}

// tells waits until a topic's message has all of parts, and reads it.
func (w *witness) tells(t *testing.T, topic string, parts ...string) (a about) {
	t.Helper()
	if text := w.until(t, topic, parts...); json.Unmarshal([]byte(text), &a) != nil {
		t.Fatalf("%s: want JSON, have %s", topic, text)
	}
	return a
}

// events counts those of the source inbox.
func (w *witness) events() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, topic := range w.all {
		if topic == publish.EventTopic(testBase, "inbox") {
			n++
		}
	}
	return n
}

// faultyConfig asks for the faulty delegate, which misbehaves as soon as there is a file trigger.
func faultyConfig(t *testing.T, do string) (c Config, trigger string) {
	t.Helper()
	c, trigger = testConfig(t), filepath.Join(t.TempDir(), "trigger")
	c.Model.Delegate, c.Model.Threads = string(external(faulty.Build(t), "do", do, "file", trigger)), 1
	return c, trigger
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// ledgerKey is where the daemon looks for what was tried before.
func ledgerKey(t *testing.T, c Config) auction.Key {
	t.Helper()
	o, err := c.Engine()
	if err != nil {
		t.Fatal(err)
	}
	m, err := load(o.Model)
	if err != nil {
		t.Fatal(err)
	}
	key, err := (&Chooser{}).key(o, o.Options.Delegate, m)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keep writes into the ledger that the configured delegate was tried and is the best, then others, XNNPACK and the built-in kernels.
func keep(t *testing.T, c Config, others ...inference.Delegate) {
	t.Helper()
	all := slices.Concat([]inference.Delegate{inference.Delegate(c.Model.Delegate)}, others, []inference.Delegate{inference.XNNPACK, inference.CPU})
	var receipts []auction.Receipt
	for i, d := range all {
		receipts = append(receipts, auction.Receipt{
			Candidate: auction.Candidate{Delegate: d, Threads: c.Model.Threads}, Passed: true, MS: float64(5 + i), Runs: 50, Proven: 4,
		})
	}
	if err := openLedger(t, c.StateDir).Keep(ledgerKey(t, c), receipts); err != nil {
		t.Fatal(err)
	}
}

// marked says why the ledger marks a delegate, "" if it doesn't.
func marked(t *testing.T, c Config, d inference.Delegate) string {
	t.Helper()
	reason, _ := openLedger(t, c.StateDir).Marked(ledgerKey(t, c), d)
	return reason
}

// inUse reports whether the ledger says that a delegate would be to blame if the process died.
func inUse(t *testing.T, c Config) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.StateDir, "delegates.json"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(text, []byte(`"in_use"`))
}

// checkPassedOver starts the daemon anew: it passes the configured delegate over, and says why.
func checkPassedOver(t *testing.T, c Config, why string) *running {
	t.Helper()
	r := runOptions(t, c, Options{Trials: []string{"/none/sightd"}}) // what it has to know is in the ledger
	info := r.tells(t, publish.InfoTopic(testBase), `"active":"xnnpack"`)
	if d := info.Delegate; d.Requested != c.Model.Delegate || !strings.Contains(d.Reason, "is passed over: ") || !strings.Contains(d.Reason, why) {
		t.Errorf("bridge/info: got %+v, want that %s is passed over: %s", d, c.Model.Delegate, why)
	}
	last := info.Delegate.Tried[len(info.Delegate.Tried)-1]
	if last.Delegate != c.Model.Delegate || last.Passed || !strings.Contains(last.Reason, why) {
		t.Errorf("bridge/info: got %+v tried last, want %s, not passed: %s", last, c.Model.Delegate, why)
	}
	r.checkWarned(t, why)
	return r
}

// checkWarned wants bridge/health to warn of the delegate, because of why.
func (r *running) checkWarned(t *testing.T, why string) {
	t.Helper()
	health := r.tells(t, publish.HealthTopic(testBase), `"status":"degraded"`, why)
	for _, check := range health.Checks {
		if check.Name == "delegate" && check.Status == publish.CheckWarn && strings.Contains(check.Detail, why) {
			return
		}
	}
	t.Errorf("bridge/health: got %+v, want a warning of the delegate: %s", health, why)
}

// TestFallBack has a delegate that fails while the daemon runs. The picture at which it does is judged by the next best, and it is used
// no more, nor at the next start.
func TestFallBack(t *testing.T) {
	for _, test := range []struct {
		do, why   string
		auctioned bool // it has been found to be the best by trials of this start
		request   bool // it fails at a request's picture
	}{
		{"fail", "the faulty delegate fails as it was told", true, false},
		{"nan", "value 0 is NaN", false, false},
		{"nan", "value 0 is NaN", false, true},
	} {
		t.Run(fmt.Sprintf("%s request %v", test.do, test.request), func(t *testing.T) {
			c, trigger := faultyConfig(t, test.do)
			if !test.auctioned {
				keep(t, c)
			}
			r := runOptions(t, c, Options{Trials: trialProgram(t)})
			info := r.tells(t, publish.InfoTopic(testBase), `"active":"external:`)
			if d := info.Delegate; d.Active != c.Model.Delegate || len(d.Tried) != 3 || d.Nodes.Taken == nil || *d.Nodes.Taken != 1 || *d.Nodes.Total != 88 || d.Threads != 1 {
				t.Errorf("bridge/info: got %+v, want 3 tried, 1 of 88 nodes", d)
			}
			events := publish.EventTopic(testBase, "inbox")
			drop(t, c.Sources[0].Path, "golf_ball", "a.png")
			r.until(t, events, `"file":"a.png"`, `"label":"golf ball"`, `"delegate":"external:`)
			r.tells(t, publish.HealthTopic(testBase), `"status":"ok"`)
			if !inUse(t, c) {
				t.Error("the ledger doesn't know that the delegate is in use")
			}

			touch(t, trigger)
			ask := func(transaction string) {
				r.send(t, publish.RequestImageTopic(testBase, transaction), string(samplePNG(t, "parachute")))
				r.until(t, publish.ResponseTopic(testBase, publish.Classify), `"transaction":"`+transaction+`"`, `"label":"parachute"`, `"delegate":"xnnpack"`)
			}
			if test.request {
				ask("tx-1")
			}
			drop(t, c.Sources[0].Path, "parachute", "b.png")
			r.until(t, events, `"file":"b.png"`, `"event_type":"classified"`, `"label":"parachute"`, `"delegate":"xnnpack"`)
			waitFor(t, filepath.Join(c.Sources[0].Path, "done", "b.png"))
			ask("tx-2")

			info = r.tells(t, publish.InfoTopic(testBase), `"active":"xnnpack"`)
			if d := info.Delegate; d.Requested != c.Model.Delegate || !strings.Contains(d.Reason, "failed at 2") || !strings.Contains(d.Reason, test.why) {
				t.Errorf("bridge/info: got %+v, want what failed, and why: %s", d, test.why)
			}
			r.checkWarned(t, test.why)
			if inUse(t, c) {
				t.Error("the ledger says that the delegate is still in use")
			}
			if n := r.events(); n != 2 {
				t.Errorf("%d events of 2 pictures", n)
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}

			r = checkPassedOver(t, c, test.why)
			drop(t, c.Sources[0].Path, "golf_ball", "c.png")
			r.until(t, events, `"file":"c.png"`, `"label":"golf ball"`, `"delegate":"xnnpack"`)
		})
	}
}

// TestDelegateGone has a delegate that can't be had any more at a start, as when its device was pulled out: it isn't marked for that.
func TestDelegateGone(t *testing.T) {
	c, trigger := faultyConfig(t, "refuse")
	keep(t, c)
	touch(t, trigger)
	r := runOptions(t, c, Options{Trials: trialProgram(t)})
	info := r.tells(t, publish.InfoTopic(testBase), `"active":"xnnpack"`)
	if d := info.Delegate; !strings.Contains(d.Reason, "no such device: the faulty delegate refuses") {
		t.Errorf("bridge/info: got %+v, want why", d)
	}
	r.checkWarned(t, "no such device")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(trigger); err != nil {
		t.Fatal(err)
	}
	r = runOptions(t, c, Options{Trials: trialProgram(t)})
	r.tells(t, publish.InfoTopic(testBase), `"active":"external:`)
}

// paint writes a picture whose left half is black.
func paint(t *testing.T, path string, right uint8) {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 32, 32))
	draw.Draw(img, image.Rect(16, 0, 32, 32), image.NewUniform(color.Gray{Y: right}), image.Point{}, draw.Src)
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestNoNumber has a network that puts out NaN for some pictures, whatever runs it. They are refused, and all goes on as before.
func TestNoNumber(t *testing.T) {
	c := testConfig(t)
	c.Model.Path, c.Model.Labels = dazzledNetwork(t)
	inbox := c.Sources[0].Path
	r := runWith(t, c)
	events := publish.EventTopic(testBase, "inbox")
	for i := range 2 {
		paint(t, filepath.Join(inbox, fmt.Sprint("black", i, ".png")), 0)
		r.until(t, events, fmt.Sprintf(`"file":"black%d.png"`, i), `"label":"b"`, `"delegate":"xnnpack"`)
		paint(t, filepath.Join(inbox, fmt.Sprint("half", i, ".png")), 255)
		r.until(t, events, fmt.Sprintf(`"file":"half%d.png"`, i), `"event_type":"error"`, "what is no number")
		waitFor(t, filepath.Join(inbox, "failed", fmt.Sprint("half", i, ".png")))
	}
	r.send(t, publish.RequestTopic(testBase, publish.HealthCheck), `{"transaction":1}`)
	answer := r.until(t, publish.ResponseTopic(testBase, publish.HealthCheck), `"transaction":1`)
	if !strings.Contains(answer, `{"name":"delegate","status":"ok"`) {
		t.Errorf("health is %s, want nothing to say against the delegate", answer)
	}
	if info := r.until(t, publish.InfoTopic(testBase)); strings.Contains(info, "failed at") {
		t.Errorf("bridge/info is %s, want no failure of a delegate", info)
	}
}

// TestLimit has delegates of all speeds.
func TestLimit(t *testing.T) {
	for _, test := range []struct {
		least time.Duration
		ms    float64
		want  time.Duration
	}{
		{0, 0, leastLimit}, {0, 99, leastLimit}, {0, 150, 15 * time.Second}, {time.Second, 2, time.Second}, {time.Second, 1500, 150 * time.Second},
	} {
		d := &Daemon{opts: Options{leastLimit: test.least}}
		if got := d.limit(auction.Receipt{MS: test.ms}); got != test.want {
			t.Errorf("%v ms, at least %v: got %v, want %v", test.ms, test.least, got, test.want)
		}
	}
}

// TestFallBackTwice has two delegates that fail, one after the other, at the same picture: the third one judges it.
func TestFallBackTwice(t *testing.T) {
	c, trigger := faultyConfig(t, "fail")
	path, _, err := inference.Delegate(c.Model.Delegate).Library()
	if err != nil {
		t.Fatal(err)
	}
	second := external(path, "do", "nan", "after", "4", "file", trigger) // 4 golden inputs
	keep(t, c, second)
	r := runOptions(t, c, Options{Trials: trialProgram(t)})
	r.tells(t, publish.InfoTopic(testBase), `"active":"external:`)
	touch(t, trigger)
	drop(t, c.Sources[0].Path, "parachute", "a.png")
	r.until(t, publish.EventTopic(testBase, "inbox"), `"file":"a.png"`, `"label":"parachute"`, `"delegate":"xnnpack"`)
	info := r.tells(t, publish.InfoTopic(testBase), `"active":"xnnpack"`)
	if why := string(second) + " failed at 2"; !strings.Contains(info.Delegate.Reason, why) {
		t.Errorf("bridge/info: got %+v, want %q", info.Delegate, why)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []inference.Delegate{inference.Delegate(c.Model.Delegate), second} {
		if marked(t, c, d) == "" {
			t.Errorf("%s: want a mark, have none", d)
		}
	}
	if n := r.events(); n != 1 {
		t.Errorf("%d events of a picture", n)
	}
}
