package outbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	segmentExt  = ".log"
	corruptMark = ".corrupt-"
	keptAside   = 2

	// A segment takes no more when a message more would make it larger. The oldest one goes at once when room is needed.
	largestSegment  = 1 << 20
	smallestSegment = 16 << 10
	segmentFile     = 2 << 20 // no segment file is larger: the last message may be as large as MaxMessage

	// Messages leave that much room for acknowledgements, so that no message is dropped for those.
	ackReserve = 16 << 10

	// A file that grows costs each fdatasync a commit of the file system's journal; one that is written over does not. So
	// zeros are written ahead when little was written since the last one.
	aheadBytes = 32 << 10
	aheadUnder = 16 << 10

	// A larger file is cut off when its segment is begun anew.
	staleBytes = 64 << 10
)

// segment is a file of records. Only the last one takes more.
type segment struct {
	path   string
	base   uint64 // the header's first number, to which those in the file are relative
	first  uint64 // of its messages, if there are any
	next   uint64 // what is not lower is none of its messages, even if the file has such
	newest time.Time
	end    int64 // of the last record
	size   int64 // of the file
	synced int64 // end when it was last synced

	f       *os.File // nil if it is neither active nor dirty, nor being synced
	dirty   bool     // has messages that were not synced
	syncing bool     // sync is at it, without the lock: it is not to be closed
	unborn  bool     // its name in the folder was not synced
	bad     bool     // was found to be damaged: it is set aside, not removed
}

func (s *segment) close() {
	if s.f != nil {
		s.f.Close()
		s.f = nil
	}
}

// aside is a damaged file.
type aside struct {
	path string
	size int64
}

func segmentName(id uint64) string { return fmt.Sprintf("%016x%s", id, segmentExt) }

// segmentBytes is the size that a segment has at most, unless it holds but one message.
func (o *Outbox) segmentBytes() int64 {
	return min(max(o.opts.MaxBytes/64, smallestSegment), largestSegment)
}

// ready returns the segment to which a record of at most n bytes goes, and makes room for it and reserve bytes more. If a
// new segment is needed, number is the lowest it can hold.
func (o *Outbox) ready(n, reserve int64, number uint64) (*segment, error) {
	if s := o.active; s != nil && (s.first == s.next || s.end+n <= o.segmentBytes()) {
		if err := o.makeRoom(s.end + n - s.size + reserve); err != nil {
			return nil, err
		}
	} else {
		o.seal()
		o.dropExpired()
		if err := o.makeRoom(headerSize + n + reserve); err != nil {
			return nil, err
		}
	}
	if o.active == nil {
		if err := o.create(number); err != nil {
			return nil, err
		}
	}
	return o.active, nil
}

// seal has the next record go to a new segment.
func (o *Outbox) seal() {
	if s := o.active; s != nil && !s.dirty && !s.syncing {
		s.close()
	}
	o.active = nil
}

// create begins a segment. It is not synced: a name without content, or none, is what the loss of an unsynced message
// looks like.
func (o *Outbox) create(first uint64) error {
	prior := first
	if n := len(o.segments); n > 0 {
		prior = min(first, o.segments[n-1].next)
	}
	path := filepath.Join(o.opts.Dir, segmentName(o.lastID+1))
	if err := o.opts.fault("create", path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	o.lastID++
	s := &segment{path: path, base: first, first: first, next: first, f: f, dirty: true, unborn: true}
	o.segments = append(o.segments, s)
	if err := o.append(s, header{first, prior, o.totals}.encode()); err != nil {
		o.segments = o.segments[:len(o.segments)-1]
		o.bytes -= s.size
		s.close()
		_ = os.Remove(path) // at the next Open it is one more file without a header
		return err
	}
	o.active = s
	o.packer.restart()
	return nil
}

// append writes b at the end of s.
func (o *Outbox) append(s *segment, b []byte) error {
	err := o.opts.fault("write", s.path)
	if err == nil {
		_, err = s.f.WriteAt(b, s.end)
	}
	if err != nil {
		// The part that was written is no record, and Open cuts it off. The space is better freed now.
		if s.f.Truncate(s.end) == nil {
			o.resize(s, s.end)
		}
		return err
	}
	s.end += int64(len(b))
	o.resize(s, max(s.size, s.end))
	return nil
}

// writeAhead has the next records of s not make its file larger, as far as the limits allow.
func (o *Outbox) writeAhead(s *segment) {
	n := min(aheadBytes, o.segmentBytes()-s.size, o.opts.MaxBytes-ackReserve-o.bytes)
	if s.end-s.synced > aheadUnder || s.size-s.end > aheadUnder/8 || n < aheadUnder/8 || o.opts.fault("write", s.path) != nil {
		return
	}
	if _, err := s.f.WriteAt(make([]byte, n), s.size); err != nil {
		_ = s.f.Truncate(s.size) // a message less may fit; what is wrong, its write or the fdatasync will say
		return
	}
	o.resize(s, s.size+n)
}

// resize takes note of the size of a segment's file.
func (o *Outbox) resize(s *segment, size int64) {
	o.bytes += size - s.size
	s.size = size
}

// makeRoom removes files until n bytes more are within the limit: damaged ones first, then the oldest segments with what
// they hold.
func (o *Outbox) makeRoom(n int64) error {
	for n >= 0 && o.bytes+n > o.opts.MaxBytes {
		switch {
		case len(o.aside) > 0:
			if err := o.removeAside(); err != nil {
				return err
			}
		case len(o.segments) > 0:
			s := o.segments[0]
			lost := o.done.missing(s.first, s.next)
			if err := o.remove(s); err != nil {
				return err
			}
			o.totals.dropped += lost
			o.finish(s.first, s.next)
			if lost > 0 {
				o.log.Warn("outbox is full: its oldest messages are dropped", "messages", lost, "limit_bytes", o.opts.MaxBytes)
			}
		default:
			return nil
		}
	}
	return nil
}

// dropExpired removes the oldest segments that hold nothing but messages that are too old.
func (o *Outbox) dropExpired() {
	for len(o.segments) > 0 {
		s := o.segments[0]
		if s == o.active || s.first == s.next || !o.expired(s.next-1, s.newest) {
			return
		}
		for n := range o.handed {
			if s.first <= n && n < s.next {
				return // the broker may have it by now
			}
		}
		if o.remove(s) != nil {
			return // Next passes over what can't be removed
		}
		o.totals.expired += o.done.missing(s.first, s.next)
		o.finish(s.first, s.next)
	}
}

// remove takes s off the disk. If that fails, nothing is changed.
func (o *Outbox) remove(s *segment) error {
	if s.bad {
		if err := o.setAside(s.path, s.size); err != nil {
			return err
		}
	} else {
		if err := o.opts.fault("remove", s.path); err != nil {
			return err
		}
		if err := os.Remove(s.path); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	o.bytes -= s.size
	if !s.syncing {
		s.close()
	}
	if o.reader.s == s {
		o.reader.close()
	}
	if o.active == s {
		o.active = nil
	}
	o.segments = slices.DeleteFunc(o.segments, func(t *segment) bool { return t == s })
	return nil
}

// setAside keeps a damaged file under another name. Its bytes are counted anew.
func (o *Outbox) setAside(path string, size int64) error {
	to := path + corruptMark + o.opts.clock.now().UTC().Format("20060102T150405.000000000Z")
	if err := o.opts.fault("rename", path); err != nil {
		return err
	}
	if err := os.Rename(path, to); err != nil {
		return err
	}
	o.aside = append(o.aside, aside{to, size})
	o.bytes += size
	for len(o.aside) > keptAside {
		if err := o.removeAside(); err != nil {
			return err
		}
	}
	return nil
}

// removeAside removes the oldest file that was set aside.
func (o *Outbox) removeAside() error {
	a := o.aside[0]
	if err := o.opts.fault("remove", a.path); err != nil {
		return err
	}
	if err := os.Remove(a.path); err != nil && !os.IsNotExist(err) {
		return err
	}
	o.aside = o.aside[1:]
	o.bytes -= a.size
	return nil
}

// restart begins the active segment anew, since no message is left. Nothing but what the acknowledgements take is
// written, and the file keeps its size and its place on the disk, so that a message that is acknowledged at once costs
// less than with a cut or a new file: the file system has fewer of its own structures to write.
func (o *Outbox) restart() {
	s := o.active
	if s.first == s.next && o.unrecorded == 0 {
		return
	}
	if o.reader.s == s {
		o.reader.close()
	}
	s.first, s.next, s.newest, s.end, s.synced = o.next, o.next, time.Time{}, headerSize, headerSize
	s.dirty = s.unborn // the header alone
	o.packer.restart()
	o.buf = appendAcks(o.buf[:0], &o.done, o.totals)
	if err := o.append(s, o.buf); err != nil {
		o.degrade(err)
		return
	}
	o.unrecorded = 0
	if s.size > staleBytes && s.f.Truncate(s.end) == nil { // else it stays as large as it is
		o.resize(s, s.end)
	}
}

// fdatasync makes what was written to f so far survive a power cut.
func fdatasync(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = c.Control(func(fd uintptr) {
		for failed = unix.EINTR; failed == unix.EINTR; {
			failed = unix.Fdatasync(int(fd))
		}
	})
	if err != nil {
		return err
	}
	if failed != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: failed}
	}
	return nil
}

// syncDir makes the names in a folder survive a power cut.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
