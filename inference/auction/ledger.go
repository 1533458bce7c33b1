package auction

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"sightd/inference"
)

const (
	mostEntries = 16 // in a ledger
	mostMarks   = 64
	mostDeaths  = 3         // of a delegate within deathTime in one boot: the last of them marks it
	deathTime   = time.Hour // see above

	retryTime = 24 * time.Hour // until a delegate that failed when it was tried is worth another trial
)

// MarkTime is for how long a mark holds.
const MarkTime = 7 * 24 * time.Hour

// Key is what a measurement depends on.
type Key struct {
	Model     string `json:"model"` // sha256 of its file
	Libraries string `json:"libraries"`
	Board     string `json:"board"`
	Kernel    string `json:"kernel"`
	Requested string `json:"requested"`
	Threads   int    `json:"threads"` // that were asked for
	Cores     int    `json:"cores"`
}

// marking is the part of a Key that a mark depends on.
func (k Key) marking() Key {
	k.Requested, k.Threads, k.Cores = "", 0, 0
	return k
}

// Ledger keeps receipts and marks of bad delegates in a file: see OpenLedger. It is safe for concurrent use by one process. What changes
// is written at once; an error says that it wasn't, and the Ledger knows it nevertheless.
type Ledger struct {
	path string
	now  func() time.Time

	mu    sync.Mutex
	state state
}

// OpenLedger reads the file at path. What can't be read is forgotten, and warning says why: "" where all is well, or there is no file.
// now is time.Now.
func OpenLedger(path string, now func() time.Time) (l *Ledger, warning string) {
	l = &Ledger{path: path, now: now}
	s, err := readState(path, now())
	if err != nil {
		return l, fmt.Sprintf("what was measured of delegates before is forgotten: %v", err)
	}
	l.state = s
	return l, ""
}

// Receipts gives what was kept for the key, as it was ranked; nil if nothing was. The slice is the caller's.
func (l *Ledger) Receipts(k Key) []Receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.state.Entries {
		if e.Key == k {
			return slices.Clone(e.Receipts)
		}
	}
	return nil
}

// Stale reports whether what was kept for the key is to be measured anew at this start, since what kept a delegate away may be over, such
// as a device that wasn't plugged in: one that was tried a day ago, or the one that is requested, whenever that was, and didn't pass. What
// is Absent still is, or the key is another. Where the clock was set back by more than a day that counts as a day, too.
func (l *Ledger) Stale(k Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.state.Entries {
		if e.Key == k {
			return e.stale(l.now())
		}
	}
	return false
}

func (e entry) stale(now time.Time) bool {
	old := now.Sub(e.At).Abs() > retryTime
	var failed, passed bool // of the requested one, with any number of threads; no receipt is that of auto
	for _, r := range e.Receipts {
		if r.Absent {
			continue
		}
		if !r.Passed && old {
			return true
		}
		if string(r.Delegate) == e.Key.Requested {
			failed, passed = failed || !r.Passed, passed || r.Passed
		}
	}
	return failed && !passed
}

// Keep keeps ranked receipts for the key, as measured now. Those that were kept first go when there are too many.
func (l *Ledger) Keep(k Key, receipts []Receipt) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.Entries = slices.DeleteFunc(l.state.Entries, func(e entry) bool { return e.Key == k })
	l.state.Entries = last(append(l.state.Entries, entry{k, l.now().UTC(), slices.Clone(receipts)}), mostEntries)
	return l.save()
}

// Mark marks a delegate as bad for the key's model, libraries, board and kernel, whatever was requested. A mark holds for a week.
func (l *Ledger) Mark(k Key, d inference.Delegate, reason string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mark(k, d, reason)
	return l.save()
}

func (l *Ledger) mark(k Key, d inference.Delegate, reason string) {
	m := mark{k.marking(), d, clean(reason, wordsBytes), l.now().UTC()}
	if m.Reason == "" {
		m.Reason = "it failed"
	}
	l.state.Marks = slices.DeleteFunc(l.state.Marks, func(o mark) bool { return o.Key == m.Key && o.Delegate == d })
	l.state.Marks = last(append(l.state.Marks, m), mostMarks)
}

// Marked says why and since when a delegate is marked as bad: "" if it isn't.
func (l *Ledger) Marked(k Key, d inference.Delegate) (reason string, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.state.Marks {
		if m.Key == k.marking() && m.Delegate == d && !m.expired(l.now()) {
			return m.Reason, m.At
		}
	}
	return "", time.Time{}
}

// Enter notes that the delegate is about to run the model, until Leave. One of TensorFlow Lite's own is as good as none: that is Leave.
// boot is BootID.
func (l *Ledger) Enter(k Key, d inference.Delegate, boot string) error {
	if !d.HasDriver() {
		return l.Leave()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u := use{k.marking(), d, boot}
	if l.state.InUse != nil && *l.state.InUse == u {
		return nil
	}
	l.state.InUse = &u
	return l.save()
}

// Leave notes that the delegate isn't used any more, or that the process ends as it should.
func (l *Ledger) Leave() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.InUse == nil {
		return nil
	}
	l.state.InUse = nil
	return l.save()
}

// Died is called once at the start, before Enter. Where the process before has ended without Leave, and not by a power cut, which the
// other boot tells, it counts that, and marks the delegate at the third time within an hour. It gives the delegate that was in use then,
// "" if none was, and why it is marked now, "" if it isn't.
func (l *Ledger) Died(boot string) (d inference.Delegate, marked string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.state.InUse
	if u == nil {
		return "", "", nil
	}
	l.state.InUse = nil
	if boot == "" || u.Boot != boot {
		l.state.Deaths = nil
		return "", "", l.save()
	}
	now := l.now().UTC()
	l.state.Deaths = slices.DeleteFunc(l.state.Deaths, func(o death) bool {
		return o.Boot != boot || now.Sub(o.At).Abs() > deathTime // before, or the clock was set
	})
	l.state.Deaths = append(l.state.Deaths, death{*u, now})
	same := func(o death) bool { return o.use == *u }
	count := 0
	for _, o := range l.state.Deaths {
		if same(o) {
			count++
		}
	}
	if count >= mostDeaths {
		marked = fmt.Sprintf("sightd died %d times within an hour while %s ran the model", count, u.Delegate)
		l.mark(u.Key, u.Delegate, marked)
		l.state.Deaths = slices.DeleteFunc(l.state.Deaths, same)
	}
	l.state.Deaths = last(l.state.Deaths, mostMarks)
	return u.Delegate, marked, l.save()
}

// last are the last elements, at most n.
func last[T any](all []T, n int) []T { return slices.Delete(all, 0, max(0, len(all)-n)) }
