package auction

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sightd/inference"
)

const (
	stateVersion = 1
	stateBytes   = 8 << 20 // of a ledger's file
)

// state is what a Ledger's file holds, as JSON. The zero value is an empty one.
type state struct {
	Version int     `json:"version"`
	Entries []entry `json:"entries,omitempty"` // the oldest first, as in the other lists
	Marks   []mark  `json:"marks,omitempty"`
	InUse   *use    `json:"in_use,omitempty"`
	Deaths  []death `json:"deaths,omitempty"`
}

type entry struct {
	Key      Key       `json:"key"`
	At       time.Time `json:"at,omitzero"` // when it was measured; zero in files of before, see readState
	Receipts []Receipt `json:"receipts"`
}

// mark is a delegate that must not be used.
type mark struct {
	Key      Key                `json:"key"` // its marking
	Delegate inference.Delegate `json:"delegate"`
	Reason   string             `json:"reason"` // not ""
	At       time.Time          `json:"at"`
}

// expired reports whether the delegate may be used again. A board without a battery for its clock may start in the past: the mark holds.
func (m mark) expired(now time.Time) bool { return now.Sub(m.At) > MarkTime }

// use is a delegate that runs a model.
type use struct {
	Key      Key                `json:"key"` // its marking
	Delegate inference.Delegate `json:"delegate"`
	Boot     string             `json:"boot"`
}

// death is an end of sightd without Leave.
type death struct {
	use
	At time.Time `json:"at"` // of the next start
}

// readState reads a file, of which there may be none. What doesn't say when it was measured was so when the file was written, now at the latest.
func readState(path string, now time.Time) (state, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	defer f.Close() // was only read
	text, err := io.ReadAll(io.LimitReader(f, stateBytes+1))
	if err != nil {
		return state{}, err
	}
	s, err := parseState(text)
	if err != nil {
		return state{}, fmt.Errorf("read %s: %w", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		return state{}, err
	}
	written := info.ModTime()
	if written.After(now) {
		written = now
	}
	for i := range s.Entries {
		if e := &s.Entries[i]; e.At.IsZero() {
			e.At = written.UTC()
		}
	}
	return s, nil
}

// parseState reads the text of a file.
func parseState(text []byte) (state, error) {
	if len(text) > stateBytes {
		return state{}, fmt.Errorf("want at most %d bytes, have more", stateBytes)
	}
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return state{}, err
	}
	if version.Version != stateVersion {
		return state{}, fmt.Errorf("want version %d, have %d", stateVersion, version.Version)
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return state{}, err
	}
	return s, s.check()
}

// check says what sightd wouldn't have written.
func (s state) check() error {
	if len(s.Entries) > mostEntries || len(s.Marks) > mostMarks || len(s.Deaths) > mostMarks {
		return fmt.Errorf("want at most %d entries, %d marks and %d deaths, have %d, %d and %d",
			mostEntries, mostMarks, mostMarks, len(s.Entries), len(s.Marks), len(s.Deaths))
	}
	for _, e := range s.Entries {
		for i, r := range e.Receipts {
			if _, err := inference.ParseDelegate(string(r.Delegate)); err != nil || r.Delegate == inference.Auto {
				return fmt.Errorf("receipt of delegate %q, want one that can be used", r.Delegate)
			}
			if r.Passed && r.Absent {
				return fmt.Errorf("receipt of %s, which passed and wasn't tried", r.Candidate)
			}
			if r.Passed && !(r.MS > 0) || i > 0 && r.Passed && !e.Receipts[i-1].Passed {
				return fmt.Errorf("receipts that aren't ranked, at %s", r.Candidate)
			}
		}
	}
	for _, m := range s.Marks {
		if m.Reason == "" {
			return fmt.Errorf("mark of %s without a reason", m.Delegate)
		}
	}
	return nil
}

// save writes the state, without marks that have expired. The file is replaced as a whole: a power cut leaves the old one or the new one. The caller holds mu.
func (l *Ledger) save() error {
	l.state.Version = stateVersion
	now := l.now()
	l.state.Marks = slices.DeleteFunc(l.state.Marks, func(m mark) bool { return m.expired(now) })
	text, err := json.MarshalIndent(l.state, "", "  ")
	if err == nil {
		err = replaceFile(l.path, text)
	}
	if err != nil {
		return fmt.Errorf("save what was measured of delegates: %w", err)
	}
	return nil
}

func replaceFile(path string, text []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
