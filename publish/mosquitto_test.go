package publish

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// mosquitto is a real broker in a process of its own.
type mosquitto struct {
	config string
	addr   string

	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

// output keeps what a process says.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// newMosquitto runs a mosquitto until the test's end that knows the user cam with the password right.
func newMosquitto(t *testing.T) *mosquitto {
	t.Helper()
	for _, name := range []string{"mosquitto", "mosquitto_passwd"} {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed (package mosquitto)", name)
		}
		t.Skipf("%s is not installed (package mosquitto): no test with a real broker", name)
	}
	dir := t.TempDir()
	passwords := filepath.Join(dir, "passwords")
	if out, err := exec.Command("mosquitto_passwd", "-b", "-c", passwords, "cam", "right").CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
	m := &mosquitto{config: filepath.Join(dir, "mosquitto.conf")}
	for range 10 { // mosquitto can't be told to find a free port: another process may be faster
		ln := listen(t)
		m.addr = ln.Addr().String()
		ln.Close()
		_, port, err := net.SplitHostPort(m.addr)
		if err != nil {
			t.Fatal(err)
		}
		conf := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous false\npassword_file %s\npersistence false\nlog_type all\n", port, passwords)
		if os.Geteuid() == 0 {
			conf += "user root\n" // another could not read the files
		}
		if err := os.WriteFile(m.config, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		if m.start(t) {
			t.Cleanup(func() { m.kill(t) })
			return m
		}
	}
	t.Fatalf("mosquitto doesn't start: %s", m.out)
	return nil
}

// start runs the broker and waits until it takes connections. It returns false if the port is taken.
func (m *mosquitto) start(t *testing.T) bool {
	t.Helper()
	m.out, m.done = new(output), make(chan struct{})
	m.cmd = exec.Command("mosquitto", "-c", m.config)
	m.cmd.Stdout, m.cmd.Stderr = m.out, m.out
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, done := m.cmd, m.done
	go func() {
		_ = cmd.Wait() // killed: how doesn't matter
		close(done)
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx := deadline(t); ; {
		// Its own log: a connection could be to another process that has the port.
		if strings.Contains(m.out.String(), "running") {
			return true
		}
		select {
		case <-tick.C:
		case <-m.done:
			if strings.Contains(m.out.String(), "Address already in use") {
				return false
			}
			t.Fatalf("mosquitto ended: %s", m.out)
		case <-ctx.Done():
			t.Fatalf("mosquitto doesn't start: %s", m.out)
		}
	}
}

// kill ends the broker with SIGKILL.
func (m *mosquitto) kill(t *testing.T) {
	t.Helper()
	select {
	case <-m.done:
		return
	default:
	}
	if err := m.cmd.Process.Kill(); err != nil {
		t.Errorf("kill mosquitto: %v", err)
	}
	<-m.done
}

func (m *mosquitto) url() string { return "mqtt://" + m.addr }

// inside is the URL with the user and the password, which the test's own client takes that way.
func (m *mosquitto) inside() string { return "mqtt://cam:right@" + m.addr }

func (m *mosquitto) options(log *slog.Logger) Options {
	opts := quick(m.url(), log)
	opts.User, opts.Password = "cam", "right"
	return opts
}

func TestMosquitto(t *testing.T) {
	noLeak(t)
	m := newMosquitto(t)
	in := subscribe(t, m.inside(), testBase+"/#")
	c := start(t, m.options(nil))
	next(t, in, InfoTopic(testBase))
	expect(t, in, StateTopic(testBase), Online)
	for i := range 50 {
		id := fmt.Sprint("event-", i)
		if err := c.Publish(deadline(t), classified(id, "ü.jpg")); err != nil {
			t.Fatal(err)
		}
		expect(t, in, EventTopic(testBase, "inbox"), payload(t, id, "ü.jpg"))
	}
	sever(t, c)
	expect(t, in, StateTopic(testBase), Offline)
	next(t, in, InfoTopic(testBase))
	expect(t, in, StateTopic(testBase), Online)
	if err := c.Close(deadline(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, in, StateTopic(testBase), Offline)
}

func TestMosquittoWrongPassword(t *testing.T) {
	noLeak(t)
	m := newMosquitto(t)
	j, log := newJournal()
	opts := m.options(log)
	opts.Password = "wrong-s3cret"
	start(t, opts)
	j.wait(t, 1, "MQTT login refused", m.addr, "user=cam")
	if strings.Contains(j.String(), opts.Password) {
		t.Errorf("the password is in the log:\n%s", j)
	}
}

func TestMosquittoTakenOver(t *testing.T) {
	noLeak(t)
	m := newMosquitto(t)
	j, log := newJournal()
	opts := m.options(log)
	opts.times.now = func() time.Time { return when }
	start(t, opts)
	for n := 1; n <= manyLosses; n++ {
		j.wait(t, n, "MQTT connected")
		thief(t, m.inside(), opts.ClientID)
	}
	j.wait(t, 1, "another client use the same client id", opts.ClientID)
}

// What is published while there is no broker reaches the one that comes: its own log is the witness.
func TestMosquittoKilled(t *testing.T) {
	noLeak(t)
	m := newMosquitto(t)
	c := start(t, m.options(nil))
	if err := c.Publish(deadline(t), classified("before", "x.jpg")); err != nil {
		t.Fatal(err)
	}
	m.kill(t)
	const events = 20
	published := make(chan error, events)
	for i := range events {
		go func() { published <- c.Publish(deadline(t), classified(fmt.Sprint("event-", i), "x.jpg")) }()
	}
	if !m.start(t) {
		t.Skipf("port taken by another process between two starts of mosquitto: %s", m.out)
	}
	for range events {
		if err := <-published; err != nil {
			t.Error(err)
		}
	}
	if err := c.Close(deadline(t)); err != nil {
		t.Fatal(err)
	}
	m.kill(t) // so that the log is whole
	log := m.out.String()
	for topic, want := range map[string]int{EventTopic(testBase, "inbox"): events, InfoTopic(testBase): 1, StateTopic(testBase): 2} {
		have := 0
		for line := range strings.Lines(log) {
			if containsAll(line, []string{"Received PUBLISH from " + c.opts.ClientID, "'" + topic + "'"}) {
				have++
			}
		}
		if have != want {
			t.Errorf("%s: want %d messages at the new broker, have %d:\n%s", topic, want, have, log)
		}
	}
}
