package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"sightd/spelling"
)

// configReader gathers a configuration and what is wrong with it.
type configReader struct {
	config  Config
	file    string                 // its name in errors
	faults  []configFault          // in the order in which they were found
	places  map[string]configPlace // where each key got the value that counts
	anchors map[string]ast.Node    // by their names; see resolve

	variable string // that is being read; "": the file is
}

func newConfigReader(file string) *configReader {
	return &configReader{config: Default(), file: file, places: map[string]configPlace{}, anchors: map[string]ast.Node{}}
}

// configPlace is where a value was given: a line and column of the file, both from 1, or a variable. The zero value
// stands for the file as a whole.
type configPlace struct {
	line, column int
	variable     string
}

// configFault is one line of Parse's error.
type configFault struct {
	place configPlace
	key   string // with dots, from the root; "" where there is none
	text  string
}

// fault reports a key at the place where it got its value, which is the file as a whole for a key with its default.
func (r *configReader) fault(key string, err error) {
	r.faults = append(r.faults, configFault{place: r.places[key], key: key, text: err.Error()})
}

// maxConfigFaults is how many faults are told one by one.
const maxConfigFaults = 10

// err is all faults, nil where there are none.
func (r *configReader) err() error {
	slices.SortStableFunc(r.faults, func(a, b configFault) int {
		return cmp.Or(strings.Compare(a.place.variable, b.place.variable), // the file has none: it comes first
			cmp.Compare(a.place.line, b.place.line), cmp.Compare(a.place.column, b.place.column))
	})
	var errs []error
	for i, f := range r.faults {
		if i == maxConfigFaults {
			errs = append(errs, fmt.Errorf("and %d more", len(r.faults)-i))
			break
		}
		errs = append(errs, errors.New(r.told(f, "")))
	}
	return errors.Join(errs...)
}

// told is a fault with its place and its key; kind stands before its text.
func (r *configReader) told(f configFault, kind string) string {
	var parts []string
	switch {
	case f.place.variable != "":
		parts = append(parts, f.place.variable)
	case f.place.line > 0:
		parts = append(parts, fmt.Sprintf("%s:%d:%d", r.file, f.place.line, f.place.column))
	case r.file != "":
		parts = append(parts, r.file)
	}
	if f.key != "" {
		parts = append(parts, f.key)
	}
	return strings.Join(append(parts, kind+f.text), ": ")
}

// configVariable begins every variable of the configuration.
const configVariable = "SIGHTD_"

// readEnv lays the variables over the configuration. Where one is given twice, the last counts, as for a process.
func (r *configReader) readEnv(env []string) {
	keys := configKeys(&r.config)
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
	}
	values := map[string]string{}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		if key, ours := strings.CutPrefix(name, configVariable); ours {
			values[key] = value
		}
	}
	for name, value := range values {
		place := configPlace{variable: configVariable + shownKey(name)}
		i := slices.Index(names, name)
		if i < 0 {
			text := "unknown variable"
			if near := nearest(name, names); near != "" {
				text += "; did you mean " + configVariable + near + "?"
			}
			r.faults = append(r.faults, configFault{place: place, text: text})
			continue
		}
		r.places[keys[i].path] = place
		r.variable = place.variable
		if err := keys[i].set(configValue{kind: plainValue, text: value, in: r, key: keys[i].path}); err != nil {
			r.fault(keys[i].path, err)
		}
	}
	r.variable = ""
}

// nearest is the known path or variable that takes the fewest edits to come to, "" where all are too far away. To
// replace all that is before the last dot is one edit, too; capital letters are as good as small ones.
func nearest(path string, known []string) string {
	path = strings.ToLower(path)
	best, least := "", max(2, len(path)/3)+1
	for _, k := range known {
		low := strings.ToLower(k)
		d := edits(path, low)
		name, knownName := path[strings.LastIndex(path, ".")+1:], low[strings.LastIndex(low, ".")+1:]
		if n := edits(name, knownName); n <= len(name)/3 {
			d = min(d, n+1)
		}
		if d < least && d < len(path) {
			best, least = k, d
		}
	}
	return best
}

// edits is the Levenshtein distance: how many bytes to insert, delete or replace to turn a into b. Beyond 64 bytes,
// longer than any key, it gives up and says that all differ.
func edits(a, b string) int {
	if len(a) > 64 {
		return max(len(a), len(b))
	}
	return spelling.Distance([]byte(a), []byte(b))
}

func placeOf(n ast.Node) configPlace {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key // the mapping's own token is its first colon
	}
	return placeOfToken(n.GetToken())
}

func placeOfToken(tk *token.Token) configPlace {
	if tk == nil || tk.Position == nil {
		return configPlace{}
	}
	return configPlace{line: tk.Position.Line, column: tk.Position.Column}
}

// quoted is s for display: in quotes, escaped, and cut where it is long.
func quoted(s string) string {
	const most = 64
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}

// shownKey is the name of a key or variable for display. Of one that isn't a single word, only the beginning is shown:
// in {password hunter2}, which lacks a colon, all of it is the key.
func shownKey(s string) string {
	word := func(r rune) bool {
		return r == '.' || r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	end := strings.IndexFunc(s, func(r rune) bool { return !word(r) })
	if end < 0 {
		end = len(s)
	}
	if end = min(end, 64); end < len(s) {
		return s[:end] + "…"
	}
	return s
}
