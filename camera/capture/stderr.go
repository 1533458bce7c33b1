package capture

import (
	"bufio"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	keptLines   = 8
	lineBytes   = 256  // of a line that is kept or logged
	lineBuffer  = 4096 // of a line that is looked at: its end is thrown away
	loggedLines = 20   // at most in each loggedTime
	loggedTime  = 10 * time.Second
)

// stderr reads a program's standard error: whatever it writes, it never has to wait, and little is kept.
type stderr struct {
	r       *os.File
	secrets secrets
	reason  func(line string) bool
	log     *slog.Logger

	mu    sync.Mutex
	lines []string // the last ones that may tell why it ended, at most keptLines
	why   string   // the first line that reason recognizes

	since      time.Time // drain alone uses the rest
	logged     int       // since then
	suppressed int
}

// drain reads to the end.
func (s *stderr) drain() {
	r := bufio.NewReaderSize(s.r, lineBuffer)
	for {
		line, err := r.ReadSlice('\n')
		cut := err == bufio.ErrBufferFull
		if len(line) > 0 {
			s.line(string(line), cut, time.Now())
		}
		for err == bufio.ErrBufferFull {
			_, err = r.ReadSlice('\n')
		}
		if err != nil {
			break // the end, or a deadline after that of the program
		}
	}
	s.logSuppressed()
}

// line takes a line. Programs that show their progress write it over and over: only what came after the last return counts.
func (s *stderr) line(line string, cut bool, now time.Time) {
	line = strings.TrimRight(s.secrets.clean(line, cut), "\r\n")
	line = printable(line[strings.LastIndexByte(line, '\r')+1:], lineBytes)
	if line == "" {
		return
	}
	s.keep(line)
	if now.Sub(s.since) >= loggedTime {
		s.logSuppressed()
		s.since, s.logged = now, 0
	}
	if s.logged == loggedLines {
		s.suppressed++
		return
	}
	s.logged++
	s.log.Debug("program says", "line", line)
}

// address is how FFmpeg says which of its objects a line is of.
var address = regexp.MustCompile(`^(\[[^\]]* @ 0x[0-9a-f]+\] *)+`)

// idle matches lines that tell nothing of a program's end: what libcamera says of its version, of tuning files and of other things that
// don't keep it from going on, and FFmpeg's advice on JPEG's range of colours.
var idle = regexp.MustCompile(`^\[[0-9:.]+\] +(\[[0-9]+\] +)?(DEBUG|INFO|WARN) |deprecated pixel format used`)

// keep keeps a line that may tell why the program ends.
func (s *stderr) keep(line string) {
	line = address.ReplaceAllLiteralString(line, "")
	if line == "" || idle.MatchString(line) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) == keptLines {
		copy(s.lines, s.lines[1:])
		s.lines = s.lines[:keptLines-1]
	}
	s.lines = append(s.lines, line)
	if s.why == "" && s.reason != nil && s.reason(line) {
		s.why = line
	}
}

func (s *stderr) logSuppressed() {
	if s.suppressed > 0 {
		s.log.Debug("program says more than is logged", "lines", s.suppressed)
		s.suppressed = 0
	}
}

// words are the line that tells why the program ended, or the last one that may; "" if there is none.
func (s *stderr) words() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != "" || len(s.lines) == 0 {
		return s.why
	}
	return s.lines[len(s.lines)-1]
}
