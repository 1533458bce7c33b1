package camera

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// kept opens a folder with AfterKeep, as if sightd had been started anew.
func kept(t *testing.T, dir, state string) *stepped {
	return newStepped(t, func(o *FolderOptions) {
		o.Path, o.StateDir, o.After, o.Recursive = dir, state, AfterKeep, true
	})
}

func TestKeepAcrossRestarts(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()+"/made"
	s := kept(t, dir, state)
	for _, name := range []string{"a.jpg", "b.jpg", "sub/\xff\n\".jpg"} {
		s.write(name, "END 1")
	}
	s.after(testSettle)
	for item := s.take(); item != nil; item = s.take() {
		if item.File != "b.jpg" {
			must(t, item.Done(nil))
		}
	}
	s.after(time.Minute)
	s.wantNext()

	s = kept(t, dir, state) // b.jpg was outstanding
	s.after(testSettle)
	must(t, s.wantNext("b.jpg")[0].Done(nil))
	s.after(time.Minute)
	s.wantNext()

	// Another content, also with the same time and size, is new.
	info, err := os.Stat(dir + "/b.jpg")
	must(t, err)
	s.write("new", "END 2")
	must(t, os.Chtimes(dir+"/new", info.ModTime(), info.ModTime()))
	must(t, os.Rename(dir+"/new", dir+"/b.jpg"))
	s.write("a.jpg", "END again")
	s = kept(t, dir, state)
	s.after(testSettle)
	if n := len(s.wantNext("a.jpg", "b.jpg")); n != 2 {
		t.Errorf("%d items", n)
	}
	wantFiles(t, dir, "a.jpg", "b.jpg", "sub/\xff\n\".jpg")
}

// restore makes files anew, with their content and times, as from a backup.
func restore(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		info, err := os.Stat(dir + "/" + name)
		must(t, err)
		content := read(t, dir+"/"+name)
		must(t, os.Rename(dir+"/"+name, dir+"/.old "+name)) // so that the inode isn't used again
		write(t, dir+"/"+name, content)
		must(t, os.Chtimes(dir+"/"+name, info.ModTime(), info.ModTime()))
	}
}

// Files of the same name, size and time with other inodes: the content decides, and that is remembered.
func TestKeepRestored(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	path := state + "/folder-inbox.processed"
	s := kept(t, dir, state)
	for _, name := range []string{"a.jpg", "b.jpg"} {
		must(t, s.one(name, "END 1").Done(nil))
	}
	restore(t, dir, "a.jpg", "b.jpg")
	info, err := os.Stat(dir + "/b.jpg")
	must(t, err)
	s.write("b.jpg", "END 2")
	must(t, os.Chtimes(dir+"/b.jpg", info.ModTime(), info.ModTime()))

	s = kept(t, dir, state)
	s.after(testSettle)
	other := s.wantNext("b.jpg")[0]
	s.after(time.Minute)
	if stats := s.Stats(); stats.Pending != 1 || stats.Seen != 1 {
		t.Errorf("stats are %+v", stats)
	}
	must(t, other.Done(nil))
	lines := strings.Count(read(t, path), "\n")
	if lines != 1+2+2 {
		t.Errorf("%d lines", lines)
	}

	// Restored while it is watched: the time is set at last, when the content was there.
	restore(t, dir, "a.jpg")
	s.after(time.Minute)
	s.wantNext()

	s = kept(t, dir, state) // nothing is compared again
	s.opts.Whole = func(*io.SectionReader) error { t.Error("looked into again"); return nil }
	s.after(time.Minute)
	s.wantNext()
	wantFiles(t, state, "folder-inbox.processed")
}

// A disk that is mounted anew may be another volume by its number: each file is compared once, after the new ones.
func TestKeepOnOtherVolume(t *testing.T) {
	for _, inodes := range []bool{true, false} {
		dir, state := t.TempDir(), t.TempDir()
		s := kept(t, dir, state)
		for _, name := range []string{"a.jpg", "b.jpg"} {
			must(t, s.one(name, "END").Done(nil))
		}
		path := state + "/folder-inbox.processed"
		volume := fmt.Sprintf(" %016x ", s.volume)
		write(t, path, strings.ReplaceAll(read(t, path), volume, " 0123456789abcdef "))
		s.write("new.jpg", "END")

		s = kept(t, dir, state)
		looks := 0
		s.opts.Whole = func(file *io.SectionReader) error { looks++; return wholeText(file) }
		s.inodes = inodes
		s.after(testSettle)
		must(t, s.take().Done(nil))
		if looks != 1 {
			t.Errorf("%d looks before the new picture", looks)
		}
		s.wantNext()
		s.after(time.Minute)
		s.wantNext()
		if looks != 3 || strings.Count(read(t, path), volume) != 3 {
			t.Errorf("%d looks, journal:\n%s", looks, read(t, path))
		}
	}
}

// Where times are coarse, another picture may have the same size and time, and be known by its event alone.
func TestKeepCoarseTimes(t *testing.T) {
	s := kept(t, t.TempDir(), t.TempDir())
	at := time.Unix(1_700_000_000, 0)
	rewrite := func(content string) {
		s.write("a.jpg", content)
		must(t, os.Chtimes(s.dir+"/a.jpg", at, at))
		s.event(fsnotify.Event{Name: s.dir + "/a.jpg", Op: fsnotify.Write}, s.now)
		s.after(testSettle)
	}
	rewrite("END 1")
	must(t, s.wantNext("a.jpg")[0].Done(nil))
	rewrite("END 2")
	must(t, s.wantNext("a.jpg")[0].Done(nil))
	rewrite("END 2")
	s.wantNext()
	if n := s.Stats().Pending; n != 0 {
		t.Errorf("%d are pending", n)
	}
}

// The state file of an earlier version: its files are known by their inodes, and those that come are added.
func TestJournalVersion1(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	s := kept(t, dir, state)
	for _, name := range []string{"a.jpg", "b.jpg"} {
		must(t, s.one(name, "END").Done(nil))
	}
	path := state + "/folder-inbox.processed"
	old := regexp.MustCompile(` [0-9a-f]{64} `).ReplaceAllString(read(t, path), " ")
	write(t, path, strings.Replace(old, "version 2", "version 1", 1))
	restore(t, dir, "b.jpg")
	s = kept(t, dir, state)
	s.after(testSettle)
	must(t, s.wantNext("b.jpg")[0].Done(nil))
	must(t, s.one("c.jpg", "END").Done(nil))
	s = kept(t, dir, state)
	s.after(time.Minute)
	s.wantNext()
	if text := read(t, path); s.logged("damaged") != 0 || strings.Count(text, "\n") != 1+2+2 || !strings.HasPrefix(text, old[:20]) {
		t.Errorf("journal:\n%s\nlog:\n%s", text, &s.log)
	}
}

func TestKeepRefused(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	s := kept(t, dir, state)
	must(t, s.one("a.jpg", "BAD").Refuse("bad", nil))
	wantFiles(t, dir, "failed/a.jpg", "failed/a.jpg.txt")

	// Where it can't be moved, as in an archive that is read-only, it is remembered.
	must(t, os.RemoveAll(dir+"/failed"))
	s.write("failed", "in the way")
	if s.one("b.jpg", "BAD").Refuse("bad", nil) == nil {
		t.Error("no error")
	}
	s.after(time.Hour)
	s.wantNext()
	s = kept(t, dir, state)
	s.after(time.Minute)
	s.wantNext()
	if n := s.Stats().Pending; n != 0 {
		t.Errorf("%d files are pending", n)
	}
}

// The lines of deleted files go; those of a disk that is away, with an empty directory in its place, stay.
func TestJournalIsCompacted(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	path := state + "/folder-inbox.processed"
	lines := func() int { return strings.Count(read(t, path), "\n") }
	s := kept(t, dir, state)
	const n = 1500
	for i := range n {
		s.write(fmt.Sprintf("%04d.jpg", i), "END")
	}
	s.after(testSettle)
	for item := s.take(); item != nil; item = s.take() {
		must(t, item.Done(nil))
	}
	if got := lines(); got != n+1 {
		t.Errorf("%d lines", got)
	}

	must(t, os.Rename(dir, dir+".away"))
	must(t, os.Mkdir(dir, 0o777))
	s.after(time.Minute)
	must(t, os.Remove(dir))
	must(t, os.Rename(dir+".away", dir))
	s.after(time.Minute)
	s.wantNext()

	for i := range n - 10 {
		must(t, os.Remove(fmt.Sprintf("%s/%04d.jpg", dir, i)))
	}
	s.after(time.Minute)
	if got := lines(); got != 10+1 {
		t.Errorf("%d lines", got)
	}
	s = kept(t, dir, state)
	s.after(time.Minute)
	s.wantNext()
	wantFiles(t, state, "folder-inbox.processed")
}

func TestJournalSkipsDamage(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	s := kept(t, dir, state)
	must(t, s.one("a.jpg", "END").Done(nil))
	must(t, s.one("b.jpg", "END").Done(nil))
	path := state + "/folder-inbox.processed"
	text := read(t, path)
	damaged := "garbage\n" + strings.Repeat("x", 3*maxLine) + "\n" + text + "12 34.000000000 5 6 \"cut"
	write(t, path, damaged)

	s = kept(t, dir, state)
	must(t, s.one("c.jpg", "END").Done(nil))
	if n := s.logged("lines=3"); n != 1 {
		t.Errorf("logged:\n%s", &s.log)
	}
	s = kept(t, dir, state)
	s.after(time.Minute)
	s.wantNext()
}

func TestJournalWithoutDisk(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	s := kept(t, dir, state)
	path := state + "/folder-inbox.processed"
	must(t, os.Mkdir(path, 0o777)) // in the way
	if s.one("a.jpg", "END").Done(nil) == nil {
		t.Error("no error")
	}
	s.after(time.Minute)
	s.wantNext()
	if n := s.logged("can't be remembered"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &s.log)
	}
	must(t, os.Remove(path))
	s.after(time.Minute)
	if n := s.logged("are remembered again"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &s.log)
	}
	s = kept(t, dir, state)
	s.after(time.Minute)
	s.wantNext()

	must(t, os.RemoveAll(path))
	must(t, os.Mkdir(path, 0o777))
	opts := s.opts
	if f, err := newFolder(opts, s.clock); err == nil {
		must(t, f.Close())
		t.Error("a state file that can't be read is no error")
	}
}

// A line that was written in part is completed by the next write.
func TestJournalPartialWrite(t *testing.T) {
	state := t.TempDir()
	j, err := openJournal(state, "inbox", slog.New(slog.DiscardHandler))
	must(t, err)
	must(t, j.add("a.jpg", identity{size: 1}, contentSum{}, 0, 0))
	rest := record{size: 2, name: "b.jpg"}.appendLine(nil)
	file, err := os.OpenFile(j.path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = file.Write(rest[:5])
	must(t, err)
	must(t, file.Close())
	j.unsaved = rest[5:]
	if more, _ := j.save(0); more {
		t.Error("there is more to save")
	}
	j, err = openJournal(state, "inbox", slog.New(slog.DiscardHandler))
	must(t, err)
	for name, size := range map[string]int64{"a.jpg": 1, "b.jpg": 2} {
		if known, _ := j.has(name, identity{size: size}, true, 0, 0); !known {
			t.Errorf("%s was forgotten", name)
		}
	}
}

func TestParseRecord(t *testing.T) {
	good := `48213 1767348000.123456789 1049123 9f3a21c0d4e5b677 "cam1/0007.jpg"`
	r, err := parseRecord([]byte(good))
	must(t, err)
	want := record{
		size: 48213, mtime: unix.Timespec{Sec: 1767348000, Nsec: 123456789},
		ino: 1049123, volume: 0x9f3a21c0d4e5b677, name: "cam1/0007.jpg",
	}
	if r != want || string(r.appendLine(nil)) != good+"\n" {
		t.Errorf("got %+v, %s", r, r.appendLine(nil))
	}
	sum := strings.Repeat("0123456789abcdef", 4)
	good = strings.Replace(good, ` "`, " "+sum+` "`, 1)
	r, err = parseRecord([]byte(good))
	must(t, err)
	want.sum = contentSum{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}
	for i := range want.sum {
		want.sum[i] = want.sum[i%8]
	}
	if r != want || string(r.appendLine(nil)) != good+"\n" {
		t.Errorf("got %+v, %s", r, r.appendLine(nil))
	}
	for _, line := range []string{
		"", " ", "    ", "1 2 3", `1 2.000000000 3 4`, `x 2.000000000 3 4 "a"`, `1 2 3 4 "a"`, `1 2.0 3 4 "a"`,
		`1 x.000000000 3 4 "a"`, `1 2.00000000x 3 4 "a"`, `1 2.000000000 -3 4 "a"`, `1 2.000000000 3 xyz "a"`,
		`1 2.000000000 3 4 a`, `1 2.000000000 3 4 "a`, `1 2.000000000 3 4 ""`, "1 2.000000000 3 4 `a`",
		`99999999999999999999 2.000000000 3 4 "a"`, `1 2.000000000 3 4 0123 "a"`, `1 2.000000000 3 4 ` + sum + `00 "a"`,
		`1 2.000000000 3 4 ` + sum, `1 2.000000000 3 4 ` + sum + ` a`, `1 2.000000000 3 4 ` + strings.Repeat("x", 64) + ` "a"`,
	} {
		if r, err := parseRecord([]byte(line)); err == nil {
			t.Errorf("%q gives %+v", line, r)
		}
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(journalHead + `48213 1767348000.123456789 1049123 9f3a21c0d4e5b677 "cam1/0007.jpg"` + "\n"))
	f.Add([]byte(`48213 1767348000.123456789 1049123 9f3a21c0d4e5b677 ` + strings.Repeat("01", 32) + ` "cam1/0007.jpg"`))
	f.Add([]byte(`1 -2.000000000 3 4 "\xff\n\u202e"`))
	f.Add(bytes.Repeat([]byte("x"), maxLine+1))
	f.Add([]byte("\n\n#\n1 2"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var rewritten []byte
		var records []record
		bad, _, err := readRecords(bytes.NewReader(data), func(r record) {
			records = append(records, r)
			rewritten = r.appendLine(rewritten)
		})
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(data, []byte("\n")) + 1; bad+len(records) > lines {
			t.Fatalf("%d records and %d bad lines in %d lines", len(records), bad, lines)
		}
		i := 0
		bad, complete, err := readRecords(bytes.NewReader(rewritten), func(r record) {
			if r != records[i] {
				t.Fatalf("wrote %+v, read %+v", records[i], r)
			}
			i++
		})
		if bad != 0 || !complete || err != nil || i != len(records) {
			t.Fatalf("read %d of %d records again: %d bad, %v", i, len(records), bad, err)
		}
	})
}
