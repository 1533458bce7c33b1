package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// kept is a retained message. An empty payload clears its topic.
type kept struct {
	payload string
	qos     byte
}

// SetAvailability says Online, Offline or Disabled of a source. Like all that is retained it is published now and on each
// connect: brokers may lose what they retain. It doesn't wait; while there is no connection, or the last one isn't
// acknowledged yet, the last call for a source counts.
func (c *Client) SetAvailability(source, state string) error {
	if !ValidSource(source) {
		return fmt.Errorf("set availability: want a source's name of a-z, 0-9, _ and -, have %q", source)
	}
	if state != Online && state != Offline && state != Disabled {
		return fmt.Errorf("set availability of %s: want %s, %s or %s, have %q", source, Online, Offline, Disabled, state)
	}
	c.keep(AvailabilityTopic(c.opts.Base, source), kept{state, 1})
	return nil
}

// SetState publishes a source's state, in the way of SetAvailability.
func (c *Client) SetState(source string, s State) error {
	if !ValidSource(source) {
		return fmt.Errorf("set state: want a source's name of a-z, 0-9, _ and -, have %q", source)
	}
	payload, err := StatePayload(s, c.opts.MaxPayload)
	if err != nil {
		return err
	}
	c.keep(SourceStateTopic(c.opts.Base, source), kept{string(payload), 1})
	return nil
}

// SetHealth publishes the bridge's health, in the way of SetAvailability.
func (c *Client) SetHealth(h Health) error {
	payload, err := HealthPayload(h, c.opts.MaxPayload)
	if err != nil {
		return err
	}
	c.keep(HealthTopic(c.opts.Base), kept{string(payload), 1})
	return nil
}

// SetInfo publishes what the bridge is, in the way of SetAvailability. Events that don't tell which model
// judged them carry its model from now on.
func (c *Client) SetInfo(i Info) error {
	payload, err := InfoPayload(i, c.opts.MaxPayload)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.model = i.model()
	c.mu.Unlock()
	c.keep(InfoTopic(c.opts.Base), kept{string(payload), 1})
	return nil
}

// Announce publishes a message of Discovery, in the way of SetAvailability, and again whenever Home Assistant starts. An empty
// payload withdraws what was announced on the topic.
func (c *Client) Announce(topic string, payload []byte) {
	c.keep(topic, kept{string(payload), 1})
}

// SetImage publishes the JPEG of a source's last event, with QoS 0, in the way of SetAvailability. One that is too large is an
// error. An empty one clears the topic.
func (c *Client) SetImage(source string, jpeg []byte) error {
	if !ValidSource(source) {
		return fmt.Errorf("set image: want a source's name of a-z, 0-9, _ and -, have %q", source)
	}
	if len(jpeg) > c.opts.MaxPayload {
		return fmt.Errorf("set image of %s: want at most %d bytes, have %d", source, c.opts.MaxPayload, len(jpeg))
	}
	c.keep(ImageTopic(c.opts.Base, source), kept{string(jpeg), 0})
	return nil
}

// keep has m retained under topic, in place of the one before.
func (c *Client) keep(topic string, m kept) {
	c.mu.Lock()
	c.retained[topic] = m
	c.mu.Unlock()
	c.stir()
}

// stir has refresh look.
func (c *Client) stir() {
	select {
	case c.dirty <- struct{}{}:
	default: // it will
	}
}

// refresh keeps the retained messages up to date until the link is down or the Client is closed. Between two rounds it
// pauses: what changes faster is published with its last value only.
func (c *Client) refresh(link *link, sent map[string]kept) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	var birth, denial <-chan time.Time
	for {
		select {
		case <-pause.C:
		case <-link.down:
			return
		case <-c.ctx.Done():
			return
		}
		select {
		case <-c.dirty:
		case <-birth:
			birth = nil
			maps.DeleteFunc(sent, func(topic string, _ kept) bool { return c.announces(topic) })
		case <-denial:
			denial = nil
			if !c.deny(link, sent) {
				return
			}
		case <-link.down:
			return
		case <-c.ctx.Done():
			return
		}
		if c.wasBorn() && birth == nil {
			birth = time.After(rand.N(c.opts.times.birth)) // not all boards at once
		}
		if c.wasDenied() {
			c.tellDenied(link)
			if denial == nil {
				denial = time.After(c.denials.due(c.opts.times.now(), c.opts.times.deny))
			}
		}
		if !c.publishRetained(c.ctx, link, sent) {
			return
		}
		pause.Reset(c.opts.times.pause)
	}
}

// announces reports whether a topic is of Home Assistant's discovery.
func (c *Client) announces(topic string) bool {
	return c.opts.Discovery != "" && strings.HasPrefix(topic, c.opts.Discovery+"/")
}

func (c *Client) wasBorn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	born := c.born
	c.born = false
	return born
}

// publishRetained publishes what link hasn't got yet, and reports whether that worked.
func (c *Client) publishRetained(ctx context.Context, link *link, sent map[string]kept) bool {
	c.mu.Lock()
	retained := maps.Clone(c.retained)
	c.mu.Unlock()
	for _, topic := range slices.Sorted(maps.Keys(retained)) {
		if was, ok := sent[topic]; (!ok || was != retained[topic]) && !c.retain(ctx, link, sent, topic, retained[topic]) {
			return false
		}
	}
	return true
}

// retain publishes one retained message, and reports whether the broker has it. If not, link is down or ctx has ended.
func (c *Client) retain(ctx context.Context, link *link, sent map[string]kept, topic string, m kept) bool {
	if link.publish(ctx, message{topic: topic, payload: []byte(m.payload), qos: m.qos, retained: true}) != nil {
		return false
	}
	sent[topic] = m
	return true
}

// sayGoodbye publishes what is retained, and Offline. If that takes too long the link is cut: then, as when it was down
// already, the broker publishes the will, which says the same of the bridge.
func (c *Client) sayGoodbye(link *link, sent map[string]kept) {
	c.publishRetained(c.hard, link, sent) // what keeps it from the broker keeps Offline too, and is told then
	err := link.publish(c.hard, message{topic: StateTopic(c.opts.Base), payload: []byte(Offline), qos: 1, retained: true})
	if err == nil || errors.Is(err, errLinkDown) {
		return
	}
	link.cut(err)
	c.mu.Lock()
	c.unsaid = fmt.Errorf("publish %s on closing: %w", Offline, err)
	c.mu.Unlock()
}
