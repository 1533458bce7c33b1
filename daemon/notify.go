package daemon

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Notify is where systemd hears how a service of Type=notify fares: sd_notify(3).
type Notify struct {
	Socket   string        // a path, or a name of the abstract namespace behind @
	Watchdog time.Duration // within which systemd wants to hear again that all goes on; 0: it doesn't
}

// TakeNotify takes what systemd says of its socket and its watchdog out of the environment: the processes that sightd starts are not to
// inherit it. nil: there is no such socket. It is called once, before anything is started.
func TakeNotify() (*Notify, error) {
	take := func(name string) string {
		value := os.Getenv(name)
		os.Unsetenv(name) // it fails for names alone that there can't be
		return value
	}
	n := &Notify{Socket: take("NOTIFY_SOCKET")}
	period, pid := take("WATCHDOG_USEC"), take("WATCHDOG_PID")
	if n.Socket == "" {
		return nil, nil
	}
	if period == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) { // it is meant for another process
		return n, nil
	}
	usec, err := strconv.ParseInt(period, 10, 64)
	if err != nil || usec <= 0 || usec > int64(24*time.Hour/time.Microsecond) {
		return nil, fmt.Errorf("read WATCHDOG_USEC: want microseconds, at most those of a day, have %q", period)
	}
	n.Watchdog = time.Duration(usec) * time.Microsecond
	return n, nil
}

// sendTime bounds how long a word to systemd waits for room in its socket.
const sendTime = time.Second

// send sends one datagram. It keeps no socket open: systemd may have another by the next time.
func (n *Notify) send(text string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.Socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer conn.Close() // what was written has arrived
	if err = conn.SetWriteDeadline(time.Now().Add(sendTime)); err == nil {
		_, err = conn.Write([]byte(text))
	}
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}

const (
	// statusEach is how often the status is told at most.
	statusEach = 5 * time.Second

	// watchdogFeeds is how often within its period the watchdog is fed at most. A step may take one of watchdogSteps parts of the period:
	// systemd's signal comes a period after the last feed.
	watchdogFeeds = 6
	watchdogSteps = 2

	// startTime is what systemd is asked to allow for one thing at the start: a delegate's trial, or its opening.
	startTime = 2 * time.Minute
)

// service tells systemd how the daemon fares. The methods of a nil *service do nothing.
type service struct {
	log      *slog.Logger
	watchdog time.Duration // 0: there is none
	progress *progress     // nil without a watchdog
	out      func(text string) error

	mu     sync.Mutex // held while something is sent, so that all comes in order
	ready  bool
	over   bool      // it stops
	failed bool      // something could not be sent, which was logged
	fed    time.Time // when the watchdog was
	stuck  string    // why it isn't
	status string    // that was told last
	told   time.Time // when that was
}

// newService begins to tell n. nil: nobody listens.
func newService(n *Notify, log *slog.Logger, now func() time.Time) *service {
	if n == nil {
		return nil
	}
	s := &service{log: log, watchdog: n.Watchdog, out: n.send}
	if n.Watchdog > 0 {
		s.progress = newProgress(now, n.Watchdog/watchdogSteps)
	}
	return s
}

// track is progress.track.
func (s *service) track(name string) *track {
	if s == nil {
		return nil
	}
	return s.progress.track(name)
}

// begin is progress.begin.
func (s *service) begin(name string) *track {
	if s == nil {
		return nil
	}
	return s.progress.begin(name)
}

// send sends assignments. The caller holds mu. An error is told once: who starts sightd without a systemd that listens has no use for more.
func (s *service) send(assignments ...string) {
	if err := s.out(strings.Join(assignments, "\n")); err != nil && !s.failed {
		s.failed = true
		s.log.Warn("systemd can't be told how sightd fares", "err", err)
	}
}

// starting says what the start is at, which may take so long from now on.
func (s *service) starting(what string, atMost time.Duration) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready && !s.over {
		s.send("EXTEND_TIMEOUT_USEC="+strconv.FormatInt(atMost.Microseconds(), 10), "STATUS="+oneLine(what, maxStatus))
	}
}

// started says that all is up, for the first time or after reloading.
func (s *service) started() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready = true; !s.over {
		s.send("READY=1")
	}
}

// reloading says that configuration and model are read again, until started is called.
func (s *service) reloading() {
	if s == nil {
		return
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		s.log.Warn("systemd isn't told of a reload", "err", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready && !s.over {
		s.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Nano()/1000, 10))
	}
}

// stopping says that all ends. Nothing is said after it, and only its first call counts.
func (s *service) stopping() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		s.send("STOPPING=1", "STATUS=stopping")
	}
}

// look feeds the watchdog unless something is stuck, and tells the status. Daemon.lookAfter alone calls it, at the end of each of its
// rounds: while that is stuck nobody feeds.
func (s *service) look(d *Daemon, now time.Time) {
	if s == nil {
		return
	}
	var stuck string
	if s.progress != nil {
		stuck = d.stuck(s.progress, now)
	}
	s.feed(stuck, now)
	s.tell(stuck, now, d.status)
}

// feed feeds the watchdog when it is time, unless something is stuck. Besides look whoever has done a step calls it where nobody looks:
// while the flow stands still.
func (s *service) feed(stuck string, now time.Time) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch before := s.stuck; {
	case stuck != "" && before == "":
		s.log.Error("something is stuck: systemd's watchdog isn't fed until it goes on", "why", stuck)
	case stuck == "" && before != "":
		s.log.Info("what was stuck goes on", "was", before)
	}
	if s.stuck = stuck; stuck != "" || s.watchdog == 0 || s.over {
		return
	}
	if now.Sub(s.fed) >= s.watchdog/watchdogFeeds-lookAfterEach/2 { // a look may come a bit early
		s.fed = now
		s.send("WATCHDOG=1")
	}
}

// tell tells the status, what is stuck first, when it is time and it has changed.
func (s *service) tell(stuck string, now time.Time, status func(now time.Time) string) {
	s.mu.Lock()
	due := !s.over && now.Sub(s.told) >= statusEach
	s.mu.Unlock()
	if !due {
		return
	}
	text := status(now) // without the lock: it takes others
	if stuck != "" {
		text = "stuck: " + stuck + "; " + text
	}
	text = oneLine(text, maxStatus)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told = now; text != s.status && !s.over {
		s.status = text
		s.send("STATUS=" + text)
	}
}
