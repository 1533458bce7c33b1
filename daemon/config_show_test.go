package daemon

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestShow holds what is shown of a configuration, line by line, against where its values are from.
func TestShow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.yaml")
	const text = "mqtt:\n  user: pi\n  password: hunter2\n  broker: mqtt://broker\nsources:\n- {name: yard, type: url, url: 'rtsp://u:hunter2@cam/x', interval: 90s}\n" +
		"decide:\n  labels: {\"tabby cat\": 0.9, 281: deny}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	shown, err := Show(file, []string{"SIGHTD_MQTT_BROKER=mqtt://other", "SIGHTD_NAME=pi", "SIGHTD_STATE_DIR=a #b", "SIGHTD_DECIDE_SCHEDULE=[{from: 00:00, to: '24:00', off: true}]"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`version: 1 # default`, `name: pi # SIGHTD_NAME`, `state_dir: "a #b" # SIGHTD_STATE_DIR`, `  broker: mqtt://other # SIGHTD_MQTT_BROKER`, `  user: pi # FILE:2:3`,
		`  password: "***" # FILE:3:3; masked`, `  base: "" # default; here it is sightd/pi`, `    max_age: 168h # default`, `sources: # FILE:5:1`, `  - name: yard # FILE:6:4`,
		`    url: "rtsp://***@cam/x" # FILE:6:27; masked`, `    interval: 1m30s # FILE:6:58`, `    stall: 5s # default`, `    "tabby cat": {enter: 0.9} # FILE:8:12`,
		`    281: {allow: false} # FILE:8:30`, `  schedule: # SIGHTD_DECIDE_SCHEDULE`, `    - {from: "00:00", to: "24:00", off: true}`, `  listen: "" # default`,
	} {
		lines := regexp.MustCompile(` +# `).ReplaceAllString(strings.ReplaceAll(shown, file, "FILE"), " # ")
		if !strings.Contains("\n"+lines, "\n"+want+"\n") && !(strings.HasPrefix(want, "  broker") && strings.Contains(lines, want)) {
			t.Errorf("want the line %q, have\n%s", want, shown)
		}
	}
	if strings.Contains(shown, "hunter2") {
		t.Errorf("a password is shown:\n%s", shown)
	}
	if _, err := Show(file+"x", nil); err == nil {
		t.Error("no such file: want an error, have none")
	}
	if _, err := Show("", []string{"SIGHTD_MQTT_QOS=7"}); err == nil {
		t.Error("a wrong variable: want an error, have none")
	}
}

// TestShowAgain reads what is shown of the example with all its sources, and of a file whose name has a line end.
func TestShowAgain(t *testing.T) {
	for _, text := range []string{"", Example(), liveExamples(t), "mqtt: {user: ' # x', password_file: \"null\"}\nstate_dir: \"~\"\n"} {
		want, err := Parse("f.yaml", []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		shown := readerOf("f\nname: x.yaml", []byte(text), nil).show()
		got, err := Parse("shown.yaml", []byte(shown), nil)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("what is shown,\n%s\ngives error %v, and %q", shown, err, want.changes(got))
		}
		if err := validateConfig(t, shown); err != nil {
			t.Errorf("the schema refuses what is shown,\n%s: %v", shown, err)
		}
		// Each value has a word on where it is from.
		for line := range strings.Lines(shown) {
			if key, value, _ := strings.Cut(strings.TrimSpace(line), ":"); value != "" && !strings.Contains(line, " # ") {
				t.Errorf("%s: want its origin, have %q", key, line)
			}
		}
	}
}

// TestShowInstalled names the model that is run in the configured one's place.
func TestShowInstalled(t *testing.T) {
	state := t.TempDir()
	text := `{"name": "other", "file": "models/0/other.tflite", "sha256": "0", "instead_of": ""}`
	if err := os.WriteFile(filepath.Join(state, "model.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	shown, err := Show("", []string{"SIGHTD_STATE_DIR=" + state})
	if err != nil || !strings.Contains(shown, "# default; here it is other, which \"sightd model use\" has put in its place\n") {
		t.Errorf("got error %v and\n%s", err, shown)
	}
}
