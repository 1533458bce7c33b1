package publish

import (
	"strings"
	"sync"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// retainLock keeps mochi from looking for retained messages, for who subscribes with a wildcard, while another connection has one
// retained: mochi (2.7.9) reads the topic's name in its tree without the lock under which that is written, and half a string can
// bring the process down. Hooks surround both, each pair in one goroutine:
//
//   - a message is retained between OnPublish, or OnWill, and OnRetainMessage;
//   - retained messages are looked for between OnPacketSent, of SUBACK, and OnPacketProcessed. Nothing waits for a connection there.
//
// It is to be the last hook: no other can stop a message between its OnPublish and OnRetainMessage. mochi retains in two more places,
// without hooks before: wills with a delay, which lose that here, and what it says of itself, which is why guarded lets nobody look for
// several topics of those.
type retainLock struct {
	mochi.HookBase
	mu sync.RWMutex
}

func (*retainLock) ID() string { return "retain-lock" }

func (*retainLock) Provides(b byte) bool {
	switch b {
	case mochi.OnPublish, mochi.OnWill, mochi.OnRetainMessage, mochi.OnPacketSent, mochi.OnPacketProcessed:
		return true
	}
	return false
}

func (l *retainLock) OnPublish(_ *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Retain {
		l.mu.Lock()
	}
	return pk, nil
}

func (l *retainLock) OnWill(cl *mochi.Client, will mochi.Will) (mochi.Will, error) {
	if will.Retain {
		cl.Properties.Will.WillDelayInterval = 0
		l.mu.Lock()
	}
	return will, nil
}

func (l *retainLock) OnRetainMessage(*mochi.Client, packets.Packet, int64) { l.mu.Unlock() }

func (l *retainLock) OnPacketSent(cl *mochi.Client, pk packets.Packet, _ []byte) {
	if c, ok := cl.Net.Conn.(*gated); ok && pk.FixedHeader.Type == packets.Suback {
		l.mu.RLock()
		c.looking = true
	}
}

func (l *retainLock) OnPacketProcessed(cl *mochi.Client, _ packets.Packet, _ error) {
	if c, ok := cl.Net.Conn.(*gated); ok && c.looking {
		c.looking = false
		l.mu.RUnlock()
	}
}

// sysWildcard reports whether a filter asks for several of the topics in which mochi reports on itself.
func sysWildcard(filter string) bool {
	return strings.HasPrefix(filter, mochi.SysPrefix+"/") && strings.ContainsAny(filter, "+#")
}
