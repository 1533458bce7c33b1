package camera

import (
	"errors"

	"golang.org/x/sys/unix"
)

// FolderStats are counts since OpenFolder, and how the folder is.
type FolderStats struct {
	Seen    uint64 // pictures that were handed out, each time anew
	Done    uint64 // of them, those that ended in Item.Done
	Refused uint64 // of them, those that ended in Item.Refuse
	Ignored uint64 // entries with a picture's name that aren't regular files, or that FolderOptions.Ignore matches
	Errors  uint64 // files that couldn't be opened, read or put away, and scans that failed
	Pending int    // files that are known now and not finished

	RemovedFiles uint64 // for the quotas of done/ and failed/
	RemovedBytes uint64

	Polled  string // why the folder is read every second, or ""
	Missing bool   // the folder isn't there

	// Problem is what a person should do something about, in a few words such as "folder is gone"; "" if there is nothing.
	// Of several it is the gravest. It ends by itself when its cause does.
	Problem string
}

// trouble is a kind of problem, the gravest first.
type trouble uint8

const (
	troubleGone    trouble = iota // the folder isn't there
	troubleScan                   // a directory can't be read
	troubleStuck                  // processed pictures can't be put away
	troubleJournal                // processed pictures can't be remembered
	troubleUnread                 // pictures can't be read
	troubleWatch                  // inotify fails
	troubles       = int(iota)
)

// Stats returns the counts, and how the folder is now.
func (f *Folder) Stats() FolderStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	stats := f.stats
	stats.Pending = len(f.entries)
	stats.Missing = f.missing
	stats.Problem = f.problem()
	return stats
}

// problem is FolderStats.Problem. The caller holds mu.
func (f *Folder) problem() string {
	for _, text := range f.troubles {
		if text != "" {
			return text
		}
	}
	return ""
}

// tell has the caller hear of a change of the problem. The caller holds no lock.
func (f *Folder) tell() {
	f.mu.Lock()
	problem := f.problem()
	changed := problem != f.told
	f.told = problem
	f.mu.Unlock()
	if changed && f.opts.Changed != nil {
		f.opts.Changed()
	}
}

// setUnread counts the entries whose files can't be read, for the problem that they are. The caller holds mu.
func (f *Folder) setUnread(e *entry, err error) {
	switch unread := err != nil; {
	case unread && !e.unread:
		f.unread++
	case !unread && e.unread:
		f.unread--
	}
	if e.unread = err != nil; e.unread {
		f.troubles[troubleUnread] = "pictures can't be read: " + cause(err)
	} else if f.unread == 0 {
		f.troubles[troubleUnread] = ""
	}
}

// setStuck has an entry wait whose file can't be put away, for the problem that this is. The caller holds mu.
func (f *Folder) setStuck(e *entry, err error) {
	if e.state != stuck {
		e.state = stuck
		f.stuck++
		f.held += e.finish.held()
	}
	what := "pictures can't be moved to done/: "
	switch {
	case e.finish.refused:
		what = "pictures can't be moved to failed/: "
	case f.opts.After == AfterKeep:
		what = "results can't be written: "
	case f.opts.After == AfterDelete:
		what = "pictures can't be deleted: "
	}
	f.troubles[troubleStuck] = what + cause(err)
}

// freed counts out an entry that is forgotten. The caller holds mu.
func (f *Folder) freed(e *entry) {
	f.setUnread(e, nil)
	if e.state != stuck {
		return
	}
	f.held -= e.finish.held()
	if f.stuck--; f.stuck == 0 {
		f.troubles[troubleStuck] = ""
	}
	signal(f.wake) // a Next may have waited for results to be written
}

// held is how many bytes are kept in memory until the file is put away.
func (fin *finish) held() int {
	if fin.result == nil {
		return 0
	}
	return len(fin.result.text)
}

// cause is an error without the names of files: the same for all that fail for the same reason.
func cause(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return printable(err.Error())
}
