package camera

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// one hands out the picture that the test has just written.
func (s *stepped) one(name, content string) *Item {
	s.t.Helper()
	s.write(name, content)
	s.after(pollInterval + testSettle)
	return s.wantNext(name)[0]
}

func TestCollisions(t *testing.T) {
	s := newStepped(t, func(o *FolderOptions) { o.Recursive = true })
	for i := range 12 {
		must(t, s.one("x.jpg", fmt.Sprint("END ", i)).Done(nil))
		must(t, s.one("sub/x.jpg", "END sub").Done(nil))
		must(t, s.one("y.jpg", fmt.Sprint("BAD ", i)).Refuse("bad", nil))
	}
	for i := range 12 {
		suffix := ""
		if i > 0 {
			suffix = fmt.Sprintf("-%d", i)
		}
		if got := read(t, s.dir+"/done/x"+suffix+".jpg"); got != fmt.Sprint("END ", i) {
			t.Errorf("x%s.jpg is %q", suffix, got)
		}
		if got := read(t, s.dir+"/failed/y"+suffix+".jpg.txt"); got != "2026-09-23T10:15:30Z bad\n" {
			t.Errorf("y%s.jpg.txt is %q", suffix, got)
		}
	}
	if n := len(files(t, s.dir)); n != 4*12 {
		t.Errorf("%d files are left", n)
	}
}

func TestFreeName(t *testing.T) {
	dir := t.TempDir()
	d, err := os.Open(dir)
	must(t, err)
	defer d.Close()
	for n := range 300 {
		if got, want := freeName(d, "x.jpg", nameMax, nil), numbered("x.jpg", n+1, nameMax); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		write(t, dir+"/"+numbered("x.jpg", n+1, nameMax), "")
	}
}

func TestRenameWithoutNoReplace(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a", "a")
	write(t, dir+"/b", "b")
	d, err := os.Open(dir)
	must(t, err)
	defer d.Close()
	if err := renameReserved(d, "a", d, "b"); !errors.Is(err, unix.EEXIST) {
		t.Errorf("got %v", err)
	}
	must(t, renameReserved(d, "a", d, "c"))
	if err := renameReserved(d, "a", d, "d"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v", err)
	}
	wantFiles(t, dir, "b", "c")
	if got := read(t, dir+"/c"); got != "a" {
		t.Errorf("c is %q", got)
	}
}

// A picture that comes under the name of one that is outstanding is its own item, whatever way it comes.
func TestReplacedWhileOutstanding(t *testing.T) {
	ends := map[string]func(*Item) error{
		"done":   func(it *Item) error { return it.Done(nil) },
		"refuse": func(it *Item) error { return it.Refuse("bad", nil) },
		"release": func(it *Item) error {
			if _, err := it.Open(); !errors.Is(err, ErrFileChanged) {
				return fmt.Errorf("open gave %v", err)
			}
			it.Release()
			return nil
		},
	}
	replace := map[string]func(path string){
		"written": func(path string) { write(t, path, "END new one") },
		"renamed": func(path string) {
			write(t, path+".part", "END new")
			must(t, os.Chtimes(path+".part", time.Unix(9, 0), time.Unix(9, 0)))
			must(t, os.Rename(path+".part", path))
		},
		"linked": func(path string) {
			must(t, os.Remove(path))
			write(t, path+".x", "END new")
			must(t, os.Link(path+".x", path))
		},
	}
	for _, after := range []After{AfterMove, AfterKeep, AfterDelete} {
		for end, finish := range ends {
			for how, change := range replace {
				t.Run(fmt.Sprint(after, end, how), func(t *testing.T) {
					s := newStepped(t, func(o *FolderOptions) { o.After, o.StateDir = after, t.TempDir() })
					old := s.one("a.jpg", "END old")
					must(t, os.Chtimes(s.dir+"/a.jpg", time.Unix(9, 0), time.Unix(9, 0)))
					old.Release()
					s.after(2 * time.Second)
					old = s.wantNext("a.jpg")[0]
					change(s.dir + "/a.jpg")
					must(t, finish(old))
					s.after(2 * time.Second)
					item := s.wantNext("a.jpg")[0]
					if item.ID == old.ID {
						t.Errorf("both have the ID %s", item.ID)
					}
					if got := read(t, s.dir+"/a.jpg"); !strings.HasPrefix(got, "END new") {
						t.Errorf("a.jpg is %q", got)
					}
					must(t, item.Done(nil))
					s.after(time.Minute)
					s.wantNext()
				})
			}
		}
	}
}

// The check and the move are two steps: a file that comes between them is moved back.
func TestReplacedWhileMoved(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.jpg", "new")
	write(t, dir+"/done/x", "")
	from, err := os.Open(dir)
	must(t, err)
	defer from.Close()
	to, err := os.Open(dir + "/done")
	must(t, err)
	defer to.Close()
	src := source{dir: from, base: "a.jpg", inodes: true, itemID: "ID"}
	got, err := renameFree(from, "a.jpg", to, "a.jpg", nameMax, nil)
	must(t, err)
	if _, err := src.verify(to, got, nil); !errors.Is(err, ErrFileChanged) {
		t.Errorf("got %v", err)
	}
	wantFiles(t, dir, "a.jpg", "done/x")
}

func TestTakenAway(t *testing.T) {
	s := newStepped(t, func(o *FolderOptions) { o.Recursive = true })
	item := s.one("a.jpg", "END")
	must(t, os.Remove(s.dir+"/a.jpg"))
	must(t, item.Done(nil))
	item = s.one("sub/b.jpg", "END")
	must(t, os.RemoveAll(s.dir+"/sub"))
	must(t, item.Refuse("bad", nil))
	item = s.one("c.jpg", "END")
	must(t, os.Remove(s.dir+"/c.jpg"))
	if _, err := item.Open(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open gave %v", err)
	}
	item.Release()
	s.after(time.Minute)
	s.wantNext()
	if stats := s.Stats(); stats.Pending != 0 {
		t.Errorf("stats are %+v", stats)
	}
}

func TestItemEndsOnce(t *testing.T) {
	s := newStepped(t, nil)
	item := s.one("a.jpg", "END")
	item.Release()
	if item.Done(nil) == nil || item.Refuse("", nil) == nil {
		t.Error("ended twice")
	}
	s.after(2 * time.Second)
	item = s.wantNext("a.jpg")[0]
	must(t, item.Done(nil))
	if item.Done(nil) == nil {
		t.Error("done twice")
	}
	item.Release()
	s.after(time.Minute)
	s.wantNext()
}

// done/ can't be made: the picture was processed all the same, and is moved when that works again.
func TestMoveFails(t *testing.T) {
	s := newStepped(t, nil)
	s.write("done", "in the way")
	s.write("failed", "in the way")
	for _, name := range []string{"a.jpg", "b.jpg"} {
		item := s.one(name, "END")
		finish := func() error { return item.Done(nil) }
		if name == "b.jpg" {
			finish = func() error { return item.Refuse("bad", nil) }
		}
		if err := finish(); err == nil || !errors.Is(err, unix.ENOTDIR) || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v", err)
		}
	}
	s.after(time.Hour)
	s.wantNext()
	if n := s.logged("trying again"); n != 2 {
		t.Errorf("logged %d times", n)
	}
	if n := s.Stats().Errors; n < 120 || n > 140 { // 1 s, 2 s … 1 min
		t.Errorf("%d tries", n)
	}
	must(t, os.Remove(s.dir+"/done"))
	must(t, os.Remove(s.dir+"/failed"))
	s.after(time.Minute)
	wantFiles(t, s.dir, "done/a.jpg", "failed/b.jpg", "failed/b.jpg.txt")
	if stats := s.Stats(); stats.Pending != 0 || stats.Done != 1 || stats.Refused != 1 {
		t.Errorf("stats are %+v", stats)
	}
}

// While moving fails, another picture may take the name.
func TestReplacedWhileMoveFails(t *testing.T) {
	s := newStepped(t, nil)
	s.write("done", "in the way")
	if s.one("a.jpg", "END").Done(nil) == nil {
		t.Fatal("done without done/")
	}
	s.write("a.jpg", "END new")
	s.after(2 * time.Minute)
	if item := s.wantNext("a.jpg")[0]; item.Size != 7 {
		t.Errorf("size is %d", item.Size)
	}
}

func TestDoneIsALink(t *testing.T) {
	s := newStepped(t, nil)
	must(t, os.Symlink(".", s.dir+"/done"))
	if err := s.one("a.jpg", "END").Done(nil); err == nil {
		t.Error("done/ is the folder itself")
	}
	s.after(time.Minute)
	s.wantNext()
}

func TestDelete(t *testing.T) {
	s := newStepped(t, func(o *FolderOptions) { o.After = AfterDelete })
	must(t, s.one("a.jpg", "END").Done(nil))
	must(t, s.one("b.jpg", "BAD").Refuse("bad", nil))
	wantFiles(t, s.dir, "failed/b.jpg", "failed/b.jpg.txt")
}

func TestLongNames(t *testing.T) {
	s := newStepped(t, nil)
	long := strings.Repeat("ü", 125) + "x.jpg" // 255 bytes
	must(t, s.one(long, "END").Done(nil))
	must(t, s.one(long, "END").Done(nil))
	must(t, s.one(long, "BAD").Refuse("bad", nil))
	cut := strings.Repeat("ü", 123)
	wantFiles(t, s.dir, "done/"+strings.Repeat("ü", 124)+"-1.jpg", "done/"+long, "failed/"+cut+".jpg", "failed/"+cut+".jpg.txt")
}

// The reason is written to a new file, not through what somebody left under its name.
func TestReasonFile(t *testing.T) {
	away := t.TempDir()
	write(t, away+"/precious", "precious")
	s := newStepped(t, nil)
	must(t, os.Mkdir(s.dir+"/failed", 0o777))
	must(t, os.Symlink(away+"/precious", s.dir+"/failed/a.jpg.txt"))
	must(t, s.one("a.jpg", "BAD").Refuse("bad", nil))
	if got := read(t, away+"/precious"); got != "precious" {
		t.Errorf("wrote %q", got)
	}
	must(t, os.Mkdir(s.dir+"/failed/b.jpg.txt", 0o777))
	if err := s.one("b.jpg", "BAD").Refuse("bad", nil); err == nil {
		t.Error("no error")
	}
	s.after(time.Minute)
	s.wantNext()
	wantFiles(t, s.dir, "failed/a.jpg", "failed/a.jpg.txt", "failed/b.jpg")
}

// Two file systems: the picture is copied.
func TestMoveToOtherFileSystem(t *testing.T) {
	dir := t.TempDir()
	other, err := os.MkdirTemp("/dev/shm", "folder")
	if err != nil {
		t.Skip("needs another file system:", err)
	}
	t.Cleanup(func() { must(t, os.RemoveAll(other)) })
	write(t, dir+"/a.jpg", "END")
	write(t, other+"/a.jpg", "")
	write(t, other+"/.sightd-ID.part", "left by a crash")
	must(t, os.Chmod(dir+"/a.jpg", 0o640))
	must(t, os.Chtimes(dir+"/a.jpg", time.Unix(5, 7), time.Unix(5, 7)))
	from, err := os.Open(dir)
	must(t, err)
	defer from.Close()
	to, err := os.Open(other)
	must(t, err)
	defer to.Close()
	st, err := statAt(from, "a.jpg")
	must(t, err)
	src := source{dir: from, base: "a.jpg", id: identityOf(&st), inodes: true, itemID: "ID"}
	if there, err := statAt(to, "a.jpg"); err != nil || there.Dev == st.Dev {
		t.Skip("needs another file system")
	}

	changed := src
	changed.id.size++
	if _, err := changed.copyTo(to, "a.jpg", nameMax, nil); !errors.Is(err, ErrFileChanged) {
		t.Errorf("got %v", err)
	}
	got, err := src.moveTo(to, "a.jpg", nameMax, nil)
	if got != "a-1.jpg" || err != nil {
		t.Fatalf("got %s, %v", got, err)
	}
	wantFiles(t, dir)
	wantFiles(t, other, "a-1.jpg", "a.jpg")
	info, err := os.Stat(filepath.Join(other, got))
	must(t, err)
	if info.Mode() != 0o640 || !info.ModTime().Equal(time.Unix(5, 7)) || read(t, filepath.Join(other, got)) != "END" {
		t.Errorf("copy is %v of %v", info.Mode(), info.ModTime())
	}
	if _, err := src.moveTo(to, "a.jpg", nameMax, nil); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
}

func TestStableID(t *testing.T) {
	dir := t.TempDir()
	ids := map[string]bool{}
	for range 2 {
		s := newStepped(t, func(o *FolderOptions) { o.Path = dir })
		s.write("a.jpg", "END")
		must(t, os.Chtimes(dir+"/a.jpg", time.Unix(1_700_000_000, 5e6), time.Unix(1_700_000_000, 5e6)))
		s.after(testSettle)
		ids[s.wantNext("a.jpg")[0].ID] = true
	}
	if !ids["01HF7YAT05QNQ6Q5FDGKNJ5DBM"] || len(ids) != 1 {
		t.Errorf("ids are %v", ids)
	}
	at := func(sec, nsec int64) string {
		return pictureID("s", "n", identity{mtime: unix.Timespec{Sec: sec, Nsec: nsec}}, contentSum{})[:10]
	}
	for _, test := range []struct {
		sec, nsec int64
		want      string
	}{
		{0, 0, "0000000000"},
		{0, 999_999, "0000000000"},
		{0, 1_000_000, "0000000001"},
		{-1, 999_000_000, "0000000000"},
		{1 << 40, 0, "7ZZZZZZZZZ"},
		{281474976710, 655_000_000, "7ZZZZZZZZZ"},
	} {
		if got := at(test.sec, test.nsec); got != test.want {
			t.Errorf("%d.%09d: got %s, want %s", test.sec, test.nsec, got, test.want)
		}
	}
}
