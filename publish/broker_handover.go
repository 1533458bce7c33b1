package publish

import (
	"context"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"golang.org/x/sync/semaphore"
)

// Weights of handover.passing.
const (
	oneMessage = 1
	allOfThem  = 1 << 20 // more than there are connections
)

// takeoverWait bounds how long a client that comes back waits for the messages that are on their way, and new ones for it: one may be
// held up by a publisher that doesn't read its acknowledgement.
const takeoverWait = time.Second

// handover keeps the session of a client that comes back from being copied while a message is on its way into it. mochi (2.7.9)
// acknowledges a message before it hands it on, and takes what waits for a client over in steps: a message that comes between them
// stays with the connection that is gone, though its publisher was told that the broker has it. Hooks surround both, each pair in the
// goroutine of a connection:
//
//   - a message is on its way between OnPublish and OnPacketProcessed, a will between OnWill and OnWillSent;
//   - a session is taken over between OnSessionEstablish and OnPacketEncode, of CONNACK.
//
// Where a connection breaks between two of them the gate lets go for it. A message that comes over none is on its way while Broker.publish
// runs.
type handover struct {
	mochi.HookBase
	server  *mochi.Server
	passing *semaphore.Weighted
}

func newHandover(server *mochi.Server) *handover {
	return &handover{server: server, passing: semaphore.NewWeighted(allOfThem)}
}

func (*handover) ID() string { return "handover" }

func (*handover) Provides(b byte) bool {
	switch b {
	case mochi.OnSessionEstablish, mochi.OnPacketEncode, mochi.OnPublish, mochi.OnPacketProcessed, mochi.OnWill, mochi.OnWillSent:
		return true
	}
	return false
}

func (h *handover) OnSessionEstablish(cl *mochi.Client, pk packets.Packet) {
	if _, known := h.server.Clients.Get(cl.ID); known && !pk.Connect.Clean {
		h.take(cl, allOfThem, takeoverWait)
	}
}

func (h *handover) OnPacketEncode(cl *mochi.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type == packets.Connack {
		letGo(cl)
	}
	return pk
}

func (h *handover) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	h.take(cl, oneMessage, 2*takeoverWait)
	return pk, nil
}

func (h *handover) OnPacketProcessed(cl *mochi.Client, pk packets.Packet, _ error) {
	if pk.FixedHeader.Type == packets.Publish {
		letGo(cl)
	}
}

func (h *handover) OnWill(cl *mochi.Client, will mochi.Will) (mochi.Will, error) {
	if cl.Properties.Will.WillDelayInterval == 0 { // others are sent by nobody's goroutine
		h.take(cl, oneMessage, 2*takeoverWait)
	}
	return will, nil
}

func (h *handover) OnWillSent(cl *mochi.Client, _ packets.Packet) { letGo(cl) }

// take takes weight for cl's connection.
func (h *handover) take(cl *mochi.Client, weight int64, wait time.Duration) {
	if c, ok := cl.Net.Conn.(*gated); ok && c.release == nil {
		c.release = h.acquire(c.gate.closing, weight, wait)
	}
}

// acquire takes weight, and gives what lets go of it. Where that takes too long, or closing ends, that is nil: all goes on as it would
// without this.
func (h *handover) acquire(closing context.Context, weight int64, wait time.Duration) (release func()) {
	if !h.passing.TryAcquire(weight) {
		ctx, cancel := context.WithTimeout(closing, wait)
		defer cancel()
		if h.passing.Acquire(ctx, weight) != nil {
			return nil
		}
	}
	return func() { h.passing.Release(weight) }
}

func letGo(cl *mochi.Client) {
	if c, ok := cl.Net.Conn.(*gated); ok {
		c.letGo()
	}
}
