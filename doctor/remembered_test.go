package doctor

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sightd/daemon"
	"sightd/inference"
	"sightd/inference/auction"
	"sightd/inference/tflite/faulty"
)

// ledger writes what a sightd keeps, as one does, at a time.
func ledger(t *testing.T, c *daemon.Config, at time.Time, write func(*auction.Ledger) error) {
	t.Helper()
	l, warning := auction.OpenLedger(filepath.Join(c.StateDir, ledgerName), func() time.Time { return at })
	if warning != "" {
		t.Fatal(warning)
	}
	if err := write(l); err != nil {
		t.Fatal(err)
	}
}

func TestRemembered(t *testing.T) {
	now := recorded(t, nil).now()
	key := auction.Key{Model: "aa", Libraries: "l", Board: "b", Kernel: auction.Kernel(), Requested: "auto", Cores: 4}
	passed := func(d inference.Delegate, ms float64) auction.Receipt {
		return auction.Receipt{Candidate: auction.Candidate{Delegate: d, Threads: 2}, Passed: true, MS: ms, Runs: 5, Total: 88, Taken: 80}
	}
	keep := func(k auction.Key, receipts ...auction.Receipt) func(*auction.Ledger) error {
		return func(l *auction.Ledger) error { return l.Keep(k, receipts) }
	}
	mark := func(k auction.Key, d inference.Delegate) func(*auction.Ledger) error {
		return func(l *auction.Ledger) error { return l.Mark(k, d, "Invoke hung") }
	}
	other := func(change func(*auction.Key)) auction.Key {
		k := key
		change(&k)
		return k
	}
	const best = "ok delegates: xnnpack with 2 threads, 4.50 ms, 80 of 88 nodes, is the best, as found out at 2026-05-06T06:08:09Z"
	const none = "ok delegates: nothing is remembered of this model with model.delegate auto"
	lost := auction.Lost(auction.Candidate{Delegate: inference.GPU, Threads: 2}, "no driver")
	updated := other(func(k *auction.Key) { k.Libraries = "m" })
	for _, test := range []struct {
		name  string
		steps []func(*auction.Ledger) error // one an hour, the last of them an hour ago
		want  []string
	}{
		{"nothing", nil, []string{"ok delegates: nothing is remembered yet"}},
		{"a choice", []func(*auction.Ledger) error{keep(key, passed("xnnpack", 4.5), passed("cpu", 20))}, []string{best}},
		{"one with a driver", []func(*auction.Ledger) error{keep(key, passed("gpu", 2), passed("cpu", 20))}, []string{"ok delegates: gpu, 2.00 ms, 80 of 88 nodes, is the best"}},
		{"one that failed", []func(*auction.Ledger) error{keep(key, passed("xnnpack", 4.5), lost)}, []string{best + "; passed over: gpu: no driver"}},
		{"all failed", []func(*auction.Ledger) error{keep(key, lost)}, []string{"warn delegates: may run the model; passed over: gpu: no driver -> sightd bench --all"}},
		{"a mark", []func(*auction.Ledger) error{keep(key, passed("gpu", 2), passed("xnnpack", 4.5)), mark(key, "gpu"), keep(key, passed("gpu", 2), passed("xnnpack", 4.5))},
			[]string{"warn delegates: gpu is marked as bad and passed over until 2026-05-13T05:08:09Z, unless model, sightd, libraries, drivers or kernel change before: Invoke hung -> stop sightd, remove ", best}},
		{"a mark alone", []func(*auction.Ledger) error{mark(key, "gpu")}, []string{"warn delegates: gpu is marked as bad -> stop sightd, remove ", none}},
		{"a mark of before an update", []func(*auction.Ledger) error{mark(key, "gpu"), keep(updated, passed("xnnpack", 4.5))}, []string{best}},
		{"another model", []func(*auction.Ledger) error{keep(other(func(k *auction.Key) { k.Model = "bb" }), passed("cpu", 1)), mark(other(func(k *auction.Key) { k.Model = "bb" }), "gpu")}, []string{none}},
		{"another kernel", []func(*auction.Ledger) error{keep(other(func(k *auction.Key) { k.Kernel = "1.2.3" }), passed("cpu", 1))}, []string{none}},
		{"another number of threads", []func(*auction.Ledger) error{keep(other(func(k *auction.Key) { k.Threads = 3 }), passed("cpu", 1))}, []string{none}},
		{"another delegate", []func(*auction.Ledger) error{keep(other(func(k *auction.Key) { k.Requested = "gpu" }), passed("cpu", 1))}, []string{none}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := config(t)
			for i, step := range test.steps {
				ledger(t, c, now.Add(-time.Duration(len(test.steps)-i)*time.Hour), step)
			}
			e := &examiner{system: recorded(t, nil), config: c}
			got, _ := e.remembered(daemon.EngineOptions{}, "aa")
			want(t, got, test.want...)
		})
	}
	t.Run("an old mark", func(t *testing.T) {
		c := config(t)
		ledger(t, c, now.Add(-auction.MarkTime-time.Hour), mark(key, "gpu"))
		e := &examiner{system: recorded(t, nil), config: c}
		got, _ := e.remembered(daemon.EngineOptions{}, "aa")
		want(t, got, none)
	})
	t.Run("the last moment of a mark", func(t *testing.T) { // as the ledger has it
		c := config(t)
		ledger(t, c, now.Add(-auction.MarkTime), mark(key, "gpu"))
		e := &examiner{system: recorded(t, nil), config: c}
		got, _ := e.remembered(daemon.EngineOptions{}, "aa")
		want(t, got, "warn delegates: passed over until "+now.Format(time.RFC3339)+" -> stop sightd", none)
	})
	t.Run("broken", func(t *testing.T) {
		c := config(t)
		write(t, filepath.Join(c.StateDir, ledgerName), "{")
		e := &examiner{system: recorded(t, nil), config: c}
		got, _ := e.remembered(daemon.EngineOptions{}, "aa")
		want(t, got, "warn delegates: unexpected end of JSON -> may be removed")
	})
}

// TestMarkedDelegate has the one that is configured work, and be marked.
func TestMarkedDelegate(t *testing.T) {
	c := config(t)
	c.Model.Delegate, c.Model.Threads = inference.External+faulty.Build(t), 2
	e := &examiner{system: recorded(t, nil), config: c, trials: trialProgram(t)}
	found := e.model(context.Background())
	want(t, found, "ok model: xnnpack, ", "ok decide: there is no live source", "ok delegate: , 2 threads, ", "ok delegates: nothing is remembered yet")
	o, err := c.Engine()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := daemon.OpenEngine(daemon.EngineOptions{Options: inference.Options{Delegate: inference.XNNPACK, Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	ledger(t, c, e.now(), func(l *auction.Ledger) error {
		return l.Mark(auction.Key{Model: engine.SHA256, Kernel: auction.Kernel()}, o.Options.Delegate, "it hung")
	})
	want(t, e.model(context.Background()), "ok model: xnnpack, ", "ok decide: there is no live source",
		"warn delegate: it works now, but it is marked as bad -> stop sightd, remove ", "warn delegates: it hung -> remove", "ok delegates: nothing is remembered of this model")
}

func TestLibraries(t *testing.T) {
	maps := func(folders ...string) string {
		text := "7f00-7f01 r-xp 00000000 b3:02 5 /usr/lib/x86_64-linux-gnu/libc.so.6\n7f02-7f03 rw-p 00000000 00:00 0 \n"
		for i, folder := range folders {
			name := "/libtensorflowlite_c.so"
			if i > 0 {
				name = "/libopencv_core.so.413"
			}
			text += "7f04-7f05 r-xp 00000000 b3:02 6    " + folder + name + "\n"
		}
		return text
	}
	const own, gpu = "/usr/lib/sightd", "ok libraries gpu: LiteRT isn't there"
	for _, test := range []struct {
		name, self, path string
		folders          []string
		want             []string
	}{
		{"packaged", "/usr/bin/sightd", "", []string{own, own}, []string{"ok libraries: some 1.0, glibc 2.36, from /usr/lib/sightd", gpu}},
		{"packaged, with a path", "/usr/bin/sightd", "/opt/none:/opt/cv", []string{own, "/opt/cv"}, []string{"warn libraries: as LD_LIBRARY_PATH says -> unset LD_LIBRARY_PATH (it is /opt/none:/opt/cv)", gpu}},
		{"packaged, with the system's", "/usr/bin/sightd", "", []string{own, "/opt/none-linux-gnu"}, []string{"warn libraries: from /usr/lib/sightd and /opt/none-linux-gnu, which aren't sightd's own -> /etc/ld.so.conf.d", gpu}},
		{"built", "/home/pi/sightd/bin/sightd", "/home/pi/lib", []string{"/home/pi/lib", "/home/pi/lib"}, []string{"ok libraries: from /home/pi/lib", gpu}},
		{"built of several", "/home/pi/sightd/bin/sightd", "", []string{"/usr/local/none", "/opt/none-linux-gnu"}, []string{"warn libraries: of different origin -> install the package", gpu}},
		{"not told", "/usr/bin/sightd", "", nil, []string{"ok libraries: some 1.0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := recorded(t, map[string]string{"proc/self/maps": maps(test.folders...), "proc/self/exe": "-> " + test.self})
			s.getenv = func(name string) string { return map[string]string{"LD_LIBRARY_PATH": test.path}[name] }
			want(t, (&examiner{system: s, libraries: "some 1.0"}).libraryVersions(context.Background()), test.want...)
		})
	}
	s, c := recorded(t, map[string]string{"proc/self/maps": maps(own)}), config(t)
	c.Model.Delegate = "gpu"
	want(t, (&examiner{system: s, config: c}).libraryVersions(context.Background()), "ok libraries: /usr/lib/sightd", "warn libraries gpu: there is no libLiteRt.so -> model.delegate to auto")
	if folders := thisSystem().loaded(); len(folders) == 0 || !strings.HasPrefix(folders[0], "/") {
		t.Errorf("here: got %q, want a folder", folders)
	}
}

func TestStateSystem(t *testing.T) {
	for kind, line := range map[int64]string{
		unix.EXT4_SUPER_MAGIC: "", unix.BTRFS_SUPER_MAGIC: "", unix.TMPFS_MAGIC: "warn state_dir: in memory alone -> on a disk",
		unix.NFS_SUPER_MAGIC: "warn state_dir: network file system -> of the board's own", unix.SMB2_SUPER_MAGIC: "warn state_dir: network -> own",
		unix.MSDOS_SUPER_MAGIC: "warn state_dir: FAT -> ext4", unix.OVERLAYFS_SUPER_MAGIC: "warn state_dir: overlay -> raspi-config",
	} {
		s := recorded(t, nil)
		s.statfs = room(1<<30, 500_000, kind)
		var lines []string
		if line != "" {
			lines = []string{line}
		}
		want(t, (&examiner{system: s}).stateSystem("/x", "/"), lines...)
	}
	s := recorded(t, map[string]string{"run/.containerenv": ""})
	s.statfs = room(1<<30, 500_000, unix.OVERLAYFS_SUPER_MAGIC)
	want(t, (&examiner{system: s}).stateSystem("/x", "/"), "warn state_dir: lies in the container -> docker run -v sightd:/x")
}
