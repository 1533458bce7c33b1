package daemon

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// heatTree is a fake sysfs, and a clock.
type heatTree struct {
	t    *testing.T
	root string
	time time.Time
}

func newHeatTree(t *testing.T) *heatTree {
	return &heatTree{t: t, root: t.TempDir(), time: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)}
}

func (tree *heatTree) heat() *heat {
	return &heat{sys: tree.root, now: func() time.Time { return tree.time }}
}

// set writes files, by pairs of path and content; "absent" removes one.
func (tree *heatTree) set(pairs ...string) {
	tree.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		path := filepath.Join(tree.root, pairs[i])
		if pairs[i+1] == "absent" {
			if err := os.RemoveAll(path); err != nil {
				tree.t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tree.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(pairs[i+1]), 0o644); err != nil {
			tree.t.Fatal(err)
		}
	}
}

const (
	heatZone0 = "class/thermal/thermal_zone0/"
	heatZone1 = "class/thermal/thermal_zone1/"
	heatFlags = "devices/platform/soc/soc:firmware/get_throttled"
)

// heatTrips90 has trip points as boards have them: passive ones at 90 and 95 °C.
var heatTrips90 = []string{
	heatZone0 + "trip_point_0_type", "critical\n", heatZone0 + "trip_point_0_temp", "105000\n",
	heatZone0 + "trip_point_1_type", "passive\n", heatZone0 + "trip_point_1_temp", "95000\n",
	heatZone0 + "trip_point_2_type", "passive\n", heatZone0 + "trip_point_2_temp", "90000\n",
	heatZone0 + "trip_point_3_type", "active\n", heatZone0 + "trip_point_3_temp", "50000\n",
}

func TestHeat(t *testing.T) {
	with := func(pairs ...string) []string { return append(append([]string{}, heatTrips90...), pairs...) }
	tests := []struct {
		name  string
		files []string
		want  float64
		why   string
	}{
		{"no zones", nil, 1, ""},
		{"cool", []string{heatZone0 + "temp", "45000\n"}, 1, ""},
		{"8 K below 80 °C", []string{heatZone0 + "temp", "72000\n"}, 1, ""},
		{"4.5 K below", []string{heatZone0 + "temp", "75500\n"}, 4.5, "the board has 76 °C and slows itself down at 80 °C"},
		{"1 K below", []string{heatZone0 + "temp", "79000\n"}, 8, "79 °C"},
		{"over it", []string{heatZone0 + "temp", "97000\n"}, 8, "97 °C"},
		{"the lowest passive trip point", with(heatZone0+"temp", "80000\n"), 1, ""},
		{"near that", with(heatZone0+"temp", "85000\n"), 4, "85 °C and slows itself down at 90 °C"},
		{"no newline", with(heatZone0+"temp", "85000"), 4, "90 °C"},
		{"another zone that always tells 100 °C", with(heatZone0+"temp", "50000\n", heatZone1+"temp", "100000\n"), 1, ""},
		{"two zones, each with its limit", with(heatZone0+"temp", "83000\n", heatZone1+"temp", "67000\n",
			heatZone1+"trip_point_0_type", "passive\n", heatZone1+"trip_point_0_temp", "70000\n"), 6, "67 °C and slows itself down at 70 °C"},
		{"two zones without", []string{heatZone0 + "temp", "50000\n", heatZone1 + "temp", "74000\n"}, 3, "74 °C"},
		{"a zone that can't be read, beside one that can", []string{heatZone0 + "temp/x", "", heatZone1 + "temp", "74000\n"}, 3, "74 °C"},
		{"no number", []string{heatZone0 + "temp", "hot\n"}, 1, ""},
		{"nothing", []string{heatZone0 + "temp", ""}, 1, ""},
		{"not of this world", []string{heatZone0 + "temp", "2147483647\n"}, 1, ""},
		{"absolute zero", []string{heatZone0 + "temp", "-273150\n"}, 1, ""},
		{"more than a number", []string{heatZone0 + "temp", "9" + strings.Repeat("0", 5000)}, 1, ""},
		{"trip point of 0", []string{heatZone0 + "temp", "50000\n", heatZone0 + "trip_point_0_type", "passive\n",
			heatZone0 + "trip_point_0_temp", "0\n"}, 1, ""},
		{"trip point that is none", []string{heatZone0 + "temp", "78000\n", heatZone0 + "trip_point_0_type", "passive\n",
			heatZone0 + "trip_point_0_temp", "-274000\n"}, 7, "80 °C"},
		{"trip point without a temperature", []string{heatZone0 + "temp", "78000\n", heatZone0 + "trip_point_0_type", "passive\n"}, 7, "80 °C"},
		{"firmware: all is well", []string{heatFlags, "0\n"}, 1, ""},
		{"firmware: it was hot once", []string{heatFlags, "e0000\n"}, 1, ""},
		{"firmware: throttled", []string{heatFlags, "0x60006\n"}, 8, "the board is too hot"},
		{"firmware: soft limit", []string{heatFlags, "80008\n"}, 2, "soft temperature limit"},
		{"firmware: soft limit, and hotter than that", []string{heatFlags, "80008\n", heatZone0 + "temp", "76000\n"}, 5, "76 °C"},
		{"firmware: a weak power supply", []string{heatFlags, "50005\n"}, 2, "too little power"},
		{"firmware: the supply alone, not slowed down", []string{heatFlags, "1\n"}, 1, ""},
		{"firmware: odd", []string{heatFlags, "throttled=0x4\n"}, 1, ""},
		{"firmware: a folder", []string{heatFlags + "/x", ""}, 1, ""},
		{"firmware: another board's path", []string{"devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "4\n"}, 8, "too hot"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := newHeatTree(t)
			tree.set(test.files...)
			factor, why := tree.heat().slow()
			if math.Abs(factor-test.want) > 1e-9 || !strings.Contains(why, test.why) || (test.why == "") != (why == "") {
				t.Errorf("factor %v, %q, want %v, %q", factor, why, test.want, test.why)
			}
		})
	}
}

// TestHeatHysteresis lets a board warm up and cool down, once every 5 s.
func TestHeatHysteresis(t *testing.T) {
	tree := newHeatTree(t)
	h := tree.heat()
	for i, step := range []struct{ milli, want string }{
		{"60000", "1"}, {"74000", "3"}, {"76000", "5"},
		{"75000", "5"}, {"74000", "5"}, {"75900", "5"}, // it wavers
		{"73000", "4"}, {"72000", "3"}, {"73500", "3"}, {"74000", "3"}, {"75000", "4"},
		{"90000", "8"}, {"81500", "8"}, {"79000", "8"}, {"77000", "8"}, {"76500", "7.5"},
		{"absent", "1"},  // the zone is gone
		{"76500", "5.5"}, // and back
		{"40000", "1"},
	} {
		tree.set(heatZone0+"temp", step.milli)
		if factor, _ := h.slow(); fmt.Sprint(factor) != step.want {
			t.Errorf("step %d, %s: factor %v, want %s", i, step.milli, factor, step.want)
		}
		tree.time = tree.time.Add(heatEach)
	}
}

func TestHeatReadsEachFiveSeconds(t *testing.T) {
	tree := newHeatTree(t)
	h := tree.heat()
	if h.factor() != 1 {
		t.Errorf("factor %v before the first reading, want 1", h.factor())
	}
	tree.set(heatZone0+"temp", "76000")
	for _, step := range []struct {
		passed time.Duration
		milli  string
		want   float64
	}{
		{0, "76000", 5},
		{4999 * time.Millisecond, "79000", 5},
		{time.Millisecond, "79000", 8},
		{time.Second, "40000", 8},
		{-time.Hour, "75000", 6}, // a clock that was set back does not stop the readings; 2 K less than before count
	} {
		tree.time = tree.time.Add(step.passed)
		tree.set(heatZone0+"temp", step.milli)
		h.feel()
		if factor := h.factor(); factor != step.want {
			t.Errorf("%v later, %s: factor %v, want %v", step.passed, step.milli, factor, step.want)
		}
	}
}

// TestHeatTripPoints changes a limit: it is seen after a minute, or at once if the zone was away.
func TestHeatTripPoints(t *testing.T) {
	tree := newHeatTree(t)
	h := tree.heat()
	tree.set(append([]string{heatZone0 + "temp", "84000\n"}, heatTrips90...)...)
	want := func(when string, want float64) {
		t.Helper()
		if factor, why := h.slow(); factor != want {
			t.Errorf("%s: factor %v, %s, want %v", when, factor, why, want)
		}
	}
	want("at 90 °C", 3)
	tree.set(heatZone0+"trip_point_2_temp", "86000\n")
	tree.time = tree.time.Add(59 * time.Second)
	want("before a minute", 3)
	tree.time = tree.time.Add(heatEach)
	want("after a minute", 7)
	tree.set("class/thermal/thermal_zone0", "absent")
	tree.time = tree.time.Add(heatEach)
	want("gone", 1)
	tree.set(append([]string{heatZone0 + "temp", "84000\n"}, heatTrips90...)...)
	tree.time = tree.time.Add(heatEach)
	want("back", 3)
}

// TestHeatHoldsTheFirmwaresWord has the firmware throttle for a moment.
func TestHeatHoldsTheFirmwaresWord(t *testing.T) {
	tree := newHeatTree(t)
	h := tree.heat()
	for i, step := range []struct {
		flags string
		after time.Duration
		want  float64
	}{
		{"0", 0, 1},
		{"8", 5 * time.Second, 2},
		{"4", 5 * time.Second, 8}, // worse counts at once
		{"0", 5 * time.Second, 8},
		{"8", 20 * time.Second, 8},
		{"8", 5 * time.Second, 2},
		{"absent", 29 * time.Second, 2},
		{"absent", 5 * time.Second, 1},
	} {
		tree.time = tree.time.Add(step.after)
		tree.set(heatFlags, step.flags)
		if factor, _ := h.slow(); factor != step.want {
			t.Errorf("step %d: factor %v, want %v", i, factor, step.want)
		}
	}
}

// TestHeatOfThisMachine reads the true sysfs from several goroutines.
func TestHeatOfThisMachine(t *testing.T) {
	var h heat
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if factor, why := h.slow(); factor < 1 || factor > 8 || (factor > 1) != (why != "") {
				t.Errorf("factor %v, %q", factor, why)
			}
			if factor := h.factor(); factor < 1 || factor > 8 {
				t.Errorf("factor %v", factor)
			}
		})
	}
	all.Wait()
}
