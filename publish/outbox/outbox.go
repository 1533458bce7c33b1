package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	// MaxMessage bounds topic and payload together, in bytes. A message must fit a quarter of Options.MaxBytes as well.
	MaxMessage = 512 << 10
	// MinBytes is the least Options.MaxBytes.
	MinBytes = 256 << 10
	// MemoryBytes bounds the messages that are kept in memory because the disk fails, and those that are not yet synced.
	MemoryBytes = 1 << 20
	// AckBatch is the number of acknowledgements that a crash can forget.
	AckBatch = 64

	defaultBytes = 64 << 20
	defaultAge   = 168 * time.Hour

	syncDelay  = time.Second      // from a message's write to its fdatasync
	ackDelay   = time.Second      // from an acknowledgement to its record
	retryDelay = 30 * time.Second // between two tries to write to a disk that failed

	entryOverhead = 128 // of a message in memory, in bytes, about
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("outbox is closed")

// errLocked is of a folder that another process uses.
var errLocked = errors.New("want no other process that uses it, have one")

// Options of an outbox.
type Options struct {
	Dir      string        // made if missing; everything in it is the outbox's
	MaxBytes int64         // of all files together; 0 means 64 MiB. The oldest messages make room for new ones, and are counted
	MaxAge   time.Duration // older messages are dropped, and counted; 0 means 168 h
	Log      *slog.Logger  // nil: none

	clock clock
	fault func(op, path string) error // asked before each operation on a file: what it returns is what happens
}

// clock is the time, for tests to replace.
type clock struct {
	now   func() time.Time
	up    func() time.Duration // of a clock that nobody sets
	timer func(d time.Duration) (c <-chan time.Time, stop func())
}

func realClock() clock {
	start := time.Now()
	return clock{
		now: time.Now,
		up:  func() time.Duration { return time.Since(start) },
		timer: func(d time.Duration) (<-chan time.Time, func()) {
			t := time.NewTimer(d)
			return t.C, func() { t.Stop() }
		},
	}
}

// complete checks o and fills in the defaults.
func (o *Options) complete() error {
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultBytes
	}
	if o.MaxAge == 0 {
		o.MaxAge = defaultAge
	}
	switch {
	case o.Dir == "":
		return errors.New("open outbox: want a folder, have none")
	case o.MaxBytes < MinBytes:
		return fmt.Errorf("open outbox: want a size of at least %d bytes, have %d", MinBytes, o.MaxBytes)
	case o.MaxAge < 0:
		return fmt.Errorf("open outbox: want an age of more than 0, have %v", o.MaxAge)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.clock.now == nil {
		o.clock = realClock()
	}
	if o.fault == nil {
		o.fault = func(string, string) error { return nil }
	}
	return nil
}

// Outbox is an open store. Its methods may be called from several goroutines at once.
//
// One lock guards everything. Writes, and Next's reads, happen under it; fdatasync does not, so that Put and Next go on
// meanwhile: Put's write may have to wait for the page that the kernel is just giving to the disk, and Put waits for the
// fdatasync itself only when more than MemoryBytes of messages are not yet synced.
type Outbox struct {
	opts Options
	log  *slog.Logger

	mu     sync.Mutex
	closed bool
	more   chan struct{} // closed when Next may find more; nil if nobody waits
	room   chan struct{} // closed when Put may find room, or Sync its messages synced; nil if nobody waits

	// Numbers give messages their order. Those that are done with, or belong to no message, are in done.
	next   uint64
	done   ranges
	cursor uint64 // what is lower was handed out, is done with, or both
	own    uint64 // what is lower was put by an earlier process

	tail      []*entry // what is not known to be synced, in order: first what is written, then what is in memory alone
	written   int      // bytes of the former in memory, less those done with
	unwritten int      // bytes of the latter

	handed   map[uint64]*Message
	released []*Message // of handed, in order
	ahead    *entry     // read at cursor, not yet handed out

	lock     *os.File
	attached bool       // the files of the folder were taken in
	segments []*segment // in order
	active   *segment   // the last one, if it takes records
	lastID   uint64
	aside    []aside // in order of time
	bytes    int64   // of all files
	packer   packer
	reader   reader
	buf      []byte // of a record

	totals     totals
	unrecorded int           // acknowledgements, and changes of totals
	ackAt      time.Duration // when those are to be recorded

	disk      bool   // Put writes to it
	failed    bool   // it did; stays until an fdatasync went well
	degraded  string // why, for Stats
	full      bool   // because no space was left
	lossy     bool   // messages were dropped from memory since
	retryAt   time.Duration
	triedAt   time.Duration
	syncFails int  // since the last one that went well
	hurry     bool // sync now

	wakeAt time.Duration // of the goroutine; negative if it sleeps until kicked
	kick   chan struct{}
	quit   chan struct{}
	ended  chan struct{}
}

// Stats is the state of an outbox.
type Stats struct {
	Pending int       // messages that are not acknowledged
	Bytes   int64     // of all files, those set aside included
	Oldest  time.Time // acceptance of the oldest pending message; zero if there is none

	// Messages that were given up for lack of room, for their age, or because what was read of them was damaged. They
	// are counted over the life of the folder. A crash can forget those of the last second.
	Dropped, Expired, Damaged uint64

	Degraded string // why messages are kept in memory alone; empty if they are not
}

// Open opens the outbox in o.Dir. A folder that can't be made, read or written is no error: messages are then kept in
// memory, and the folder is tried again every 30 s. Errors are impossible options, and a folder that another process uses.
func Open(o Options) (*Outbox, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	b := &Outbox{
		opts: o, log: o.Log.With("outbox", o.Dir),
		next: 1, done: ranges{floor: 1}, cursor: 1,
		handed: map[uint64]*Message{},
		wakeAt: -1, kick: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	err := b.attach()
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("open outbox %s: %w", o.Dir, err)
	}
	b.disk = err == nil
	if err != nil {
		b.degrade(err)
	}
	go b.run()
	return b, nil
}

// Stats returns the present state. It may read a message from disk.
func (o *Outbox) Stats() Stats {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := Stats{Bytes: o.bytes, Degraded: o.degraded}
	if !o.closed {
		s.Oldest = o.oldest()
	}
	s.Pending = o.pending()
	s.Dropped, s.Expired, s.Damaged = o.totals.dropped, o.totals.expired, o.totals.damaged
	return s
}

// pending counts the messages that are not done with.
func (o *Outbox) pending() int { return int(o.done.missing(0, o.next)) }

// Sync makes everything that was put before survive a power cut, without waiting for the end of the second. The error is
// ErrClosed, or says why messages are in memory alone.
func (o *Outbox) Sync() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	upTo := o.next
	for {
		switch {
		case o.closed:
			return ErrClosed
		case !o.disk:
			return fmt.Errorf("sync outbox %s: %s", o.opts.Dir, o.degraded)
		case len(o.tail) == 0 || o.tail[0].number >= upTo:
			return nil
		}
		o.hurry = true
		o.schedule()
		if err := o.wait(context.Background(), &o.room); err != nil {
			return err
		}
	}
}

// Close records the acknowledgements, syncs what is not synced, and lets go of the folder. Calls of Next and Put that wait
// return ErrClosed. The error says how many messages were in memory alone and are lost. A second Close does nothing.
func (o *Outbox) Close() error {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil
	}
	o.closed = true
	wake(&o.more)
	wake(&o.room)
	o.mu.Unlock()
	close(o.quit)
	<-o.ended

	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.disk {
		o.retry()
	}
	o.recordAcks()
	for range 2 { // the second one for a new segment, should the first fail
		if _, due := o.syncAt(); due && o.disk {
			o.sync()
		}
	}
	lost := 0
	for _, e := range o.tail {
		if !e.done {
			lost++
		}
	}
	o.reader.close()
	for _, s := range o.segments {
		s.close()
	}
	if o.lock != nil {
		o.lock.Close()
	}
	if lost > 0 {
		return fmt.Errorf("close outbox %s: %d messages are not on disk: %s", o.opts.Dir, lost, o.degraded)
	}
	return nil
}

// wake closes the channel that others wait for, if any.
func wake(c *chan struct{}) {
	if *c != nil {
		close(*c)
		*c = nil
	}
}

// wait gives the lock up until the channel is closed or ctx ends.
func (o *Outbox) wait(ctx context.Context, c *chan struct{}) error {
	if *c == nil {
		*c = make(chan struct{})
	}
	ch := *c
	o.mu.Unlock()
	defer o.mu.Lock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
