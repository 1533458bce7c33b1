package export

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightd/models/drawn"
)

// writePictures writes a drawn picture under each name, and returns the folder.
func writePictures(t *testing.T, picture string, names ...string) string {
	t.Helper()
	img, err := drawn.Image(picture, 160)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range names {
		writeFile(t, filepath.Join(dir, name), b.Bytes())
	}
	return dir
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

func nobody(int, int) {}

func TestFolder(t *testing.T) {
	elsewhere := writePictures(t, "golf_ball", "000.png")
	dir := writePictures(t, "golf_ball", "b/two.PNG", "a/one.png", "b/.hidden.png", ".hidden/c.png")
	writeFile(t, filepath.Join(dir, "a/half.png"), []byte("\x89PNG\r\n\x1a\n"))
	writeFile(t, filepath.Join(dir, "a/notes.txt"), []byte("x"))
	if err := os.Symlink(filepath.Join(elsewhere, "000.png"), filepath.Join(dir, "b", "link.png")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "b", "folder.png"), 0o777); err != nil {
		t.Fatal(err)
	}
	f, err := labelledFolder(dir, []string{"x", "y"})
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	p, err := f.read(96, func(done, total int) {
		if told++; done != told || total != 4 {
			t.Errorf("progress: got %d of %d, want %d of 4", done, total, told)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	var classes []int
	for _, s := range p.samples {
		files, classes = append(files, s.file), append(classes, s.class)
		if len(s.pixels) != 3*96*96 || !slices.Equal(s.pixels, p.samples[0].pixels) {
			t.Errorf("%s: the pixels differ from those of the same picture", s.file)
		}
	}
	if want := []string{"a/one.png", "b/link.png", "b/two.PNG"}; !slices.Equal(files, want) {
		t.Errorf("got %q, want %q", files, want)
	}
	if want := []int{0, 1, 1}; !slices.Equal(classes, want) || p.rule != sortedFolders {
		t.Errorf("classes: got %v by %q, want %v by %q", classes, p.rule, want, sortedFolders)
	}
	if len(p.refused) != 1 || !strings.HasPrefix(p.refused[0], "a/half.png: ") {
		t.Errorf("refused: got %q, want a/half.png", p.refused)
	}
}

// TestUnlabelled lists a folder whose names tell no classes: fit for calibration only.
func TestUnlabelled(t *testing.T) {
	dir, labels := writePictures(t, "golf_ball", "a/one.png", "b/two.png"), []string{"x", "y", "z"}
	_, err := labelledFolder(dir, labels)
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "each of 3 classes, or folders named by label or class number, have 2 folders") {
		t.Errorf("three classes in two folders: got error %v", err)
	}
	f, err := calibrationFolder(dir, labels)
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.read(96, nobody)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.samples) != 2 || p.samples[0].class != -1 || p.rule != unlabelled {
		t.Errorf("got %d pictures, the first of class %d by %q, want 2 of class -1", len(p.samples), p.samples[0].class, p.rule)
	}
	other, err := calibrationFolder(writePictures(t, "parachute", "a/one.png", "b/two.png"), labels)
	if err != nil {
		t.Fatal(err)
	}
	q, err := other.read(96, nobody)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.sha256) != 64 || p.sha256 == q.sha256 {
		t.Errorf("sha256 of two sets: got %q and %q", p.sha256, q.sha256)
	}
}

func TestFolderErrors(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	broken := t.TempDir()
	if err := os.Symlink("/none", filepath.Join(broken, "broken.png")); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{none: "none", broken: "broken.png"} {
		for name, list := range map[string]func(string, []string) (*folder, error){"labelled": labelledFolder, "calibration": calibrationFolder} {
			if _, err := list(dir, []string{"x"}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: got error %v, want one with %q", name, dir, err, want)
			}
		}
	}
	gone, err := calibrationFolder(writePictures(t, "golf_ball", "0.png"), []string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(gone.dir, "0.png")); err != nil {
		t.Fatal(err)
	}
	if _, err := gone.read(96, nobody); err == nil || !strings.Contains(err.Error(), "0.png") {
		t.Errorf("a picture that is gone: got error %v, want one with its name", err)
	}
}
