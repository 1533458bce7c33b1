package camera

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mounter gives the test's goroutine mounts of its own, which nobody else sees and which end with it. Only root may.
func mounter(t *testing.T) (mount func(what, where, kind, options string)) {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the goroutine, and its mounts with it
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Skip("needs the right to mount:", err)
	}
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	return func(what, where, kind, options string) {
		t.Helper()
		must(t, os.MkdirAll(where, 0o777))
		flags := uintptr(0)
		if kind == "bind" {
			flags, kind = unix.MS_BIND, ""
		}
		if err := unix.Mount(what, where, kind, flags, options); errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EPERM) {
			t.Skipf("mount %s: %v", kind, err)
		} else {
			must(t, err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(where, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
				t.Error(err)
			}
		})
	}
}

// heard passes on the next event that inotify tells of.
func (s *stepped) heard() {
	s.t.Helper()
	select {
	case event := <-s.watcher.Events:
		s.event(event, s.now)
	case <-time.After(30 * time.Second):
		s.t.Fatal("no event came")
	}
}

// Real file systems: those that are local are watched, and tell of what comes by whatever way; the others are polled.
func TestPollAuto(t *testing.T) {
	for _, test := range []struct {
		name   string
		mount  func(t *testing.T, mount func(what, where, kind, options string), dir string) (other string)
		polled string
	}{
		{"tmpfs", func(_ *testing.T, mount func(_, _, _, _ string), dir string) string {
			mount("none", dir, "tmpfs", "")
			return dir
		}, ""},
		{"bind", func(t *testing.T, mount func(_, _, _, _ string), dir string) string {
			other := t.TempDir()
			mount(other, dir, "bind", "")
			return other
		}, ""},
		{"bind of a subdirectory in it", func(t *testing.T, mount func(_, _, _, _ string), dir string) string {
			other := t.TempDir()
			mount(other, dir+"/sub", "bind", "")
			return dir
		}, ""},
		{"ext4", func(t *testing.T, mount func(_, _, _, _ string), dir string) string {
			loop(t, mount, dir, "ext4")
			return dir
		}, ""},
		{"vfat", func(t *testing.T, mount func(_, _, _, _ string), dir string) string {
			loop(t, mount, dir, "vfat")
			return dir
		}, ""},
		{"overlay", func(t *testing.T, mount func(_, _, _, _ string), dir string) string {
			parts := t.TempDir()
			mount("none", parts, "tmpfs", "")
			for _, part := range []string{"lower", "upper", "work"} {
				must(t, os.Mkdir(parts+"/"+part, 0o777))
			}
			mount("none", dir, "overlay", "lowerdir="+parts+"/lower,upperdir="+parts+"/upper,workdir="+parts+"/work")
			return dir
		}, "overlay doesn't report what others change"},
		{"overlay below it", func(t *testing.T, mount func(_, _, _, _ string), dir string) string {
			parts := t.TempDir()
			mount("none", parts, "tmpfs", "")
			for _, part := range []string{"lower", "upper", "work"} {
				must(t, os.Mkdir(parts+"/"+part, 0o777))
			}
			mount("none", dir+"/sub", "overlay", "lowerdir="+parts+"/lower,upperdir="+parts+"/upper,workdir="+parts+"/work")
			return dir
		}, "overlay doesn't report what others change"},
	} {
		t.Run(test.name, func(t *testing.T) {
			mount := mounter(t)
			s := newStepped(t, func(o *FolderOptions) {
				o.Poll, o.Recursive, o.Results = PollAuto, true, true
			})
			other := test.mount(t, mount, s.dir)
			s.after(testSettle)
			if got := s.Stats().Polled; got != test.polled {
				t.Fatalf("polled is %q, want %q", got, test.polled)
			}
			for _, name := range []string{"a.jpg", "sub/b.jpg"} {
				write(t, other+"/"+name, "END")
				if test.polled == "" {
					for s.after(0); s.Stats().Pending == 0; {
						s.heard()
					}
				}
				s.after(pollInterval + testSettle)
				item := s.wantNext(name)[0]
				must(t, item.Done(eventOf(t, item, 1)))
			}
			wantFiles(t, s.dir, "done/a.jpg", "done/a.jpg.json", "done/sub/b.jpg", "done/sub/b.jpg.json")
		})
	}
}

// loop mounts a new file system of 16 MiB in a file.
func loop(t *testing.T, mount func(what, where, kind, options string), dir, kind string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	write(t, image, "")
	must(t, os.Truncate(image, 16<<20))
	for _, command := range [][]string{{"mkfs." + kind, image}, {"losetup", "--find", "--show", image}} {
		if _, err := exec.LookPath(command[0]); err != nil {
			t.Skip(err)
		}
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		if err != nil {
			t.Skipf("%s: %v: %s", command[0], err, out)
		}
		if command[0] == "losetup" {
			device := strings.TrimSpace(string(out))
			t.Cleanup(func() { must(t, exec.Command("losetup", "--detach", device).Run()) })
			mount(device, dir, kind, "")
			must(t, os.RemoveAll(dir+"/lost+found"))
		}
	}
}

// A disk that is mounted over the folder, and unmounted while it is watched: nothing keeps it busy, and both are taken up.
func TestMountedOver(t *testing.T) {
	mount := mounter(t)
	s := newStepped(t, func(o *FolderOptions) { o.Poll = PollAuto })
	s.write("below.jpg", "END")
	s.after(testSettle)
	below := s.wantNext("below.jpg")[0]
	mount("none", s.dir, "tmpfs", "")
	s.write("on the disk.jpg", "END")
	s.after(rescanInterval + testSettle)
	must(t, s.wantNext("on the disk.jpg")[0].Done(nil))
	must(t, below.Done(nil)) // it is out of reach, as if it were gone
	must(t, unix.Unmount(s.dir, 0))
	s.after(rescanInterval + testSettle)
	again := s.wantNext("below.jpg")[0]
	if again.ID != below.ID {
		t.Errorf("IDs are %s and %s", below.ID, again.ID)
	}
	must(t, again.Done(nil))
	wantFiles(t, s.dir, "done/below.jpg")
}

// done/ on another file system: the picture is copied, after its result was written, and numbered with it.
func TestDoneOnOtherFileSystem(t *testing.T) {
	mount := mounter(t)
	s := newStepped(t, func(o *FolderOptions) { o.Results, o.Done = true, Quota{MaxFiles: 4} })
	mount("none", s.dir+"/done", "tmpfs", "")
	var last *Item
	for i := range 3 {
		last = s.one("a.jpg", "END"+strings.Repeat("x", i))
		must(t, last.Done(eventOf(t, last, i)))
	}
	wantFiles(t, s.dir, "done/a-1.jpg", "done/a-1.jpg.json", "done/a.jpg", "done/a.jpg.json")
	wantResult(t, s.dir+"/done/a.jpg.json", last, 2) // the number was free again
	must(t, unix.Unmount(s.dir+"/done", 0))
	wantFiles(t, s.dir)
}
