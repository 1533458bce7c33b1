package publish

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"sightd/decide"
)

// Window is how many messages may be on their way to the broker without an acknowledgement. When a daemon is killed these
// are the ones that the broker may have and will be given again.
const Window = 16

// live is how old an event may be when it is sent for it not to be a replay.
const live = 5 * time.Second

// delivery is a message that is sent until it is acknowledged.
type delivery struct {
	message
	made time.Time
	old  bool        // of an earlier process: a replay, like what has waited for longer than live
	done func(error) // called once: nil when it is acknowledged, ErrClosed when it never will be; doesn't block
}

// deliveries are the messages on their way, in order.
type deliveries struct {
	next  chan *delivery // from those who send, one at a time
	slots chan struct{}  // Window of them

	mu     sync.Mutex
	window []*delivery // not acknowledged, the oldest first
}

func newDeliveries() deliveries {
	return deliveries{next: make(chan *delivery), slots: make(chan struct{}, Window)}
}

func (d *deliveries) unsent() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.window)
}

// end tells those who wait that it was in vain.
func (d *deliveries) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.window {
		m.done(ErrClosed)
	}
	d.window = nil
}

// add puts m into the window. The caller has a slot for it.
func (d *deliveries) add(m *delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.window = append(d.window, m)
}

// oldest is the oldest that is not acknowledged, or nil.
func (d *deliveries) oldest() *delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.window) == 0 {
		return nil
	}
	return d.window[0]
}

// acknowledged takes the oldest out of the window.
func (d *deliveries) acknowledged() {
	d.mu.Lock()
	oldest := d.window[0]
	d.window = d.window[1:]
	d.mu.Unlock()
	<-d.slots
	oldest.done(nil)
}

// push gives m to whoever sends, as soon as there is a connection and room in the window.
func (c *Client) push(ctx context.Context, m *delivery) error {
	select {
	case <-c.ctx.Done(): // also where the other cases hold
		return ErrClosed
	default:
	}
	select {
	case c.outgoing.next <- m:
		return nil
	case <-c.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for a connection: %w", ctx.Err())
	}
}

// Send gives e to the broker, on its source's EventTopic. It waits until there is a connection with room in the window, and
// returns a channel that gets nil when the broker has acknowledged e (QoS 0: when it is written to the connection), or
// ErrClosed. Lost connections are ridden out: e is sent over each until then, always with the same id, so the broker gets it at
// least once. One that had to wait for longer than 5 s says so: replayed is true.
//
// Send itself fails with the error of ctx, with ErrClosed, and at once where the payload can't be made (see EventPayload).
func (c *Client) Send(ctx context.Context, e decide.Event) (<-chan error, error) {
	m, err := c.event(e)
	if err != nil {
		return nil, err
	}
	acknowledged := make(chan error, 1)
	if err := c.push(ctx, &delivery{message: m, made: c.opts.times.now(), done: func(err error) { acknowledged <- err }}); err != nil {
		return nil, fmt.Errorf("publish event %s: %w", e.ID, err)
	}
	return acknowledged, nil
}

// Publish is Send, and waits for the acknowledgement. When ctx ends before, the broker may get e all the same.
func (c *Client) Publish(ctx context.Context, e decide.Event) error {
	acknowledged, err := c.Send(ctx, e)
	if err != nil {
		return err
	}
	select {
	case err = <-acknowledged:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("publish event %s: %w", e.ID, err)
	}
	return nil
}

// Accept takes e into the outbox, from where it is handed to the broker at least once, whatever becomes of the broker and of
// this process. It doesn't wait for a connection.
func (c *Client) Accept(e decide.Event) error {
	m, err := c.event(e)
	if err != nil {
		return err
	}
	if c.opts.Outbox == nil {
		return fmt.Errorf("accept event %s: there is no outbox", e.ID)
	}
	return c.opts.Outbox.Put(m.topic, m.payload, c.opts.times.now())
}

// event makes the message of e.
func (c *Client) event(e decide.Event) (message, error) {
	if !ValidSource(e.Source) {
		return message{}, fmt.Errorf("publish event %s: want a source's name of a-z, 0-9, _ and -, have %q", e.ID, e.Source)
	}
	c.mu.Lock()
	model := c.model
	c.mu.Unlock()
	payload, err := EventPayload(e, model, c.opts.MaxPayload)
	if err != nil {
		return message{}, err
	}
	return message{topic: EventTopic(c.opts.Base, e.Source), payload: payload, qos: c.opts.QoS}, nil
}

// feed sends what is in the outbox until the Client is closed.
func (c *Client) feed() {
	for {
		m, err := c.opts.Outbox.Next(c.ctx)
		if err != nil {
			return // closed: the outbox has no other errors
		}
		d := &delivery{
			message: message{topic: m.Topic, payload: m.Payload, qos: c.opts.QoS}, made: m.Accepted, old: m.Earlier,
			done: func(err error) {
				if err == nil {
					m.Ack()
				} else {
					m.Release()
				}
			},
		}
		if c.push(c.ctx, d) != nil {
			m.Release()
			return
		}
	}
}

// deliver sends over link what is in the window, and then what comes, until the link is down. When the Client is closed it
// takes nothing more, but still hears what is acknowledged.
func (c *Client) deliver(link *link) {
	out := &c.outgoing
	tokens := make(chan mqtt.Token, Window) // of all in the window that were sent over link, so that sending never waits
	var hearing sync.WaitGroup
	hearing.Go(func() {
		for token := range tokens {
			if link.wait(c.hard, token) != nil {
				return // link.close comes
			}
			out.acknowledged()
		}
	})
	defer hearing.Wait()
	defer close(tokens)
	out.mu.Lock()
	again := slices.Clone(out.window)
	out.mu.Unlock()
	for _, m := range again {
		if !c.send(link, m, tokens) {
			return
		}
	}
	for {
		select {
		case out.slots <- struct{}{}:
		case <-link.down:
			return
		case <-c.ctx.Done():
			return
		}
		select {
		case m := <-out.next:
			out.add(m)
			if !c.send(link, m, tokens) {
				return
			}
			continue
		case <-link.down:
		case <-c.ctx.Done():
		}
		<-out.slots
		return
	}
}

// deliverInside is deliver to the embedded broker of this process, which has a message as soon as it is given to it: there is no window.
// The link says for how long the broker knows this client. What had to wait goes over it, too, one by one: there may be much of that, and
// given to the broker at once it could be more than a subscriber's queue holds.
func (c *Client) deliverInside(link *link) {
	out := &c.outgoing
	for {
		d := out.oldest() // left by a link before this one
		if d == nil {
			select {
			case d = <-out.next:
			case <-link.down:
				return
			case <-c.ctx.Done():
				return
			}
			out.slots <- struct{}{} // has room
			out.add(d)
		}
		if m, waited := c.dated(d); waited {
			if link.publish(c.hard, m) != nil {
				return // it is down, or the Client is closed
			}
		} else if err := c.opts.Embedded.publish(m.topic, m.payload, m.qos); err != nil {
			link.cut(err)
			return
		}
		out.acknowledged()
	}
}

// dated is the message of d, which says so if it had to wait.
func (c *Client) dated(d *delivery) (m message, waited bool) {
	m = d.message
	if waited = d.old || c.opts.times.now().Sub(d.made) > live; waited {
		m.payload = replayed(m.payload)
	}
	return m, waited
}

// send sends one message, and reports whether paho took it.
func (c *Client) send(link *link, d *delivery, tokens chan<- mqtt.Token) bool {
	m, _ := c.dated(d)
	token, err := link.hand(c.hard, m)
	if err != nil {
		return false
	}
	tokens <- token
	return true
}
