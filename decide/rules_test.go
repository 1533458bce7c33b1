package decide

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	labels := []string{"tench", "tabby", "tiger cat", "crane", "Egyptian cat", "crane", "none", "7"}
	own := func(key string, rule LabelRule) func(*Rules) {
		return func(r *Rules) { r.Labels = map[string]LabelRule{key: rule} }
	}
	groups := func(groups map[string][]string) func(*Rules) {
		return func(r *Rules) { r.Groups = groups }
	}
	period := func(p Period) func(*Rules) {
		return func(r *Rules) { r.Schedule = []Period{{From: "00:00", To: "01:00"}, p} }
	}
	tests := []struct {
		change func(*Rules)
		want   string
	}{
		{func(r *Rules) {}, ""},
		{func(r *Rules) { r.Top = 0 }, "top: want 1 to 100, have 0"},
		{func(r *Rules) { r.Enter, r.Stay = 0, 0 }, "enter: want a score above 0, up to 1, have 0"},
		{func(r *Rules) { r.Enter = 1.5 }, "enter: want a score above 0, up to 1, have 1.5"},
		{func(r *Rules) { r.Enter = float64(nan) }, "enter: want a score above 0, up to 1, have NaN"},
		{func(r *Rules) { r.Stay = -1 }, "stay: want a score from 0 to 1, have -1"},
		{func(r *Rules) { r.Stay = 0.7 }, "stay: want at most enter, which is 0.6, have 0.7"},
		{func(r *Rules) { r.Stay = 0.6 }, ""},
		{func(r *Rules) { r.Confirm = [2]int{1, 1} }, ""},
		{func(r *Rules) { r.Confirm = [2]int{6, 5} }, "confirm: want [k, n], k of the last n looks, with 1 <= k <= n <= 100, have [6, 5]"},
		{func(r *Rules) { r.Confirm = [2]int{0, 5} }, "confirm: want [k, n], k of the last n looks, with 1 <= k <= n <= 100, have [0, 5]"},
		{func(r *Rules) { r.Confirm = [2]int{3, 101} }, "confirm: want [k, n], k of the last n looks, with 1 <= k <= n <= 100, have [3, 101]"},
		{func(r *Rules) { r.Hold = -1 }, "hold: want 0s to 24h, have -1ns"},
		{func(r *Rules) { r.Hold, r.Cooldown = 0, 0 }, ""},
		{func(r *Rules) { r.Cooldown = 25 * time.Hour }, "cooldown: want 0s to 24h, have 25h0m0s"},
		{func(r *Rules) { r.Smoothing = 1 }, "smoothing: want 0 to 0.99, have 1"},
		{func(r *Rules) { r.Smoothing = float64(nan) }, "smoothing: want 0 to 0.99, have NaN"},
		{func(r *Rules) { r.Unknown.Mode = "on" }, `unknown: want auto, off, or score and margin, have "on"`},
		{func(r *Rules) { r.Unknown = UnknownRule{Score: 2, Margin: -1} }, "unknown: score: want 0 to 1, have 2\nunknown: margin: want 0 to 1, have -1"},

		{own("tabby", LabelRule{Enter: f(0.3)}), ""},
		{own("1", LabelRule{Enter: f(0.3)}), ""},
		{own("7", LabelRule{Enter: f(0.3)}), ""},
		{own("5", LabelRule{Enter: f(0.3)}), ""},
		{own("8", LabelRule{}), "labels: 8: want an index from 0 to 7"},
		{own("99999999999999999999", LabelRule{}), "labels: 99999999999999999999: want an index from 0 to 7"},
		{own("tabby kat", LabelRule{}), `labels: tabby kat: no such label`},
		{own("tiger kat", LabelRule{}), `labels: tiger kat: no such label, did you mean "tiger cat"?`},
		{own("Tabby", LabelRule{}), `labels: Tabby: no such label, did you mean "tabby"?`},
		{own("cat", LabelRule{}), `labels: cat: no such label, did you mean "tiger cat" or "Egyptian cat"?`},
		{own("", LabelRule{}), "labels: : no such label"},
		{own("a\x1b[2J\n", LabelRule{}), "labels: a\uFFFD[2J\uFFFD: no such label"},
		{own("crane", LabelRule{}), "labels: crane: 2 labels are called so: give the index, one of 3, 5"},
		{own("tabby", LabelRule{Enter: f(2)}), "labels: tabby: enter: want a score above 0, up to 1, have 2"},
		{own("tabby", LabelRule{Enter: f(0.3), Stay: f(0.35)}), "labels: tabby: stay: want at most enter, which is 0.3, have 0.35"},
		{own("tabby", LabelRule{Stay: f(0.7)}), "labels: tabby: stay: want at most enter, which is 0.6, have 0.7"},
		{own("none", LabelRule{Allow: b(true)}), `labels: none: allow: want it left out: a label "none" can't be told from no label`},
		{func(r *Rules) { r.Labels = map[string]LabelRule{"tabby": {}, "1": {}} }, "labels: tabby: is the same label as 1: give it one rule"},

		{groups(map[string][]string{"cat": {"tabby", "tiger cat", "4"}}), ""},
		{groups(map[string][]string{"crane": {"3", "5"}}), ""},
		{groups(map[string][]string{"crane": {"3"}}), "groups: crane: want another name, or label 5 in it, which is called so too"},
		{groups(map[string][]string{"tabby": {"tench"}}), "groups: tabby: want another name, or label 1 in it, which is called so too"},
		{groups(map[string][]string{"cat": {"tabby", "1"}}), "groups: cat: 1: is listed twice"},
		{groups(map[string][]string{"a": {"tabby"}, "b": {"tabby"}}), "groups: b: tabby: is in the group a too: a label belongs to one group"},
		{groups(map[string][]string{"cat": {"tobby", "crane"}}), "groups: cat: tobby: no such label, did you mean \"tabby\"?\n" +
			"groups: cat: crane: 2 labels are called so: give the index, one of 3, 5"},
		{groups(map[string][]string{"cat": nil}), "groups: cat: want at least one label"},
		{groups(map[string][]string{" ": {"tabby"}}), "groups:  : want a name"},
		{groups(map[string][]string{"unknown": {"tabby"}}), "groups: unknown: want another name: this one says that no label is shown"},
		{groups(map[string][]string{"12": {"tabby"}}), "groups: 12: want a name that isn't a number: numbers are indices"},
		{func(r *Rules) {
			r.Groups, r.Labels = map[string][]string{"cat": {"tabby"}}, map[string]LabelRule{"cat": {Allow: b(true)}, "tabby": {}}
		}, "labels: tabby: is in the group cat: give the rule to that"},

		{period(Period{From: "22:00", To: "06:00", Days: []string{"mon", "sun"}, Off: true}), ""},
		{period(Period{From: "7:00", To: "24:00", Enter: f(0.9), Stay: f(0.8)}), ""},
		{period(Period{From: "24:00", To: "25:00"}), "schedule: 1: from: want a time of day such as \"22:00\", have \"24:00\"\n" +
			"schedule: 1: to: want a time of day such as \"06:00\", have \"25:00\""},
		{period(Period{From: "12:60", To: "-1:00"}), "schedule: 1: from: want a time of day such as \"22:00\", have \"12:60\"\n" +
			"schedule: 1: to: want a time of day such as \"06:00\", have \"-1:00\""},
		{period(Period{From: "", To: "1:0"}), "schedule: 1: from: want a time of day such as \"22:00\", have \"\"\n" +
			"schedule: 1: to: want a time of day such as \"06:00\", have \"1:0\""},
		{period(Period{From: "6:00", To: "06:00"}), `schedule: 1: to: want another time than from; the whole day is "00:00" to "24:00"`},
		{period(Period{From: "06:00", To: "07:00", Days: []string{"Monday"}}), `schedule: 1: days: want mon, tue, wed, thu, fri, sat or sun, have "Monday"`},
		{period(Period{From: "06:00", To: "07:00", Stay: f(0.7)}), "schedule: 1: stay: want at most enter, which is 0.6, have 0.7"},
		{period(Period{From: "06:00", To: "07:00", Labels: map[string]LabelRule{"tobby": {}}}), `schedule: 1: labels: tobby: no such label, did you mean "tabby"?`},
		{func(r *Rules) {
			r.Labels = map[string]LabelRule{"tabby": {Enter: f(0.9)}}
			r.Schedule = []Period{{From: "06:00", To: "07:00", Labels: map[string]LabelRule{"tabby": {Stay: f(0.8)}}}}
		}, ""},
		{func(r *Rules) { r.Schedule = make([]Period, 49) }, "schedule: want at most 48 periods, have 49"},
	}
	for _, test := range tests {
		r := DefaultRules()
		test.change(&r)
		have := ""
		if err := r.Check(labels); err != nil {
			have = err.Error()
		}
		if have != test.want {
			t.Errorf("have\n%s\nwant\n%s", have, test.want)
		}
		if _, err := New(r, labels, 0); (err != nil) != (test.want != "") {
			t.Errorf("New has error %v where Check has %q", err, test.want)
		}
	}
}

// TestCheckWithoutLabels leaves out what needs them, and no more.
func TestCheckWithoutLabels(t *testing.T) {
	r := DefaultRules()
	r.Labels = map[string]LabelRule{"whatever": {}, "5000": {}}
	r.Groups = map[string][]string{"g": {"this", "that"}}
	if err := r.Check(nil); err != nil {
		t.Error(err)
	}
	r.Labels["whatever"] = LabelRule{Stay: f(0.9)}
	faults, ok := r.Check(nil).(Faults)
	if !ok || len(faults) != 1 || strings.Join(faults[0].Path, "/") != "labels/whatever/stay" {
		t.Errorf("have %v, want a fault at labels/whatever/stay", faults)
	}
}

func TestPeriodOn(t *testing.T) {
	day, night := Period{From: "08:00", To: "20:00"}, Period{From: "22:00", To: "06:00"}
	workdays := Period{From: "08:00", To: "20:00", Days: []string{"mon", "tue", "wed", "thu", "fri"}}
	friday := Period{From: "22:00", To: "06:00", Days: []string{"fri"}}
	whole := Period{From: "00:00", To: "24:00", Days: []string{"sun"}}
	tests := []struct {
		period Period
		at     string // of September 2026, of which the 4th is a Friday
		want   bool
	}{
		{day, "04 07:59:59", false}, {day, "04 08:00:00", true}, {day, "04 19:59:59", true}, {day, "04 20:00:00", false},
		{night, "04 21:59:59", false}, {night, "04 22:00:00", true}, {night, "05 00:00:00", true}, {night, "05 05:59:59", true}, {night, "05 06:00:00", false},
		{workdays, "04 12:00:00", true}, {workdays, "05 12:00:00", false}, {workdays, "06 12:00:00", false}, {workdays, "07 12:00:00", true},
		{friday, "04 03:00:00", false}, {friday, "04 23:00:00", true}, {friday, "05 03:00:00", true}, {friday, "05 23:00:00", false}, {friday, "06 03:00:00", false},
		{whole, "05 23:59:59", false}, {whole, "06 00:00:00", true}, {whole, "06 23:59:59", true}, {whole, "07 00:00:00", false},
	}
	zone := time.FixedZone("", -5*3600)
	for _, test := range tests {
		at, err := time.ParseInLocation("2006-01-02 15:04:05", "2026-09-"+test.at, zone)
		if err != nil {
			t.Fatal(err)
		}
		p := newPeriod(test.period, nil)
		if have := p.on(at); have != test.want {
			t.Errorf("%v at %s: have %t, want %t", test.period, test.at, have, test.want)
		}
	}
}

// TestTable lays rules over one another.
func TestTable(t *testing.T) {
	labels := []string{"tench", "tabby", "tiger cat", "church"}
	r := DefaultRules()
	r.Groups = map[string][]string{"cat": {"tabby", "tiger cat"}}
	r.Labels = map[string]LabelRule{"cat": {Enter: f(0.3)}, "church": {Allow: b(false)}}
	night := Period{Enter: f(0.9), Stay: f(0.8), Labels: map[string]LabelRule{"cat": {Stay: f(0.1)}, "0": {Allow: b(true)}}}
	e := newEntities(r, labels)
	for _, test := range []struct {
		period *Period
		want   string
	}{
		{nil, "cat 0.3 0.3 true, tench 0.6 0.4 true, church 0.6 0.4 false"},
		{&night, "cat 0.3 0.1 false, tench 0.9 0.8 true, church 0.9 0.8 false"},
	} {
		table := newTable(r, labels, e, test.period)
		var have []string
		for i, name := range e.names {
			have = append(have, fmt.Sprint(name, " ", table.enter[i], " ", table.stay[i], " ", table.allow[i]))
		}
		if have := strings.Join(have, ", "); have != test.want {
			t.Errorf("have %s, want %s", have, test.want)
		}
	}
}
