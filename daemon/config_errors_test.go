package daemon

import (
	"strings"
	"testing"
)

// errorTest is a file and the exact text of its error.
type errorTest struct{ name, yaml, want string }

func checkErrors(t *testing.T, tests []errorTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(test.yaml), nil)
			if err == nil || err.Error() != test.want {
				t.Errorf("%q gives\n%v\nwant\n%s", test.yaml, err, test.want)
			}
		})
	}
}

// TestConfigErrors holds the exact text of errors. Every password in it is hunter2, which no error repeats.
func TestConfigErrors(t *testing.T) {
	checkErrors(t, []errorTest{
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

		{"later version", "version: 2\n", "f.yaml:1:1: version: want 1, which this sightd reads, have 2: it is of a later one, which has to be installed"},
		{"no version", "version: 0\n", "f.yaml:1:1: version: want 1, have 0"},
		{"part of a version", "version: 1.0\n", "f.yaml:1:1: version: want 1, have 1.0"},
		{"quoted version", "version: \"1.0\"\n", `f.yaml:1:1: version: want 1, have "1.0"`},
		{"empty version", "version:\n", "f.yaml:1:1: version: want 1, have no value"},
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

		{"unknown delegate", "model: {delegate: tpu}\n", `f.yaml:1:9: model.delegate: want auto, cpu, xnnpack, xnnpack-fp16, gpu or external:/path.so, have "tpu"`},
		{"external delegate", "model: {delegate: external:x.so}\n",
			`f.yaml:1:9: model.delegate: delegate "external:x.so": want external: and the absolute path of a shared library`},
		{"external delegate's options", "model: {delegate: external:/x.so?=usb}\n",
			`f.yaml:1:9: model.delegate: delegate "external:/x.so?=usb": want options such as ?device=usb&speed=max, have "=usb"`},
		{"external delegate's option twice", "model: {delegate: \"external:/x.so?a=1&b=2&a=1\"}\n", `f.yaml:1:9: model.delegate: want each option of the delegate once, have "a" twice`},
		{"later QoS", "mqtt: {qos: 2}\n", "f.yaml:1:8: mqtt.qos: 2 is not supported by this version; use 0 or 1"},
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
		{"page", "http: {listen: 8080}\n", `f.yaml:1:8: http.listen: want host:port such as 127.0.0.1:8080, have "8080"`},
		{"page's port", "http: {listen: 'x:65536'}\n", `f.yaml:1:8: http.listen: want a port from 0 to 65535, have "65536"`},
		{"page without a value", "http: {listen: }\n", "f.yaml:1:8: http.listen: want text, have no value"},
		{"sources not a list", "sources: a\n", "f.yaml:1:1: sources: want a list, have text"},
		{"no sources", "sources: []\n", "f.yaml:1:1: sources: want 1 to 64 sources, have 0"},
		{"source from nowhere", "sources: [*a]\n", "f.yaml:1:11: sources[0]: want a name that was given with & before, have another behind *"},
		{"source not a mapping", "sources:\n  - a\n", "f.yaml:2:5: sources[0]: want keys such as name and path, have text"},
		{"empty source", "sources:\n  - {}\n", "f.yaml:2:5: sources[0]: want the key name, have none\nf.yaml:2:5: sources[0]: want the key path, have none"},
		{"source without a path", "sources:\n  - name: a\n", "f.yaml:2:5: sources[0]: want the key path, have none"},
		{"unknown source type", "sources:\n  - {name: a, path: b, type: ftp}\n", `f.yaml:2:24: sources[0].type: want folder, v4l2, rpicam, url, gstreamer or replay, have "ftp"`},
		{"unknown source type and its keys", "sources:\n  - {name: a, frob: b, url: 1, type: [url]}\n", `f.yaml:2:32: sources[0].type: want folder, v4l2, rpicam, url, gstreamer or replay, have ["url"]`},
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
	})
}

// TestConfigSourceErrors has the keys of live sources.
func TestConfigSourceErrors(t *testing.T) {
	const live = "v4l2, rpicam, url, gstreamer or replay"
	v4l2 := func(keys string) string {
		return "sources:\n- {name: a, type: v4l2, device: /dev/video0, " + keys + "}\n"
	}
	address := func(url string) string { return "sources:\n- {name: a, type: url, url: '" + url + "'}\n" }
	const noScheme = "f.yaml:2:24: sources[0].url: want a URL such as rtsp://192.168.1.20/stream, have one that begins with no rtsp:// or http://"
	const badURL = "f.yaml:2:24: sources[0].url: want a URL such as rtsp://192.168.1.20/stream, have something else; write @ as %40, and in a user or password / as %2F, # as %23, ? as %3F and % as %25"
	checkErrors(t, []errorTest{
		{"key of a camera", "sources:\n- {name: a, path: b}\n- {name: c, path: d, type: folder, device: x}\n",
			"f.yaml:3:36: sources[1].device: belongs to type v4l2 or rpicam, this source is a folder"},
		{"keys of a folder", v4l2("path: x, after: keep, done: {max_mb: 3}, failed: , loop: true"), "f.yaml:2:46: sources[0].path: belongs to type folder or replay, this source is of type v4l2\n" +
			"f.yaml:2:55: sources[0].after: belongs to type folder, this source is of type v4l2\nf.yaml:2:68: sources[0].done: belongs to type folder, this source is of type v4l2\n" +
			"f.yaml:2:87: sources[0].failed: belongs to type folder, this source is of type v4l2\nf.yaml:2:97: sources[0].loop: belongs to type replay, this source is of type v4l2"},
		{"type behind its keys", "sources:\n- {device: /dev/video0, fourcc: MJPG, name: a, type: rpicam}\n",
			"f.yaml:2:4: sources[0].device: want a camera's number such as 0, or \"\" for the first one, have \"/dev/video0\"\n" +
				"f.yaml:2:25: sources[0].fourcc: belongs to type v4l2, this source is of type rpicam"},
		{"type forgotten", "sources:\n- {name: a, url: 'rtsp://u:hunter2@x'}\n", "f.yaml:2:13: sources[0].url: belongs to type url, this source is a folder, as it has no type"},
		{"type twice", "sources:\n- {name: a, type: folder, path: x, type: v4l2}\n", "f.yaml:2:36: sources[0].type: want it once, have it on line 2 already"},
		{"key of all cameras", "sources:\n- {name: a, type: folder, path: x, stall: 5s}\n", "f.yaml:2:36: sources[0].stall: belongs to type " + live + ", this source is a folder"},
		{"misspelled key", v4l2("devcie: x, stal: 1s, settel: 1s"), "f.yaml:2:46: sources[0].devcie: unknown key; did you mean sources[0].device?\n" +
			"f.yaml:2:57: sources[0].stal: unknown key; did you mean sources[0].stall?\nf.yaml:2:67: sources[0].settel: unknown key"},
		{"missing keys", "sources:\n- {name: a, type: v4l2}\n- {name: b, type: url}\n- {name: c, type: gstreamer}\n- {type: replay}\n- {type: rpicam}\n",
			"f.yaml:2:3: sources[0]: want the key device, have none\nf.yaml:3:3: sources[1]: want the key url, have none\nf.yaml:4:3: sources[2]: want the key pipeline, have none\n" +
				"f.yaml:5:3: sources[3]: want the key name, have none\nf.yaml:5:3: sources[3]: want the key path, have none\nf.yaml:6:3: sources[4]: want the key name, have none"},
		{"device", "sources:\n- {name: a, type: v4l2, device: video0}\n", `f.yaml:2:25: sources[0].device: want a path such as /dev/video0, or its number, have "video0"`},
		{"no device", "sources:\n- {name: a, type: v4l2, device: ''}\n", `f.yaml:2:25: sources[0].device: want a path such as /dev/video0, or its number, have ""`},
		{"values", v4l2("size: 640, fps: 0, fourcc: MJPEG, interval: 25h, rotate: 45, flip: up, motion: on, stall: 100ms, frozen: -1s, refresh: 0s"),
			"f.yaml:2:46: sources[0].size: want a size such as 640x480, from 16x16 to 8192x8192, have 640\nf.yaml:2:57: sources[0].fps: want a number from 0.01 to 240, have 0\n" +
				"f.yaml:2:65: sources[0].fourcc: want 4 letters and digits such as MJPG or YUYV, have \"MJPEG\"\nf.yaml:2:80: sources[0].interval: want a duration from 0s to 24h0m0s, have 25h\n" +
				"f.yaml:2:95: sources[0].rotate: want 0, 90, 180 or 270, have 45\nf.yaml:2:107: sources[0].flip: want none, horizontal, vertical or both, have \"up\"\n" +
				"f.yaml:2:117: sources[0].motion: want off, auto or a number from 0 to 1, have \"on\"\nf.yaml:2:129: sources[0].stall: want a duration from 500ms to 1h0m0s, have 100ms\n" +
				"f.yaml:2:143: sources[0].frozen: want a duration from 0s to 24h0m0s, have -1s\nf.yaml:2:156: sources[0].refresh: want a duration from 1s to 24h0m0s, have 0s"},
		{"numbers", v4l2("fps: .nan, motion: 0x1p-2, size: 15x20"), "f.yaml:2:46: sources[0].fps: want a number from 0.01 to 240, have \".nan\"\n" +
			"f.yaml:2:57: sources[0].motion: want off, auto or a number from 0 to 1, have 0x1p-2\nf.yaml:2:73: sources[0].size: want a size such as 640x480, from 16x16 to 8192x8192, have \"15x20\""},
		{"crop", v4l2("crop: [0.5, 0, 0.5, 1]"), "f.yaml:2:46: sources[0].crop: want [left, top, right, bottom] from 0 to 1, left before right and top before bottom, have [0.5, 0, 0.5, 1]"},
		{"crop's numbers", v4l2("crop: [0, 0, 1, x]"), "f.yaml:2:46: sources[0].crop: want [left, top, right, bottom] from 0 to 1, left before right and top before bottom, have [0, 0, 1, \"x\"]"},
		{"replay's rate", "sources:\n- {name: a, type: replay, path: b, fps: -1}\n", "f.yaml:2:36: sources[0].fps: want 0 or a number from 0.01 to 240, have -1"},
		{"stream's rate", "sources:\n- {name: a, type: url, url: 'rtsp://x', fps: 0.001}\n- {name: b, type: gstreamer, pipeline: x, fps: 241}\n- {name: c, type: rpicam, fps: 0}\n",
			"f.yaml:2:41: sources[0].fps: want 0 or a number from 0.01 to 240, have 0.001\nf.yaml:3:43: sources[1].fps: want 0 or a number from 0.01 to 240, have 241\n" +
				"f.yaml:4:27: sources[2].fps: want a number from 0.01 to 240, have 0"},
		{"pipeline's width", "sources:\n- {size: 642x480, name: a, type: gstreamer, pipeline: x ! jpegenc}\n",
			`f.yaml:2:4: sources[0].size: want a width that is a multiple of 4 with type gstreamer, have "642x480"`},
		{"recording's size", "sources:\n- {name: a, type: replay, path: x, size: 640x480}\n",
			"f.yaml:2:36: sources[0].size: belongs to type v4l2, rpicam, url or gstreamer, this source is of type replay"},
		{"same device", "sources:\n- {name: a, type: v4l2, device: /dev/video0}\n- {name: b, type: v4l2, device: 0}\n",
			"f.yaml:3:25: sources[1].device: want a device of its own, have that of sources[0]: a camera has one reader"},
		{"same camera", "sources:\n- {name: a, type: rpicam, device: 0}\n- {name: b, type: rpicam}\n",
			"f.yaml:3:3: sources[1]: want a device of its own, have that of sources[0]: a camera has one reader"},
		{"stall at the rate", v4l2("fps: 0.4, stall: 5s"), "f.yaml:2:56: sources[0].stall: want stall longer than two pictures take, have a stall of 5s and 5s for two pictures"},
		{"rate at the stall", v4l2("fps: 0.3"), "f.yaml:2:46: sources[0].fps: want stall longer than two pictures take, have a stall of 5s and 6.667s for two pictures"},
		{"stream's rate at the stall", "sources:\n- {name: a, type: url, url: 'http://x/a.jpg', fps: 0.1}\n",
			"f.yaml:2:47: sources[0].fps: want stall longer than two pictures take, have a stall of 5s and 20s for two pictures"},
		{"many pixels", v4l2("size: 8192x8192"), "f.yaml:2:46: sources[0].size: want at most limits.max_pixels, which is 50000000, have 67108864"},

		{"no URL", address("192.168.1.20"), noScheme}, {"no URL with a port", address("cam:8080/x"), noScheme}, {"host and path", address("192.168.1.20/stream"), noScheme}, {"password with #", address("rtsp://u:hunter2#@x/y"), badURL}, {"broken", address("rtsp://u:hunter2"), badURL},
		{"password with a slash", address("rtsp://u:1/hunter2@x/y"), badURL},
		{"URL's scheme", address("ftp://u:hunter2@x"), `f.yaml:2:24: sources[0].url: want the scheme http, https, rtsp, rtsps, rtmp, rtmps, rtp, udp, tcp, srt or file, have "ftp"`},
		{"URL without //", address("rtsp:x"), "f.yaml:2:24: sources[0].url: want it to begin with rtsp://, have something else"},
		{"URL without a host", address("rtsp:///x"), "f.yaml:2:24: sources[0].url: want a host in the URL, have none"},
		{"password with :, @ and /", address("rtsp://viewer:hunter2:x@/y@z/s"), "f.yaml:2:24: sources[0].url: want a host behind the user and password, have none; " +
			"write @ as %40, and in a user or password / as %2F, # as %23, ? as %3F and % as %25"},
		{"URL's port", address("rtsp://u:hunter2@x:99999/"), `f.yaml:2:24: sources[0].url: want a port from 1 to 65535, have "99999"`},
		{"URL of a file", address("file://x"), "f.yaml:2:24: sources[0].url: want file:// and a path from the root, such as file:///srv/door.mp4, have something else"},
		{"pipeline", "sources:\n- {name: a, type: gstreamer, pipeline: ' '}\n", `f.yaml:2:30: sources[0].pipeline: want a pipeline such as "nvarguscamerasrc ! nvvidconv", have an empty one`},
		{"pipeline without an end", "sources:\n- {name: a, type: gstreamer, pipeline: 'videotestsrc ! '}\n",
			"f.yaml:2:30: sources[0].pipeline: want an element at the end of the pipeline, have a !, behind which one is missing"},
		{"pipeline with a sink", "sources:\n- {name: a, type: gstreamer, pipeline: rtspsrc user-pw=hunter2 ! fakesink}\n",
			"f.yaml:2:30: sources[0].pipeline: pipeline ends in fakesink: leave the sink out, there is one already"},

		{"kept pictures", "privacy: labels_only\nsnapshots: {enabled: true, mqtt: true}\n",
			"f.yaml:2:13: snapshots.enabled: want false with privacy: labels_only, which keeps and publishes no pictures, have true\n" +
				"f.yaml:2:28: snapshots.mqtt: want false with privacy: labels_only, which keeps and publishes no pictures, have true"},
		{"privacy", "privacy: none\nsnapshots: {max_mb: 0}\n", "f.yaml:1:1: privacy: want full or labels_only, have \"none\"\n" +
			"f.yaml:2:13: snapshots.max_mb: want a whole number from 1 to 1048576, have 0"},
	})
}

// TestConfigDecideErrors has the keys of decisions.
func TestConfigDecideErrors(t *testing.T) {
	const confirm = "f.yaml:1:10: decide.confirm: want [k, n] such as [3, 5], k of the last n pictures, with 1 <= k <= n <= 100, have "
	checkErrors(t, []errorTest{
		{"scores", "decide: {enter: 0, stay: 1.1, smoothing: 1}\n", "f.yaml:1:10: decide.enter: want a number above 0, up to 1, have 0\n" +
			"f.yaml:1:20: decide.stay: want a number from 0 to 1, have 1.1\nf.yaml:1:31: decide.smoothing: want a number from 0 to 0.99, have 1"},
		{"quoted score", "decide: {enter: '0.5'}\n", `f.yaml:1:10: decide.enter: want a number above 0, up to 1, have "0.5"`},
		{"stay above enter", "decide: {stay: 0.7}\n", "f.yaml:1:10: decide.stay: want at most enter, which is 0.6, have 0.7"},
		{"enter below stay", "decide: {enter: 0.3}\n", "f.yaml:1:10: decide.enter: want at least decide.stay, which is 0.4 unless it is given, have 0.3"},
		{"times", "decide: {hold: 25h, cooldown: 5}\n", "f.yaml:1:10: decide.hold: want a duration from 0s to 24h0m0s, have 25h\n" +
			"f.yaml:1:21: decide.cooldown: want a duration such as 500ms, 2s or 1m30s, have 5"},
		{"confirm", "decide: {confirm: 3}\n", confirm + "3"}, {"confirm's order", "decide: {confirm: [5, 3]}\n", confirm + "[5, 3]"},
		{"confirm's numbers", "decide: {confirm: [1, 101]}\n", confirm + "[1, 101]"}, {"confirm's length", "decide: {confirm: [1, 2, 3, 4, 5]}\n", confirm + "[1, 2, 3, 4, …]"},
		{"confirm with an alias", "name: &a x\ndecide: {confirm: [*a, 1]}\n", strings.Replace(confirm, ":1:", ":2:", 1) + "[a tag or an alias, 1]"},
		{"unknown", "decide: {unknown: maybe}\n", `f.yaml:1:10: decide.unknown: want auto, off or the keys score and margin, have "maybe"`},
		{"unknown without keys", "decide: {unknown: {}}\n", "f.yaml:1:10: decide.unknown: want the keys score and margin below it, or one of them, have none"},
		{"unknown's keys", "decide:\n  unknown:\n    score: 2\n    margn: 0.1\n", "f.yaml:3:5: decide.unknown.score: want a number from 0 to 1, have 2\n" +
			"f.yaml:4:5: decide.unknown.margn: unknown key; did you mean decide.unknown.margin?"},

		{"labels as a list", "decide: {labels: [cat]}\n", "f.yaml:1:10: decide.labels: want labels as keys below it, have a list"},
		{"labels", "decide:\n  labels:\n    tabby cat: 2\n    'a: \"b\"': maybe\n    281: {enter: 0, leave: 1}\n    7: {}\n    8:\n",
			"f.yaml:3:5: decide.labels[\"tabby cat\"]: want a score above 0, up to 1, or allow, deny, or the keys enter, stay and allow, have 2\n" +
				"f.yaml:4:5: decide.labels[\"a: \\\"b\\\"\"]: want a score above 0, up to 1, or allow, deny, or the keys enter, stay and allow, have \"maybe\"\n" +
				"f.yaml:5:11: decide.labels[\"281\"].enter: want a number above 0, up to 1, have 0\nf.yaml:5:21: decide.labels[\"281\"].leave: unknown key\n" +
				"f.yaml:6:5: decide.labels[\"7\"]: want the keys enter, stay or allow below it, have none\n" +
				"f.yaml:7:5: decide.labels[\"8\"]: want a score above 0, up to 1, or allow, deny, or the keys enter, stay and allow, have no value"},
		{"label twice", "decide:\n  labels: {cat: 1,\n    \"cat\": 0.5}\n", "f.yaml:3:5: decide.labels[\"cat\"]: want it once, have it on line 2 already"},
		{"odd labels", "decide: {labels: {\"\": 1, \"a\\nb\": 1, <<: 1, *x : 1, ~: 1}}\n", "f.yaml:1:19: decide.labels: want a label of 1 to 256 bytes, have 0\n" +
			"f.yaml:1:26: decide.labels: want one line of text, have a line end or another control character in it\nf.yaml:1:37: decide.labels: want the keys themselves, have a merge\n" +
			"f.yaml:1:44: decide.labels: want text as a key, have something else\nf.yaml:1:52: decide.labels: want text as a key, have something else"},
		{"long label", "decide: {labels: {" + strings.Repeat("x", 257) + ": 1}}\n", "f.yaml:1:19: decide.labels: want a label of 1 to 256 bytes, have 257"},
		{"unknown alias", "decide: {labels: {cat: *x}}\n", "f.yaml:1:19: decide.labels[\"cat\"]: want a name that was given with & before, have another behind *"},
		{"label's stay", "decide: {labels: {cat: {enter: 0.5, stay: 0.6}, dog: {stay: 0.7}, cow: 0.2}}\n", "f.yaml:1:37: decide.labels[\"cat\"].stay: want at most enter, which is 0.5, have 0.6\n" +
			"f.yaml:1:55: decide.labels[\"dog\"].stay: want at most enter, which is 0.6, have 0.7"},

		{"groups", "decide: {groups: {pets: cat, all: [], b: [[1], \"\"]}}\n", "f.yaml:1:19: decide.groups[\"pets\"]: want a list of texts, have text\n" +
			"f.yaml:1:30: decide.groups[\"all\"]: want a list of labels, have an empty one\nf.yaml:1:39: decide.groups[\"b\"]: want text, have a list"},
		{"groups' names", "decide: {groups: {7: [cat], none: [dog]}}\n", "f.yaml:1:19: decide.groups[\"7\"]: want a name that isn't a number: numbers are indices\n" +
			"f.yaml:1:29: decide.groups[\"none\"]: want another name: this one says that no label is shown"},

		{"schedule", "decide: {schedule: {from: x}}\n", "f.yaml:1:10: decide.schedule: want a list of periods, each with from and to, have keys"},
		{"no periods", "decide: {schedule: [1, a, [], 1s]}\n", "f.yaml:1:21: decide.schedule[0]: want keys such as from and to, have text\nf.yaml:1:24: decide.schedule[1]: want keys such as from and to, have text\n" +
			"f.yaml:1:27: decide.schedule[2]: want keys such as from and to, have a list\nf.yaml:1:31: decide.schedule[3]: want keys such as from and to, have text"},
		{"period", "decide:\n  schedule:\n  - {form: 22:00, to: 6:00, days: [mon, tues], enter: 2}\n  - {from: 24:00, to: 24:00, days: [mon, mon], of: true}\n  - {}\n",
			"f.yaml:3:5: decide.schedule[0]: want the key from, have none\n" +
				"f.yaml:3:6: decide.schedule[0].form: unknown key; did you mean decide.schedule[0].from?\nf.yaml:3:19: decide.schedule[0].to: want a time from 00:00 to 24:00, have \"6:00\"\n" +
				"f.yaml:3:29: decide.schedule[0].days: want mon, tue, wed, thu, fri, sat or sun, have \"tues\"\nf.yaml:3:48: decide.schedule[0].enter: want a number above 0, up to 1, have 2\n" +
				"f.yaml:4:6: decide.schedule[1].from: want a time from 00:00 to 23:59, have \"24:00\"\n" +
				"f.yaml:4:30: decide.schedule[1].days: want each day once, have mon twice\nf.yaml:4:48: decide.schedule[1].of: unknown key; did you mean decide.schedule[1].off?\n" +
				"f.yaml:5:5: decide.schedule[2]: want the key from, have none\nf.yaml:5:5: decide.schedule[2]: want the key to, have none"},
		{"period of nothing", "decide: {schedule: [{from: 06:00, to: 06:00}]}\n", "f.yaml:1:35: decide.schedule[0].to: want another time than from, which is 06:00; a whole day is from 00:00 to 24:00"},
		{"period off", "decide: {schedule: [{from: 06:00, to: 07:00, off: true, enter: 1}]}\n", "f.yaml:1:57: decide.schedule[0].enter: want this or off: true, have both"},
		{"period's labels", "decide:\n  schedule:\n  - from: 06:00\n    to: 07:00\n    labels:\n      cat: {stay: 0.9}\n      dog: maybe\n",
			"f.yaml:7:7: decide.schedule[0].labels[\"dog\"]: want a score above 0, up to 1, or allow, deny, or the keys enter, stay and allow, have \"maybe\""},
		{"period's stay", "decide:\n  schedule:\n  - {from: 06:00, to: 07:00, stay: 0.7, labels: {cat: {stay: 0.9}}}\n",
			"f.yaml:3:30: decide.schedule[0].stay: want at most enter, which is 0.6, have 0.7\nf.yaml:3:56: decide.schedule[0].labels[\"cat\"].stay: want at most enter, which is 0.6, have 0.9"},
	})
}

func TestConfigVariableErrors(t *testing.T) {
	tests := []struct{ name, env, want string }{
		{"unknown", "SIGHTD_MQTT_BROKR=hunter2", "SIGHTD_MQTT_BROKR: unknown variable; did you mean SIGHTD_MQTT_BROKER?"},
		{"unlike any", "SIGHTD_X=hunter2", "SIGHTD_X: unknown variable"},
		{"section", "SIGHTD_SOURCES=x", "SIGHTD_SOURCES: unknown variable"},
		{"no value", "SIGHTD_MQTT_QOS", `SIGHTD_MQTT_QOS: mqtt.qos: want 0 or 1, have ""`},
		{"wrong type", "SIGHTD_MQTT_QOS=high", `SIGHTD_MQTT_QOS: mqtt.qos: want 0 or 1, have "high"`},
		{"page", "SIGHTD_HTTP_LISTEN=80", `SIGHTD_HTTP_LISTEN: http.listen: want host:port such as 127.0.0.1:8080, have "80"`},
		{"list", "SIGHTD_DECIDE_CONFIRM=3,5", `SIGHTD_DECIDE_CONFIRM: decide.confirm: want [k, n] such as [3, 5], k of the last n pictures, with 1 <= k <= n <= 100, have "3,5"`},
		{"keys", "SIGHTD_DECIDE_LABELS={cat: 2, dog: {leave: 1}, cat: 1}", "SIGHTD_DECIDE_LABELS: decide.labels[\"cat\"]: want a score above 0, up to 1, or allow, deny, or the keys enter, stay and allow, have 2\n" +
			"SIGHTD_DECIDE_LABELS: decide.labels[\"dog\"].leave: unknown key\nSIGHTD_DECIDE_LABELS: decide.labels[\"cat\"]: want it once, have it twice"},
		{"no YAML", "SIGHTD_DECIDE_LABELS={cat: ", "SIGHTD_DECIDE_LABELS: decide.labels: want YAML: could not find map value"},
		{"text for keys", "SIGHTD_DECIDE_GROUPS=pets", "SIGHTD_DECIDE_GROUPS: decide.groups: want groups as keys below it, have text"},
		{"no number", "SIGHTD_DECIDE_ENTER=", `SIGHTD_DECIDE_ENTER: decide.enter: want a number above 0, up to 1, have ""`},
		{"source", "SIGHTD_SOURCES_0_URL=x", "SIGHTD_SOURCES_0_URL: unknown variable"},
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
