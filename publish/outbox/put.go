package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// entry is a message in memory.
type entry struct {
	number   uint64
	topic    string
	payload  []byte
	accepted time.Time
	wrote    time.Duration // when it was written to a segment; negative if it is in memory alone
	done     bool          // acknowledged or given up
}

func (e *entry) bytes() int { return len(e.topic) + len(e.payload) + entryOverhead }

// Put stores a message; the payload is copied. It returns when the message is written, and only then can Next hand it
// out. While the disk fails it is kept in memory, which is no error: see Stats. Errors are messages that are larger than
// MaxMessage or a quarter of the outbox, and ErrClosed.
func (o *Outbox) Put(topic string, payload []byte, accepted time.Time) error {
	if n, limit := int64(len(topic)+len(payload)), min(MaxMessage, o.opts.MaxBytes/4); n > limit {
		return fmt.Errorf("put message of topic %.64q: want at most %d bytes, have %d", topic, limit, n)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && o.disk && o.written > MemoryBytes {
		if err := o.wait(context.Background(), &o.room); err != nil {
			return err
		}
	}
	if o.closed {
		return ErrClosed
	}
	e := &entry{number: o.next, topic: topic, payload: bytes.Clone(payload), accepted: accepted.Round(0), wrote: -1}
	o.next++
	o.tail = append(o.tail, e)
	o.unwritten += e.bytes()
	if o.disk {
		if err := o.write(e); err != nil {
			o.degrade(err)
		}
	}
	if o.disk {
		o.hurry = o.hurry || o.written > MemoryBytes/2
		o.schedule()
	} else {
		o.boundMemory()
		o.watchSpace()
	}
	wake(&o.more)
	return nil
}

// write writes e, which is in the tail, to a segment. Those in the tail before it are written.
func (o *Outbox) write(e *entry) error {
	n := len(e.topic) + len(e.payload)
	s, err := o.ready(int64(frameSize+n+n/1000+64), ackReserve, e.number) // at most, see maxBody
	if err != nil {
		return err
	}
	o.buf = o.packer.appendMessage(o.buf[:0], s.base, e.number, e.accepted, e.topic, e.payload)
	if err := o.append(s, o.buf); err != nil {
		return err
	}
	s.next, s.dirty = e.number+1, true
	if e.accepted.After(s.newest) {
		s.newest = e.accepted
	}
	e.wrote = o.opts.clock.up()
	o.unwritten -= e.bytes()
	o.written += e.bytes()
	return nil
}

// finish is called when the messages from from up to, not including, to need not be kept any more.
func (o *Outbox) finish(from, to uint64) {
	o.done.add(from, to)
	i, _ := slices.BinarySearchFunc(o.tail, from, func(e *entry, n uint64) int {
		if e.number < n {
			return -1
		}
		return 1
	})
	for ; i < len(o.tail) && o.tail[i].number < to; i++ {
		o.leaveTail(o.tail[i])
		o.tail[i].done = true
	}
	o.cutTail(0)
	o.note()
}

// leaveTail takes e, which is in the tail, out of the count of bytes.
func (o *Outbox) leaveTail(e *entry) {
	switch {
	case e.done:
	case e.wrote < 0:
		o.unwritten -= e.bytes()
	default:
		o.written -= e.bytes()
	}
}

// cutTail removes entries from the tail's start: those that are done with, and those that are lower than synced and
// written.
func (o *Outbox) cutTail(synced uint64) {
	n := 0
	for n < len(o.tail) && (o.tail[n].done || o.tail[n].wrote >= 0 && o.tail[n].number < synced) {
		o.leaveTail(o.tail[n])
		n++
	}
	o.tail = slices.Delete(o.tail, 0, n)
	if n > 0 {
		wake(&o.room)
	}
}

// boundMemory drops the oldest of the messages that are in memory alone until they fit.
func (o *Outbox) boundMemory() {
	for i := 0; o.unwritten > MemoryBytes && i < len(o.tail); {
		e := o.tail[i]
		if e.done || e.wrote >= 0 {
			i++
			continue
		}
		if o.totals.dropped++; !o.lossy {
			o.lossy = true
			o.log.Warn("outbox drops its oldest messages: too many in memory", "limit_bytes", MemoryBytes)
		}
		o.finish(e.number, e.number+1)
		i = 0 // the tail may have become shorter
	}
}

// watchSpace has the disk tried again early if it was full and no longer is.
func (o *Outbox) watchSpace() {
	now := o.opts.clock.up()
	if !o.full || now < o.triedAt+time.Second {
		return
	}
	o.triedAt = now
	var st syscall.Statfs_t
	if err := syscall.Statfs(o.opts.Dir, &st); err == nil && st.Bavail*uint64(st.Bsize) > 2*MemoryBytes {
		o.retryAt = now
		o.schedule()
	}
}

// degrade makes the disk's failure known, and has messages kept in memory until it works again.
func (o *Outbox) degrade(err error) {
	o.disk, o.hurry = false, false
	if s := o.active; s != nil && s.first == s.next && len(o.segments) > 1 {
		_ = o.remove(s) // without messages; if it can't be, it is removed when those before it are
		o.unrecorded++  // it may have had acknowledgements
	}
	o.seal()
	o.full = errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	o.degraded = err.Error()
	now := o.opts.clock.up()
	o.retryAt, o.triedAt = now+retryDelay, now
	if o.failed {
		o.log.Debug("outbox's disk still fails", "err", err)
	} else {
		o.failed, o.lossy = true, false
		o.log.Warn("outbox's disk fails: new messages are kept in memory, and lost with the process", "err", err,
			"limit_bytes", MemoryBytes, "retry_every", retryDelay)
	}
	o.boundMemory()
	wake(&o.room)
	o.schedule()
}
