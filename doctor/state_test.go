package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"sightd/daemon"
	"sightd/models"
)

// hold locks the outbox, as a running sightd does, and returns the lock's inode.
func hold(t *testing.T, c *daemon.Config) uint64 {
	t.Helper()
	path := filepath.Join(c.StateDir, "outbox", "lock")
	write(t, path, "")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() }) // it was only locked
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// holder is /proc/locks with a lock on an inode.
func holder(t *testing.T, s *system, pid int, inode uint64) {
	t.Helper()
	write(t, filepath.Join(s.proc, "locks"), "7: FLOCK  ADVISORY  WRITE "+strconv.Itoa(pid)+" b3:02:"+strconv.FormatUint(inode, 10)+" 0 EOF\n")
}

func TestState(t *testing.T) {
	const (
		there = "ok state_dir: is there, and may be written"
		roomy = "ok state_dir disk: 8192 MiB free"
		none  = "ok outbox: there is none yet"
	)
	for _, test := range []struct {
		name   string
		change func(t *testing.T, s *system, c *daemon.Config)
		want   []string
	}{
		{"right", nil, []string{there, roomy, none}},
		{"with an outbox", func(t *testing.T, s *system, c *daemon.Config) {
			write(t, c.StateDir+"/sources.json", "{}")
			write(t, c.StateDir+"/outbox/lock", "")
			write(t, c.StateDir+"/outbox/0000000000000001.log", string(make([]byte, 5000)))
		}, []string{there, roomy, "ok outbox: 1 file, 4 KiB"}},
		{"in use", func(t *testing.T, s *system, c *daemon.Config) { hold(t, c) }, []string{there, roomy, "ok outbox: 0 files, 0 KiB, in use by a running sightd"}},
		{"in use by a process that is known", func(t *testing.T, s *system, c *daemon.Config) { holder(t, s, 812, hold(t, c)) },
			[]string{there, roomy, "ok outbox: in use by a running sightd (pid 812)"}},
		{"missing", func(t *testing.T, s *system, c *daemon.Config) { c.StateDir += "/a/b" }, []string{"ok state_dir: sightd makes it", roomy, none}},
		{"no right", func(t *testing.T, s *system, c *daemon.Config) { s.access = denied(c.StateDir, unix.EACCES) },
			[]string{"fail state_dir: can't read and write -> set state_dir", "fail outbox: kept in memory alone -> set state_dir"}},
		{"a file", func(t *testing.T, s *system, c *daemon.Config) {
			c.StateDir += "/x"
			write(t, c.StateDir, "")
		}, []string{"fail state_dir: have a file -> set state_dir", "fail outbox: not a directory -> set state_dir"}},
		{"another user's files", func(t *testing.T, s *system, c *daemon.Config) {
			write(t, c.StateDir+"/sources.json", "{}")
			s.access = denied(c.StateDir+"/sources.json", unix.EACCES)
		}, []string{"fail state_dir: sources.json: permission denied -> chown", roomy, none}},
		{"another user's outbox", func(t *testing.T, s *system, c *daemon.Config) {
			write(t, c.StateDir+"/outbox/0000000000000001.log", "")
			s.access = denied(c.StateDir+"/outbox/0000000000000001.log", unix.EACCES)
		}, []string{there, roomy, "fail outbox: 0000000000000001.log: permission denied: events would be kept in memory alone -> chown"}},
		{"memory", func(t *testing.T, s *system, c *daemon.Config) { s.statfs = room(1<<30, 500_000, unix.TMPFS_MAGIC) },
			[]string{there, "warn state_dir: in memory alone -> on a disk", "ok state_dir disk: 1024 MiB free", none}},
		{"less than the outbox may take", func(t *testing.T, s *system, c *daemon.Config) { s.statfs = room(60<<20, 500_000, 0) },
			[]string{there, "warn state_dir disk: 60 MiB free -> the outbox may take 64 MiB", none}},
		{"less than the snapshots may take", func(t *testing.T, s *system, c *daemon.Config) {
			s.statfs = room(260<<20, 500_000, 0)
			c.Snapshots.Enabled = true
		}, []string{there, "warn state_dir disk: 260 MiB free -> the outbox and the snapshots may take 264 MiB (mqtt.outbox.max_mb, snapshots.max_mb)", none}},
		{"nearly full", func(t *testing.T, s *system, c *daemon.Config) { s.statfs = room(40<<20, 500_000, 0) },
			[]string{there, "warn state_dir disk: 40 MiB free -> nearly full", none}},
		{"full", func(t *testing.T, s *system, c *daemon.Config) { s.statfs = room(0, 500_000, 0) },
			[]string{there, "fail state_dir disk: 0 MiB free -> full", none}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, c := recorded(t, nil), config(t)
			if test.change != nil {
				test.change(t, s, c)
			}
			e := &examiner{system: s, config: c}
			want(t, append(e.stateDir(context.Background()), e.outbox(context.Background())...), test.want...)
		})
	}
}

func TestModel(t *testing.T) {
	data, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir+"/alone.tflite", string(data))
	write(t, dir+"/other.tflite", string(data))
	write(t, dir+"/other.json", "{}")
	write(t, dir+"/broken.tflite", string(data[:len(data)/2]))
	const (
		idle = "ok decide: there is no live source"

		nothing = "ok delegates: nothing is remembered yet"
	)
	for path, lines := range map[string][]string{
		"":                     {"ok model: right on 4 golden inputs", idle, nothing},
		dir + "/alone.tflite":  {"warn model: no card beside it -> export again", idle, nothing},
		dir + "/other.tflite":  {"fail model: isn't its card -> model verify"},
		dir + "/broken.tflite": {"fail model: broken.tflite -> model verify"},
		dir + "/none.tflite":   {"fail model: no such file -> model verify"},
	} {
		c := config(t)
		c.Model.Path = path
		want(t, (&examiner{system: recorded(t, nil), config: c}).model(context.Background()), lines...)
	}
}

func TestRules(t *testing.T) {
	const live = "sources: [{name: inbox, path: ./inbox}, {name: csi, type: rpicam}]\n"
	for text, lines := range map[string][]string{
		"":                                 {"ok decide: there is no live source"},
		"decide: {labels: {lynx: deny}}\n": {"ok decide: fit the model's labels"},
		"decide: {labels: {linx: deny}}\n": {"warn decide: decide.labels[\"linx\"]: no such label -> correct it before there is a live source"},
		live:                               {"ok decide: fit the model's labels"},
		live + "decide: {labels: {lynx: deny}, groups: {birds: [crane, \"2\"]}}\n": {"ok decide: fit the model's labels"},
		live + "decide: {labels: {linx: deny}, groups: {birds: [crane, \"9\"]}}\n": {
			"fail decide: decide.groups[\"birds\"][\"9\"]: want an index from 0 to 2 -> sightd model info",
			"fail decide: decide.labels[\"linx\"]: no such label, did you mean \"lynx\"? -> sightd model info"},
	} {
		c, err := daemon.Parse("f.yaml", []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		want(t, (&examiner{config: &c}).rules([]string{"lynx", "crane", "stork"}), lines...)
	}
}
