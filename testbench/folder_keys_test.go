package testbench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// put writes files below the board's folder, with the directories that they take.
func (b *board) put(t testing.TB, dir string, data []byte, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(b.dir, dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecursive has directories come while the daemon runs, file by file and as whole trees, with files in them that are to be
// left alone.
func TestRecursive(t *testing.T) {
	t.Parallel()
	b := newFolderBoard(t, embedded, `recursive: true, ignore: ["thumb_*", "raw/", "cam1/test-?.jpg"]`)
	p, url := b.run(t)
	r := record(t, url)
	data := drawnJPEG(t, "parachute", 100)
	b.put(t, "inbox", data, "first.jpg")
	r.of(t, "first.jpg") // done/ is there

	b.put(t, "inbox", data, "cam1/day 1/a.jpg", "cam1/test-12.jpg", "thumb.jpg")
	left := []string{".hidden.jpg", "cam1/raw/b.jpg", "cam1/test-1.jpg", "cam1/thumb_c.jpg", "done/own.jpg", "notes.txt", "thumb_d.jpg"}
	b.put(t, "inbox", data, left...)
	b.put(t, "tree", data, "x/y/e.jpg", "x/y/z/f.jpg", "x/raw/g.jpg", "x/done/h.jpg")
	b.put(t, "outside", data, "i.jpg")
	for name, to := range map[string]string{"link.jpg": "../outside/i.jpg", "linked": "../outside"} {
		if err := os.Symlink(to, filepath.Join(b.inbox, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(b.dir, "tree"), filepath.Join(b.inbox, "tree")); err != nil {
		t.Fatal(err)
	}
	classified := []string{"first.jpg", "cam1/day 1/a.jpg", "cam1/test-12.jpg", "thumb.jpg", "tree/x/y/e.jpg", "tree/x/y/z/f.jpg", "tree/x/done/h.jpg"}
	for _, file := range classified {
		if e := r.of(t, file); e.Type != "classified" || e.Label != "parachute" {
			t.Errorf("%s: want a parachute, have %s", file, e.payload)
		}
	}
	b.list(t, ".hidden.jpg", "cam1/raw/b.jpg", "cam1/test-1.jpg", "cam1/thumb_c.jpg",
		"done/cam1/day 1/a.jpg", "done/cam1/test-12.jpg", "done/first.jpg", "done/own.jpg", "done/thumb.jpg",
		"done/tree/x/done/h.jpg", "done/tree/x/y/e.jpg", "done/tree/x/y/z/f.jpg",
		"link.jpg", "linked", "notes.txt", "thumb_d.jpg", "tree/x/raw/g.jpg")
	if h := r.health(t); h.Status != "ok" || h.Sources[0].Ignored < 4 { // thumb_*, test-?.jpg and link.jpg
		t.Errorf("want the files counted that were left alone, have %+v", h)
	}
	p.stop(t)
	r.once(t, classified...)
}

// TestResultsBeside drops a picture and a file that is none: the event of each is in a file beside it.
func TestResultsBeside(t *testing.T) {
	t.Parallel()
	b := newFolderBoard(t, embedded, "results: true")
	p, url := b.run(t)
	r := record(t, url)
	b.drop(t, 1, "good.jpg", drawnJPEG(t, "parachute", 100))
	b.drop(t, 1, "bad.jpg", []byte("no picture"))
	good, bad := r.of(t, "good.jpg"), r.of(t, "bad.jpg")
	b.refused(t, bad)
	b.list(t, "done/good.jpg", "done/good.jpg.json", "failed/bad.jpg", "failed/bad.jpg.json", "failed/bad.jpg.txt")
	b.content(t, "done/good.jpg.json", []byte(good.payload+"\n"))
	b.content(t, "failed/bad.jpg.json", []byte(bad.payload+"\n"))
	p.stop(t)
}

// TestQuotas bounds done/ and failed/: what was filed first goes first, with what belongs to it.
func TestQuotas(t *testing.T) {
	t.Parallel()
	b := newFolderBoard(t, embedded, "results: true, done: {max_files: 9}, failed: {max_files: 3}")
	p, url := b.run(t)
	r := record(t, url)
	const good, bad = 30, 3
	for i := range good {
		b.drop(t, 0, fmt.Sprintf("good %02d.jpg", i), drawnJPEG(t, "parachute", 50+i))
		if i == good-2 {
			r.of(t, fmt.Sprintf("good %02d.jpg", i)) // so that the last one comes last
		}
	}
	r.of(t, fmt.Sprintf("good %02d.jpg", good-1))
	for i := range bad {
		name := fmt.Sprintf("bad %02d.jpg", i)
		b.drop(t, 0, name, []byte("no picture"))
		b.refused(t, r.of(t, name))
	}
	b.filedSome(t)
	done, failed := list(t, filepath.Join(b.inbox, "done")), list(t, filepath.Join(b.inbox, "failed"))
	last := fmt.Sprintf("good %02d.jpg", good-1)
	if n := len(done); n > 9 || n < 2 || n%2 != 0 || done[n-2] != last || done[n-1] != last+".json" {
		t.Errorf("done/: want at most 9 files, pictures and their results, %s among them, have %q", last, done)
	}
	if want := "bad 02.jpg bad 02.jpg.json bad 02.jpg.txt"; strings.Join(failed, " ") != want {
		t.Errorf("failed/: want %s, have %q", want, failed)
	}
	if h, want := r.health(t), 2*good+3*bad-len(done)-len(failed); h.Sources[0].Removed != want || h.Sources[0].Done != good {
		t.Errorf("want %d done and %d files removed, have %+v", good, want, h.Sources)
	}
	p.stop(t)
}

// filedSome waits until the watched folder is empty.
func (b *board) filedSome(t testing.TB) {
	t.Helper()
	eventually(t, func() bool { return len(list(t, b.inbox)) == 0 }, func() string {
		return fmt.Sprintf("want an empty folder, have %q", list(t, b.inbox))
	})
}

// TestKeep leaves the pictures where they are. They are not classified again, neither after a clean stop nor after a kill, but
// for one that is written anew.
func TestKeep(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t)
	b := newFolderBoard(t, fmt.Sprintf("broker: %q", m.url), "after: keep, results: true")
	r := record(t, m.url)
	names := []string{"a.jpg", "b.jpg", "c.jpg"}
	b.put(t, "inbox", drawnJPEG(t, "parachute", 100), names...)
	idle := func() *process {
		p, _ := b.run(t)
		for _, name := range names {
			r.of(t, name)
		}
		// A kill may come between an event and its record: see perKill. Those here come later.
		eventually(t, func() bool { return r.health(t).Sources[0].Pending == 0 }, func() string { return "pictures are pending" })
		return p
	}
	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGTERM} {
		idle().signal(t, end)
		name := fmt.Sprintf("d%d.jpg", len(names)) // for the next one
		b.put(t, "inbox", drawnJPEG(t, "parachute", 100), name)
		names = append(names, name)
	}
	p := idle()
	r.once(t, names...)
	before := r.of(t, "a.jpg")
	again := drawnJPEG(t, "golf_ball", 100)
	b.put(t, "inbox", again, "a.jpg")
	e := r.event(t, "the new a.jpg", func(e told) bool { return e.File == "a.jpg" && e.ID != before.ID })
	if e.Label != "golf ball" {
		t.Errorf("want a golf ball, have %s", e.payload)
	}
	var files []string
	for _, name := range names {
		files = append(files, name, name+".json")
	}
	b.list(t, files...)
	b.content(t, "a.jpg", again)
	p.stop(t)
	b.content(t, "a.jpg.json", []byte(e.payload+"\n"))
}

// TestDelete has pictures deleted when their events have arrived.
func TestDelete(t *testing.T) {
	t.Parallel()
	b := newFolderBoard(t, embedded, "after: delete")
	p, url := b.run(t)
	r := record(t, url)
	names := b.dropFiles(t, pictureFiles(t, 6))
	for _, name := range names {
		r.of(t, name)
	}
	b.list(t)
	p.stop(t)
	r.once(t, names...)
}

// TestSwitchedOff switches one of two folders off over MQTT, for longer than the daemon runs: its pictures wait.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	b := newBoard(t, embedded)
	b.configure(t, "sources:\n", "sources:\n  - {name: other, type: folder, path: ./other, settle: 200ms}\n")
	data := drawnJPEG(t, "parachute", 100)
	p, url := b.run(t)
	r := record(t, url)
	r.says(t, "inbox/availability", "online")
	r.send(t, "inbox/set", `{"enabled":false}`)
	r.says(t, "inbox/availability", "disabled")
	r.says(t, "inbox/state", `"enabled":false`)
	b.drop(t, 0, "waits.jpg", data)
	b.put(t, "other", data, "other.jpg")
	r.of(t, "other.jpg")
	p.stop(t)
	r.leave()
	r.once(t, "other.jpg")

	p, url = b.run(t)
	r = record(t, url)
	r.says(t, "inbox/availability", "disabled")
	b.put(t, "other", data, "another.jpg")
	r.of(t, "another.jpg")
	if h := r.health(t); h.Sources[1].Name != "inbox" || h.Sources[1].Seen != 0 || h.Sources[1].Pending != 1 {
		t.Errorf("want a picture that waits in inbox, have %+v", h.Sources)
	}
	b.list(t, "waits.jpg")
	r.send(t, "inbox/set", `{"enabled":true}`)
	r.of(t, "waits.jpg")
	r.says(t, "inbox/availability", "online")
	b.filed(t, "waits.jpg")
	p.stop(t)
	r.once(t, "another.jpg", "waits.jpg")
}
