package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"sightd/camera"
	"sightd/daemon"
)

// source looks at a watched folder: whether it may be read, and its pictures be put away; how it is watched; the room there.
func (e *examiner) source(i int) []Finding {
	c := e.config.Sources[i]
	name := "source " + c.Name
	f := Finding{Name: name, Status: OK, Detail: c.Path + " is there, and may be read and written"}
	existing, missing, err := e.usable(c.Path)
	if err != nil {
		f.Status, f.Detail, f.Hint = Fail, err.Error(), hintFor(err, fmt.Sprintf("sources[%d].path", i))
		return []Finding{f}
	}
	if missing {
		f.Detail = c.Path + " is missing: sightd makes it"
	} else if trouble := e.folderTrouble(c); trouble != nil {
		f = *trouble
		f.Name = name
	}
	findings := []Finding{f}
	if overlap := e.overlap(i); overlap != "" {
		findings = append(findings, Finding{name, Fail, overlap, "give each source, and state_dir, a folder of its own"})
	}
	findings = append(findings, e.sandbox(name, c.Path)...)
	return append(findings, e.watch(name+" watch", existing, c), e.space(name+" disk", existing, 0, ""))
}

// folderTrouble looks into a folder that is there.
func (e *examiner) folderTrouble(c daemon.SourceConfig) *Finding {
	if err := readable(c.Path); err != nil {
		return &Finding{Status: Fail, Detail: "read the folder: " + err.Error(), Hint: "look at the disk, or at the server that it is mounted from"}
	}
	for _, below := range []string{"done", "failed"} {
		path := filepath.Join(c.Path, below)
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || below == "done" && c.After != "move" {
			continue // it is made when something is put there
		}
		switch {
		case err != nil:
			return &Finding{Status: Fail, Detail: err.Error(), Hint: asUser}
		case !info.IsDir():
			return &Finding{Status: Fail, Detail: fmt.Sprintf("%s: want a folder, have %s: pictures can't be put away", path, kind(info.Mode())),
				Hint: "move it out of the way; sightd makes the folder, and follows no symbolic links there"}
		}
		if err := e.access(path, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
			return &Finding{Status: Fail, Detail: fmt.Sprintf("can't read and write %s: %v: pictures can't be put away", path, err), Hint: hintFor(err, "path")}
		}
	}
	return stickyTrouble(c.Path)
}

// stickyTrouble warns of a folder in which nobody may move what others put there, as /tmp is one.
func stickyTrouble(path string) *Finding {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || st.Mode&unix.S_ISVTX == 0 || int(st.Uid) == os.Geteuid() || os.Geteuid() == 0 {
		return nil
	}
	return &Finding{Status: Warn, Detail: path + " has the sticky bit: pictures that other users put there can't be moved or deleted",
		Hint: "chmod -t " + path + ", or watch a folder of your own"}
}

// readable reads the beginning of a folder.
func readable(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close() // it is only read from
	if _, err := dir.Readdirnames(1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// overlap says which other folder is the same, once symbolic links are followed. What is so by name Parse refuses already.
func (e *examiner) overlap(i int) string {
	mine := real(e.config.Sources[i].Path)
	state := real(e.config.StateDir)
	switch {
	case mine == state:
		return "it is state_dir, through a symbolic link: sightd would take its own files for pictures"
	case within(mine, state):
		return "it lies in state_dir, which is for sightd's own files"
	case e.config.Sources[i].Recursive && within(state, mine):
		return "state_dir lies in it: sightd would watch its own files"
	}
	for _, other := range e.config.Sources[:i] {
		switch theirs := real(other.Path); {
		case other.Live(): // it only reads
		case mine == theirs:
			return "it is the folder of source " + other.Name + ", through a symbolic link: both would take the same pictures"
		case within(mine, theirs), within(theirs, mine):
			return "one of it and the folder of source " + other.Name + " lies in the other, through a symbolic link"
		}
	}
	return ""
}

// real is the absolute path without symbolic links; of what is missing, as far as it is there.
func real(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	rest := ""
	for {
		if found, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Join(found, rest)
		}
		if path == filepath.Dir(path) {
			return filepath.Join(path, rest)
		}
		path, rest = filepath.Dir(path), filepath.Join(filepath.Base(path), rest)
	}
}

func within(path, folder string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}

// watch says how the folder will be watched, which lies on the file system of dir.
func (e *examiner) watch(name, dir string, c daemon.SourceConfig) Finding {
	system, remote, err := e.polled(dir)
	if err != nil {
		return Finding{name, Warn, err.Error(), "look at the file system that the folder lies on (findmnt -T " + dir + ")"}
	}
	switch {
	case c.Poll == string(camera.PollOn):
		return Finding{name, OK, "polled every second, as configured", ""}
	case remote && c.Poll == string(camera.PollOff):
		return Finding{name, Warn, system + " doesn't report what others change, and poll is off: new pictures are found every 30 s", "set poll to auto"}
	case remote:
		return Finding{name, OK, "polled every second: " + system + " doesn't report what others change", ""}
	}
	return Finding{name, OK, "watched by inotify", ""}
}

// watches reports whether a source is watched by inotify.
func (e *examiner) watches(c daemon.SourceConfig) bool {
	if c.Poll == string(camera.PollOn) {
		return false
	}
	dir, err := nearest(c.Path)
	if err != nil {
		return false
	}
	_, remote, err := e.polled(dir)
	return err == nil && (!remote || c.Poll == string(camera.PollOff))
}

// inotify compares what the kernel allows this user with what the folders need and others have taken.
func (e *examiner) inotify(ctx context.Context) []Finding {
	needInstances, needWatches := 0, 0
	folders := 0
	for _, c := range e.config.Sources {
		if c.Live() {
			continue
		}
		folders++
		if e.watches(c) {
			needInstances++
			needWatches += directories(ctx, c)
		}
	}
	f := Finding{Name: "inotify", Status: OK}
	switch {
	case folders == 0:
		f.Detail = "not needed: no folder is watched"
		return []Finding{f}
	case needInstances == 0:
		f.Detail = "not needed: all folders are polled"
		return []Finding{f}
	}
	maxInstances, errInstances := number(filepath.Join(e.proc, "sys/fs/inotify/max_user_instances"))
	maxWatches, errWatches := number(filepath.Join(e.proc, "sys/fs/inotify/max_user_watches"))
	if err := errors.Join(errInstances, errWatches); err != nil {
		f.Status, f.Detail, f.Hint = Warn, err.Error(), procHint
		return []Finding{f}
	}
	instances, watches := e.inotifyUse(uint32(os.Geteuid()))
	f.Detail = fmt.Sprintf("%d of %d instances and %d of %d watches are needed; this user has %d and %d in use",
		needInstances, maxInstances, needWatches, maxWatches, instances, watches)
	if yes, _ := e.running(); yes {
		f.Detail += ", those of the running sightd among them"
		instances, watches = max(0, instances-needInstances), max(0, watches-needWatches)
	}
	var raise []string
	if int64(instances+needInstances) > maxInstances {
		raise = append(raise, fmt.Sprintf("fs.inotify.max_user_instances=%d", 2*(instances+needInstances)))
	}
	if int64(watches+needWatches) > maxWatches {
		raise = append(raise, fmt.Sprintf("fs.inotify.max_user_watches=%d", 2*(watches+needWatches)))
	}
	if len(raise) > 0 {
		f.Status = Warn
		f.Detail += ": too few are left, folders would be polled every second"
		f.Hint = "sudo sysctl " + strings.Join(raise, " ") + ", and the same in a file below /etc/sysctl.d to keep it"
	}
	return []Finding{f}
}

// maxDirectories bounds the counting.
const maxDirectories = 1 << 20

// directories counts those that are watched for a source, as far as that is done by the end of ctx; those that its patterns
// leave out are counted too.
func directories(ctx context.Context, c daemon.SourceConfig) int {
	if !c.Recursive {
		return 1
	}
	n := 0
	err := filepath.WalkDir(c.Path, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil || n >= maxDirectories:
			return filepath.SkipAll
		case err != nil || !d.IsDir():
			return nil // what can't be read is the source's own finding
		case path != c.Path && (strings.HasPrefix(d.Name(), ".") || path == filepath.Join(c.Path, "done") || path == filepath.Join(c.Path, "failed")):
			return filepath.SkipDir
		}
		n++
		return nil
	})
	if err != nil {
		return max(n, 1) // the function above returns none
	}
	return max(n, 1)
}
