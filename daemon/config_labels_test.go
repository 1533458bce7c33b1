package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightd/models"
)

// TestCheckLabels holds rules against a model's labels.
func TestCheckLabels(t *testing.T) {
	labels := []string{"tabby cat", "lynx", "crane", "crane", "none"}
	for _, test := range []struct{ name, decide, want string }{
		{"defaults", "{}", ""},
		{"in a group", "{labels: {tabby cat: 0.8, \"3\": deny, cats: 0.5}, groups: {cats: [lynx], crane: [2, 3]}}", "decide.labels[\"3\"]: is in the group crane: give the rule to that"},
		{"a label, an index and a group", "{labels: {tabby cat: 0.8, \"3\": deny, cats: 0.5}, groups: {cats: [lynx]}}", ""},
		{"misspelled", "{labels: {taby cat: {enter: 0.8, stay: 0.1}}}", `decide.labels["taby cat"]: no such label, did you mean "tabby cat"?`},
		{"in all places", "{labels: {dog: 1}, groups: {pets: [lynx, linx], big: [7]}, schedule: [{from: 06:00, to: 07:00, labels: {lynxx: 0.9}}]}",
			"decide.groups[\"big\"][\"7\"]: want an index from 0 to 4\ndecide.groups[\"pets\"][\"linx\"]: no such label, did you mean \"lynx\"?\n" +
				"decide.labels[\"dog\"]: no such label\ndecide.schedule[0].labels[\"lynxx\"]: no such label, did you mean \"lynx\"?"},
		{"of two", "{labels: {crane: 0.8}}", `decide.labels["crane"]: 2 labels are called so: give the index, one of 2, 3`},
		{"that means nothing", "{labels: {none: {allow: true}}}", `decide.labels["none"].allow: want it left out: a label "none" can't be told from no label`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Parse("f.yaml", []byte("decide: "+test.decide+"\n"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := errorText(c.Decide.CheckLabels(labels)); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}

	c := DecideConfig{Top: 5, Enter: 0.6, Stay: 0.4, Confirm: [2]int{1, 1}, Unknown: UnknownConfig{Mode: UnknownAuto}, Labels: map[string]LabelConfig{}}
	for i := range 13 {
		c.Labels[fmt.Sprintf("unheard of %d", i)] = LabelConfig{}
	}
	if lines := strings.Split(errorText(c.CheckLabels(labels)), "\n"); len(lines) != 11 || lines[10] != "and 3 more" {
		t.Errorf("13 faults: got %q, want ten and how many more", lines)
	}
}

// TestModelReadLabels holds the labels that are read of a model without running it against those of one that can run.
func TestModelReadLabels(t *testing.T) {
	data, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"alone.tflite": string(data), "broken.tflite": string(data[:len(data)/2]), "own.txt": strings.Join(card.Labels, "x\n"), "few.txt": "a\nb\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ path, labels, wrong string }{
		{"", "", ""}, {dir + "/alone.tflite", "", ""}, {"", dir + "/own.txt", ""},
		{"", dir + "/few.txt", "have 2 labels, the model has 1"}, {dir + "/none.tflite", "", "no such file"}, {dir + "/broken.tflite", "", "broken.tflite"},
		{"", dir + "/none.txt", "no such file"},
	} {
		got, err := ModelConfig{Path: test.path, Labels: test.labels}.ReadLabels()
		engine, opened := OpenEngine(EngineOptions{Model: test.path, Labels: test.labels, Top: 1})
		if opened == nil {
			if !slices.Equal(got, engine.Labels) {
				t.Errorf("%s, %s: got %q, want %q", test.path, test.labels, got, engine.Labels)
			}
			if err := engine.Close(); err != nil {
				t.Error(err)
			}
		}
		if (err == nil) != (opened == nil) || (err == nil) != (test.wrong == "") || !strings.Contains(errorText(err), test.wrong) {
			t.Errorf("%s, %s: got error %v, to open it gives %v, want %q", test.path, test.labels, err, opened, test.wrong)
		}
	}
}

// TestCheck holds files against the labels of the built-in model. Each fault has its place.
func TestCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.yaml")
	const camera = "sources: [{name: csi, type: rpicam}]\n"
	const gone = "FILE:1:9: model.path: warning: decide wasn't held against the model's labels: open model: open /none.tflite: no such file or directory"
	for _, test := range []struct{ text, env, warning, want string }{
		{"", "", "", ""},
		{"decide: {labels: {tench: deny}}\n", "", "", ""},
		{"decide:\n  labels: {tensh: deny}\n", "", "", `FILE:2:12: decide.labels["tensh"]: no such label, did you mean "tench"?`},
		{camera + "decide:\n  groups:\n    fish: [tench,\n      tensh]\n", "", "", `FILE:4:5: decide.groups["fish"]["tensh"]: no such label, did you mean "tench"?`},
		{"decide:\n  schedule:\n    - {from: \"06:00\", to: \"07:00\", labels: {tensh: 0.9}}\n", "", "",
			`FILE:3:45: decide.schedule[0].labels["tensh"]: no such label, did you mean "tench"?`},
		{"model: {path: /none.tflite}\n", "", "FILE:1:9: model.path: warning: not found here: stat /none.tflite: no such file or directory", ""},
		{"model: {path: /none.tflite}\n" + camera, "", gone, ""},
		{camera, "SIGHTD_DECIDE_LABELS={tensh: deny}", "", `SIGHTD_DECIDE_LABELS: decide.labels["tensh"]: no such label, did you mean "tench"?`},
		{"nmae: x\n", "", "", "FILE:1:1: nmae: unknown key; did you mean name?"},
	} {
		if err := os.WriteFile(file, []byte(test.text), 0o666); err != nil {
			t.Fatal(err)
		}
		var env []string
		if test.env != "" {
			env = []string{test.env}
		}
		warnings, err := Check(file, env)
		told := strings.ReplaceAll(strings.Join(warnings, "\n"), file, "FILE")
		if have := strings.ReplaceAll(errorText(err), file, "FILE"); have != test.want || told != test.warning {
			t.Errorf("%s: got %q, %q, want %q, %q", test.text, have, told, test.want, test.warning)
		}
	}
	if _, err := Check("/none.yaml", nil); err == nil {
		t.Error("no such file: want an error, have none")
	}
}

func TestReadModelOfNoFile(t *testing.T) {
	huge := filepath.Join(t.TempDir(), "huge.tflite")
	touch(t, huge)
	if err := os.Truncate(huge, maxModelBytes+1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/dev/zero": "want a regular file", t.TempDir(): "is a directory", huge: "want at most"} {
		if _, _, err := ReadModel(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: have error %v, want %q", path, err, want)
		}
	}
}
