package camera

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"
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

	folder  *Folder
	entry   *entry
	id      identity
	sum     contentSum
	content content // held until Decode
	ended   bool    // guarded by folder.mu
}

// contentSum is the SHA-256 of the first 64 MiB of a file.
type contentSum [sha256.Size]byte

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

// unchanged is asked when file, which Open has given, was read: the error wraps ErrFileChanged if it was written to since. What
// was read is then not this item's picture, or not all of it.
func (it *Item) unchanged(file *os.File) error {
	id, err := statFile(file)
	if err != nil {
		return fmt.Errorf("look at %s: %w", it.File, err)
	}
	it.folder.mu.Lock()
	same := it.id.same(id, it.folder.inodes)
	it.folder.mu.Unlock()
	if !same {
		return fmt.Errorf("read %s: %w", it.File, ErrFileChanged)
	}
	return nil
}

// Done ends the item: its picture was classified and the result handed over. The file is moved to the same place below
// done/ (as x-1.jpg … where x.jpg is taken), kept or deleted, as FolderOptions.After says. A file that has taken its place
// since is left alone and handed out as an item of its own.
//
// The result is for FolderOptions.Results, which nil and a folder without them leave out: the JSON of the picture's event,
// an object with the item's ID in "id", the folder's name in "source" and Item.File in "file". The item keeps it. It is
// written to a file beside the picture before that is moved, remembered as kept, or deleted: whoever sees the picture in
// done/ finds its result there. A crash in between leaves a result without its picture; the picture comes again with the
// same ID, and its result, told by that, is replaced, and so is an empty file; another's result or file never is: the next
// number is taken instead.
// Beside a picture that is kept there are no numbers: there the result of an earlier picture of that name is replaced, and
// where another file has the result's name, the picture is processed without one, and the error says so.
//
// If moving the picture or writing the result fails, the picture still counts as processed: it isn't handed out again, it is
// tried again later, with growing pauses, and the error, which the folder has logged, says so. Only after a restart it is
// handed out once more, with the same ID. While 16 MiB of results can't be written, nothing is handed out.
func (it *Item) Done(result []byte) error {
	return it.end(&finish{}, result)
}

// Refuse is Done for a file that holds no picture that can be classified: it is moved to the same place below failed/,
// whatever FolderOptions.After says, and a text file beside it, with .txt added to its name, holds the time and the
// reason in one line. Where After is AfterKeep and moving fails, it is kept and remembered like a processed one.
func (it *Item) Refuse(reason string, result []byte) error {
	return it.end(&finish{refused: true, reason: printable(reason)}, result)
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
	content contentSum
	refused bool
	reason  string
	result  *result
}

func (it *Item) end(fin *finish, text []byte) error {
	f := it.folder
	defer f.tell()
	f.mu.Lock()
	if it.ended {
		f.mu.Unlock()
		return fmt.Errorf("finish %s: the item was given back already", it.File)
	}
	it.ended = true
	fin.id, fin.itemID, fin.content = it.id, it.ID, it.sum
	if f.opts.Results && text != nil {
		fin.result = &result{text: text, id: it.ID, source: f.opts.Name, file: it.File}
	}
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
		f.setStuck(e, err)
		f.backOff(e)
		if e.tries == 1 {
			f.log.Warn("picture was processed but not put away: trying again", "file", name, "error", err)
		}
		return false
	}
	f.forget(e)
	return true
}
