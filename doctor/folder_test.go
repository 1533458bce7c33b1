package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sightd/daemon"
)

func TestSource(t *testing.T) {
	inbox := func(c *daemon.Config) *daemon.SourceConfig { return &c.Sources[0] }
	link := func(t *testing.T, target, path string) {
		t.Helper()
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	second := func(c *daemon.Config, path string) {
		s := c.Sources[0]
		s.Name, s.Path = "door", path
		c.Sources = append([]daemon.SourceConfig{s}, c.Sources...)
	}
	const (
		watched = "ok source inbox watch: watched by inotify"
		roomy   = "ok source inbox disk: 8192 MiB free, and room for 500000 files"
	)
	for _, test := range []struct {
		name   string
		change func(t *testing.T, s *system, c *daemon.Config)
		want   []string
	}{
		{"right", func(*testing.T, *system, *daemon.Config) {}, []string{"ok source inbox: is there", watched, roomy}},
		{"with done and failed", func(t *testing.T, s *system, c *daemon.Config) {
			write(t, filepath.Join(inbox(c).Path, "done", "a.jpg"), "")
			write(t, filepath.Join(inbox(c).Path, "failed", "a.jpg"), "")
		}, []string{"ok source inbox: is there", watched, roomy}},
		{"missing", func(t *testing.T, s *system, c *daemon.Config) { inbox(c).Path += "/a/b" }, []string{"ok source inbox: is missing: sightd makes it", watched, roomy}},
		{"missing, and can't be made", func(t *testing.T, s *system, c *daemon.Config) {
			s.access = denied(inbox(c).Path, unix.EACCES)
			inbox(c).Path += "/a/b"
		}, []string{"fail source inbox: can't be made in -> chown"}},
		{"no right to write", func(t *testing.T, s *system, c *daemon.Config) { s.access = denied(inbox(c).Path, unix.EACCES) },
			[]string{"fail source inbox: can't read and write -> sources[0].path"}},
		{"read-only", func(t *testing.T, s *system, c *daemon.Config) { s.access = denied(inbox(c).Path, unix.EROFS) },
			[]string{"fail source inbox: read-only file system -> mount it for writing"}},
		{"a file", func(t *testing.T, s *system, c *daemon.Config) {
			inbox(c).Path += "/x"
			write(t, inbox(c).Path, "")
		}, []string{"fail source inbox: want a folder, have a file -> set sources[0].path"}},
		{"below a file", func(t *testing.T, s *system, c *daemon.Config) {
			write(t, inbox(c).Path+"/x", "")
			inbox(c).Path += "/x/y"
		}, []string{"fail source inbox: not a directory -> set sources[0].path"}},
		{"a link to nowhere", func(t *testing.T, s *system, c *daemon.Config) {
			link(t, "/none/at/all", inbox(c).Path+"/x")
			inbox(c).Path += "/x"
		}, []string{"fail source inbox: a symbolic link that leads nowhere -> set sources[0].path"}},
		{"done is a link", func(t *testing.T, s *system, c *daemon.Config) { link(t, t.TempDir(), inbox(c).Path+"/done") },
			[]string{"fail source inbox: done: want a folder, have a symbolic link -> out of the way", watched, roomy}},
		{"done is a link, and not needed", func(t *testing.T, s *system, c *daemon.Config) {
			link(t, t.TempDir(), inbox(c).Path+"/done")
			inbox(c).After = "delete"
		}, []string{"ok source inbox: is there", watched, roomy}},
		{"failed is a file", func(t *testing.T, s *system, c *daemon.Config) { write(t, inbox(c).Path+"/failed", "") },
			[]string{"fail source inbox: failed: want a folder, have a file -> out of the way", watched, roomy}},
		{"no right to done", func(t *testing.T, s *system, c *daemon.Config) {
			write(t, inbox(c).Path+"/done/x", "")
			s.access = denied(inbox(c).Path+"/done", unix.EACCES)
		}, []string{"fail source inbox: done: permission denied: pictures can't be put away -> chown", watched, roomy}},
		{"state_dir by a link", func(t *testing.T, s *system, c *daemon.Config) {
			link(t, c.StateDir, inbox(c).Path+"/x")
			inbox(c).Path += "/x"
		}, []string{"ok source inbox: is there", "fail source inbox: it is state_dir -> of its own", watched, roomy}},
		{"in state_dir", func(t *testing.T, s *system, c *daemon.Config) { inbox(c).Path = c.StateDir + "/inbox" },
			[]string{"ok source inbox: sightd makes it", "fail source inbox: it lies in state_dir -> of its own", watched, roomy}},
		{"around state_dir by a link", func(t *testing.T, s *system, c *daemon.Config) {
			link(t, inbox(c).Path, c.StateDir+"/x")
			c.StateDir += "/x/state"
			inbox(c).Recursive = true
		}, []string{"ok source inbox: is there", "fail source inbox: state_dir lies in it -> of its own", watched, roomy}},
		{"two sources by a link", func(t *testing.T, s *system, c *daemon.Config) {
			dir := t.TempDir()
			link(t, inbox(c).Path, dir+"/x")
			second(c, dir+"/x")
		}, []string{"ok source inbox: is there", "fail source inbox: it is the folder of source door -> of its own", watched, roomy}},
		{"in another source by a link", func(t *testing.T, s *system, c *daemon.Config) {
			dir := t.TempDir()
			link(t, inbox(c).Path, dir+"/x")
			second(c, dir+"/x/y")
		}, []string{"ok source inbox: is there", "fail source inbox: lies in the other -> of its own", watched, roomy}},
		{"replayed by another source", func(t *testing.T, s *system, c *daemon.Config) {
			second(c, inbox(c).Path+"/done")
			c.Sources[0].Type = daemon.TypeReplay
		}, []string{"ok source inbox: is there", watched, roomy}},
		{"polled", func(t *testing.T, s *system, c *daemon.Config) { inbox(c).Poll = "on" },
			[]string{"ok source inbox: is there", "ok source inbox watch: polled every second, as configured", roomy}},
		{"NFS", func(t *testing.T, s *system, c *daemon.Config) {
			s.polled = func(string) (string, bool, error) { return "NFS", true, nil }
		}, []string{"ok source inbox: is there", "ok source inbox watch: polled every second: NFS", roomy}},
		{"NFS that isn't polled", func(t *testing.T, s *system, c *daemon.Config) {
			s.polled = func(string) (string, bool, error) { return "NFS", true, nil }
			inbox(c).Poll = "off"
		}, []string{"ok source inbox: is there", "warn source inbox watch: every 30 s -> set poll to auto", roomy}},
		{"no file system", func(t *testing.T, s *system, c *daemon.Config) {
			s.polled = func(string) (string, bool, error) { return "", false, unix.EIO }
			s.statfs = func(string, *unix.Statfs_t) error { return unix.EIO }
		}, []string{"ok source inbox: is there", "warn source inbox watch: input/output error -> findmnt", "warn source inbox disk: input/output error -> sudo -u"}},
		{"full", func(t *testing.T, s *system, c *daemon.Config) { s.statfs = room(4096, 500_000, 0) },
			[]string{"ok source inbox: is there", watched, "fail source inbox disk: 0 MiB free -> full"}},
		{"nearly full", func(t *testing.T, s *system, c *daemon.Config) { s.statfs = room(20<<20, 500_000, 0) },
			[]string{"ok source inbox: is there", watched, "warn source inbox disk: 20 MiB free -> nearly full"}},
		{"no inodes", func(t *testing.T, s *system, c *daemon.Config) { s.statfs = room(8<<30, 3, 0) },
			[]string{"ok source inbox: is there", watched, "fail source inbox disk: room for 3 files -> full"}},
		{"few inodes", func(t *testing.T, s *system, c *daemon.Config) { s.statfs = room(8<<30, 300, 0) },
			[]string{"ok source inbox: is there", watched, "warn source inbox disk: room for 300 files -> nearly full"}},
		{"inodes without a number", func(t *testing.T, s *system, c *daemon.Config) {
			s.statfs = func(_ string, st *unix.Statfs_t) error { st.Bsize, st.Bavail = 4096, 1<<20; return nil }
		}, []string{"ok source inbox: is there", watched, "ok source inbox disk: 4096 MiB free"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, c := recorded(t, nil), config(t)
			test.change(t, s, c)
			e := &examiner{system: s, config: c}
			want(t, e.source(len(c.Sources)-1), test.want...)
		})
	}
}

func TestSticky(t *testing.T) {
	dir := t.TempDir()
	if f := stickyTrouble(dir); f != nil {
		t.Errorf("a folder of one's own: got %+v, want nothing", f)
	}
	f := stickyTrouble("/tmp")
	var st unix.Stat_t
	if err := unix.Stat("/tmp", &st); err != nil || st.Mode&unix.S_ISVTX == 0 || os.Geteuid() == 0 || int(st.Uid) == os.Geteuid() {
		if f != nil {
			t.Errorf("/tmp for its owner or root, or without the bit: got %+v, want nothing", f)
		}
		return
	}
	if f == nil || f.Status != Warn {
		t.Errorf("/tmp: got %+v, want a warning", f)
	}
}

func TestInotify(t *testing.T) {
	used := map[string]string{
		"proc/sys/fs/inotify/max_user_instances": "2\n", "proc/sys/fs/inotify/max_user_watches": "5\n",
		"proc/812/fd/4": "-> anon_inode:inotify", "proc/812/fdinfo/4": "inotify wd:1\ninotify wd:2\n",
	}
	for _, test := range []struct {
		name   string
		files  map[string]string
		change func(t *testing.T, s *system, c *daemon.Config)
		want   string
	}{
		{"right", nil, nil, "ok inotify: 1 of 128 instances and 1 of 16384 watches are needed; this user has 0 and 0 in use"},
		{"just enough", used, func(t *testing.T, s *system, c *daemon.Config) {
			c.Sources[0].Recursive = true
			for _, below := range []string{"a", "b", ".c/d", "done/e", "failed/f"} { // and the folder itself
				write(t, filepath.Join(c.Sources[0].Path, below, "x.jpg"), "")
			}
		}, "ok inotify: 1 of 2 instances and 3 of 5 watches are needed; this user has 1 and 2 in use"},
		{"watches", used, func(t *testing.T, s *system, c *daemon.Config) {
			c.Sources[0].Recursive = true
			write(t, c.Sources[0].Path+"/a/b/done/x.jpg", "")
		}, "warn inotify: 4 of 5 watches are needed -> sysctl fs.inotify.max_user_watches=12,"},
		{"instances", used, func(t *testing.T, s *system, c *daemon.Config) { c.Sources = append(c.Sources, c.Sources[0]) },
			"warn inotify: 2 of 2 instances -> sysctl fs.inotify.max_user_instances=6,"},
		{"the running sightd's", map[string]string{
			"proc/sys/fs/inotify/max_user_instances": "1\n", "proc/sys/fs/inotify/max_user_watches": "1\n",
			"proc/812/fd/4": "-> anon_inode:inotify", "proc/812/fdinfo/4": "inotify wd:1\n",
		}, func(t *testing.T, s *system, c *daemon.Config) { hold(t, c) }, "ok inotify: those of the running sightd among them"},
		{"no folders", used, func(t *testing.T, s *system, c *daemon.Config) { c.Sources[0].Type = daemon.TypeURL }, "ok inotify: not needed: no folder is watched"},
		{"a replay", used, func(t *testing.T, s *system, c *daemon.Config) {
			film := c.Sources[0]
			film.Type = daemon.TypeReplay
			c.Sources = append(c.Sources, film)
		}, "ok inotify: 1 of 2 instances"},
		{"polled", used, func(t *testing.T, s *system, c *daemon.Config) { c.Sources[0].Poll = "on" }, "ok inotify: not needed"},
		{"NFS", used, func(t *testing.T, s *system, c *daemon.Config) {
			s.polled = func(string) (string, bool, error) { return "NFS", true, nil }
		}, "ok inotify: not needed"},
		{"no limits", map[string]string{"proc/sys/fs/inotify/max_user_watches": "absent"}, nil, "warn inotify: no such file -> /proc"},
		{"missing folder", nil, func(t *testing.T, s *system, c *daemon.Config) {
			c.Sources[0].Path, c.Sources[0].Recursive = c.Sources[0].Path+"/none", true
		}, "ok inotify: 1 of 16384 watches"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, c := recorded(t, test.files), config(t)
			if test.change != nil {
				test.change(t, s, c)
			}
			want(t, (&examiner{system: s, config: c}).inotify(context.Background()), test.want)
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := config(t)
	c.Sources[0].Recursive = true
	if n := directories(ctx, c.Sources[0]); n != 1 {
		t.Errorf("counting that was stopped: got %d, want 1", n)
	}
}

func TestReal(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/link": "", "/link/none/x": "/none/x", "/none/../link/link/x": "/x", "/none": "/none", "/link/link": "",
	} {
		if got := real(dir + path); got != dir+want {
			t.Errorf("%s: got %s, want %s", path, strings.TrimPrefix(got, dir), want)
		}
	}
	if got := real("/"); got != "/" {
		t.Errorf("got %s, want /", got)
	}
	if !within("/a/b", "/a") || within("/ab", "/a") || within("/a", "/a") || !within("/a", "/") {
		t.Error("within takes beginnings of names for folders")
	}
}
