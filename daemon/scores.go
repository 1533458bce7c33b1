package daemon

import (
	"bufio"
	"compress/gzip"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"
)

// scoresVersion is that of the files that newScoresWriter makes.
const scoresVersion = 2

// scoresOf says what a file of scores was made of: of anything else its scores would be others. It can be compared.
type scoresOf struct {
	Version      int
	Recording    string // absolute path
	Changed      string // when that was modified; "": it is gone
	FPS          float64
	Start        string // "": not given
	Model        string // SHA-256
	Crop         [4]float64
	Rotate       int
	Resize, Flip string
}

// scored is what is kept of a picture.
type scored struct {
	Time    time.Time
	Seq     uint64
	File    string
	Same    bool      // its bytes are those of the picture before, and so is the rest
	Refused string    // why it can't be decoded; "": it can
	Thumb   []byte    // a view.Picture
	Scores  []float32 // of all classes
	InferMS float64
}

// scoresWriter writes a file of scores, which comes to be when it is whole.
type scoresWriter struct {
	file *os.File
	buf  *bufio.Writer
	zip  *gzip.Writer
	gob  *gob.Encoder
	path string
}

func newScoresWriter(path string, of scoresOf) (*scoresWriter, error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return nil, fmt.Errorf("keep scores: %w", err)
	}
	w := &scoresWriter{file: file, buf: bufio.NewWriterSize(file, 1<<16), path: path}
	w.zip = gzip.NewWriter(w.buf)
	w.gob = gob.NewEncoder(w.zip)
	if err := w.gob.Encode(of); err != nil {
		return nil, errors.Join(fmt.Errorf("keep scores: %w", err), w.drop())
	}
	return w, nil
}

func (w *scoresWriter) write(s *scored) error {
	if err := w.gob.Encode(s); err != nil {
		return fmt.Errorf("keep scores: %w", err)
	}
	return nil
}

// finish gives the file its name.
func (w *scoresWriter) finish() error {
	err := errors.Join(w.zip.Close(), w.buf.Flush(), w.file.Close())
	if err == nil {
		err = os.Rename(w.file.Name(), w.path)
	}
	if err != nil {
		return fmt.Errorf("keep scores: %w", errors.Join(err, os.Remove(w.file.Name())))
	}
	return nil
}

// drop removes what was written so far.
func (w *scoresWriter) drop() error {
	return errors.Join(w.file.Close(), os.Remove(w.file.Name()))
}

// scoresReader reads a file of scores.
type scoresReader struct {
	file *os.File
	gob  *gob.Decoder
	path string
}

// openScores opens a file of scores, if there is one. It must be of what is wanted.
func openScores(path string, want scoresOf) (*scoresReader, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read scores: %w", err)
	}
	r := &scoresReader{file: file, path: path}
	zip, err := gzip.NewReader(bufio.NewReaderSize(file, 1<<16))
	var have scoresOf
	if err == nil {
		r.gob = gob.NewDecoder(zip)
		err = r.gob.Decode(&have)
	}
	if want.Changed == "" {
		want.Changed = have.Changed
	}
	switch {
	case err != nil:
		err = fmt.Errorf("read scores: %s is no file of scores: %w", path, err)
	case have != want:
		err = fmt.Errorf("read scores: those in %s were kept of something else (%s): remove the file, or name another one", path, have.differs(want))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return r, nil
}

// differs names the first field that differs.
func (o scoresOf) differs(want scoresOf) string {
	have, wanted := reflect.ValueOf(o), reflect.ValueOf(want)
	for i := range have.NumField() {
		name, h, w := have.Type().Field(i).Name, have.Field(i).Interface(), wanted.Field(i).Interface()
		if h != w {
			return fmt.Sprintf("%s is %s, was %s", strings.ToLower(name), given(name, w), given(name, h))
		}
	}
	return "nothing differs"
}

// given is a field's value in words.
func given(name string, value any) string {
	if value == "" || name == "FPS" && value == 0. {
		return "not given"
	}
	return fmt.Sprint(value)
}

func timeOf(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// read reads the next picture's. The error is io.EOF, bare, behind the last one.
func (r *scoresReader) read(s *scored) error {
	*s = scored{}
	if err := r.gob.Decode(s); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read scores: %s: %w", r.path, err)
	} else if err != nil {
		return io.EOF
	}
	return nil
}

func (r *scoresReader) close() error { return r.file.Close() }
