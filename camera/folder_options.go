package camera

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// After says what becomes of a picture's file once the caller is done with it.
type After string

// What the configuration's key `after` takes.
const (
	AfterMove   After = "move"   // into done/ below the folder
	AfterKeep   After = "keep"   // it stays; FolderOptions.StateDir remembers that it was processed
	AfterDelete After = "delete" // it is removed
)

// Poll says whether a folder is read again every second besides being watched.
type Poll string

// What the configuration's key `poll` takes.
const (
	PollAuto Poll = "auto" // where the file system reports no changes of others (NFS, SMB, FUSE, overlay …) or a watch fails
	PollOn   Poll = "on"   // always; inotify isn't used
	PollOff  Poll = "off"  // only where a watch fails; like the others, such a folder is read again every 30 s
)

// Quota bounds what lies in done/ or failed/; 0 stands for no limit. Every regular file below the directory counts, whoever
// put it there, with its size in bytes: pictures, their results and reasons, and anything else.
//
// It is enforced before a file is put there: the oldest files go, a picture together with its .json and .txt, until the
// new one fits; a few more go at once, down to 90 %, so that this is rare. The oldest is the one that was filed first: the
// time is ctime, which renaming sets, as do chmod and the like, but not on FAT, where it is the time when the file was made.
// Directories and symbolic links are neither counted nor removed nor followed.
//
// A picture that is larger than the whole quota is deleted instead of filed, and the log says so; nothing else goes for
// it, and its result is filed alone if that fits. What others put there is noticed when the files are counted: before the
// first picture is filed, and whenever the limit is reached.
type Quota struct {
	MaxBytes int64
	MaxFiles int // 0, or at least 3: a picture with its result and reason
}

// FolderOptions describe a folder. Name, Path and Whole are required.
type FolderOptions struct {
	Name      string // of the source: part of every Item's ID, and of the state file's name
	Path      string // made if it is missing; may be a symbolic link
	Recursive bool   // directories below it too, but for dot directories and the folder's own done/ and failed/

	// Ignore are patterns of names that are left alone, besides those that PictureName doesn't take: CheckIgnore says what
	// they look like.
	Ignore []string

	// Settle is how long a file's size and modification time must stand still before it is looked into. Default 500 ms.
	Settle time.Duration

	// Grace is how long a file that is unchanged, but not whole, is waited for before it is refused. Default 10 s.
	Grace time.Duration

	Poll  Poll  // default PollAuto
	After After // default AfterMove

	// Results has Item.Done and Item.Refuse write the result that they are given to a file beside the picture, under its
	// name with .json added: in done/ or failed/, and in the folder itself where the picture is kept. For a picture that
	// is deleted it is put in done/.
	Results bool

	Done, Failed Quota // of done/ and failed/

	// Whole says whether a file holds a whole picture. It may be called by several goroutines at once; the function Whole
	// makes one. nil: it does. A *picture.RefusedError that is Incomplete: the file is waited for, and refused after Grace.
	// Another *picture.RefusedError: the file is refused, at once where it is known that nobody has it open for writing.
	// Any other error: reading it failed, which is tried again later.
	Whole func(file *io.SectionReader) error

	// StateDir is where AfterKeep remembers what was processed, in folder-<Name>.processed. Made if it is missing.
	StateDir string

	// Changed is called when FolderStats.Problem has changed, by the goroutine that found out: one of the folder's own,
	// maybe before OpenFolder has returned, or a caller's in Next, Item.Done or Item.Refuse. It may call Stats, but none of
	// these, and should return soon. After the last of several calls Stats has the latest. nil: nobody asks.
	Changed func()

	Log *slog.Logger // default: no log
}

// complete checks the options and sets what was left to its default.
func (o *FolderOptions) complete() error {
	if o.Name == "" || strings.ContainsAny(o.Name, "/\x00") {
		return fmt.Errorf("name %q: want a source's name", o.Name)
	}
	if o.Path == "" {
		return errors.New("path is empty: want a directory")
	}
	if o.Whole == nil {
		return errors.New("whole is nil: want a function that looks into the files")
	}
	if o.Settle < 0 || o.Grace < 0 {
		return fmt.Errorf("settle %v, grace %v: want no negative times", o.Settle, o.Grace)
	}
	for _, pattern := range o.Ignore {
		if err := CheckIgnore(pattern); err != nil {
			return err
		}
	}
	if err := o.Done.check(doneDir); err != nil {
		return err
	}
	if err := o.Failed.check(failedDir); err != nil {
		return err
	}
	if o.Settle == 0 {
		o.Settle = 500 * time.Millisecond
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	o.Grace = max(o.Grace, o.Settle)
	if o.After == "" {
		o.After = AfterMove
	}
	switch o.After {
	case AfterMove, AfterDelete:
	case AfterKeep:
		if o.StateDir == "" {
			return errors.New("state directory is empty: after: keep needs one")
		}
	default:
		return fmt.Errorf("after %q: want move, keep or delete", o.After)
	}
	if o.Poll == "" {
		o.Poll = PollAuto
	}
	switch o.Poll {
	case PollAuto, PollOn, PollOff:
	default:
		return fmt.Errorf("poll %q: want auto, on or off", o.Poll)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func (q Quota) check(dir string) error {
	if q.MaxBytes < 0 || q.MaxFiles < 0 || q.MaxFiles == 1 || q.MaxFiles == 2 {
		return fmt.Errorf("quota of %s: %d bytes, %d files: want 0 bytes or more, 0 files or at least 3", dir, q.MaxBytes, q.MaxFiles)
	}
	return nil
}
