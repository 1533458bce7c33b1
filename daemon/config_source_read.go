package daemon

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// readSources replaces the default sources by those of a file.
func (r *configReader) readSources(n ast.Node) error {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		return fmt.Errorf("want a list, have %s", r.value(n).kind)
	}
	if len(list.Values) == 0 || len(list.Values) > maxConfigSource {
		return fmt.Errorf("want 1 to %d sources, have %d", maxConfigSource, len(list.Values))
	}
	r.config.Sources = nil
	names := map[string]int{}
	for i, item := range list.Values {
		var s SourceConfig
		r.readSource(&s, item, fmt.Sprintf("sources[%d]", i))
		if first, twice := names[s.Name]; twice && s.Name != "" {
			r.fault(fmt.Sprintf("sources[%d].name", i), fmt.Errorf("want a name of its own, have that of sources[%d]", first))
		} else {
			names[s.Name] = i
		}
		r.config.Sources = append(r.config.Sources, s)
	}
	return nil
}

// readSource fills s from one item of the list, which stands at path.
func (r *configReader) readSource(s *SourceConfig, item ast.Node, path string) {
	v, err := r.at(item, path)
	if err != nil {
		r.fault(path, err)
		return
	}
	n, ok := v.node.(*ast.MappingNode)
	if !ok {
		r.fault(path, fmt.Errorf("want keys such as name and path, have %s", v.kind))
		return
	}
	typed, right := r.readType(s, n, path)
	if !right { // the other keys belong to a type that isn't known
		return
	}
	before := len(r.faults)
	table := keyTable{prefix: path + ".", keys: sourceKeys(s), foreign: func(key string) error { return s.foreign(key, typed) }}
	r.readMapping(n, table, "")
	if !typed && slices.ContainsFunc(n.Values, func(entry *ast.MappingValueNode) bool {
		return table.has(keyText(entry.Key)) && !table.fits(keyText(entry.Key))
	}) {
		r.faults = r.faults[:before+1] // the type is what is missing
		return
	}
	for _, name := range requiredKeys(s.Type) {
		if !v.gave(name) {
			r.fault(path, fmt.Errorf("want the key %s, have none", name))
		}
	}
}

// readType gives s the defaults of its type, which may stand behind its other keys. typed: there is such a key; right: with a
// type as its value.
func (r *configReader) readType(s *SourceConfig, n *ast.MappingNode, path string) (typed, right bool) {
	typ := TypeFolder
	i := slices.IndexFunc(n.Values, func(entry *ast.MappingValueNode) bool { return keyText(entry.Key) == "type" })
	if i >= 0 {
		r.places[path+".type"] = r.placeOf(n.Values[i].Key)
		value, err := r.resolve(n.Values[i].Value)
		if err == nil {
			err = setOneOf(&typ, keyTypes("type")...)(r.value(value))
		}
		if err != nil {
			r.fault(path+".type", err)
			return true, false
		}
	}
	*s = defaultSource(typ)
	return i >= 0, true
}
