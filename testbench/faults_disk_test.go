package testbench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asRoot skips a test that needs to be root. In CI it has to be.
func asRoot(t testing.TB, why string) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("want root: %s", why)
	}
	t.Skipf("skipped: only root may %s", why)
}

// smallDisk mounts a file system of so many MB until the test's end.
func smallDisk(t testing.TB, kind string, mb int64) (dir string) {
	t.Helper()
	asRoot(t, "mount a small file system")
	dir = filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if kind == "tmpfs" {
		if err := unix.Mount("none", dir, kind, 0, fmt.Sprintf("size=%dm,mode=700", mb)); err != nil {
			t.Fatal(err)
		}
	} else {
		file := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, mb<<20); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"mkfs." + kind, "-q", "-m", "0", file}, {"mount", "-o", "loop", file, dir}} {
			if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%q: %v: %s", command, err, output)
			}
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes a file until nothing more fits.
func fill(t testing.TB, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

func fullTmpfs(t *testing.T, f *fault) { filled(t, f, smallDisk(t, "tmpfs", 16)) }
func fullExt4(t *testing.T, f *fault)  { filled(t, f, smallDisk(t, "ext4", 32)) }

// filled fills the disk that holds the state and the folder while the broker is away, so that events go to the outbox, and every other time has
// the broker come back before there is room again.
func filled(t *testing.T, f *fault, disk string) {
	g := newRig(t, f, disk, "results: true")
	ballast := filepath.Join(disk, "ballast")
	for round := range f.rounds {
		g.run(t)
		g.some(t, 1)
		var aside []string
		for range 4 {
			name, data := g.picture(t)
			aside = append(aside, name)
			if err := os.WriteFile(filepath.Join(disk, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		g.wire.set(cut)
		fill(t, ballast)
		for _, name := range aside {
			if err := os.Rename(filepath.Join(disk, name), filepath.Join(g.b.inbox, name)); err != nil {
				t.Fatal(err)
			}
		}
		g.tell(t, 6)
		if round%2 == 0 {
			g.wire.set(whole)
			g.acknowledged(t, aside...)
			g.p.line(t, "was processed but not put away", "no space left on device")
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		g.wire.set(whole)
		g.recover(t, f)
		g.stop(t)
	}
	g.run(t)
	g.finish(t, f)
	g.withResults(t)
}

// tell waits until the log tells so many events more of the live source.
func (g *rig) tell(t testing.TB, n int) {
	t.Helper()
	s := g.spells[len(g.spells)-1]
	want := s.logged() + n
	eventually(t, func() bool { return s.logged() >= want }, func() string {
		return fmt.Sprintf("want %d events of the live source in the log, have %d", want, s.logged())
	})
}

// withResults checks that each picture in done/ has its result beside it.
func (g *rig) withResults(t testing.TB) {
	t.Helper()
	done := list(t, filepath.Join(g.b.inbox, "done"))
	for _, name := range g.names {
		if !slices.Contains(done, name) || !slices.Contains(done, name+".json") {
			t.Errorf("done/: want %s and its result", name)
		}
	}
}

// slowDisk holds up the system calls that change files, with the broker away half of the time.
func slowDisk(t *testing.T, f *fault) {
	g := newRig(t, f, "", "results: true")
	for round := range f.rounds {
		g.run(t)
		trace, why := attach(t, g.p, "-e", "trace=fsync,fdatasync,pwrite64,renameat,renameat2,unlinkat",
			"-e", "inject=fsync,fdatasync:delay_enter=400ms", "-e", "inject=pwrite64,renameat,renameat2,unlinkat:delay_enter=100ms")
		if trace == nil {
			t.Skipf("skipped: system calls can't be held up: %s", why)
		}
		g.drop(t, 2+g.rng.IntN(4))
		g.some(t, 2)
		g.wire.set(cut)
		g.drop(t, 2+g.rng.IntN(4))
		g.tell(t, 4)
		g.wire.set(whole)
		if round%2 == 0 {
			g.pause(time.Second)
			g.kill(t)
			begin := time.Now()
			g.launch(t)
			g.recoverSince(t, f, begin)
			g.p.line(t, `"msg":"ready`)
		} else {
			g.recover(t, f)
		}
		if !strings.Contains(trace.String(), "(DELAYED)") {
			t.Errorf("want system calls held up, have\n%s", trace)
		}
		g.stop(t)
	}
	g.run(t)
	g.finish(t, f)
	g.withResults(t)
}
