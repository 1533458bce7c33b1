package camera

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// dispose does what is to become of a file that was handed out. With finished there is nothing left to try, whatever err
// is. It returns errGone or ErrFileChanged where the file isn't there any more.
func (f *Folder) dispose(name string, fin *finish) (finished bool, err error) {
	dir, base := path.Split(name)
	from, err := f.openDir(dir, false)
	if err != nil {
		if _, rootErr := lstat(f.path); gone(err) && rootErr == nil {
			return true, errGone
		}
		return false, err
	}
	defer from.Close() // nothing is written through it
	f.mu.Lock()
	inodes, volume, scan := f.inodes, f.volume, f.scans
	f.mu.Unlock()
	src := source{dir: from, base: base, id: fin.id, inodes: inodes, itemID: fin.itemID}
	if err := src.check(); err != nil {
		return errors.Is(err, errGone) || errors.Is(err, ErrFileChanged), err
	}
	remember := func() error { return f.journal.add(name, fin.id, fin.content, volume, scan) }
	switch {
	case fin.refused:
		finished, err = f.moveToFailed(src, dir, fin)
		if err != nil && !finished && f.journal != nil && src.check() == nil {
			return true, errors.Join(err, remember())
		}
		return finished, err
	case f.opts.After == AfterKeep:
		if err := putBeside(src, fin.result); errors.Is(err, errForeign) || errors.Is(err, unix.ENAMETOOLONG) {
			return true, errors.Join(err, remember())
		} else if err != nil {
			return false, err
		}
		return true, remember()
	case f.opts.After == AfterDelete:
		return false, f.fileResult(src, dir, fin.result)
	}
	_, err = f.file(&f.toDone, src, dir, fin.result, load{})
	return false, err
}

// moveToFailed moves the file first and writes the reason then: a crash in between costs no picture.
func (f *Folder) moveToFailed(src source, dir string, fin *finish) (finished bool, err error) {
	line := f.clock.wall().UTC().Format(time.RFC3339) + " " + fin.reason + "\n"
	got, err := f.file(&f.toFailed, src, dir, fin.result, load{int64(len(line)), 1})
	if got == "" || err != nil {
		return false, err
	}
	to, err := f.openDir(path.Join(failedDir, dir), false)
	if err == nil {
		defer to.Close() // nothing is written through it
		part := ".sightd-" + src.itemID + reasonExt
		if err = writeNew(to, part, []byte(line)); err == nil {
			if err = renameOver(to, part, got+reasonExt); err != nil {
				err = errors.Join(err, unlinkAt(to, part))
			}
		}
	}
	if err != nil {
		return true, fmt.Errorf("write the reason beside %s: %w", printable(path.Join(failedDir, dir, got)), err)
	}
	return true, nil
}

// writeNew writes a file in a directory, under a name that it only has until it is renamed: who sees it under another
// sees all of it. What had the name is replaced, not written to. It isn't written to disk at once: a power cut may leave
// the last ones empty.
func writeNew(dir *os.File, part string, content []byte) error {
	if err := unlinkAt(dir, part); err != nil && !errors.Is(err, unix.ENOENT) {
		return err // left by a crash
	}
	fd, err := openAt(int(dir.Fd()), part, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), part)
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, unlinkAt(dir, part))
	}
	return nil
}

// source is a file that is to leave its place, if it is still the one it was.
type source struct {
	dir    *os.File
	base   string
	id     identity
	inodes bool
	itemID string
}

// check returns errGone if there is no file, and ErrFileChanged if it is another one.
func (s source) check() error {
	st, err := statAt(s.dir, s.base)
	if errors.Is(err, unix.ENOENT) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", printable(s.base), err)
	}
	return s.compare(&st)
}

func (s source) compare(st *unix.Stat_t) error {
	if id, err := fileOf(st); err != nil || !s.id.same(id, s.inodes) {
		return ErrFileChanged
	}
	return nil
}

// aside is a name in the file's own directory that scans leave alone.
func (s source) aside() string { return ".sightd-" + s.itemID + ".aside" }

// moveTo moves the file to another directory, under the name want or a numbered one, and returns that name. A result that
// was written there comes beside it.
func (s source) moveTo(to *os.File, want string, limit int, r *result) (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	got, err := renameFree(s.dir, s.base, to, want, limit, r)
	if errors.Is(err, unix.EXDEV) {
		return s.copyTo(to, want, limit, r)
	}
	if err != nil {
		if now := s.check(); now != nil {
			return "", now // another file came, or somebody took it away
		}
		return "", fmt.Errorf("move %s to %s: %w", printable(s.base), to.Name(), err)
	}
	return s.verify(to, got, r)
}

// verify looks at what was moved to got in the directory to: another file may have come between the check and the
// renaming. It is moved back then, and the result taken back.
func (s source) verify(to *os.File, got string, r *result) (string, error) {
	st, err := statAt(to, got)
	if err != nil || s.compare(&st) == nil {
		return got, nil // and if it has gone from there since, that is none of our business
	}
	if _, err := renameFree(to, got, s.dir, s.base, nameMax, nil); err != nil {
		return "", fmt.Errorf("move %s back from %s: %w", printable(got), to.Name(), err)
	}
	if err := r.retract(to, got); err != nil {
		return "", fmt.Errorf("take back the result of %s in %s: %w", printable(got), to.Name(), err)
	}
	return "", ErrFileChanged
}

// remove deletes the file. It is renamed before, so that another one that comes in that moment isn't deleted.
func (s source) remove() error {
	got, err := s.moveTo(s.dir, s.aside(), nameMax, nil)
	if err != nil {
		return err
	}
	if err := unlinkAt(s.dir, got); err != nil {
		return fmt.Errorf("remove %s, which was %s: %w", got, printable(s.base), err)
	}
	return nil
}

// copyTo is moveTo for another file system: the copy is on its disk before the original goes.
func (s source) copyTo(to *os.File, want string, limit int, r *result) (string, error) {
	part := ".sightd-" + s.itemID + ".part"
	var got string
	err := s.copyPart(to, part)
	if err == nil {
		got, err = renameFree(to, part, to, want, limit, r)
	}
	if err == nil {
		err = retry(to.Sync)
	}
	if err == nil {
		err = s.remove()
	}
	if err == nil || errors.Is(err, errGone) || errors.Is(err, ErrFileChanged) {
		return got, err
	}
	// The original is still there, so the copy is one too many.
	undo := unlinkAt(to, cmp.Or(got, part))
	if got != "" {
		undo = errors.Join(undo, r.retract(to, got))
	}
	if undo != nil && !errors.Is(undo, unix.ENOENT) {
		err = errors.Join(err, undo)
	}
	return "", fmt.Errorf("copy %s to %s: %w", printable(s.base), to.Name(), err)
}

// copyPart writes the copy, with the original's permissions and time, under the dot name part.
func (s source) copyPart(to *os.File, part string) error {
	in, id, err := openFileAt(s.dir, s.base)
	if err != nil {
		return err
	}
	defer in.Close() // it is only read from
	if !s.id.same(id, s.inodes) {
		return ErrFileChanged
	}
	if err := unlinkAt(to, part); err != nil && !errors.Is(err, unix.ENOENT) {
		return err // left by a crash
	}
	fd, err := openAt(int(to.Fd()), part, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), part)
	_, err = io.Copy(out, in)
	if info, statErr := in.Stat(); err == nil && statErr == nil {
		err = out.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	times := []unix.Timespec{id.mtime, id.mtime}
	return unix.UtimesNanoAt(int(to.Fd()), part, times, unix.AT_SYMLINK_NOFOLLOW)
}
