package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a file may cost. The parser keeps a path for every level of nesting and copies a mapping for each of its keys,
// so its time and memory grow with the squares of depth and size: without these bounds a file of 64 KiB takes 19 s and
// 6 GB. A configuration of 64 sources with every key and its comments, or of 1000 labels with all of theirs, stays below all of them.
const (
	maxConfigBytes  = 192 << 10
	maxConfigTokens = 16384 // without comments
	maxConfigDepth  = 16    // of brackets within brackets
	maxConfigColumn = 80    // of a "-" or "?", each of which indents what follows
	maxConfigSource = 64    // sources; it bounds what aliases can repeat, too
)

// configKind is how a value is written.
type configKind string

const (
	plainValue   configKind = "text" // without quotes, or from a variable
	quotedValue  configKind = "quoted text"
	noValue      configKind = "no value"
	listValue    configKind = "a list"
	mappingValue configKind = "keys"
	otherValue   configKind = "a tag or an alias"
)

// configValue is a value as it was written. The text of lists and mappings is short and for comparison and display.
type configValue struct {
	kind  configKind
	text  string
	items []configValue // of a list

	// For what has values below it: who reads, what, and at which key. A variable has no node.
	in   *configReader
	node ast.Node
	key  string
}

// String shows the value: numbers, durations and booleans as they are, other text in quotes.
func (v configValue) String() string {
	switch v.kind {
	case noValue, otherValue:
		return string(v.kind)
	case listValue, mappingValue:
		return v.text
	case plainValue:
		_, known := v.boolean()
		_, notDuration := time.ParseDuration(v.text) // takes no number but 0 without a unit
		_, notNumber := strconv.ParseFloat(v.text, 64)
		if len(v.text) < 40 && (known || notDuration == nil || notNumber == nil) {
			return v.text
		}
	}
	return quoted(v.text)
}

// boolean reads YAML's true and false, in each of its three spellings.
func (v configValue) boolean() (yes, known bool) {
	if v.kind != plainValue {
		return false, false
	}
	switch v.text {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

// readYAML lays a document over the configuration.
func (r *configReader) readYAML(data []byte) {
	root, fault := parseConfigYAML(data)
	if fault != nil {
		r.faults = append(r.faults, *fault)
		return
	}
	switch n := root.(type) {
	case nil, *ast.NullNode: // only comments, or nothing at all
	case *ast.MappingNode:
		r.readMapping(n, keyTable{keys: configKeys(&r.config)}, "")
	default:
		r.faults = append(r.faults, configFault{place: placeOf(n), text: "want keys with values, such as \"version: 1\", have something else"})
	}
}

// parseConfigYAML gives the only document's root, nil for an empty one.
func parseConfigYAML(data []byte) (ast.Node, *configFault) {
	at := func(tk *token.Token, text string) *configFault {
		return &configFault{place: placeOfToken(tk), text: text}
	}
	if len(data) > maxConfigBytes {
		return nil, at(nil, fmt.Sprintf("want at most %d bytes, have more", maxConfigBytes))
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // some editors on Windows begin a file with it
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
			return nil, &configFault{place: configPlace{line: i + 1, column: 1}, text: "want UTF-8 text, have other bytes"}
		}
	}
	tokens := lexer.Tokenize(string(data))
	if tk, text := tooLarge(tokens); text != "" {
		return nil, at(tk, text)
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // readMapping finds those, with all else
	if err != nil {
		var yamlErr yaml.Error
		if !errors.As(err, &yamlErr) {
			return nil, at(nil, "want YAML: "+err.Error())
		}
		message := yamlErr.GetMessage() // not its Error, which quotes the file
		switch {
		case strings.Contains(message, "\t"):
			message = "a tab can't indent, use spaces"
		case strings.HasPrefix(message, "invalid header option"): // and quotes what may be a password
			message = "a text that begins with | or > needs quotes"
		}
		return nil, at(yamlErr.GetToken(), "want YAML: "+message)
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if _, directive := doc.Body.(*ast.DirectiveNode); directive || doc.Body == nil {
			continue
		}
		if root != nil {
			return nil, at(doc.Body.GetToken(), "want one document, have another behind ---")
		}
		root = doc.Body
	}
	return root, nil
}

// tooLarge gives the first token that is beyond the bounds, and what is wrong with it.
func tooLarge(tokens token.Tokens) (*token.Token, string) {
	n, depth := 0, 0
	for _, tk := range tokens {
		if tk.Type == token.CommentType {
			continue
		}
		n++
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType:
			if tk.Position.Column > maxConfigColumn {
				return tk, fmt.Sprintf("want - and ? in the first %d columns, have one behind them", maxConfigColumn)
			}
		}
		if depth > maxConfigDepth {
			return tk, fmt.Sprintf("want at most %d brackets within each other, have more", maxConfigDepth)
		}
		if n > maxConfigTokens {
			return tk, fmt.Sprintf("want at most %d keys, values and marks, have more", maxConfigTokens)
		}
	}
	return nil, ""
}

// readMapping hands each value of n to its key. Paths in the table, and path, begin at the table's root.
func (r *configReader) readMapping(n *ast.MappingNode, t keyTable, path string) {
	seen := map[string]configPlace{}
	for _, entry := range n.Values {
		name, place := keyText(entry.Key), r.placeOf(entry.Key)
		full := path + name
		shown := t.prefix + path + shownKey(name)
		fault := func(err error) {
			r.faults = append(r.faults, configFault{place: place, key: shown, text: err.Error()})
		}
		if first, twice := seen[name]; twice {
			fault(once(first))
			continue
		}
		seen[name] = place
		value, err := r.resolve(entry.Value)
		if err != nil {
			fault(err)
			continue
		}
		switch {
		case entry.Key.Type() == ast.MergeKeyType:
			fault(errors.New("want the keys themselves, have a merge"))
		case strings.Contains(name, "."):
			fault(errors.New("unknown key; a dot stands for keys below others, indented on lines of their own"))
		case t.prefix == "" && full == "sources":
			r.places[shown] = place
			if err := r.readSources(value); err != nil {
				fault(err)
			}
		case !t.has(full):
			fault(t.unknown(strings.TrimSuffix(path+shownKey(name), "…")))
		case !t.fits(full):
			fault(t.foreign(full))
		default:
			if err := r.readKey(value, t, full, place); err != nil {
				fault(err)
			}
		}
	}
}

// readKey hands a value to its key, or what is below it to the keys there.
func (r *configReader) readKey(value ast.Node, t keyTable, full string, place configPlace) error {
	if i := slices.IndexFunc(t.keys, func(k configKey) bool { return k.path == full }); i >= 0 {
		v := r.value(value)
		v.key = t.prefix + full
		r.places[v.key] = place
		return t.keys[i].set(v)
	}
	if m, ok := value.(*ast.MappingNode); ok {
		r.readMapping(m, t, full+".")
	} else if _, empty := value.(*ast.NullNode); !empty {
		return fmt.Errorf("want keys below it, have %s", r.value(value).kind)
	}
	return nil
}

// resolve gives what an anchor (&x) or an alias (*x) stands for. An alias never stands for another, so that nothing
// can hold itself. Aliases can't multiply either: only the keys of the tables are followed, at most once a source.
func (r *configReader) resolve(n ast.Node) (ast.Node, error) {
	switch n := n.(type) {
	case *ast.AnchorNode:
		if n.Value.Type() == ast.AliasType || n.Value.Type() == ast.AnchorType {
			return nil, errors.New("want a value behind &, have another & or *")
		}
		r.anchors[n.Name.GetToken().Value] = n.Value
		return n.Value, nil
	case *ast.AliasNode:
		value, ok := r.anchors[n.Value.GetToken().Value]
		if !ok {
			return nil, errors.New("want a name that was given with & before, have another behind *")
		}
		return value, nil
	}
	return n, nil
}

// value reads a resolved node.
func (r *configReader) value(n ast.Node) configValue {
	v := valueOf(n)
	v.in, v.node = r, n
	if list, ok := n.(*ast.SequenceNode); ok {
		r.addItems(&v, list)
	}
	return v
}

// addItems reads the items of a list.
func (r *configReader) addItems(v *configValue, list *ast.SequenceNode) {
	const shown = 4
	var texts []string
	for _, item := range list.Values {
		v.items = append(v.items, r.value(item))
		if len(texts) < shown {
			texts = append(texts, v.items[len(texts)].String())
		}
	}
	if len(v.items) > shown {
		texts = append(texts, "…")
	}
	v.text = "[" + strings.Join(texts, ", ") + "]"
}

// valueOf reads a resolved node, of a list that it is one.
func valueOf(n ast.Node) configValue {
	switch n := n.(type) {
	case *ast.NullNode:
		return configValue{kind: noValue}
	case *ast.MappingNode:
		if len(n.Values) == 0 {
			return configValue{kind: mappingValue, text: "{}"}
		}
		return configValue{kind: mappingValue, text: "{…}"}
	case *ast.SequenceNode:
		return configValue{kind: listValue}
	case *ast.LiteralNode:
		return configValue{kind: quotedValue, text: n.Value.Value}
	case *ast.StringNode:
		if n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType {
			return configValue{kind: quotedValue, text: n.Value}
		}
		return configValue{kind: plainValue, text: n.Value}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return configValue{kind: plainValue, text: n.GetToken().Value}
	}
	return configValue{kind: otherValue}
}

// keyText is a key as it was written, without quotes.
func keyText(n ast.MapKeyNode) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return n.GetToken().Value
}
