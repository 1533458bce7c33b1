package daemon

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compiledSchema is ConfigSchema, ready to use. Compiling holds it against the schema of schemas.
var compiledSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(ConfigSchema()))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("urn:sightd:config", doc); err != nil {
		return nil, err
	}
	return c.Compile("urn:sightd:config")
})

// validateConfig is what the schema says against a document.
func validateConfig(t testing.TB, text string) error {
	t.Helper()
	schema, err := compiledSchema()
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("want YAML, have %q: %v", text, err)
	}
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	value, err = jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}

// node is a part of the schema.
type node = map[string]any

// schemaRoot is the schema as it is written.
func schemaRoot(t *testing.T) node {
	t.Helper()
	var root node
	if err := json.Unmarshal(ConfigSchema(), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// resolved is n with what its $ref says; what n says itself counts more.
func resolved(t *testing.T, root, n node) node {
	t.Helper()
	ref, ok := n["$ref"].(string)
	if !ok {
		return n
	}
	target, ok := root["$defs"].(node)[strings.TrimPrefix(ref, "#/$defs/")].(node)
	if !ok {
		t.Fatalf("$ref %s leads nowhere", ref)
	}
	whole := maps.Clone(resolved(t, root, target))
	maps.Copy(whole, n)
	return whole
}

// schemaKeys is every key of a section that has no keys below it, by its path.
func schemaKeys(t *testing.T, root, section node, prefix string) map[string]node {
	t.Helper()
	keys := map[string]node{}
	if section["additionalProperties"] != false {
		t.Errorf("%q: want no other keys", prefix)
	}
	for name, property := range section["properties"].(node) {
		n := resolved(t, root, property.(node))
		for _, word := range []string{"title", "description"} {
			if s, _ := n[word].(string); s == "" {
				t.Errorf("%s%s: want a %s, have none", prefix, name, word)
			}
		}
		if _, ok := n["properties"]; ok {
			maps.Copy(keys, schemaKeys(t, root, n, prefix+name+"."))
		} else {
			keys[prefix+name] = n
		}
	}
	return keys
}

// bothTables gives the keys of the schema and those of Parse, of a file and of a source.
func bothTables(t *testing.T) (top, source map[string]node, ofTop, ofSource []configKey) {
	t.Helper()
	root := schemaRoot(t)
	if root["$schema"] != "https://json-schema.org/draft/2020-12/schema" || root["$id"] != "urn:sightd:config" {
		t.Errorf("the schema is %v, %v", root["$schema"], root["$id"])
	}
	top = schemaKeys(t, root, root, "")
	delete(top, "sources")
	source = schemaKeys(t, root, root["$defs"].(node)["source"].(node), "")
	return top, source, configKeys(new(Config)), sourceKeys(new(SourceConfig))
}

// TestConfigSchemaKeys holds the keys of the schema against those of Parse: the same ones, each with the values that its
// setter takes.
func TestConfigSchemaKeys(t *testing.T) {
	top, source, ofTop, ofSource := bothTables(t)
	for _, table := range []struct {
		name string
		have map[string]node
		want []configKey
	}{{"", top, ofTop}, {"sources[0].", source, ofSource}} {
		for _, k := range table.want {
			n, ok := table.have[k.path]
			if !ok {
				t.Errorf("%s%s: the schema lacks the key", table.name, k.path)
				continue
			}
			delete(table.have, k.path)
			t.Run(table.name+k.path, func(t *testing.T) { checkSchemaValues(t, k, n) })
		}
		for path := range table.have {
			t.Errorf("%s%s: the schema has a key that Parse doesn't know", table.name, path)
		}
	}
}

// checkSchemaValues has the key's setter take the values that the schema names, and refuse the ones next to them.
func checkSchemaValues(t *testing.T, k configKey, n node) {
	takes := func(v any, want bool) {
		t.Helper()
		err := k.set(readValue(t, v))
		if (err == nil) != want {
			t.Errorf("value %v: Parse says %v, the schema says %v", v, err, want)
		}
	}
	if d, ok := n["default"]; ok {
		takes(d, true)
	} else if k.path != "name" && k.path != "path" {
		t.Error("want a default, have none")
	}
	later := strings.Contains(errorText(k.set(configValue{kind: plainValue, text: "another"})), "leave it at")
	if _, constant := n["const"]; later != (constant && k.path != "version") {
		t.Errorf("only its default is taken: Parse says %v, the schema says %v", later, constant)
	}
	if later && !strings.Contains(n["description"].(string), "Not supported by this version") {
		t.Errorf("want a description that says so, have %q", n["description"])
	}
	if values, ok := n["enum"].([]any); ok {
		for _, v := range values {
			takes(v, true)
		}
		takes("another", false)
	}
	if n["type"] == "integer" {
		lo, hi := n["minimum"].(float64), n["maximum"].(float64)
		takes(lo, true)
		takes(hi, true)
		takes(lo-1, false)
		takes(hi+1, false)
	}
	if n["type"] == "boolean" {
		takes(true, true)
		takes(false, true)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// readValue is what Parse reads where a file has v.
func readValue(t *testing.T, v any) configValue {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	root, fault := parseConfigYAML(data)
	if fault != nil {
		t.Fatal(fault.text)
	}
	return newConfigReader("").value(root)
}

// TestConfigSchemaDefaults reads the schema's defaults as a file.
func TestConfigSchemaDefaults(t *testing.T) {
	top, source, _, _ := bothTables(t)
	file := node{"sources": schemaRoot(t)["properties"].(node)["sources"].(node)["default"]}
	fill(file, top)
	fill(file["sources"].([]any)[0].(node), source)
	data, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("defaults", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the schema's defaults give\n%v\nwant\n%v", got, want)
	}
	if err := validateConfig(t, string(data)); err != nil {
		t.Errorf("the schema refuses its own defaults: %v", err)
	}
}

// fill sets the defaults of keys, which are paths with dots.
func fill(file node, keys map[string]node) {
	for path, n := range keys {
		d, ok := n["default"]
		if !ok {
			continue
		}
		steps := strings.Split(path, ".")
		at := file
		for _, step := range steps[:len(steps)-1] {
			if _, ok := at[step]; !ok {
				at[step] = node{}
			}
			at = at[step].(node)
		}
		at[steps[len(steps)-1]] = d
	}
}

// TestConfigSchemaAccepts has files that are right: an editor must not mark them.
func TestConfigSchemaAccepts(t *testing.T) {
	files := []string{
		Example(), Default().String(), "", "~\n", "mqtt:\nlog: {}\nmodel: ~\n", "mqtt: {outbox: }\n",
		"mqtt: {user: 007, password: 12345}\n",
		"mqtt: {broker: 'mqtts://[::1]:8883/', ca: a, cert: b, key: c}\n",
		"mqtt: {broker: 'wss://broker.example/mqtt?x=1'}\n",
		"mqtt: {broker: mqtt://broker.local, base: home/door, discovery: \"\", fleet: street}\n",
		"mqtt: {listen: 0.0.0.0:1883, user: u, password_file: f}\n",
		"mqtt: {listen: \"[::1]:0\", qos: 0, outbox: {max_age: 1h30m}}\n",
		"decide: {top: 5, enter: 0.60, confirm: [3, 5], labels: {}, schedule: []}\nsnapshots: {enabled: false, mqtt: true}\n",
		"sources: [{name: a, path: b, ignore: [\"*.gif\", raw/], results: true, done: {max_mb: 1, max_files: 3}, failed: }]\n",
		"sources: [{name: a, path: b, settle: 0, poll: on}, {name: c, path: d, settle: 1m30s, poll: true, recursive: true}]\n",
	}
	for _, text := range files {
		if _, err := Parse("f.yaml", []byte(text), nil); err != nil {
			t.Errorf("Parse of %q: %v", text, err)
		}
		if err := validateConfig(t, text); err != nil {
			t.Errorf("schema on %q: %v", text, err)
		}
	}
}

// TestConfigSchemaRefuses has files that are wrong, for Parse and for the schema.
func TestConfigSchemaRefuses(t *testing.T) {
	source := func(keys string) string { return "sources: [{name: a, path: b, " + keys + "}]\n" }
	for _, text := range []string{
		"[]\n", "7\n", "nmae: pi\n", "mqtt: 7\n", "mqtt: []\n", "mqtt: {brokr: x}\n", "mqtt.broker: x\n",
		"version: 2\n", "version: ~\n", "name: Pi\n", "name: a b\n", "name: [pi]\n", "name: ~\n", "state_dir: \"\"\n",
		"name: " + strings.Repeat("a", 65) + "\n", "state_dir: \"a\\nb\"\n", "model: {path: \"\\e[2J\"}\n",
		"model: {delegate: gpu}\n", "model: {delegate: external:/x.so}\n", "model: {threads: 65}\n", "model: {threads: -1}\n",
		"model: {threads: two}\n", "model: {threads: \"2\"}\n", "model: {threads: 1.5}\n",
		"mqtt: {broker: 192.168.1.2}\n", "mqtt: {broker: 7}\n", "mqtt: {broker: tcp://x}\n", "mqtt: {broker: mqtt://u:p@x}\n", "mqtt: {broker: mqtt://x/path}\n",
		"mqtt: {broker: mqtt://}\n", "mqtt: {broker: wss://x/mqtt#a}\n", "mqtt: {listen: 1883}\n", "mqtt: {listen: \"127.0.0.1\"}\n",
		"mqtt: {base: /home}\n", "mqtt: {base: home/}\n", "mqtt: {base: home//door}\n", "mqtt: {base: home/#}\n", "mqtt: {base: $SYS}\n",
		"mqtt: {base: " + strings.Repeat("a", 257) + "}\n", "mqtt: {password: [1]}\n", "mqtt: {qos: 2}\n", "mqtt: {discovery: false/}\n",
		"mqtt: {outbox: {max_mb: 0}}\n", "mqtt: {outbox: {max_age: 168}}\n", "mqtt: {outbox: {max_age: a week}}\n", "mqtt: {outbox: {max: 1}}\n",
		"mqtt: {max_payload_kb: 3}\n", "mqtt: {fleet: a/b}\n",
		"decide: {top: 0}\n", "decide: {top: 101}\n", "decide: {enter: 0.7}\n", "decide: {confirm: [1, 1]}\n", "decide: {labels: {cat: 1}}\n",
		"decide: {schedule: [1]}\n", "snapshots: {enabled: true}\n", "snapshots: {mqtt: yes please}\n", "privacy: labels_only\n", "http: {listen: 127.0.0.1:8080}\n",
		"limits: {max_pixels: 0}\n", "limits: {max_file_mb: 1025}\n", "log: {level: trace}\n", "log: {format: xml}\n",
		"sources: []\n", "sources: ~\n", "sources: {name: a, path: b}\n", "sources: [a]\n", "sources: [{name: a}]\n", "sources: [{path: b}]\n",
		"sources: [" + strings.TrimSuffix(strings.Repeat("{name: a, path: b}, ", 65), ", ") + "]\n",
		"sources: [{name: bridge, path: b}]\n", "sources: [{name: \"\", path: b}]\n", "sources: [{name: a, path: \"\"}]\n",
		source("type: v4l2"), source("recursive: yes please"), source("recursive: 1"), source("settle: 5"), source("settle: fast"), source("poll: maybe"),
		source("after: copy"), source("resize: stretch"), source("results: on"), source("ignore: \"*.gif\""), source("ignore: [\"\"]"),
		source("ignore: [/a]"), source("ignore: [\"a/**\"]"), source("ignore: [a//b]"), source("ignore: [../a]"), source("ignore: [./a]"), source("ignore: [~]"),
		source("ignore: [" + strings.TrimSuffix(strings.Repeat("a, ", 65), ", ") + "]"),
		source("done: {max_files: 2}"), source("failed: {max_files: 1}"), source("done: {max_mb: -1}"), source("done: {days: 3}"), source("done: 5"),
		source("device: /dev/video0"), source("url: rtsp://x"), source("size: 1x1"), source("fps: 30"), source("crop: [0, 0, 0.5, 1]"),
		source("rotate: 90"), source("loop: true"), source("stall: 6s"), source("nmae: x"),
	} {
		if _, err := Parse("f.yaml", []byte(text), nil); err == nil {
			t.Errorf("Parse takes %q", text)
		}
		if err := validateConfig(t, text); err == nil {
			t.Errorf("the schema takes %q", text)
		}
	}
}
