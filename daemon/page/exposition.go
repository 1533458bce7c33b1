package page

import (
	"strconv"
	"strings"
	"unicode"
)

// exposition is text in Prometheus's exposition format, version 0.0.4. The zero value is empty.
type exposition struct {
	text []byte
	name string // of the metric that was begun
}

// The kinds of metrics.
const (
	counter = "counter"
	gauge   = "gauge"
	summary = "summary"
)

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// begin begins a metric. Its samples come next, each with other labels.
func (e *exposition) begin(name, kind, help string) {
	e.name = name
	e.text = append(e.text, "# HELP "+name+" "+escapeHelp.Replace(help)+"\n# TYPE "+name+" "+kind+"\n"...)
}

// sample adds a value of the metric, with labels: a name and a text each.
func (e *exposition) sample(value float64, labels ...string) {
	e.text = append(e.text, e.name...)
	for i := 0; i+1 < len(labels); i += 2 {
		before := byte(',')
		if i == 0 {
			before = '{'
		}
		e.text = append(e.text, before)
		e.text = append(e.text, labels[i]...)
		e.text = append(e.text, '=', '"')
		e.text = append(e.text, escapeLabel.Replace(strings.ToValidUTF8(labels[i+1], string(unicode.ReplacementChar)))...)
		e.text = append(e.text, '"')
	}
	if len(labels) > 0 {
		e.text = append(e.text, '}')
	}
	e.text = append(e.text, ' ')
	e.text = strconv.AppendFloat(e.text, value, 'f', -1, 64)
	e.text = append(e.text, '\n')
}

// only is a metric of one sample without labels.
func (e *exposition) only(name, kind, help string, value float64) {
	e.begin(name, kind, help)
	e.sample(value)
}

// truth is 1 for what is so, and else 0.
func truth(so bool) float64 {
	if so {
		return 1
	}
	return 0
}
