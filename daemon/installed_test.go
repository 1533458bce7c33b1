package daemon

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sightd/export/tflitefile"
	"sightd/models"
)

// variant is the embedded model under another name, with labels that begin with a prefix, and its card.
func variant(t testing.TB, name, prefix string) ([]byte, *models.Card) {
	t.Helper()
	data, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	file, err := tflitefile.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	file.Description = name
	card.Labels = slices.Clone(card.Labels)
	for i := range card.Labels {
		card.Labels[i] = prefix + card.Labels[i]
	}
	for i := range file.Metadata.Files {
		file.Metadata.Files[i].Data = []byte(strings.Join(card.Labels, "\n") + "\n")
	}
	var b bytes.Buffer
	if _, err := file.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	card.Name, card.File.SHA256 = name, models.Sum(b.Bytes())
	return b.Bytes(), card
}

// writeModel writes a model and, if there is one, its card beside it.
func writeModel(t testing.TB, path string, data []byte, card *models.Card) string {
	t.Helper()
	err := os.WriteFile(path, data, 0o600)
	if err == nil && card != nil {
		var text []byte
		if text, err = card.JSON(); err == nil {
			err = os.WriteFile(strings.TrimSuffix(path, ".tflite")+".json", text, 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// newModel writes a variant into a folder of its own.
func newModel(t testing.TB, name, prefix string) (path, sum string) {
	t.Helper()
	data, card := variant(t, name, prefix)
	return writeModel(t, filepath.Join(t.TempDir(), name+".tflite"), data, card), card.File.SHA256
}

// use is UseModel, which must work.
func use(t testing.TB, c Config, path string) (undo func() error) {
	t.Helper()
	used, undo, err := UseModel(c, path)
	if err != nil || used == nil {
		t.Fatalf("use %s: have %+v, %v", path, used, err)
	}
	return undo
}

// wants is the model that c wants to be run: the sha256 of what was installed, "" for the configured one.
func wants(t testing.TB, c Config) string {
	t.Helper()
	o, err := c.Engine()
	if err != nil {
		t.Fatal(err)
	}
	return o.SHA256
}

// contents are all files and folders under a folder, with their modes, and what is in them.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text := []byte(nil)
		if entry.Type().IsRegular() {
			if text, err = os.ReadFile(name); err != nil {
				return err
			}
		}
		all[strings.TrimPrefix(name, dir)] = info.Mode().String() + models.Sum(text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestUseModel installs models one after the other, takes one back, and goes back to the configured one.
func TestUseModel(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // the files are for others too
	c := testConfig(t)
	c.StateDir = filepath.Join(c.StateDir, "not yet", "there")
	if _, _, err := UseModel(c, ""); err != nil || wants(t, c) != "" {
		t.Errorf("the configured one, which it is: have %v", err)
	}
	first, firstSum := newModel(t, "a model of mine; \"☃\" 'x' $(y)", "")
	used, undo, err := UseModel(c, first)
	if err != nil || used.SHA256 != firstSum || used.Name != "a model of mine; \"☃\" 'x' $(y)" || wants(t, c) != firstSum {
		t.Fatalf("want %s used, have %+v, %v", firstSum, used, err)
	}
	if err := undo(); err != nil || wants(t, c) != "" {
		t.Fatalf("undone: want the configured model, have %s, %v", wants(t, c), err)
	}
	use(t, c, first)
	o, err := c.Engine()
	if err != nil || filepath.Dir(filepath.Dir(o.Model)) != filepath.Join(c.StateDir, "models") || filepath.Base(o.Model) != filepath.Base(first) {
		t.Errorf("want the file with its name in the folder of the models, have %s, %v", o.Model, err)
	}
	for name, mode := range map[string]fs.FileMode{
		filepath.Join(c.StateDir, "model.json"): 0o644, o.Model: 0o644, strings.TrimSuffix(o.Model, ".tflite") + ".json": 0o644,
		filepath.Dir(o.Model): 0o755, filepath.Join(c.StateDir, "models"): 0o755,
	} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: want mode %v, have %v, %v", name, mode, info.Mode(), err)
		}
	}
	e, err := OpenEngine(o)
	if err != nil || e.Proven != 4 || e.Name != used.Name {
		t.Fatalf("want it proven on 4 golden inputs, have %+v, %v", e, err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}

	configured := c
	configured.Model.Path = first
	if sum := wants(t, configured); sum != "" {
		t.Errorf("model.path has changed since: want that one, have %s", sum)
	}
	second, secondSum := newModel(t, "second", "")
	third, thirdSum := newModel(t, "third", "other ")
	use(t, c, second)
	undo = use(t, c, third)
	if left := folders(t, c); len(left) != 2 || wants(t, c) != thirdSum {
		t.Errorf("want the third model, and the one before kept, have %s and %q", wants(t, c), left)
	}
	if err := undo(); err != nil || wants(t, c) != secondSum {
		t.Errorf("undone: want the second model, have %s, %v", wants(t, c), err)
	}
	if o, err = c.Engine(); err == nil {
		_, err = load(o.Model)
	}
	if err != nil {
		t.Errorf("undone: want the second model's file there, have %v", err)
	}
	undo = use(t, c, "")
	if wants(t, c) != "" {
		t.Errorf("want the configured model, have %s", wants(t, c))
	}
	if err := undo(); err != nil || wants(t, c) != secondSum {
		t.Errorf("undone: want the second model, have %s, %v", wants(t, c), err)
	}
}

// folders are those of the installed models.
func folders(t testing.TB, c Config) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(c.StateDir, installedModels))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestUseModelKeepsCard installs a model again with another card: that of the one before must stay as it was.
func TestUseModelKeepsCard(t *testing.T) {
	c := testConfig(t)
	data, card := variant(t, "a", "")
	path := writeModel(t, filepath.Join(t.TempDir(), "a.tflite"), data, card)
	use(t, c, path)
	card.Temperature = &models.Temperature{Value: 1.5, FittedTo: models.FittedToLabels, Pictures: 9}
	undo := use(t, c, writeModel(t, path, data, card))
	temperature := func() float64 {
		o, err := c.Engine()
		if err != nil {
			t.Fatal(err)
		}
		m, err := load(o.Model)
		if err != nil {
			t.Fatal(err)
		}
		if m.card.Temperature == nil {
			return 0
		}
		return m.card.Temperature.Value
	}
	if have := temperature(); have != 1.5 {
		t.Errorf("want the new card's temperature 1.5, have %v", have)
	}
	_, before := variant(t, "a", "")
	want := 0.0
	if before.Temperature != nil {
		want = before.Temperature.Value
	}
	if err := undo(); err != nil || temperature() != want {
		t.Errorf("undone: want the temperature of the card before, %v, have %v, %v", want, temperature(), err)
	}
}

// TestUseModelWithoutCard wants one proven against the built-in kernels, also where its name is no UTF-8.
func TestUseModelWithoutCard(t *testing.T) {
	c := testConfig(t)
	data, _ := variant(t, "bare", "")
	for file, name := range map[string]string{"bare.tflite": "bare", "caf\xe9 x": "caf_ x", ".tflite": ""} {
		path := writeModel(t, filepath.Join(t.TempDir(), file), data, nil)
		use(t, c, path)
		o, err := c.Engine()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(o.Model); err != nil || filepath.Base(o.Model) != name+".tflite" || o.SHA256 != models.Sum(data) {
			t.Errorf("%q: want the file %s.tflite, have %q, %v", file, name, o.Model, err)
		}
	}
}

// TestUseModelRefuses wants the reason told and nothing changed.
func TestUseModelRefuses(t *testing.T) {
	c := testConfig(t)
	door := defaultSource(TypeReplay)
	door.Name, door.Path = "door", t.TempDir()
	c.Sources = append(c.Sources, door)
	c.Decide.Labels = map[string]LabelConfig{"golf ball": {}}
	c.Decide.Groups = nil
	good, goodSum := newModel(t, "good", "")
	use(t, c, good)
	before := contents(t, c.StateDir)
	data, card := variant(t, "bad", "")
	dir := t.TempDir()
	write := func(name string, data []byte, change func(card *models.Card)) string {
		t.Helper()
		changed := *card
		if change != nil {
			change(&changed)
			return writeModel(t, filepath.Join(dir, name), data, &changed)
		}
		return writeModel(t, filepath.Join(dir, name), data, nil)
	}
	other, otherCard := variant(t, "other", "not a ")
	wrong := slices.Clone(card.Golden.Inputs)
	wrong[0].Scores = slices.Clone(wrong[0].Scores)
	wrong[0].Scores[0], wrong[0].Scores[1] = 0.9, 0
	for _, test := range []struct{ name, path, want string }{
		{"no file", filepath.Join(dir, "none.tflite"), "no such file"},
		{"a folder", dir, "is a directory"},
		{"garbage", write("garbage.tflite", []byte("no model at all"), nil), "garbage.tflite"},
		{"empty", write("empty.tflite", nil, nil), "empty.tflite"},
		{"truncated", write("truncated.tflite", data[:len(data)/2], nil), "truncated.tflite"},
		{"truncated, with the card of that", write("half.tflite", data[:len(data)/2], func(c *models.Card) { c.File.SHA256 = models.Sum(data[:len(data)/2]) }), "half.tflite"},
		{"another's card", write("others.tflite", data, func(c *models.Card) { c.File.SHA256 = goodSum }), "isn't its card"},
		{"wrong golden scores", write("wrong.tflite", data, func(c *models.Card) { c.Golden.Inputs = wrong }), "prove golden input golf_ball"},
		{"wrong size", write("size.tflite", data, func(c *models.Card) { c.Input.Size = 96 }), "its card says size 96"},
		{"labels that the rules don't know", writeModel(t, filepath.Join(dir, "other.tflite"), other, otherCard), `decide.labels["golf ball"]`},
		{"a temperature that isn't", write("hot.tflite", data, func(c *models.Card) { c.Temperature = &models.Temperature{Value: 25} }), "want a temperature from 0.05 to 20, have 25"},
	} {
		used, undo, err := UseModel(c, test.path)
		if err == nil || used != nil || undo != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: want an error with %q, have %+v, %v", test.name, test.want, used, err)
		}
		if after := contents(t, c.StateDir); !equal(before, after) {
			t.Errorf("%s: want nothing changed in %v, have %v", test.name, before, after)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "garbage.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := UseModel(c, filepath.Join(dir, "garbage.tflite")); err == nil || !strings.Contains(err.Error(), "read model card") {
		t.Errorf("a card that is none: have %v", err)
	}
	gone := c
	gone.Model.Path = filepath.Join(dir, "none.tflite")
	if _, _, err := UseModel(gone, ""); err == nil || !equal(before, contents(t, c.StateDir)) {
		t.Errorf("a configured model that is away: want an error and nothing changed, have %v", err)
	}
	c.Sources = c.Sources[:1] // only live sources follow the rules
	use(t, c, filepath.Join(dir, "other.tflite"))
}

func equal(a, b map[string]string) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// TestUseModelState has a state_dir that can't be written, and such that lead elsewhere.
func TestUseModelState(t *testing.T) {
	good, _ := newModel(t, "good", "")
	c := testConfig(t)
	c.StateDir = "/proc/none/state"
	if _, _, err := UseModel(c, good); err == nil || !strings.Contains(err.Error(), "/proc/none") {
		t.Errorf("want the error of a folder that can't be made, have %v", err)
	}
	for _, name := range []string{installedModels, installedName} {
		c = testConfig(t)
		elsewhere := t.TempDir()
		if err := os.WriteFile(filepath.Join(elsewhere, "secret"), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := contents(t, elsewhere)
		target := elsewhere
		if name == installedName {
			target = filepath.Join(elsewhere, "secret")
		}
		if err := os.Symlink(target, filepath.Join(c.StateDir, name)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := UseModel(c, good); err == nil {
			t.Errorf("%s leads out of state_dir: want an error", name)
		}
		if after := contents(t, elsewhere); !equal(before, after) {
			t.Errorf("%s leads out of state_dir: want nothing changed there, have %v", name, after)
		}
	}
}

// TestInstalledModelErrors reads what nobody has written.
func TestInstalledModelErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "unexpected end",
		`{"sha256":"x","file":"../../../etc"}`: "want a sha256 and a file under",
		`{"file":"models/a"}`:                  "want a sha256 and a file under",
		`[]`:                                   "model.json",
	} {
		c := testConfig(t)
		if err := os.WriteFile(installedFile(c.StateDir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if i, err := InstalledModel(c); err == nil || i != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want an error with %q, have %+v, %v", text, want, i, err)
		}
		if o, err := c.Engine(); err == nil || o.Model != c.Model.Path {
			t.Errorf("%q: want an error and the configured model beside it, have %+v, %v", text, o, err)
		}
		good, sum := newModel(t, "good", "")
		undo := use(t, c, good) // it is replaced all the same
		if wants(t, c) != sum {
			t.Errorf("%q: want the model used", text)
		}
		if err := undo(); err != nil {
			t.Error(err)
		}
	}
}
