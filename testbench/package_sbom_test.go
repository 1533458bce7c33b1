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
// module by its version, and a licence of all.
func TestPackageMaterials(t *testing.T) {
	schema := cycloneDX(t)
	for _, arch := range []string{"amd64", "arm64"} {
		dir := unpack(t, packageFile(t, arch))
		program, libraries := filepath.Join(dir, "usr/bin/sightd"), filepath.Join(dir, "usr/lib/sightd")
		text := output(t, "go", "run", "sightd/systemd/sbom", "-program", program, "-libraries", libraries, "-arch", arch, "-version", "1.2.3",
			"-notices", filepath.Join(repository(t), "THIRD_PARTY.md"))
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: want CycloneDX: %v", arch, err)
		}
		var bom struct {
			Components []struct {
				Name, Version, Purl string
				Hashes              []struct{ Content string }
				Licenses            []map[string]any
			}
		}
		if err := json.Unmarshal([]byte(text), &bom); err != nil {
			t.Fatal(err)
		}
		have := map[string]string{} // version or hash by name
		for _, c := range bom.Components {
			have[c.Name] = c.Version
			if len(c.Hashes) > 0 {
				have[c.Name] = c.Hashes[0].Content
			}
			if len(c.Licenses) == 0 || c.Purl == "" {
				t.Errorf("%s: want licence and origin of %s, have %+v", arch, c.Name, c)
			}
		}
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"std": info.GoVersion}
		for _, m := range info.Deps {
			want[m.Path] = m.Version
		}
		for line := range strings.Lines(output(t, "sh", "-c", `cd "$1" && sha256sum *`, "sh", libraries)) {
			f := strings.Fields(line)
			want[f[1]] = f[0]
		}
		if !maps.Equal(have, want) {
			t.Errorf("%s: want\n%v\nhave\n%v", arch, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(have)))
		}
	}
}
