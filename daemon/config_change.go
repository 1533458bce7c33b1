package daemon

import (
	"reflect"
	"slices"
)

// changes is the keys that next has another value for, as paths such as mqtt.broker, in the order of Config's fields. A source's begin
// with its name, as sources.door.fps. One that is in c or in next alone is sources.door; one of another type is sources.door.type,
// whatever else differs. The order of sources is no change. No value is told: some are passwords.
func (c Config) changes(next Config) []string {
	paths := differing(nil, "", reflect.ValueOf(c), reflect.ValueOf(next))
	for _, now := range next.Sources {
		before, known := c.source(now.Name)
		switch path := "sources." + now.Name; {
		case !known:
			paths = append(paths, path)
		case before.Type != now.Type:
			paths = append(paths, path+".type")
		default:
			paths = differing(paths, path+".", reflect.ValueOf(before), reflect.ValueOf(now))
		}
	}
	for _, before := range c.Sources {
		if _, known := next.source(before.Name); !known {
			paths = append(paths, "sources."+before.Name)
		}
	}
	return paths
}

// source is the source of that name; known says whether there is one.
func (c Config) source(name string) (s SourceConfig, known bool) {
	i := slices.IndexFunc(c.Sources, func(s SourceConfig) bool { return s.Name == name })
	if i < 0 {
		return SourceConfig{}, false
	}
	return c.Sources[i], true
}

// differing appends the paths of a section's keys that differ, but for those of sources.
func differing(paths []string, prefix string, a, b reflect.Value) []string {
	for i := range a.NumField() {
		path := prefix + a.Type().Field(i).Tag.Get("yaml")
		x, y := a.Field(i), b.Field(i)
		switch {
		case x.Type() == reflect.TypeFor[[]SourceConfig]():
		case isSection(x.Type()):
			paths = differing(paths, path+".", x, y)
		case !reflect.DeepEqual(x.Interface(), y.Interface()):
			paths = append(paths, path)
		}
	}
	return paths
}

// isSection reports whether values of a type have keys below them. A size, for one, is a struct, and one value in a file.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() > 0 && t.Field(0).Tag.Get("yaml") != ""
}
