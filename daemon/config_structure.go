package daemon

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// keyTable is the keys that a mapping may have.
type keyTable struct {
	prefix string // what stands before their paths in the file
	keys   []configKey

	// foreign says why a path of keys has no place in this mapping; nil, and no error: it has one.
	foreign func(path string) error
}

// has reports whether there is a key, or a section, at the path.
func (t keyTable) has(path string) bool {
	return slices.ContainsFunc(t.keys, func(k configKey) bool { return k.path == path || strings.HasPrefix(k.path, path+".") })
}

// fits reports whether one that there is has a place in the mapping.
func (t keyTable) fits(path string) bool { return t.foreign == nil || t.foreign(path) == nil }

// unknown says which known key may be meant by path.
func (t keyTable) unknown(path string) error {
	var known []string
	if t.prefix == "" {
		known = append(known, "sources")
	}
	for _, k := range t.keys {
		if !t.fits(k.path) {
			continue
		}
		for i, r := range k.path + "." { // its sections, then itself
			if r == '.' && !slices.Contains(known, k.path[:i]) {
				known = append(known, k.path[:i])
			}
		}
	}
	if near := nearest(path, known); near != "" {
		return fmt.Errorf("unknown key; did you mean %s?", t.prefix+near)
	}
	return errors.New("unknown key")
}

// structure is the value itself; of a variable, what its text says as YAML.
func (v configValue) structure() (configValue, error) {
	if v.node != nil || v.in == nil || v.kind != plainValue {
		return v, nil
	}
	root, fault := parseConfigYAML([]byte(v.text))
	if fault != nil {
		return v, errors.New(fault.text)
	}
	if root == nil {
		return configValue{kind: noValue, in: v.in, key: v.key}, nil
	}
	v.in.anchors = map[string]ast.Node{} // a variable has its own
	return v.in.at(root, v.key)
}

// at gives what a node at a key stands for, whose place it notes.
func (r *configReader) at(n ast.Node, key string) (configValue, error) {
	r.places[key] = r.placeOf(n)
	value, err := r.resolve(n)
	if err != nil {
		return configValue{}, err
	}
	v := r.value(value)
	v.key = key
	return v, nil
}

// placeOf is where a node stands: in the file, or in the variable that is being read.
func (r *configReader) placeOf(n ast.Node) configPlace {
	if r.variable != "" {
		return configPlace{variable: r.variable}
	}
	return placeOf(n)
}

// keys hands the values of a mapping to their keys, and reports what is wrong with them.
func (v configValue) keys(keys []configKey) {
	for _, k := range keys {
		delete(v.in.places, v.key+"."+k.path) // a variable's mapping replaces the file's
	}
	if n, ok := v.node.(*ast.MappingNode); ok {
		v.in.readMapping(n, keyTable{prefix: v.key + ".", keys: keys}, "")
	}
}

// empty reports whether it is a mapping without keys.
func (v configValue) empty() bool {
	n, ok := v.node.(*ast.MappingNode)
	return ok && len(n.Values) == 0
}

// gave reports whether keys found one of this name.
func (v configValue) gave(name string) bool {
	_, ok := v.in.places[v.key+"."+name]
	return ok
}

// entries hands each entry of a mapping with at most so many names, all of which check accepts, to each, and reports what is wrong
// with it. The error is that of the mapping as a whole; without a value it has no entries.
func (v configValue) entries(what string, most int, check func(string) error, each func(name string, v configValue) error) error {
	v, err := v.structure()
	if err != nil || v.kind == noValue {
		return err
	}
	n, ok := v.node.(*ast.MappingNode)
	if !ok {
		return fmt.Errorf("want %s as keys below it, have %s", what, v.kind)
	}
	if len(n.Values) > most {
		return fmt.Errorf("want at most %d %s, have %d", most, what, len(n.Values))
	}
	seen := map[string]configPlace{}
	for _, entry := range n.Values {
		name := keyText(entry.Key)
		key := entryKey(v.key, name)
		place := v.in.placeOf(entry.Key)
		first, twice := seen[name]
		seen[name] = place
		err := checkFreeKey(entry.Key)
		if err == nil {
			err = check(name)
		}
		switch {
		case err != nil:
			key = v.key // the name isn't fit to be shown
		case twice:
			err = once(first)
		default:
			var e configValue
			if e, err = v.in.at(entry.Value, key); err == nil {
				v.in.places[key] = place
				err = each(name, e)
			}
		}
		if err != nil {
			v.in.faults = append(v.in.faults, configFault{place: place, key: key, text: err.Error()})
		}
	}
	return nil
}

// entryKey is the path of an entry with a free name.
func entryKey(key, name string) string { return key + "[" + quoted(name) + "]" }

// once says that a key is there already.
func once(first configPlace) error {
	if first.line == 0 {
		return errors.New("want it once, have it twice")
	}
	return fmt.Errorf("want it once, have it on line %d already", first.line)
}

// checkFreeKey wants text or a number for a key.
func checkFreeKey(n ast.MapKeyNode) error {
	switch n := n.(type) {
	case *ast.StringNode:
		return setText(new(string), nil)(configValue{kind: plainValue, text: n.Value})
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return nil
	case *ast.MergeKeyNode:
		return errors.New("want the keys themselves, have a merge")
	}
	return errors.New("want text as a key, have something else")
}
