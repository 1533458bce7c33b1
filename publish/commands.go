package publish

import (
	"context"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// maxCommands is how many commands may wait to be obeyed.
const maxCommands = 64

// command is a message to the daemon that wants no answer.
type command struct {
	source  string
	payload []byte
}

// listen subscribes to what the first connection hears, and reports whether that worked. A broker that refuses a
// subscription is told of in the log: without it the daemon does all else.
func (c *Client) listen(link *link) bool {
	filters := []string{SetFilter(c.opts.Base), StateTopic(c.opts.Base)}
	if c.opts.Discovery != "" {
		filters = append(filters, HomeAssistantStatusTopic(c.opts.Discovery))
	}
	return c.subscribe(link, filters...)
}

func (c *Client) subscribe(link *link, filters ...string) bool {
	refused, err := link.subscribe(c.ctx, filters...)
	for _, filter := range refused {
		c.opts.Log.Warn("the broker refused a subscription: what comes there isn't heard", "topic", filter, "user", c.opts.User)
	}
	return err == nil
}

// hear takes a message from the first connection. It must not wait: acknowledgements come over the same connection.
func (c *Client) hear(m mqtt.Message) {
	in, err := ParseTopic(c.opts.Base, "", c.opts.Discovery, m.Topic())
	switch {
	case in.Kind == HomeAssistantState:
		if string(m.Payload()) == Online {
			c.mu.Lock()
			c.born = true
			c.mu.Unlock()
			c.stir()
		}
		return
	case in.Kind == StateMessage:
		if string(m.Payload()) == Offline && !m.Retained() { // what is retained is of before this connection, which replaces it
			c.mu.Lock()
			c.denied = true
			c.mu.Unlock()
			c.stir()
		}
		return
	case in.Kind != SetMessage:
		c.opts.Log.Warn("command ignored", "err", err)
		return
	case m.Retained():
		// It was meant for who was there when it was published; a switch must not turn back at each connect.
		c.opts.Log.Warn("retained command ignored", "topic", m.Topic())
		return
	}
	select {
	case c.commands <- command{in.Source, m.Payload()}:
	default:
		c.opts.Log.Warn("command dropped: more come than can be obeyed", "topic", m.Topic(), "waiting", maxCommands)
	}
}

// NextSet waits for a command to switch a source on or off. One that can't be understood is told of in the log, and dropped. The error is that of
// ctx, or ErrClosed.
func (c *Client) NextSet(ctx context.Context) (source string, enabled bool, err error) {
	for {
		select {
		case in := <-c.commands:
			if enabled, err = ParseSet(in.payload); err == nil {
				return in.source, enabled, nil
			}
			c.opts.Log.Warn("command not understood", "topic", SetTopic(c.opts.Base, in.source), "err", err)
		case <-ctx.Done():
			return "", false, ctx.Err()
		case <-c.ctx.Done():
			return "", false, ErrClosed
		}
	}
}
