package camera

import (
	"container/heap"
	"time"

	"golang.org/x/sys/unix"
)

// entry is a file that a Folder knows of and that isn't finished.
type entry struct {
	name string   // relative to the folder, as the file system has it
	id   identity // as observed last

	state      state
	incomplete bool  // it was looked into and isn't whole; cleared when it changes
	movedIn    bool  // it was whole elsewhere before: it need not stand still here
	known      bool  // the journal has one like it, which isn't surely the same: the content decides
	unread     bool  // it couldn't be opened or read when that was tried last
	tries      uint8 // failures in a row to open, read or move it

	seen  uint32        // the scan that saw it last
	since time.Duration // when it was seen to change last
	due   time.Duration // when to look at it again

	queue *queue // that it is in, or nil
	index int    // in that queue

	finish *finish // what is left to do of a stuck entry
}

type state uint8

const (
	waiting state = iota // in Folder.timers: for it to settle, to become whole, or to become readable
	settled              // in Folder.ready
	taken                // by Next, or by its caller
	stuck                // in Folder.timers: processed, but its file could not be moved yet
)

// pending reports whether nobody has asked for the entry yet.
func (e *entry) pending() bool { return e.state == waiting || e.state == settled }

// identity tells a file's content from another's without reading it.
type identity struct {
	dev, ino uint64
	size     int64
	mtime    unix.Timespec
}

// same reports whether a and b are the same content; without inodes the device and inode numbers aren't compared.
func (a identity) same(b identity, inodes bool) bool {
	if !inodes {
		a.dev, a.ino = b.dev, b.ino
	}
	return a == b
}

func identityOf(st *unix.Stat_t) identity {
	return identity{dev: st.Dev, ino: st.Ino, size: st.Size, mtime: st.Mtim}
}

// fileOf is identityOf for a regular file, and errNotRegular for all else.
func fileOf(st *unix.Stat_t) (identity, error) {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return identityOf(st), errNotRegular
	}
	return identityOf(st), nil
}

// queue is a heap of entries; an entry is in one queue at most.
type queue struct {
	entries []*entry
	before  func(a, b *entry) bool
}

// older orders by modification time, then by name. What was probably processed already comes last: after a disk has been
// mounted anew, new pictures don't wait until all of it has been read.
func older(a, b *entry) bool {
	switch {
	case a.known != b.known:
		return b.known
	case a.id.mtime.Sec != b.id.mtime.Sec:
		return a.id.mtime.Sec < b.id.mtime.Sec
	case a.id.mtime.Nsec != b.id.mtime.Nsec:
		return a.id.mtime.Nsec < b.id.mtime.Nsec
	}
	return a.name < b.name
}

func dueBefore(a, b *entry) bool { return a.due < b.due }

// first returns the entry at the head, or nil.
func (q *queue) first() *entry {
	if len(q.entries) == 0 {
		return nil
	}
	return q.entries[0]
}

// put moves e from the queue that it is in, if any, to q, or to none where q is nil.
func (e *entry) put(q *queue) {
	if e.queue == q && q != nil {
		heap.Fix(q, e.index)
		return
	}
	if e.queue != nil {
		heap.Remove(e.queue, e.index)
	}
	if e.queue = q; q != nil {
		heap.Push(q, e)
	}
}

// Len, Less, Swap, Push and Pop are heap.Interface.
func (q *queue) Len() int           { return len(q.entries) }
func (q *queue) Less(i, j int) bool { return q.before(q.entries[i], q.entries[j]) }
func (q *queue) Swap(i, j int) {
	q.entries[i], q.entries[j] = q.entries[j], q.entries[i]
	q.entries[i].index, q.entries[j].index = i, j
}

// Push appends x, an *entry.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(q.entries)
	q.entries = append(q.entries, e)
}

// Pop removes the last entry.
func (q *queue) Pop() any {
	last := len(q.entries) - 1
	e := q.entries[last]
	q.entries[last] = nil
	q.entries = q.entries[:last]
	return e
}
