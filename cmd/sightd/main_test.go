package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sightd/daemon"
	"sightd/models"
)

// sightd runs the program and returns its exit code and what it printed.
func sightd(t *testing.T, stdin []byte, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Main(context.Background(), args, bytes.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

// sample writes the drawn golf ball as a PNG.
func sample(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := daemon.SamplePNG("golf_ball")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUsage(t *testing.T) {
	picture := sample(t, t.TempDir(), "golf.png")
	for _, test := range []struct {
		name string
		args []string
		code int
		out  string // in stdout, or in stderr of a failure
	}{
		{"nothing", nil, exitUsage, "Usage: sightd COMMAND"},
		{"help", []string{"help"}, exitOK, "make a quantized .tflite"},
		{"unknown", []string{"clasify"}, exitUsage, `there is no command "clasify"`},
		{"classify help", []string{"classify", "--help"}, exitOK, "Exit status: 0 all classified, 1 some refused, 2 usage."},
		{"classify nothing", []string{"classify"}, exitUsage, "want a picture"},
		{"classify flag", []string{"classify", "--tpo", "3", "x.jpg"}, exitUsage, "flag provided but not defined: -tpo"},
		{"classify top", []string{"classify", "--top", "0", "x.jpg"}, exitUsage, "want 1 or more"},
		{"classify delegate", []string{"classify", "--delegate", "tpu", "x.jpg"}, exitUsage, `want auto, cpu, xnnpack, xnnpack-fp16, gpu or external:/path.so, have "tpu"`},
		{"classify model", []string{"classify", "--model", "/none.tflite", "x.jpg"}, exitRefused, "/none.tflite"},
		{"flags behind arguments", []string{"classify", picture, "--top", "1"}, exitOK, "golf ball"},
		{"export nothing", []string{"export"}, exitUsage, "want one file of weights, have 0"},
		{"export output", []string{"export", "w.pth"}, exitUsage, "-o is missing"},
		{"export io", []string{"export", "w.pth", "-o", "o.tflite", "--labels", "l", "--calibration", "c", "--io", "int4"}, exitUsage, "-io: want int8, uint8 or float32"},
		{"export mean", []string{"export", "w.pth", "-o", "o.tflite", "--labels", "l", "--calibration", "c", "--mean", "1,2"}, exitUsage, "-mean: want one number or three"},
		{"export labels", []string{"export", "w.pth", "-o", "o.tflite", "--labels", "/none.txt", "--calibration", "c"}, exitRefused, "/none.txt"},
		{"run config", []string{"run", "-c", "/none.yaml"}, exitRefused, "/none.yaml"},
		{"run argument", []string{"run", "x"}, exitUsage, `want no arguments, have "x"`},
		{"bench runs", []string{"bench", "--num_runs", "0"}, exitUsage, "want 1 to 1000000 runs"},
		{"config nothing", []string{"config"}, exitUsage, "want one of init, check, show and schema"},
		{"config show", []string{"config", "show"}, exitOK, "listen: 127.0.0.1:1883"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := sightd(t, nil, test.args...)
			if code != test.code {
				t.Errorf("exit code: got %d, want %d", code, test.code)
			}
			told := stdout
			if test.code != exitOK {
				told = stderr
			}
			if !strings.Contains(told, test.out) {
				t.Errorf("got stdout %q, stderr %q, want %q", stdout, stderr, test.out)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	code, stdout, _ := sightd(t, nil, "version")
	want := regexp.MustCompile(`^sightd \d+\.\d+\.\d+\ncommit \S+\nTensorFlow Lite 2\.20\.0\nOpenCV 4\.13\.0\nGo \S+ \S+\n$`)
	if code != exitOK || !want.MatchString(stdout) {
		t.Errorf("got %d %q, want %s", code, stdout, want)
	}
}

func TestConfigInit(t *testing.T) {
	_, stdout, _ := sightd(t, nil, "config", "init")
	file := filepath.Join(t.TempDir(), "sightd.yaml")
	if err := os.WriteFile(file, []byte(stdout), 0o666); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := sightd(t, nil, "config", "check", file); code != exitOK {
		t.Errorf("check what init printed: got %d %q %q", code, stdout, stderr)
	}
	if err := os.WriteFile(file, []byte("mqtt:\n  brokr: mqtt://x\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := sightd(t, nil, "config", "check", "-c", file); code != exitRefused || !strings.Contains(stderr, "sightd.yaml:2:3: mqtt.brokr") {
		t.Errorf("check a wrong key: got %d %q, want line, column and key", code, stderr)
	}
}

// TestConfigService has the service's configuration checked, and names that no instance may have.
func TestConfigService(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sightd.yaml")
	for _, args := range [][]string{{"config", "init", "--service"}, {"config", "init", "--service", "door"}} {
		code, text, stderr := sightd(t, nil, args...)
		if code != exitOK || !strings.Contains(text, "systemctl reload sightd") {
			t.Fatalf("%q: got %d %q", args, code, stderr)
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if code, stdout, stderr := sightd(t, nil, "config", "check", file); code != exitOK || stdout != file+" is right\n" {
			t.Errorf("check what %q printed: got %d %q %q", args, code, stdout, stderr)
		}
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"init", "--service", "sightd"}, exitRefused, "want another name"},
		{[]string{"init", "--service", "a/b"}, exitRefused, "want 1 to 32"},
		{[]string{"init", "--service", ""}, exitUsage, "want a name behind --service"},
		{[]string{"init", "--service", "a", "b"}, exitUsage, "one name at most"},
		{[]string{"show", "--service"}, exitUsage, "want --service with init"},
		{[]string{"init", "door"}, exitUsage, "want one of init"},
	} {
		if code, stdout, stderr := sightd(t, nil, append([]string{"config"}, test.args...)...); code != test.code || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%q: got %d %q %q, want %d and %q", test.args, code, stdout, stderr, test.code, test.want)
		}
	}
}

// TestConfigLabels has a label that the model hasn't, with a live source and without one.
func TestConfigLabels(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sightd.yaml")
	const rule, camera = "decide: {labels: {tensh: deny}}\n", "sources: [{name: csi, type: rpicam}]\n"
	for _, test := range []struct {
		text string
		code int
		want string
	}{
		{rule, exitRefused, "sightd config: " + file + ":1:19: decide.labels[\"tensh\"]: no such label, did you mean \"tench\"?\n"},
		{rule + camera, exitRefused, "sightd config: " + file + ":1:19: decide.labels[\"tensh\"]: no such label, did you mean \"tench\"?\n"},
		{camera + "decide: {labels: {tench: deny, \"9\": 0.9}}\n", exitOK, file + " is right\n"},
		{rule + camera + "model: {path: /none.tflite}\n", exitOK, file + ":3:9: model.path: warning: decide wasn't held against the model's labels: " +
			"open model: open /none.tflite: no such file or directory\n" + file + " is right, with a warning\n"},
	} {
		if err := os.WriteFile(file, []byte(test.text), 0o666); err != nil {
			t.Fatal(err)
		}
		if code, stdout, stderr := sightd(t, nil, "config", "check", file); code != test.code || stdout+stderr != test.want {
			t.Errorf("%s gives %d, %q, want %d, %q", test.text, code, stdout+stderr, test.code, test.want)
		}
	}
	const none = "no file given: the defaults are right, with the variables over them\n"
	if code, stdout, stderr := sightd(t, nil, "config", "check"); code != exitOK || stdout != none {
		t.Errorf("no file: got %d, %q, %q, want %q", code, stdout, stderr, none)
	}
}

func TestBench(t *testing.T) {
	code, stdout, stderr := sightd(t, nil, "bench", "--num_runs", "3", "--warmup_runs", "1", "--threads", "1")
	if code != exitOK {
		t.Fatalf("got %d, %q", code, stderr)
	}
	for _, want := range []string{"delegate   xnnpack, 88 of 88 nodes", "threads    1", "first", "mean", "p50", "p95", "p99", "Invoke", "step"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("output lacks %q:\n%s", want, stdout)
		}
	}
}

func TestPercentile(t *testing.T) {
	var hundred []float64
	for i := range 100 {
		hundred = append(hundred, float64(i+1))
	}
	for _, test := range []struct {
		values []float64
		p      int
		want   float64
	}{{hundred, 50, 50}, {hundred, 95, 95}, {hundred, 99, 99}, {[]float64{7}, 99, 7}, {[]float64{1, 2, 3}, 50, 2}, {[]float64{1, 2}, 50, 1}} {
		if got := percentile(test.values, test.p); got != test.want {
			t.Errorf("percentile %d of %d values: got %g, want %g", test.p, len(test.values), got, test.want)
		}
	}
}

// line is what --json prints, for a classified or a refused picture.
type line struct {
	File    string   `json:"file"`
	Label   *string  `json:"label"`
	Index   *int     `json:"index"`
	Score   *float64 `json:"score"`
	Top     []line   `json:"top"`
	InferMS *float64 `json:"infer_ms"`
	Error   *string  `json:"error"`
}

func readLines(t *testing.T, text string) map[string]line {
	t.Helper()
	lines := map[string]line{}
	for _, l := range strings.Split(strings.TrimSpace(text), "\n") {
		d := json.NewDecoder(strings.NewReader(l))
		d.DisallowUnknownFields()
		var v line
		if err := d.Decode(&v); err != nil {
			t.Fatalf("line %q: %v", l, err)
		}
		lines[v.File] = v
	}
	return lines
}

func TestClassifyJSON(t *testing.T) {
	dir := t.TempDir()
	picture := sample(t, dir, "golf ball <1>.png")
	code, stdout, stderr := sightd(t, nil, "classify", "--json", "--top", "3", picture)
	if code != exitOK {
		t.Fatalf("got %d, %q", code, stderr)
	}
	l := readLines(t, stdout)[picture]
	if l.Label == nil || *l.Label != "golf ball" || *l.Index != 8 || *l.Score < 0.8 || *l.InferMS <= 0 || len(l.Top) != 3 || l.Error != nil {
		t.Errorf("got %s, want the golf ball with three labels", stdout)
	}
	if !strings.HasPrefix(stdout, `{"file":`) || !strings.Contains(stdout, `"golf ball <1>.png"`[1:]) {
		t.Errorf("got %s, want the file first, as given", stdout)
	}
	data, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := sightd(t, data, "classify", "--json", "-"); code != exitOK || *readLines(t, stdout)["-"].Label != "golf ball" {
		t.Errorf("standard input: got %d %s", code, stdout)
	}
	if code, stdout, _ := sightd(t, data[:len(data)/2], "classify", "-", "--json"); code != exitRefused || readLines(t, stdout)["-"].Error == nil {
		t.Errorf("half a picture on standard input: got %d %s, want an error line", code, stdout)
	}
}

func TestClassifyFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub", ".hidden"), 0o777); err != nil {
		t.Fatal(err)
	}
	want := []string{sample(t, dir, "a.PNG"), sample(t, filepath.Join(dir, "sub"), "b.png")}
	sample(t, dir, ".dot.png")
	sample(t, dir, "c.png.part")
	sample(t, dir, "notes.txt")
	sample(t, filepath.Join(dir, "sub", ".hidden"), "d.png")
	code, stdout, stderr := sightd(t, nil, "classify", "--json", dir)
	if code != exitOK {
		t.Fatalf("got %d, %q", code, stderr)
	}
	var got []string
	for file := range readLines(t, stdout) {
		got = append(got, file)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("classified %q, want %q", got, want)
	}
	if code, _, _ := sightd(t, nil, "classify", filepath.Join(dir, "none.png"), want[0]); code != exitRefused {
		t.Errorf("a missing file among others: got exit code %d, want %d", code, exitRefused)
	}
}

// TestOddFiles holds classify against the list of unusual files in ../shared.
func TestOddFiles(t *testing.T) {
	odd := filepath.Join("..", "..", "..", "shared", "images", "odd")
	table, err := os.ReadFile(filepath.Join(odd, "EXPECTED.tsv"))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("skipped: this test needs %s: %v", odd, err)
	}
	code, stdout, _ := sightd(t, nil, "classify", "--json", odd)
	if code != exitRefused {
		t.Errorf("exit code: got %d, want %d", code, exitRefused)
	}
	lines := readLines(t, stdout)
	plain := lines[filepath.Join(odd, "plain.jpg")]
	for _, row := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		cells := strings.Split(row, "\t")
		l, there := lines[filepath.Join(odd, cells[0])]
		ok := false
		switch cells[1] {
		case "classify":
			ok = there && l.Label != nil
		case "classify-as-plain":
			ok = there && l.Label != nil && *l.Label == *plain.Label
		case "reject":
			ok = there && l.Error != nil && *l.Error != ""
		case "ignore":
			ok = !there
		case "any":
			ok = there && (l.Label != nil) != (l.Error != nil)
		}
		if !ok {
			t.Errorf("%s: got %+v, want %s (%s)", cells[0], l, cells[1], cells[2])
		}
	}
}

// TestModelBesideCard runs a model from a file: with its card, without, and with another's.
func TestModelBesideCard(t *testing.T) {
	data, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	model, picture := filepath.Join(dir, "mine.tflite"), sample(t, dir, "golf.png")
	write := func(path string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(model, data)
	text, err := card.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		card []byte // nil: none
		code int
		want string
	}{
		{"no card", nil, exitOK, "golf ball"},
		{"its card", text, exitOK, "golf ball"},
		{"another's card", bytes.Replace(text, []byte(card.File.SHA256), bytes.Repeat([]byte("0"), 64), 1), exitRefused, "isn't its card"},
		{"wrong scores", bytes.Replace(text, []byte(`"scores": [`), []byte(`"scores": [0.9,`), 1), exitRefused, "prove golden input golf_ball"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.card != nil {
				write(filepath.Join(dir, "mine.json"), test.card)
			}
			code, stdout, stderr := sightd(t, nil, "classify", "--model", model, picture)
			if code != test.code || !strings.Contains(stdout+stderr, test.want) {
				t.Errorf("got %d %q %q, want %d and %q", code, stdout, stderr, test.code, test.want)
			}
		})
	}
	write(filepath.Join(dir, "labels.txt"), []byte("a\nb\n"))
	code, _, stderr := sightd(t, nil, "classify", "--labels", filepath.Join(dir, "labels.txt"), picture)
	if code != exitRefused || !strings.Contains(stderr, "have 2 labels, the model has 10 classes") {
		t.Errorf("too few labels: got %d %q", code, stderr)
	}
}
