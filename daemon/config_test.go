package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestConfigExample(t *testing.T) {
	got, err := Parse("example.yaml", []byte(Example()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := Default(); !reflect.DeepEqual(got, want) {
		t.Errorf("the example gives\n%v\nwant the defaults\n%v", got, want)
	}
	// An example that leaves a key out would still give its default.
	r := newConfigReader("")
	r.readYAML([]byte(Example()))
	for _, path := range honouredKeys(t) {
		name, ofSource := strings.CutPrefix(path, "sources[0].")
		if _, ok := r.places[path]; !ok && (!ofSource || slices.Contains(keyTypes(name), TypeFolder)) {
			t.Errorf("the example lacks the key %s", path)
		}
	}
}

// honouredKeys is the path of every value of a Config with one source, read from its tags.
func honouredKeys(t *testing.T) []string {
	t.Helper()
	var paths []string
	var walk func(prefix string, typ reflect.Type)
	walk = func(prefix string, typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			path := prefix + f.Tag.Get("yaml")
			switch {
			case f.Type == reflect.TypeFor[SizeConfig](), f.Type == reflect.TypeFor[UnknownConfig]():
				paths = append(paths, path) // one value in a file
			case f.Type.Kind() == reflect.Struct:
				walk(path+".", f.Type)
			case f.Type == reflect.TypeFor[[]SourceConfig]():
				walk(path+"[0].", f.Type.Elem())
			default:
				paths = append(paths, path)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	if len(paths) < 20 {
		t.Fatalf("found the keys %v only", paths)
	}
	return paths
}

// TestConfigTable holds the table of keys against the tags of the structs, and its variables against each other.
func TestConfigTable(t *testing.T) {
	paths, variables := map[string]bool{}, map[string]string{}
	add := func(path string) {
		if paths[path] {
			t.Errorf("%s is twice in the table", path)
		}
		paths[path] = true
	}
	for _, k := range configKeys(&Config{}) {
		add(k.path)
		name := strings.ReplaceAll(k.path, ".", "_")
		if other, twice := variables[name]; twice {
			t.Errorf("%s and %s have one variable", k.path, other)
		}
		variables[name] = k.path
	}
	for _, k := range sourceKeys(&SourceConfig{}) {
		add("sources[0]." + k.path)
	}
	for _, path := range honouredKeys(t) {
		if !paths[path] {
			t.Errorf("%s isn't in the table", path)
		}
	}
}

func TestConfigValues(t *testing.T) {
	with := func(change func(*Config)) Config {
		c := Default()
		change(&c)
		return c
	}
	door := SourceConfig{Name: "door", Type: "folder", Path: "/srv/door", Settle: 500 * time.Millisecond, Poll: "auto", After: "move", Resize: "squash"}
	tests := []struct {
		name, yaml, env string
		want            Config
	}{
		{"nothing", "", "", Default()},
		{"comments", "# one\n\n  # two\n", "", Default()},
		{"null", "~\n", "", Default()},
		{"empty document", "---\n...\n", "", Default()},
		{"empty sections", "mqtt:\nlog: {}\nmodel: ~\n", "", Default()},
		{"directive", "%YAML 1.2\n---\nname: pi\n", "", with(func(c *Config) { c.Name = "pi" })},
		{"byte order mark", "\ufeffname: pi\n", "", with(func(c *Config) { c.Name = "pi" })},
		{"carriage returns", "name: pi\r\nlog:\r\n  level: warn\r\n", "", with(func(c *Config) { c.Name, c.Log.Level = "pi", "warn" })},
		{"tab behind a colon", "name:\tpi\n", "", with(func(c *Config) { c.Name = "pi" })},
		{"keys at their defaults", "mqtt: {discovery: homeassistant, fleet: '', outbox: {max_mb: 64, max_age: 168h}}\n", "", Default()},
		{"discovery off", "mqtt: {discovery: \"\"}\n", "", with(func(c *Config) { c.MQTT.Discovery = "" })},
		{"outbox", "mqtt: {outbox: {max_mb: 65, max_age: 1h}}\n", "", with(func(c *Config) { c.MQTT.Outbox = OutboxConfig{65, time.Hour} })},
		{"fleet", "mqtt: {fleet: street, max_payload_kb: 16}\n", "", with(func(c *Config) { c.MQTT.Fleet, c.MQTT.MaxPayloadKB = "street", 16 })},
		{"embedded broker for others", "mqtt: {listen: 0.0.0.0:1883, user: u, password_file: f}\n", "", with(func(c *Config) {
			c.MQTT.Listen, c.MQTT.User, c.MQTT.PasswordFile = "0.0.0.0:1883", "u", "f"
		})},
		{"page", "http: {listen: '[::1]:0'}\n", "", with(func(c *Config) { c.HTTP.Listen = "[::1]:0" })},
		{"ignored files", "sources: [{name: a, path: b, ignore: [\"*.gif\", raw/], results: true, done: {max_mb: 1, max_files: 3}}]\n", "", with(func(c *Config) {
			s := &c.Sources[0]
			s.Name, s.Path, s.Ignore, s.Results, s.Done = "a", "b", []string{"*.gif", "raw/"}, true, QuotaConfig{1, 3}
		})},
		{"decide at its defaults", "decide: {top: 5, enter: 0.60, stay: 0.4, confirm: [3, 5], hold: 10s, cooldown: 15s, smoothing: .5, unknown: auto, labels: {}, groups: {}, schedule: []}\n", "", Default()},
		{"the rest at its defaults", "snapshots: {enabled: false, max_mb: 200, mqtt: False}\nprivacy: full\nhttp: {listen: \"\"}\nmqtt: {outbox: {max_mb: 64, max_age: 168h0m}}\n", "", Default()},
		{"text of digits", "mqtt: {user: 007, password: 0x1F}\n", "", with(func(c *Config) { c.MQTT.User, c.MQTT.Password = "007", "0x1F" })},
		{"text like a boolean", "mqtt: {user: true, password: .inf}\n", "", with(func(c *Config) { c.MQTT.User, c.MQTT.Password = "true", ".inf" })},
		{"block of one line", "mqtt:\n  base: >-\n    home/door\n", "", with(func(c *Config) { c.MQTT.Base = "home/door" })},
		{"TLS", "mqtt: {broker: 'mqtts://[::1]:8883/', ca: a, cert: b, key: c}\n", "", with(func(c *Config) {
			c.MQTT.Broker, c.MQTT.CA, c.MQTT.Cert, c.MQTT.Key = "mqtts://[::1]:8883/", "a", "b", "c"
		})},
		{"websocket", "mqtt: {broker: 'wss://broker.example/mqtt?x=1'}\n", "", with(func(c *Config) { c.MQTT.Broker = "wss://broker.example/mqtt?x=1" })},
		{"largest", "model: {threads: 64}\nlimits: {max_pixels: 200000000, max_file_mb: 1024}\ndecide: {top: 100}\n", "", with(func(c *Config) {
			c.Model.Threads, c.Limits, c.Decide.Top = 64, LimitsConfig{200_000_000, 1024}, 100
		})},
		{"any port", "mqtt: {listen: 'localhost:0', qos: 0}\n", "", with(func(c *Config) { c.MQTT.Listen, c.MQTT.QoS = "localhost:0", 0 })},
		{"short source", "sources:\n- {name: door, path: /srv/door}\n", "", with(func(c *Config) { c.Sources = []SourceConfig{door} })},
		{"full source", "sources:\n  - name: door\n    path: /srv/door\n    type: folder\n    recursive: true\n    settle: 1h\n    poll: on\n    after: keep\n    resize: crop\n", "", with(func(c *Config) {
			s := door
			s.Recursive, s.Settle, s.Poll, s.After, s.Resize = true, time.Hour, "on", "keep", "crop"
			c.Sources = []SourceConfig{s}
		})},
		{"poll as a boolean", "sources:\n- {name: door, path: /srv/door, poll: false}\n", "", with(func(c *Config) {
			s := door
			s.Poll = "off"
			c.Sources = []SourceConfig{s}
		})},
		{"aliases", "name: &n door\nsources:\n- {name: *n, path: &p /srv/door, after: &a keep}\n- {name: b, path: /srv/b, after: *a}\n", "", with(func(c *Config) {
			a, b := door, door
			a.After = "keep"
			b.Name, b.Path, b.After = "b", "/srv/b", "keep"
			c.Name, c.Sources = "door", []SourceConfig{a, b}
		})},
		{"variables over the file", "name: a\nlog: {level: warn}\n", "SIGHTD_NAME=b SIGHTD_MQTT_PASSWORD_FILE=/x SIGHTD_MQTT_USER=u SIGHTD_LIMITS_MAX_FILE_MB=3 SIGHT=x SIGHTD_HTTP_LISTEN= PATH=y", with(func(c *Config) {
			c.Name, c.Log.Level, c.MQTT.User, c.MQTT.PasswordFile, c.Limits.MaxFileMB = "b", "warn", "u", "/x", 3
		})},
		{"empty variable over the file", "name: a\n", "SIGHTD_NAME=", Default()},
		{"last variable counts", "", "SIGHTD_NAME=a SIGHTD_NAME=b", with(func(c *Config) { c.Name = "b" })},
		{"variable with equals signs", "", "SIGHTD_MQTT_USER=a=b=", with(func(c *Config) { c.MQTT.User = "a=b=" })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse("f.yaml", []byte(test.yaml), strings.Fields(test.env))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got\n%+v\nwant\n%+v", []any{got}, []any{test.want})
			}
		})
	}
}

func TestConfigLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sightd.yaml")
	if err := os.WriteFile(path, []byte("name: pi\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, []string{"SIGHTD_LOG_FORMAT=json"})
	if err != nil || c.Name != "pi" || c.Log.Format != "json" {
		t.Errorf("Load gives name %q, log format %q, error %v; want pi, json, none", c.Name, c.Log.Format, err)
	}
	c, err = Load("", []string{"SIGHTD_NAME=pi"})
	if err != nil || c.Name != "pi" {
		t.Errorf("Load without a file gives name %q, error %v; want pi, none", c.Name, err)
	}
	if _, err = Load(filepath.Join(dir, "none.yaml"), nil); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("Load of a missing file gives %v, want that it doesn't exist", err)
	}
	if _, err = Load(dir, nil); err == nil {
		t.Error("Load of a folder gives no error")
	}
	if err := os.WriteFile(path, make([]byte, 10<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	want := path + ": want at most 196608 bytes, have more"
	if _, err = Load(path, nil); err == nil || err.Error() != want {
		t.Errorf("Load of a large file gives %v, want %s", err, want)
	}
}

func unwrapAll(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = inner.Unwrap()
	}
}

func TestConfigRedacted(t *testing.T) {
	c := Default()
	c.MQTT.User, c.MQTT.Password = "pi", "hunter2"
	for _, verb := range []string{"%v", "%+v", "%s"} {
		if s := fmt.Sprintf(verb, c); strings.Contains(s, "hunter2") || !strings.Contains(s, "***") {
			t.Errorf("%s shows the password, or not that there is one:\n%s", verb, s)
		}
	}
	if c.MQTT.Password != "hunter2" {
		t.Error("Redacted changed the configuration itself")
	}
	if s := Default().String(); strings.Contains(s, "***") {
		t.Errorf("a mask for no password:\n%s", s)
	}
	got, err := Parse("shown.yaml", []byte(Default().String()), nil)
	if err != nil || !reflect.DeepEqual(got, Default()) {
		t.Errorf("what String shows gives\n%v\nerror %v; want the defaults", got, err)
	}
}

// TestConfigBounds has files that would cost the YAML parser seconds and gigabytes, and the largest that is sensible.
func TestConfigBounds(t *testing.T) {
	tests := []struct{ name, yaml, want string }{
		{"brackets", strings.Repeat("[", 60_000), "f.yaml:1:17: want at most 16 brackets within each other, have more"},
		{"braces", strings.Repeat("{a: ", 10_000), "f.yaml:1:65: want at most 16 brackets within each other, have more"},
		{"lists in lists", strings.Repeat("- ", 30_000), "f.yaml:1:81: want - and ? in the first 80 columns, have one behind them"},
		{"long path", strings.Repeat("k", 50_000) + ":\n" + strings.Repeat("- ", 4000), "f.yaml:2:81: want - and ? in the first 80 columns, have one behind them"},
		{"keys", strings.Repeat("a: 1\n", 10_000), "f.yaml:5462:2: want at most 16384 keys, values and marks, have more"},
		{"bytes", strings.Repeat("#", maxConfigBytes+1), "f.yaml: want at most 196608 bytes, have more"},
		{"laughs", "a: &a [lol, lol]\nb: &b [*a, *a]\nc: &c [*b, *b]\nname: *c\n", "f.yaml:1:1: a: unknown key\n" +
			"f.yaml:2:1: b: unknown key\nf.yaml:3:1: c: unknown key\nf.yaml:4:1: name: want text, have a list"},
		{"sources", "sources: [&s {name: a, path: b}" + strings.Repeat(", *s", 64) + "]\n", "f.yaml:1:1: sources: want 1 to 64 sources, have 65"},
		{"alias of itself", "name: &a *a\n", "f.yaml:1:10: want YAML: unexpected scalar value type"},
		{"labels", "decide: {labels: {" + strings.Repeat("a: 1, ", 1001) + "}}", "f.yaml:1:10: decide.labels: want at most 1000 labels, have 1001"},
		{"groups", "decide: {groups: {" + strings.Repeat("a: 1, ", 201) + "}}", "f.yaml:1:10: decide.groups: want at most 200 groups, have 201"},
		{"periods", "decide: {schedule: [" + strings.Repeat("1, ", 49) + "]}", "f.yaml:1:10: decide.schedule: want at most 48 periods, have 49"},
		{"label in itself", "decide: {labels: &a {cat: *a}}\n", "f.yaml:1:22: decide.labels[\"cat\"].cat: unknown key"},
		{"value in itself", "mqtt: &a {outbox: *a}\n", "f.yaml:1:11: mqtt.outbox.outbox: unknown key; did you mean mqtt.outbox?"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(test.yaml), nil)
			if err == nil || err.Error() != test.want {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
		})
	}

	head, rest, _ := strings.Cut(liveExamples(t), "  - name: inbox")
	folder, rest, _ := strings.Cut(rest, "  # A camera on USB.\n  - name: door")
	camera, rest, _ := strings.Cut(rest, "\n  # The camera of")
	_, tail, _ := strings.Cut(rest, "\n# What is")
	var labels strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&labels, "\"label %d\": {enter: 0.5, stay: 0.4, allow: true}, ", i)
	}
	tail = "# What is" + tail
	for name, one := range map[string]string{"folders": "  - name: cam0 " + folder, "cameras": "  - name: cam0 " + camera} {
		var all strings.Builder
		for i := range 64 {
			all.WriteString(strings.NewReplacer("cam0", fmt.Sprintf("cam%d", i), "./inbox", fmt.Sprintf("./folder%d", i), "/dev/video0", fmt.Sprintf("/dev/video%d", i)).Replace(one) + "\n")
		}
		c, err := Parse("f.yaml", []byte(head+all.String()+tail), nil)
		if err != nil || len(c.Sources) != 64 {
			t.Errorf("64 %s with every key and comment give %d and %v", name, len(c.Sources), err)
		}
	}
	c, err := Parse("f.yaml", []byte("decide:\n  labels: {"+labels.String()+"}\n"), nil)
	if err != nil || len(c.Decide.Labels) != 1000 {
		t.Errorf("1000 labels give %d and %v", len(c.Decide.Labels), err)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"name", "mqtt.broker", "mqtt.user", "log.level"}
	for path, want := range map[string]string{
		"nmae": "name", "broker": "mqtt.broker", "mqtt.brokr": "mqtt.broker", "http.level": "log.level", "log.user": "mqtt.user",
		"x": "", "": "", "temperature": "", strings.Repeat("x", 1000): "",
	} {
		if got := nearest(path, known); got != want {
			t.Errorf("nearest to %.20q is %q, want %q", path, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Example(), "")
	f.Add("mqtt: {broker: ws://a, user: b, password: c}\n", "SIGHTD_NAME=x\nSIGHTD_MQTT_QOS=0")
	f.Add("a: &a [lol, *a]\n? b\n: !t |\n c\n<<: *a\n", "SIGHTD_NAM=x")
	f.Add("sources:\n- &x {name: a, path: ./a, poll: on, settle: 1s}\n- *x\n- name: b\n  path: b/c\n  crop: [0,0,1,1]\n", "")
	f.Add(liveExamples(f), "SIGHTD_DECIDE_LABELS={a: 1}\nSIGHTD_DECIDE_CONFIRM=[1, 2]")
	f.Add("decide:\n  labels: {tabby cat: 0.8, 281: deny, pets: {enter: .5, allow: true}}\n  groups: {pets: [lynx]}\n  unknown: {score: 1}\n"+
		"  schedule: [{from: 22:00, to: \"06:00\", days: [mon], labels: {a: 1}}]\n", "SIGHTD_DECIDE_SCHEDULE=[{from: 22:00, to: 23:00, off: true}]")
	f.Add("sources: [{name: a, type: url, url: 'rtsp://u:p@x'}, {type: gstreamer, pipeline: a ! b, name: c, crop: [0, 0, .5, 1]}]\n", "")
	f.Add("%YAML 1.2\n---\nname: 'a'\n...\n---\nb: \"\\x41\"\n", "")
	f.Fuzz(func(t *testing.T, data, env string) {
		variables := strings.Split(env, "\n")
		c, err := Parse("f.yaml", []byte(data), variables)
		if err != nil {
			lines := strings.Split(err.Error(), "\n")
			if len(lines) > maxConfigFaults+1 {
				t.Errorf("%d lines of errors", len(lines))
			}
			for i, line := range lines {
				if !strings.HasPrefix(line, "f.yaml: ") && !strings.HasPrefix(line, "f.yaml:") &&
					!strings.HasPrefix(line, configVariable) && i < maxConfigFaults {
					t.Errorf("line %q names neither file nor variable", line)
				}
			}
			return
		}
		// An accepted configuration has a name, a path and its own place for each source, and every value passes its
		// own check again.
		setters := configKeys(&Config{})
		check := func(keys []configKey, path string, value any) {
			i := slices.IndexFunc(keys, func(k configKey) bool { return k.path == path })
			if err := keys[i].set(configValue{kind: plainValue, text: fmt.Sprint(value)}); err != nil {
				t.Errorf("%s: accepted, but %v", path, err)
			}
		}
		check(setters, "name", c.Name)
		check(setters, "mqtt.broker", c.MQTT.Broker)
		check(setters, "mqtt.base", c.MQTT.Base)
		check(setters, "mqtt.qos", c.MQTT.QoS)
		check(setters, "limits.max_pixels", c.Limits.MaxPixels)
		names := map[string]bool{}
		for _, s := range c.Sources {
			keys := sourceKeys(&SourceConfig{Type: s.Type})
			values := map[string]any{"name": s.Name, "path": s.Path, "settle": s.Settle, "poll": s.Poll, "device": s.Device, "url": s.URL, "pipeline": s.Pipeline,
				"size": s.Size, "fps": s.FPS, "fourcc": s.FourCC, "rotate": s.Rotate, "flip": s.Flip, "motion": s.Motion, "stall": s.Stall, "refresh": s.Refresh}
			for key, value := range values {
				if slices.Contains(keyTypes(key), s.Type) {
					check(keys, key, value)
				}
			}
			names[s.Name] = true
		}
		if err := c.Decide.rules().Check(nil); err != nil {
			t.Errorf("accepted, but %v", err)
		}
		if len(names) == 0 || len(names) != len(c.Sources) {
			t.Errorf("%d sources have %d names", len(c.Sources), len(names))
		}
		if !utf8.ValidString(env) {
			return
		}
		r := readerOf("f.yaml", []byte(data), variables)
		for _, shown := range []string{c.String(), r.show()} {
			if again, err := Parse("shown", []byte(shown), nil); reflect.DeepEqual(c.Redacted(), c) && (err != nil || !reflect.DeepEqual(again, c)) {
				t.Errorf("shown as\n%s\nit gives error %v and differs in %q", shown, err, c.changes(again))
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	data := []byte(Example())
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse("f.yaml", data, nil); err != nil {
			b.Fatal(err)
		}
	}
}
