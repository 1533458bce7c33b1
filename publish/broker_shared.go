package publish

import (
	"math/rand/v2"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// dealer gives each message of a shared subscription to one of its members, each with the same chance. mochi (2.7.9) takes the first one of a
// map: of two members one got 71 messages of 100.
type dealer struct{ mochi.HookBase }

func (*dealer) ID() string { return "dealer" }

func (*dealer) Provides(b byte) bool { return b == mochi.OnSelectSubscribers }

func (*dealer) OnSelectSubscribers(to *mochi.Subscribers, _ packets.Packet) *mochi.Subscribers {
	to.SharedSelected = make(map[string]packets.Subscription)
	for _, members := range to.Shared {
		if len(members) == 0 {
			continue
		}
		skip := rand.IntN(len(members))
		for id, subscription := range members {
			if skip > 0 {
				skip--
				continue
			}
			if other, ok := to.SharedSelected[id]; ok { // of another group
				subscription = other.Merge(subscription)
			}
			to.SharedSelected[id] = subscription
			break
		}
	}
	return to
}
