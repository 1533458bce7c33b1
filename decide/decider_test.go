package decide

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var pets = []string{"cat", "dog", "crane", "sofa", "crane", "none", "hamster", "lamp"}

func decider(t testing.TB, r Rules, temperature float64) *Decider {
	t.Helper()
	d, err := New(r, pets, temperature)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// show is the scores of the classes given by their indices.
func show(of map[int]float32) []float32 {
	scores := make([]float32, len(pets))
	for i, s := range of {
		scores[i] = s
	}
	return scores
}

type scores = map[int]float32

func f(v float64) *float64 { return &v }
func b(v bool) *bool       { return &v }

// TestEvents looks at all that an event says.
func TestEvents(t *testing.T) {
	r := DefaultRules()
	r.Top, r.Groups = 2, map[string][]string{"pet": {"cat", "dog"}}
	d := decider(t, r, 1)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	var events []Event
	look := func(second int, of scores) {
		events = append(events, d.Observe(Look{Time: at(second), Scores: show(of)})...)
	}
	for i := range 3 {
		look(i, scores{0: 0.5, 1: 0.3, 3: 0.1})
	}
	if s := d.State(); s.Label != "pet" || s.Index != NoIndex || s.Score.Score != 0.8 || s.Smoothed != 0.8 || !s.Since.Equal(at(2)) || s.Missing || !s.Seen {
		t.Errorf("have state %+v, want pet", s)
	}
	for i := 3; i < 8; i++ {
		look(i, scores{3: 0.9})
	}
	if !d.State().Missing {
		t.Error("the pet is not missing")
	}
	look(17, scores{3: 0.9})
	for i := 18; i < 30; i++ {
		events = append(events, d.Lost(at(i), CameraLost, "no picture for 5s")...)
		if s := d.State(); s.Seen || s.Score.Score != 0 {
			t.Errorf("at %d: have state %+v, want no score of a look", i, s)
		}
	}
	want := []string{
		"enter 12:00:02 pet/-1 0.80 (0.80) after unknown for 2s, top [{cat 0 0.5} {dog 1 0.3}], error \"\"",
		"change 12:00:17 sofa/3 0.90 (0.90) after pet for 15s, top [{sofa 3 0.9} {cat 0 0}], error \"\"",
		"leave 12:00:28 sofa/3 0.00 (0.90) after sofa for 11s, top [], error \"no picture for 5s\"",
	}
	var have []string
	for _, e := range events {
		have = append(have, fmt.Sprintf("%s %s %s/%d %.2f (%.2f) after %s for %s, top %v, error %q", e.Kind, e.Time.Format("15:04:05"),
			e.Label.Label, e.Label.Index, e.Label.Score, e.Smoothed, e.Previous, e.Duration, e.Top, e.Error))
	}
	if a, b := strings.Join(have, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("have\n%s\nwant\n%s", a, b)
	}
	if s := d.State(); s.Label != None || s.Index != NoIndex || !s.Since.Equal(at(28)) {
		t.Errorf("have state %+v, want none since the leave", s)
	}
}

// TestSmoothing compares the smoothed score with the formula.
func TestSmoothing(t *testing.T) {
	for _, test := range []struct {
		name  string
		looks []float64 // seconds; scores are 0.2, then 1
		idle  float64   // an unchanged picture before the last look
		want  float32
	}{
		{"the first", []float64{0}, 0, 0.2},
		{"within a second", []float64{0, 0.1}, 0, 0.6},
		{"a second", []float64{0, 1}, 0, 0.6},
		{"two seconds", []float64{0, 2}, 0, 0.8},
		{"four seconds", []float64{0, 4}, 0, 0.95},
		{"an hour", []float64{0, 3600}, 0, 1},
		{"an hour unchanged", []float64{0, 3600}, 3599.5, 0.6},
	} {
		d := decider(t, DefaultRules(), 0)
		for i, at := range test.looks {
			score := float32(0.2)
			if i > 0 {
				score = 1
			}
			if i > 0 && test.idle > 0 {
				d.Idle(noon.Add(time.Duration(test.idle*1e9)), Unchanged)
			}
			d.Observe(Look{Time: noon.Add(time.Duration(at * 1e9)), Scores: show(scores{0: score})})
		}
		if have := d.smoothed[0]; have < test.want-1e-4 || have > test.want+1e-4 {
			t.Errorf("%s: have %g, want %g", test.name, have, test.want)
		}
	}
}

// TestCalibrated divides by a temperature: three labels of which the first two make a group.
func TestCalibrated(t *testing.T) {
	r := DefaultRules()
	r.Groups = map[string][]string{"pet": {"cat", "dog"}}
	d := decider(t, r, 2)
	d.read(show(scores{0: 0.64, 1: 0.16, 3: 0.2}))
	y := d.calibrate()
	// The roots are 0.8, 0.4 and 0.4472.
	if pet, sofa := float64(y[0]), float64(y[2]); pet < 0.7283 || pet > 0.7286 || sofa < 0.2714 || sofa > 0.2717 {
		t.Errorf("have pet %g and sofa %g, want 0.7285 and 0.2715", pet, sofa)
	}
	for _, temperature := range []float64{-1, 0.01, 30, float64(nan)} {
		if _, err := New(r, pets, temperature); err == nil {
			t.Errorf("a temperature of %g is accepted", temperature)
		}
	}
}

// TestMotionGated classifies only what moved, and what Wants asks for: a cat comes with one changed picture and then sits
// still, leaves likewise, with a dog in its place, which leaves too.
func TestMotionGated(t *testing.T) {
	for _, smoothing := range []float64{0, 0.5, 0.9} {
		for _, cooldown := range []time.Duration{0, 15 * time.Second, 40 * time.Second} {
			r := DefaultRules()
			r.Smoothing, r.Cooldown = smoothing, cooldown
			d := decider(t, r, 0)
			scene := func(second float64) (int, scores) {
				switch {
				case second >= 30 && second < 60, second >= 150 && second < 200:
					return 1, scores{0: 0.7}
				case second >= 60 && second < 100:
					return 2, scores{1: 0.7}
				}
				return 0, scores{3: 0.3}
			}
			var have []string
			last, looks := -1, 0
			for i := range 240 * 5 {
				second := float64(i) / 5
				now := noon.Add(time.Duration(i) * 200 * time.Millisecond)
				number, s := scene(second)
				var events []Event
				if number != last || d.Wants(now) {
					events = d.Observe(Look{Time: now, Scores: show(s)})
					last = number
					looks++
				} else {
					events = d.Idle(now, Unchanged)
				}
				for _, e := range events {
					have = append(have, fmt.Sprint(e.Kind, " ", e.Label.Label))
				}
			}
			if want := "enter cat, change dog, leave dog, enter cat, leave cat"; strings.Join(have, ", ") != want {
				t.Errorf("smoothing %g, cooldown %s: have %s, want %s", smoothing, cooldown, have, want)
			}
			if looks > 240 {
				t.Errorf("smoothing %g, cooldown %s: %d looks of %d pictures, want few", smoothing, cooldown, looks, 240*5)
			}
		}
	}
}

// TestWants asks at once, and again after five minutes.
func TestWants(t *testing.T) {
	d := decider(t, DefaultRules(), 0)
	if !d.Wants(noon) {
		t.Error("wants no first look")
	}
	d.Observe(Look{Time: noon, Scores: show(scores{3: 0.3})})
	for _, test := range []struct {
		at   time.Duration
		want bool
	}{{time.Second, false}, {5*time.Minute - 1, false}, {5 * time.Minute, true}} {
		if have := d.Wants(noon.Add(test.at)); have != test.want {
			t.Errorf("wants a look %s after the last: have %t, want %t", test.at, have, test.want)
		}
	}
	d.Lost(noon.Add(time.Second), Black, "black")
	if !d.Wants(noon.Add(time.Second)) {
		t.Error("wants no look after a loss")
	}
}
