package auction

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// linger is how long the output of a process that has ended is waited for where some other process still holds it.
	linger = time.Second
	// patience is how long a killed process may take to go away: one that hangs in a driver can't be killed.
	patience = 10 * time.Second
)

// process is a trial in a process group of its own. It is killed when this process ends, however that happens.
type process struct {
	cmd    *exec.Cmd
	spec   *os.File // write end
	answer *os.File // read end
	stderr *stderr

	mu     sync.Mutex
	reaped bool // the number of the process may be another's from now on

	state error         // of cmd.Wait; valid when done is closed
	done  chan struct{} // closed when the process is reaped and its output read
}

// start starts the program, and writes spec to its standard input.
func start(argv, env []string, spec []byte, log *slog.Logger) (*process, error) {
	if len(argv) == 0 {
		return nil, errors.New("no program")
	}
	var ends []*os.File // reading and writing, of specification, answer and words
	closeAll := func(files []*os.File) {
		for _, f := range files {
			f.Close() // nothing was written, or all of it
		}
	}
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(ends)
			return nil, err
		}
		ends = append(ends, r, w)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = env
	cmd.Stdin, cmd.ExtraFiles = ends[0], []*os.File{ends[3]}
	cmd.Stdout, cmd.Stderr = ends[5], ends[5]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, spec: ends[1], answer: ends[2], stderr: &stderr{r: ends[4], log: log}, done: make(chan struct{})}
	started := make(chan error)
	go p.run(started, spec)
	err := <-started
	closeAll([]*os.File{ends[0], ends[3], ends[5]}) // the process has its own
	if err != nil {
		closeAll([]*os.File{ends[1], ends[2], ends[4]})
		return nil, err
	}
	return p, nil
}

// run starts the program, waits for its end and reaps it. The kernel kills the process when the thread that has started it ends: this
// one does nothing else meanwhile.
func (p *process) run(started chan<- error, spec []byte) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	var pipes sync.WaitGroup
	pipes.Go(p.stderr.drain)
	pipes.Go(func() {
		p.spec.Write(spec) // fails where nobody reads it: the answer tells
		p.spec.Close()     // as above
	})
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
	p.state = p.cmd.Wait()
	p.reaped = true
	p.mu.Unlock()

	deadline := time.Now().Add(linger)
	p.answer.SetReadDeadline(deadline) // fails if it is closed, which ends a Read as well
	p.stderr.r.SetReadDeadline(deadline)
	p.spec.SetWriteDeadline(deadline) // as above
	pipes.Wait()
	p.stderr.r.Close() // was only read
	close(p.done)
}

// killGroup kills the process and its descendants, but for those that have left its group. The caller holds mu.
func (p *process) killGroup() {
	if !p.reaped {
		unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) // fails where none is left
	}
}

// kill ends the process with its descendants and waits until all is gone. Afterwards nobody reads the answer any more.
func (p *process) kill() error {
	p.mu.Lock()
	p.killGroup()
	p.mu.Unlock()
	defer p.answer.Close() // was only read
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("hung: process %d was killed %v ago and is still there: it hangs in a driver", p.cmd.Process.Pid, patience)
	}
}

// ending says how a process ended that done is closed of.
func (p *process) ending() string {
	crash, words := p.stderr.words()
	var exit *exec.ExitError
	text := "ended with status 0, without an answer"
	switch {
	case errors.As(p.state, &exit):
		text = fmt.Sprintf("ended with status %d", exit.ExitCode())
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			crash = status.Signal()
		}
	case p.state != nil:
		text = "ended: " + p.state.Error()
	}
	switch crash {
	case 0:
	case unix.SIGKILL:
		text = "killed by another: perhaps the memory ran out"
	default:
		text = "crashed: " + crash.String()
	}
	if words != "" {
		text += ": " + words
	}
	return text
}
