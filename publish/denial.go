package publish

import "time"

// Two boards may have one name: a card was copied, say. Then the one that stops says Offline of both, and Home Assistant
// takes all sources of the other, which goes on, for unavailable. So a Client hears what is said of it, and denies that.

// denyEach is how often Online is said again at most, so that boards that come and go don't chase each other.
const denyEach = time.Minute

// ownWill is for how long after a login the last will of this board's own connection before may come: some brokers publish it
// once the new connection stands.
const ownWill = 10 * time.Second

// denials are of what others said. Only Client.run uses them.
type denials struct {
	last time.Time // when Online was said again
	told bool      // of another board
}

// due is how long to wait before Online is said again, with so much time between two.
func (d *denials) due(now time.Time, each time.Duration) time.Duration {
	if d.last.IsZero() || now.Before(d.last) { // the clock was set back
		return 0
	}
	return max(0, each-now.Sub(d.last))
}

func (c *Client) wasDenied() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	denied := c.denied
	c.denied = false
	return denied
}

// tellDenied tells the log, once, that another board must have said Offline.
func (c *Client) tellDenied(link *link) {
	if c.denials.told || c.opts.times.now().Sub(link.since) < ownWill {
		return
	}
	c.denials.told = true
	c.opts.Log.Warn("another sightd uses this one's name: it said offline while this one runs; give each board its own (name, or mqtt.base)",
		"topic", StateTopic(c.opts.Base), "client_id", c.opts.ClientID)
}

// deny says Online again, and reports whether the broker has it.
func (c *Client) deny(link *link, sent map[string]kept) bool {
	c.denials.last = c.opts.times.now()
	return c.retain(c.ctx, link, sent, StateTopic(c.opts.Base), kept{Online, 1})
}
