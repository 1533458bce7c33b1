package camera

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// run is the loop: it hears the events and calls step when something is due.
func (f *Folder) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var events chan fsnotify.Event // nil, which blocks, where nothing is watched
		if f.watcher != nil {
			events = f.watcher.Events
		}
		select {
		case event, ok := <-events:
			if ok {
				f.event(event, f.clock.mono())
			}
		case err := <-f.watchErr:
			f.watchFailed(err, f.clock.mono())
		case <-timer.C:
		case <-f.kick:
		case <-f.closing:
			return
		}
		next := f.step(f.clock.mono())
		timer.Reset(next - f.clock.mono())
	}
}

// event takes in what happened to one name. fsnotify has no event for a file that a writer closes: all that an event does
// is to have the file looked at, or the folder read.
func (f *Folder) event(event fsnotify.Event, now time.Duration) {
	f.works.begin(f, now)
	defer f.works.end(f)
	name, below := strings.CutPrefix(event.Name, f.path+"/")
	removed := event.Has(fsnotify.Remove | fsnotify.Rename)
	switch {
	case !below:
		if removed {
			f.rescan(now) // the folder itself
		}
	case removed && f.dirs[name]:
		// fsnotify ends the watch of a directory that is renamed, also where it was added under its new name before.
		f.rescan(now + f.opts.Settle)
	default:
		f.touch(name, now, event.Has(fsnotify.Create|fsnotify.Write))
	}
}

// watchFailed has the folder read after events were lost.
func (f *Folder) watchFailed(err error, now time.Duration) {
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		f.log.Debug("more changes than events were kept for: reading the folder")
	} else {
		f.log.Warn("watch failed: reading the folder", "error", err)
	}
	f.rescan(now + f.opts.Settle)
}

// inotify watches a directory. A directory that is watched already, in the same place, stays watched.
func (f *Folder) inotify(dir string) error {
	if f.watcher == nil {
		watcher, err := fsnotify.NewWatcher()
		if err != nil {
			return err
		}
		// fsnotify v1.10.1 may send an error while it holds the lock that Add takes: the loop, which calls Add, must not
		// be the one that receives it. Each error leads to a scan, so that of a burst one is enough.
		errs := make(chan error, 1)
		f.drains.Go(func() {
			for err := range watcher.Errors {
				select {
				case errs <- err:
				default:
				}
			}
		})
		f.watcher, f.watchErr = watcher, errs
	}
	return f.watcher.Add(dir)
}

// unwatch ends all watches.
func (f *Folder) unwatch() error {
	if f.watcher == nil {
		return nil
	}
	err := f.watcher.Close()
	f.watcher, f.watchErr = nil, nil
	return err
}

// watchProblem says why a directory can't be watched, and what helps.
func watchProblem(err error) string {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return "all inotify watches are in use: raise fs.inotify.max_user_watches"
	case errors.Is(err, unix.EMFILE):
		return "all inotify instances or descriptors are in use: raise fs.inotify.max_user_instances"
	}
	return "it can't be watched: " + err.Error()
}

// sayPolled logs the reason for polling when it changes; "" stands for none. The caller holds mu.
func (f *Folder) sayPolled(reason string) {
	const key = "polled "
	if f.said[key+reason] {
		return
	}
	for said := range f.said {
		if strings.HasPrefix(said, key) {
			delete(f.said, said)
		}
	}
	f.said[key+reason] = true
	f.stats.Polled = reason
	if reason != "" {
		f.log.Info("folder is polled", "path", f.path, "every", pollInterval, "reason", reason)
	}
}

// readProblem counts a directory that can't be read, and logs it once.
func (f *Folder) readProblem(dir string, err error) {
	f.mu.Lock()
	f.stats.Errors++
	f.mu.Unlock()
	if key := "read " + dir; !f.said[key] && len(f.said) < maxIgnored {
		f.said[key] = true
		f.log.Warn("directory can't be read: trying again", "directory", printable(f.join(dir)), "error", err)
	}
}

// present looks whether the folder is there, and is the one that it was. Watches belong to a directory, not to its name,
// so that they begin anew with another one.
func (f *Folder) present() bool {
	var st unix.Stat_t
	err := retry(func() error { return unix.Stat(f.path, &st) })
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	was := f.root
	f.root = identity{dev: st.Dev, ino: st.Ino} // zero where it is gone
	switch {
	case err != nil:
		if f.setMissing(true) {
			f.log.Warn("folder is gone: waiting for it", "path", f.path, "error", err)
			f.dropWatches()
		}
		return false
	case f.setMissing(false):
		f.log.Info("folder is back", "path", f.path)
	case was != identity{} && was != f.root:
		f.log.Info("folder was replaced: taking up the new one", "path", f.path)
		f.dropWatches()
	}
	if was != f.root {
		volume := volumeOf(f.path, st.Ino) // without mu: a file system may hang
		f.mu.Lock()
		f.volume = volume
		f.mu.Unlock()
	}
	return true
}

// setMissing reports whether it is news that the folder is not there, or that it is.
func (f *Folder) setMissing(missing bool) (news bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	news = f.missing != missing
	f.missing, f.troubles[troubleGone] = missing, ""
	if missing {
		f.troubles[troubleGone] = "folder is gone"
		if news {
			f.stats.Errors++
		}
	}
	return news
}

func (f *Folder) dropWatches() {
	if err := f.unwatch(); err != nil {
		f.log.Debug("end watches", "error", err)
	}
}

// volumeOf names the directory across restarts, better than device numbers do: by its file system's id.
func volumeOf(path string, ino uint64) uint64 {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(path, &st) }); err != nil {
		return 0
	}
	h := fnv.New64a()
	fmt.Fprint(h, st.Fsid.Val, ino)
	return h.Sum64()
}

// fileSystem is what matters here of a kind of file system.
type fileSystem struct {
	name   string
	polled bool // changes made elsewhere, or below it, don't reach inotify
	inodes bool // inode numbers stay while a file is there, also through a rename
}

var fileSystems = map[uint32]fileSystem{
	unix.NFS_SUPER_MAGIC:       {"NFS", true, true},
	unix.SMB_SUPER_MAGIC:       {"SMB", true, false},
	unix.SMB2_SUPER_MAGIC:      {"SMB", true, false},
	unix.CIFS_SUPER_MAGIC:      {"SMB", true, false},
	unix.FUSE_SUPER_MAGIC:      {"FUSE", true, false},
	unix.V9FS_MAGIC:            {"9p", true, false},
	unix.OVERLAYFS_SUPER_MAGIC: {"overlay", true, false},
	unix.CEPH_SUPER_MAGIC:      {"Ceph", true, true},
	unix.AFS_SUPER_MAGIC:       {"AFS", true, true},
	unix.AFS_FS_MAGIC:          {"AFS", true, true},
	unix.CODA_SUPER_MAGIC:      {"Coda", true, false},
	unix.OCFS2_SUPER_MAGIC:     {"OCFS2", true, true},
	0x0bd00bd0:                 {"Lustre", true, true},
	0x01161970:                 {"GFS2", true, true},
	0x786f4256:                 {"vboxsf", true, false},
	unix.MSDOS_SUPER_MAGIC:     {"FAT", false, false},
	unix.EXFAT_SUPER_MAGIC:     {"exFAT", false, false},
}

// fileSystemOf tells the kind of file system that file lies on; one that isn't listed is local and keeps its inodes.
func fileSystemOf(file *os.File) fileSystem {
	var st unix.Statfs_t
	err := retry(func() error { return unix.Fstatfs(int(file.Fd()), &st) })
	if system, ok := fileSystems[uint32(st.Type)]; ok && err == nil {
		return system
	}
	return fileSystem{inodes: true}
}
