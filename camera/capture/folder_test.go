package capture

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// album makes a folder of pictures; file i is i seconds younger than epoch.
func album(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range names {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		when := epoch.Add(time.Duration(i) * time.Second)
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReplayFolder(t *testing.T) {
	noLeak(t)
	dir := album(t, "b.JPG", "a.png", "c.webp", "d.jpeg", "e.txt", ".f.jpg", "g.jpg.part")
	if err := os.Mkdir(filepath.Join(dir, "dir.jpg"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.png", filepath.Join(dir, "link.png")); err != nil {
		t.Fatal(err)
	}
	start := epoch.Add(time.Hour)
	for _, test := range []struct {
		name string
		o    Options
		want [4]time.Time
	}{
		{"times of the files", Options{}, [4]time.Time{epoch.Add(time.Second), epoch, epoch.Add(2 * time.Second), epoch.Add(3 * time.Second)}},
		{"times of the files from a start on", Options{Start: start}, [4]time.Time{start, start.Add(-time.Second), start.Add(time.Second), start.Add(2 * time.Second)}},
		{"a rate", Options{FPS: 2}, [4]time.Time{epoch.Add(time.Second), epoch.Add(1500 * time.Millisecond), epoch.Add(2 * time.Second), epoch.Add(2500 * time.Millisecond)}},
		{"a rate and a start", Options{FPS: 1, Start: start}, [4]time.Time{start, start.Add(time.Second), start.Add(2 * time.Second), start.Add(3 * time.Second)}},
	} {
		test.o.Kind, test.o.Path = Replay, dir
		s := open(t, test.o)
		var shot Shot
		for i, name := range []string{"a.png", "b.JPG", "c.webp", "d.jpeg"} {
			if err := read(t, s, &shot); err != nil {
				t.Fatal(err)
			}
			if shot.File != name || string(shot.Data) != name || shot.Format != Encoded || shot.Seq != uint64(i+1) || !shot.Time.Equal(test.want[i]) {
				t.Errorf("%s: got %+v, want %s of %v", test.name, shot, name, test.want[i])
			}
		}
		for range 2 {
			if err := read(t, s, &shot); err != io.EOF {
				t.Errorf("%s: got %v at the end", test.name, err)
			}
		}
		closeStream(t, s)
		if err := read(t, s, &shot); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: got %v after Close", test.name, err)
		}
	}
}

func TestReplayFolderInRealTime(t *testing.T) {
	dir := album(t, "a.jpg", "b.jpg", "c.jpg")
	synctest.Test(t, func(t *testing.T) {
		s, err := mustNew(t, Options{Kind: Replay, Path: dir, Pace: true, Loop: true})(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var shot Shot
		for i := range 7 {
			if err := s.Read(&shot); err != nil {
				t.Fatal(err)
			}
			if want := string(rune('a'+i%3)) + ".jpg"; shot.File != want || shot.Seq != uint64(i+1) {
				t.Errorf("got %+v, want %s", shot, want)
			}
			if got, want := shot.Time.Sub(start), time.Duration(i)*200*time.Millisecond; got != want {
				t.Errorf("picture %d comes after %v, want %v", i, got, want)
			}
		}
		time.Sleep(10 * time.Second) // pictures that were missed don't come in a burst
		start = time.Now()
		for i, want := range []time.Duration{0, 200 * time.Millisecond} {
			if err := s.Read(&shot); err != nil || shot.Time.Sub(start) != want {
				t.Errorf("picture %d comes after %v, want %v (%v)", i, shot.Time.Sub(start), want, err)
			}
		}
		failed := make(chan error)
		go func() { failed <- s.Read(&shot) }()
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.Is(err, fs.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestReplayFolderFaults(t *testing.T) {
	noLeak(t)
	for _, test := range []struct {
		name, path, want string
	}{
		{"missing", filepath.Join(t.TempDir(), "x"), "no such file"},
		{"empty", t.TempDir(), "no pictures in it: want files with .jpg, .jpeg, .png, .webp"},
		{"no file", "/dev/null", "no folder and no regular file"},
		{"one picture", album(t, "a.JPG") + "/a.JPG", "want a folder or a video, have one picture"},
	} {
		if s, err := mustNew(t, Options{Kind: Replay, Path: test.path})(t.Context()); s != nil || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v", test.name, s, err)
		}
	}
	dir := album(t, "a.jpg", "b.jpg", "c.jpg")
	s := open(t, Options{Kind: Replay, Path: dir, Loop: true})
	if err := read(t, s, &Shot{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "b.jpg")); err != nil {
		t.Fatal(err)
	}
	var shot Shot
	if err := read(t, s, &shot); err != nil || shot.File != "c.jpg" || shot.Seq != 2 {
		t.Errorf("got %+v, %v", shot, err)
	}
	for _, name := range []string{"a.jpg", "c.jpg"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, s, "its pictures are gone")

	dir = album(t, "a.jpg", "a much longer name.jpg")
	s = open(t, Options{Kind: Replay, Path: dir, MaxBytes: 5})
	wantError(t, s, "a much longer name.jpg: it has 22 bytes, at most 5 are allowed")

	dir = album(t, "a.jpg")
	s = open(t, Options{Kind: Replay, Path: dir})
	if err := os.Rename(filepath.Join(dir, "a.jpg"), filepath.Join(dir, "b.jpg")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("b.jpg", filepath.Join(dir, "a.jpg")); err != nil {
		t.Fatal(err)
	}
	wantError(t, s, "a.jpg: it is no regular file")
}
