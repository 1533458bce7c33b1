package testbench

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// cycloneDX is the schema of bills of materials, as the module that writes them brings it.
func cycloneDX(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir := strings.TrimSpace(output(t, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go"))
	c := jsonschema.NewCompiler()
	const base = "http://cyclonedx.org/schema/"
	for name, file := range map[string]string{
		"bom-1.5.schema.json": "bom-1.5.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		data, err := os.ReadFile(filepath.Join(dir, "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(base+name, doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile(base + "bom-1.5.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestPackageMaterials makes a bill of materials of each package's own files. It must be CycloneDX, and name each library by its hash, each
// module by its version, and a licence and the origin of all. What libraries contain is listed below them.
func TestPackageMaterials(t *testing.T) {
	schema := cycloneDX(t)
	for _, arch := range architectures() {
		for _, name := range packages {
			dir := unpack(t, packageFile(t, name, arch))
			args := []string{"run", "sightd/systemd/sbom", "-name", name, "-libraries", filepath.Join(dir, "usr/lib/sightd"), "-arch", arch,
				"-version", "1.2.3", "-notices", filepath.Join(repository(t), "THIRD_PARTY.md")}
			want := map[string]string{}
			if name == "sightd" {
				program := filepath.Join(dir, "usr/bin/sightd")
				args = append(args, "-program", program)
				info, err := buildinfo.ReadFile(program)
				if err != nil {
					t.Fatal(err)
				}
				want["std"] = info.GoVersion
				for _, m := range info.Deps {
					want[m.Path] = m.Version
				}
			}
			for line := range strings.Lines(output(t, "sh", "-c", `cd "$1" && sha256sum *`, "sh", filepath.Join(dir, "usr/lib/sightd"))) {
				f := strings.Fields(line)
				want[f[1]] = f[0]
			}
			checkMaterials(t, schema, name+" for "+arch, output(t, "go", args...), want)
		}
	}
}

// checkMaterials compares a bill of materials with what a package is made of: versions or hashes by name.
func checkMaterials(t *testing.T, schema *jsonschema.Schema, name, text string, want map[string]string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Errorf("%s: want CycloneDX: %v", name, err)
	}
	type component struct {
		Name, Version, Purl string
		Hashes              []struct{ Content string }
		Licenses            []map[string]any
	}
	var bom struct {
		Components []struct {
			component
			Components []component // what it contains
		}
	}
	if err := json.Unmarshal([]byte(text), &bom); err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, c := range bom.Components {
		have[c.Name] = c.Version
		if len(c.Hashes) > 0 {
			have[c.Name] = c.Hashes[0].Content
		}
		if len(c.Licenses) == 0 || c.Purl == "" {
			t.Errorf("%s: want licence and origin of %s, have %+v", name, c.Name, c)
		}
		if (strings.HasPrefix(c.Name, "libLiteRt") || strings.HasPrefix(c.Name, "libtensorflow")) && len(c.Components) < 5 {
			t.Errorf("%s: want what %s contains, have %+v", name, c.Name, c.Components)
		}
		for _, part := range c.Components {
			if len(part.Licenses) == 0 {
				t.Errorf("%s: want the licence of %s in %s, have %+v", name, part.Name, c.Name, part)
			}
		}
	}
	if !maps.Equal(have, want) {
		t.Errorf("%s: want\n%v\nhave\n%v", name, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(have)))
	}
}
