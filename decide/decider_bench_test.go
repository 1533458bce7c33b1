package decide

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// thousandSure gives scores of which the first label has most, and rules with groups of ten labels each.
func thousandSure(grouped bool) (Rules, []string, []float32) {
	scores, labels := thousand()
	for i := range scores {
		scores[i] = 0.1 * float32(math.Pow(float64(scores[i]), 200)) / 5
	}
	scores[0] = 0.9
	r := DefaultRules()
	if grouped {
		r.Groups = map[string][]string{}
		for i := range 20 {
			for j := range 10 {
				name := fmt.Sprint("group ", i)
				r.Groups[name] = append(r.Groups[name], labels[10*i+j])
			}
		}
	}
	return r, labels, scores
}

func BenchmarkObserve(b *testing.B) {
	for _, test := range []struct {
		name        string
		grouped     bool
		temperature float64
		off         string // from when on nothing enters
	}{
		{"plain", false, 1, "22:00"}, {"groups", true, 1, "22:00"}, {"groups, calibrated", true, 1.5, "22:00"},
		{"groups, calibrated, nothing shown", true, 1.5, "00:00"}, // each look is asked whether it is unknown
	} {
		b.Run(test.name, func(b *testing.B) {
			r, labels, scores := thousandSure(test.grouped)
			r.Schedule = []Period{{From: test.off, To: "24:00", Off: true}}
			d, err := New(r, labels, test.temperature)
			if err != nil {
				b.Fatal(err)
			}
			ring := NewRing(DefaultRing, d)
			look := Look{Time: noon, Scores: scores}
			b.ReportAllocs()
			for b.Loop() {
				look.Time = look.Time.Add(33 * time.Millisecond)
				d.Observe(look)
				ring.Add(d.Record())
			}
		})
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates on its own account")
	}
	r, labels, scores := thousandSure(true)
	r.Schedule = []Period{{From: "22:00", To: "06:00", Off: true}}
	d, err := New(r, labels, 1.5)
	if err != nil {
		t.Fatal(err)
	}
	look := Look{Time: noon, Scores: scores}
	step := func() {
		look.Time = look.Time.Add(33 * time.Millisecond)
		d.Observe(look)
		d.Idle(look.Time, Unchanged)
		d.Wants(look.Time)
		d.Record()
	}
	for range 5 {
		step() // the label enters
	}
	if d.State().Label != "group 0" {
		t.Fatalf("have %q shown, want group 0", d.State().Label)
	}
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%g allocations a look, want 0", n)
	}
}
