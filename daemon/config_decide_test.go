package daemon

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestConfigDecide has decisions in a file and in variables.
func TestConfigDecide(t *testing.T) {
	with := func(change func(*DecideConfig)) DecideConfig {
		c := Default().Decide
		change(&c)
		return c
	}
	score := func(s float64) *float64 { return &s }
	yes, no := true, false
	labels := map[string]LabelConfig{
		"tabby cat": {Enter: score(0.8)}, "281": {Enter: score(0.7)}, "web site": {Allow: &no}, "true": {Allow: &yes}, "dog: big": {Enter: score(1)},
		"pets": {Enter: score(0.5), Stay: score(0), Allow: &yes},
	}
	groups := map[string][]string{"pets": {"lynx", "7"}, "7 up": {"bottle"}}
	night := PeriodConfig{From: "22:00", To: "06:00", Days: []string{"fri", "sat"}, Enter: score(0.9), Stay: score(0.1), Labels: map[string]LabelConfig{"lynx": {Enter: score(0.95)}}}
	tests := []struct {
		name, yaml string
		env        []string
		want       DecideConfig
	}{
		{"scalars", "{top: 3, enter: 1, stay: 1e-1, confirm: [1, 1], hold: 0, cooldown: 24h, smoothing: 0.99}", nil, with(func(c *DecideConfig) {
			c.Top, c.Enter, c.Stay, c.Confirm, c.Hold, c.Cooldown, c.Smoothing = 3, 1, 0.1, [2]int{1, 1}, 0, 24*time.Hour, 0.99
		})},
		{"nothing", "{labels: , groups: , schedule: }", nil, with(func(*DecideConfig) {})},
		{"nothing, written out", "{labels: {}, groups: {}, schedule: []}", nil, with(func(*DecideConfig) {})},
		{"never unknown", "{unknown: off}", nil, with(func(c *DecideConfig) { c.Unknown.Mode = UnknownOff })},
		{"never unknown, as a boolean", "{unknown: false}", nil, with(func(c *DecideConfig) { c.Unknown.Mode = UnknownOff })},
		{"unknown by score", "{unknown: {score: 0.5}}", nil, with(func(c *DecideConfig) { c.Unknown = UnknownConfig{Mode: UnknownFixed, Score: 0.5} })},
		{"unknown by both", "{unknown: {margin: 0.2, score: 0}}", nil, with(func(c *DecideConfig) { c.Unknown = UnknownConfig{Mode: UnknownFixed, Margin: 0.2} })},
		{"labels", "{labels: {tabby cat: 0.8, 281: .7, web site: deny, true: allow, 'dog: big': 1, pets: {enter: 0.5, stay: 0, allow: true}}}", nil,
			with(func(c *DecideConfig) { c.Labels = labels })},
		{"labels on lines", "\n  labels:\n    tabby cat: 0.8\n    281: 0.7\n    web site: deny\n    true: allow\n    \"dog: big\": 1\n    pets:\n      enter: 0.5\n      stay: 0\n      allow: true\n", nil,
			with(func(c *DecideConfig) { c.Labels = labels })},
		{"groups", "{groups: {pets: [lynx, 7], 7 up: [bottle]}}", nil, with(func(c *DecideConfig) { c.Groups = groups })},
		{"schedule", "{schedule: [{from: 22:00, to: 06:00, days: [fri, sat], enter: 0.9, stay: 0.1, labels: {lynx: 0.95}}, {from: \"12:00\", to: \"24:00\", off: true}]}", nil,
			with(func(c *DecideConfig) { c.Schedule = []PeriodConfig{night, {From: "12:00", To: "24:00", Off: true}} })},
		{"aliases", "{labels: &l {lynx: &s 0.95}, enter: *s, schedule: [&p {from: 12:00, to: 13:00, labels: *l}, *p]}", nil, with(func(c *DecideConfig) {
			c.Labels, c.Enter = night.Labels, 0.95
			c.Schedule = []PeriodConfig{{From: "12:00", To: "13:00", Labels: night.Labels}, {From: "12:00", To: "13:00", Labels: night.Labels}}
		})},
		{"variables", "{enter: 0.9, confirm: [2, 2]}", []string{"SIGHTD_DECIDE_ENTER=0.5", "SIGHTD_DECIDE_CONFIRM=[1, 2]", "SIGHTD_DECIDE_UNKNOWN=off", "SIGHTD_DECIDE_HOLD=1s"}, with(func(c *DecideConfig) {
			c.Enter, c.Confirm, c.Unknown.Mode, c.Hold = 0.5, [2]int{1, 2}, UnknownOff, time.Second
		})},
		{"variables for the file's lists", "{labels: {cat: {stay: 0.1}}, groups: {a: [b]}, schedule: [{from: 12:00, to: 13:00}]}",
			[]string{"SIGHTD_DECIDE_LABELS={cat: {enter: 0.9}}", "SIGHTD_DECIDE_GROUPS=pets: [lynx, 7]\n7 up: [bottle]", "SIGHTD_DECIDE_SCHEDULE=[]", "SIGHTD_DECIDE_UNKNOWN={score: 1}"},
			with(func(c *DecideConfig) {
				c.Labels, c.Groups, c.Unknown = map[string]LabelConfig{"cat": {Enter: score(0.9)}}, groups, UnknownConfig{Mode: UnknownFixed, Score: 1}
			})},
		{"empty variables", "{labels: {cat: 1}, groups: {a: [b]}, schedule: [{from: 12:00, to: 13:00}]}",
			[]string{"SIGHTD_DECIDE_LABELS=", "SIGHTD_DECIDE_GROUPS=", "SIGHTD_DECIDE_SCHEDULE="}, with(func(*DecideConfig) {})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse("f.yaml", []byte("decide: "+test.yaml+"\n"), test.env)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Decide, test.want) {
				t.Errorf("got\n%v\nwant\n%+v", got, test.want)
			}
		})
	}
}

// TestConfigDecideStale has a file and a variable for one key: what the file said below it neither counts nor is named in errors.
func TestConfigDecideStale(t *testing.T) {
	_, err := Parse("f.yaml", []byte("decide: {labels: {cat: {enter: 0.9, stay: 0.8}}}\n"), []string{"SIGHTD_DECIDE_LABELS={cat: {stay: 0.7}}"})
	want := `SIGHTD_DECIDE_LABELS: decide.labels["cat"].stay: want at most enter, which is 0.6, have 0.7`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := Parse("f.yaml", []byte("name: &a pi\n"), []string{"SIGHTD_DECIDE_GROUPS={a: *a}"}); err == nil || !strings.Contains(err.Error(), "given with & before") {
		t.Errorf("an alias of the file in a variable: got %v, want that it isn't known", err)
	}
}
