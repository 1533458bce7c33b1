package camera

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sys/unix"

	"sightd/camera/picture"
)

// ErrFileChanged is what Item.Open gives when another file has taken the item's place, or its content has changed.
var ErrFileChanged = errors.New("file changed after it was handed out")

// hashedBytes is how much of a file goes into its ID: all of any that sightd classifies.
const hashedBytes = 64 << 20

// Item is a picture that a Folder handed out. It holds no descriptor. Its caller ends it by exactly one call of Done,
// Refuse or Release.
type Item struct {
	// File is the name relative to the folder, with slashes, for messages and for people: bytes that aren't UTF-8 and
	// invisible characters are escaped as in Go.
	File string

	// ID is a ULID, the same whenever the same picture at the same place is handed out: its time is the modification
	// time in milliseconds (0 where that is before 1970), its entropy the first 10 bytes of SHA-256 over the source's
	// name, 0, the file's name relative to the folder, 0, the size in decimal, 0, and the SHA-256 of the first 64 MiB.
	ID string

	Size    int64     // bytes
	ModTime time.Time // of the file

	// Err is nil for a whole picture. Else it is the *picture.RefusedError for which the file is to be refused: the
	// caller reports it as it likes and calls Refuse(Err.Error()).
	Err error

	folder *Folder
	entry  *entry
	id     identity
	ended  bool // guarded by folder.mu
}

// takeReady takes the oldest settled entry, or returns nil.
func (f *Folder) takeReady() *entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.ready.first()
	if e == nil {
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
	file, id, err := f.open(e.name)
	if err != nil {
		f.failed(e, err)
		return nil
	}
	defer file.Close() // it is only read from
	if !f.unchanged(e, id) {
		return nil
	}
	whole := f.opts.Whole(file)
	var refused *picture.RefusedError
	if whole != nil && !errors.As(whole, &refused) {
		f.failed(e, whole)
		return nil
	}
	if refused != nil && f.waits(e, file, refused) {
		return nil
	}
	content, err := contentHash(file)
	if err != nil {
		f.failed(e, err)
		return nil
	}
	if id, err = statFile(file); err != nil {
		f.failed(e, err)
		return nil
	}
	if !f.unchanged(e, id) {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e.tries = 0
	f.stats.Seen++
	return &Item{
		File:    printable(e.name),
		ID:      pictureID(f.opts.Name, e.name, id, content),
		Size:    id.size,
		ModTime: time.Unix(id.mtime.Unix()),
		Err:     whole,
		folder:  f, entry: e, id: id,
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
		f.ignore(e.name)
		return
	}
	e.state = waiting
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

func contentHash(file *os.File) ([]byte, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(file, hashedBytes)); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// pictureID returns the ULID that Item.ID documents.
func pictureID(source, name string, id identity, content []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%d\x00", source, name, id.size)
	h.Write(content)
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

// Open opens the picture's file, if it is still the one that was handed out; the caller closes it. The error wraps
// ErrFileChanged if it is another one now: the caller then calls Release, and the new file is handed out as its own item.
// An error may wrap fs.ErrNotExist if somebody took the file away; Release is right then too.
func (it *Item) Open() (*os.File, error) {
	file, id, err := it.folder.open(it.entry.name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", it.File, err)
	}
	it.folder.mu.Lock()
	same := it.id.same(id, it.folder.inodes)
	it.folder.mu.Unlock()
	if !same {
		file.Close() // it was not read from
		return nil, fmt.Errorf("open %s: %w", it.File, ErrFileChanged)
	}
	return file, nil
}

// Done ends the item: its picture was classified and the result handed over. The file is moved to the same place below
// done/ (as x-1.jpg … where x.jpg is taken), kept or deleted, as FolderOptions.After says. A file that has taken its place
// since is left alone and handed out as an item of its own.
//
// If moving fails, the picture still counts as processed: it isn't handed out again, moving is tried again later, with
// growing pauses, and the error, which the folder has logged, says so. Only after a restart it is handed out once more,
// with the same ID.
func (it *Item) Done() error {
	return it.end(&finish{})
}

// Refuse is Done for a file that holds no picture that can be classified: it is moved to the same place below failed/,
// whatever FolderOptions.After says, and a text file beside it, with .txt added to its name, holds the time and the
// reason in one line. Where After is AfterKeep and moving fails, it is kept and remembered like a processed one.
func (it *Item) Refuse(reason string) error {
	return it.end(&finish{refused: true, reason: printable(reason)})
}

// Release gives the item back: it is handed out again, a second later at the earliest.
func (it *Item) Release() {
	f := it.folder
	f.mu.Lock()
	defer f.mu.Unlock()
	if it.ended {
		return
	}
	it.ended = true
	it.entry.state = waiting
	f.wait(it.entry, f.clock.mono()+time.Second)
}

// finish is what is to become of a file.
type finish struct {
	id      identity
	itemID  string
	refused bool
	reason  string
}

func (it *Item) end(fin *finish) error {
	f := it.folder
	f.mu.Lock()
	if it.ended {
		f.mu.Unlock()
		return fmt.Errorf("finish %s: the item was given back already", it.File)
	}
	it.ended = true
	fin.id, fin.itemID = it.id, it.ID
	it.entry.finish = fin
	if fin.refused {
		f.stats.Refused++
	} else {
		f.stats.Done++
	}
	f.mu.Unlock()
	if fin.refused {
		f.log.Warn("picture refused", "file", it.File, "reason", fin.reason)
	}
	return f.carryOut(it.entry)
}

// carryOut does what is to become of an entry's file, and forgets the entry unless that has to be tried again.
func (f *Folder) carryOut(e *entry) error {
	finished, err := f.dispose(e.name, e.finish)
	if f.after(e, finished, err) {
		f.touch(e.name, f.clock.mono(), false) // another file may have its name by now
	}
	if errors.Is(err, ErrFileChanged) || errors.Is(err, errGone) {
		return nil
	}
	return err
}

// after settles an entry's fate by how dispose went, and reports whether it was forgotten.
func (f *Folder) after(e *entry, finished bool, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := printable(e.name)
	switch {
	case errors.Is(err, ErrFileChanged):
		f.log.Info("another file has taken a picture's place: it is handed out as its own", "file", name)
	case errors.Is(err, errGone):
		f.log.Debug("picture was taken away before it could be moved", "file", name)
	case err != nil && finished:
		f.stats.Errors++
		f.log.Warn("picture was processed", "file", name, "error", err)
	case err != nil:
		e.state = stuck
		f.backOff(e)
		if e.tries == 1 {
			f.log.Warn("picture was processed but not put away: trying again", "file", name, "error", err)
		}
		return false
	}
	f.forget(e)
	return true
}
