package camera

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

func TestFolderRemovedAndBack(t *testing.T) {
	for _, how := range []string{"removed", "renamed", "replaced"} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir() + "/inbox"
			f := watched(t, options(dir))
			write(t, dir+"/1.jpg", "END")
			must(t, next(t, f).Done(nil))
			switch how {
			case "removed":
				must(t, os.RemoveAll(dir))
			case "renamed":
				must(t, os.Rename(dir, dir+".old"))
			case "replaced":
				must(t, os.Rename(dir, dir+".old"))
				must(t, os.Mkdir(dir, 0o777))
			}
			write(t, dir+"/2.jpg", "END")
			item := next(t, f)
			if item.File != "2.jpg" {
				t.Fatalf("got %s", item.File)
			}
			must(t, item.Done(nil))
			if how != "renamed" {
				wantFiles(t, dir, "done/2.jpg")
			}
		})
	}
}

// Files that are in a directory from its first moment on come before any watch on it can be set.
func TestNewDirectories(t *testing.T) {
	dir, away := t.TempDir(), t.TempDir()
	opts := options(dir)
	opts.Recursive = true
	f := watched(t, opts)
	want := map[string]bool{}
	for i := range 20 {
		sub := fmt.Sprintf("a%d/b/c", i)
		write(t, filepath.Join(dir, sub, "made.jpg"), "END")
		write(t, filepath.Join(away, sub, "moved.jpg"), "END")
		must(t, os.Rename(fmt.Sprintf("%s/a%d", away, i), fmt.Sprintf("%s/m%d", dir, i)))
		want[sub+"/made.jpg"] = true
		want[fmt.Sprintf("m%d/b/c/moved.jpg", i)] = true
	}
	write(t, dir+"/.hidden/x.jpg", "END")
	write(t, dir+"/done/x.jpg", "END")
	write(t, dir+"/failed/x.jpg", "END")
	write(t, dir+"/dir.jpg/x.jpg", "END")
	want["z/done/x.jpg"] = true // only the folder's own are left out
	write(t, dir+"/z/done/x.jpg", "END")
	for n := len(want); n > 0; n-- {
		item := next(t, f)
		if !want[item.File] {
			t.Fatalf("got %s", item.File)
		}
		delete(want, item.File)
		must(t, item.Done(nil))
		if _, err := os.Stat(filepath.Join(dir, "done", item.File)); err != nil {
			t.Error(err)
		}
	}
	// The directories are watched under their new names too.
	must(t, os.Rename(dir+"/m0", dir+"/n0"))
	write(t, dir+"/n0/b/late.jpg", "END")
	if item := next(t, f); item.File != "n0/b/late.jpg" {
		t.Errorf("got %s", item.File)
	}
}

func TestNothingLeaks(t *testing.T) {
	descriptors := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(list)
	}
	once := func(after After) {
		dir := t.TempDir()
		opts := options(dir)
		opts.Recursive, opts.After, opts.StateDir = true, after, t.TempDir()
		f, err := OpenFolder(opts)
		must(t, err)
		write(t, dir+"/sub/a.jpg", "END")
		write(t, dir+"/b.jpg", "BAD")
		for range 2 {
			if item := next(t, f); item.Err != nil {
				must(t, item.Refuse("bad", nil))
			} else {
				file, err := item.Open()
				must(t, err)
				must(t, file.Close())
				must(t, item.Done(nil))
			}
		}
		must(t, os.RemoveAll(dir))
		must(t, f.Close())
	}
	once(AfterMove)
	goroutines, open := runtime.NumGoroutine(), descriptors()
	for _, after := range []After{AfterMove, AfterKeep, AfterDelete} {
		once(after)
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
		runtime.Gosched() // one that has signalled its end may not have returned yet
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	if n := descriptors(); n > open {
		t.Errorf("%d descriptors, %d before", n, open)
	}
}

func TestOverflow(t *testing.T) {
	s := newStepped(t, func(o *FolderOptions) { o.Poll = PollOff })
	s.addWatch = func(string) error { return nil } // no event ever comes
	s.after(testSettle)
	s.write("a.jpg", "END")
	s.after(testGrace)
	s.wantNext()
	s.watchFailed(fmt.Errorf("read: %w", fsnotify.ErrEventOverflow), s.now)
	s.after(2 * testSettle)
	s.wantNext("a.jpg")
	s.write("b.jpg", "END")
	s.after(rescanInterval + testSettle) // also without any hint
	s.wantNext("b.jpg")
}

func TestWatchLimit(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{unix.ENOSPC, "fs.inotify.max_user_watches"},
		{unix.EMFILE, "fs.inotify.max_user_instances"},
		{errors.New("no way"), "no way"},
	} {
		s := newStepped(t, func(o *FolderOptions) { o.Poll = PollAuto })
		s.addWatch = func(string) error { return test.err }
		s.after(testGrace)
		s.write("a.jpg", "END")
		s.after(pollInterval + testSettle)
		s.wantNext("a.jpg")
		if n := s.logged(test.want); n != 1 {
			t.Errorf("%s: logged %d times:\n%s", test.want, n, &s.log)
		}
		s.addWatch = func(string) error { return nil } // somebody raised the limit
		s.after(time.Minute)
		if n := s.logged("polled"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, &s.log)
		}
	}
}

func TestFolderAway(t *testing.T) {
	s := newStepped(t, nil)
	s.write("a.jpg", "END")
	s.write("b.jpg", "END")
	s.after(testSettle)
	outstanding := s.take()
	must(t, os.Rename(s.dir, s.dir+".away"))
	s.after(time.Minute)
	s.wantNext()
	if err := outstanding.Done(nil); err == nil {
		t.Error("done without a folder")
	}
	s.after(time.Minute)
	if n := s.logged("folder is gone"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	must(t, os.Rename(s.dir+".away", s.dir))
	s.after(time.Minute + testSettle)
	s.wantNext("b.jpg")
	wantFiles(t, s.dir, "b.jpg", "done/a.jpg")
	if n := s.logged("folder is back"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}
