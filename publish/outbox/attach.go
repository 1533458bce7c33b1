package outbox

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const lockName = "lock"

// attach makes the folder, locks it and takes in what is there. If the folder can be read but not written, it does that
// and returns why.
func (o *Outbox) attach() error {
	dir := o.opts.Dir
	if err := o.opts.fault("mkdir", dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, unwritable, err := o.takeLock(filepath.Join(dir, lockName))
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		lock.Close()
		return err
	}
	o.lock, o.attached = lock, true
	o.load(entries)
	return unwritable
}

// takeLock keeps other processes out, until the file is closed. On a file system that can't be written a file that is
// there can be locked all the same: unwritable then says why it is not open for writing.
func (o *Outbox) takeLock(path string) (lock *os.File, unwritable, err error) {
	if unwritable = o.opts.fault("lock", path); unwritable == nil {
		lock, unwritable = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	}
	if unwritable != nil {
		if lock, err = os.Open(path); err != nil {
			return nil, nil, unwritable
		}
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil, errLocked
		}
		return nil, nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return lock, unwritable, nil
}

// memory is what there is of an outbox without a folder.
type memory struct {
	tail   []*entry
	handed map[uint64]*Message
	totals totals
}

// detach takes everything out of an outbox that has no folder yet.
func (o *Outbox) detach() memory {
	m := memory{o.tail, o.handed, o.totals}
	o.tail, o.handed, o.totals = nil, map[uint64]*Message{}, totals{}
	o.released, o.ahead = nil, nil
	o.next, o.done, o.cursor = 1, ranges{floor: 1}, 1
	return m
}

// adopt puts m behind everything else.
func (o *Outbox) adopt(m memory) {
	o.totals.dropped += m.totals.dropped
	o.totals.expired += m.totals.expired
	for _, e := range m.tail {
		if !e.done {
			e.number = o.next
			o.next++
			o.tail = append(o.tail, e)
		}
	}
	for h := range maps.Values(m.handed) {
		if h.e.done {
			continue
		}
		o.handed[h.e.number] = h
		if h.released {
			o.released = append(o.released, h)
		}
	}
	slices.SortFunc(o.released, func(a, b *Message) int {
		if a.e.number < b.e.number {
			return -1
		}
		return 1
	})
	wake(&o.more)
}

// oldest is when the oldest pending message was accepted; zero if there is none.
func (o *Outbox) oldest() time.Time {
	e := o.peek()
	for _, m := range o.handed {
		if !o.done.has(m.e.number) && (e == nil || m.e.number < e.number) {
			e = m.e
		}
	}
	if e == nil {
		return time.Time{}
	}
	return e.accepted
}
