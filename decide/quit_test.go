package decide

import (
	"testing"
	"time"
)

func TestQuit(t *testing.T) {
	rules := DefaultRules()
	rules.Confirm, rules.Hold = [2]int{1, 1}, time.Minute
	d, err := New(rules, []string{"cat", "dog"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 9, 23, 10, 15, 30, 0, time.UTC)
	if events := d.Quit(now, "the model was replaced"); len(events) != 0 {
		t.Errorf("nothing is shown: want no event, have %+v", events)
	}
	if events := d.Observe(Look{Time: now, Scores: []float32{0.9, 0.1}}); len(events) != 1 || events[0].Kind != Enter {
		t.Fatalf("want cat to enter, have %+v", events)
	}
	now = now.Add(3 * time.Second) // less than hold
	events := d.Quit(now, "the model was replaced")
	if len(events) != 1 {
		t.Fatalf("want one event, have %+v", events)
	}
	e := events[0]
	if e.Kind != Leave || e.Label.Label != "cat" || e.Error != "the model was replaced" || e.Duration != 3*time.Second || e.Top != nil {
		t.Errorf("want cat to leave after 3s with the reason and without scores, have %+v", e)
	}
	if s := d.State(); s.Label != None || s.Seen {
		t.Errorf("want none to be shown, have %+v", s)
	}
}

func TestSetTemperature(t *testing.T) {
	d, err := New(DefaultRules(), []string{"cat", "dog"}, 2)
	if err != nil {
		t.Fatal(err)
	}
	for temperature, inverse := range map[float64]float64{0: 1, 4: 0.25, 0.05: 20} {
		if err := d.SetTemperature(temperature); err != nil || d.inverse != inverse {
			t.Errorf("temperature %g: have %v, inverse %g, want %g", temperature, err, d.inverse, inverse)
		}
	}
	if err := d.SetTemperature(21); err == nil || d.inverse == 1/21.0 {
		t.Errorf("temperature 21: want an error, have %v, inverse %g", err, d.inverse)
	}
}
