package daemon

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestConfigDocumented wants a word on each key where it is defined: behind or above its field, or, of a section, above its type.
func TestConfigDocumented(t *testing.T) {
	types := documentedTypes(t)
	var walk func(typ reflect.Type)
	keys := 0
	walk = func(typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			fields, ok := types[typ.Name()]
			if !ok {
				t.Fatalf("found no type %s", typ.Name())
			}
			keys++
			if isSection(f.Type) {
				if types[f.Type.Name()][""] == "" {
					t.Errorf("want a comment above type %s, have none", f.Type.Name())
				}
				walk(f.Type)
			} else if fields[f.Name] == "" {
				t.Errorf("%s.%s: want a comment on the key %s, have none", typ.Name(), f.Name, f.Tag.Get("yaml"))
			}
		}
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[Config](), reflect.TypeFor[SourceConfig](), reflect.TypeFor[LabelConfig](), reflect.TypeFor[PeriodConfig](), reflect.TypeFor[UnknownConfig](),
	} {
		walk(typ)
	}
	if keys < 80 {
		t.Errorf("looked at %d keys only", keys)
	}
}

// documentedTypes is the comments on the fields of the package's structs, by type and field; "" is the type's own.
func documentedTypes(t *testing.T) map[string]map[string]string {
	t.Helper()
	files, err := filepath.Glob("config*.go")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok || len(decl.Specs) != 1 {
				return true
			}
			spec, ok := decl.Specs[0].(*ast.TypeSpec)
			if !ok {
				return true
			}
			body, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			fields := map[string]string{"": decl.Doc.Text()}
			for _, f := range body.Fields.List {
				for _, name := range f.Names {
					fields[name.Name] = f.Doc.Text() + f.Comment.Text()
				}
			}
			types[spec.Name.Name] = fields
			return false
		})
	}
	return types
}

// TestConfigExampleDocumented wants a word behind each key of the example, or above it. A key of a live source that another one above has
// needs none; what is said of some stands above their section or their source.
func TestConfigExampleDocumented(t *testing.T) {
	lines := strings.Split(liveExamples(t), "\n")
	told := map[string]bool{}
	for i, line := range lines {
		name, rest, key := strings.Cut(strings.TrimLeft(line, " -"), ":")
		if !key || strings.HasPrefix(name, "#") || line == "" {
			continue
		}
		comment := strings.Contains(rest, " # ") || i > 0 && strings.HasPrefix(strings.TrimSpace(lines[i-1]), "# ")
		section := strings.TrimSpace(rest) == ""
		above := section || slices.Contains([]string{"max_mb", "name", "type", "url", "pipeline"}, name)
		if !comment && !above && !told[name] {
			t.Errorf("line %d: want a comment on %s, have none", i+1, name)
		}
		told[name] = told[name] || comment
	}
	if len(told) < 60 {
		t.Errorf("looked at %d keys only", len(told))
	}
}
