package camera

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxBatch = 10_000          // files that are remembered at a time while the oldest are looked for
	fullTime = 1 * time.Minute // until room is looked for again where there is nothing to remove
)

// load is how much lies somewhere.
type load struct {
	bytes int64
	files int
}

func (l load) plus(m load) load  { return load{l.bytes + m.bytes, l.files + m.files} }
func (l load) minus(m load) load { return load{l.bytes - m.bytes, l.files - m.files} }

// holds reports whether so much is within the quota.
func (q Quota) holds(l load) bool {
	return (q.MaxBytes == 0 || l.bytes <= q.MaxBytes) && (q.MaxFiles == 0 || l.files <= q.MaxFiles)
}

// low is what files are removed down to, so that there is room for some that come.
func (q Quota) low() Quota {
	return Quota{MaxBytes: q.MaxBytes - q.MaxBytes/10, MaxFiles: q.MaxFiles - q.MaxFiles/10}
}

// store is done/ or failed/. Folder.filing guards it.
type store struct {
	dir   string
	quota Quota

	total   load // since it was counted: what sightd has put there is added
	counted bool

	full      error // why no room could be made
	fullUntil time.Duration
}

// filed is a file below a store.
type filed struct {
	dir, base string        // relative to the folder, and in that directory
	at        unix.Timespec // its ctime
}

func firstFiled(a, b filed) int {
	return cmp.Or(cmp.Compare(a.at.Sec, b.at.Sec), cmp.Compare(a.at.Nsec, b.at.Nsec),
		cmp.Compare(a.dir, b.dir), cmp.Compare(a.base, b.base))
}

// placeIn makes room below the store and opens, or makes, the directory there. The caller holds filing.
func (f *Folder) placeIn(s *store, dir string, need load) (*os.File, error) {
	if err := f.makeRoom(s, need); err != nil {
		return nil, err
	}
	return f.openDir(path.Join(s.dir, dir), true)
}

// makeRoom removes the oldest files below the store until the quota holds so much more. The caller holds filing.
func (f *Folder) makeRoom(s *store, need load) error {
	fits := func() bool { return s.counted && s.quota.holds(s.total.plus(need)) }
	if s.quota == (Quota{}) || fits() {
		return nil
	}
	now := f.clock.mono()
	if now < s.fullUntil {
		return s.full
	}
	for {
		oldest, err := f.count(s)
		if fits() {
			return nil // others have removed some
		}
		var removed load
		if err == nil {
			removed, err = f.removeOldest(s, oldest, need)
		}
		if fits() {
			return nil
		}
		if removed.files == 0 {
			if err == nil {
				err = errors.New("nothing can be removed")
			}
			s.full, s.fullUntil = fmt.Errorf("make room in %s: %w", s.dir, err), now+fullTime
			return s.full
		}
	}
}

// removeOldest removes the files in turn until there is some room for what comes, or all are gone. The error is the last.
func (f *Folder) removeOldest(s *store, oldest []filed, need load) (removed load, err error) {
	until := s.quota.low()
	if !until.holds(need) {
		until = s.quota
	}
	for _, file := range oldest {
		if until.holds(s.total.plus(need)) {
			break
		}
		now, fault := f.removeFiled(file)
		s.total, removed = s.total.minus(now), removed.plus(now)
		if fault != nil {
			err = fault
		}
	}
	if removed.files > 0 {
		f.log.Info("removed the oldest files for the quota", "directory", s.dir, "files", removed.files, "bytes", removed.bytes)
	}
	f.countRemoved(removed)
	return removed, err
}

func (f *Folder) countRemoved(removed load) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.RemovedFiles += uint64(removed.files)
	f.stats.RemovedBytes += uint64(removed.bytes)
}

// removeFiled removes a file, if it is still the one that was counted, and what belongs to it.
func (f *Folder) removeFiled(file filed) (removed load, err error) {
	dir, err := f.openDir(file.dir, false)
	if err != nil {
		return removed, err
	}
	defer dir.Close() // nothing is written through it
	names := []string{file.base}
	if PictureName(file.base) {
		names = append(names, file.base+resultExt, file.base+reasonExt)
	}
	for i, name := range names {
		st, err := statAt(dir, name)
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || i == 0 && st.Ctim != file.at {
			if i == 0 {
				return removed, nil // somebody else was here
			}
			continue
		}
		if err := unlinkAt(dir, name); err != nil {
			return removed, fmt.Errorf("remove %s: %w", printable(path.Join(file.dir, name)), err)
		}
		removed = removed.plus(load{st.Size, 1})
	}
	return removed, nil
}

// count sets the store's total, and returns the files that were filed first, the oldest first, at most maxBatch: pictures
// and what belongs to none.
func (f *Folder) count(s *store) ([]filed, error) {
	s.total, s.counted = load{}, false
	var oldest []filed
	for stack := []string{s.dir}; len(stack) > 0; {
		dir := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		below, err := f.countDir(dir, func(file filed, size int64, heads bool) {
			s.total = s.total.plus(load{size, 1})
			if !heads {
				return
			}
			if oldest = append(oldest, file); len(oldest) == 2*maxBatch {
				slices.SortFunc(oldest, firstFiled)
				oldest = oldest[:maxBatch]
			}
		})
		switch {
		case err == nil || gone(err):
		case dir == s.dir:
			return nil, err
		default:
			f.log.Warn("directory can't be counted for the quota", "directory", printable(dir), "error", err)
		}
		stack = append(stack, below...)
	}
	s.counted = true
	slices.SortFunc(oldest, firstFiled)
	return oldest[:min(len(oldest), maxBatch)], nil
}

// countDir calls each for every regular file of a directory, and returns the directories in it. A file doesn't head its
// own removal if it is the result or the reason of a picture beside it.
func (f *Folder) countDir(rel string, each func(file filed, size int64, heads bool)) (below []string, err error) {
	dir, err := f.openDir(rel, false)
	if err != nil {
		return nil, err
	}
	defer dir.Close() // it is only read from
	for {
		list, err := dir.ReadDir(1024)
		for _, d := range list {
			name := d.Name()
			st, err := statAt(dir, name)
			if err != nil {
				continue // it is gone
			}
			switch st.Mode & unix.S_IFMT {
			case unix.S_IFDIR:
				if strings.Count(rel, "/") <= maxDepth {
					below = append(below, path.Join(rel, name))
				}
			case unix.S_IFREG:
				picture, ext := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
				belongs := (ext == resultExt || ext == reasonExt) && PictureName(picture) && isFile(dir, picture)
				each(filed{rel, name, st.Ctim}, st.Size, !belongs)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return below, nil
		case err != nil:
			return below, err
		}
	}
}
