package daemon

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
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
	whenever := kept
	whenever.Start = time.Time{}
	file, err := os.ReadFile(kept.Scores)
	if err != nil {
		t.Fatal(err)
	}
	cut := kept
	cut.Scores += ".cut"
	if err := os.WriteFile(cut.Scores, file[:len(file)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]ReplayOptions{"(fps is 4, was 5)": other, "(start is not given, was 2026-09-23T22:00:00Z)": whenever, "unexpected EOF": cut} {
		o.Event = func(decide.Event, publish.Model) error { return nil }
		if _, err := Replay(t.Context(), c, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, have %v", want, err)
		}
	}
	want, _ := replayed(t, c, kept)
	if err := os.RemoveAll(o.Path); err != nil {
		t.Fatal(err)
	}
	if have, _ := replayed(t, c, kept); fmt.Sprint(have) != fmt.Sprint(want) {
		t.Errorf("want %q of a recording that is gone, have %q", want, have)
	}
}

// part is so many times the same picture of a film: of a drawn thing, black, or no picture at all.
type part struct {
	what string
	of   int
}

// film is a folder of these parts.
func film(t *testing.T, parts ...part) string {
	t.Helper()
	dir, n := t.TempDir(), 0
	for _, p := range parts {
		var data []byte
		var err error
		switch p.what {
		case "black":
			var b bytes.Buffer
			err = png.Encode(&b, image.NewGray(image.Rect(0, 0, 320, 240)))
			data = b.Bytes()
		case "broken":
			data = []byte("no picture")
		default:
			data, err = SamplePNG(p.what)
		}
		if err != nil {
			t.Fatal(err)
		}
		for range p.of {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.png", n)), data, 0o600); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	return dir
}

// TestReplayBlind is of pictures that show nothing. They are a loss once they are a problem and nothing was seen for a second; a
// single one at a cut is none. Scores that are kept tell the same.
func TestReplayBlind(t *testing.T) {
	c := Default()
	c.Decide.Hold, c.Decide.Cooldown, c.Decide.Confirm = 2*time.Second, 0, [2]int{3, 5}
	const fps = 5
	for _, test := range []struct {
		name    string
		parts   []part
		want    string
		refused int
	}{
		{"black after 2 s", []part{{"golf_ball", 25}, {"black", 40}}, "[enter golf ball 400ms  leave golf ball 9s picture is black]", 0},
		{"a black one between two votes", []part{{"golf_ball", 2}, {"black", 1}, {"golf_ball", 10}}, "[enter golf ball 600ms ]", 0},
		{"one that can't be decoded between two votes", []part{{"golf_ball", 2}, {"broken", 1}, {"golf_ball", 10}}, "[enter golf ball 600ms ]", 1},
		{"none can be decoded", []part{{"golf_ball", 25}, {"broken", 20}}, "[enter golf ball 400ms  leave golf ball 7.8s its pictures can't be decoded]", 20},
	} {
		scores := filepath.Join(t.TempDir(), "scores")
		o := ReplayOptions{Path: film(t, test.parts...), FPS: fps, Start: nightfall}
		for _, o.Scores = range []string{"", scores, scores} {
			var told []string
			refused, seen := 0, uint64(0)
			o.Event = func(e decide.Event, _ publish.Model) error {
				why, _, _ := strings.Cut(e.Error, ":")
				told = append(told, fmt.Sprint(e.Kind, " ", e.Label.Label, " ", e.Time.Sub(nightfall), " ", why))
				if e.Source != "replay" || e.Seq != uint64(len(told)) {
					t.Errorf("%s: want event %d of replay, have %d of %q", test.name, len(told), e.Seq, e.Source)
				}
				return nil
			}
			o.Refused = func(seq uint64, file, reason string) {
				if refused++; file != fmt.Sprintf("%03d.png", seq-1) || reason == "" {
					t.Errorf("%s: picture %d, %q, is refused because %q", test.name, seq, file, reason)
				}
			}
			o.Seen = func(r ReplayResult) {
				if seen++; r.Pictures != seen {
					t.Errorf("%s: want picture %d, have %d", test.name, seen, r.Pictures)
				}
			}
			result, err := Replay(t.Context(), c, o)
			if have := fmt.Sprint(told); err != nil || have != test.want {
				t.Errorf("%s, scores %q: want %s, have %s, %v", test.name, o.Scores, test.want, have, err)
			}
			if refused != test.refused || result.Refused != uint64(refused) || result.Pictures != seen || result.Cut {
				t.Errorf("%s: want %d refused, have %d and %+v", test.name, test.refused, refused, result)
			}
		}
	}
}

// TestReplayTimesOfFiles refuses times that run backwards, but for the little by which writers may be late.
func TestReplayTimesOfFiles(t *testing.T) {
	for back, want := range map[time.Duration]string{900 * time.Millisecond: "", 4 * time.Second: `"001.png" was modified 4s before the one in front of it: --fps`} {
		dir := film(t, part{"golf_ball", 2})
		for i, when := range []time.Time{nightfall, nightfall.Add(-back)} {
			if err := os.Chtimes(filepath.Join(dir, fmt.Sprintf("%03d.png", i)), when, when); err != nil {
				t.Fatal(err)
			}
		}
		o := ReplayOptions{Path: dir, Event: func(decide.Event, publish.Model) error { return nil }}
		_, err := Replay(t.Context(), Default(), o)
		if have := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(have, want) {
			t.Errorf("%v back: want %q, have %s", back, want, have)
		}
		o.FPS = 5
		if _, err := Replay(t.Context(), Default(), o); err != nil {
			t.Errorf("%v back, with a rate: %v", back, err)
		}
	}
}

// TestReplayBefore1970 replays what has a time that no id can hold.
func TestReplayBefore1970(t *testing.T) {
	o := ReplayOptions{Path: recording(t, 5, "golf_ball"), FPS: 5, Start: time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)}
	if told, _ := replayed(t, Default(), o); len(told) != 1 {
		t.Errorf("want one event, have %q", told)
	}
}
