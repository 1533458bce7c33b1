package testbench

import (
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// brokerStopped stops mosquitto, which keeps its sessions, and starts it again.
func brokerStopped(t *testing.T, f *fault) {
	g := newRig(t, f, "", "")
	brokerGone(t, f, g, func() { g.m.stop(t) })
	g.finish(t, f)
}

// brokerKilled kills it: what it forgets then is its own matter, so what it has acknowledged is the judge.
func brokerKilled(t *testing.T, f *fault) {
	g := newRig(t, f, "", "")
	brokerGone(t, f, g, func() { g.m.signal(t, syscall.SIGKILL) })
	g.hearAgain(t)
	g.quiet(t)
	g.judge(t, f, g.wire.all())
}

func brokerGone(t *testing.T, f *fault, g *rig, end func()) {
	t.Helper()
	for range f.rounds {
		g.run(t)
		g.drop(t, 1+g.rng.IntN(4))
		g.pause(time.Second)
		end()
		g.drop(t, 1+g.rng.IntN(4))
		g.pause(time.Second)
		if !g.m.start(t) {
			t.Fatalf("mosquitto doesn't start again:\n%s", g.m.process)
		}
		g.recover(t, f)
		g.stop(t)
	}
	g.run(t)
}

// hearAgain subscribes anew at a broker that has forgotten the session.
func (g *rig) hearAgain(t testing.TB) {
	t.Helper()
	eventually(t, g.r.client.IsConnectionOpen, func() string { return "the test's client doesn't connect again" })
	settle(t, g.r.client.Subscribe("sightd/#", 1, nil))
}

// netReset resets all connections, and new ones for a while.
func netReset(t *testing.T, f *fault) {
	broken(t, f, func(g *rig) {
		g.wire.set(cut)
		g.drop(t, 1+g.rng.IntN(4))
		g.pause(time.Second)
		g.wire.set(whole)
	})
}

// netStalled reads nothing for a while, and then goes on with the same connections.
func netStalled(t *testing.T, f *fault) {
	broken(t, f, func(g *rig) {
		g.wire.set(stalled)
		g.drop(t, 1+g.rng.IntN(4))
		g.pause(4 * time.Second)
		g.wire.set(whole)
	})
}

// netForgotten has the connections forgotten, as by a router that was switched off and on: the daemon hears nothing of that.
func netForgotten(t *testing.T, f *fault) {
	broken(t, f, func(g *rig) {
		g.wire.set(deaf)
		g.drop(t, 1+g.rng.IntN(4))
		g.pause(time.Second)
		g.wire.set(whole)
	})
}

// netTornPublish ends a connection in a packet to the broker.
func netTornPublish(t *testing.T, f *fault) {
	broken(t, f, func(g *rig) { g.wire.tearNext(t, packets.Publish) })
}

// netTornPuback ends it in an acknowledgement.
func netTornPuback(t *testing.T, f *fault) {
	broken(t, f, func(g *rig) { g.wire.tearNext(t, packets.Puback) })
}

// broken breaks the connection of a new daemon in each round.
func broken(t *testing.T, f *fault, fault func(*rig)) {
	t.Helper()
	g := newRig(t, f, "", "")
	for range f.rounds {
		g.run(t)
		g.some(t, 1)
		g.drop(t, 1+g.rng.IntN(4))
		fault(g)
		g.recover(t, f)
		g.stop(t)
	}
	g.run(t)
	g.finish(t, f)
}
