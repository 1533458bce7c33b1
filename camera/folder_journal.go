package camera

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	saveInterval = time.Second // between writes to disk of what was remembered
	maxUnsaved   = 4 << 20     // bytes that are kept while the file can't be written
	maxLine      = 32 << 10    // bytes of a line: a path of 4096 bytes, each escaped as \x00
)

const journalHead = "# size, modification time, inode, volume, SHA-256 (of the first 64 MiB) and name of each picture that was" +
	" processed and kept; version 2\n"

// journal remembers across restarts which files of a folder were processed and kept, in a text file that grows by a line
// a file. In memory it holds 85 bytes or so a file, not the names. Lines of files that are gone are dropped now and then.
// A line that can't be read is skipped; a disk that is full costs memory only, up to maxUnsaved. Of several lines about the
// same name, size and time the last one counts. Version 1 had no SHA-256; its lines are read, and stay as they are.
type journal struct {
	path string
	log  *slog.Logger

	mu       sync.Mutex
	kept     map[journalKey]journalValue
	lines    int    // in the file, or about to be
	unsaved  []byte // not written yet
	unsynced bool   // written, but not yet to disk
	failing  error  // of the last write, which was logged
	saveAt   time.Duration
}

// record is one line of the journal.
type record struct {
	size   int64
	mtime  unix.Timespec
	ino    uint64
	volume uint64
	sum    contentSum // zero: not known
	name   string     // relative to the folder
}

// journalKey is the start of SHA-256 over name, size and modification time.
type journalKey [16]byte

type journalValue struct {
	ino    uint64
	volume uint64   // where the file was; only there it can be missed
	sum    shortSum // zero: not known
	scan   uint32   // that saw it last
}

// shortSum is the start of a contentSum.
type shortSum [16]byte

func (r record) value() journalValue {
	return journalValue{ino: r.ino, volume: r.volume, sum: shortSum(r.sum[:])}
}

func (r record) key() (key journalKey) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d.%09d %s", r.size, r.mtime.Sec, r.mtime.Nsec, r.name))
	copy(key[:], sum[:])
	return key
}

func (r record) appendLine(b []byte) []byte {
	b = fmt.Appendf(b, "%d %d.%09d %d %016x ", r.size, r.mtime.Sec, r.mtime.Nsec, r.ino, r.volume)
	if r.sum != (contentSum{}) {
		b = fmt.Appendf(b, "%x ", r.sum)
	}
	return append(strconv.AppendQuote(b, r.name), '\n')
}

// parseRecord reads a line, without its line end. One of version 1 has no SHA-256.
func parseRecord(line []byte) (r record, err error) {
	fields := bytes.SplitN(line, []byte(" "), 5)
	if len(fields) != 5 {
		return r, fmt.Errorf("read line: want 5 fields, have %d", len(fields))
	}
	number := func(i, base int, signed bool) (n uint64) {
		if err != nil {
			return 0
		}
		if signed {
			var s int64
			s, err = strconv.ParseInt(string(fields[i]), base, 64)
			return uint64(s)
		}
		n, err = strconv.ParseUint(string(fields[i]), base, 64)
		return n
	}
	sec, nsec, ok := bytes.Cut(fields[1], []byte("."))
	if !ok || len(nsec) != 9 {
		return r, fmt.Errorf("read line: time %q: want seconds.nanoseconds", fields[1])
	}
	r.size = int64(number(0, 10, true))
	r.ino = number(2, 10, false)
	r.volume = number(3, 16, false)
	name := fields[4]
	if digits, rest, ok := bytes.Cut(name, []byte(" ")); ok && name[0] != '"' {
		if sum, err := hex.DecodeString(string(digits)); err != nil || len(sum) != len(r.sum) {
			return r, fmt.Errorf("read line: SHA-256 %q: want %d hexadecimal digits", digits, 2*len(r.sum))
		} else {
			r.sum = contentSum(sum)
		}
		name = rest
	}
	fields[0], fields[1] = sec, nsec
	r.mtime = unix.Timespec{Sec: int64(number(0, 10, true)), Nsec: int64(number(1, 10, false))}
	if err != nil {
		return r, fmt.Errorf("read line: %w", err)
	}
	if len(name) < 3 || name[0] != '"' {
		return r, fmt.Errorf("read line: name %q: want it quoted", name)
	}
	if r.name, err = strconv.Unquote(string(name)); err != nil {
		return r, fmt.Errorf("read line: name %q: %w", name, err)
	}
	return r, nil
}

// readRecords calls each for every line that can be read, and returns how many can't be, and whether the last one is
// complete.
func readRecords(r io.Reader, each func(record)) (bad int, complete bool, err error) {
	br := bufio.NewReaderSize(r, maxLine)
	complete, tooLong := true, false
	for {
		line, err := br.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 && !tooLong {
			return bad, complete, nil
		}
		complete = err == nil
		more := errors.Is(err, bufio.ErrBufferFull)
		if err != nil && err != io.EOF && !more {
			return bad, complete, err
		}
		if more || tooLong {
			if !more {
				bad++
			}
			tooLong = more
			continue
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if rec, err := parseRecord(line); err != nil {
			bad++
		} else {
			each(rec)
		}
	}
}

// openJournal reads what was remembered for a source. A file that can't be read at all is an error: going on without it
// would process everything again.
func openJournal(dir, source string, log *slog.Logger) (*journal, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	j := &journal{
		path: filepath.Join(dir, "folder-"+source+".processed"),
		log:  log,
		kept: map[journalKey]journalValue{},
	}
	file, err := os.Open(j.path)
	if errors.Is(err, os.ErrNotExist) {
		j.unsaved = []byte(journalHead)
		return j, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close() // it is only read from
	bad, complete, err := readRecords(file, func(r record) {
		j.kept[r.key()] = r.value()
		j.lines++
	})
	if err != nil {
		return nil, err
	}
	if bad > 0 {
		log.Warn("lines about processed pictures are damaged: skipped", "file", j.path, "lines", bad)
	}
	if !complete {
		j.unsaved = []byte("\n") // a write was cut short
	}
	return j, nil
}

// has reports whether a file like this was processed, and notes that the scan saw it. It is sure if the file is where it
// was: with the same inode number, if these tell files apart here, on the same volume. Else its content has to be compared.
func (j *journal) has(name string, id identity, inodes bool, volume uint64, scan uint32) (known, sure bool) {
	key := record{name: name, size: id.size, mtime: id.mtime}.key()
	j.mu.Lock()
	defer j.mu.Unlock()
	value, known := j.kept[key]
	inPlace := !inodes || value.ino == id.ino
	switch {
	case !known:
		return false, false
	case value.sum != shortSum{}:
		sure = inPlace && value.volume == volume
	case inPlace:
		sure = true // there is nothing to compare
	default:
		return false, false
	}
	value.scan = scan
	j.kept[key] = value
	return true, sure
}

// same reports whether a file of that content was processed.
func (j *journal) same(name string, id identity, content contentSum) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	value, ok := j.kept[record{name: name, size: id.size, mtime: id.mtime}.key()]
	return ok && value.sum == shortSum(content[:])
}

// add remembers a file. It is remembered in memory also where writing fails, and written when that works again.
func (j *journal) add(name string, id identity, content contentSum, volume uint64, scan uint32) error {
	r := record{name: name, size: id.size, mtime: id.mtime, ino: id.ino, volume: volume, sum: content}
	value := r.value()
	value.scan = scan
	j.mu.Lock()
	defer j.mu.Unlock()
	j.kept[r.key()] = value
	if len(j.unsaved) < maxUnsaved {
		j.unsaved = r.appendLine(j.unsaved)
		j.lines++
	}
	return j.write()
}

// write appends what is unsaved. The caller holds mu.
func (j *journal) write() error {
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	n, err := file.Write(j.unsaved)
	j.unsynced = j.unsynced || n > 0
	j.unsaved = j.unsaved[n:] // the rest goes on where the file ends
	if len(j.unsaved) == 0 {
		j.unsaved = nil
	}
	return errors.Join(err, file.Close())
}

// save writes to disk what wasn't yet, once a saveInterval, and reports whether there is more to save later, and the
// problem if that fails.
func (j *journal) save(now time.Duration) (more bool, problem string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	more = len(j.unsaved) > 0 || j.unsynced
	if more && now >= j.saveAt {
		j.saveAt = now + saveInterval
		err := j.flush()
		switch {
		case err != nil && j.failing == nil:
			j.log.Warn("processed pictures can't be remembered: trying again", "file", j.path, "error", err)
		case err == nil && j.failing != nil:
			j.log.Info("processed pictures are remembered again", "file", j.path)
		}
		j.failing, more = err, err != nil
	}
	if j.failing != nil {
		problem = "processed pictures can't be remembered: " + cause(j.failing)
	}
	return more, problem
}

// sync is save without waiting.
func (j *journal) sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.flush()
}

// flush writes to disk. The caller holds mu.
func (j *journal) flush() error {
	if len(j.unsaved) == 0 && !j.unsynced {
		return nil
	}
	if len(j.unsaved) > 0 {
		if err := j.write(); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(j.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	j.unsynced = false
	return nil
}

// forget drops files that were on the volume and that the scan, which read all of it, has not seen. Files of another one
// stay: it may be a disk that is away. The file is written anew when most of its lines are of no use.
func (j *journal) forget(scan uint32, volume uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for key, value := range j.kept {
		if value.volume == volume && value.scan != scan {
			delete(j.kept, key)
		}
	}
	if j.lines <= 2*len(j.kept)+1000 {
		return
	}
	if err := j.compact(); err != nil {
		j.log.Warn("write processed pictures anew", "file", j.path, "error", err)
	}
	// Not at every scan, if it fails.
	j.lines = len(j.kept)
}

// compact replaces the file by one with the lines of the files that are kept. The caller holds mu.
func (j *journal) compact() error {
	if err := j.flush(); err != nil {
		return err
	}
	old, err := os.Open(j.path)
	if err != nil {
		return err
	}
	defer old.Close() // it is only read from
	replacement, err := os.Create(j.path + ".new")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(replacement)
	// The writer keeps its first error for Flush.
	_, _ = w.WriteString(journalHead)
	written := make(map[journalKey]bool, len(j.kept))
	_, _, err = readRecords(old, func(r record) {
		key := r.key()
		value, ok := j.kept[key]
		value.scan = 0
		if ok && value == r.value() && !written[key] {
			written[key] = true
			_, _ = w.Write(r.appendLine(nil)) // as above
		}
	})
	err = errors.Join(err, w.Flush(), replacement.Sync(), replacement.Close())
	if err == nil {
		err = os.Rename(j.path+".new", j.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(j.path+".new"))
	}
	return nil
}
