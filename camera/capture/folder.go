package capture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// folderStream replays a folder of pictures.
type folderStream struct {
	o     Options
	root  *os.Root
	names []string  // sorted
	start time.Time // of the first picture
	first time.Time // when its file was modified

	i     int    // the next name
	n     uint64 // pictures brought
	round uint64 // n when this round began
	next  time.Time
	err   error

	close  sync.Once
	closed chan struct{}
	reads  sync.Mutex // held by a Read: Close waits for it
}

// replayed are the extensions of pictures that are replayed.
var replayed = []string{".jpg", ".jpeg", ".png", ".webp"}

func openFolder(o Options) (Stream, error) {
	root, err := os.OpenRoot(o.Path)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		root.Close() // only a folder was read
		return nil, fmt.Errorf("open recording %s: %w", printable(o.Path, 256), err)
	}
	f := &folderStream{o: o, root: root, start: o.Start, closed: make(chan struct{})}
	for _, entry := range entries {
		name := entry.Name()
		if entry.Type().IsRegular() && !strings.HasPrefix(name, ".") && isPicture(name) {
			f.names = append(f.names, name)
		}
	}
	if len(f.names) == 0 {
		root.Close() // as above
		return nil, fmt.Errorf("open recording %s: no pictures in it: want files with %s", printable(o.Path, 256), strings.Join(replayed, ", "))
	}
	slices.Sort(f.names)
	if o.Pace && o.FPS == 0 {
		f.o.FPS = replayFPS
	}
	return f, nil
}

// Read implements Stream.
func (f *folderStream) Read(shot *Shot) error {
	f.reads.Lock()
	defer f.reads.Unlock()
	if f.isClosed() {
		return f.errClosed()
	}
	if f.err == nil {
		f.err = f.read(shot)
	}
	return f.err
}

func (f *folderStream) read(shot *Shot) error {
	if f.o.Pace && !f.wait() {
		return f.errClosed()
	}
	for !f.isClosed() {
		if f.i == len(f.names) {
			if !f.o.Loop {
				return io.EOF
			}
			if f.n == f.round {
				return fmt.Errorf("read recording %s: its pictures are gone", printable(f.o.Path, 256))
			}
			f.i, f.round = 0, f.n
		}
		name := f.names[f.i]
		f.i++
		modified, err := f.file(name, shot)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", printable(name, 256), err)
		}
		if f.first.IsZero() {
			f.first = modified
		}
		if f.start.IsZero() {
			f.start = modified
		}
		shot.Format, shot.Width, shot.Height, shot.File = Encoded, 0, 0, name
		switch {
		case f.o.Pace:
			shot.Time = time.Now()
		case f.o.FPS > 0:
			shot.Time = virtual(f.start, f.n, f.o.FPS)
		default:
			shot.Time = f.start.Add(modified.Sub(f.first))
		}
		f.n++
		shot.Seq = f.n
		return nil
	}
	return f.errClosed()
}

// file reads a file into the shot's Data.
func (f *folderStream) file(name string, shot *Shot) (modified time.Time, err error) {
	// Nothing is followed and nothing waited for, whatever has taken the file's place since the folder was read.
	link, err := f.root.Lstat(name)
	if err != nil {
		return time.Time{}, err
	}
	if !link.Mode().IsRegular() {
		return time.Time{}, errors.New("it is no regular file")
	}
	file, err := f.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return time.Time{}, err
	}
	defer file.Close() // only read
	info, err := file.Stat()
	switch {
	case err != nil:
		return time.Time{}, err
	case !os.SameFile(link, info):
		return time.Time{}, errors.New("it was replaced while it was opened")
	case info.Size() > f.o.MaxBytes:
		return time.Time{}, fmt.Errorf("it has %d bytes, at most %d are allowed", info.Size(), f.o.MaxBytes)
	}
	// A file that grows is read as long as it was, one that shrinks as far as it goes.
	if err := readData(file, shot, int(info.Size())); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// wait waits until the next picture is due; false if the stream was closed. Time that was lost isn't made up for.
func (f *folderStream) wait() bool {
	now := time.Now()
	if f.next.IsZero() || f.next.Before(now) {
		f.next = now
	}
	due := f.next.Sub(now)
	f.next = f.next.Add(interval(f.o.FPS))
	return sleep(due, f.closed)
}

// sleep waits that long; false if stop was closed before.
func sleep(d time.Duration, stop <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-stop:
		return false
	case <-timer.C:
		return true
	}
}

func (f *folderStream) isClosed() bool {
	select {
	case <-f.closed:
		return true
	default:
		return false
	}
}

func (f *folderStream) errClosed() error {
	return fmt.Errorf("read recording %s: %w", printable(f.o.Path, 256), fs.ErrClosed)
}

// Close implements Stream.
func (f *folderStream) Close() error {
	f.close.Do(func() { close(f.closed) })
	f.reads.Lock()
	defer f.reads.Unlock()
	f.root.Close() // only a folder; a second close does nothing
	return nil
}
