package publish

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must happen. It is never waited out by a passing test.
const patience = 30 * time.Second

const testBase = "sightd/test"

// deadline is a context that fails slow tests, not slow machines.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// noLeak fails the test if more goroutines are left at its end than there are now. Call it first.
func noLeak(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(patience); runtime.NumGoroutine() > before; <-tick.C {
			if time.Now().After(end) {
				buf := make([]byte, 1<<20)
				t.Fatalf("want %d goroutines as at the start, have %d:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
			}
		}
	})
}

// journal is a log to look into.
type journal struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{}
}

func newJournal() (*journal, *slog.Logger) {
	j := &journal{more: make(chan struct{})}
	return j, slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(p))
	close(j.more)
	j.more = make(chan struct{})
	return len(p), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "")
}

// wait returns the nth line, from 1, that has all of parts.
func (j *journal) wait(t *testing.T, n int, parts ...string) string {
	t.Helper()
	ctx := deadline(t)
	for {
		j.mu.Lock()
		lines, more := j.lines, j.more
		j.mu.Unlock()
		found := 0
		for _, line := range lines {
			if containsAll(line, parts) {
				if found++; found == n {
					return line
				}
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatalf("want line %d with %q, have\n%s", n, parts, j)
		}
	}
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// quick are options for a Client that is tested: it hardly waits between connections.
func quick(broker string, log *slog.Logger) Options {
	return Options{
		Broker: broker, ClientID: "sightd-test-000000", Base: testBase, QoS: 1, Log: log,
		Info:  Info{Version: "0.1.0", Model: ModelInfo{Name: testModel.Name, SHA256: testModel.SHA256}, Delegate: DelegateInfo{Active: testModel.Delegate}, Started: when},
		times: times{backoff: func(int) time.Duration { return time.Millisecond }},
	}
}

// start is New, with Close at the test's end, at which nothing can be left to say.
func start(t testing.TB, opts Options) *Client {
	t.Helper()
	c, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(deadline(t)); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	return c
}

// witness is a hook for the embedded broker that lets everyone do everything, and notes what the broker has taken.
type witness struct {
	allowAll
	password string // if not empty, that of everybody

	mu     sync.Mutex
	has    map[string]int              // topic + "\n" + payload -> how often acknowledged
	reject func(p packets.Packet) bool // called with mu held; true: neither passed on nor acknowledged
	wills  int
	gone   chan string // client ids whose connection ended
}

func newWitness() *witness {
	return &witness{has: make(map[string]int), gone: make(chan string, 1000)}
}

func (w *witness) Provides(b byte) bool {
	return w.allowAll.Provides(b) || b == mochi.OnPublish || b == mochi.OnWillSent || b == mochi.OnDisconnect
}

func (w *witness) OnConnectAuthenticate(_ *mochi.Client, p packets.Packet) bool {
	return w.password == "" || string(p.Connect.Password) == w.password
}

func (w *witness) OnPublish(_ *mochi.Client, p packets.Packet) (packets.Packet, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reject != nil && w.reject(p) {
		return p, packets.ErrRejectPacket // mochi then drops it without PUBACK
	}
	w.has[p.TopicName+"\n"+string(p.Payload)]++
	return p, nil
}

func (w *witness) OnWillSent(*mochi.Client, packets.Packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wills++
}

func (w *witness) OnDisconnect(c *mochi.Client, _ error, _ bool) { w.gone <- c.ID }

// count is how often the broker took the message.
func (w *witness) count(topic string, payload []byte) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.has[topic+"\n"+string(payload)]
}

// open serves a broker on ln that is closed at the test's end.
func open(t testing.TB, ln net.Listener, hook mochi.Hook) *Broker {
	t.Helper()
	b, err := serve(ln, hook, ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close the broker: %v", err)
		}
	})
	return b
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func mqttURL(a net.Addr) string { return "mqtt://" + a.String() }

// A port is a TCP port of 127.0.0.1 that the test has to itself, also while nothing listens on it.
type port string

// reserve binds a socket to a free port, without listening. SO_REUSEPORT lets listen bind another one beside it.
func reserve(t *testing.T) port {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Close(fd); err != nil {
			t.Errorf("close the reserved socket: %v", err)
		}
	})
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return port(fmt.Sprintf("127.0.0.1:%d", addr.(*unix.SockaddrInet4).Port))
}

func (p port) listen(t *testing.T) net.Listener {
	t.Helper()
	var sockErr error
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		err := c.Control(func(fd uintptr) {
			sockErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		if err != nil {
			return err
		}
		return sockErr
	}}
	ln, err := lc.Listen(context.Background(), "tcp", string(p))
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// subscribe connects a client of its own to the broker, and returns what is published to filter from now on.
func subscribe(t testing.TB, broker, filter string) <-chan paho.Message {
	t.Helper()
	return receive(t, broker, filter, false)
}

// retained returns n messages that the broker has retained for filter: topic -> message.
func retained(t testing.TB, broker, filter string, n int) map[string]paho.Message {
	t.Helper()
	in := receive(t, broker, filter, true)
	all := make(map[string]paho.Message)
	for len(all) < n {
		select {
		case m := <-in:
			all[m.Topic()] = m
		case <-time.After(patience):
			t.Fatalf("want %d retained messages of %s, have %v", n, filter, all)
		}
	}
	return all
}

// receive passes on what comes because it is retained, or what is published: a broker may acknowledge SUBSCRIBE first and
// look for retained messages afterwards, so one just published may come as both.
func receive(t testing.TB, broker, filter string, retained bool) <-chan paho.Message {
	t.Helper()
	in := make(chan paho.Message, 10_000)
	c := paho.NewClient(paho.NewClientOptions().AddBroker(broker).SetClientID(fmt.Sprint(Name(t.Name()), " ", filter, retained)).
		SetAutoReconnect(false))
	settle(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(uint(patience.Milliseconds())) })
	settle(t, c.Subscribe(filter, 1, func(_ paho.Client, m paho.Message) {
		if m.Retained() == retained {
			in <- m
		}
	}))
	return in
}

func settle(t testing.TB, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("test's MQTT client: %v", token.Error())
	}
}

// next is the next message, which must be of topic.
func next(t testing.TB, in <-chan paho.Message, topic string) paho.Message {
	t.Helper()
	select {
	case m := <-in:
		if m.Topic() != topic {
			t.Fatalf("want a message of %s, have %s %q", topic, m.Topic(), m.Payload())
		}
		return m
	case <-time.After(patience):
		t.Fatalf("want a message of %s, have none", topic)
		return nil
	}
}

// expect takes the next message, which must be this.
func expect(t testing.TB, in <-chan paho.Message, topic, payload string) {
	t.Helper()
	if m := next(t, in, topic); string(m.Payload()) != payload {
		t.Fatalf("%s: want %s, have %s", topic, payload, m.Payload())
	}
}

func payload(t testing.TB, id, file string) string {
	t.Helper()
	b, err := EventPayload(classified(id, file), testModel, MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// standing waits for c's connection.
func standing(t *testing.T, c *Client) *link {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		c.mu.Lock()
		link := c.link
		c.mu.Unlock()
		if link != nil {
			select {
			case <-link.down:
			default:
				return link
			}
		}
		if time.Now().After(end) {
			t.Fatal("no connection stands")
		}
	}
}

// sever cuts c's connection as a broken network does, without DISCONNECT.
func sever(t *testing.T, c *Client) {
	t.Helper()
	link := standing(t, c)
	link.raw.Close()
	<-link.down
}

// until calls f with 0, 1, 2 ... until stop is closed or f fails, which is told.
func until(t *testing.T, stop <-chan struct{}, f func(n int) error) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		if err := f(n); err != nil {
			t.Error(err)
			return
		}
	}
}
