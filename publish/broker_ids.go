package publish

import (
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// packetIDs keeps a client's packet ids apart from those of what is delivered to it. Each side chooses its own (MQTT 3.1.1, section 2.3.1),
// and both begin with 1; but mochi (2.7.9) keeps both kinds in one place. There a message of the client's makes it forget the delivery that
// has the same id, though that isn't acknowledged, and SUBSCRIBE with such an id is refused. So mochi sees another id in the place of one
// that is taken, and the client its own.
type packetIDs struct{ mochi.HookBase }

func (*packetIDs) ID() string { return "packet-ids" }

func (*packetIDs) Provides(b byte) bool { return b == mochi.OnPacketRead || b == mochi.OnPacketEncode }

// OnPacketRead is called before mochi looks at what a client has sent.
func (*packetIDs) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	c, ok := cl.Net.Conn.(*gated)
	if !ok {
		return pk, nil
	}
	switch pk.FixedHeader.Type {
	case packets.Publish, packets.Subscribe, packets.Unsubscribe:
		if _, known := c.seen[pk.PacketID]; !known && delivers(cl, pk.PacketID) {
			c.rename(pk.PacketID, free(cl, c))
		}
	case packets.Pubrel: // of a message that came with QoS 2
	default:
		return pk, nil
	}
	if id, ok := c.seen[pk.PacketID]; ok {
		pk.PacketID = id
	}
	return pk, nil
}

// OnPacketEncode is called before a packet is sent. Those of these types are answers, which the goroutine that reads sends.
func (*packetIDs) OnPacketEncode(cl *mochi.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Puback, packets.Pubrec, packets.Pubcomp, packets.Suback, packets.Unsuback:
	default:
		return pk
	}
	c, ok := cl.Net.Conn.(*gated)
	if !ok {
		return pk
	}
	if id, renamed := c.own[pk.PacketID]; renamed {
		if pk.FixedHeader.Type != packets.Pubrec { // PUBREL comes
			delete(c.own, pk.PacketID)
			delete(c.seen, id)
		}
		pk.PacketID = id
	}
	return pk
}

// delivers reports whether a delivery to cl has that id. (0 is of QoS 0: none has it.)
func delivers(cl *mochi.Client, id uint16) bool {
	pk, ok := cl.State.Inflight.Get(id)
	return ok && (pk.FixedHeader.Type == packets.Publish || pk.FixedHeader.Type == packets.Pubrel)
}

// free is an id that isn't in use. mochi takes them from below: there are maxQueue of its own at most.
func free(cl *mochi.Client, c *gated) uint16 {
	for id := uint16(65535); id > 0; id-- {
		_, taken := cl.State.Inflight.Get(id)
		if _, ours := c.own[id]; !taken && !ours {
			return id
		}
	}
	return 0 // can't be: no client has so many
}

// rename has mochi see the id seen for own.
func (c *gated) rename(own, seen uint16) {
	if c.seen == nil {
		c.seen, c.own = make(map[uint16]uint16), make(map[uint16]uint16)
	}
	c.seen[own], c.own[seen] = seen, own
}
