package testbench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sightd/testbench/cameras"
)

// doubtful is a photo whose best label has less than limit, or the noise that is drawn where there are no photos.
func doubtful(t testing.TB, limit float64) photo {
	t.Helper()
	noise := filepath.Join(t.TempDir(), "noise.jpg")
	if err := os.WriteFile(noise, drawnJPEG(t, "noise", 224), 0o600); err != nil {
		t.Fatal(err)
	}
	files := []string{noise}
	if _, err := os.Stat(filepath.Join(repository(t), "..", "shared", "images")); err == nil {
		files, _ = validationPhotos(t, 200)
	}
	verdicts := classify(t, files)
	for _, file := range files {
		v := verdicts[filepath.Base(file)]
		if v.Score >= limit {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := cameras.NewPicture(data)
		if err != nil {
			t.Fatal(err)
		}
		return photo{p, v}
	}
	t.Skipf("want a picture whose best label has less than %v, have none", limit)
	return photo{}
}

// sightdOutput runs sightd with variables, and gives its standard output.
func sightdOutput(t testing.TB, dir string, env []string, arguments ...string) string {
	t.Helper()
	cmd := exec.Command(sightd(t), arguments...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), &strings.Builder{}
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("sightd %s: %v\n%s%s", strings.Join(arguments, " "), err, output, cmd.Stderr)
	}
	return string(output)
}

// TestExplain asks the daemon with sightd explain what became of a photo that is no event.
func TestExplain(t *testing.T) {
	t.Parallel()
	const limit = 0.5
	doubt := doubtful(t, limit)
	sure := surePhotos(t, 2)[0]
	camera := httpCamera(t, 10, 1, doubt)
	b := liveBoard(t, "{enter: 0.6, stay: 0.4, confirm: [2, 3], hold: 0s, cooldown: 0s, smoothing: 0, unknown: off}",
		fmt.Sprintf("name: door, type: url, url: %q, motion: off", camera.URL()))
	p := start(t, b.dir, sightd(t), "run", "-c", "sightd.yaml")
	url := p.field(t, "embedded broker is listening", "broker")
	a := listen(t, url)
	a.well(t, "door")
	eventually(t, func() bool { return a.vitals(t).pulse(t, "door").Done > 5 }, func() string { return "want pictures of the door to be judged" })
	env := []string{"SIGHTD_MQTT_BROKER=" + url}
	at := time.Now()
	if n := len(a.heard("door").events); n != 0 {
		t.Fatalf("want no event of a photo that is %v sure, have %d", doubt.Score, n)
	}

	text := sightdOutput(t, b.dir, env, "explain", "door", "--at", at.Format(time.TimeOnly), "-c", "sightd.yaml")
	if !strings.Contains(text, "below enter") || !strings.Contains(text, doubt.Label) || !strings.Contains(text, "0.60") && !strings.Contains(text, "0.6") {
		t.Errorf("want an explanation with the label %q, its gate and the limit, have\n%s", doubt.Label, text)
	}
	var answer struct {
		Entries []struct {
			Gate, Shown string
			Top         []struct {
				Label string
				Score float64
			}
		}
	}
	text = sightdOutput(t, b.dir, env, "explain", "door", "--at", at.Format(time.RFC3339), "--span", "30s", "--json", "-c", "sightd.yaml")
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Entries) == 0 {
		t.Fatalf("explain --json: want entries, have %s: %v", text, err)
	}
	for _, e := range answer.Entries {
		if e.Gate != "below_enter" && e.Gate != "camera_lost" || e.Gate == "below_enter" && (len(e.Top) == 0 || e.Top[0].Label != doubt.Label || e.Top[0].Score >= limit) {
			t.Errorf("want the gate below_enter with %s %.2f, have %+v", doubt.Label, doubt.Score, e)
		}
	}

	camera.Show(1, sure.Picture)
	a.until(t, func() bool { return slices.Contains(a.of("door").shown(), sure.Label) }, func() string { return "want an event of " + sure.Label })
	text = sightdOutput(t, b.dir, env, "explain", "door", "-c", "sightd.yaml")
	if !strings.Contains(text, sure.Label+" entered at ") {
		t.Errorf("want to be told that %s entered, have\n%s", sure.Label, text)
	}
	p.stop(t)
}

// outcome is what an event of a recording says that doesn't depend on the time that it took to see it.
type outcome struct{ Type, Label, Previous string }

// TestReplay has the daemon and sightd replay decide on the same recording. The latter doesn't wait for its time to pass.
func TestReplay(t *testing.T) {
	t.Parallel()
	const fps, each = 5, 10
	photos := surePhotos(t, 4)
	recording := t.TempDir()
	n := 0
	for _, p := range slices.Concat(photos, photos[:1]) {
		for range each {
			if err := os.WriteFile(filepath.Join(recording, fmt.Sprintf("%04d.jpg", n)), p.Data, 0o600); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	m := startMosquitto(t)
	b := liveBoard(t, prompt, fmt.Sprintf("name: door, type: replay, path: %q, fps: %d", recording, fps))
	b.configure(t, embedded, fmt.Sprintf("broker: %q", m.url))
	a := listen(t, m.url)
	p := start(t, b.dir, sightd(t), "run", "-c", "sightd.yaml")
	p.line(t, "the recording has ended")
	a.until(t, func() bool {
		events := a.of("door").events
		return len(events) > len(photos) && events[len(events)-1].Type == "leave"
	}, func() string {
		return fmt.Sprintf("want the recording's events, have %q", a.of("door").shown())
	})
	var want, have []outcome
	for _, e := range a.heard("door").events {
		want = append(want, outcome{e.Type, e.label(), e.Previous})
	}
	p.stop(t)

	begin := time.Now()
	text := sightdOutput(t, b.dir, nil, "replay", recording, "-c", "sightd.yaml", "--fps", fmt.Sprint(fps), "--json")
	took := time.Since(begin)
	for line := range strings.Lines(text) {
		var e sighting
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("sightd replay --json wrote %s: %v", line, err)
		}
		have = append(have, outcome{e.Type, e.label(), e.Previous})
	}
	if want[len(want)-1].Type == "leave" && (len(have) == 0 || have[len(have)-1].Type != "leave") {
		want = want[:len(want)-1] // the daemon has seen that no more came
	}
	if !slices.Equal(want, have) {
		t.Errorf("want the events of the daemon, %+v, have %+v", want, have)
	}
	recorded := time.Duration(n/fps) * time.Second
	t.Logf("%d pictures, %d events; %v of a recording in %v", n, len(have), recorded, took)
	if took > recorded {
		t.Errorf("want a recording of %v decided upon in less than its time, took %v", recorded, took)
	}
}
