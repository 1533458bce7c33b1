package camera

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	resultExt = ".json" // added to a picture's name
	reasonExt = ".txt"
	maxResult = 1 << 20 // bytes of a result file that is looked into to see whose it is
)

// errForeign is a file in a result's place that is none, beside a picture that stays where it is.
var errForeign = errors.New("a file of another origin has its name")

// result is what is known of a picture, for the file beside it. Its text is the JSON of an event: an object with the item's
// id in "id", the folder's name in "source", and Item.File in "file". Whose a result file is that is there already shows by
// these: one with the picture's own id was left by a crash before the picture could be put away, and is replaced.
//
// The methods take nil for a picture without a result.
type result struct {
	text             []byte
	id, source, file string
}

// load is what the file adds to a quota.
func (r *result) load() load { return load{int64(len(r.text)) + 1, 1} }

// part is the name that the result has until it gets its own.
func (r *result) part() string { return ".sightd-" + r.id + resultExt }

// write writes the result to the directory, under the name part.
func (r *result) write(dir *os.File) error {
	return writeNew(dir, r.part(), append(r.text[:len(r.text):len(r.text)], '\n'))
}

// discard removes what write has made and nothing has taken on.
func (r *result) discard(dir *os.File) error {
	if r == nil {
		return nil
	}
	if err := unlinkAt(dir, r.part()); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// place gives the result that was written its name beside the picture got, which will come there. The error wraps EEXIST if
// that name is taken, by a picture or by another's result.
func (r *result) place(dir *os.File, got string) error {
	if r == nil {
		return nil
	}
	if exists(dir, got) {
		return unix.EEXIST
	}
	err := renameNoReplace(dir, r.part(), dir, got+resultExt)
	if errors.Is(err, unix.EEXIST) && r.own(dir, got, false) {
		err = renameOver(dir, r.part(), got+resultExt)
	}
	return err
}

// retract takes back what place did.
func (r *result) retract(dir *os.File, got string) error {
	if r == nil {
		return nil
	}
	return renameOver(dir, got+resultExt, r.part())
}

// taken reports whether place would fail.
func (r *result) taken(dir *os.File, got string) bool {
	return exists(dir, got) || r != nil && exists(dir, got+resultExt) && !r.own(dir, got, false)
}

// own reports whether the result file beside got is this picture's, from an earlier try, or holds nothing at all, as a
// power cut may leave it. With replaced it may also be that of another picture of the same name, for one that stays in its
// place is the only one there.
func (r *result) own(dir *os.File, got string, replaced bool) bool {
	file, id, err := openFileAt(dir, got+resultExt)
	if err != nil {
		return false
	}
	defer file.Close() // it is only read from
	text, err := io.ReadAll(io.LimitReader(file, maxResult))
	if err != nil || id.size > maxResult {
		return false
	}
	var event struct{ ID, Source, File string }
	if len(text) > 0 && json.Unmarshal(text, &event) != nil {
		return false
	}
	return len(text) == 0 || event.ID == r.id || replaced && event.Source == r.source && event.File == r.file
}

// putBeside writes the result beside a picture that stays where it is. A file there that is no result of a picture of this
// name is left alone; then the error wraps errForeign.
func (r *result) putBeside(dir *os.File, base string) error {
	if len(base+resultExt) > nameMax {
		return unix.ENAMETOOLONG
	}
	err := r.write(dir)
	if err == nil {
		err = renameNoReplace(dir, r.part(), dir, base+resultExt)
	}
	if errors.Is(err, unix.EEXIST) {
		if err = errForeign; r.own(dir, base, true) {
			err = renameOver(dir, r.part(), base+resultExt)
		}
	}
	if err != nil {
		return errors.Join(err, r.discard(dir))
	}
	return nil
}

// putAlone writes the result beside the place that the picture would have got in the directory, the first free one.
func (r *result) putAlone(dir *os.File, want string) error {
	err := r.write(dir)
	if err == nil {
		_, err = inFreeName(dir, want, nameMax-len(resultExt), r, func(got string) error { return r.place(dir, got) })
	}
	if err != nil {
		return errors.Join(err, r.discard(dir))
	}
	return nil
}
