package auction

import (
	"bufio"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	lineBytes   = 200  // of a line that is kept or logged
	lineBuffer  = 4096 // of a line that is looked at: its end is thrown away
	loggedLines = 100  // of one trial
)

// fatal is how Go begins to tell that the process crashed in C, which has it end with a status instead of the signal, and what goes
// before that. What follows is of no use to people.
var fatal = regexp.MustCompile(`^(fatal error: |panic: |(SIG[A-Z]+): |\[signal (SIG[A-Z]+)[: ])`)

// stderr reads what a process prints: whatever that is, the process never has to wait, and little is kept.
type stderr struct {
	r   *os.File
	log *slog.Logger

	mu      sync.Mutex
	last    string         // line before the process crashed
	crashed bool           // Go has begun to tell of it
	signal  syscall.Signal // by which it did, 0 if none was named

	logged int // drain alone uses it
}

// drain reads to the end.
func (s *stderr) drain() {
	r := bufio.NewReaderSize(s.r, lineBuffer)
	for {
		line, err := r.ReadSlice('\n')
		if len(line) > 0 {
			s.line(string(line))
		}
		for err == bufio.ErrBufferFull {
			_, err = r.ReadSlice('\n')
		}
		if err != nil {
			break // the end, or a deadline after that of the process
		}
	}
	if s.logged > loggedLines {
		s.log.Debug("the trial printed more than is logged", "lines", s.logged-loggedLines)
	}
}

func (s *stderr) line(line string) {
	line = clean(strings.TrimSpace(line), lineBytes)
	if line == "" {
		return
	}
	if s.logged++; s.logged <= loggedLines {
		s.log.Debug("the trial prints", "line", line)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := fatal.FindStringSubmatch(line)
	switch {
	case m == nil && !s.crashed:
		s.last = line
	case m == nil:
	case m[2]+m[3] != "":
		if s.signal == 0 {
			s.signal = unix.SignalNum(m[2] + m[3])
		}
		s.crashed = true
	case !s.crashed && !strings.HasPrefix(line, "fatal error: unexpected signal"):
		s.last, s.crashed = line, true
	default:
		s.crashed = true
	}
}

// words are the signal by which Go says that the process crashed, 0 if it doesn't, and the last line before that.
func (s *stderr) words() (syscall.Signal, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signal, s.last
}
