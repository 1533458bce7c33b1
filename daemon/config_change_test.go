package daemon

import (
	"slices"
	"testing"
)

func TestConfigChanges(t *testing.T) {
	read := func(text string) Config {
		t.Helper()
		c, err := Parse("f.yaml", []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const door = "sources:\n- {name: door, type: v4l2, device: /dev/video0, fps: 5}\n- {name: a, path: a}\n"
	for _, test := range []struct {
		name, before, after string
		want                []string
	}{
		{"nothing", "", Example(), nil},
		{"nothing, written differently", "decide: {labels: {a: 1}, schedule: []}\n" + door, "decide: {labels: {a: {enter: 1.0}}}\n" + door, nil},
		{"values, in the order of Config", "", "log: {level: warn}\nname: pi\nmqtt: {qos: 0, outbox: {max_mb: 1}}\nhttp: {listen: 'x:1'}\n",
			[]string{"name", "mqtt.qos", "mqtt.outbox.max_mb", "http.listen", "log.level"}},
		{"password", "mqtt: {user: u, password: hunter2}\n", "mqtt: {user: u, password: hunter3}\n", []string{"mqtt.password"}},
		{"what is one value", "", "decide: {confirm: [2, 5], unknown: {score: 0.5}, labels: {a: 1}, groups: {g: [a]}, schedule: [{from: \"00:00\", to: \"01:00\", off: true}]}\n",
			[]string{"decide.confirm", "decide.unknown", "decide.labels", "decide.groups", "decide.schedule"}},
		{"inside what is one value", "decide: {labels: {a: 1}}\n", "decide: {labels: {a: {enter: 1, stay: 0}}}\n", []string{"decide.labels"}},
		{"sources' keys", door, "sources:\n- {name: a, path: b, done: {max_mb: 1}}\n- {name: door, type: v4l2, device: /dev/video0, size: 320x240, crop: [0, 0, 1, 0.5], fps: 6}\n",
			[]string{"sources.a.path", "sources.a.done.max_mb", "sources.door.size", "sources.door.fps", "sources.door.crop"}},
		{"sources' order", door, "sources:\n- {name: a, path: a}\n- {name: door, type: v4l2, device: /dev/video0, fps: 5}\n", nil},
		{"another type", door, "sources: [{name: door, type: rpicam}, {name: a, path: a}]\n", []string{"sources.door.type"}},
		{"added and removed", door, "sources: [{name: b, path: a}, {name: door, type: v4l2, device: /dev/video0, fps: 5}]\n", []string{"sources.b", "sources.a"}},
		{"url with a password", "sources: [{name: a, type: url, url: 'rtsp://u:hunter2@x'}]\n", "sources: [{name: a, type: url, url: 'rtsp://u:hunter3@x'}]\n", []string{"sources.a.url"}},
	} {
		before, after := read(test.before), read(test.after)
		if got := before.changes(after); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		if got := after.changes(before); len(got) != len(test.want) {
			t.Errorf("%s, the other way round: got %q, want as many as %q", test.name, got, test.want)
		}
	}
}

// TestConfigChangesAll changes every value of a configuration, one after the other: each is told by its own path.
func TestConfigChangesAll(t *testing.T) {
	values := map[string]string{ // that differ from the defaults
		"version": "", "name": "x", "state_dir": "x", "model.path": "x", "model.labels": "x", "model.delegate": "cpu", "model.threads": "1",
		"mqtt.broker": "mqtt://x", "mqtt.listen": "127.0.0.1:1", "mqtt.base": "x", "mqtt.user": "y", "mqtt.password": "x", "mqtt.password_file": "x",
		"mqtt.ca": "x", "mqtt.cert": "x", "mqtt.key": "x", "mqtt.qos": "0", "mqtt.discovery": "x", "mqtt.outbox.max_mb": "1", "mqtt.outbox.max_age": "1h",
		"mqtt.max_payload_kb": "4", "mqtt.fleet": "x", "decide.top": "1", "decide.enter": "0.9", "decide.stay": "0.1", "decide.confirm": "[1, 1]",
		"decide.hold": "1s", "decide.cooldown": "1s", "decide.smoothing": "0", "decide.unknown": "off", "decide.labels": "{a: 1}", "decide.groups": "{g: [a]}",
		"decide.schedule": "[{from: \"00:00\", to: \"01:00\"}]", "snapshots.enabled": "true", "snapshots.max_mb": "1", "snapshots.mqtt": "true", "privacy": "labels_only",
		"limits.max_pixels": "1", "limits.max_file_mb": "1", "http.listen": ":1", "log.level": "warn", "log.format": "json",
	}
	for _, k := range configKeys(new(Config)) {
		value, ok := values[k.path]
		if !ok {
			t.Errorf("%s: want a value to change it to, have none", k.path)
		}
		if k.path == "version" {
			continue // has but one
		}
		r := newConfigReader("")
		i := slices.IndexFunc(configKeys(&r.config), func(other configKey) bool { return other.path == k.path })
		if err := configKeys(&r.config)[i].set(configValue{kind: plainValue, text: value, in: r, key: k.path}); err != nil {
			t.Errorf("%s: %v", k.path, err)
		}
		if got := Default().changes(r.config); !slices.Equal(got, []string{k.path}) {
			t.Errorf("%s: got %q", k.path, got)
		}
	}
}
