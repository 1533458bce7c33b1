package outbox

import (
	"os"
	"slices"
	"time"
)

// run records, syncs and tries again, each when it is due, until Close.
func (o *Outbox) run() {
	defer close(o.ended)
	for {
		o.mu.Lock()
		at, any := o.deadline()
		o.wakeAt = -1
		var c <-chan time.Time
		stop := func() {}
		if any {
			o.wakeAt = at
			c, stop = o.opts.clock.timer(max(0, at-o.opts.clock.up()))
		}
		o.mu.Unlock()
		select {
		case <-c:
		case <-o.kick:
		case <-o.quit:
			stop()
			return
		}
		stop()
		o.work()
	}
}

// deadline is when there is something to do.
func (o *Outbox) deadline() (at time.Duration, any bool) {
	earlier := func(t time.Duration) {
		if !any || t < at {
			at, any = t, true
		}
	}
	if t, due := o.syncAt(); due {
		earlier(t)
	}
	if !o.disk {
		earlier(o.retryAt)
	} else if o.unrecorded > 0 {
		earlier(o.ackAt)
	}
	return at, any
}

// schedule has the goroutine look again if it would sleep too long.
func (o *Outbox) schedule() {
	if at, any := o.deadline(); any && (o.wakeAt < 0 || at < o.wakeAt) {
		select {
		case o.kick <- struct{}{}:
		default:
		}
	}
}

// work does what is due.
func (o *Outbox) work() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.opts.clock.up()
	if !o.disk && now >= o.retryAt {
		o.retry()
	}
	if o.disk && o.unrecorded > 0 && now >= o.ackAt {
		o.recordAcks()
	}
	if at, due := o.syncAt(); due && now >= at {
		o.sync()
	}
}

// note takes note of something that is to be recorded.
func (o *Outbox) note() {
	o.unrecorded++
	if o.unrecorded == 1 {
		o.ackAt = o.opts.clock.up() + ackDelay
		o.schedule()
	}
}

// settle is called after messages were done with: it frees what they took, and records them if they are many.
func (o *Outbox) settle() {
	o.trim()
	switch {
	case !o.disk:
	case o.pending() == 0 && o.active != nil:
		o.restart()
	case o.unrecorded >= AckBatch:
		o.recordAcks()
	}
}

// trim removes the oldest segments whose messages are all done with.
func (o *Outbox) trim() {
	for len(o.segments) > 0 {
		s := o.segments[0]
		// After a failed fdatasync the old file is the only one that has the messages, until the new one is synced.
		if s == o.active || s.next > o.done.floor || o.syncFails > 0 {
			return
		}
		if len(o.segments) == 1 {
			// The last one has the totals.
			if !o.disk {
				return
			}
			if err := o.create(o.next); err != nil {
				o.degrade(err)
				return
			}
		}
		if err := o.remove(s); err != nil {
			if o.disk {
				o.degrade(err)
			}
			return
		}
		if o.full {
			o.retryAt = o.opts.clock.up()
			o.schedule()
		}
	}
}

// recordAcks writes down what is done with.
func (o *Outbox) recordAcks() {
	if o.unrecorded == 0 || !o.disk {
		return
	}
	o.ackAt = o.opts.clock.up() + ackDelay
	buf := appendAcks(nil, &o.done, o.totals)
	if n := int64(len(buf)); n > frameSize+maxAcks || o.bytes+headerSize+n > o.opts.MaxBytes {
		return // it would be larger than the reserve; a crash then repeats more than AckBatch of them
	}
	s, err := o.ready(int64(len(buf)), 0, o.next)
	if err == nil {
		err = o.append(s, buf)
	}
	if err != nil {
		o.degrade(err)
		return
	}
	o.unrecorded = 0
}

// syncAt is when the next fdatasync is due.
func (o *Outbox) syncAt() (time.Duration, bool) {
	if o.hurry {
		return 0, true
	}
	for _, e := range o.tail {
		if e.wrote < 0 {
			break
		}
		if !e.done {
			return e.wrote + syncDelay, true
		}
	}
	return 0, false
}

// sync makes everything that was written survive a power cut. It gives the lock up meanwhile.
func (o *Outbox) sync() {
	o.hurry = false
	upTo, unborn := o.next, false
	var dirty []*segment
	var files []*os.File
	for _, s := range o.segments {
		if s.dirty {
			if s == o.active {
				o.writeAhead(s)
			}
			s.synced = s.end
			dirty, files = append(dirty, s), append(files, s.f)
			unborn = unborn || s.unborn
			s.dirty, s.syncing = false, true
		}
	}
	o.mu.Unlock()
	err := o.syncFiles(files, unborn)
	o.mu.Lock()
	for _, s := range dirty {
		if s.syncing = false; !slices.Contains(o.segments, s) {
			s.close() // it was removed meanwhile, with all that it held
		}
	}
	if err != nil {
		o.syncFailed(err)
		return
	}
	for _, s := range dirty {
		s.unborn = false
		if s != o.active && !s.dirty {
			s.close()
		}
	}
	o.cutTail(upTo)
	o.syncFails = 0
	if o.failed && o.disk {
		o.failed, o.degraded = false, ""
		o.log.Info("outbox's disk works again", "pending", o.pending())
	}
	o.settle()
}

// syncFiles syncs files, and the folder if one is new in it.
func (o *Outbox) syncFiles(files []*os.File, unborn bool) error {
	for _, f := range files {
		if err := o.opts.fault("sync", f.Name()); err != nil {
			return err
		}
		if err := fdatasync(f); err != nil {
			return err
		}
	}
	if !unborn {
		return nil
	}
	if err := o.opts.fault("sync", o.opts.Dir); err != nil {
		return err
	}
	return syncDir(o.opts.Dir)
}

// syncFailed is called when an fdatasync failed. The kernel may then hold pages for clean that never reached the disk, so
// nothing that was written since the last good fdatasync counts as written, and no file with such is written or synced
// again: the messages go to a new segment. If the fdatasync of that fails too, they stay in memory.
func (o *Outbox) syncFailed(err error) {
	o.syncFails++
	first := o.next
	for _, e := range slices.Backward(o.tail) {
		if e.wrote < 0 {
			continue
		}
		if first = e.number; !e.done {
			o.written -= e.bytes()
			o.unwritten += e.bytes()
		}
		e.wrote = -1
	}
	for _, s := range o.segments {
		s.first, s.next = min(s.first, first), min(s.next, first)
		s.dirty = false
		s.close()
	}
	o.active = nil
	o.reader.close()
	o.ahead = nil
	if o.failed || o.syncFails > 1 {
		o.degrade(err)
		return
	}
	o.log.Warn("outbox's disk failed to sync: what was written since is written again to a new segment", "err", err)
	o.rewrite()
}

// retry tries whether the disk works again.
func (o *Outbox) retry() {
	if !o.attached {
		mine := o.detach()
		err := o.attach()
		o.adopt(mine)
		if err != nil {
			o.degrade(err)
			return
		}
	}
	o.rewrite()
}

// rewrite writes the messages that are in memory alone to a new segment. It counts as failed until it is synced.
func (o *Outbox) rewrite() {
	o.seal()
	o.disk, o.full = true, false
	for _, e := range slices.Clone(o.tail) { // making room for one may finish others
		if e.done || e.wrote >= 0 {
			continue
		}
		if err := o.write(e); err != nil {
			o.degrade(err)
			return
		}
	}
	if o.active == nil {
		if err := o.create(o.next); err != nil {
			o.degrade(err)
			return
		}
	}
	o.unrecorded++ // those in the files before this one may be void
	o.recordAcks()
	if !o.disk {
		return
	}
	for _, s := range slices.Clone(o.segments) {
		if s != o.active && s.first == s.next {
			_ = o.remove(s) // what it had is in the new one; else it is removed when its turn comes
		}
	}
	o.hurry = true
}
