package decide

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// entities are what is decided upon: the groups by name, then the classes that are in none.
type entities struct {
	names []string
	index []int    // of the class; NoIndex for a group
	of    []uint16 // the entity of each class; nil where all classes are their own
}

func newEntities(r Rules, labels []string) entities {
	var e entities
	number := map[string]uint16{}
	for _, group := range slices.Sorted(maps.Keys(r.Groups)) {
		number[group] = uint16(len(e.names))
		e.names, e.index = append(e.names, group), append(e.index, NoIndex)
	}
	in := newNames(r, labels).group
	of := make([]uint16, len(labels))
	for class, label := range labels {
		if group := in[class]; group != "" {
			of[class] = number[group]
			continue
		}
		of[class] = uint16(len(e.names))
		e.names, e.index = append(e.names, label), append(e.index, class)
	}
	if len(r.Groups) > 0 {
		e.of = of
	}
	return e
}

// table has the thresholds of each entity at some time of day.
type table struct {
	enter, stay []float32
	allow       []bool
	off         bool // nothing enters
}

// newTable is the table while p is on, nil for no period. A label's rule goes before the general one, and p's before that
// of the whole day.
func newTable(r Rules, labels []string, e entities, p *Period) *table {
	n := len(e.names)
	t := &table{enter: make([]float32, n), stay: make([]float32, n), allow: make([]bool, n)}
	general := LabelRule{Enter: &r.Enter, Stay: &r.Stay}
	rules := make([]LabelRule, n)
	lay(rules, r, labels, e, r.Labels)
	if p != nil {
		t.off = p.Off
		general = over(general, LabelRule{Enter: p.Enter, Stay: p.Stay})
		lay(rules, r, labels, e, p.Labels)
	}
	list := slices.ContainsFunc(rules, func(l LabelRule) bool { return l.Allow != nil && *l.Allow })
	for i, rule := range rules {
		t.allow[i] = !reserved(e.names[i]) && (rule.Allow == nil && !list || rule.Allow != nil && *rule.Allow)
		rule = over(general, rule)
		t.enter[i] = float32(*rule.Enter)
		t.stay[i] = min(float32(*rule.Stay), t.enter[i])
	}
	return t
}

// lay lays exceptions over those of each entity.
func lay(rules []LabelRule, r Rules, labels []string, e entities, exceptions map[string]LabelRule) {
	names := newNames(r, labels)
	for key, rule := range exceptions {
		at := slices.Index(e.names[:len(r.Groups)], key)
		if at < 0 {
			class, problem := names.class(key)
			if problem != "" || class < 0 {
				continue // Check has said so
			}
			at = class
			if e.of != nil {
				at = int(e.of[class])
			}
		}
		rules[at] = over(rules[at], rule)
	}
}

// over lays what top says over bottom.
func over(bottom, top LabelRule) LabelRule {
	if top.Enter != nil {
		bottom.Enter = top.Enter
	}
	if top.Stay != nil {
		bottom.Stay = top.Stay
	}
	if top.Allow != nil {
		bottom.Allow = top.Allow
	}
	return bottom
}

const minutesOfDay = 24 * 60

var weekdays = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts

// period is a Period with its table.
type period struct {
	from, to int // minutes of the day
	days     [7]bool
	table    *table
}

func newPeriod(p Period, t *table) period {
	out := period{table: t}
	out.from, _ = minute(p.From) // Check has seen that
	out.to, _ = minute(p.To)     // they are right
	for i, day := range weekdays {
		out.days[i] = len(p.Days) == 0 || slices.Contains(p.Days, day)
	}
	return out
}

// on reports whether the period is on at t.
func (p *period) on(t time.Time) bool {
	hour, minute, _ := t.Clock()
	at := 60*hour + minute
	today := t.Weekday()
	if p.from < p.to {
		return p.from <= at && at < p.to && p.days[today]
	}
	return p.from <= at && p.days[today] || at < p.to && p.days[(today+6)%7]
}

// minute reads a time of day, "00:00" to "24:00", as minutes.
func minute(s string) (int, bool) {
	h, m, ok := strings.Cut(s, ":")
	if !ok || len(h) < 1 || len(h) > 2 || len(m) != 2 || !isIndex(h) || !isIndex(m) {
		return 0, false
	}
	hour, err1 := strconv.Atoi(h)
	min, err2 := strconv.Atoi(m)
	at := 60*hour + min
	return at, err1 == nil && err2 == nil && min < 60 && at <= minutesOfDay
}
