package doctor

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Lines as the kernel writes them.
const (
	tcpHead   = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	tcpListen = "   0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 23456 1 0000000000000000 100 0 0 10 0\n"
	tcpTalk   = "   1: 0100007F:075B 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 34567 1 0000000000000000 20 4 30 10 -1\n"
	tcp6      = "   0: 00000000000000000000000000000000:22B3 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000   115        0 45678 1 0000000000000000 100 0 0 10 0\n"
	locks     = "1: POSIX  ADVISORY  WRITE 601 b3:02:7713 0 EOF\n2: FLOCK  ADVISORY  WRITE 812 b3:02:7714 0 EOF\n2: -> FLOCK  ADVISORY  READ 813 b3:02:7714 0 EOF\n3: FLOCK  ADVISORY  WRITE 0 00:2f:99 0 EOF\n"
)

func TestListener(t *testing.T) {
	s := recorded(t, map[string]string{
		"proc/net/tcp": tcpHead + tcpTalk + tcpListen, "proc/net/tcp6": tcpHead + tcp6,
		"proc/812/fd/3": "-> socket:[23456]", "proc/812/comm": "mosquitto\n",
		"proc/813/fd/3": "-> socket:[34567]", "proc/814/fd/0": "-> /dev/null", "proc/814/fd/7": "-> socket:[45678]",
	})
	for port, pid := range map[uint16]int{1883: 812, 8883: 814, 50000: 0, 0: 0} {
		if got := s.listener(port); got != pid {
			t.Errorf("port %d: got process %d, want %d", port, got, pid)
		}
	}
	if got := s.command(812); got != "mosquitto" {
		t.Errorf("got program %q, want mosquitto", got)
	}
	if got := s.command(9); got != "" {
		t.Errorf("a process that isn't there has the name %q", got)
	}
	if got := recorded(t, nil).listener(1883); got != 0 {
		t.Errorf("without tables: got process %d, want none", got)
	}
	ln := listening(t)
	if got := thisSystem().listener(ln.Addr().(*net.TCPAddr).AddrPort().Port()); got != os.Getpid() {
		t.Errorf("this process listens: got %d, want %d", got, os.Getpid())
	}
}

func TestLockHolder(t *testing.T) {
	s := recorded(t, map[string]string{"proc/locks": locks})
	for inode, pid := range map[uint64]int{7713: 0, 7714: 812, 99: 0, 1: 0} {
		if got := s.lockHolder(inode); got != pid {
			t.Errorf("inode %d: got process %d, want %d", inode, got, pid)
		}
	}
	if got := recorded(t, nil).lockHolder(7714); got != 0 {
		t.Errorf("without a table: got process %d, want none", got)
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	s := thisSystem()
	free := func(when string) {
		t.Helper()
		if held, _, err := s.locked(path); held || err != nil {
			t.Errorf("%s: got %v, %v, want it free", when, held, err)
		}
	}
	free("no file")
	write(t, path, "")
	free("a file")
	free("a file, again: the first look has left no lock")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	held, pid, err := s.locked(path)
	if !held || err != nil || pid != os.Getpid() && pid != 0 { // 0: a /proc that hides locks
		t.Errorf("a locked file: got %v, process %d, %v, want this process, %d", held, pid, err, os.Getpid())
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	free("after its process has let go")
}

func TestInotifyUse(t *testing.T) {
	s := recorded(t, map[string]string{
		"proc/812/fd/4": "-> anon_inode:inotify", "proc/812/fdinfo/4": "pos:\t0\nflags:\t02004000\ninotify wd:2 ino:a1 sdev:b3\ninotify wd:1 ino:a0 sdev:b3\n",
		"proc/812/fd/5": "-> anon_inode:[eventpoll]", "proc/812/fdinfo/5": "inotify wd:1\n",
		"proc/813/fd/9": "-> anon_inode:inotify",
		"proc/self/x":   "",
	})
	if instances, watches := s.inotifyUse(uint32(os.Geteuid())); instances != 2 || watches != 2 {
		t.Errorf("got %d instances, %d watches, want 2, 2", instances, watches)
	}
	if instances, watches := s.inotifyUse(uint32(os.Geteuid()) + 1); instances != 0 || watches != 0 {
		t.Errorf("another user: got %d instances, %d watches, want none", instances, watches)
	}
	s.proc = "/none"
	if instances, watches := s.inotifyUse(0); instances != 0 || watches != 0 {
		t.Errorf("without /proc: got %d instances, %d watches, want none", instances, watches)
	}
}

func TestReadBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large")
	write(t, path, strings.Repeat("x", maxFile+10))
	if text, err := read(path); err != nil || len(text) != maxFile {
		t.Errorf("got %d bytes, %v, want %d", len(text), err, maxFile)
	}
}

func FuzzListens(f *testing.F) {
	for _, line := range []string{tcpHead, tcpListen, tcpTalk, tcp6, "", "0A 0A 0A 0A"} {
		f.Add(line, uint16(1883))
	}
	f.Fuzz(func(t *testing.T, line string, port uint16) {
		if inode, ok := listens(line, port); ok && !strings.Contains(line, inode) {
			t.Errorf("%q has no %q", line, inode)
		}
	})
}

func FuzzLockLine(f *testing.F) {
	for line := range strings.Lines(locks) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if pid, inode, ok := lockLine(line); ok && pid <= 0 {
			t.Errorf("%q: process %d, inode %d", line, pid, inode)
		}
	})
}
