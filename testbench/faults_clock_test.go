package testbench

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// wall is a wall clock that can be set: that of the programs that have its environment.
type wall struct {
	file string
	env  []string
}

// newWall builds testdata/clock.c, which says how it is done.
func newWall(t testing.TB) *wall {
	t.Helper()
	dir := t.TempDir()
	library := filepath.Join(dir, "clock.so")
	build := exec.Command("gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-fno-stack-protector", "-o", library,
		filepath.Join(repository(t), "testbench", "testdata", "clock.c"))
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the clock: %v\n%s", err, output)
	}
	w := &wall{file: filepath.Join(dir, "ahead")}
	w.env = []string{"LD_PRELOAD=" + library, "TEST_CLOCK=" + w.file}
	if err := os.WriteFile(w.file, make([]byte, 8), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// ahead sets the clock: so far ahead of the true time, or behind it.
func (w *wall) ahead(t testing.TB, d time.Duration) {
	t.Helper()
	f, err := os.OpenFile(w.file, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(d)), 0)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

const day = 24 * time.Hour

// jumps are where the clock goes, from the true time. A board without a battery starts in 1970, or when it was last off.
func jumps() []time.Duration {
	return []time.Duration{
		time.Hour, -time.Hour, 30 * day, -30 * day, -time.Since(time.Unix(60, 0)), 3650 * day, 10 * time.Second, -10 * time.Second,
	}
}

// clockJumps sets the daemon's clock while it works, every other time while the broker is away, and back.
func clockJumps(t *testing.T, f *fault) {
	w := newWall(t)
	g := newRig(t, f, "", "results: true")
	g.env, g.adrift = w.env, true
	for round := range f.rounds {
		g.run(t) // by the clock as the round before has left it
		g.some(t, 1)
		jump := jumps()[(round+int(f.seed%8))%len(jumps())]
		away := round%2 == 1
		for _, d := range []time.Duration{jump, 0, jump} {
			if away {
				g.wire.set(stalled)
				g.tell(t, 3)
			}
			w.ahead(t, d)
			g.drop(t, 1+g.rng.IntN(3))
			g.tell(t, 3)
			g.wire.set(whole)
			g.recover(t, f)
			if said := g.p.said(t); said.Sub(time.Now().Add(d)).Abs() > time.Minute {
				t.Errorf("want a log by a clock that is %v ahead, have %v", d, said)
			}
		}
		g.stop(t)
	}
	g.run(t)
	g.finish(t, f)
	g.withResults(t)
}

// said is the time of the last line of a log.
func (p *process) said(t testing.TB) time.Time {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var line struct{ Time time.Time }
	if err := json.Unmarshal([]byte(p.lines[len(p.lines)-1]), &line); err != nil {
		t.Fatal(err)
	}
	return line.Time
}

// fileTimes drops pictures with all kinds of modification times, as cameras without a clock, cp -p and archives make them.
func fileTimes(t *testing.T, f *fault) {
	g := newRig(t, f, "", "results: true")
	g.run(t)
	same := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for range f.rounds {
		for i, at := range []time.Time{
			time.Unix(0, 0), time.Unix(-1, 0), time.Date(1901, 12, 14, 0, 0, 0, 0, time.UTC), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), same, same, same,
			time.Now().Add(time.Hour), time.Now().Add(365 * day), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		} {
			name, data := g.picture(t)
			from, to := filepath.Join(g.b.dir, name), filepath.Join(g.b.inbox, name)
			if i%2 == 0 {
				from = to // its time changes when it is there already
			}
			err := os.WriteFile(from, data, 0o600)
			if err == nil {
				err = os.Chtimes(from, at, at)
			}
			if err == nil && from != to {
				err = os.Rename(from, to)
			}
			if err != nil && !os.IsNotExist(err) { // it may have been filed before
				t.Fatal(err)
			}
		}
		g.recover(t, f)
	}
	g.finish(t, f)
	g.withResults(t)
	if n := len(list(t, filepath.Join(g.b.inbox, "failed"))); n > 0 {
		t.Errorf("want no picture refused, have %d files in failed/", n)
	}
	f.note("%s", fmt.Sprintf("%d pictures a round", 11))
}
