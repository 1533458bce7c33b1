package testbench

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// mosquitto is a real broker that keeps its sessions on disk.
type mosquitto struct {
	*process
	program, config string
	url             string
}

// startMosquitto runs mosquitto on a free port. Without mosquitto the test is skipped, in CI it fails.
func startMosquitto(t testing.TB) *mosquitto {
	t.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto" // where Debian has it, out of a user's way
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("mosquitto isn't installed")
		}
		t.Skip("mosquitto isn't installed: apt-get install mosquitto")
	}
	m := &mosquitto{program: program, config: filepath.Join(t.TempDir(), "mosquitto.conf")}
	for range 20 {
		// mosquitto can't choose a port itself. One below those that systems give to outgoing connections stays free while it is
		// restarted.
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000))
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		m.url = "mqtt://" + addr
		m.write(t, addr)
		if m.start(t) {
			return m
		}
	}
	t.Fatalf("mosquitto doesn't start:\n%s", m.process)
	return nil
}

func (m *mosquitto) write(t testing.TB, addr string) {
	t.Helper()
	_, port, _ := strings.Cut(addr, ":")
	// user: as root it would give up root, and with that the right to write where it keeps its sessions.
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nuser root\nmax_queued_messages 0\n"+
		"persistence true\npersistence_location %s/\n", port, filepath.Dir(m.config))
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start starts mosquitto, again after it was stopped, and reports whether it runs.
func (m *mosquitto) start(t testing.TB) bool {
	t.Helper()
	m.process = start(t, filepath.Dir(m.config), m.program, "-c", m.config)
	ready := func() bool {
		return slices.ContainsFunc(m.lines, func(l string) bool { return strings.HasSuffix(l, " running") })
	}
	m.until(t, func() bool { return ready() || m.over }, func() string { return "mosquitto neither runs nor ends" })
	return m.running()
}

// stop ends mosquitto in order, so that it writes its sessions to disk.
func (m *mosquitto) stop(t testing.TB) {
	t.Helper()
	if state := m.signal(t, syscall.SIGTERM); !state.Success() {
		t.Fatalf("stop mosquitto: %v", state)
	}
}

// event is what the tests read of an event's payload.
type event struct {
	Type   string  `json:"event_type"`
	ID     string  `json:"id"`
	Seq    int     `json:"seq"`
	Source string  `json:"source"`
	Label  string  `json:"label"`
	Index  int     `json:"index"`
	Score  float64 `json:"score"`
	Model  string  `json:"model_sha"`
	File   string  `json:"file"`
	Error  string  `json:"error"`
}

// subscriber is a client that keeps what it receives.
type subscriber struct {
	watched
	events map[string][]event // by file
	total  int
	states []string // of bridge/state, in order
	bad    []string // payloads that are no events
}

// subscribe connects a client that hears everything below sightd/. Its session survives the broker's absence.
func subscribe(t testing.TB, url string) *subscriber {
	t.Helper()
	s := &subscriber{events: map[string][]event{}}
	options := paho.NewClientOptions().AddBroker(url).SetClientID("testbench").SetCleanSession(false).SetResumeSubs(true).
		SetAutoReconnect(true).SetMaxReconnectInterval(time.Second).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { s.receive(m) })
	c := paho.NewClient(options)
	settle(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(250) })
	settle(t, c.Subscribe("sightd/#", 1, nil))
	return s
}

func settle(t testing.TB, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("the test's MQTT client: %v", token.Error())
	}
}

func (s *subscriber) receive(m paho.Message) {
	s.change(func() {
		switch {
		case strings.HasSuffix(m.Topic(), "/bridge/state"):
			s.states = append(s.states, string(m.Payload()))
		case strings.HasSuffix(m.Topic(), "/event"):
			var e event
			if err := json.Unmarshal(m.Payload(), &e); err != nil || m.Retained() {
				s.bad = append(s.bad, fmt.Sprintf("%s (retained: %v)", m.Payload(), m.Retained()))
			}
			s.events[e.File] = append(s.events[e.File], e)
			s.total++
		}
	})
}

// files waits until there are events of n files.
func (s *subscriber) files(t testing.TB, n int) {
	t.Helper()
	s.until(t, func() bool { return len(s.events) >= n }, func() string {
		return fmt.Sprintf("want events of %d files, have %d", n, len(s.events))
	})
}

// first is the first event of a file.
func (s *subscriber) first(t testing.TB, file string) event {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.events[file]) == 0 {
		t.Fatalf("want an event of %s, have none", file)
	}
	return s.events[file][0]
}

// count is the number of events, repeats included.
func (s *subscriber) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// state waits for a bridge/state, or for those of an order.
func (s *subscriber) state(t testing.TB, want ...string) {
	t.Helper()
	s.until(t, func() bool {
		i := 0
		for _, state := range s.states {
			if i < len(want) && state == want[i] {
				i++
			}
		}
		return i == len(want)
	}, func() string { return fmt.Sprintf("want bridge/state to be %q in this order, have %q", want, s.states) })
}

// retainedMessage asks a broker for the retained message of a topic.
func retainedMessage(t testing.TB, url, topic string) string {
	t.Helper()
	got := make(chan string, 10)
	c := paho.NewClient(paho.NewClientOptions().AddBroker(url).SetClientID("testbench-retained"))
	settle(t, c.Connect())
	defer c.Disconnect(250)
	settle(t, c.Subscribe(topic, 1, func(_ paho.Client, m paho.Message) {
		if m.Retained() {
			got <- string(m.Payload())
		}
	}))
	select {
	case payload := <-got:
		return payload
	case <-time.After(patience):
		t.Fatalf("want a retained message of %s, have none", topic)
		return ""
	}
}
