package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Show is what is in force with the file at path and env: a configuration in YAML, its passwords masked, in which a comment behind each
// key tells where the value is from: the file with line and column, a variable, or the default. Where nothing is masked, Parse of it
// gives the same configuration. The errors are those of Load.
func Show(path string, env []string) (string, error) {
	data, err := readConfig(path)
	if err != nil {
		return "", err
	}
	r := readerOf(path, data, env)
	if err := r.err(); err != nil {
		return "", err
	}
	return r.show(), nil
}

// show is the configuration that was read, with what its defaults come to on this machine.
func (r *configReader) show() string {
	w := configWriter{origin: r.origin, stands: map[string]string{}}
	if named, err := r.config.named(); err == nil {
		if r.config.Name == "" {
			w.stands["name"] = named.Name
		}
		if r.config.MQTT.Base == "" {
			w.stands["mqtt.base"] = named.base()
		}
	}
	if i, err := InstalledModel(r.config); err == nil && i != nil {
		w.stands["model.path"] = i.Name + `, which "sightd model use" has put in its place`
	}
	w.section(reflect.ValueOf(r.config.Redacted()), "", "")
	return w.text.String()
}

// origin tells where the value of a key is from.
func (r *configReader) origin(key string) string {
	place, given := r.places[key]
	switch {
	case !given || place == configPlace{}:
		return "default"
	case place.variable != "":
		return place.variable
	}
	file := r.file
	if strings.ContainsFunc(file, isControl) {
		file = quoted(file)
	}
	return fmt.Sprintf("%s:%d:%d", file, place.line, place.column)
}

// configWriter writes a configuration as YAML, a line for each key.
type configWriter struct {
	text   bytes.Buffer
	origin func(key string) string // what to say behind each key; nil: nothing
	stands map[string]string       // what values stand for, by key
}

// line writes a key with its value, which is "" where more lines follow.
func (w *configWriter) line(indent, name, value, key string) {
	line := indent + name + ":"
	if value != "" {
		line += " " + value
	}
	if w.origin != nil {
		comment := w.origin(key)
		if value == "" && comment == "default" { // a section
			comment = ""
		}
		if strings.Contains(value, mask) {
			comment += "; masked"
		}
		if what := w.stands[key]; what != "" {
			comment += "; here it is " + what
		}
		if comment != "" {
			line = fmt.Sprintf("%-31s # %s", line, comment)
		}
	}
	w.text.WriteString(line + "\n")
}

// section writes what has keys below it. prefix stands before its keys' paths.
func (w *configWriter) section(v reflect.Value, indent, prefix string) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		key, field := prefix+name, v.Field(i)
		switch value := field.Interface().(type) {
		case []SourceConfig:
			w.line(indent, name, "", key)
			for i, s := range value {
				w.source(s, indent+"  ", fmt.Sprintf("%s[%d].", key, i))
			}
		case []PeriodConfig:
			w.periods(value, indent, name, key)
		case map[string]LabelConfig:
			writeEntries(w, value, indent, name, key)
		case map[string][]string:
			writeEntries(w, value, indent, name, key)
		default:
			if isSection(field.Type()) {
				w.line(indent, name, "", key)
				w.section(field, indent+"  ", key+".")
			} else {
				w.line(indent, name, flow(field), key)
			}
		}
	}
}

// source writes a source with the keys of its type.
func (w *configWriter) source(s SourceConfig, indent, prefix string) {
	v, bullet := reflect.ValueOf(s), "- "
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		switch {
		case !slices.Contains(keyTypes(name), s.Type):
		case isSection(v.Field(i).Type()):
			w.line(indent+bullet, name, "", prefix+name)
			w.section(v.Field(i), indent+"    ", prefix+name+".")
		default:
			w.line(indent+bullet, name, flow(v.Field(i)), prefix+name)
			bullet = "  "
		}
	}
}

// periods writes a schedule, a line for each period.
func (w *configWriter) periods(periods []PeriodConfig, indent, name, key string) {
	if len(periods) == 0 {
		w.line(indent, name, "[]", key)
		return
	}
	w.line(indent, name, "", key)
	for _, p := range periods {
		w.text.WriteString(indent + "  - " + flow(reflect.ValueOf(p)) + "\n")
	}
}

// writeEntries writes keys with free names, a line for each.
func writeEntries[V any](w *configWriter, entries map[string]V, indent, name, key string) {
	if len(entries) == 0 {
		w.line(indent, name, "{}", key)
		return
	}
	w.line(indent, name, "", key)
	for _, entry := range slices.Sorted(maps.Keys(entries)) {
		w.line(indent+"  ", scalar(entry), flow(reflect.ValueOf(entries[entry])), entryKey(key, entry))
	}
}

// flow is a value on one line.
func flow(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return duration(value)
	case SizeConfig:
		return value.String()
	case UnknownConfig:
		if value.Mode != UnknownFixed {
			return value.Mode
		}
		return "{score: " + number(value.Score) + ", margin: " + number(value.Margin) + "}"
	}
	switch v.Kind() {
	case reflect.String:
		return scalar(v.String())
	case reflect.Float64:
		return number(v.Float())
	case reflect.Pointer:
		return flow(v.Elem())
	case reflect.Slice, reflect.Array:
		var items []string
		for i := range v.Len() {
			items = append(items, flow(v.Index(i)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		var items []string
		for _, key := range slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			items = append(items, scalar(key.String())+": "+flow(v.MapIndex(key)))
		}
		return "{" + strings.Join(items, ", ") + "}"
	case reflect.Struct:
		var items []string
		for i := range v.NumField() {
			name, optional, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			if optional == "" || !v.Field(i).IsZero() {
				items = append(items, name+": "+flow(v.Field(i)))
			}
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return fmt.Sprint(v.Interface())
}

// duration is as people write it: 168h, not 168h0m0s.
func duration(d time.Duration) string {
	text := d.String()
	for _, none := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, none) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func number(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }

// plainScalar is text that is the same without quotes, on a line of its own and between brackets.
var plainScalar = regexp.MustCompile(`^(\./|[A-Za-z0-9/])[A-Za-z0-9_./:-]*$`)

// clockScalar is what older readers of YAML take for a number to the base of 60.
var clockScalar = regexp.MustCompile(`^[0-9]+:[0-9:]+$`)

// scalar is a text as YAML, in quotes where it needs them.
func scalar(s string) string {
	if plainScalar.MatchString(s) && !clockScalar.MatchString(s) && !strings.HasSuffix(s, ":") && !strings.EqualFold(s, "null") {
		return s
	}
	quoted, err := json.Marshal(s) // each JSON text is one of YAML
	if err != nil {
		return strconv.Quote(s)
	}
	return string(quoted)
}
