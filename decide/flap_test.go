package decide

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 9, 23, 12, 0, 0, 0, time.UTC)

// pair says the scores of two labels at so many seconds; the other labels share what remains.
type pair func(r *rand.Rand, seconds float64) (a, b float64)

var dozen = []string{"tabby", "tiger cat", "sofa", "lamp", "door", "mat", "vase", "desk", "clock", "shoe", "bin", "plant"}

// turns are two labels of which one has high, then the other, for period seconds each; 0: each look.
func turns(period, high, low, noise float64) func() pair {
	return func() pair {
		odd := false
		return func(r *rand.Rand, seconds float64) (float64, float64) {
			odd = !odd
			if period > 0 {
				odd = int(seconds/period)%2 == 1
			}
			a, b := high, low
			if odd {
				a, b = low, high
			}
			return a + noise*r.NormFloat64(), b + noise*r.NormFloat64()
		}
	}
}

// walk is a label whose score walks at random between two bounds, in steps of step a look; the other has the rest.
func walk(from, to, step float64) func() pair {
	return func() pair {
		at := (from + to) / 2
		return func(r *rand.Rand, _ float64) (float64, float64) {
			at += step * r.NormFloat64()
			for at < from || at > to {
				at = max(2*from-at, min(at, 2*to-at)) // reflected
			}
			return at, 1 - at
		}
	}
}

// TestNothingFlaps shows two labels that alternate around the threshold for ten minutes: one event at most.
func TestNothingFlaps(t *testing.T) {
	scenes := map[string]func() pair{
		"noise at enter":                     turns(0, 0.6, 0.6, 0.1),
		"noise at both":                      turns(0, 0.5, 0.5, 0.15),
		"noise at stay":                      turns(0, 0.4, 0.5, 0.1),
		"walk between stay, enter and above": walk(0.4, 0.8, 0.02),
		"walk above stay, slowly":            walk(0.4, 0.6, 0.002),
		"quick walk over all":                walk(0, 1, 0.3),
		"quick walk at enter":                walk(0.3, 0.7, 0.1),
	}
	for _, period := range []float64{0, 0.1, 0.5, 1, 2, 3, 5, 7, 10} {
		for _, level := range [][2]float64{{0.62, 0.3}, {0.65, 0.35}, {0.7, 0.2}, {0.95, 0.02}} {
			for _, noise := range []float64{0, 0.05, 0.15} {
				scenes[fmt.Sprintf("turns of %g s, %g and %g, noise %g", period, level[0], level[1], noise)] = turns(period, level[0], level[1], noise)
			}
		}
	}
	for _, phases := range [][2]float64{{1, 9.5}, {0.5, 3}, {9.5, 1}, {3, 10}} {
		scenes[fmt.Sprintf("turns of %g and %g s", phases[0], phases[1])] = func() pair {
			return func(r *rand.Rand, seconds float64) (float64, float64) {
				a, b := 0.8, 0.1
				if math.Mod(seconds, phases[0]+phases[1]) > phases[0] {
					a, b = b, a
				}
				return a + 0.05*r.NormFloat64(), b + 0.05*r.NormFloat64()
			}
		}
	}
	rates := []float64{1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 5, 5, 11, 30} // looks a second, each with its own noise
	if testing.Short() || raceDetector {
		rates = []float64{1, 5}
	}
	most := 0
	for name, scene := range scenes {
		for seed, fps := range rates {
			if fps < 5 && strings.Contains(name, "quick walk") {
				continue // isn't quick then: it stays low for longer than hold
			}
			for _, jitter := range []float64{0, 0.9} {
				events := play(t, scene(), fps, jitter, 10*time.Minute, uint64(seed))
				most = max(most, len(events))
				if len(events) > 1 {
					t.Errorf("%s, %g a second, jitter %g: %d events:", name, fps, jitter, len(events))
					for _, e := range events[:min(len(events), 6)] {
						t.Errorf("  %s %s %s", e.Time.Sub(noon), e.Kind, e.Label.Label)
					}
				}
			}
		}
	}
	if most == 0 {
		t.Error("no scene makes any event: the test proves nothing")
	}
}

// play shows a scene with the default rules.
func play(t *testing.T, scene pair, fps, jitter float64, length time.Duration, seed uint64) []Event {
	t.Helper()
	d, err := New(DefaultRules(), dozen, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	var events []Event
	scores := make([]float32, len(dozen))
	for i := 0.0; ; i++ {
		at := (i + jitter*(r.Float64()-0.5)) / fps
		if at > length.Seconds() {
			return events
		}
		a, b := scene(r, max(at, 0))
		a, b = max(a, 0), max(b, 0)
		if sum := a + b; sum > 1 {
			a, b = a/sum, b/sum
		}
		for i := range scores {
			scores[i] = float32(max(1-a-b, 0)) / float32(len(dozen)-2)
		}
		scores[0], scores[1] = float32(a), float32(b)
		events = append(events, d.Observe(Look{Time: noon.Add(time.Duration(at * 1e9)), Scores: scores})...)
	}
}

// TestARealObject stays for 20 seconds: it enters within n looks, and leaves hold after it was missed for n looks, whatever
// the noise.
func TestARealObject(t *testing.T) {
	for _, fps := range []float64{1, 2, 5, 10, 15, 30} {
		for seed := range uint64(20) {
			appears, disappears := 30.0, 50.0
			scene := func(r *rand.Rand, seconds float64) (float64, float64) {
				if seconds >= appears && seconds < disappears {
					return 0.8 + 0.04*r.NormFloat64(), 0.1
				}
				return 0.1 + 0.04*r.NormFloat64(), 0.1
			}
			events := play(t, scene, fps, 0.5, 2*time.Minute, seed)
			if len(events) != 2 || events[0].Kind != Enter || events[1].Kind != Leave {
				t.Fatalf("%g a second, seed %d: have %v, want an enter and a leave", fps, seed, events)
			}
			look := time.Duration(1e9 / fps)
			in, out := events[0].Time.Sub(noon)-30*time.Second, events[1].Time.Sub(noon)-50*time.Second
			if in < 0 || in > 5*look {
				t.Errorf("%g a second, seed %d: entered after %s, want up to 5 looks of %s", fps, seed, in, look)
			}
			if hold := 10 * time.Second; out < hold || out > hold+8*look {
				t.Errorf("%g a second, seed %d: left after %s, want hold and up to 8 looks of %s", fps, seed, out, look)
			}
			if have, want := events[1].Duration, events[1].Time.Sub(events[0].Time); have != want {
				t.Errorf("%g a second, seed %d: lasted %s, want %s", fps, seed, have, want)
			}
		}
	}
}

// TestOneTakesTheOthersPlace makes one change, not a leave and an enter.
func TestOneTakesTheOthersPlace(t *testing.T) {
	for _, fps := range []float64{1, 5, 30} {
		events := play(t, func(r *rand.Rand, seconds float64) (float64, float64) {
			if seconds < 60 {
				return 0.85 + 0.05*r.NormFloat64(), 0.05
			}
			return 0.05, 0.85 + 0.05*r.NormFloat64()
		}, fps, 0.5, 3*time.Minute, 7)
		if len(events) != 2 || events[1].Kind != Change || events[1].Label.Label != "tiger cat" || events[1].Previous != "tabby" {
			t.Errorf("%g a second: have %v, want one change", fps, events)
		}
	}
}

// TestRareLooks shows an object for half an hour to a source that is looked at once a minute, more or less.
func TestRareLooks(t *testing.T) {
	for seed := range uint64(20) {
		events := play(t, func(r *rand.Rand, seconds float64) (float64, float64) {
			if seconds > 600 && seconds < 2400 {
				return 0.8 + 0.05*r.NormFloat64(), 0.1
			}
			return 0.1, 0.1
		}, 1.0/60, 0.5, time.Hour, seed)
		if len(events) != 2 || events[0].Kind != Enter || events[1].Kind != Leave {
			t.Fatalf("seed %d: have %v, want an enter and a leave", seed, events)
		}
		if in := events[0].Time.Sub(noon) - 10*time.Minute; in > 4*time.Minute {
			t.Errorf("seed %d: entered after %s, want 3 looks of a minute", seed, in)
		}
		if out := events[1].Time.Sub(noon) - 40*time.Minute; out > 4*time.Minute {
			t.Errorf("seed %d: left after %s, want 3 looks of a minute", seed, out)
		}
	}
	// Turns, each minute.
	if events := play(t, turns(60, 0.9, 0.05, 0.02)(), 1.0/60, 0, 3*time.Hour, 1); len(events) > 1 {
		t.Errorf("labels that take turns each minute, a look a minute: have %d events, want one at most", len(events))
	}
}
