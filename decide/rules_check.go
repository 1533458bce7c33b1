package decide

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of Rules.
const (
	maxTop      = 100
	maxConfirm  = 100
	maxWait     = 24 * time.Hour // of hold and cooldown
	maxPast     = 0.99           // of smoothing
	maxPeriods  = 48
	maxEntities = 1<<16 - 2 // of labels and groups together: a Record keeps them in 16 bits, two of which mean None and Unknown
)

// Fault is one thing that is wrong with Rules.
type Fault struct {
	Path    []string // of the key below the rules, such as "labels", "tabby kat", "enter"; periods count from 0
	Problem string   // what was expected, and what is there
}

// Error is "labels: tabby kat: no such label ...".
func (f Fault) Error() string {
	return printable(strings.Join(f.Path, ": ") + ": " + f.Problem)
}

// Faults are all that is wrong with Rules.
type Faults []Fault

// Error has a line for each.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

func (f *Faults) add(path []string, format string, args ...any) {
	*f = append(*f, Fault{Path: slices.Clone(path), Problem: fmt.Sprintf(format, args...)})
}

// Check tells what is wrong with the rules for a model with these labels, as Faults. Without labels, what needs them is left
// out: whether a label that is named is there.
//
// A name that several classes bear is a fault, for they may be very different things: the index says which is meant, and a
// group makes them one. A group may bear the name of a label only if it has all labels of that name.
func (r Rules) Check(labels []string) error {
	c := checker{rules: r, names: newNames(r, labels)}
	c.thresholds(nil, &r.Enter, &r.Stay)
	c.general()
	c.unknown()
	c.groups()
	c.labels([]string{"labels"}, r.Labels, r.Enter)
	c.schedule()
	if len(c.faults) == 0 {
		return nil
	}
	return c.faults
}

type checker struct {
	rules  Rules
	names  names
	faults Faults
}

func (c *checker) general() {
	r := c.rules
	if r.Top < 1 || r.Top > maxTop {
		c.faults.add([]string{"top"}, "want 1 to %d, have %d", maxTop, r.Top)
	}
	if k, n := r.Confirm[0], r.Confirm[1]; k < 1 || k > n || n > maxConfirm {
		c.faults.add([]string{"confirm"}, "want [k, n], k of the last n looks, with 1 <= k <= n <= %d, have [%d, %d]", maxConfirm, k, n)
	}
	if r.Hold < 0 || r.Hold > maxWait {
		c.faults.add([]string{"hold"}, "want 0s to 24h, have %s", r.Hold)
	}
	if r.Cooldown < 0 || r.Cooldown > maxWait {
		c.faults.add([]string{"cooldown"}, "want 0s to 24h, have %s", r.Cooldown)
	}
	if !(r.Smoothing >= 0 && r.Smoothing <= maxPast) {
		c.faults.add([]string{"smoothing"}, "want 0 to %g, have %g", maxPast, r.Smoothing)
	}
}

func (c *checker) unknown() {
	u := c.rules.Unknown
	switch u.Mode {
	case UnknownAuto, UnknownOff:
	case "":
		if !(u.Score >= 0 && u.Score <= 1) {
			c.faults.add([]string{"unknown", "score"}, "want 0 to 1, have %g", u.Score)
		}
		if !(u.Margin >= 0 && u.Margin <= 1) {
			c.faults.add([]string{"unknown", "margin"}, "want 0 to 1, have %g", u.Margin)
		}
	default:
		c.faults.add([]string{"unknown"}, "want auto, off, or score and margin, have %q", u.Mode)
	}
}

// thresholds checks those that are given at path.
func (c *checker) thresholds(path []string, enter, stay *float64) {
	at := func(key string) []string { return append(slices.Clone(path), key) }
	ok := true
	if enter != nil && !(*enter > 0 && *enter <= 1) {
		c.faults.add(at("enter"), "want a score above 0, up to 1, have %g", *enter)
		ok = false
	}
	if stay != nil && !(*stay >= 0 && *stay <= 1) {
		c.faults.add(at("stay"), "want a score from 0 to 1, have %g", *stay)
		ok = false
	}
	if ok && enter != nil && stay != nil && *stay > *enter {
		c.faults.add(at("stay"), "want at most enter, which is %g, have %g", *enter, *stay)
	}
}

func (c *checker) groups() {
	in := map[int]string{} // the group of a class
	for _, group := range slices.Sorted(maps.Keys(c.rules.Groups)) {
		path := []string{"groups", group}
		members := c.rules.Groups[group]
		switch {
		case strings.TrimSpace(group) == "":
			c.faults.add(path, "want a name")
		case reserved(group):
			c.faults.add(path, "want another name: this one says that no label is shown")
		case isIndex(group):
			c.faults.add(path, "want a name that isn't a number: numbers are indices")
		case len(members) == 0:
			c.faults.add(path, "want at least one label")
		}
		own := map[int]bool{}
		for _, member := range members {
			class, problem := c.names.class(member)
			if problem == "" && class >= 0 && in[class] != "" {
				problem = "is in the group " + in[class] + " too: a label belongs to one group"
				if in[class] == group {
					problem = "is listed twice"
				}
			}
			if problem != "" {
				c.faults.add(append(slices.Clone(path), member), "%s", problem)
			} else if class >= 0 {
				in[class], own[class] = group, true
			}
		}
		for _, class := range c.names.classes[group] {
			if !own[class] {
				c.faults.add(path, "want another name, or label %d in it, which is called so too", class)
			}
		}
	}
}

// labels checks the exceptions at path; enter is the general threshold there.
func (c *checker) labels(path []string, rules map[string]LabelRule, enter float64) {
	seen := map[int]string{}
	for _, key := range slices.Sorted(maps.Keys(rules)) {
		rule, enter := rules[key], enter
		if own := c.rules.Labels[key].Enter; own != nil {
			enter = *own
		}
		path := append(slices.Clone(path), key)
		if rule.Enter != nil || rule.Stay == nil {
			c.thresholds(path, rule.Enter, rule.Stay)
		} else {
			c.thresholds(path, &enter, rule.Stay)
		}
		if _, ok := c.rules.Groups[key]; ok {
			continue
		}
		class, problem := c.names.class(key)
		if problem != "" {
			c.faults.add(path, "%s", problem)
			continue
		}
		if class < 0 {
			continue
		}
		if other, ok := seen[class]; ok {
			c.faults.add(path, "is the same label as %s: give it one rule", other)
		}
		seen[class] = key
		if group := c.names.group[class]; group != "" {
			c.faults.add(path, "is in the group %s: give the rule to that", group)
		}
		if rule.Allow != nil && *rule.Allow && reserved(c.names.labels[class]) {
			c.faults.add(append(path, "allow"), "want it left out: a label %q can't be told from no label", c.names.labels[class])
		}
	}
}

func (c *checker) schedule() {
	if n := len(c.rules.Schedule); n > maxPeriods {
		c.faults.add([]string{"schedule"}, "want at most %d periods, have %d", maxPeriods, n)
		return
	}
	for i, p := range c.rules.Schedule {
		path := []string{"schedule", strconv.Itoa(i)}
		at := func(key string) []string { return append(slices.Clone(path), key) }
		from, fromOK := minute(p.From)
		to, toOK := minute(p.To)
		if !fromOK || from == minutesOfDay {
			c.faults.add(at("from"), `want a time of day such as "22:00", have %q`, p.From)
		}
		if !toOK {
			c.faults.add(at("to"), `want a time of day such as "06:00", have %q`, p.To)
		}
		if fromOK && toOK && from == to {
			c.faults.add(at("to"), `want another time than from; the whole day is "00:00" to "24:00"`)
		}
		for _, day := range p.Days {
			if !slices.Contains(weekdays[:], day) {
				c.faults.add(at("days"), "want mon, tue, wed, thu, fri, sat or sun, have %q", day)
			}
		}
		enter := cmp.Or(p.Enter, &c.rules.Enter)
		if p.Enter != nil || p.Stay == nil {
			c.thresholds(path, p.Enter, p.Stay)
		} else {
			c.thresholds(path, enter, p.Stay)
		}
		c.labels(at("labels"), p.Labels, *enter)
	}
}
