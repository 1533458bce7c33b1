package camera

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

func TestRoomIsBounded(t *testing.T) {
	s := newStepped(t, nil)
	s.room = 10
	want := map[string]bool{}
	for i := range 35 {
		name := fmt.Sprintf("%02d.jpg", i)
		s.write(name, "END")
		want[name] = true
	}
	for rounds := 0; len(want) > 0 && rounds < 10; rounds++ {
		s.after(testSettle)
		if n := s.Stats().Pending; n > 10 {
			t.Errorf("%d files are pending", n)
		}
		for item := s.take(); item != nil; item = s.take() {
			if !want[item.File] {
				t.Errorf("got %s", item.File)
			}
			delete(want, item.File)
			must(t, item.Done(nil))
		}
	}
	if len(want) > 0 {
		t.Errorf("%d files were not handed out", len(want))
	}
}

// What is no regular file is neither opened nor handed out, and no symbolic link is followed.
func TestHostileEntries(t *testing.T) {
	away := t.TempDir()
	write(t, away+"/secret.jpg", "END")
	s := newStepped(t, func(o *FolderOptions) { o.Recursive = true })
	must(t, os.Symlink(away+"/secret.jpg", s.dir+"/link.jpg"))
	must(t, os.Symlink("inside.jpg", s.dir+"/alias.jpg"))
	must(t, os.Symlink("/dev/zero", s.dir+"/device.jpg"))
	must(t, os.Symlink(away, s.dir+"/away"))
	must(t, os.Symlink(".", s.dir+"/loop"))
	must(t, unix.Mkfifo(s.dir+"/fifo.jpg", 0o666))
	must(t, os.Mkdir(s.dir+"/dir.jpg", 0o777))
	s.write("dir.jpg/x.jpg", "END")
	s.write("inside.jpg", "END")
	s.write("turns.jpg", "END")
	s.after(testSettle)
	must(t, os.Remove(s.dir+"/turns.jpg")) // into a link, when it is ready
	must(t, os.Symlink("inside.jpg", s.dir+"/turns.jpg"))
	s.wantNext("inside.jpg")
	s.after(testGrace)
	s.wantNext()
	if stats := s.Stats(); stats.Ignored != 6 || stats.Errors != 0 {
		t.Errorf("stats are %+v, want 6 ignored", stats)
	}
	for _, name := range []string{"link.jpg", "fifo.jpg", "dir.jpg", "turns.jpg"} {
		if n := s.logged("file=" + name); n != 1 {
			t.Errorf("%s is logged %d times:\n%s", name, n, &s.log)
		}
	}
	must(t, os.Remove(s.dir+"/fifo.jpg"))
	s.write("fifo.jpg", "END")
	s.after(pollInterval + testSettle)
	s.wantNext("fifo.jpg")
}

func TestDepthIsBounded(t *testing.T) {
	s := newStepped(t, func(o *FolderOptions) { o.Recursive = true })
	s.write(strings.Repeat("d/", maxDepth)+"a.jpg", "END")
	s.write(strings.Repeat("d/", maxDepth+1)+"b.jpg", "END")
	s.after(testGrace)
	s.wantNext(strings.Repeat("d/", maxDepth) + "a.jpg")
	if n := s.logged("too deep"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestNamesAreShownSafely(t *testing.T) {
	s := newStepped(t, nil)
	names := map[string]string{
		"with spaces and ünïcode.jpg":     "with spaces and ünïcode.jpg",
		`with "quotes" and 'others'.jpg`:  `with "quotes" and 'others'.jpg`,
		"a\nsource=b.jpg":                 `a\nsource=b.jpg`,
		"\xff\xfe.jpg":                    `\xff\xfe.jpg`,
		"\x1b[31mred\u202egpj.jpg":        `\x1b[31mred\u202egpj.jpg`,
		strings.Repeat("x", 251) + ".jpg": strings.Repeat("x", 251) + ".jpg",
	}
	for name := range names {
		s.write(name, "END")
	}
	s.after(testSettle)
	shown := map[string]*Item{}
	for item := s.take(); item != nil; item = s.take() {
		shown[item.File] = item
	}
	for name, want := range names {
		if shown[want] == nil {
			t.Errorf("%q isn't shown as %q", name, want)
			continue
		}
		must(t, shown[want].Done(nil))
		if _, err := os.Lstat(s.dir + "/done/" + name); err != nil {
			t.Error(err)
		}
	}
}

// unprivileged takes from the test, until it ends, root's right to open everything. It is the thread's: only what the
// test's own goroutine does goes without it.
func unprivileged(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all [2]unix.CapUserData
	must(t, unix.Capget(&head, &all[0]))
	some := all
	some[0].Effective &^= 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH
	must(t, unix.Capset(&head, &some[0]))
	t.Cleanup(func() {
		must(t, unix.Capset(&head, &all[0]))
		runtime.UnlockOSThread()
	})
}

func TestNotReadable(t *testing.T) {
	unprivileged(t)
	s := newStepped(t, nil)
	s.write("a.jpg", "END")
	must(t, os.Chmod(s.dir+"/a.jpg", 0))
	s.after(time.Minute)
	s.wantNext()
	if got, want := s.Stats().Problem, "pictures can't be read: permission denied"; got != want {
		t.Errorf("problem is %q, want %q", got, want)
	}
	s.write("b.jpg", "END")
	s.after(2 * time.Second)
	must(t, s.wantNext("b.jpg")[0].Done(nil)) // nothing waits for it
	must(t, os.Chmod(s.dir+"/a.jpg", 0o600))
	s.after(time.Minute)
	s.wantNext("a.jpg")
}

func TestDirectoryNotReadable(t *testing.T) {
	unprivileged(t)
	s := newStepped(t, func(o *FolderOptions) { o.Recursive = true })
	s.write("sub/a.jpg", "END")
	s.after(testSettle)
	item := s.wantNext("sub/a.jpg")[0]
	must(t, os.Chmod(s.dir+"/sub", 0))
	if item.Done(nil) == nil {
		t.Error("no error")
	}
	s.after(time.Minute)
	if n := s.logged("directory can't be read"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	must(t, os.Chmod(s.dir+"/sub", 0o700))
	s.after(time.Minute)
	s.wantNext()
	wantFiles(t, s.dir, "done/sub/a.jpg")
}

func TestUnreadable(t *testing.T) {
	s := newStepped(t, nil)
	looks := 0
	s.opts.Whole = func(file *io.SectionReader) error {
		looks++
		return wholeText(file)
	}
	s.write("a.jpg", "EIO")
	for range 600 {
		s.after(time.Second)
		s.wantNext()
	}
	if looks < 10 || looks > 20 {
		t.Errorf("read %d times in 10 minutes", looks)
	}
	if n := s.logged("picture can't be read"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if stats := s.Stats(); stats.Errors != uint64(looks) {
		t.Errorf("%d errors, %d looks", stats.Errors, looks)
	}
	must(t, os.Chmod(s.dir+"/a.jpg", 0o600))
	s.event(fsnotify.Event{Name: s.dir + "/a.jpg", Op: fsnotify.Chmod}, s.now)
	before := looks
	s.after(0)
	s.wantNext()
	if looks != before+1 {
		t.Error("not read again at once after a change of its attributes")
	}
	s.write("a.jpg", "END")
	s.after(time.Minute + testSettle)
	s.wantNext("a.jpg")
}
