package decide

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"sightd/spelling"
)

// names finds the class that a rule means.
type names struct {
	labels  []string         // nil: not known
	classes map[string][]int // by label
	group   map[int]string   // of a class, where it is in one
}

// newNames knows the labels and which of them are in groups, so far as these can be understood.
func newNames(r Rules, labels []string) names {
	n := names{labels: labels, classes: map[string][]int{}, group: map[int]string{}}
	for i, label := range labels {
		n.classes[label] = append(n.classes[label], i)
	}
	for group, members := range r.Groups {
		for _, member := range members {
			if class, problem := n.class(member); problem == "" && class >= 0 {
				n.group[class] = group
			}
		}
	}
	return n
}

// class is the class that key means, a label or an index, or else what is wrong with key. Without labels it is -1.
func (n names) class(key string) (class int, problem string) {
	if n.labels == nil {
		return -1, ""
	}
	switch classes := n.classes[key]; {
	case len(classes) == 1:
		return classes[0], ""
	case len(classes) > 1:
		return -1, fmt.Sprintf("%d labels are called so: give the index, one of %s", len(classes), numbers(classes))
	}
	if isIndex(key) {
		i, err := strconv.Atoi(key)
		if err != nil || i >= len(n.labels) {
			return -1, fmt.Sprintf("want an index from 0 to %d", len(n.labels)-1)
		}
		return i, ""
	}
	problem = "no such label"
	if near := n.nearest(key); len(near) > 0 {
		problem += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return -1, problem
}

func isIndex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// reserved names mean that no label is shown, so that a label which is called so is never decided upon.
func reserved(label string) bool { return label == None || label == Unknown }

// numbers lists at most eight.
func numbers(of []int) string {
	var texts []string
	for i, v := range of {
		if i == 8 {
			texts = append(texts, "…")
			break
		}
		texts = append(texts, strconv.Itoa(v))
	}
	return strings.Join(texts, ", ")
}

// maxCompared bounds the runes of a name that nearest looks at: labels may come from a stranger's file.
const maxCompared = 64

// nearest names up to three labels that key may have meant: those that differ from it in few letters, or have it in them.
func (n names) nearest(key string) []string {
	type near struct {
		label    string
		distance int
	}
	want := folded(key)
	var found []near
	for _, label := range n.labels {
		have := folded(label)
		d := spelling.Distance(want, have)
		if len(want) > 2 && strings.Contains(string(have), string(want)) {
			d = min(d, 1)
		}
		if d <= max(1, len(want)/3) && d < len(want) {
			found = append(found, near{label, d})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return cmp.Compare(a.distance, b.distance) })
	var out []string
	for _, f := range found {
		if name := fmt.Sprintf("%q", f.label); len(out) < 3 && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func folded(s string) []rune {
	r := []rune(strings.ToLower(s[:min(len(s), 4*maxCompared)]))
	return r[:min(len(r), maxCompared)]
}

// printable is s as valid UTF-8, with U+FFFD for what controls a terminal or breaks a line: labels come from files.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}
