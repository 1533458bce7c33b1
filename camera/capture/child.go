package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// linger is how long the output of a program that has ended is waited for where some other process still holds it.
	linger = time.Second
	// patience is how long a killed program may take to go away: one that hangs in a driver can't be killed.
	patience = 10 * time.Second
	// picturesFD is the descriptor that a program writes its pictures to where its standard output isn't clean.
	picturesFD = 3
)

// command is a program to start.
type command struct {
	name     string   // for messages
	argv     []string // program, which is looked up, and arguments
	separate bool     // pictures come on picturesFD, and standard output goes where standard error goes
	own      bool     // it is sightd itself, and gets the whole environment
	secrets  secrets
	reason   func(line string) bool // recognizes the line of standard error that tells why it ends; nil: the last one does
	log      *slog.Logger
}

// child is a program that runs in a process group of its own, with its output on a pipe. It is killed when sightd ends, however
// that happens.
type child struct {
	name   string
	out    *os.File // read end
	late   bool     // a deadline has passed since something was read; Read alone uses it
	stderr *stderr
	cmd    *exec.Cmd

	mu     sync.Mutex
	closed bool
	reaped bool // the number of the process may be another's from now on

	state  string        // how it ended; valid when done is closed
	ok     bool          // it ended by itself, with status 0
	killed bool          // it was ended by a signal, which it can't have said anything about
	done   chan struct{} // closed when the process is reaped and its standard error read
}

// start starts the program.
func (c command) start(ctx context.Context) (*child, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	path, err := lookPath(c.argv[0])
	if err != nil {
		return nil, err
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	defer childOut.Close() // the child has its own; nothing was written
	errs, childErr, err := os.Pipe()
	if err != nil {
		out.Close() // unused
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	defer childErr.Close() // as above

	cmd := exec.Command(path, c.argv[1:]...)
	cmd.Env = c.environment()
	cmd.Stdout, cmd.Stderr = childOut, childErr
	if c.separate {
		cmd.Stdout, cmd.ExtraFiles = childErr, []*os.File{childOut}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &child{name: c.name, out: out, cmd: cmd, done: make(chan struct{}),
		stderr: &stderr{r: errs, secrets: c.secrets, reason: c.reason, log: c.log.With("program", c.name)}}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		out.Close()  // unused
		errs.Close() // unused
		return nil, fmt.Errorf("start %s: %s", c.name, c.secrets.clean(err.Error(), false))
	}
	return p, nil
}

// environment is what the child finds in its own: messages in English, and none of sightd's settings.
func (c command) environment() []string {
	if c.own {
		return nil // all
	}
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "SIGHTD_") && !strings.HasPrefix(entry, "LC_ALL=") {
			env = append(env, entry)
		}
	}
	return append(env, "LC_ALL=C.UTF-8")
}

// run starts the program, waits for its end and reaps it. The kernel kills the child when the thread that has started it
// ends: this one does nothing else meanwhile.
func (p *child) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		p.stderr.drain()
	}()
	started <- nil

	for {
		// Its number stays its own, and that of its group, until it is reaped.
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break // another error: Wait below tells the same
		}
	}
	p.mu.Lock()
	p.killGroup()
	err := p.cmd.Wait()
	p.reaped = true
	p.mu.Unlock()

	deadline := time.Now().Add(linger)
	p.out.SetReadDeadline(deadline)      // fails if it is closed, which ends a Read as well
	p.stderr.r.SetReadDeadline(deadline) // is open
	<-drained
	p.stderr.r.Close() // was only read
	p.state, p.killed = ending(err)
	p.ok = err == nil
	close(p.done)
}

// killGroup kills the program and its descendants, but for those that have left its group. The caller holds mu.
func (p *child) killGroup() {
	if !p.reaped {
		unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) // fails where none is left
	}
}

// ending says how a process ended, and whether that was by a signal.
func ending(err error) (state string, killed bool) {
	var exit *exec.ExitError
	if err == nil {
		return "ended with status 0", false
	}
	if !errors.As(err, &exit) {
		return "ended: " + err.Error(), false
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return fmt.Sprintf("was ended by signal %d (%s)", int(status.Signal()), status.Signal()), true
	}
	return fmt.Sprintf("ended with status %d", exit.ExitCode()), false
}

// Read reads the program's output. It ends with io.EOF when the program has ended, even if another process holds the pipe.
func (p *child) Read(b []byte) (int, error) {
	for {
		n, err := p.out.Read(b)
		switch {
		case n > 0:
			p.late = false
			return n, err
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		case p.late:
			return 0, io.EOF
		}
		// The program has ended. There may be output that nobody has asked for yet.
		p.late = true
		if err := p.out.SetReadDeadline(time.Now().Add(linger)); err != nil {
			return 0, err
		}
	}
}

func (p *child) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// close kills the program with its descendants and waits until all is gone.
func (p *child) close(patience time.Duration) error {
	p.mu.Lock()
	p.closed = true
	p.killGroup()
	p.mu.Unlock()
	p.out.Close() // ends a Read; a second close fails, and does nothing
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("%s (process %d) was killed %v ago and is still there: it hangs in a driver", p.name, p.cmd.Process.Pid, patience)
	}
}

// childStream is a Stream of a program's pictures.
type childStream struct {
	child *child
	next  func(*Shot) error // reads one picture from the child; io.EOF in front of the first byte of one, io.ErrUnexpectedEOF behind it
	ends  bool              // a recording, which may end
	seq   uint64
	err   error // of the Read that failed
}

// Read implements Stream.
func (s *childStream) Read(shot *Shot) error {
	if s.child.isClosed() {
		return fmt.Errorf("read pictures from %s: %w", s.child.name, fs.ErrClosed)
	}
	if s.err != nil {
		return s.err
	}
	err := s.next(shot)
	if err == nil {
		s.seq++
		shot.Seq = s.seq
		return nil
	}
	s.err = s.explain(err)
	return s.err
}

// Close implements Stream.
func (s *childStream) Close() error { return s.child.close(patience) }

// explain makes an error for people of one of next.
func (s *childStream) explain(err error) error {
	name := s.child.name
	if s.child.isClosed() {
		return fmt.Errorf("read pictures from %s: %w", name, fs.ErrClosed)
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		if words := s.child.stderr.words(); words != "" {
			return fmt.Errorf("read pictures from %s: %w; it says: %s", name, err, words)
		}
		return fmt.Errorf("read pictures from %s: %w", name, err)
	}
	timer := time.NewTimer(2 * linger)
	defer timer.Stop()
	select {
	case <-s.child.done:
	case <-timer.C:
		return fmt.Errorf("%s has closed its output, but runs on", name)
	}
	if s.child.isClosed() {
		return fmt.Errorf("read pictures from %s: %w", name, fs.ErrClosed)
	}
	if s.ends && s.child.ok && err == io.EOF {
		return io.EOF
	}
	state := s.child.state
	if errors.Is(err, io.ErrUnexpectedEOF) {
		state += " amid a picture"
	}
	if words := s.child.stderr.words(); words != "" && !s.child.killed {
		return fmt.Errorf("%s %s: %s", name, state, words)
	}
	return fmt.Errorf("%s %s", name, state)
}
