package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightd/doctor"
	"sightd/inference/tflite/faulty"
)

func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	right, wrong := filepath.Join(dir, "right.yaml"), filepath.Join(dir, "wrong.yaml")
	text := fmt.Sprintf("state_dir: %s/state\nmqtt: {listen: \"127.0.0.1:0\"}\nsources: [{name: inbox, path: %s/inbox}]\n", dir, dir)
	for path, text := range map[string]string{right: text, wrong: text + "qos: 1\n"} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		args []string
		code int
		want []string // in stdout, or in stderr of a usage error
	}{
		{"right", []string{"-c", right}, exitOK, []string{
			"ok    configuration ", "ok    libraries           TensorFlow Lite 2.20.0, OpenCV 4.13.0, glibc ", "right on 4 golden inputs\n",
			"ok    state_dir           " + dir + "/state is missing: sightd makes it\n", "ok    broker port ", " failed\n"}},
		{"wrong", []string{"-c", wrong}, exitRefused, []string{
			"fail  configuration  " + wrong + ":4:1: qos: unknown key; did you mean mqtt.qos?\n", "-> correct it", "1 failed\n"}},
		{"defaults", []string{"-c", ""}, exitOK, []string{"  no file (-c), the defaults and variables: 1 source"}},
		{"missing", []string{"-c", dir + "/none.yaml"}, exitRefused, []string{"no such file", "-> \"sightd config init\""}},
		{"argument", []string{"x"}, exitUsage, []string{"want no arguments, have \"x\""}},
		{"flag", []string{"-x"}, exitUsage, []string{"flag provided but not defined"}},
		{"help", []string{"--help"}, exitOK, []string{"Exit status: 0 nothing failed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := sightd(t, nil, append([]string{"doctor"}, test.args...)...)
			if code != test.code {
				t.Errorf("exit code: got %d, want %d:\n%s%s", code, test.code, stdout, stderr)
			}
			told := stdout
			if code == exitUsage {
				told = stderr
			}
			for _, want := range test.want {
				if !strings.Contains(told, want) {
					t.Errorf("got\n%s%s\nwant %q", stdout, stderr, want)
				}
			}
		})
	}
}

// TestDoctorDelegate has a delegate configured that ends the process that it runs in.
func TestDoctorDelegate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "crash.yaml")
	text := fmt.Sprintf("state_dir: %s/state\nmqtt: {listen: \"127.0.0.1:0\"}\nsources: [{name: inbox, path: %s/inbox}]\nmodel: {delegate: \"external:%s?do=crash\"}\n",
		dir, dir, faulty.Build(t))
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := sightd(t, nil, "doctor", "-c", path)
	if code != exitOK || !strings.Contains(stdout, "warn  delegate ") || !strings.Contains(stdout, "can't be used: crashed: segmentation fault\n") {
		t.Errorf("got exit code %d:\n%s%swant a warning of the delegate", code, stdout, stderr)
	}
}

func TestDoctorJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(path, []byte("nmae: pi\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	code, stdout, _ := sightd(t, nil, "doctor", "--json", "-c", path)
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	var r doctor.Report
	if err := d.Decode(&r); err != nil || d.More() {
		t.Fatalf("want one JSON object, have %v: %s", err, stdout)
	}
	if code != exitRefused || r.Status != doctor.Fail || len(r.Findings) < 5 || r.Findings[0].Name != "configuration" || !strings.Contains(r.Findings[0].Detail, "did you mean name?") {
		t.Errorf("got exit code %d, %+v, want the wrong key", code, r)
	}
}

func TestPrintReport(t *testing.T) {
	var b strings.Builder
	printReport(&b, doctor.Report{Status: doctor.Fail, Findings: []doctor.Finding{
		{Name: "clock", Status: doctor.OK, Detail: "right"},
		{Name: "source a", Status: doctor.Warn, Detail: "b", Hint: "do this"},
		{Name: "source a", Status: doctor.Warn, Detail: "a\x1b[2J", Hint: "do this"},
		{Name: "model", Status: doctor.Fail, Detail: "gone"},
	}})
	const want = `ok    clock     right
warn  source a  b
warn  source a  "a\x1b[2J"
             -> do this
fail  model     gone

1 ok, 2 to look after, 1 failed
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
