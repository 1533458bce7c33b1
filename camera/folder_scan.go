package camera

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// step does what is due at now, and returns when it is to be called again at the latest. The loop is its only caller.
func (f *Folder) step(now time.Duration) time.Duration {
	f.works.begin(f, f.clock.mono())
	defer f.works.end(f)
	defer f.tell()
	f.mu.Lock()
	scan := now >= f.scanAt
	f.mu.Unlock()
	if scan {
		f.scan(now)
	}
	for e := f.takeDue(now); e != nil; e = f.takeDue(now) {
		f.works.begin(f, f.clock.mono())
		if e.finish != nil {
			// It was logged when it failed first; from then on it is only tried again.
			_ = f.carryOut(e)
		} else {
			f.look(e, now)
		}
	}
	var unsaved bool
	var failing string
	if f.journal != nil {
		unsaved, failing = f.journal.save(now)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.troubles[troubleJournal] = failing
	next := f.scanAt
	if unsaved {
		next = min(next, now+saveInterval)
	}
	if e := f.timers.first(); e != nil {
		next = min(next, e.due)
	}
	return next
}

// takeDue takes the next entry that is due out of the timers. Its state stays, so that nobody else touches it.
func (f *Folder) takeDue(now time.Duration) *entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.timers.first()
	if e == nil || e.due > now {
		return nil
	}
	e.put(nil)
	return e
}

// look decides about a waiting entry: it is gone, has changed, has to settle or to become whole yet, or is ready.
func (f *Folder) look(e *entry, now time.Duration) {
	st, err := lstat(f.join(e.name))
	id := identityOf(&st)
	if err == nil {
		id, err = fileOf(&st)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.entries[e.name] != e {
		return // it was forgotten meanwhile
	}
	quiet := now - e.since
	switch {
	case errors.Is(err, errNotRegular):
		f.forget(e)
		f.ignore(e.name, errNotRegular.Error())
	case err != nil:
		f.forget(e) // it is gone; and where it can't be reached, the next scan finds it again
	case !e.id.same(id, f.inodes):
		f.restart(e, id, now)
	case quiet < f.opts.Settle && !e.movedIn:
		f.wait(e, e.since+f.opts.Settle)
	case e.incomplete && quiet < f.opts.Grace:
		f.wait(e, min(e.since+f.opts.Grace, now+pollInterval))
	default:
		e.state = settled
		e.put(&f.ready)
		signal(f.wake)
	}
}

// touch looks at a name again: something was made, written (then wrote is set), changed or removed there.
func (f *Folder) touch(name string, now time.Duration, wrote bool) {
	if PictureName(name) {
		if f.leftAlone(name) {
			return
		}
		if wrote && f.stillWriting(name, now) {
			return
		}
		st, err := lstat(f.join(name))
		f.note(name, &st, err, now, wrote)
		return
	}
	if !wrote || !f.descends(name) {
		return
	}
	if st, err := lstat(f.join(name)); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return
	}
	if found := f.scanTree(name, now); found.polled != "" || !found.complete {
		f.rescan(now + f.opts.Settle)
	}
}

// stillWriting is the short way of touch for an entry that waits anyway.
func (f *Folder) stillWriting(name string, now time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entries[name]
	if e == nil || e.state != waiting {
		return false
	}
	f.restart(e, e.id, now)
	return true
}

// rescan has the folder scanned at the given time, if not earlier.
func (f *Folder) rescan(at time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scanAt = min(f.scanAt, at)
}

// scan reads the whole folder: it finds files that no event told of, and drops entries whose files are gone.
func (f *Folder) scan(now time.Duration) {
	started := f.clock.mono()
	f.mu.Lock()
	f.scans++
	f.scanAt = now + pollInterval
	f.mu.Unlock()
	if !f.present() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sweep()
		return
	}
	f.dirs = map[string]bool{}
	found := f.scanTree("", now)

	f.mu.Lock()
	defer f.mu.Unlock()
	interval := rescanInterval
	if f.sayPolled(found.polled); found.polled != "" {
		interval = pollInterval
	}
	f.inodes = found.inodes
	f.troubles[troubleScan], f.troubles[troubleWatch] = found.unread, found.unwatched
	if found.complete {
		f.sweep()
	}
	if found.complete && f.journal != nil {
		f.journal.forget(f.scans, f.volume)
	}
	if f.scanAt != 0 { // else forget asks for another one
		f.scanAt = now + max(interval, 20*(f.clock.mono()-started)) // a huge folder isn't read all the time
	}
}

// sweep drops the pending entries that the last scan has not seen. The caller holds mu.
func (f *Folder) sweep() {
	for _, e := range f.entries {
		if e.pending() && e.seen != f.scans {
			f.forget(e)
		}
	}
	for name, seen := range f.ignored {
		if seen != f.scans {
			delete(f.ignored, name)
		}
	}
}

// findings are what a scan says of the directories that it read.
type findings struct {
	complete bool   // all could be read
	polled   string // why they have to be polled, or ""

	unwatched string // polled, for want of watches
	unread    string // which directory can't be read, and why

	inodes bool // inode numbers tell files apart in all of them
}

// scanTree reads the directory top, "" for the folder, and those below it where the folder is recursive. Each is watched
// before it is read, so that no file falls between.
func (f *Folder) scanTree(top string, now time.Duration) findings {
	found := findings{complete: true, inodes: true}
	if f.opts.Poll == PollOn {
		found.polled = "as configured"
	}
	for stack := []string{top}; len(stack) > 0; {
		dir := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if f.opts.Poll != PollOn {
			if err := f.addWatch(f.join(dir)); err != nil && !errors.Is(err, unix.ENOENT) {
				found.polled = watchProblem(err)
				found.unwatched = found.polled + ": polling"
			}
		}
		f.dirs[dir] = true
		below, err := f.scanDir(dir, now, &found)
		if err == nil {
			delete(f.said, "read "+dir)
			stack = append(stack, below...)
			continue
		}
		if dir == "" || !gone(err) {
			found.complete = false
			f.readProblem(dir, err)
			found.unread = "can't read directory " + printable(f.join(dir)) + ": " + cause(err)
		}
	}
	return found
}

// scanDir takes in the files of one directory, and returns the directories in it that are to be read too.
func (f *Folder) scanDir(rel string, now time.Duration, found *findings) (below []string, err error) {
	dir, err := f.openDir(rel, false)
	if err != nil {
		return nil, err
	}
	defer dir.Close() // it is only read from
	system := fileSystemOf(dir)
	found.inodes = found.inodes && system.inodes
	if system.polled && f.opts.Poll == PollAuto {
		found.polled = system.name + " doesn't report what others change"
	}
	for {
		list, err := dir.ReadDir(1024)
		for _, d := range list {
			f.works.begin(f, f.clock.mono()) // a large folder takes its time
			if name := path.Join(rel, d.Name()); d.IsDir() && f.descends(name) {
				below = append(below, name)
			} else if PictureName(d.Name()) && !f.leftAlone(name) && !f.known(name, d.Type()) {
				st, err := lstat(f.join(name))
				f.note(name, &st, err, now, false)
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

// descends reports whether a directory of the given name belongs to the folder, because that is recursive.
func (f *Folder) descends(name string) bool {
	if !f.opts.Recursive || PictureName(name) || path.Base(name)[0] == '.' || name == doneDir || name == failedDir {
		return false
	}
	if f.patterns.directory(name) {
		return false
	}
	if strings.Count(name, "/") >= maxDepth {
		if !f.said["depth"] {
			f.said["depth"] = true
			f.log.Warn("directories too deep: not read", "directory", printable(name), "levels", maxDepth)
		}
		return false
	}
	return true
}

// known reports whether a name that a scan came upon needs no closer look.
func (f *Folder) known(name string, mode fs.FileMode) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.entries[name]; e != nil && mode.IsRegular() {
		e.seen = f.scans
		if e.known {
			f.journal.has(name, e.id, f.inodes, f.volume, f.scans) // it isn't forgotten before it was compared
		}
		return true
	}
	if _, ok := f.ignored[name]; ok && !mode.IsRegular() {
		f.ignored[name] = f.scans
		return true
	}
	return false
}
