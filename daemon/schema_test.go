package daemon

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
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

// topTables gives the keys of the schema and those of Parse, of all but sources.
func topTables(t *testing.T) (have map[string]node, want []configKey) {
	t.Helper()
	root := schemaRoot(t)
	if root["$schema"] != "https://json-schema.org/draft/2020-12/schema" || root["$id"] != "urn:sightd:config" {
		t.Errorf("the schema is %v, %v", root["$schema"], root["$id"])
	}
	have = schemaKeys(t, root, root, "")
	delete(have, "sources")
	return have, configKeys(new(Config))
}

// sourceTables gives the same of a source of a type.
func sourceTables(t *testing.T, typ string) (have map[string]node, want []configKey) {
	t.Helper()
	root := schemaRoot(t)
	source := root["$defs"].(node)["source"].(node)
	have = schemaKeys(t, root, source, "")
	seen := false
	for _, branch := range source["allOf"].([]any) {
		if branch.(node)["if"].(node)["properties"].(node)["type"].(node)["const"] != typ {
			continue
		}
		seen = true
		for name, more := range branch.(node)["then"].(node)["properties"].(node) {
			if more == false {
				maps.DeleteFunc(have, func(path string, _ node) bool { return path == name || strings.HasPrefix(path, name+".") })
				continue
			}
			n := maps.Clone(have[name])
			maps.Copy(n, more.(node))
			have[name] = n
		}
	}
	if !seen {
		t.Fatalf("the schema has no keys for the type %s", typ)
	}
	for _, k := range sourceKeys(&SourceConfig{Type: typ}) {
		if slices.Contains(keyTypes(k.path), typ) {
			want = append(want, k)
		}
	}
	return have, want
}

// TestConfigSchemaKeys holds the keys of the schema against those of Parse: the same ones, each with the values that its
// setter takes.
func TestConfigSchemaKeys(t *testing.T) {
	compare := func(name string, have map[string]node, want []configKey) {
		for _, k := range want {
			n, ok := have[k.path]
			if !ok {
				t.Errorf("%s%s: the schema lacks the key", name, k.path)
				continue
			}
			delete(have, k.path)
			t.Run(name+k.path, func(t *testing.T) { checkSchemaValues(t, k, n) })
		}
		for path := range have {
			t.Errorf("%s%s: the schema has a key that Parse doesn't know", name, path)
		}
	}
	have, want := topTables(t)
	compare("", have, want)
	for _, typ := range keyTypes("type") {
		have, want := sourceTables(t, typ)
		compare(typ+".", have, want)
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
	} else if !slices.Contains([]string{"name", "path", "device", "url", "pipeline"}, k.path) {
		t.Error("want a default, have none")
	}
	if c, ok := n["const"]; ok {
		takes(c, true)
		takes("another", false)
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
	if n["type"] == "number" {
		hi := n["maximum"].(float64)
		takes(hi, true)
		takes(hi+0.001, false)
		if lo, ok := n["minimum"].(float64); ok {
			takes(lo, true)
			takes(lo-0.001, false)
		} else {
			lo := n["exclusiveMinimum"].(float64)
			takes(lo, false)
			takes(lo+0.001, true)
		}
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

// TestConfigSchemaDefaults reads the schema's defaults as a file, with a source of each type.
func TestConfigSchemaDefaults(t *testing.T) {
	top, _ := topTables(t)
	file := node{"sources": schemaRoot(t)["properties"].(node)["sources"].(node)["default"]}
	fill(file, top)
	want := Default()
	for _, typ := range keyTypes("type") {
		source := node{"name": typ}
		if typ == TypeFolder {
			source = file["sources"].([]any)[0].(node)
		} else {
			file["sources"] = append(file["sources"].([]any), source)
			s := defaultSource(typ)
			s.Name = typ
			given := map[string]*string{"path": &s.Path, "device": &s.Device, "url": &s.URL, "pipeline": &s.Pipeline}
			values := map[string]string{"path": "film", "device": "/dev/video0", "url": "rtsp://x", "pipeline": "videotestsrc"}
			for _, key := range requiredKeys(typ)[1:] {
				source[key], *given[key] = values[key], values[key]
			}
			want.Sources = append(want.Sources, s)
		}
		keys, _ := sourceTables(t, typ)
		fill(source, keys)
		source["type"] = typ
	}
	data, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("defaults", data, nil)
	if err != nil {
		t.Fatal(err)
	}
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
		"model: {delegate: auto}\n", "model: {delegate: cpu}\n", "model: {delegate: gpu, threads: 4}\n", "model: {delegate: xnnpack-fp16}\n",
		"model: {delegate: external:/usr/lib/libedgetpu.so.1}\n", "model: {delegate: \"external:/x.so?device=usb&speed=max\"}\n",
		"mqtt: {broker: 'mqtts://[::1]:8883/', ca: a, cert: b, key: c}\n",
		"mqtt: {broker: 'wss://broker.example/mqtt?x=1'}\n",
		"mqtt: {broker: mqtt://broker.local, base: home/door, discovery: \"\", fleet: street}\n",
		"mqtt: {listen: 0.0.0.0:1883, user: u, password_file: f}\n",
		"mqtt: {listen: \"[::1]:0\", qos: 0, outbox: {max_age: 1h30m}}\n",
		"decide: {top: 5, enter: 0.60, confirm: [3, 5], labels: {}, schedule: []}\nsnapshots: {enabled: true, max_mb: 1, mqtt: true}\n",
		"decide: {enter: 1, stay: 0, confirm: [1, 1], hold: 0, cooldown: 24h, smoothing: 0, unknown: off, labels: , groups: , schedule: }\nprivacy: labels_only\n",
		"decide:\n  unknown: {score: 0.5}\n  labels: {tabby cat: 0.8, 281: .5, web site: deny, true: allow, pets: {enter: 0.5, stay: 0, allow: true}}\n" +
			"  groups: {pets: [tabby cat, 282], \"7 up\": [7]}\n  schedule:\n  - {from: \"22:00\", to: \"06:00\", days: [mon, sun], enter: 0.9, stay: 0.1, labels: {pets: 1}}\n" +
			"  - {from: 00:00, to: 24:00, off: true}\n",
		"sources:\n- {name: a, type: v4l2, device: /dev/video0, size: 16x8192, fps: 0.5, fourcc: \"Y16 \", stall: 5s, interval: 0, frozen: 0, refresh: 1s}\n" +
			"- {name: b, type: v4l2, device: 1}\n- {name: c, type: rpicam, device: 1, crop: [0.25, 0, 1, 0.5], rotate: 270, flip: both, motion: 0.05}\n" +
			"- {name: d, type: url, url: \"rtsp://u:p@x/y\", motion: off}\n- {name: e, type: url, url: \"udp://:5000\"}\n- {name: f, type: url, url: \"file:///x.mp4\"}\n" +
			"- {name: g, type: gstreamer, pipeline: videotestsrc ! jpegenc, size: 1284x99, fps: 0}\n- {name: j, type: url, url: \"http://x\", size: 333x333, fps: 30}\n- {name: h, type: replay, path: x, fps: 0, loop: true}\n- {name: i, type: folder, path: y}\n",
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
	camera := func(keys string) string {
		return "sources: [{name: a, type: v4l2, device: /dev/video0, " + keys + "}]\n"
	}
	for _, text := range []string{
		"[]\n", "7\n", "nmae: pi\n", "mqtt: 7\n", "mqtt: []\n", "mqtt: {brokr: x}\n", "mqtt.broker: x\n",
		"version: 2\n", "version: ~\n", "name: Pi\n", "name: a b\n", "name: [pi]\n", "name: ~\n", "state_dir: \"\"\n",
		"name: " + strings.Repeat("a", 65) + "\n", "state_dir: \"a\\nb\"\n", "model: {path: \"\\e[2J\"}\n",
		"model: {delegate: tpu}\n", "model: {delegate: external:x.so}\n", "model: {delegate: 7}\n", "model: {delegate: \"\"}\n", "model: {threads: 65}\n", "model: {threads: -1}\n",
		"model: {threads: two}\n", "model: {threads: \"2\"}\n", "model: {threads: 1.5}\n",
		"mqtt: {broker: 192.168.1.2}\n", "mqtt: {broker: 7}\n", "mqtt: {broker: tcp://x}\n", "mqtt: {broker: mqtt://u:p@x}\n", "mqtt: {broker: mqtt://x/path}\n",
		"mqtt: {broker: mqtt://}\n", "mqtt: {broker: wss://x/mqtt#a}\n", "mqtt: {listen: 1883}\n", "mqtt: {listen: \"127.0.0.1\"}\n",
		"mqtt: {base: /home}\n", "mqtt: {base: home/}\n", "mqtt: {base: home//door}\n", "mqtt: {base: home/#}\n", "mqtt: {base: $SYS}\n",
		"mqtt: {base: " + strings.Repeat("a", 257) + "}\n", "mqtt: {password: [1]}\n", "mqtt: {qos: 2}\n", "mqtt: {discovery: false/}\n",
		"mqtt: {outbox: {max_mb: 0}}\n", "mqtt: {outbox: {max_age: 168}}\n", "mqtt: {outbox: {max_age: a week}}\n", "mqtt: {outbox: {max: 1}}\n",
		"mqtt: {max_payload_kb: 3}\n", "mqtt: {fleet: a/b}\n",
		"decide: {top: 0}\n", "decide: {top: 101}\n", "decide: {enter: 0}\n", "decide: {enter: 1.1}\n", "decide: {enter: \"0.7\"}\n",
		"decide: {stay: -0.1}\n", "decide: {confirm: 3}\n", "decide: {confirm: [3]}\n", "decide: {confirm: [0, 5]}\n", "decide: {confirm: [3, 101]}\n", "decide: {hold: 10}\n",
		"decide: {smoothing: 1}\n", "decide: {unknown: on}\n", "decide: {unknown: {}}\n", "decide: {unknown: {score: 2}}\n", "decide: {unknown: {sore: 1}}\n",
		"decide: {labels: [cat]}\n", "decide: {labels: {cat: 0}}\n", "decide: {labels: {cat: maybe}}\n", "decide: {labels: {cat: {}}}\n", "decide: {labels: {cat: ~}}\n",
		"decide: {labels: {cat: {leave: 1}}}\n", "decide: {labels: {cat: {allow: 1}}}\n", "decide: {labels: {\"\": 1}}\n",
		"decide: {groups: {pets: cat}}\n", "decide: {groups: {pets: []}}\n", "decide: {groups: {7: [cat]}}\n", "decide: {groups: {none: [cat]}}\n",
		"decide: {schedule: [1]}\n", "decide: {schedule: {from: x}}\n", "decide: {schedule: [{from: \"22:00\"}]}\n", "decide: {schedule: [{from: \"24:00\", to: \"01:00\"}]}\n",
		"decide: {schedule: [{from: \"6:00\", to: \"07:00\"}]}\n", "decide: {schedule: [{from: \"22:00\", to: \"06:00\", days: [monday]}]}\n",
		"decide: {schedule: [{from: \"22:00\", to: \"06:00\", days: [mon, mon]}]}\n", "decide: {schedule: [{from: \"22:00\", to: \"06:00\", days: []}]}\n",
		"decide: {schedule: [{from: \"22:00\", to: \"06:00\", enter: 0}]}\n", "decide: {schedule: [{from: \"22:00\", to: \"06:00\", of: true}]}\n",
		"snapshots: {enabled: 1}\n", "snapshots: {max_mb: 0}\n", "snapshots: {mqtt: yes please}\n", "privacy: none\n", "http: {listen: 8080}\n", "http: {listen: \"[::1]\"}\n",
		"limits: {max_pixels: 0}\n", "limits: {max_file_mb: 1025}\n", "log: {level: trace}\n", "log: {format: xml}\n",
		"sources: []\n", "sources: ~\n", "sources: {name: a, path: b}\n", "sources: [a]\n", "sources: [{name: a}]\n", "sources: [{path: b}]\n",
		"sources: [" + strings.TrimSuffix(strings.Repeat("{name: a, path: b}, ", 65), ", ") + "]\n",
		"sources: [{name: bridge, path: b}]\n", "sources: [{name: \"\", path: b}]\n", "sources: [{name: a, path: \"\"}]\n",
		source("type: v4l2"), source("type: ftp"), source("recursive: yes please"), source("recursive: 1"), source("settle: 5"), source("settle: fast"), source("poll: maybe"),
		source("after: copy"), source("resize: stretch"), source("results: on"), source("ignore: \"*.gif\""), source("ignore: [\"\"]"),
		source("ignore: [/a]"), source("ignore: [\"a/**\"]"), source("ignore: [a//b]"), source("ignore: [../a]"), source("ignore: [./a]"), source("ignore: [~]"),
		source("ignore: [" + strings.TrimSuffix(strings.Repeat("a, ", 65), ", ") + "]"),
		source("done: {max_files: 2}"), source("failed: {max_files: 1}"), source("done: {max_mb: -1}"), source("done: {days: 3}"), source("done: 5"),
		source("device: /dev/video0"), source("url: rtsp://x"), source("size: 640x480"), source("fps: 30"), source("crop: [0, 0, 1, 1]"),
		source("rotate: 0"), source("loop: true"), source("stall: 6s"), source("nmae: x"),
		"sources: [{name: a, type: v4l2}]\n", "sources: [{name: a, type: url}]\n", "sources: [{name: a, type: gstreamer}]\n", "sources: [{name: a, type: replay}]\n",
		camera("path: x"), camera("url: rtsp://x"), camera("pipeline: x"), camera("loop: true"), camera("poll: on"), camera("done: {}"), camera("size: 640"), camera("size: 640x480x3"),
		camera("fps: 0"), camera("fps: 0.009"), camera("fps: 241"), camera("fps: fast"), camera("fourcc: MJPEG"), camera("interval: 5"), camera("crop: [0, 0, 1]"),
		camera("crop: [0, 0, 1, 2]"), camera("rotate: 45"), camera("rotate: \"90\""), camera("flip: up"), camera("motion: on"), camera("motion: 1.5"), camera("refresh: 0"), camera("stall: 5"),
		"sources: [{name: a, type: v4l2, device: \"\"}]\n", "sources: [{name: a, type: v4l2, device: video0}]\n", "sources: [{name: a, type: rpicam, device: /dev/video0}]\n",
		"sources: [{name: a, type: rpicam, fourcc: MJPG}]\n", "sources: [{name: a, type: replay, path: b, fps: 0.001}]\n", "sources: [{name: a, type: replay, path: b, size: 640x480}]\n",
		"sources: [{name: a, type: url, url: x}]\n", "sources: [{name: a, type: url, url: \"ftp://x\"}]\n", "sources: [{name: a, type: url, url: \"rtsp://x\", fps: 0.001}]\n", "sources: [{name: a, type: url, url: \"rtsp://x\", fourcc: MJPG}]\n",
		"sources: [{name: a, type: gstreamer, pipeline: \" \"}]\n", "sources: [{name: a, type: gstreamer, pipeline: x, size: 642x480}]\n", "sources: [{name: a, type: gstreamer, pipeline: x, fps: -1}]\n", "sources: [{name: a, type: gstreamer, pipeline: x, device: /dev/video0}]\n",
	} {
		if _, err := Parse("f.yaml", []byte(text), nil); err == nil {
			t.Errorf("Parse takes %q", text)
		}
		if err := validateConfig(t, text); err == nil {
			t.Errorf("the schema takes %q", text)
		}
	}
}
