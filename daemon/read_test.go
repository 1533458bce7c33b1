package daemon

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestReadAtMost reads files up to their limit, and no further.
func TestReadAtMost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		most int64
		want string
		err  string // a part of it
	}{
		{file, 6, "12345", ""},
		{file, 5, "12345", ""},
		{file, 4, "", file + ": want at most 4 bytes"},
		{"/dev/zero", 1 << 20, "", "want at most 1048576 bytes"},
		{"/dev/null", 1, "", ""},
		{filepath.Dir(file), 1, "", "is a directory"},
	} {
		data, err := readAtMost(c.path, c.most)
		if string(data) != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s, at most %d: want %q and an error with %q, have %q, %v", c.path, c.most, c.want, c.err, data, err)
		}
	}
	if _, err := readAtMost(file+"2", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("want fs.ErrNotExist, have %v", err)
	}
}

// TestEndlessFiles names a file that never ends in the place of labels, of what was saved, and of which model is used.
func TestEndlessFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"labels.txt", "sources.json", installedName} {
		if err := os.Symlink("/dev/zero", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := ReadLabels(filepath.Join(dir, "labels.txt")); err == nil || !strings.Contains(err.Error(), "read labels: ") {
		t.Errorf("labels: have %v", err)
	}
	if _, err := InstalledModel(Config{StateDir: dir}); err == nil || !strings.Contains(err.Error(), "want at most 65536 bytes") {
		t.Errorf("the model that is used: have %v", err)
	}
	d := &Daemon{config: Config{StateDir: dir}, log: slog.New(slog.DiscardHandler)}
	if s := d.restore(); s.Sources != nil || s.Announced != nil {
		t.Errorf("what was saved: have %+v", s)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 10*maxLabelBytes {
		t.Errorf("%d bytes were allocated", took)
	}
}
