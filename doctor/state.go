package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sightd/daemon"
	"sightd/inference"
)

// model opens the model and has it reproduce its golden inputs, as sightd does when it starts, and holds the rules of decisions
// against its labels. Where a delegate with a driver is configured, XNNPACK is taken, and the delegate is tried apart.
func (e *examiner) model(ctx context.Context) []Finding {
	model, err := e.config.Engine()
	var engine *daemon.Engine
	if err == nil {
		plain := model
		if model.Options.Delegate.HasDriver() {
			plain.Options.Delegate = inference.XNNPACK
		}
		engine, err = daemon.OpenEngine(plain)
	}
	if err != nil {
		hint := "\"sightd model verify\" tells more; an empty model.path takes the built-in model"
		if instead(e.config) != "" {
			hint = "\"sightd model use -c FILE\" goes back to the configured model"
		}
		if errors.Is(err, fs.ErrPermission) {
			hint = asUser
		}
		return []Finding{{"model", Fail, err.Error(), hint}}
	}
	delegation := engine.Delegation()
	f := Finding{Name: "model", Status: OK, Detail: fmt.Sprintf("%s: %d classes, %s, %s, right on %s",
		engine.Name+instead(e.config), len(engine.Labels), delegation, count(engine.Threads(), "thread"), count(engine.Proven, "golden input"))}
	if delegation.Reason != "" {
		f.Status, f.Hint = Warn, "it works, but slower than it could"
	}
	if engine.Proven == 0 {
		f.Status = Warn
		f.Detail = engine.Name + ": no card beside it, so that nothing proves that this machine runs it right"
		f.Hint = "put the .json that sightd export wrote back beside the .tflite, or export again"
	}
	findings := append([]Finding{f}, e.rules(engine.Labels)...)
	if err := engine.Close(); err != nil {
		findings = append(findings, Finding{"model", Fail, err.Error(), "a driver's or a library's fault: set model.delegate to xnnpack if it was another"})
	}
	remembered, marked := e.remembered(model, engine.SHA256)
	if model.Options.Delegate.HasDriver() {
		findings = append(findings, e.delegate(ctx, model, marked)...)
	}
	return append(findings, remembered...)
}

// rules has a finding for each label that the rules name and the model hasn't. They are for live sources; without one they keep
// sightd replay alone from working.
func (e *examiner) rules(labels []string) []Finding {
	f := Finding{Name: "decide", Status: OK, Detail: "there is no live source to decide on"}
	if !e.config.NeedsLabels() {
		return []Finding{f}
	}
	status, hint := Fail, "correct it: sightd doesn't start so"
	if !slices.ContainsFunc(e.config.Sources, daemon.SourceConfig.Live) {
		status, hint = Warn, "correct it before there is a live source, or a sightd replay"
	}
	err := e.config.Decide.CheckLabels(labels)
	if err == nil {
		f.Detail = "the rules fit the model's labels"
		return []Finding{f}
	}
	var findings []Finding
	for line := range strings.Lines(err.Error()) {
		findings = append(findings, Finding{"decide", status, strings.TrimSpace(line), hint + "; \"sightd model info\" lists the labels of a model"})
	}
	return findings
}

// stateDir looks at the folder for what must survive a restart, and the room there.
func (e *examiner) stateDir(context.Context) []Finding {
	dir := e.config.StateDir
	f := Finding{Name: "state_dir", Status: OK, Detail: dir + " is there, and may be written"}
	existing, missing, err := e.usable(dir)
	switch {
	case err != nil:
		f.Status, f.Detail, f.Hint = Fail, err.Error(), hintFor(err, "state_dir")
		return []Finding{f}
	case missing:
		f.Detail = dir + " is missing: sightd makes it"
	}
	if name, err := e.foreign(dir); err != nil {
		f.Status, f.Detail = Fail, "can't read and write "+name+": "+err.Error()
		f.Hint = "it may be left by a sightd of another user: give it to the user that sightd runs as (chown); or " + asUser
	}
	findings := append([]Finding{f}, e.sandbox("state_dir", dir)...)
	findings = append(findings, e.stateSystem(dir, existing)...)
	want, what := int64(e.config.MQTT.Outbox.MaxMB)<<20, "the outbox may take %s (mqtt.outbox.max_mb)"
	if e.config.Snapshots.Enabled {
		want += int64(e.config.Snapshots.MaxMB) << 20
		what = "the outbox and the snapshots may take %s (mqtt.outbox.max_mb, snapshots.max_mb)"
	}
	return append(findings, e.space("state_dir disk", existing, want, what))
}

// outboxDir is where the outbox is, and lockFile what it keeps other processes out with.
func (e *examiner) outboxDir() string { return filepath.Join(e.config.StateDir, "outbox") }
func (e *examiner) lockFile() string  { return filepath.Join(e.outboxDir(), "lock") }

// outbox looks at what keeps events until the broker has them, and whether a sightd runs that has it open.
func (e *examiner) outbox(context.Context) []Finding {
	dir := e.outboxDir()
	f := Finding{Name: "outbox", Status: OK}
	_, missing, err := e.usable(dir)
	switch {
	case err != nil:
		f.Status, f.Detail = Fail, err.Error()+": events would be kept in memory alone"
		f.Hint = hintFor(err, "state_dir")
		return []Finding{f}
	case missing:
		f.Detail = "there is none yet: sightd makes it"
		return []Finding{f}
	}
	running, pid, err := e.locked(e.lockFile())
	if err != nil {
		return []Finding{{"outbox", Fail, err.Error(), asUser}}
	}
	if name, err := e.foreign(dir); err != nil {
		return []Finding{{"outbox", Fail, "can't read and write " + name + ": " + err.Error() + ": events would be kept in memory alone",
			"give it to the user that sightd runs as (chown); or " + asUser}}
	}
	files, bytes := held(dir)
	f.Detail = fmt.Sprintf("%s, %d KiB", count(files, "file"), bytes>>10)
	if running {
		f.Detail += ", in use by a running sightd" + process{pid: pid}.String()
	}
	return []Finding{f}
}

// running reports whether a sightd uses this state_dir. Where that can't be told it says no.
func (e *examiner) running() (yes bool, pid int) {
	yes, pid, err := e.locked(e.lockFile())
	return yes && err == nil, pid
}

// String is " (pid 812)", "" without a number.
func (p process) String() string {
	if p.pid == 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", p.pid)
}

// maxEntries bounds how many files of a folder are looked at.
const maxEntries = 10_000

// entries are the first of a folder; one that can't be read has none.
func entries(dir string) []fs.DirEntry {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close() // it is only read from
	list, err := d.ReadDir(maxEntries)
	if err != nil {
		return nil
	}
	return list
}

// foreign finds a file that sightd couldn't read and write, in a folder that is its own.
func (e *examiner) foreign(dir string) (name string, err error) {
	for _, entry := range entries(dir) {
		if !entry.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		if err := e.access(path, unix.R_OK|unix.W_OK); err != nil && !errors.Is(err, unix.ENOENT) {
			return path, err
		}
	}
	return "", nil
}

// held counts the files of a folder and their bytes, but for the lock.
func held(dir string) (files int, bytes int64) {
	for _, entry := range entries(dir) {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && entry.Name() != "lock" {
			files++
			bytes += info.Size()
		}
	}
	return files, bytes
}

// usable reports whether a folder may be read and written, or made where it is missing. existing is the folder, or the nearest
// one above it that is there.
func (s *system) usable(dir string) (existing string, missing bool, err error) {
	existing, err = nearest(dir)
	if err != nil {
		return "", false, err
	}
	missing = existing != filepath.Clean(dir)
	if err := s.access(existing, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		if missing {
			return existing, true, fmt.Errorf("%s is missing, and can't be made in %s: %w", dir, existing, err)
		}
		return existing, false, fmt.Errorf("can't read and write %s: %w", existing, err)
	}
	return existing, missing, nil
}

// nearest is the folder, or the next one above it that is there.
func nearest(dir string) (string, error) {
	dir = filepath.Clean(dir)
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && info.IsDir():
			return dir, nil
		case err == nil:
			return "", fmt.Errorf("%s: want a folder, have %s", dir, kind(info.Mode()))
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
		if link, err := os.Lstat(dir); err == nil {
			return "", fmt.Errorf("%s: want a folder, have %s that leads nowhere", dir, kind(link.Mode()))
		}
		if dir == filepath.Dir(dir) {
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}

// kind names what isn't a folder.
func kind(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "a file"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "a device, a FIFO or a socket"
}

// hintFor is advice on a folder that a key names.
func hintFor(err error, key string) string {
	switch {
	case errors.Is(err, unix.EROFS):
		return "the file system is read-only: mount it for writing (a damaged card is remounted so, see dmesg), or set " + key + " to another folder"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return "give the user that sightd runs as the right to (chown, chmod), or set " + key + " to another folder; " + asUser
	}
	return "set " + key + " to a folder that sightd may write"
}

const (
	littleSpace  = 50 << 20 // bytes, as the daemon's own health has it
	noSpace      = 1 << 20
	littleInodes = 1000
	noInodes     = 10
)

// space looks at the room of the file system that an existing folder lies on. want is what may be needed there, in bytes, and what
// says so with %s for that.
func (s *system) space(name, dir string, want int64, what string) Finding {
	var st unix.Statfs_t
	if err := s.statfs(dir, &st); err != nil {
		return Finding{name, Warn, fmt.Sprintf("ask for the room in %s: %v", dir, err), asUser}
	}
	free := int64(st.Bavail) * st.Bsize
	f := Finding{Name: name, Status: OK, Detail: mebibytes(free) + " free"}
	counted := st.Files > 0 // btrfs and others make inodes as they need them
	if counted {
		f.Detail += fmt.Sprintf(", and room for %d files", st.Ffree)
	}
	const clear = "remove what isn't needed; done/ and failed/ can be bounded with the sources' keys done and failed"
	switch {
	case free < noSpace || counted && st.Ffree < noInodes:
		f.Status, f.Hint = Fail, "the file system is full: "+clear
	case free < littleSpace || counted && st.Ffree < littleInodes:
		f.Status, f.Hint = Warn, "the file system is nearly full: "+clear
	case free < want:
		f.Status, f.Hint = Warn, fmt.Sprintf(what, mebibytes(want))+": make room, or lower that"
	}
	return f
}
