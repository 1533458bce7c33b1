package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckFiles has paths at which there isn't what the configuration says: each gives one warning, at its key.
func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, mode := range map[string]os.FileMode{"file": 0o600, "open": 0o644, "several": 0o600, "empty": 0o600} {
		text := map[string]string{"several": "a\nb\n", "empty": "\n"}[name]
		if text == "" {
			text = "hunter2\n"
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil { // whatever umask says
			t.Fatal(err)
		}
	}
	const none = "not found here: stat none: no such file or directory"
	const tls = "mqtt: {broker: mqtts://x, "
	for _, test := range []struct{ text, want string }{
		{"", ""}, {Example(), ""},
		{"model: {path: none}\n", "f.yaml:1:9: model.path: warning: " + none},
		{"model: {path: .}\n", "f.yaml:1:9: model.path: warning: want a file, have a folder"},
		{"model: {labels: none}\n", "f.yaml:1:9: model.labels: warning: " + none},
		{"model: {delegate: external:/none.so?a=1}\n", "f.yaml:1:9: model.delegate: warning: not found here: stat /none.so: no such file or directory"},
		{"model: {delegate: gpu}\n", ""},
		{tls + "ca: none}\n", "f.yaml:1:27: mqtt.ca: warning: " + none},
		{tls + "cert: none, key: file}\n", "f.yaml:1:27: mqtt.cert: warning: " + none},
		{tls + "cert: file, key: none}\n", "f.yaml:1:39: mqtt.key: warning: " + none},
		{"state_dir: file\n", "f.yaml:1:1: state_dir: warning: want a folder, have a file"},
		{"sources: [{name: a, path: file}]\n", "f.yaml:1:21: sources[0].path: warning: want a folder, have a file"},
		{"sources: [{name: a, path: none}]\n", ""},
		{"mqtt: {user: u, password_file: file}\n", ""},
		{"mqtt: {user: u, password_file: none}\n", "f.yaml:1:17: mqtt.password_file: warning: read mqtt.password_file: stat none: no such file or directory"},
		{"mqtt: {user: u, password_file: empty}\n", "f.yaml:1:17: mqtt.password_file: warning: read mqtt.password_file: empty: want a password, have none in it"},
		{"mqtt: {user: u, password_file: several}\n", "f.yaml:1:17: mqtt.password_file: warning: read mqtt.password_file: several: want the password on one line, have several"},
		{"mqtt: {user: u, password_file: open}\n", "f.yaml:1:17: mqtt.password_file: warning: every user of this machine can read it: chmod o= open"},
	} {
		if err := os.WriteFile("f.yaml", []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		warnings, err := Check("f.yaml", nil)
		if got := strings.Join(warnings, "\n"); err != nil || got != test.want {
			t.Errorf("%s: got error %v, and\n%s\nwant\n%s", test.text, err, got, test.want)
		}
	}

	if err := os.WriteFile("f.yaml", []byte("mqtt: {user: u, password: hunter2}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if warnings, err := Check("f.yaml", nil); err != nil || len(warnings) != 0 {
		t.Errorf("a password that only its owner can read: got %q, %v", warnings, err)
	}
	if err := os.Chmod("f.yaml", 0o604); err != nil {
		t.Fatal(err)
	}
	want := "f.yaml:1:17: mqtt.password: warning: every user of this machine can read this file: chmod o= f.yaml"
	if warnings, err := Check("f.yaml", nil); err != nil || strings.Join(warnings, "\n") != want {
		t.Errorf("a password for everyone: got %q, %v, want %q", warnings, err, want)
	}
	if warnings, err := Check("f.yaml", []string{"SIGHTD_MQTT_PASSWORD=x"}); err != nil || len(warnings) != 0 {
		t.Errorf("a password that a variable has replaced: got %q, %v", warnings, err)
	}
}

// TestCheckRelative has paths in a file below /etc, which a service reads.
func TestCheckRelative(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"/etc/sightd/sightd.yaml", "", []string{"state_dir", "sources[0].path"}},
		{"/etc/sightd/sightd.yaml", "state_dir: /a\nmodel: {path: m}\nsources: [{name: c, type: rpicam}]\n", []string{"model.path"}},
		{"sightd.yaml", "", nil}, {"", "", nil},
	} {
		f := finder{reader: readerOf(test.name, []byte(test.text), nil)}
		f.relative()
		if len(f.warnings) != len(test.want) {
			t.Errorf("%s, %q: got %q, want %q", test.name, test.text, f.warnings, test.want)
			continue
		}
		for i, key := range test.want {
			if !strings.Contains(f.warnings[i], ": "+key+": warning: want a path from the root") {
				t.Errorf("%s, %q: got %q, want %q", test.name, test.text, f.warnings, test.want)
			}
		}
	}
	text, _ := serviceExample(t, "a")
	f := finder{reader: readerOf("/etc/sightd/a.yaml", []byte(text), nil)}
	if f.relative(); len(f.warnings) != 0 {
		t.Errorf("the service's own configuration: got %q", f.warnings)
	}
}

// TestCheckInstalled holds the rules against the model that "sightd model use" has put in the configured one's place.
func TestCheckInstalled(t *testing.T) {
	state := t.TempDir()
	data, card, err := ReadModel("")
	if err != nil {
		t.Fatal(err)
	}
	text := "lynx\n" + strings.Join(card.Labels[1:], "\n")
	for name, text := range map[string]string{
		"other.tflite": string(data), "own.txt": text, "model.json": `{"name": "other", "file": "other.tflite", "sha256": "0", "instead_of": ""}`,
	} {
		if err := os.WriteFile(filepath.Join(state, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"SIGHTD_STATE_DIR=" + state, "SIGHTD_DECIDE_LABELS={lynx: deny}", "SIGHTD_MODEL_LABELS=" + state + "/own.txt"}
	warnings, err := Check("", env)
	if err == nil || !strings.Contains(err.Error(), "no such label") || len(warnings) != 1 || !strings.Contains(warnings[0], "other.tflite") {
		t.Errorf("a label that the installed model hasn't: got error %v, warnings %q", err, warnings)
	}
	if warnings, err := Check("", env[1:]); err != nil || len(warnings) != 0 {
		t.Errorf("without the installed model: got error %v, warnings %q", err, warnings)
	}
}

func TestConfigSecret(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("mqtt", "secret \r\n")
	for _, test := range []struct {
		config      MQTTConfig
		credentials string
		want, wrong string
	}{
		{MQTTConfig{User: "u", Password: "p"}, dir, "p", ""},
		{MQTTConfig{User: "u", PasswordFile: file("a", "x\n")}, dir, "x", ""},
		{MQTTConfig{User: "u"}, dir, "secret ", ""},
		{MQTTConfig{}, dir, "", ""},
		{MQTTConfig{User: "u"}, "", "", ""},
		{MQTTConfig{User: "u"}, t.TempDir(), "", ""},
		{MQTTConfig{User: "u", PasswordFile: file("max", strings.Repeat("x", maxPassword)+"\r\n")}, "", strings.Repeat("x", maxPassword), ""},
		{MQTTConfig{User: "u", PasswordFile: file("b", strings.Repeat("x", maxPassword+1))}, "", "", "want at most 65535 bytes"},
		{MQTTConfig{User: "u", PasswordFile: file("c", strings.Repeat("x", 1<<20))}, "", "", "want at most 65535 bytes"},
		{MQTTConfig{User: "u", PasswordFile: file("d", "\n\n")}, "", "", "d: want a password, have none in it"},
		{MQTTConfig{User: "u", PasswordFile: file("e", "hunter2\nx")}, "", "", "e: want the password on one line, have several"},
		{MQTTConfig{User: "u", PasswordFile: dir}, "", "", "want a file, have something else"},
		{MQTTConfig{User: "u", PasswordFile: dir + "/none"}, "", "", "read mqtt.password_file: stat " + dir + "/none: no such file"},
	} {
		got, err := test.config.secret(test.credentials)
		if got != test.want || (err == nil) != (test.wrong == "") || !strings.Contains(errorText(err), test.wrong) || strings.Contains(errorText(err), "hunter2") {
			t.Errorf("%+v: got %.20q, error %v, want %.20q, %q", test.config.PasswordFile, got, err, test.want, test.wrong)
		}
	}
	file("mqtt", "\n")
	if got, err := (MQTTConfig{User: "u"}).secret(dir); got != "" || err != nil {
		t.Errorf("an empty credential: got %q, %v, want none", got, err)
	}
	file("mqtt", "a\nb")
	if _, err := (MQTTConfig{User: "u"}).secret(dir); err == nil || !strings.Contains(err.Error(), "read the credential mqtt: ") {
		t.Errorf("a credential of two lines: got %v", err)
	}
}
