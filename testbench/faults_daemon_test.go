package testbench

import (
	"testing"
	"time"
)

// killed kills the daemon at random moments, one round in four while it starts, and starts it again.
func killed(t *testing.T, f *fault) {
	g := newRig(t, f, "", "")
	g.run(t)
	for round := range f.rounds {
		if g.rng.IntN(4) == 0 {
			g.drop(t, 1+g.rng.IntN(4))
			g.kill(t)
			g.launch(t)
		}
		g.amid(t, round)
		g.kill(t)
		g.again(t, f)
	}
	g.finish(t, f)
}

// terminated stops it in order instead.
func terminated(t *testing.T, f *fault) {
	g := newRig(t, f, "", "results: true")
	g.run(t)
	for round := range f.rounds {
		g.amid(t, round)
		g.p.line(t, `"msg":"ready`) // a signal in its first moments would just end it
		g.stop(t)
		g.again(t, f)
	}
	g.finish(t, f)
	g.withResults(t)
}

// amid lasts until a random moment of the daemon's work: with the broker there, away, or there and nothing heard of it, by turns. In the
// last two cases pictures and events wait for it.
func (g *rig) amid(t testing.TB, round int) {
	t.Helper()
	away := []wireState{whole, cut, deaf}[round%3]
	if away != whole {
		g.p.line(t, `"msg":"ready`)
		g.wire.set(away)
	}
	g.drop(t, 1+g.rng.IntN(6))
	if away != whole {
		g.tell(t, 1+g.rng.IntN(3))
	}
	g.pause(time.Second)
}

// again starts the daemon again, with the broker there.
func (g *rig) again(t testing.TB, f *fault) {
	t.Helper()
	g.wire.set(whole)
	begin := time.Now()
	g.launch(t)
	g.recoverSince(t, f, begin)
}
