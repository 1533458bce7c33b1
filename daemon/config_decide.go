package daemon

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"sightd/decide"
)

// DecideConfig says what is made of the scores. All but Top is for live sources: a folder's pictures are classified each for itself.
type DecideConfig struct {
	Top       int                    `yaml:"top"`       // labels of an event, best first: 1 to 100
	Enter     float64                `yaml:"enter"`     // score that a label needs to enter: above 0, to 1
	Stay      float64                `yaml:"stay"`      // and to stay: 0 to Enter
	Confirm   [2]int                 `yaml:"confirm"`   // k of the last n pictures have to vote for it: 1 <= k <= n <= 100
	Hold      time.Duration          `yaml:"hold"`      // what is missing for so long leaves: 0 to 24h
	Cooldown  time.Duration          `yaml:"cooldown"`  // what left doesn't come back within: 0 to 24h
	Smoothing float64                `yaml:"smoothing"` // weight of the past in the average of scores: 0 (none) to 0.99
	Unknown   UnknownConfig          `yaml:"unknown"`   // when a picture shows nothing that is known
	Labels    map[string]LabelConfig `yaml:"labels"`    // by a label, an index or a group: up to 1000
	Groups    map[string][]string    `yaml:"groups"`    // labels and indices that count as one, by the group's name: up to 200
	Schedule  []PeriodConfig         `yaml:"schedule"`  // what differs at some hours: up to 48 periods
}

// The values of UnknownConfig.Mode.
const (
	UnknownAuto  = decide.UnknownAuto
	UnknownOff   = decide.UnknownOff // no picture is
	UnknownFixed = "fixed"           // as Score and Margin say
)

// UnknownConfig says when the network is too unsure of a picture for it to count. It is written as auto, off, or with the keys score and margin.
type UnknownConfig struct {
	Mode   string  // UnknownAuto, UnknownOff or UnknownFixed
	Score  float64 // with UnknownFixed: the best label's least score, 0 to 1
	Margin float64 // and its least distance to the second, 0 to 1
}

// LabelConfig is what differs for a label. nil: nothing. A score alone is short for enter, allow and deny for allow.
type LabelConfig struct {
	Enter *float64 `yaml:"enter,omitempty"` // above 0, to 1
	Stay  *float64 `yaml:"stay,omitempty"`  // 0 to 1
	Allow *bool    `yaml:"allow,omitempty"` // false: it is never shown; once one is true, all others are denied
}

// PeriodConfig is what differs at some hours of some days, by the board's clock. Of several that are on the first counts.
type PeriodConfig struct {
	From   string                 `yaml:"from"`             // 00:00 to 23:59
	To     string                 `yaml:"to"`               // 00:00 to 24:00; before From: of the next day
	Days   []string               `yaml:"days,omitempty"`   // on which it begins, of mon, tue, wed, thu, fri, sat and sun; none: all
	Enter  *float64               `yaml:"enter,omitempty"`  // in the place of DecideConfig.Enter
	Stay   *float64               `yaml:"stay,omitempty"`   // and of DecideConfig.Stay
	Labels map[string]LabelConfig `yaml:"labels,omitempty"` // as DecideConfig.Labels, and over those
	Off    bool                   `yaml:"off,omitempty"`    // nothing enters; without Enter, Stay and Labels
}

// What lists and free keys may hold.
const (
	maxLabels  = 1000 // in one place, and members of a group
	maxGroups  = 200
	maxPeriods = 48
	maxLabel   = 256 // bytes of a label's or a group's name
)

// decideKeys is every key of decisions, each bound to its place in c.
func decideKeys(c *DecideConfig) []configKey {
	return []configKey{
		{"decide.top", setWhole(&c.Top, 1, 100)},
		{"decide.enter", setEnter(&c.Enter)},
		{"decide.stay", setStay(&c.Stay)},
		{"decide.confirm", setConfirm(&c.Confirm)},
		{"decide.hold", setDuration(&c.Hold, 0, 24*time.Hour)},
		{"decide.cooldown", setDuration(&c.Cooldown, 0, 24*time.Hour)},
		{"decide.smoothing", setNumber(&c.Smoothing, 0, 0.99)},
		{"decide.unknown", setUnknown(&c.Unknown)},
		{"decide.labels", setLabels(&c.Labels)},
		{"decide.groups", setGroups(&c.Groups)},
		{"decide.schedule", setPeriods(&c.Schedule)},
	}
}

// setConfirm takes [k, n].
func setConfirm(dst *[2]int) configSetter {
	const most = 100
	return func(v configValue) error {
		v, err := v.structure()
		if err != nil {
			return err
		}
		wrong := fmt.Errorf("want [k, n] such as [3, 5], k of the last n pictures, with 1 <= k <= n <= %d, have %s", most, v)
		if v.kind != listValue || len(v.items) != 2 {
			return wrong
		}
		var pair [2]int
		for i, item := range v.items {
			if setWhole(&pair[i], 1, most)(item) != nil {
				return wrong
			}
		}
		if pair[0] > pair[1] {
			return wrong
		}
		*dst = pair
		return nil
	}
}

// setUnknown takes auto, off, and the keys score and margin; false too, as YAML 1.1 reads a plain off as that.
func setUnknown(dst *UnknownConfig) configSetter {
	return func(v configValue) error {
		v, err := v.structure()
		if err != nil {
			return err
		}
		if yes, known := v.boolean(); known && !yes {
			v.text = UnknownOff
		}
		switch {
		case v.kind == mappingValue:
			u := UnknownConfig{Mode: UnknownFixed}
			if v.empty() {
				return errors.New("want the keys score and margin below it, or one of them, have none")
			}
			v.keys([]configKey{{"score", setNumber(&u.Score, 0, 1)}, {"margin", setNumber(&u.Margin, 0, 1)}})
			*dst = u
			return nil
		case (v.kind == plainValue || v.kind == quotedValue) && (v.text == UnknownAuto || v.text == UnknownOff):
			*dst = UnknownConfig{Mode: v.text}
			return nil
		}
		return fmt.Errorf("want auto, off or the keys score and margin, have %s", v)
	}
}

// checkLabel wants the name of a label or a group, or an index.
func checkLabel(s string) error {
	if s == "" || len(s) > maxLabel {
		return fmt.Errorf("want a label of 1 to %d bytes, have %d", maxLabel, len(s))
	}
	return nil
}

// setLabels takes rules by labels, indices and groups.
func setLabels(dst *map[string]LabelConfig) configSetter {
	return func(v configValue) error {
		labels := map[string]LabelConfig{}
		err := v.entries("labels", maxLabels, checkLabel, func(name string, v configValue) error {
			var l LabelConfig
			if err := readLabel(&l, v); err != nil {
				return err
			}
			labels[name] = l
			return nil
		})
		if err != nil {
			return err
		}
		*dst = nil
		if len(labels) > 0 {
			*dst = labels
		}
		return nil
	}
}

// readLabel takes a label's rule in its short or its long form.
func readLabel(l *LabelConfig, v configValue) error {
	yes, no := true, false
	switch {
	case v.empty():
		return errors.New("want the keys enter, stay or allow below it, have none")
	case v.kind == mappingValue:
		v.keys(labelKeys(l))
	case v.kind == plainValue && v.text == "allow":
		l.Allow = &yes
	case v.kind == plainValue && v.text == "deny":
		l.Allow = &no
	case optional(&l.Enter, setEnter)(v) != nil:
		return fmt.Errorf("want a score above 0, up to 1, or allow, deny, or the keys enter, stay and allow, have %s", v)
	}
	return nil
}

func labelKeys(l *LabelConfig) []configKey {
	return []configKey{{"enter", optional(&l.Enter, setEnter)}, {"stay", optional(&l.Stay, setStay)}, {"allow", optional(&l.Allow, setBool)}}
}

// setEnter takes the score to enter: at 0 everything would.
func setEnter(dst *float64) configSetter {
	return func(v configValue) error {
		var score float64
		if err := setNumber(&score, 0, 1)(v); err != nil || score == 0 {
			return fmt.Errorf("want a number above 0, up to 1, have %s", v)
		}
		*dst = score
		return nil
	}
}

// setStay takes the score to stay.
func setStay(dst *float64) configSetter { return setNumber(dst, 0, 1) }

// optional has set store what it takes in a place of its own, so that what isn't given is nil.
func optional[T any](dst **T, set func(*T) configSetter) configSetter {
	return func(v configValue) error {
		value := new(T)
		if err := set(value)(v); err != nil {
			return err
		}
		*dst = value
		return nil
	}
}

// setGroups takes lists of labels by the groups' names.
func setGroups(dst *map[string][]string) configSetter {
	return func(v configValue) error {
		groups := map[string][]string{}
		err := v.entries("groups", maxGroups, checkLabel, func(name string, v configValue) error {
			var members []string
			if err := setTexts(&members, maxLabels, checkLabel)(v); err != nil {
				return err
			}
			if len(members) == 0 {
				return errors.New("want a list of labels, have an empty one")
			}
			groups[name] = members
			return nil
		})
		if err != nil {
			return err
		}
		*dst = nil
		if len(groups) > 0 {
			*dst = groups
		}
		return nil
	}
}

// setPeriods takes a list of periods.
func setPeriods(dst *[]PeriodConfig) configSetter {
	return func(v configValue) error {
		v, err := v.structure()
		if err != nil {
			return err
		}
		switch {
		case v.kind == noValue:
		case v.kind != listValue:
			return fmt.Errorf("want a list of periods, each with from and to, have %s", v.kind)
		case len(v.items) > maxPeriods:
			return fmt.Errorf("want at most %d periods, have %d", maxPeriods, len(v.items))
		}
		var periods []PeriodConfig
		for i, item := range v.items {
			var p PeriodConfig
			v.in.readPeriod(&p, item.node, fmt.Sprintf("%s[%d]", v.key, i))
			periods = append(periods, p)
		}
		*dst = periods
		return nil
	}
}

// readPeriod fills p from one item of the list, which stands at key.
func (r *configReader) readPeriod(p *PeriodConfig, item ast.Node, key string) {
	v, err := r.at(item, key)
	if err == nil && v.kind != mappingValue {
		err = fmt.Errorf("want keys such as from and to, have %s", v.kind)
	}
	if err != nil {
		r.fault(key, err)
		return
	}
	v.keys([]configKey{
		{"from", setText(&p.From, checkClock(false))},
		{"to", setText(&p.To, checkClock(true))},
		{"days", setDays(&p.Days)},
		{"enter", optional(&p.Enter, setEnter)},
		{"stay", optional(&p.Stay, setStay)},
		{"labels", setLabels(&p.Labels)},
		{"off", setBool(&p.Off)},
	})
	for _, name := range []string{"from", "to"} {
		if !v.gave(name) {
			r.fault(key, fmt.Errorf("want the key %s, have none", name))
		}
	}
	if p.From != "" && p.From == p.To {
		r.fault(key+".to", fmt.Errorf("want another time than from, which is %s; a whole day is from 00:00 to 24:00", p.From))
	}
	for _, name := range []string{"enter", "stay", "labels"} {
		if p.Off && v.gave(name) {
			r.fault(key+"."+name, errors.New("want this or off: true, have both"))
		}
	}
}

var clock = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)

// checkClock wants a time of the day; the end of a period may be that of the day.
func checkClock(end bool) func(string) error {
	return func(s string) error {
		if clock.MatchString(s) || end && s == "24:00" {
			return nil
		}
		return fmt.Errorf("want a time from 00:00 to %s, have %s", map[bool]string{true: "24:00", false: "23:59"}[end], quoted(s))
	}
}

// setDays takes a list of days, each once.
func setDays(dst *[]string) configSetter {
	days := []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	return func(v configValue) error {
		var given []string
		err := setTexts(&given, len(days), func(s string) error {
			if !slices.Contains(days, s) {
				return fmt.Errorf("want %s, have %s", alternatives(days), quoted(s))
			}
			return nil
		})(v)
		if err != nil {
			return err
		}
		for i, day := range given {
			if slices.Contains(given[:i], day) {
				return fmt.Errorf("want each day once, have %s twice", day)
			}
		}
		if len(given) == 0 {
			return errors.New("want at least one day, have an empty list; without this key it is every day")
		}
		*dst = given
		return nil
	}
}
