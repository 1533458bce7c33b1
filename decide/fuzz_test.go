package decide

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// randomRules are right for the labels pets.
func randomRules(r *rand.Rand) Rules {
	of := func(from, to float64) float64 { return from + (to-from)*r.Float64() }
	n := 1 + r.IntN(8)
	rules := Rules{
		Top: 1 + r.IntN(10), Enter: of(0.01, 1), Confirm: [2]int{1 + r.IntN(n), n}, Smoothing: of(0, 0.99),
		Hold: time.Duration(r.IntN(20)) * time.Second, Cooldown: time.Duration(r.IntN(40)) * time.Second, Unknown: UnknownRule{Mode: UnknownAuto},
	}
	rules.Stay = of(0, rules.Enter)
	switch r.IntN(4) {
	case 0:
		rules.Unknown.Mode = UnknownOff
	case 1:
		rules.Unknown = UnknownRule{Score: r.Float64(), Margin: r.Float64() / 2}
	}
	exceptions := func() map[string]LabelRule {
		out := map[string]LabelRule{}
		for i := range pets {
			rule := LabelRule{}
			if r.IntN(4) == 0 {
				rule.Enter = f(of(0.1, 1))
				rule.Stay = f(of(0, *rule.Enter))
			}
			if r.IntN(4) == 0 && i != 5 {
				rule.Allow = b(r.IntN(4) > 0)
			}
			if r.IntN(2) == 0 && (rules.Groups == nil || i > 1) {
				out[fmt.Sprint(i)] = rule
			}
		}
		return out
	}
	if r.IntN(2) == 0 {
		rules.Groups = map[string][]string{"pet": {"cat", "1"}}
	}
	rules.Labels = exceptions()
	for range r.IntN(3) {
		p := Period{From: fmt.Sprintf("%02d:%02d", r.IntN(24), r.IntN(60)), To: "24:00", Labels: exceptions(), Off: r.IntN(3) == 0}
		if r.IntN(2) == 0 {
			p.Enter = f(of(0.1, 1))
			p.Stay = f(of(0, *p.Enter))
		}
		rules.Schedule = append(rules.Schedule, p)
	}
	return rules
}

// observer holds what a Decider says against what must always be true.
type observer struct {
	rules  Rules
	shown  State
	since  time.Duration // on the clock
	clock  time.Duration // time that passed, never back
	last   time.Time
	before map[string]time.Duration // clock of the last event of a kind and a label
}

// events checks those of a call at now.
func (o *observer) events(now time.Time, d *Decider, events []Event) error {
	if !o.last.IsZero() {
		o.clock += max(now.Sub(o.last), 0)
	}
	o.last = now
	state := d.State()
	if len(events) > 1 {
		return fmt.Errorf("%d events at a time", len(events))
	}
	for _, e := range events {
		if err := o.event(&e, state, now); err != nil {
			return fmt.Errorf("%s of %q: %w", e.Kind, e.Label.Label, err)
		}
	}
	other := state.Label != o.shown.Label || state.Index != o.shown.Index
	if other && (isLabel(state) || isLabel(o.shown)) && len(events) == 0 {
		return fmt.Errorf("from %q to %q without an event", o.shown.Label, state.Label)
	}
	if other {
		if !state.Since.Equal(now) && o.shown.Label != "" {
			return fmt.Errorf("%q since %s, want %s", state.Label, state.Since, now)
		}
		o.since = o.clock
	}
	if !(state.Score.Score >= 0 && state.Score.Score <= 1 && state.Smoothed >= 0 && state.Smoothed <= 1) {
		return fmt.Errorf("state %+v", state)
	}
	if !state.Seen && state.Score.Score != 0 {
		return fmt.Errorf("a score without a look: %+v", state)
	}
	if state.Label == Unknown && o.rules.Unknown.Mode == UnknownOff {
		return fmt.Errorf("unknown, where that is off")
	}
	o.shown = state
	return nil
}

func isLabel(s State) bool { return s.Label != "" && s.Label != None && s.Label != Unknown }

func (o *observer) event(e *Event, after State, now time.Time) error {
	there := isLabel(o.shown)
	name := fmt.Sprint(e.Label.Label, e.Label.Index)
	was := fmt.Sprint(o.shown.Label, o.shown.Index)
	switch e.Kind {
	case Enter:
		if there || e.Previous == e.Label.Label {
			return fmt.Errorf("%q is there, previous is %q", o.shown.Label, e.Previous)
		}
	case Change:
		if !there || e.Previous != o.shown.Label || name == was {
			return fmt.Errorf("%q is there, previous is %q", o.shown.Label, e.Previous)
		}
	case Leave:
		if !there || name != was || e.Previous != o.shown.Label || after.Label != None && after.Label != Unknown {
			return fmt.Errorf("%q is there, previous is %q, and then %q", o.shown.Label, e.Previous, after.Label)
		}
	default:
		return fmt.Errorf("no such kind")
	}
	if e.Kind != Leave && (after.Label != e.Label.Label || after.Index != e.Label.Index) {
		return fmt.Errorf("%q is there then", after.Label)
	}
	if want := o.clock - o.since; e.Duration != want && o.shown.Label != "" {
		return fmt.Errorf("lasted %s, want %s", e.Duration, want)
	}
	if !e.Time.Equal(now) || len(e.Top) > o.rules.Top || !(e.Smoothed >= 0 && e.Smoothed <= 1 && e.Label.Score >= 0 && e.Label.Score <= 1) {
		return fmt.Errorf("have %+v", e)
	}
	for _, key := range []string{string(e.Kind) + name, map[Kind]string{Enter: "came", Change: "came", Leave: "left"}[e.Kind] + name} {
		if at, ok := o.before[key]; ok && o.clock-at < o.rules.Cooldown {
			return fmt.Errorf("%s after the last, within the cooldown of %s", o.clock-at, o.rules.Cooldown)
		}
		o.before[key] = o.clock
	}
	return nil
}

// drive calls a Decider with random rules at random, and checks all that it says.
func drive(seed uint64, calls int) error {
	r := rand.New(rand.NewPCG(seed, 9))
	rules := randomRules(r)
	d, err := New(rules, pets, []float64{0, 1, 0.5, 3}[r.IntN(4)])
	if err != nil {
		return err
	}
	ring := NewRing(50*64, d)
	o := observer{rules: rules, before: map[string]time.Duration{}}
	now := noon
	pace := time.Duration(math.Exp(r.Float64()*10)) * 5 * time.Millisecond
	scores := make([]float32, len(pets))
	main := 0
	for range calls {
		now = now.Add(time.Duration(r.Float64() * 2 * float64(pace)))
		switch r.IntN(300) {
		case 0:
			now = now.Add(-time.Duration(r.IntN(1e6)) * time.Second)
		case 1:
			now = now.Add(time.Duration(r.IntN(1e6)) * time.Second)
		case 2:
			now = time.Unix(int64(r.Uint64())/2, 0) // anywhere
			o.last = now
			d.last = now // the durations of such leaps are cut off
		}
		var events []Event
		switch what := r.IntN(20); {
		case what < 13:
			if r.IntN(20) == 0 {
				main = r.IntN(len(pets))
			}
			rest := r.Float32()
			for i := range scores {
				scores[i] = rest / float32(len(pets))
			}
			scores[main] += 1 - rest
			if r.IntN(50) == 0 {
				scores[r.IntN(len(pets))] = []float32{nan, -1, 2, float32(math.Inf(1)), float32(math.Inf(-1))}[r.IntN(5)]
			}
			events = d.Observe(Look{Time: now, Scores: scores[:len(scores)-r.IntN(2)]})
		case what < 17:
			events = d.Idle(now, []Gate{Unchanged, Unchanged, Waiting, Stale}[r.IntN(4)])
		case r.IntN(2) == 0:
			events = d.Lost(now, Gate(r.IntN(256)), "lost")
		default:
			continue // nothing is said of this picture
		}
		if err := o.events(now, d, events); err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		d.Wants(now)
		ring.Add(d.Record())
	}
	for _, e := range Runs(ring.Around(now, 1000*time.Hour, 20)) {
		if e.String() == "" || e.Count < 1 {
			return fmt.Errorf("seed %d: entry %+v", seed, e)
		}
		if _, err := json.Marshal(e); err != nil && e.Gate < gates {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return nil
}

// TestAlwaysTrue drives many Deciders.
func TestAlwaysTrue(t *testing.T) {
	seeds := uint64(1500)
	if testing.Short() || raceDetector {
		seeds = 100
	}
	for seed := range seeds {
		if err := drive(seed, 600); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzDecider(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		if err := drive(seed, 300); err != nil {
			t.Error(err)
		}
	})
}

// FuzzCheck gives names and times that come from a file: what Check accepts New accepts too, and it reads any time of day.
func FuzzCheck(f *testing.F) {
	f.Add("tabby", "cat", "22:00", "06:00", "mon", 0.6)
	f.Add("crane", "281", "24:00", "", "", math.NaN())
	f.Add("\xff\n", "none", ":", "1:1", "x", math.Inf(1))
	f.Fuzz(func(t *testing.T, key, group, from, to, day string, score float64) {
		r := DefaultRules()
		r.Labels = map[string]LabelRule{key: {Enter: &score}}
		r.Groups = map[string][]string{group: {key, "0"}}
		r.Schedule = []Period{{From: from, To: to, Days: []string{day}, Stay: &score, Labels: map[string]LabelRule{group: {Stay: &score}}}}
		err := r.Check(pets)
		if err != nil && printable(err.Error()) == "" {
			t.Error("an error without text")
		}
		d, newErr := New(r, pets, 0)
		if (err == nil) != (newErr == nil) {
			t.Errorf("Check says %v, New says %v", err, newErr)
		}
		if d != nil {
			d.Observe(Look{Time: noon, Scores: []float32{0.9}})
		}
	})
}
