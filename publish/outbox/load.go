package outbox

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// found is a file of the folder that has a segment's name.
type found struct {
	path   string
	size   int64
	header header
	err    error // why there is no header
	blank  bool  // nothing but zeros, or nothing at all
	survey survey
}

// segmentID reads the name of a segment.
func segmentID(name string) (uint64, bool) {
	hex, ok := strings.CutSuffix(name, segmentExt)
	if !ok || len(hex) != 16 || strings.ToLower(hex) != hex {
		return 0, false
	}
	id, err := strconv.ParseUint(hex, 16, 64)
	return id, err == nil
}

// load takes in the files of the folder, before anything was put. What is damaged is set aside.
func (o *Outbox) load(entries []fs.DirEntry) {
	files := o.classify(entries)
	var good []*found
	bad := 0
	for _, f := range files {
		if o.readHeader(f); f.err == nil {
			good = append(good, f)
			continue
		}
		if f.blank { // made, and never synced
			o.log.Debug("outbox removes a segment without content", "file", f.path)
			if err := os.Remove(f.path); err == nil {
				continue
			}
		}
		bad++
		o.log.Warn("outbox sets a file aside: it is no segment; its messages, if it had any, are lost", "file", f.path, "err", f.err)
		if err := o.setAside(f.path, f.size); err != nil {
			o.log.Warn("outbox can't set a file aside", "file", f.path, "err", err)
			o.bytes += f.size
		}
	}
	for i, f := range good {
		bound := uint64(maxNumber + 1)
		if i+1 < len(good) {
			bound = good[i+1].header.first
		}
		o.survey(f, bound)
		s := &segment{
			path: f.path, base: f.header.first, first: min(f.header.first, bound), next: min(f.survey.next, bound),
			newest: f.survey.newest, end: int64(f.survey.end), size: f.size,
		}
		o.bytes += s.size
		o.segments = append(o.segments, s)
	}
	lost := o.judge(good)
	if lost == 0 {
		lost = uint64(bad) // at least that
	}
	o.totals.damaged += lost
	if lost > 0 {
		o.note()
	}
	o.begin()
}

// begin makes the outbox ready for Put and Next after its files were taken in.
func (o *Outbox) begin() {
	o.cursor, o.own = o.done.floor, o.next
	if n := len(o.segments); n > 0 && !o.segments[n-1].bad {
		s := o.segments[n-1]
		if f, err := os.OpenFile(s.path, os.O_RDWR, 0); err == nil { // else the next Put makes a new one, or fails
			s.f, o.active = f, s
		}
	}
	o.dropExpired()
	if err := o.makeRoom(0); err != nil {
		o.log.Warn("outbox can't make room", "err", err)
	}
}

// classify returns the segments among the entries of the folder, in order, and takes note of what was set aside.
func (o *Outbox) classify(entries []fs.DirEntry) []*found {
	var files []*found
	for _, e := range entries {
		name, path := e.Name(), filepath.Join(o.opts.Dir, e.Name())
		if id, ok := segmentID(name); ok {
			o.lastID = max(o.lastID, id) // whatever it is, the name is taken
		}
		info, err := e.Info()
		if err != nil || !e.Type().IsRegular() {
			o.log.Warn("outbox leaves alone what is no file of its own", "file", path)
			continue
		}
		base, tmp := strings.CutSuffix(name, tempExt)
		if _, ok := segmentID(base); ok && tmp {
			// The end of a repair, see there, or the start of one that came to nothing.
			whole := strings.TrimSuffix(path, tempExt)
			if _, err := os.Lstat(whole); !os.IsNotExist(err) || os.Rename(path, whole) != nil {
				_ = os.Remove(path) // it is written over by the next repair otherwise
				continue
			}
			name, path = base, whole
		}
		seg, _, damaged := strings.Cut(name, corruptMark)
		id, ok := segmentID(seg)
		switch {
		case name == lockName:
			continue
		case !ok:
			o.log.Warn("outbox leaves alone what is no file of its own", "file", path)
			continue
		case damaged:
			o.aside = append(o.aside, aside{path, info.Size()})
			o.bytes += info.Size()
		default:
			files = append(files, &found{path: path, size: info.Size()})
		}
		o.lastID = max(o.lastID, id)
	}
	slices.SortFunc(files, func(a, b *found) int { return strings.Compare(a.path, b.path) })
	slices.SortFunc(o.aside, func(a, b aside) int {
		_, s, _ := strings.Cut(a.path, corruptMark)
		_, t, _ := strings.Cut(b.path, corruptMark)
		return strings.Compare(s, t)
	})
	return files
}

// readFile reads at most so many bytes from the start of a file.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func (o *Outbox) readHeader(f *found) {
	b, err := readFile(f.path, headerSize)
	if err == nil {
		f.header, err = parseHeader(b)
		f.blank = len(bytes.Trim(b, "\x00")) == 0
	}
	f.err = err
}

// survey looks through the records of f. What can't be read counts as damaged.
func (o *Outbox) survey(f *found, bound uint64) {
	b, err := readFile(f.path, segmentFile)
	f.survey = surveySegment(f.header, b, bound)
	switch {
	case f.survey.tail != nil:
	case err != nil:
		f.survey.tail, f.survey.above = err, f.survey.next+1
	case f.size > segmentFile:
		f.survey.tail, f.survey.above = fmt.Errorf("want a file of at most %d bytes, have %d", segmentFile, f.size), f.survey.next+1
	}
}

// judge takes in what the surveys of the segments found, says what is lost, counts it, and sets damaged files aside.
func (o *Outbox) judge(good []*found) (lost uint64) {
	for i, f := range good {
		v := f.survey
		if i == 0 {
			o.done.add(0, f.header.first)
		}
		o.done.addAll(v.done)
		o.totals.atLeast(v.totals)
		o.next = max(o.next, v.next, v.above, f.header.first, o.done.top())
	}
	for i, f := range good {
		s := o.segments[i]
		until := f.survey.above
		if i+1 < len(good) {
			until = good[i+1].header.prior
		}
		missing := o.done.missing(s.next, until)
		lost += missing
		switch {
		case missing > 0 && f.survey.tail != nil:
			o.log.Warn("outbox sets a damaged file aside: messages in it are lost", "file", f.path, "messages", missing,
				"offset", s.end, "err", f.survey.tail)
			o.repair(s)
		case missing > 0:
			o.log.Warn("outbox misses messages: they are lost", "after", f.path, "messages", missing)
		case f.survey.tail != nil:
			o.log.Debug("outbox passes over the end of a segment", "file", f.path, "offset", s.end, "err", f.survey.tail)
		}
		// Numbers that no segment holds are no messages.
		until = o.next
		if i+1 < len(good) {
			until = o.segments[i+1].first
		}
		o.done.add(s.next, until)
	}
	return lost
}

const tempExt = ".tmp"

// repair sets the file of s aside and leaves its good records in a new file of the same name. A crash leaves the old
// file, or the new one, which classify then gives its name.
func (o *Outbox) repair(s *segment) {
	s.bad = true
	if s.end+o.bytes > o.opts.MaxBytes {
		return // it is set aside when its good records are done with
	}
	b, err := readFile(s.path, s.end)
	if err == nil {
		err = o.replace(s, b)
	}
	if err != nil {
		o.log.Warn("outbox can't set a damaged file aside now", "file", s.path, "err", err)
		return
	}
	o.resize(s, s.end)
	s.bad = false
}

// replace makes b the content of the file of s.
func (o *Outbox) replace(s *segment, b []byte) error {
	temp := s.path + tempExt
	if err := o.opts.fault("create", temp); err != nil {
		return err
	}
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	f.Close()
	if err == nil {
		err = o.setAside(s.path, s.size)
	}
	if err == nil {
		err = os.Rename(temp, s.path)
	}
	if err != nil {
		_ = os.Remove(temp) // or the next Open does
		return err
	}
	return syncDir(o.opts.Dir)
}
