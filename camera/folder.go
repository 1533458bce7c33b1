package camera

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
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

// FolderOptions describe a folder. Name, Path and Whole are required.
type FolderOptions struct {
	Name      string // of the source: part of every Item's ID, and of the state file's name
	Path      string // made if it is missing; may be a symbolic link
	Recursive bool   // directories below it too, but for dot directories and the folder's own done/ and failed/

	// Settle is how long a file's size and modification time must stand still before it is looked into. Default 500 ms.
	Settle time.Duration

	// Grace is how long a file that is unchanged, but not whole, is waited for before it is refused. Default 10 s.
	Grace time.Duration

	Poll  Poll  // default PollAuto
	After After // default AfterMove

	// Whole says whether a file holds a whole picture. It reads the file from its start, and may be called by several
	// goroutines at once; the function Whole makes one. nil: it does. A *picture.RefusedError that is Incomplete: the file
	// is waited for, and refused after Grace. Another *picture.RefusedError: the file is refused, at once where it is
	// known that nobody has it open for writing. Any other error: reading it failed, which is tried again later.
	Whole func(file *os.File) error

	// StateDir is where AfterKeep remembers what was processed, in folder-<Name>.processed. Made if it is missing.
	StateDir string

	Log *slog.Logger // default: no log
}

const (
	doneDir   = "done"
	failedDir = "failed"

	rescanInterval = 30 * time.Second // between scans where inotify works
	pollInterval   = time.Second      // between scans where it doesn't, and between looks at a file that isn't whole
	maxBackoff     = time.Minute      // between tries to open or move a file that can't be

	maxPending = 100_000 // files that are remembered at a time; more are found once there is room
	maxIgnored = 10_000  // names of what is no regular file that are remembered, to log and count each once
	maxDepth   = 32      // directories below the folder
)

// Folder is a watched folder as an intake of pictures that loses none: every picture that is copied, moved, hard-linked
// or slowly written into it is handed out by Next once it is whole. A file is its own record: it stays where it is until
// Item.Done or Item.Refuse, so that a picture whose result was not handed over is handed out again, with the same ID,
// after a crash or a restart.
//
// A file is a candidate by its name (PictureName), if it is a regular one; symbolic links, FIFOs, devices and directories
// are counted and left alone. It is looked into when size, modification time and inode were the same for
// FolderOptions.Settle, as observed on the monotonic clock: neither old nor future modification times matter. It is whole
// when FolderOptions.Whole says so.
//
// The folder may vanish, be replaced or be mounted over while it is watched; it is taken up again when it is back. No
// descriptor of it is held between two operations, so that it can be unmounted.
//
// One process at a time may use a folder. The methods are safe for use by several goroutines.
type Folder struct {
	opts  FolderOptions
	path  string // absolute
	log   *slog.Logger
	clock clock

	journal *journal // nil but for AfterKeep

	wake    chan struct{} // tells a Next that an entry is ready
	kick    chan struct{} // tells the loop that an entry is due earlier than it thinks
	closing chan struct{}
	close   sync.Once
	loop    sync.WaitGroup
	drains  sync.WaitGroup // what receives errors of watchers

	mu       sync.Mutex
	entries  map[string]*entry // by name relative to the folder
	ready    queue             // settled entries, oldest file first
	timers   queue             // waiting and stuck entries, the next one due first
	ignored  map[string]uint32 // what is no regular file, with the scan that saw it last
	scans    uint32            // scans begun
	scanAt   time.Duration     // when the next scan is due; 0: at once
	room     int               // maxPending, but for tests
	overfull bool              // names were left out for want of room
	inodes   bool              // inode numbers tell files apart here
	volume   uint64            // the file system and directory that the folder is now
	stats    FolderStats

	// The rest belongs to the loop.
	addWatch func(dir string) error // f.inotify, but for tests
	watcher  *fsnotify.Watcher
	watchErr chan error
	dirs     map[string]bool // the directories that were found by the last scan
	root     identity        // of the directory that was watched last
	missing  bool            // the folder is not there
	said     map[string]bool // what was logged and need not be logged again
}

// clock is where a Folder takes the time from.
type clock struct {
	mono func() time.Duration // monotonic, from an arbitrary start
	wall func() time.Time     // for people
}

// FolderStats are counts since OpenFolder.
type FolderStats struct {
	Seen    uint64 // pictures that were handed out, each time anew
	Done    uint64 // of them, those that ended in Item.Done
	Refused uint64 // of them, those that ended in Item.Refuse
	Ignored uint64 // entries with a picture's name that aren't regular files
	Errors  uint64 // files that couldn't be opened, read or moved, and scans that failed
	Pending int    // files that are known now and not finished
}

// OpenFolder makes the folder if it is missing, and begins to watch it: pictures that are there already are handed out
// like those to come. A folder that can't be watched by inotify, for want of watches or on a network file system, is
// polled, and the log says so.
func OpenFolder(opts FolderOptions) (*Folder, error) {
	start := time.Now()
	f, err := newFolder(opts, clock{mono: func() time.Duration { return time.Since(start) }, wall: time.Now})
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", opts.Name, err)
	}
	f.loop.Go(f.run)
	return f, nil
}

// newFolder is OpenFolder without its goroutine.
func newFolder(opts FolderOptions, clock clock) (*Folder, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(opts.Path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, err
	}
	f := &Folder{
		opts: opts, path: path, clock: clock,
		log:     opts.Log.With("source", opts.Name),
		wake:    make(chan struct{}, 1),
		kick:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		entries: map[string]*entry{},
		ready:   queue{before: older},
		timers:  queue{before: dueBefore},
		ignored: map[string]uint32{},
		room:    maxPending,
		inodes:  true,
		dirs:    map[string]bool{},
		said:    map[string]bool{},
	}
	f.addWatch = f.inotify
	if opts.After == AfterKeep {
		if f.journal, err = openJournal(opts.StateDir, opts.Name, f.log); err != nil {
			return nil, err
		}
	}
	return f, nil
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

// Next waits for a picture and hands it out: of those that are whole the one with the oldest modification time, then the
// first by name. A file that is refused for good is handed out too, with Item.Err set, so that the caller can report it.
// Several items may be outstanding. The error is ctx's, or wraps os.ErrClosed after Close.
func (f *Folder) Next(ctx context.Context) (*Item, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.closing:
			return nil, fmt.Errorf("next picture of folder %s: %w", f.opts.Name, os.ErrClosed)
		default:
		}
		e := f.takeReady()
		if e == nil {
			select {
			case <-f.wake:
			case <-ctx.Done():
			case <-f.closing:
			}
			continue
		}
		if item := f.inspect(e); item != nil {
			return item, nil
		}
	}
}

// Close ends the watching, and every Next. Items that are outstanding may still be finished; what Item.Done could not
// move yet is handed out again by the next OpenFolder.
func (f *Folder) Close() error {
	var err error
	f.close.Do(func() {
		close(f.closing)
		f.loop.Wait()
		err = f.unwatch()
		f.drains.Wait()
		if f.journal != nil {
			err = errors.Join(err, f.journal.sync())
		}
	})
	if err != nil {
		return fmt.Errorf("close folder %s: %w", f.opts.Name, err)
	}
	return nil
}

// Stats returns the counts.
func (f *Folder) Stats() FolderStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	stats := f.stats
	stats.Pending = len(f.entries)
	return stats
}

// signal wakes up whoever reads c, now or when it reads next.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it was told already
	}
}
