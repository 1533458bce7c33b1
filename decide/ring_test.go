package decide

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

func TestRecordIsSmall(t *testing.T) {
	if have := unsafe.Sizeof(Record{}); have > 64 {
		t.Errorf("a record has %d bytes, want at most 64", have)
	}
}

// TestDayFits leaves pictures out twice a second for a day, with a look each minute and an outage at noon.
func TestDayFits(t *testing.T) {
	d := decider(t, DefaultRules(), 0)
	ring := NewRing(DefaultRing, d)
	pictures := 0
	for i := range 24 * 3600 * 2 {
		now := noon.Add(time.Duration(i) * 500 * time.Millisecond)
		switch {
		case i%120 == 0:
			d.Observe(Look{Time: now, Scores: show(scores{3: 0.3})})
		case i/7200 == 12:
			d.Lost(now, CameraLost, "gone")
		default:
			d.Idle(now, Unchanged)
		}
		ring.Add(d.Record())
	}
	entries := ring.Around(noon, 48*time.Hour, 1e9)
	for _, e := range entries {
		pictures += e.Count
	}
	if pictures != 24*3600*2 {
		t.Errorf("have %d pictures, want all of %d", pictures, 24*3600*2)
	}
	if len(entries) > 3000 {
		t.Errorf("have %d entries, want about two a minute", len(entries))
	}
}

// TestRingIsBounded keeps the newest.
func TestRingIsBounded(t *testing.T) {
	d := decider(t, DefaultRules(), 0)
	ring := NewRing(10*64+63, d)
	for i := range 25 {
		d.Observe(Look{Time: noon.Add(time.Duration(i) * time.Second), Seq: uint64(i), Scores: show(scores{3: 0.3})})
		ring.Add(d.Record())
		entries := ring.Around(noon, time.Hour, 100)
		if want := min(i+1, 10); len(entries) != want || entries[0].Seq != uint64(i+1-want) || entries[want-1].Seq != uint64(i) {
			t.Fatalf("after %d: have %v, want the last %d", i+1, entries, want)
		}
		// A run ends the ring, whatever the place.
		d.Idle(noon.Add(time.Duration(i)*time.Second+1), Unchanged)
		if last := ring.newest(); last.seq != uint64(i) {
			t.Fatalf("after %d: have %d as the newest", i+1, last.seq)
		}
	}
	if have := NewRing(0, d).most; have != 1 {
		t.Errorf("a ring without bytes keeps %d, want 1", have)
	}
}

func TestAround(t *testing.T) {
	d := decider(t, DefaultRules(), 0)
	ring := NewRing(DefaultRing, d)
	for i := range 100 { // looks at 0, 1, 2 ... s; unchanged from 40 to 60
		now := noon.Add(time.Duration(i) * time.Second)
		if i >= 40 && i <= 60 {
			d.Idle(now, Unchanged)
		} else {
			d.Observe(Look{Time: now, Seq: uint64(i), Scores: show(scores{3: 0.3})})
		}
		ring.Add(d.Record())
	}
	ring.Add(Record{})
	d.Idle(noon.Add(time.Hour), Waiting)
	ring.Add(d.Record())
	for _, test := range []struct {
		at, span, most int
		want           []uint64 // sequence numbers; 0: the run
	}{
		{10, 2, 100, []uint64{8, 9, 10, 11, 12}},
		{10, 2, 3, []uint64{9, 10, 11}},
		{10, 2, 2, []uint64{9, 10}},
		{10, 2, 0, []uint64{}},
		{10, 2, -5, []uint64{}},
		{50, 2, 100, []uint64{0}},
		{50, 11, 100, []uint64{39, 0, 61}},
		{200, 2, 100, []uint64{}},
		{100, 2, 100, []uint64{98, 99}},
	} {
		have := []uint64{}
		for _, e := range ring.Around(noon.Add(time.Duration(test.at)*time.Second), time.Duration(test.span)*time.Second, test.most) {
			have = append(have, e.Seq)
		}
		if !reflect.DeepEqual(have, test.want) {
			t.Errorf("%d at %d within %d: have %v, want %v", test.most, test.at, test.span, have, test.want)
		}
	}
	run := ring.Around(noon.Add(50*time.Second), 0, 1)[0]
	if run.Count != 21 || run.Until.Sub(run.Time) != 20*time.Second || run.Gate != Unchanged {
		t.Errorf("have run %+v, want 21 pictures in 20 s", run)
	}
}

// TestRingWhileWritten reads while records are added, for the race detector, and wants entries in order.
func TestRingWhileWritten(t *testing.T) {
	d := decider(t, DefaultRules(), 0)
	ring := NewRing(100*64, d)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				entries := ring.Around(noon.Add(5*time.Second), time.Hour, 1000)
				for i := 1; i < len(entries); i++ {
					if entries[i].Time.Before(entries[i-1].Until) {
						t.Errorf("have %s after %s", entries[i], entries[i-1])
						return
					}
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 5000 {
		now := noon.Add(time.Duration(i) * time.Millisecond)
		if i%3 == 0 {
			d.Observe(Look{Time: now, Scores: show(scores{0: 0.9})})
		} else {
			d.Idle(now, Unchanged)
		}
		ring.Add(d.Record())
	}
	close(done)
	readers.Wait()
}

// course is a cat that comes and goes, as entries.
func course(t *testing.T) []Entry {
	d := decider(t, DefaultRules(), 0)
	ring := NewRing(DefaultRing, d)
	add := func() { ring.Add(d.Record()) }
	look := func(at float64, of scores) {
		d.Observe(Look{Time: noon.Add(time.Duration(at * 1e9)), Seq: uint64(at * 10), Scores: show(of)})
		add()
	}
	look(0, scores{0: 0.5, 1: 0.2, 6: 0.1})
	look(0.1, scores{0: 0.58, 1: 0.2})
	look(0.15, scores{0: 0.55, 1: 0.2})
	for i := range 4 {
		look(0.2+0.1*float64(i), scores{0: 0.8712, 1: 0.05})
	}
	for i := range 30 {
		d.Idle(noon.Add(time.Second+time.Duration(i)*100*time.Millisecond), Unchanged)
		add()
	}
	for i := range 7 {
		look(5+0.1*float64(i), scores{1: 0.7, 0: 0.1})
	}
	look(16, scores{1: 0.7})
	for i := range 3 {
		d.Lost(noon.Add(time.Duration(17+5*i)*time.Second), Frozen, "frozen")
		add()
	}
	d.Lost(noon.Add(28*time.Second), Frozen, "frozen")
	add()
	return ring.Around(noon.Add(10*time.Second), time.Hour, 1000)
}

func TestEntryLines(t *testing.T) {
	want := `
12:00:00.000  cat 0.50 (smoothed 0.50)  below enter 0.60  [unknown]
12:00:00.100  cat 0.58 (smoothed 0.54)  below enter 0.60  [unknown]
12:00:00.150  cat 0.55 (smoothed 0.55)  below enter 0.60  [unknown]
12:00:00.200  cat 0.87 (smoothed 0.71)  confirming 1 of 3  [unknown]
12:00:00.300  cat 0.87 (smoothed 0.79)  confirming 2 of 3  [unknown]
12:00:00.400  cat 0.87 (smoothed 0.83)  entered  [cat]
12:00:00.500  cat 0.87 (smoothed 0.85)  shown  [cat]
12:00:01.000 to 12:00:03.900  unchanged, 30 pictures  [cat]
12:00:05.000  dog 0.70 (smoothed 0.40)  confirming 1 of 3  [cat]
12:00:05.100  dog 0.70 (smoothed 0.55)  confirming 2 of 3  [cat]
12:00:05.200  dog 0.70 (smoothed 0.63)  cat stays until it is missing for 10s  [cat]
12:00:05.300  dog 0.70 (smoothed 0.66)  cat stays until it is missing for 10s  [cat]
12:00:05.400  dog 0.70 (smoothed 0.68)  cat stays 10s more  [cat, missing for 0s]
12:00:05.500  dog 0.70 (smoothed 0.69)  cat stays 9.9s more  [cat, missing for 100ms]
12:00:05.600  dog 0.70 (smoothed 0.70)  cat stays 9.8s more  [cat, missing for 200ms]
12:00:16.000  dog 0.70 (smoothed 0.70)  changed from cat  [dog]
12:00:17.000 to 12:00:22.000  frozen, 2 pictures  [dog, missing for 5s]
12:00:27.000  dog left  [none]
12:00:28.000  frozen  [none]
`
	var have strings.Builder
	for _, e := range course(t) {
		have.WriteString("\n" + e.String())
	}
	if have := have.String() + "\n"; have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
}

func TestTableOfRuns(t *testing.T) {
	want := `
TIME                          BEST  SCORE  SMOOTHED  WHY                           SHOWN
12:00:00.000                  cat   0.50   0.50      below enter 0.60              unknown
12:00:00.100 to 12:00:00.150  cat   0.58   0.54      below enter 0.60, 2 pictures  unknown
12:00:00.200                  cat   0.87   0.71      confirming 1 of 3             unknown
12:00:00.300                  cat   0.87   0.79      confirming 2 of 3             unknown
12:00:00.400                  cat   0.87   0.83      entered                       cat
12:00:00.500                  cat   0.87   0.85      shown                         cat
12:00:01.000 to 12:00:03.900                         unchanged, 30 pictures        cat
`
	var have strings.Builder
	if err := WriteTable(&have, Runs(course(t)[:8])); err != nil {
		t.Fatal(err)
	}
	if have := "\n" + have.String(); have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
}

// TestTableWithoutPictures has blanks where there was no score, and times where there was no picture to count.
func TestTableWithoutPictures(t *testing.T) {
	d := decider(t, DefaultRules(), 0)
	ring := NewRing(DefaultRing, d)
	if d.State().Seen {
		t.Error("a look is seen before the first one")
	}
	at := func(seconds float64) time.Time { return noon.Add(time.Duration(seconds * 1e9)) }
	for i := range 3 {
		d.Observe(Look{Time: at(float64(i)), Scores: show(scores{0: 0.9})})
		ring.Add(d.Record())
	}
	for i := range 60 {
		d.Lost(at(10+float64(i)/2), CameraLost, "gone")
		ring.Add(d.Record())
	}
	d.Lost(at(50), Disabled, "off")
	ring.Add(d.Record())
	want := `
TIME                          BEST  SCORE  SMOOTHED  WHY                    SHOWN
12:00:00.000                  cat   0.90   0.90      confirming 1 of 3      unknown
12:00:01.000                  cat   0.90   0.90      confirming 2 of 3      unknown
12:00:02.000                  cat   0.90   0.90      entered                cat
12:00:10.000 to 12:00:19.500                         camera lost for 9.5s   cat, missing for 9.5s
12:00:20.000                                         cat left               none
12:00:20.500 to 12:00:39.500                         camera lost for 19s    none
12:00:50.000                                         disabled               none
`
	entries := ring.Around(noon, time.Hour, 1000)
	var have strings.Builder
	if err := WriteTable(&have, Runs(entries)); err != nil {
		t.Fatal(err)
	}
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if have := have.String(); squeeze(have) != squeeze(want) {
		t.Errorf("have\n%s\nwant%s", have, want)
	}
	left := entries[len(entries)-3]
	if left.Gate != Left || len(left.Top) != 0 || left.Smoothed != 0 || left.Why() != "cat left" {
		t.Errorf("have %+v, want a cat that left without a look", left)
	}
}

func TestEntryJSON(t *testing.T) {
	entries := course(t)
	have, err := json.Marshal(entries[10])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"ts":"2026-09-23T12:00:05.200Z","until":"2026-09-23T12:00:05.200Z","seq":52,"count":1,"gate":"holding","reason":"cat stays until it is missing for 10s",` +
		`"top":[{"label":"dog","index":1,"score":0.7},{"label":"cat","index":0,"score":0.1},{"label":"crane","index":2,"score":0}],` +
		`"smoothed":0.6253,"have":0.6253,"limit":0.6,"votes":3,"confirm":[3,5],` +
		`"left_s":10,"before":"cat","shown":"cat","absent_s":0}`
	if string(have) != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
	for i, e := range entries {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back Entry
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		back.Reason = ""
		if back.String() != e.String() || !reflect.DeepEqual(back.Top, e.Top) {
			t.Errorf("%d: have %s back, want %s", i, back, e)
		}
	}
}

func TestLabelsAreNoCommands(t *testing.T) {
	e := Entry{Top: []Score{{Label: "a\x1b[2J\n\u2028b"}}, Shown: "c\x07\td", Before: "e\r", Gate: Changed}
	var table strings.Builder
	if err := WriteTable(&table, []Entry{e}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{e.String(), strings.ReplaceAll(table.String(), "\n", "")} {
		if printable(text) != text || strings.Contains(text, "\t") {
			t.Errorf("have %q, want it printable", text)
		}
	}
}

func TestGateNames(t *testing.T) {
	seen := map[string]bool{}
	for g := range gates {
		text, err := g.MarshalText()
		if err != nil || len(text) == 0 || seen[string(text)] || g.String() == "" {
			t.Errorf("gate %d: have names %q and %q, error %v", uint8(g), text, g, err)
		}
		seen[string(text)] = true
		var back Gate
		if err := back.UnmarshalText(text); err != nil || back != g {
			t.Errorf("%s: have %s back, error %v", g, back, err)
		}
	}
	if _, err := gates.MarshalText(); err == nil {
		t.Error("a gate too many has a name")
	}
	var g Gate
	if err := g.UnmarshalText([]byte("no\x1bthing")); err == nil || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("have error %v, want one that is printable", err)
	}
}
