package decide

import (
	"fmt"
	"testing"
	"time"
)

// step is a call, and what comes of it.
type step struct {
	at     float64         // seconds after noon
	scores map[int]float32 // nil: no look
	skip   Gate            // then
	want   string          // the event and the gate: "enter cat; entered", "; confirming 1 of 3"
	shown  string          // "": as before
}

func run(t *testing.T, d *Decider, steps []step) {
	t.Helper()
	ring := NewRing(DefaultRing, d)
	shown := None
	for i, s := range steps {
		now := noon.Add(time.Duration(s.at * 1e9))
		var events []Event
		switch {
		case s.scores != nil:
			events = d.Observe(Look{Time: now, Seq: uint64(i), Scores: show(s.scores)})
		case s.skip == CameraLost:
			events = d.Lost(now, s.skip, "no pictures")
		default:
			events = d.Idle(now, s.skip)
		}
		record := d.Record()
		entry := ring.entry(&record, time.UTC)
		have := "; " + entry.Why()
		for _, e := range events {
			have = fmt.Sprint(e.Kind, " ", e.Label.Label, have)
		}
		if have != s.want {
			t.Errorf("step %d at %g s: have %q, want %q", i, s.at, have, s.want)
		}
		if s.shown != "" {
			shown = s.shown
		}
		if state := d.State(); state.Label != shown || entry.Shown != shown {
			t.Errorf("step %d at %g s: have %q shown and %q recorded, want %q", i, s.at, state.Label, entry.Shown, shown)
		}
	}
}

// gateTest is a source's course under the default rules, but for what rules changes.
type gateTest struct {
	name  string
	rules func(*Rules)
	steps []step
}

func runGates(t *testing.T, tests []gateTest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := DefaultRules()
			if test.rules != nil {
				test.rules(&r)
			}
			run(t, decider(t, r, 0), test.steps)
		})
	}
}

// What looks show.
var cat, dog, nothing = scores{0: 0.9, 1: 0.05}, scores{1: 0.9, 0: 0.05}, scores{3: 0.3, 7: 0.2}

var (
	// shown makes the cat enter.
	shown = []step{{0, cat, 0, "; confirming 1 of 3", Unknown}, {1, cat, 0, "; confirming 2 of 3", ""}, {2, cat, 0, "enter cat; entered", "cat"}}
	// gone are the looks after that in which it goes missing.
	gone = []step{
		{3, nothing, 0, "; below enter 0.60", ""}, {4, nothing, 0, "; below enter 0.60", ""}, {5, nothing, 0, "; below enter 0.60", ""},
		{6, nothing, 0, "; below enter 0.60", ""}, {7, nothing, 0, "; below enter 0.60", ""}, {8, nothing, 0, "; below enter 0.60", ""},
	}
)

func TestGatesOfLooks(t *testing.T) {
	runGates(t, []gateTest{
		{"enter", nil, append(shown[:3:3], step{3, cat, 0, "; shown", ""})},
		{"below enter", nil, []step{{0, scores{0: 0.59}, 0, "; below enter 0.60", Unknown}, {1, scores{0: 0.5999}, 0, "; below enter 0.6000", ""}}},
		{"exactly enter", nil, []step{
			{0, scores{0: 0.6}, 0, "; confirming 1 of 3", Unknown},
			{1, scores{0: 0.6}, 0, "; confirming 2 of 3", ""},
			{2, scores{0: 0.6}, 0, "enter cat; entered", "cat"}}},
		{"3 of 5", nil, []step{
			{0, cat, 0, "; confirming 1 of 3", Unknown}, {1, nothing, 0, "; below enter 0.60", ""}, {2, cat, 0, "; confirming 2 of 3", ""},
			{3, nothing, 0, "; below enter 0.60", ""}, {4, cat, 0, "enter cat; entered", "cat"},
		}},
		{"3 of 6 are not 3 of 5", nil, []step{
			{0, cat, 0, "; confirming 1 of 3", Unknown}, {1, nothing, 0, "; below enter 0.60", ""}, {2, nothing, 0, "; below enter 0.60", ""},
			{3, cat, 0, "; confirming 2 of 3", ""}, {4, nothing, 0, "; below enter 0.60", ""}, {5, cat, 0, "; confirming 2 of 3", ""},
		}},
		{"smoothed below enter", func(r *Rules) { r.Smoothing = 0.8 }, []step{
			{0, nothing, 0, "; below enter 0.60", Unknown},
			{1, scores{0: 0.7}, 0, "; confirming 1 of 3", ""},
			{2, scores{0: 0.7}, 0, "; confirming 2 of 3", ""},
			{3, scores{0: 0.7}, 0, "; smoothed 0.34 below enter 0.60", ""},
		}},
		{"stay", nil, append(shown[:3:3],
			step{3, scores{0: 0.45, 3: 0.5}, 0, "; below enter 0.60", ""},
			step{4, scores{0: 0.41}, 0, "; shown", ""},
			step{60, scores{0: 0.41}, 0, "; shown", ""})},
		{"below stay", nil, append(shown[:3:3], step{12, scores{0: 0.39}, 0, "; below stay 0.40", ""}, step{13, scores{0: 0.4}, 0, "; shown", ""})},
		{"leave", nil, append(append(shown[:3:3], gone...),
			step{17.9, nothing, 0, "; below enter 0.60", ""},
			step{18, nothing, 0, "leave cat; left", Unknown})},
		{"seen again within hold", nil, append(append(shown[:3:3], gone...),
			step{17.9, scores{0: 0.5}, 0, "; shown", ""},
			step{20, nothing, 0, "; below enter 0.60", ""})},
		{"cooling down", nil, append(append(shown[:3:3], gone...),
			step{18, nothing, 0, "leave cat; left", Unknown},
			step{19, cat, 0, "; cooling down for 14s", ""},
			step{20, cat, 0, "; cooling down for 13s", ""},
			step{32.9, cat, 0, "; cooling down for 100ms", ""},
			step{33, cat, 0, "enter cat; entered", "cat"})},
		{"another isn't cooling", nil, append(append(shown[:3:3], gone...),
			step{18, nothing, 0, "leave cat; left", Unknown},
			step{18.2, dog, 0, "; confirming 1 of 3", ""},
			step{18.4, dog, 0, "; confirming 2 of 3", ""}, step{18.6, dog, 0, "enter dog; entered", "dog"})},
		{"change", nil, append(shown[:3:3], step{3, dog, 0, "; confirming 1 of 3", ""}, step{4, dog, 0, "; confirming 2 of 3", ""},
			step{5, dog, 0, "; cat stays until it is missing for 10s", ""},
			step{6, dog, 0, "; cat stays until it is missing for 10s", ""},
			step{7, dog, 0, "; cat stays 10s more", ""},
			step{16, dog, 0, "; cat stays 1s more", ""}, step{17, dog, 0, "change dog; changed from cat", "dog"},
			// and not back within cooldown
			step{18, cat, 0, "; cooling down for 14s", ""})},
		{"beaten above stay", nil, append(shown[:3:3],
			step{3, scores{0: 0.41, 1: 0.59}, 0, "; below enter 0.60", ""},
			step{4, scores{0: 0.2, 1: 0.61}, 0, "; confirming 1 of 3", ""})},
		{"beaten with low thresholds", func(r *Rules) { r.Enter, r.Stay = 0.3, 0.1 }, []step{
			{0, cat, 0, "; confirming 1 of 3", Unknown}, {1, cat, 0, "; confirming 2 of 3", ""}, {2, cat, 0, "enter cat; entered", "cat"},
			{3, scores{0: 0.3, 1: 0.6}, 0, "; confirming 1 of 3", ""},
			{4, scores{0: 0.3, 1: 0.6}, 0, "; confirming 2 of 3", ""},
			{5, scores{0: 0.3, 1: 0.6}, 0, "; cat stays until it is missing for 10s", ""},
			{6, scores{0: 0.3, 1: 0.6}, 0, "; cat stays until it is missing for 10s", ""},
			{7, scores{0: 0.3, 1: 0.6}, 0, "; cat stays 10s more", ""},
			{17, scores{0: 0.3, 1: 0.6}, 0, "change dog; changed from cat", "dog"},
		}},
	})
}

func TestGatesOfRules(t *testing.T) {
	runGates(t, []gateTest{
		{"denied", func(r *Rules) { r.Labels = map[string]LabelRule{"cat": {Allow: b(false)}} }, []step{
			{0, cat, 0, "; denied", Unknown},
			{1, scores{0: 0.5, 1: 0.3}, 0, "; below enter 0.60", ""},
			{2, dog, 0, "; confirming 1 of 3", ""}}},
		{"allow list", func(r *Rules) { r.Labels = map[string]LabelRule{"dog": {Allow: b(true)}} }, []step{
			{0, cat, 0, "; denied", Unknown},
			{1, scores{3: 0.9}, 0, "; denied", ""},
			{2, dog, 0, "; confirming 1 of 3", ""}}},
		{"all denied", func(r *Rules) { r.Labels = allDenied() }, []step{{0, cat, 0, "; denied", Unknown}}},
		{"a label called none", nil, []step{{0, scores{5: 0.9}, 0, "; denied", Unknown}}},
		{"own thresholds", func(r *Rules) {
			r.Labels = map[string]LabelRule{"0": {Enter: f(0.3)}, "dog": {Enter: f(0.95), Stay: f(0.9)}}
		}, []step{
			{0, dog, 0, "; below enter 0.95", Unknown},
			{10, scores{0: 0.31}, 0, "; confirming 1 of 3", ""},
			{11, scores{0: 0.31}, 0, "; confirming 2 of 3", ""},
			{12, scores{0: 0.31}, 0, "enter cat; entered", "cat"}, {13, scores{0: 0.3}, 0, "; shown", ""},
		}},
		{"group", func(r *Rules) { r.Groups = map[string][]string{"pet": {"cat", "dog", "6"}} }, []step{
			{0, scores{0: 0.3, 1: 0.3, 6: 0.3}, 0, "; confirming 1 of 3", Unknown},
			{1, dog, 0, "; confirming 2 of 3", ""},
			{2, cat, 0, "enter pet; entered", "pet"},
			{3, dog, 0, "; shown", ""},
		}},
		{"unknown by score", func(r *Rules) { r.Unknown = UnknownRule{Score: 0.8} }, []step{
			{0, scores{0: 0.7}, 0, "; unknown: calibrated score below 0.80 (is 0.70)", Unknown}}},
		{"unknown by margin", func(r *Rules) { r.Enter, r.Unknown = 0.45, UnknownRule{Margin: 0.2} }, []step{
			{0, scores{0: 0.5, 1: 0.4}, 0, "; unknown: margin below 0.20 (is 0.10)", Unknown}}},
		{"margin to a denied label", func(r *Rules) {
			r.Enter, r.Unknown, r.Labels = 0.45, UnknownRule{Margin: 0.2}, map[string]LabelRule{"dog": {Allow: b(false)}}
		}, []step{{0, scores{0: 0.5, 1: 0.4}, 0, "; confirming 1 of 3", Unknown}}},
		{"margin within a group", func(r *Rules) {
			r.Enter, r.Unknown, r.Groups = 0.45, UnknownRule{Margin: 0.2}, map[string][]string{"pet": {"cat", "dog"}}
		}, []step{{0, scores{0: 0.5, 1: 0.4}, 0, "; confirming 1 of 3", Unknown}}},
		{"unknown auto", func(r *Rules) { r.Enter, r.Stay = 0.3, 0.2 }, []step{
			{0, scores{0: 0.35, 1: 0.3}, 0, "; unknown: margin below 0.10 (is 0.05)", Unknown}, {1, scores{0: 0.35, 1: 0.1}, 0, "; confirming 1 of 3", ""},
		}},
		{"unknown off", func(r *Rules) { r.Enter, r.Stay, r.Unknown.Mode = 0.3, 0.2, UnknownOff }, []step{
			{0, scores{0: 0.35, 1: 0.3}, 0, "; confirming 1 of 3", None},
			{1, scores{3: 0.2}, 0, "; below enter 0.30", ""}}},
		{"schedule", func(r *Rules) { r.Schedule = []Period{{From: "12:01", To: "12:02", Off: true}} }, []step{
			{60, cat, 0, "; off by schedule", Unknown},
			{61, cat, 0, "; off by schedule", ""},
			{119, cat, 0, "; off by schedule", ""},
			{120, cat, 0, "enter cat; entered", "cat"},
		}},
		{"schedule changes thresholds", func(r *Rules) { r.Schedule = []Period{{From: "12:01", To: "24:00", Enter: f(0.95)}} }, []step{
			{0, cat, 0, "; confirming 1 of 3", Unknown},
			{60, cat, 0, "; below enter 0.95", ""}}},
		{"schedule denies what is shown", func(r *Rules) {
			r.Schedule = []Period{{From: "12:01", To: "24:00", Labels: map[string]LabelRule{"cat": {Allow: b(false)}}}}
		}, append(shown[:3:3], step{60, cat, 0, "; denied", ""}, step{75, cat, 0, "; denied", ""}, step{85, nil, Waiting, "leave cat; left", Unknown})},
	})
}

func TestGatesOfPauses(t *testing.T) {
	runGates(t, []gateTest{
		{"unchanged", nil, append(shown[:3:3],
			step{3, nil, Unchanged, "; unchanged", ""},
			step{100_000, nil, Unchanged, "; unchanged", ""},
			step{100_001, cat, 0, "; shown", ""})},
		{"hold runs out unchanged", nil, append(append(shown[:3:3], gone...),
			step{17.9, nil, Unchanged, "; unchanged", ""},
			step{18, nil, Unchanged, "leave cat; left", Unknown})},
		{"change while unchanged", nil, append(shown[:3:3],
			step{3, dog, 0, "; confirming 1 of 3", ""},
			step{4, dog, 0, "; confirming 2 of 3", ""},
			step{5, dog, 0, "; cat stays until it is missing for 10s", ""},
			step{6, dog, 0, "; cat stays until it is missing for 10s", ""},
			step{7, dog, 0, "; cat stays 10s more", ""},
			step{17, nil, Unchanged, "change dog; changed from cat", "dog"})},
		{"waiting", nil, append(shown[:3:3], step{100, nil, Waiting, "; waiting", ""}, step{200, nil, Stale, "; too old", ""})},
		{"lost", nil, append(shown[:3:3],
			step{3, nil, CameraLost, "; camera lost", ""},
			step{12.9, nil, CameraLost, "; camera lost", ""},
			step{13, nil, CameraLost, "leave cat; cat left", None},
			step{14, nil, CameraLost, "; camera lost", ""}, step{15, cat, 0, "; cooling down for 13s", Unknown})},
		{"lost and found", nil, append(shown[:3:3],
			step{3, nil, CameraLost, "; camera lost", ""},
			step{12.9, nil, CameraLost, "; camera lost", ""},
			step{13, cat, 0, "; shown", ""})},
		{"lost unknown", nil, []step{
			{0, nothing, 0, "; below enter 0.60", Unknown},
			{1, nil, CameraLost, "; camera lost", ""},
			{11, nil, CameraLost, "; camera lost", None}}},
		{"lost forgets votes", nil, []step{
			{0, cat, 0, "; confirming 1 of 3", Unknown},
			{1, cat, 0, "; confirming 2 of 3", ""},
			{2, nil, CameraLost, "; camera lost", ""},
			{3, cat, 0, "; confirming 1 of 3", ""}}},
		{"an hour ago", nil, []step{
			{0, cat, 0, "; confirming 1 of 3", Unknown},
			{1, cat, 0, "; confirming 2 of 3", ""},
			{3600, cat, 0, "; confirming 1 of 3", ""}}},
		{"back in time", nil, append(shown[:3:3],
			step{-3600, cat, 0, "; shown", ""},
			step{-3599, nothing, 0, "; below enter 0.60", ""},
			step{-7200, nothing, 0, "; below enter 0.60", ""},
			step{-7199, nothing, 0, "; below enter 0.60", ""},
			step{-7198, nothing, 0, "; below enter 0.60", ""},
			step{-7197, nothing, 0, "; below enter 0.60", ""},
			step{-7196, nothing, 0, "; below enter 0.60", ""},
			step{-7186, nothing, 0, "leave cat; left", Unknown})},
		{"no scores", nil, []step{{0, scores{}, 0, "; below enter 0.60", Unknown}}},
		{"odd scores", nil, []step{{0, scores{0: nan, 1: -7, 2: 5}, 0, "; confirming 1 of 3", Unknown}}},
	})
}

func allDenied() map[string]LabelRule {
	rules := map[string]LabelRule{}
	for i := range pets {
		rules[fmt.Sprint(i)] = LabelRule{Allow: b(false)}
	}
	return rules
}
