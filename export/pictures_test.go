package export

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReadPictures(t *testing.T) {
	dir, elsewhere := t.TempDir(), drawnPictures(t, 1)
	picture, err := os.ReadFile(filepath.Join(elsewhere, "000.png"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"b/two.PNG": picture, "a/one.png": picture, "a/half.png": picture[:len(picture)/2], "a/notes.txt": []byte("x"), "b/.hidden.png": picture,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(elsewhere, "000.png"), filepath.Join(dir, "b", "link.png")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "b", "folder.png"), 0o777); err != nil {
		t.Fatal(err)
	}
	p, err := readPictures(dir, 96, 2, func(int, int) {})
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
	if want := []int{0, 1, 1}; !slices.Equal(classes, want) {
		t.Errorf("classes: got %v, want %v", classes, want)
	}
	if len(p.refused) != 1 || !strings.HasPrefix(p.refused[0], "a/half.png: ") {
		t.Errorf("refused: got %q, want a/half.png", p.refused)
	}
	if _, err := readPictures(dir, 96, 3, func(int, int) {}); err == nil || !strings.Contains(err.Error(), "each of 3 classes, have 2") {
		t.Errorf("three classes in two folders: got error %v", err)
	}
	if err := os.Symlink("/none", filepath.Join(dir, "b", "broken.png")); err != nil {
		t.Fatal(err)
	}
	if _, err := readPictures(dir, 96, 2, func(int, int) {}); err == nil || !strings.Contains(err.Error(), "broken.png") {
		t.Errorf("a broken link: got error %v, want one with its name", err)
	}
}
