package camera

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	doneDir   = "done"
	failedDir = "failed"

	rescanInterval = 30 * time.Second // between scans where inotify works
	pollInterval   = time.Second      // between scans where it doesn't, and between looks at a file that isn't whole
	maxBackoff     = time.Minute      // between tries to open or move a file that can't be

	maxPending = 100_000  // files that are remembered at a time; more are found once there is room
	maxIgnored = 10_000   // names of what is no regular file that are remembered, to log and count each once
	maxDepth   = 32       // directories below the folder
	maxHeld    = 16 << 20 // bytes of results that couldn't be written yet; then nothing is handed out
)

// Folder is a watched folder as an intake of pictures that loses none: every picture that is copied, moved, hard-linked
// or slowly written into it is handed out by Next once it is whole. A file is its own record: it stays where it is until
// Item.Done or Item.Refuse, so that a picture whose result was not handed over is handed out again, with the same ID,
// after a crash or a restart.
//
// A file is a candidate by its name (PictureName and FolderOptions.Ignore), if it is a regular one; symbolic links, FIFOs,
// devices and directories are counted and left alone. It is looked into when size, modification time and inode were the same
// for FolderOptions.Settle, as observed on the monotonic clock: neither old nor future modification times matter. One that
// was moved into the folder is looked into at once, where it is known that nobody has it open for writing; moved in is what
// has a modification time older than its change of status by Settle. A file is whole when FolderOptions.Whole says so.
//
// A folder need not be asked: while nobody calls Next, pictures wait in the folder, and what is remembered of them is
// bounded.
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

	journal  *journal // nil but for AfterKeep
	patterns ignorePatterns

	wake    chan struct{} // tells a Next that an entry is ready
	kick    chan struct{} // tells the loop that an entry is due earlier than it thinks
	closing chan struct{}
	close   sync.Once
	loop    sync.WaitGroup
	drains  sync.WaitGroup // what receives errors of watchers

	works works // what the file system was asked for

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
	missing  bool // the folder is not there
	unread   int  // entries that can't be read
	stuck    int  // entries that can't be put away
	held     int  // bytes that these keep in memory
	troubles [troubles]string
	told     string // the problem that Changed was called for

	// filing is held while something is put into done/ or failed/. It comes before mu.
	filing           sync.Mutex
	toDone, toFailed store

	// The rest belongs to the loop.
	addWatch func(dir string) error // f.inotify, but for tests
	watcher  *fsnotify.Watcher
	watchErr chan error
	dirs     map[string]bool // the directories that were found by the last scan
	root     identity        // of the directory that was watched last
	said     map[string]bool // what was logged and need not be logged again
}

// clock is where a Folder takes the time from.
type clock struct {
	mono func() time.Duration // monotonic, from an arbitrary start
	wall func() time.Time     // for people
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

		patterns: newIgnorePatterns(opts.Ignore),
		toDone:   store{dir: doneDir, quota: opts.Done},
		toFailed: store{dir: failedDir, quota: opts.Failed},
	}
	f.addWatch = f.inotify
	if opts.After == AfterKeep {
		if f.journal, err = openJournal(opts.StateDir, opts.Name, f.log); err != nil {
			return nil, err
		}
	}
	return f, nil
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

// signal wakes up whoever reads c, now or when it reads next.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it was told already
	}
}
