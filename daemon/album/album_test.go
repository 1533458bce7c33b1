package album

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
)

var noon = time.Date(2026, 9, 23, 12, 0, 0, 0, time.UTC)

func put(t *testing.T, a *Album, source string, at time.Time, size int) string {
	t.Helper()
	name, err := a.Put(source, at, ulid.MustNewDefault(at).String(), bytes.Repeat([]byte{1}, size))
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// onDisk is what lies below dir: names and bytes.
func onDisk(t *testing.T, dir string) (names []string, size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		names, size = append(names, name), size+info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names, size
}

// TestQuota writes five times as much as there is room for, of sources in turn: the newest stay, and there is never more.
func TestQuota(t *testing.T) {
	dir := t.TempDir()
	const limit = 10_000
	a, err := Open(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range 50 {
		all = append(all, put(t, a, []string{"door", "yard"}[i%2], noon.Add(time.Duration(i)*time.Second), 700+i*10))
		if _, size := onDisk(t, dir); size > limit {
			t.Fatalf("after %d: want at most %d bytes, have %d", i, limit, size)
		}
	}
	names, size := onDisk(t, dir)
	stats := a.Stats()
	if stats.Files != len(names) || stats.Bytes != size || stats.Removed != uint64(50-len(names)) || len(names) < 7 {
		t.Errorf("have %+v, on disk %d files of %d bytes", stats, len(names), size)
	}
	for _, name := range all[len(all)-len(names):] {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("want the newest kept: %v", err)
		}
	}

	smaller, err := Open(dir, limit/2) // a later start with less room
	if err != nil {
		t.Fatal(err)
	}
	if names, size = onDisk(t, dir); size > limit/2 || smaller.Stats().Files != len(names) || smaller.Stats().Bytes != size {
		t.Errorf("want at most %d bytes, have %d in %d files and %+v", limit/2, size, len(names), smaller.Stats())
	}
}

func TestOthersStay(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"notes.txt", "door/mine.jpg", "door/20260923T101530.123Z_short.jpg"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 5000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	half := filepath.Join(dir, "door", "20260923T101530.123Z_"+ulid.MustNewDefault(noon).String()+".jpg"+unfinished)
	if err := os.WriteFile(half, make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := Open(dir, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		put(t, a, "door", noon.Add(time.Duration(i)*time.Minute), 600)
	}
	if names, _ := onDisk(t, dir); len(names) != 4 {
		t.Errorf("want three files of others and one snapshot, have %q", names)
	}
}

func TestRefused(t *testing.T) {
	a, err := Open(filepath.Join(t.TempDir(), "missing"), 1000)
	if err != nil {
		t.Fatal(err)
	}
	put(t, a, "door", noon, 900)
	id := ulid.MustNewDefault(noon).String()
	for what, f := range map[string]struct {
		source, id string
		size       int
		want       string
	}{
		"too large": {"door", id, 1001, "snapshots.max_mb"},
		"path":      {"../door", id, 1, "source's name"},
		"id":        {"door", "../../etc/passwd", 1, "ULID"},
	} {
		if _, err := a.Put(f.source, noon, f.id, make([]byte, f.size)); err == nil || !strings.Contains(err.Error(), f.want) {
			t.Errorf("%s: want an error with %q, have %v", what, f.want, err)
		}
	}
	if got := a.Stats(); got.Files != 1 || got.Removed != 0 {
		t.Errorf("want the first one kept, have %+v", got)
	}
	first, err := a.Put("door", noon.Add(time.Second), id, make([]byte, 10))
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Put("door", noon.Add(time.Second), id, make([]byte, 20))
	if got := a.Stats(); err != nil || first != again || fmt.Sprint(got.Files, got.Bytes) != "2 920" {
		t.Errorf("the same again: have %v, %s and %s, %+v", err, first, again, got)
	}
}

// TestDiskFails wants nothing lost and nothing half written where the disk takes nothing.
func TestDiskFails(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(dir, 1000)
	if err != nil {
		t.Fatal(err)
	}
	put(t, a, "door", noon, 100)
	if err := os.WriteFile(filepath.Join(dir, "yard"), nil, 0o600); err != nil { // a file where a folder is to be
		t.Fatal(err)
	}
	if _, err := a.Put("yard", noon, ulid.MustNewDefault(noon).String(), make([]byte, 10)); err == nil {
		t.Error("want an error, have none")
	}
	if got := a.Stats(); got.Files != 1 || got.Bytes != 100 {
		t.Errorf("want the first snapshot alone, have %+v", got)
	}
}
