// Package album keeps the JPEG snapshots of events in a folder whose size is bounded: before a new one is written the oldest make
// room for it, so that the folder never holds more, not even for a moment. It makes no pictures and publishes none.
//
// A snapshot lies in <folder>/<source>/<time>_<id>.jpg, with the time in UTC as 20260923T101530.123Z, so that names sort by age. Other
// files there are neither counted nor touched.
package album

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxFiles   = 100_000 // that an album holds, whatever their size: they are remembered
	timeLayout = "20060102T150405.000Z"
	unfinished = ".tmp" // the end of the name of a file that is being written
)

// ours matches the names of snapshots, relative to the folder.
var ours = regexp.MustCompile(`^[a-z0-9_-]{1,64}/[0-9]{8}T[0-9]{6}\.[0-9]{3}Z_[0-9A-Z]{26}\.jpg$`)

// Album is a bounded folder of snapshots. It is safe for use by several goroutines; one process at a time may write to a folder.
type Album struct {
	dir string
	max int64 // bytes

	mu      sync.Mutex
	files   []file // the oldest first
	bytes   int64
	removed uint64
}

type file struct {
	name string // relative to dir, with a slash
	size int64
}

// age orders files by the time in their names, then by the rest of them.
func age(a, b file) int {
	return cmp.Or(strings.Compare(path.Base(a.name), path.Base(b.name)), strings.Compare(a.name, b.name))
}

// Open opens the album in dir, which is made with the first snapshot, bounded to so many bytes. What is there beyond them, from a
// larger quota, is removed at once, the oldest first; so is what a crash left half written.
func Open(dir string, maxBytes int64) (*Album, error) {
	a := &Album{dir: dir, max: maxBytes}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if cut, half := strings.CutSuffix(relative, unfinished); half && ours.MatchString(cut) {
			return os.Remove(name)
		}
		if !ours.MatchString(relative) {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		a.files = append(a.files, file{relative, info.Size()})
		a.bytes += info.Size()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	slices.SortFunc(a.files, age)
	if err := a.makeRoom(0); err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	return a, nil
}

// Put writes the snapshot of a source's event, and returns the file's path. The source is a name of a-z, 0-9, _ and -, the id a ULID. A
// snapshot that is larger than the album is an error, and so is a disk that takes none; what is there then stays.
func (a *Album) Put(source string, at time.Time, id string, jpeg []byte) (string, error) {
	f := file{path.Join(source, at.UTC().Format(timeLayout)+"_"+id+".jpg"), int64(len(jpeg))}
	if !ours.MatchString(f.name) {
		return "", fmt.Errorf("keep snapshot: want a source's name and a ULID, have %q", f.name)
	}
	if f.size > a.max {
		return "", fmt.Errorf("keep snapshot of %s: want at most the %d bytes of snapshots.max_mb, have %d", source, a.max, f.size)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.makeRoom(f.size); err != nil {
		return "", fmt.Errorf("keep snapshot of %s: %w", source, err)
	}
	name := filepath.Join(a.dir, f.name)
	if err := write(name, jpeg); err != nil {
		return "", fmt.Errorf("keep snapshot of %s: %w", source, err)
	}
	place, found := slices.BinarySearchFunc(a.files, f, age)
	if found { // the same event again
		a.bytes -= a.files[place].size
		a.files[place] = f
	} else {
		a.files = slices.Insert(a.files, place, f)
	}
	a.bytes += f.size
	return name, nil
}

// write writes a file under another name first, so that who looks into the folder sees whole pictures only.
func write(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	err := os.WriteFile(name+unfinished, data, 0o640)
	if err == nil {
		err = os.Rename(name+unfinished, name)
	}
	if err != nil {
		if left := os.Remove(name + unfinished); left != nil && !errors.Is(left, fs.ErrNotExist) {
			err = errors.Join(err, left)
		}
	}
	return err
}

// makeRoom removes the oldest snapshots until there is room for so many bytes. The caller holds mu.
func (a *Album) makeRoom(size int64) error {
	for len(a.files) > 0 && (a.bytes+size > a.max || len(a.files) >= maxFiles) {
		oldest := a.files[0]
		if err := os.Remove(filepath.Join(a.dir, oldest.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("make room: %w", err)
		}
		a.files = slices.Delete(a.files, 0, 1)
		a.bytes -= oldest.size
		a.removed++
	}
	return nil
}

// Stats are what an album holds, and how many snapshots were removed from it since Open.
type Stats struct {
	Files   int
	Bytes   int64
	Removed uint64
}

// Stats returns the counts.
func (a *Album) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Stats{len(a.files), a.bytes, a.removed}
}
