package camera

import (
	"errors"
	"fmt"
	"path"
)

// file moves a file to its place below the store, with its result beside it, and returns its name there. Extra is what will
// come beside it later. Where the quota can't hold it at all it is deleted instead, and has no name.
func (f *Folder) file(s *store, src source, dir string, r *result, extra load) (got string, err error) {
	f.filing.Lock()
	defer f.filing.Unlock()
	need := extra.plus(load{src.id.size, 1})
	limit := nameMax
	if extra.files > 0 {
		limit = nameMax - len(reasonExt)
	}
	if r != nil {
		need = need.plus(r.load())
		limit = nameMax - len(resultExt)
	}
	if !s.quota.holds(need) {
		return "", f.deleteLarge(s, src, dir, r)
	}
	to, err := f.placeIn(s, dir, need)
	if err != nil {
		return "", fmt.Errorf("move %s to %s: %w", printable(src.base), s.dir, err)
	}
	defer to.Close() // nothing is written through it
	if r != nil {
		if err := r.write(to); err != nil {
			return "", fmt.Errorf("write the result of %s to %s: %w", printable(src.base), s.dir, err)
		}
	}
	got, err = src.moveTo(to, src.base, limit, r)
	if got != "" {
		s.total = s.total.plus(need)
	}
	if err != nil {
		return got, errors.Join(err, r.discard(to))
	}
	return got, nil
}

// fileResult puts the result in done/ and then deletes the picture: after a crash in between it comes again, and its
// result is replaced.
func (f *Folder) fileResult(src source, dir string, r *result) error {
	f.filing.Lock()
	defer f.filing.Unlock()
	if err := f.putAlone(&f.toDone, src, dir, r); err != nil {
		return err
	}
	return src.remove()
}

// deleteLarge is what becomes of a picture that the quota can't hold whatever is removed. The caller holds filing.
func (f *Folder) deleteLarge(s *store, src source, dir string, r *result) error {
	if err := f.putAlone(s, src, dir, r); err != nil {
		return err
	}
	if err := src.remove(); err != nil {
		return err
	}
	f.log.Warn("picture is larger than the quota: deleted", "file", printable(path.Join(dir, src.base)), "directory", s.dir,
		"bytes", src.id.size)
	f.countRemoved(load{src.id.size, 1})
	return nil
}

// putAlone puts a result below the store without its picture. One that the quota can't hold at all isn't put anywhere. The
// caller holds filing.
func (f *Folder) putAlone(s *store, src source, dir string, r *result) error {
	if r == nil || !s.quota.holds(r.load()) {
		return nil
	}
	to, err := f.placeIn(s, dir, r.load())
	if err == nil {
		defer to.Close() // nothing is written through it
		err = r.putAlone(to, src.base)
	}
	if err != nil {
		return fmt.Errorf("write the result of %s to %s: %w", printable(src.base), s.dir, err)
	}
	s.total = s.total.plus(r.load())
	return nil
}

// putBeside puts a result beside its picture, in the folder itself.
func putBeside(src source, r *result) error {
	if r == nil {
		return nil
	}
	if err := r.putBeside(src.dir, src.base); err != nil {
		return fmt.Errorf("write the result beside %s: %w", printable(src.base), err)
	}
	return nil
}
