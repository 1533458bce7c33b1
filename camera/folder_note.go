package camera

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// note takes in what lstat says of a candidate's name.
func (f *Folder) note(name string, st *unix.Stat_t, err error, now time.Duration, wrote bool) {
	var id identity
	if err == nil {
		id, err = fileOf(st)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entries[name]
	if e != nil {
		e.seen = f.scans
	}
	switch {
	case err != nil:
		if errors.Is(err, errNotRegular) {
			f.ignore(name, errNotRegular.Error())
		}
		if e != nil && e.pending() {
			f.forget(e)
		}
	case e == nil:
		f.add(name, id, now, wrote)
		if e = f.entries[name]; e != nil && stoodStill(st, f.opts.Settle) {
			e.movedIn = true
			f.wait(e, now)
		}
	case e.state == taken: // it is looked at again when it is given back
	case e.state == stuck:
		f.wait(e, now) // another file may have taken its place
	case wrote || !e.id.same(id, f.inodes):
		f.restart(e, id, now)
	case e.tries > 0:
		f.wait(e, now) // it may be readable now
	}
}

// stoodStill reports whether a file has been where it is for less time than its content is unchanged: it was moved here, or
// its modification time was set by somebody who had written all of it.
func stoodStill(st *unix.Stat_t, settle time.Duration) bool {
	return time.Unix(st.Ctim.Unix()).Sub(time.Unix(st.Mtim.Unix())) >= settle
}

// add makes an entry for a file that was not known, unless it was processed already. The caller holds mu.
func (f *Folder) add(name string, id identity, now time.Duration, wrote bool) {
	delete(f.ignored, name)
	var known bool
	if f.journal != nil {
		var sure bool
		known, sure = f.journal.has(name, id, f.inodes, f.volume, f.scans)
		if sure && !wrote {
			return // where times are coarse, what was written may be another picture with the same
		}
	}
	if len(f.entries) >= f.room {
		f.overfull = true
		return
	}
	e := &entry{name: name, seen: f.scans, known: known}
	f.entries[name] = e
	f.restart(e, id, now)
}

// restart has an entry settle anew, with the identity that it has now. The caller holds mu.
func (f *Folder) restart(e *entry, id identity, now time.Duration) {
	e.id, e.since, e.incomplete, e.movedIn, e.state = id, now, false, false, waiting
	f.wait(e, now+f.opts.Settle)
}

// wait has the loop look at an entry when it is due. The caller holds mu.
func (f *Folder) wait(e *entry, due time.Duration) {
	e.due = due
	e.put(&f.timers)
	if f.timers.first() == e {
		signal(f.kick)
	}
}

// forget drops an entry. The caller holds mu.
func (f *Folder) forget(e *entry) {
	e.put(nil)
	delete(f.entries, e.name)
	f.freed(e)
	if f.overfull && len(f.entries) <= f.room*3/4 {
		f.overfull = false
		f.scanAt = 0
		signal(f.kick)
	}
}

// ignore takes note of what has a picture's name and is left alone. The caller holds mu.
func (f *Folder) ignore(name, reason string) {
	if _, known := f.ignored[name]; !known {
		if len(f.ignored) >= maxIgnored {
			return
		}
		f.stats.Ignored++
		f.log.Debug("ignored", "file", printable(name), "reason", reason)
	}
	f.ignored[name] = f.scans
}

// leftAlone reports whether the options have a picture's name ignored, and takes note of it then.
func (f *Folder) leftAlone(name string) bool {
	if !f.patterns.file(name) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ignore(name, "as configured")
	return true
}
