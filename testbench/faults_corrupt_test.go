package testbench

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// harm is what becomes of a file.
type harm struct {
	name string
	to   func(rng *rand.Rand, data []byte) []byte // nil: the file is removed
}

var harms = []harm{
	{"bits", func(rng *rand.Rand, data []byte) []byte {
		data = bytes.Clone(data)
		for range 1 + rng.IntN(8) {
			if len(data) > 0 {
				data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
			}
		}
		return data
	}},
	{"cut", func(rng *rand.Rand, data []byte) []byte { return data[:rng.IntN(len(data)+1)] }},
	{"empty", func(*rand.Rand, []byte) []byte { return []byte{} }},
	{"zeros", func(_ *rand.Rand, data []byte) []byte { return make([]byte, len(data)) }},
	{"another", func(rng *rand.Rand, data []byte) []byte {
		data = make([]byte, 1+rng.IntN(2*len(data)+1))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		return data
	}},
	{"gone", func(*rand.Rand, []byte) []byte { return nil }},
}

// do harms a file in place.
func (h harm) do(t testing.TB, rng *rand.Rand, file string) (before []byte) {
	t.Helper()
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if data := h.to(rng, before); data == nil {
		err = os.Remove(file)
	} else {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return before
}

// restore writes what was in a file.
func restore(t testing.TB, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// refuses has the daemon read again what is wrong: it goes on with what was before. Then it is killed, and a new one refuses to start.
func (g *rig) refuses(t testing.TB, about string) {
	t.Helper()
	if err := g.p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	g.p.line(t, `"level":"ERROR"`, "the configuration and the model before go on", about)
	names := g.drop(t, 2)
	g.acknowledged(t, names...)
	g.drop(t, 2)
	g.kill(t)
	g.launch(t)
	g.p.until(t, func() bool { return g.p.over }, func() string { return "it starts with " + about + " that is wrong" })
	if code := g.p.cmd.ProcessState.ExitCode(); code != 1 && code != 2 || !strings.Contains(g.p.String(), about) {
		t.Errorf("want it to refuse %s, have %v", about, g.p.cmd.ProcessState)
	}
}

// corruptModel harms the file of the model in use.
func corruptModel(t *testing.T, f *fault) {
	g := newRig(t, f, "", "")
	model, _ := g.b.namedModel(t, "own", "")
	g.b.configure(t, "model: {", "model: {path: "+model+", ")
	file := filepath.Join(g.b.dir, model)
	for round := range f.rounds {
		for i, h := range harms {
			if round == 0 && f.rounds == 1 && i%2 != int(f.seed%2) {
				continue // half of them will do
			}
			g.run(t)
			before := h.do(t, g.rng, file)
			g.refuses(t, model)
			restore(t, file, before)
			g.starts(t, f)
		}
	}
	g.run(t)
	g.finish(t, f)
	f.note("six kinds of harm a round: bits, cut, empty, zeros, other bytes, removed; each in use (the reload is refused), at the start (which is refused), and mended")
}

// wrongConfigs are changes that make a configuration wrong.
var wrongConfigs = []struct{ old, with string }{
	{"version: 1", "version: 1\nnonsense: 1"},
	{"version: 1", "version: 9"},
	{"settle: 200ms", "settle: yes please"},
	{"sources:", "sources: ["},
	{"type: folder", "type: drawer"},
	{"name: bench", "name: \"\x00\""},
	{"delegate: xnnpack", "delegate: abacus"},
	{"type: replay, path: ./frames", "type: replay"},
}

// corruptConfig makes the configuration wrong.
func corruptConfig(t *testing.T, f *fault) {
	g := newRig(t, f, "", "")
	file := filepath.Join(g.b.dir, "sightd.yaml")
	for range f.rounds {
		for i, wrong := range wrongConfigs {
			if f.rounds == 1 && i%2 != int(f.seed%2) {
				continue // half of them will do
			}
			g.run(t)
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			g.b.configure(t, wrong.old, wrong.with)
			g.refuses(t, "sightd.yaml")
			restore(t, file, before)
			g.starts(t, f)
		}
	}
	g.run(t)
	g.finish(t, f)
	f.note("%d kinds of wrong configurations a round, each reloaded (refused), started with (refused), and mended", len(wrongConfigs))
}

// corruptState harms, one after the other, the files in which the daemon remembers things. It starts without them.
func corruptState(t *testing.T, f *fault) {
	g := newRig(t, f, "", "after: keep")
	g.keeps = true
	g.b.configure(t, fixedModel, "") // what was found out is remembered
	harmed := 0
	for round := range f.rounds {
		g.run(t)
		g.acknowledged(t, g.drop(t, 2)...)
		g.stop(t)
		for i, file := range g.stateFiles(t) {
			harms[(round+i)%len(harms)].do(t, g.rng, file)
			harmed++
		}
		begin := time.Now()
		g.launch(t)
		g.recoverSince(t, f, begin)
		g.p.line(t, `"msg":"ready`)
		g.stop(t)
	}
	g.run(t)
	g.finish(t, f)
	f.note("%d files harmed: sources.json, delegates.json, weight caches and their stamps, the journal of a folder with after: keep, whose pictures may be classified again", harmed)
}

// stateFiles are those of state_dir but the outbox's.
func (g *rig) stateFiles(t testing.TB) (files []string) {
	t.Helper()
	dir := filepath.Join(g.b.dir, "state")
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() && e.Name() == "outbox" {
			return filepath.SkipDir
		}
		if err == nil && e.Type().IsRegular() && !strings.HasSuffix(path, "lock") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
