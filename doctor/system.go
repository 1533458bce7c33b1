package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sightd/camera"
	"sightd/camera/v4l2"
	"sightd/camera/v4l2/csi"
)

// system is where the checks ask: this machine, or what a test has recorded of another.
type system struct {
	proc, sys string // where these file systems are mounted
	root      string // before the paths of other files of the system's
	now       func() time.Time
	adjtimex  func(*unix.Timex) (state int, err error)
	statfs    func(path string, buf *unix.Statfs_t) error
	access    func(path string, mode uint32) error // for the effective user
	polled    func(dir string) (system string, polled bool, err error)
	bind      func(listen string) error // as bindable
	video     func(device string) (v4l2.Device, error)
	lookup    func(ctx context.Context, host string) (addresses []string, err error)
	cameras   func(ctx context.Context) ([]csi.Camera, error) // of a Raspberry Pi
	getenv    func(name string) string
	run       func(ctx context.Context, program string, arguments ...string) (out, said string, err error) // as probe
}

func thisSystem() *system {
	return &system{
		proc: "/proc", sys: "/sys",
		now:      time.Now,
		adjtimex: unix.Adjtimex,
		statfs:   unix.Statfs,
		access: func(path string, mode uint32) error {
			return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
		},
		polled:  camera.Polled,
		bind:    bindable,
		video:   v4l2.Look,
		lookup:  net.DefaultResolver.LookupHost,
		cameras: csi.List,
		getenv:  os.Getenv,
		run:     probe,
	}
}

// maxFile bounds what is read of a file of the kernel's.
const maxFile = 1 << 20

// read returns the text of a file of the kernel's without the space around it.
func read(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // it is only read from
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return "", err
	}
	return string(bytes.TrimSpace(data)), nil
}

// number reads a file that holds one decimal number.
func number(path string) (int64, error) {
	text, err := read(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// process is a running one.
type process struct {
	pid int
	uid uint32
}

// processes lists those that /proc shows.
func (s *system) processes() []process {
	dirs, err := os.ReadDir(s.proc)
	if err != nil {
		return nil // there is nothing to tell then
	}
	var list []process
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(filepath.Join(s.proc, d.Name()), &st) == nil {
			list = append(list, process{pid, st.Uid})
		}
	}
	return list
}

// path of something of a process below /proc.
func (s *system) path(p process, name string) string {
	return filepath.Join(s.proc, strconv.Itoa(p.pid), name)
}

// links calls each for every open descriptor of a process, as far as this user may see them.
func (s *system) links(p process, each func(fd, target string)) {
	dir := s.path(p, "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // another user's, or it has ended
	}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			each(e.Name(), target)
		}
	}
}

// command is the name of a process's program, "" where /proc doesn't tell.
func (s *system) command(pid int) string {
	name, err := read(s.path(process{pid: pid}, "comm"))
	if err != nil {
		return ""
	}
	return name
}

// inotifyUse counts the inotify instances and watches of a user's processes, as far as they can be seen.
func (s *system) inotifyUse(uid uint32) (instances, watches int) {
	for _, p := range s.processes() {
		if p.uid != uid {
			continue
		}
		s.links(p, func(fd, target string) {
			if target != "anon_inode:inotify" && target != "inotify" {
				return
			}
			instances++
			f, err := os.Open(s.path(p, "fdinfo/"+fd))
			if err != nil {
				return // it was closed
			}
			defer f.Close() // it is only read from
			for lines := bufio.NewScanner(f); lines.Scan(); {
				if strings.HasPrefix(lines.Text(), "inotify wd:") {
					watches++
				}
			}
		})
	}
	return instances, watches
}

// listener finds the program that listens on a TCP port; 0: there is none, or this user may not see it.
func (s *system) listener(port uint16) (pid int) {
	sockets := map[string]bool{}
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		text, err := read(filepath.Join(s.proc, table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(text) {
			if inode, ok := listens(line, port); ok {
				sockets["socket:["+inode+"]"] = true
			}
		}
	}
	if len(sockets) == 0 {
		return 0
	}
	for _, p := range s.processes() {
		s.links(p, func(_, target string) {
			if sockets[target] {
				pid = p.pid
			}
		})
	}
	return pid
}

// listens reads a line of /proc/net/tcp: the inode of its socket, if that listens on the port.
func listens(line string, port uint16) (inode string, ok bool) {
	const local, state, node = 1, 3, 9
	fields := strings.Fields(line)
	if len(fields) <= node || fields[state] != "0A" {
		return "", false
	}
	_, hex, _ := strings.Cut(fields[local], ":")
	n, err := strconv.ParseUint(hex, 16, 16)
	return fields[node], err == nil && uint16(n) == port
}

// locked reports whether another process holds the lock of a file, and which; pid 0: it can't be told. The file is only opened
// for reading, and a lock that is free is held for a moment by nobody but readers: a sightd that starts takes it exclusively,
// and is refused only within that moment.
func (s *system) locked(path string) (held bool, pid int, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	defer f.Close() // which frees the lock
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		return false, 0, nil
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return false, 0, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return true, 0, nil // it is locked, by whom is a nicety
	}
	return true, s.lockHolder(st.Ino), nil
}

// lockHolder finds the process with a lock on an inode in /proc/locks; 0: it isn't there.
func (s *system) lockHolder(inode uint64) int {
	text, err := read(filepath.Join(s.proc, "locks"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(text) {
		if pid, ino, ok := lockLine(line); ok && ino == inode {
			return pid
		}
	}
	return 0
}

// lockLine reads a line of /proc/locks such as "1: FLOCK  ADVISORY  WRITE 812 fe:00:392901 0 EOF".
func lockLine(line string) (pid int, inode uint64, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[1] != "FLOCK" {
		return 0, 0, false
	}
	pid, err := strconv.Atoi(fields[4])
	if err != nil || pid <= 0 { // of another container
		return 0, 0, false
	}
	inode, err = strconv.ParseUint(fields[5][strings.LastIndex(fields[5], ":")+1:], 10, 64)
	return pid, inode, err == nil
}
