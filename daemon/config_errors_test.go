package daemon

import (
	"strings"
	"testing"
)

// TestConfigErrors holds the exact text of errors. Every password in it is hunter2, which no error repeats.
func TestConfigErrors(t *testing.T) {
	tests := []struct{ name, yaml, want string }{
		{"unknown section", "mqt:\n  broker: x\n", "f.yaml:1:1: mqt: unknown key; did you mean mqtt?"},
		{"unknown key", "mqtt:\n  brokr: x\n", "f.yaml:2:3: mqtt.brokr: unknown key; did you mean mqtt.broker?"},
		{"key without its section", "broker: x\n", "f.yaml:1:1: broker: unknown key; did you mean mqtt.broker?"},
		{"capital key", "MQTT: {}\n", "f.yaml:1:1: MQTT: unknown key; did you mean mqtt?"},
		{"unlike any key", "frobnicate: 1\n", "f.yaml:1:1: frobnicate: unknown key"},
		{"key of a source", "sources:\n  - {name: a, path: b, setle: 1s}\n", "f.yaml:2:24: sources[0].setle: unknown key; did you mean sources[0].settle?"},
		{"dotted key", "mqtt.broker: x\n", "f.yaml:1:1: mqtt.broker: unknown key; a dot stands for keys below others, indented on lines of their own"},
		{"key of words", "mqtt: {password hunter2}\n", "f.yaml:1:8: mqtt.password…: unknown key; did you mean mqtt.password?"},
		{"number as key", "1: x\n", "f.yaml:1:1: 1: unknown key"},
		{"key twice", "mqtt:\n  user: a\n  user: b\n", "f.yaml:3:3: mqtt.user: want it once, have it on line 2 already"},
		{"merge", "<<: {name: a}\n", "f.yaml:1:1: …: want the keys themselves, have a merge"},

		{"no mapping", "- a\n", `f.yaml:1:1: want keys with values, such as "version: 1", have something else`},
		{"no space behind the colon", "name:a\n", `f.yaml:1:1: want keys with values, such as "version: 1", have something else`},
		{"two documents", "name: a\n---\nname: b\n", "f.yaml:3:5: want one document, have another behind ---"},
		{"tab", "mqtt:\n\tqos: 1\n", "f.yaml:2:1: want YAML: a tab can't indent, use spaces"},
		{"Latin-1", "# caf\xe9\n", "f.yaml:1:1: want UTF-8 text, have other bytes"},
		{"UTF-16", "n\x00a\x00m\x00e\x00", "f.yaml:1:1: want UTF-8 text, have other bytes"},
		{"odd indent", "name: a\n  log: b\n", "f.yaml:1:7: want YAML: mapping value is not allowed in this context"},
		{"open bracket", "mqtt: {qos: 1\n", "f.yaml:1:7: want YAML: could not find flow mapping end token '}'"},

		{"version", "version: 2\n", "f.yaml:1:1: version: want 1, have 2"},
		{"quoted number", "version: \"1\"\n", `f.yaml:1:1: version: want 1, have "1"`},
		{"text for a number", "mqtt:\n  qos: high\n", `f.yaml:2:3: mqtt.qos: want 0 or 1, have "high"`},
		{"number out of range", "model: {threads: 65}\n", "f.yaml:1:9: model.threads: want a whole number from 0 to 64, have 65"},
		{"fraction", "decide: {top: 2.5}\n", "f.yaml:1:10: decide.top: want a whole number from 1 to 100, have 2.5"},
		{"exponent", "limits: {max_pixels: 1e6, max_file_mb: 0}\n", "f.yaml:1:10: limits.max_pixels: want a whole number from 1 to 200000000, have 1e6\n" +
			"f.yaml:1:27: limits.max_file_mb: want a whole number from 1 to 1024, have 0"},
		{"list for text", "name: [a]\n", "f.yaml:1:1: name: want text, have a list"},
		{"nothing for text", "name:\n", "f.yaml:1:1: name: want text, have no value"},
		{"tag", "name: !!str a\n", "f.yaml:1:1: name: want text, have a tag or an alias"},
		{"line end", "state_dir: \"a\\nb\"\n", "f.yaml:1:1: state_dir: want one line of text, have a line end or another control character in it"},
		{"long text", "mqtt: {user: " + strings.Repeat("x", 4097) + "}\n", "f.yaml:1:8: mqtt.user: want at most 4096 bytes, have 4097"},
		{"text for a section", "mqtt: hunter2\n", "f.yaml:1:1: mqtt: want keys below it, have text"},
		{"choices", "log: {level: trace, format: [text]}\n", "f.yaml:1:7: log.level: want debug, info, warn or error, have \"trace\"\n" +
			"f.yaml:1:21: log.format: want text or json, have [\"text\"]"},
		{"name", "name: Door\n", `f.yaml:1:1: name: want 1 to 64 of a-z, 0-9, _ and -, have "Door"`},
		{"long name", "name: " + strings.Repeat("a", 65) + "\n", "f.yaml:1:1: name: want 1 to 64 of a-z, 0-9, _ and -, have \"" + strings.Repeat("a", 64) + "\"…"},
		{"no state folder", "state_dir: ''\n", `f.yaml:1:1: state_dir: want a path, have ""`},
		{"unknown alias", "name: *a\n", "f.yaml:1:1: name: want a name that was given with & before, have another behind *"},
		{"alias behind anchor", "name: &a\n  *b\n", "f.yaml:1:1: name: want a value behind &, have another & or *"},

		{"later delegate", "model: {delegate: gpu}\n", `f.yaml:1:9: model.delegate: "gpu" is not supported by this version; use auto, cpu or xnnpack`},
		{"external delegate", "model: {delegate: external:/x.so}\n", `f.yaml:1:9: model.delegate: "external:/x.so" is not supported by this version; use auto, cpu or xnnpack`},
		{"later QoS", "mqtt: {qos: 2}\n", "f.yaml:1:8: mqtt.qos: 2 is not supported by this version; use 0 or 1"},
		{"later switch", "snapshots:\n    enabled: true\n", "f.yaml:2:5: snapshots.enabled: true is not supported by this version; leave it at false"},
		{"discovery", "mqtt:\n  discovery: a//b\n", `f.yaml:2:3: mqtt.discovery: want topic levels such as home/door, at most 256 bytes, without + and #, no $ or / in front, no / at the end, have "a//b"`},
		{"outbox", "mqtt: {outbox: {max_mb: 0, max_age: 1s}}\n", "f.yaml:1:17: mqtt.outbox.max_mb: want a whole number from 1 to 4096, have 0\n" +
			"f.yaml:1:28: mqtt.outbox.max_age: want a duration from 1m0s to 8760h0m0s, have 1s"},
		{"board called fleet", "name: fleet\n", `f.yaml:1:1: name: want another name than "fleet": its topics are those of the fleets`},
		{"fleet", "mqtt: {fleet: a/b}\n", `f.yaml:1:8: mqtt.fleet: want 1 to 64 of a-z, 0-9, _ and -, have "a/b"`},
		{"embedded broker for all", "mqtt: {listen: 0.0.0.0:1883}\n", "f.yaml:1:8: mqtt.listen: want mqtt.user and mqtt.password_file with an address that others reach, have no mqtt.user: " +
			"who reaches the broker inside sightd must log in"},
		{"no list", "sources: [{name: a, path: b, ignore: x}]\n", "f.yaml:1:30: sources[0].ignore: want a list of texts, have text"},
		{"bad pattern", "sources: [{name: a, path: b, ignore: ['[']}]\n", `f.yaml:1:30: sources[0].ignore: ignore "[": want each [ closed, and something after each \`},
		{"too few files", "sources: [{name: a, path: b, done: {max_files: 2}}]\n", "f.yaml:1:37: sources[0].done.max_files: want 0 or a whole number from 3 to 10000000, have 2"},
		{"later empty", "http: {listen: ':80'}\n", `f.yaml:1:8: http.listen: a value is not supported by this version; leave it at ""`},
		{"later without a value", "privacy:\n", `f.yaml:1:1: privacy: no value is not supported by this version; leave it at "full"`},
		{"later lists", "decide: {confirm: [3, 4], labels: {a: 1}, groups: !x {}}\n", "f.yaml:1:10: decide.confirm: [3, 4] is not supported by this version; leave it at [3, 5]\n" +
			"f.yaml:1:27: decide.labels: {…} is not supported by this version; leave it at {}\n" +
			"f.yaml:1:43: decide.groups: a tag or an alias is not supported by this version; leave it at {}"},
		{"later long list", "decide: {schedule: [1, a, [], 1s, 5, 6]}\n", "f.yaml:1:10: decide.schedule: [1, \"a\", [], 1s, …] is not supported by this version; leave it at []"},

		{"sources not a list", "sources: a\n", "f.yaml:1:1: sources: want a list, have text"},
		{"no sources", "sources: []\n", "f.yaml:1:1: sources: want 1 to 64 sources, have 0"},
		{"source from nowhere", "sources: [*a]\n", "f.yaml:1:11: sources[0]: want a name that was given with & before, have another behind *"},
		{"source not a mapping", "sources:\n  - a\n", "f.yaml:2:5: sources[0]: want keys such as name and path, have text"},
		{"empty source", "sources:\n  - {}\n", "f.yaml:2:5: sources[0]: want the key name, have none\nf.yaml:2:5: sources[0]: want the key path, have none"},
		{"source without a path", "sources:\n  - name: a\n", "f.yaml:2:5: sources[0]: want the key path, have none"},
		{"later source", "sources:\n  - {name: door, device: /dev/video0, frob: 1, type: v4l2}\n", `f.yaml:2:48: sources[0].type: "v4l2" is not supported by this version; use folder`},
		{"later source's key", "sources:\n  - {name: a, path: b, url: 'rtsp://u:hunter2@x'}\n", `f.yaml:2:24: sources[0].url: a value is not supported by this version; leave it at ""`},
		{"unknown source type", "sources:\n  - {name: a, path: b, type: ftp}\n", `f.yaml:2:24: sources[0].type: want folder, have "ftp"`},
		{"source's values", "sources:\n  - {name: a, path: '', settle: 5, poll: 1, after: x, recursive: 1}\n", `f.yaml:2:15: sources[0].path: want a path, have ""` + "\n" +
			"f.yaml:2:25: sources[0].settle: want a duration such as 500ms, 2s or 1m30s, have 5\n" +
			"f.yaml:2:36: sources[0].poll: want auto, on or off, have 1\n" +
			"f.yaml:2:45: sources[0].after: want move, keep or delete, have \"x\"\n" +
			"f.yaml:2:55: sources[0].recursive: want true or false, have 1"},
		{"settle", "sources:\n  - {name: a, path: b, settle: -1s}\n", "f.yaml:2:24: sources[0].settle: want a duration from 0s to 1h0m0s, have -1s"},
		{"same names", "sources:\n  - {name: a, path: x}\n  - {name: a, path: y}\n", "f.yaml:3:6: sources[1].name: want a name of its own, have that of sources[0]"},
		{"reserved name", "sources:\n  - {name: bridge, path: x}\n", `f.yaml:2:6: sources[0].name: want another name than "bridge": its topics are the daemon's own`},
		{"same paths", "sources:\n  - {name: a, path: x}\n  - {name: b, path: ./y/../x/}\n", "f.yaml:3:15: sources[1].path: want a folder of its own, have that of sources[0]"},
		{"path inside", "sources:\n  - {name: a, path: x}\n  - {name: b, path: x/y}\n", "f.yaml:3:15: sources[1].path: want a folder outside of the other sources', have one inside that of sources[0]"},
		{"path around", "sources:\n  - {name: a, path: /x}\n  - {name: b, path: /}\n", "f.yaml:3:15: sources[1].path: want a folder outside of the other sources', have one around that of sources[0]"},
		{"state in the default source", "state_dir: inbox\n", "f.yaml:1:1: state_dir: want a folder that no source watches, have one that sources[0] does"},
		{"default state in a source", "sources: [{name: a, path: ., recursive: true}]\n", "f.yaml:1:21: sources[0].path: want a folder without state_dir in it"},

		{"broker without a scheme", "mqtt: {broker: localhost:1883}\n", "f.yaml:1:8: mqtt.broker: want a URL such as mqtt://192.168.1.2:1883, have something else"},
		{"broker scheme", "mqtt: {broker: http://x}\n", `f.yaml:1:8: mqtt.broker: want the scheme mqtt, mqtts, ws or wss, have "http"`},
		{"password in the URL", "mqtt: {broker: 'mqtt://u:hunter2@x'}\n", "f.yaml:1:8: mqtt.broker: want a URL without user and password: give them as mqtt.user and mqtt.password_file"},
		{"broken URL with a password", "mqtt: {broker: 'mqtt://x:hunter2'}\n", "f.yaml:1:8: mqtt.broker: want a URL such as mqtt://192.168.1.2:1883, have something else"},
		{"broker port", "mqtt: {broker: 'mqtt://x:99999'}\n", `f.yaml:1:8: mqtt.broker: want a port from 1 to 65535, have "99999"`},
		{"no broker port", "mqtt: {broker: 'mqtt://x:'}\n", `f.yaml:1:8: mqtt.broker: want a port from 1 to 65535, have ""`},
		{"broker host", "mqtt: {broker: 'mqtt://:1883'}\n", "f.yaml:1:8: mqtt.broker: want a host in the URL, have only a port"},
		{"broker path", "mqtt: {broker: 'mqtt://x/y'}\n", "f.yaml:1:8: mqtt.broker: want nothing behind host and port: only ws:// and wss:// have a path"},
		{"broker fragment", "mqtt: {broker: 'ws://x/#a'}\n", "f.yaml:1:8: mqtt.broker: want a URL without #"},
		{"listen", "mqtt: {listen: 1883}\n", `f.yaml:1:8: mqtt.listen: want host:port such as 127.0.0.1:1883, have "1883"`},
		{"listen port", "mqtt: {listen: 'x:y'}\n", `f.yaml:1:8: mqtt.listen: want a port from 0 to 65535, have "y"`},
		{"base", "mqtt: {base: a/+}\n", `f.yaml:1:8: mqtt.base: want topic levels such as home/door, at most 256 bytes, without + and #, no $ or / in front, no / at the end, have "a/+"`},
		{"two passwords", "mqtt:\n  user: a\n  password: hunter2\n  password_file: b\n", "f.yaml:4:3: mqtt.password_file: want this or mqtt.password, have both"},
		{"password without a user", "mqtt: {password: hunter2}\n", "f.yaml:1:8: mqtt.password: want mqtt.user with it: MQTT has no password without a user"},
		{"password file without a user", "mqtt: {password_file: a}\n", "f.yaml:1:8: mqtt.password_file: want mqtt.user with it: MQTT has no password without a user"},
		{"certificate without a key", "mqtt: {broker: mqtts://x, cert: a}\n", "f.yaml:1:27: mqtt.cert: want mqtt.key with it"},
		{"key without a certificate", "mqtt: {broker: wss://x, key: a}\n", "f.yaml:1:25: mqtt.key: want mqtt.cert with it"},
		{"authority without TLS", "mqtt: {broker: mqtt://x, ca: a}\n", "f.yaml:1:26: mqtt.ca: want an mqtts:// or wss:// URL as mqtt.broker with it: no other connection is encrypted"},

		{"password in a list", "mqtt: {password: [hunter2]}\n", "f.yaml:1:8: mqtt.password: want text, have a list"},
		{"password in braces", "mqtt: {password: {hunter2}}\n", "f.yaml:1:8: mqtt.password: want text, have keys"},
		{"password with a line end", "mqtt: {password: \"hunter2\\n\"}\n", "f.yaml:1:8: mqtt.password: want one line of text, have a line end or another control character in it"},
		{"password with |", "mqtt:\n  password: |hunter2\n", "f.yaml:2:13: want YAML: a text that begins with | or > needs quotes"},
		{"password with *", "mqtt:\n  password: *hunter2\n", "f.yaml:2:3: mqtt.password: want a name that was given with & before, have another behind *"},
		{"password with !", "mqtt:\n  password: !hunter2\n", "f.yaml:2:3: mqtt.password: want text, have a tag or an alias"},
		{"password with &", "mqtt:\n  password: &hunter2\n", "f.yaml:2:13: want YAML: undefined anchor value"},
		{"password with @", "mqtt:\n  password: @hunter2\n", "f.yaml:2:13: want YAML: '@' is a reserved character"},
		{"password with a colon", "mqtt:\n  password: hunter2: x\n", "f.yaml:2:13: want YAML: mapping value is not allowed in this context"},
		{"password with a quote", "mqtt:\n  password: \"hunter2\n", "f.yaml:2:13: want YAML: could not find end character of double-quoted text"},

		{"many", strings.Repeat("x", 70) + ": 1\n" + "a: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1\ng: 1\nh: 1\ni: 1\nj: 1\nk: 1\n",
			"f.yaml:1:1: " + strings.Repeat("x", 64) + "…: unknown key\nf.yaml:2:1: a: unknown key\nf.yaml:3:1: b: unknown key\n" +
				"f.yaml:4:1: c: unknown key\nf.yaml:5:1: d: unknown key\nf.yaml:6:1: e: unknown key\nf.yaml:7:1: f: unknown key\n" +
				"f.yaml:8:1: g: unknown key\nf.yaml:9:1: h: unknown key\nf.yaml:10:1: i: unknown key\nand 2 more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(test.yaml), nil)
			if err == nil || err.Error() != test.want {
				t.Errorf("%q gives\n%v\nwant\n%s", test.yaml, err, test.want)
			}
		})
	}
}

func TestConfigVariableErrors(t *testing.T) {
	tests := []struct{ name, env, want string }{
		{"unknown", "SIGHTD_MQTT_BROKR=hunter2", "SIGHTD_MQTT_BROKR: unknown variable; did you mean SIGHTD_MQTT_BROKER?"},
		{"unlike any", "SIGHTD_X=hunter2", "SIGHTD_X: unknown variable"},
		{"section", "SIGHTD_SOURCES=x", "SIGHTD_SOURCES: unknown variable"},
		{"no value", "SIGHTD_MQTT_QOS", `SIGHTD_MQTT_QOS: mqtt.qos: want 0 or 1, have ""`},
		{"wrong type", "SIGHTD_MQTT_QOS=high", `SIGHTD_MQTT_QOS: mqtt.qos: want 0 or 1, have "high"`},
		{"later", "SIGHTD_SNAPSHOTS_ENABLED=true", "SIGHTD_SNAPSHOTS_ENABLED: snapshots.enabled: true is not supported by this version; leave it at false"},
		{"odd characters", "SIGHTD_A\nB=x", "SIGHTD_A…: unknown variable"},
		{"password", "SIGHTD_MQTT_PASSWORD=hunter2", "SIGHTD_MQTT_PASSWORD: mqtt.password: want mqtt.user with it: MQTT has no password without a user"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("", nil, []string{test.env})
			if err == nil || err.Error() != test.want {
				t.Errorf("%q gives\n%v\nwant\n%s", test.env, err, test.want)
			}
		})
	}

	_, err := Parse("f.yaml", []byte("log: {level: x}\nmqtt: {qos: 5}\n"), []string{"SIGHTD_LOG_LEVEL=y", "SIGHTD_DECIDE_TOP=0", "SIGHTD_MQTT_QOS=0"})
	want := "f.yaml:1:7: log.level: want debug, info, warn or error, have \"x\"\n" +
		"f.yaml:2:8: mqtt.qos: want 0 or 1, have 5\n" +
		"SIGHTD_DECIDE_TOP: decide.top: want a whole number from 1 to 100, have 0\n" +
		"SIGHTD_LOG_LEVEL: log.level: want debug, info, warn or error, have \"y\""
	if err == nil || err.Error() != want {
		t.Errorf("file and variables together give\n%v\nwant\n%s", err, want)
	}
}
