package camera

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sys/unix"

	"sightd/camera/picture"
)

// takeReady takes the oldest settled entry, or returns nil.
func (f *Folder) takeReady() *entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.ready.first()
	if e == nil || f.held > maxHeld {
		return nil
	}
	e.put(nil)
	e.state = taken
	if len(f.ready.entries) > 0 {
		signal(f.wake) // for another Next
	}
	return e
}

// inspect looks into a settled file. It returns nil if there is nothing to hand out.
func (f *Folder) inspect(e *entry) *Item {
	f.works.begin(e, f.clock.mono())
	defer f.works.end(e)
	defer f.tell()
	file, id, err := f.open(e.name)
	if err != nil {
		f.failed(e, err)
		return nil
	}
	defer file.Close() // it is only read from
	if !f.unchanged(e, id) || !f.isClosed(e, file) {
		return nil
	}
	content, err := contentOf(file, id.size, func() { f.works.begin(e, f.clock.mono()) })
	if err != nil {
		f.failed(e, err)
		return nil
	}
	item := f.inspectContent(e, file, &content)
	if item == nil {
		content.letGo()
		return nil
	}
	item.content = content
	return item
}

// inspectContent is inspect for what is in the file.
func (f *Folder) inspectContent(e *entry, file *os.File, c *content) *Item {
	whole := f.opts.Whole(&c.SectionReader)
	var refused *picture.RefusedError
	if whole != nil && !errors.As(whole, &refused) {
		f.failed(e, whole)
		return nil
	}
	if refused != nil && f.waits(e, file, refused) {
		return nil
	}
	sum, err := c.sum()
	if err != nil {
		f.failed(e, err)
		return nil
	}
	id, err := statFile(file)
	if err != nil {
		f.failed(e, err)
		return nil
	}
	if !f.unchanged(e, id) {
		return nil
	}
	if f.processed(e, id, sum) {
		f.touch(e.name, f.clock.mono(), false) // it may have changed meanwhile
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e.tries = 0
	f.setUnread(e, nil)
	f.stats.Seen++
	return &Item{
		File:    printable(e.name),
		ID:      pictureID(f.opts.Name, e.name, id, sum),
		Size:    id.size,
		ModTime: time.Unix(id.mtime.Unix()),
		Err:     whole,
		folder:  f, entry: e, id: id, sum: sum,
	}
}

// unchanged reports whether a taken entry's file is still the one that settled; if not, it has to settle again.
func (f *Folder) unchanged(e *entry, id identity) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.id.same(id, f.inodes) {
		return true
	}
	f.restart(e, id, f.clock.mono())
	return false
}

// processed reports whether a taken entry's picture is one that was processed and kept, at another place on the disk: it was
// restored from a backup, or the disk is mounted anew. Then it is forgotten.
func (f *Folder) processed(e *entry, id identity, content contentSum) bool {
	if f.journal == nil {
		return false
	}
	f.mu.Lock()
	volume, scan := f.volume, f.scans
	f.mu.Unlock()
	if !f.journal.same(e.name, id, content) {
		return false
	}
	// Where that can't be written, it is remembered in memory, and written later.
	_ = f.journal.add(e.name, id, content, volume, scan)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(e)
	return true
}

// isClosed reports whether a taken entry's file need not stand still any longer: it did, or it was moved into the folder and
// nobody has it open for writing. Else it has to settle like others.
func (f *Folder) isClosed(e *entry, file *os.File) bool {
	if !e.movedIn {
		return true
	}
	open, known := openForWriting(file)
	if known && !open {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.restart(e, e.id, f.clock.mono())
	return false
}

// waits reports whether a file that was refused is waited for all the same. Then it is no longer taken.
func (f *Folder) waits(e *entry, file *os.File, refused *picture.RefusedError) bool {
	f.mu.Lock()
	inGrace := f.clock.mono() < e.since+f.opts.Grace
	f.mu.Unlock()
	var open, known bool
	if !refused.Incomplete || !inGrace {
		open, known = openForWriting(file)
	}
	if !worthWaiting(refused.Incomplete, inGrace, open, known) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.mono()
	if !inGrace {
		e.since = now // as if it had changed
	}
	e.incomplete, e.state = true, waiting
	f.wait(e, min(e.since+f.opts.Grace, now+max(pollInterval, f.opts.Settle)))
	f.log.Debug("picture isn't whole yet", "file", printable(e.name), "reason", printable(refused.Reason), "written", open)
	return true
}

// worthWaiting reports whether a file that was refused may become whole. While somebody has it open for writing it may,
// whatever is in it by now: there are writers that begin with its end, or with zeros. Where it isn't known whether
// somebody has, the grace is for every file, not only for one that is incomplete by itself.
func worthWaiting(incomplete, inGrace, open, known bool) bool {
	return open || inGrace && (incomplete || !known)
}

// failed lets a taken entry wait whose file could not be opened or read, for longer each time.
func (f *Folder) failed(e *entry, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case gone(err):
		f.forget(e) // if only the way to it has changed, the next scan finds it again
		return
	case errors.Is(err, errNotRegular):
		f.forget(e)
		f.ignore(e.name, errNotRegular.Error())
		return
	}
	e.state = waiting
	f.setUnread(e, err)
	f.backOff(e)
	if e.tries == 1 {
		f.log.Warn("picture can't be read: trying again", "file", printable(e.name), "error", err)
	}
}

// backOff counts a failure, and lets the entry wait for 1 s, 2 s, 4 s … up to a minute. The caller holds mu.
func (f *Folder) backOff(e *entry) {
	f.stats.Errors++
	delay := min(time.Second<<e.tries, maxBackoff)
	e.tries = min(e.tries+1, 6)
	f.wait(e, f.clock.mono()+delay)
}

// openForWriting reports whether a process has the file open for writing: the kernel grants a read lease only if none
// has. That isn't known of another user's file, nor on network file systems, which answer by other rules.
func openForWriting(file *os.File) (open, known bool) {
	if fileSystemOf(file).polled {
		return false, false
	}
	if _, err := unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		open = errors.Is(err, unix.EAGAIN)
		return open, open
	}
	// The lease also ends when file is closed, in a moment.
	_, _ = unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	return false, true
}

// pictureID returns the ULID that Item.ID documents.
func pictureID(source, name string, id identity, content contentSum) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%d\x00", source, name, id.size)
	h.Write(content[:])
	// In a ULID the time comes first, 48 bits of milliseconds, big-endian.
	var u ulid.ULID
	var ms uint64
	if sec := uint64(id.mtime.Sec); id.mtime.Sec >= 0 {
		ms = min(min(sec, ulid.MaxTime())*1000+uint64(id.mtime.Nsec)/1e6, ulid.MaxTime())
	}
	binary.BigEndian.PutUint64(u[:8], ms<<16)
	copy(u[6:], h.Sum(nil))
	return u.String()
}
