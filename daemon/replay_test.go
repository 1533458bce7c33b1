package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightd/decide"
	"sightd/publish"
)

// replayed are the events of a replay, in words.
func replayed(t *testing.T, c Config, o ReplayOptions) ([]string, ReplayResult) {
	t.Helper()
	var told []string
	o.Event = func(e decide.Event, m publish.Model) error {
		told = append(told, fmt.Sprint(e.Kind, " ", e.Label.Label, " ", e.Time.Sub(o.Start), " ", e.File, " ", m.Name))
		return nil
	}
	result, err := Replay(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	return told, result
}

var nightfall = time.Date(2026, 9, 23, 22, 0, 0, 0, time.UTC)

// TestReplay decides on a recording of half a minute in no time.
func TestReplay(t *testing.T) {
	c := Default()
	c.Decide.Hold, c.Decide.Cooldown = time.Second, 0
	told, result := replayed(t, c, ReplayOptions{Path: recording(t, 30, "golf_ball", "parachute"), FPS: 2, Start: nightfall})
	want := []string{"enter golf ball 1s 002.png googlenet-imagenette-int8", "change parachute 17s 034.png googlenet-imagenette-int8"}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("want %q, have %q", want, told)
	}
	if result.Pictures != 60 || result.Classified+result.Unchanged != 60 || result.Classified > 20 || result.State.Label != "parachute" {
		t.Errorf("want 60 pictures, few of them classified, have %+v", result)
	}
	if last := result.Entries[len(result.Entries)-1]; last.Shown != "parachute" || !last.Until.Equal(result.Last) {
		t.Errorf("want the last picture explained, have %+v", last)
	}
	if _, err := Replay(t.Context(), c, ReplayOptions{Path: t.TempDir(), Source: "door"}); err == nil || !strings.Contains(err.Error(), `"door"`) {
		t.Errorf("want an error that names the source, have %v", err)
	}
}

// TestReplayScores decides on kept scores as on the pictures, by the rules that they were kept with and by others.
func TestReplayScores(t *testing.T) {
	c := Default()
	c.Decide.Hold, c.Decide.Cooldown = time.Second, 0
	slow := c
	slow.Decide.Confirm = [2]int{5, 5}
	live := defaultSource(TypeReplay)
	live.Name, live.Path, live.Interval = "door", "x", 2*time.Second
	seldom := c
	seldom.Sources = []SourceConfig{live}
	o := ReplayOptions{Path: recording(t, 20, "golf_ball", "parachute", "golf_ball"), FPS: 5, Start: nightfall}
	kept := o
	kept.Scores = filepath.Join(t.TempDir(), "night.scores")
	for i, config := range []Config{c, c, slow, seldom} {
		want, fresh := replayed(t, config, o)
		have, result := replayed(t, config, kept)
		if fmt.Sprint(have) != fmt.Sprint(want) || len(want) < 2 {
			t.Errorf("%d: want %q, have %q", i, want, have)
		}
		fresh.Source, fresh.Kept = result.Source, i > 0
		if fmt.Sprintf("%+v", result) != fmt.Sprintf("%+v", fresh) {
			t.Errorf("%d: want %+v, have %+v", i, fresh, result)
		}
	}
	other := kept
	other.FPS = 4
	file, err := os.ReadFile(kept.Scores)
	if err != nil {
		t.Fatal(err)
	}
	cut := kept
	cut.Scores += ".cut"
	if err := os.WriteFile(cut.Scores, file[:len(file)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]ReplayOptions{"fps is 4, not 5": other, "unexpected EOF": cut} {
		o.Event = func(decide.Event, publish.Model) error { return nil }
		if _, err := Replay(t.Context(), c, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, have %v", want, err)
		}
	}
}
