package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Limits of the embedded broker. With 64 subscribers that stop reading it holds 64 x 8192 messages at most, of the
// about 1 KB that an event has.
const (
	maxClients    = 64
	maxConns      = 2 * maxClients // including those that have not logged in yet
	maxQueue      = 8192           // messages waiting for one client; more are dropped for that client
	maxPacket     = 1 << 20        // bytes
	maxSession    = 24 * 60 * 60   // seconds that a session outlives its connection
	loginTimeout  = 10 * time.Second
	sysTopicsEach = 60 * 60 // seconds between $SYS messages: each stops the program to count its memory
)

// Broker is the embedded MQTT broker (3.1.1 and 5). It keeps nothing on disk: retained messages and sessions are gone
// when it is closed.
type Broker struct {
	server *mochi.Server
	gate   *gate
	close  sync.Once
}

// Listen opens a broker on addr, host:port with port 0 for any free one. Who can reach it may publish and subscribe
// without a password, so addr must be of the loopback interface. The error of a port in use is one line that names the
// keys to change. What the broker itself has to say goes to log (nil: nowhere), at debug level. Close it.
func Listen(addr string, log *slog.Logger) (*Broker, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s (mqtt.listen): want host:port: %w", addr, err)
	}
	if !tcp.IP.IsLoopback() {
		return nil, fmt.Errorf("listen on %s (mqtt.listen): want a loopback address such as 127.0.0.1:1883: "+
			"other machines could publish without a password; set mqtt.broker to a broker with passwords instead", addr)
	}
	ln, err := net.ListenTCP("tcp", tcp)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s (mqtt.listen): %w: another broker may run here; "+
			"set mqtt.broker to mqtt://%s to use it, or mqtt.listen to another port", addr, syscall.EADDRINUSE, addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (mqtt.listen): %w", addr, bare(err))
	}
	b, err := serve(ln, new(allowAll), log)
	if err != nil {
		return nil, fmt.Errorf("listen on %s (mqtt.listen): %w", addr, err)
	}
	return b, nil
}

// serve runs a broker on ln, which it owns. access says who may do what: without a hook for that nobody may do anything.
func serve(ln net.Listener, access mochi.Hook, log *slog.Logger) (*Broker, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	caps := mochi.NewDefaultServerCapabilities()
	caps.MaximumClients = maxClients
	caps.MaximumPacketSize = maxPacket
	caps.MaximumInflight = maxQueue
	caps.MaximumClientWritesPending = maxQueue
	caps.MaximumSessionExpiryInterval = maxSession
	caps.MaximumMessageExpiryInterval = 0 // none: the default drops retained messages after a day
	b := &Broker{
		server: mochi.New(&mochi.Options{
			Capabilities:           caps,
			SysTopicResendInterval: sysTopicsEach,
			Logger:                 slog.New(quiet{log.Handler()}),
		}),
		gate: newGate(ln),
	}
	err := b.server.AddHook(access, nil)
	if err == nil {
		err = b.server.AddListener(b.gate)
	}
	if err == nil {
		err = b.server.Serve()
	}
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return b, nil
}

// Addr is the address that the broker listens on, with the port it got.
func (b *Broker) Addr() net.Addr { return b.gate.ln.Addr() }

// Close ends all connections and waits until they are gone. What subscribers have not read yet is lost to them. Closing
// twice is no error.
func (b *Broker) Close() error {
	var err error
	b.close.Do(func() { err = b.server.Close() }) // closes the gate
	if err != nil {
		return fmt.Errorf("close the embedded broker: %w", err)
	}
	return nil
}

// allowAll lets everyone in, and everyone publish and subscribe everywhere. (mochi has the same in a package that brings
// a YAML library along.)
type allowAll struct{ mochi.HookBase }

func (*allowAll) ID() string { return "allow-all" }

func (*allowAll) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

func (*allowAll) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (*allowAll) OnACLCheck(*mochi.Client, string, bool) bool              { return true }

// gate takes connections in for mochi, and knows them all. With mochi's own listeners Close would wait, for ever, for each
// connection that has not sent CONNECT (there is no time-out for that, and only those that have are closed), and one
// failing Accept, as when the process is out of files, would close the broker to newcomers.
type gate struct {
	ln     net.Listener
	served chan struct{} // closed when Serve has returned

	mu     sync.Mutex
	closed bool
	open   map[*gated]struct{}
	conns  sync.WaitGroup // one for each that mochi tends
}

// gated is one of a gate's connections.
type gated struct {
	net.Conn
	gate *gate
}

func newGate(ln net.Listener) *gate {
	return &gate{ln: ln, served: make(chan struct{}), open: make(map[*gated]struct{})}
}

// Init, ID, Address and Protocol are what mochi asks of a listener.
func (g *gate) Init(*slog.Logger) error { return nil }
func (g *gate) ID() string              { return "tcp" }
func (g *gate) Address() string         { return g.ln.Addr().String() }
func (g *gate) Protocol() string        { return "tcp" }

// Serve accepts connections until the gate is closed. Those over maxConns are closed at once.
func (g *gate) Serve(establish listeners.EstablishFn) {
	defer close(g.served)
	for {
		conn, err := g.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // until files or memory are free again
			continue
		}
		c := &gated{conn, g}
		if !g.enter(c) {
			conn.Close() // never used
			continue
		}
		go func() {
			defer g.conns.Done()
			_ = establish(g.ID(), c) // how a client left matters to nobody; mochi has logged it
		}()
	}
}

// enter counts c in, unless the gate is full or closed.
func (g *gate) enter(c *gated) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.open) >= maxConns {
		return false
	}
	if err := c.SetDeadline(time.Now().Add(loginTimeout)); err != nil { // mochi sets another after CONNECT
		return false
	}
	g.open[c] = struct{}{}
	g.conns.Add(1)
	return true
}

// Close is called by mochi. It lets no more connections in, closes those that are open, and waits for them.
func (g *gate) Close(listeners.CloseFn) {
	g.mu.Lock()
	g.closed = true
	for c := range g.open {
		c.Conn.Close() // its end is the point
	}
	g.mu.Unlock()
	g.ln.Close() // can only fail if it is closed
	<-g.served
	g.conns.Wait()
}

// Close is called by mochi when it is done with a connection.
func (c *gated) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.open, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// quiet makes all that mochi logs debug messages, without the packets in them: those hold payloads and passwords.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, slog.LevelDebug, "embedded broker: "+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "pk" && a.Key != "packet" {
			out.AddAttrs(a)
		}
		return true
	})
	return q.Handler.Handle(ctx, out)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }
