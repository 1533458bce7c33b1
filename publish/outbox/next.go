package outbox

import (
	"context"
	"slices"
	"time"
)

// Message is one that was handed out. It is outstanding until Ack or Release is called; both may be called more than
// once, and after Close, when they do nothing.
type Message struct {
	Topic    string
	Payload  []byte // shared with the outbox: not to be changed
	Accepted time.Time
	Earlier  bool // it was put by an earlier process

	o        *Outbox
	e        *entry
	released bool
}

// Next hands out the oldest message that is neither handed out nor acknowledged, and waits for one if there is none. It
// passes over messages that are too old. The error is ctx's or ErrClosed.
func (o *Outbox) Next(ctx context.Context) (*Message, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		if o.closed {
			return nil, ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if m := o.take(); m != nil {
			return m, nil
		}
		if err := o.wait(ctx, &o.more); err != nil {
			return nil, err
		}
	}
}

// take is Next without waiting; nil if there is nothing to hand out.
func (o *Outbox) take() *Message {
	for {
		for len(o.released) > 0 && o.done.has(o.released[0].e.number) {
			o.forget(o.released[0]) // dropped meanwhile
		}
		e := o.peek()
		var m *Message
		if len(o.released) > 0 && (e == nil || o.released[0].e.number < e.number) {
			m = o.released[0]
			m.released = false
			o.released = slices.Delete(o.released, 0, 1)
			e = m.e
		}
		switch {
		case e == nil:
			return nil
		case o.expired(e.number, e.accepted):
			delete(o.handed, e.number)
			o.totals.expired++
			o.finish(e.number, e.number+1)
			o.dropExpired()
			o.settle()
			continue
		case m == nil:
			o.ahead, o.cursor = nil, e.number+1
			m = &Message{Topic: e.topic, Payload: e.payload, Accepted: e.accepted, Earlier: e.number < o.own, o: o, e: e}
			o.handed[e.number] = m
		}
		return m
	}
}

// peek is the oldest message that was not handed out before; nil if there is none.
func (o *Outbox) peek() *entry {
	for {
		n := o.done.after(o.cursor)
		for o.handed[n] != nil {
			n = o.done.after(n + 1)
		}
		o.cursor = n
		if n >= o.next {
			return nil
		}
		if o.ahead != nil && o.ahead.number == n {
			return o.ahead
		}
		if len(o.tail) > 0 && n >= o.tail[0].number {
			i, _ := slices.BinarySearchFunc(o.tail, n, func(e *entry, n uint64) int {
				if e.number < n {
					return -1
				}
				return 1
			})
			o.ahead = o.tail[i] // a number of no message would be in done
			return o.ahead
		}
		e, s, err := o.read(n)
		if err == nil {
			o.ahead = e
			return e
		}
		o.loseRest(n, s, err)
	}
}

// expired says that a message is too old. One that this process put is not older than the process, whatever a clock says
// that was set meanwhile.
func (o *Outbox) expired(number uint64, accepted time.Time) bool {
	c := o.opts.clock
	return c.now().Sub(accepted) > o.opts.MaxAge && (number < o.own || c.up() > o.opts.MaxAge)
}

// Ack says that the broker has the message: it is not handed out again, unless after a crash (see the package's promise).
func (m *Message) Ack() {
	o := m.o
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || m.e.done {
		return
	}
	n := m.e.number
	o.forget(m)
	if o.done.has(n) {
		return // dropped meanwhile
	}
	o.finish(n, n+1)
	m.e.done = true
	o.settle()
}

// forget takes m out of what is handed out.
func (o *Outbox) forget(m *Message) {
	if o.handed[m.e.number] == m {
		delete(o.handed, m.e.number)
	}
	if i := slices.Index(o.released, m); i >= 0 {
		o.released = slices.Delete(o.released, i, i+1)
	}
}

// Release has the message handed out again, before all that are younger.
func (m *Message) Release() {
	o := m.o
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || m.released || o.handed[m.e.number] != m {
		return
	}
	if m.e.done || o.done.has(m.e.number) {
		o.forget(m)
		return
	}
	m.released = true
	i, _ := slices.BinarySearchFunc(o.released, m.e.number, func(r *Message, n uint64) int {
		if r.e.number < n {
			return -1
		}
		return 1
	})
	o.released = slices.Insert(o.released, i, m)
	wake(&o.more)
}
