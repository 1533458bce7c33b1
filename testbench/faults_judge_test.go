package testbench

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestFaultJudge has the judge find what was lost and what came again, in made-up runs of a daemon: the first is killed, the second ended in
// order.
func TestFaultJudge(t *testing.T) {
	begin := time.Date(2026, 9, 23, 10, 0, 0, 0, time.UTC)
	at := func(seconds float64) string {
		return begin.Add(time.Duration(seconds * float64(time.Second))).Format(time.RFC3339Nano)
	}
	door := func(run, seq int) told {
		return told{event: event{Type: "change", Source: "door", ID: fmt.Sprintf("door %d %d", run, seq), Seq: seq}, Time: at(float64(10*run + seq))}
	}
	picture := func(name string) told {
		return told{event: event{Type: "classified", Source: "inbox", ID: name, Seq: 1, File: name}, Time: at(1)}
	}
	log := strings.Repeat(`{"msg":"change","source":"door"}`+"\n", 3)
	all := []told{picture("a"), picture("b"), door(0, 1), door(0, 2), door(1, 1), door(1, 2), door(1, 3), door(2, 4), door(2, 5), door(2, 6)}
	without := func(i int) []told { return append(append([]told(nil), all[:i]...), all[i+1:]...) }
	again := door(1, 2)
	again.again = true
	for _, test := range []struct {
		what           string
		events         []told
		damaged        int
		lost, repeated int
	}{
		{"all but the last of the log of the run that was killed", all, 0, 0, 0},
		{"the last one, too", append([]told{door(0, 3)}, all...), 0, 0, 0},
		{"a picture that nobody heard of", without(1), 0, 1, 0},
		{"an event in the middle", without(5), 0, 1, 0},
		{"the first of a run", without(4), 0, 1, 0},
		{"the last of a run that was ended in order", without(6), 0, 1, 0},
		{"the last of the last run", without(9), 0, 1, 0},
		{"one whose record was damaged", without(9), 1, 0, 0},
		{"one before the damage", without(8), 1, 1, 0},
		{"nothing at all", nil, 0, 2 + 2 + 3 + 3, 0},
		{"repeats", append([]told{picture("a"), door(1, 2), door(1, 2)}, all...), 0, 0, 3},
		{"what the broker has sent again", append(all[:len(all):len(all)], again), 0, 0, 0},
	} {
		g := &rig{wire: &wire{acked: map[string]time.Time{"a": begin, "b": begin}}, names: []string{"a", "b"}}
		for run, clean := range []bool{false, true, true} {
			p := &process{}
			if _, err := p.Write([]byte(log)); err != nil {
				t.Fatal(err)
			}
			g.spells = append(g.spells, &spell{p: p, began: begin.Add(time.Duration(10*run) * time.Second), clean: clean})
		}
		g.spells[2].damaged = test.damaged
		f := &fault{}
		g.judge(t, f, test.events)
		if f.lost != test.lost || f.repeated != test.repeated || len(f.missing) > 0 != (test.lost > 0) {
			t.Errorf("%s: want %d lost and %d repeated, have %d and %d: %q", test.what, test.lost, test.repeated, f.lost, f.repeated, f.missing)
		}
	}
	g := &rig{wire: &wire{}, names: []string{"a"}}
	f := &fault{}
	if g.judge(t, f, []told{picture("a")}); f.lost != 1 {
		t.Errorf("a picture that the broker hasn't acknowledged: want it lost, have %d", f.lost)
	}
}
