package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Limits of the embedded broker.
const (
	maxClients    = 64
	maxConns      = 2 * maxClients // including those that have not logged in yet
	maxNewcomers  = 16             // connections from one address that have not logged in yet, where that takes a password
	maxSessions   = 4 * maxClients // including those whose client is away
	maxQueue      = 8192           // messages waiting for one client; more are dropped for that client
	maxPacket     = 1 << 20        // bytes, unless ListenOptions say otherwise
	maxConnect    = 128 << 10      // bytes of the first packet: more than a client id, a user, a password and a will together need
	minMemory     = 64 << 20       // bytes: see memory
	maxSession    = 24 * 60 * 60   // seconds that a session outlives its connection
	loginTimeout  = 10 * time.Second
	refusalDelay  = 2 * time.Second  // before a wrong password is answered
	stallTimeout  = 20 * time.Second // without progress inside a packet, then a connection is closed: it may hold up others
	sysTopicsEach = 60 * 60          // seconds between $SYS messages: each stops the program to count its memory
)

// Broker is the embedded MQTT broker (3.1.1 and 5). It keeps nothing on disk: retained messages and sessions are gone
// when it is closed.
//
// Sessions outlive their connections for a day (clean session 0), and QoS 1 messages without an acknowledgement are sent again
// then, in no certain order. All of them are sent at once: in MQTT 3.1.1 nothing bounds how many a client has to acknowledge. A
// shared subscription gives each message to one member, at random, whether that is connected or not; what a member that is gone
// has not acknowledged waits for it, or is lost where its session was a clean one.
//
// A will that is to be retained comes at once, whatever delay its client asks for, and of the $SYS topics each has to be subscribed to by
// its name: see retainLock.
type Broker struct {
	server   *mochi.Server
	gate     *gate
	handover *handover
	inside   *mochi.Client // in whose name publish gives messages; it has no session, so nobody can take it over
	close    sync.Once
}

// ListenOptions are for Listen.
type ListenOptions struct {
	User, Password string // what everybody must log in with; both or neither
	MaxPacket      int    // bytes of the largest packet that is taken, a larger one closes its connection; 0: 1 MiB

	delay time.Duration // before a wrong password is answered; 0: refusalDelay
}

// Listen opens a broker on addr, host:port with port 0 for any free one. Without a password everybody who can reach it may
// publish and subscribe, so then addr must be of the loopback interface. With one everybody needs it, also on this machine. There
// is no TLS: on other addresses than loopback the password crosses the network as it is, which is logged as a warning. All users
// may do everything.
//
// The error of a port in use is one line that names the keys to change. What the broker itself has to say goes to log (nil:
// nowhere), at debug level. Close it.
func Listen(addr string, o ListenOptions, log *slog.Logger) (*Broker, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s (mqtt.listen): want host:port: %w", addr, err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	switch {
	case (o.User == "") != (o.Password == ""):
		return nil, fmt.Errorf("listen on %s (mqtt.listen): want mqtt.user and mqtt.password both or neither, have one", addr)
	case !tcp.IP.IsLoopback() && o.Password == "":
		return nil, fmt.Errorf("listen on %s (mqtt.listen): want mqtt.user and mqtt.password with an address that other machines reach, "+
			"have none; a loopback address such as 127.0.0.1:1883 needs none", addr)
	}
	ln, err := net.ListenTCP("tcp", tcp)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s (mqtt.listen): %w: another broker may run here; "+
			"set mqtt.broker to mqtt://%s to use it, or mqtt.listen to another port", addr, syscall.EADDRINUSE, addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (mqtt.listen): %w", addr, bare(err))
	}
	var access mochi.Hook = new(allowAll)
	if o.Password != "" {
		access = newPassword(o.User, o.Password, cmp.Or(o.delay, refusalDelay), log)
	}
	b, err := serve(ln, access, o, log)
	if err != nil {
		return nil, fmt.Errorf("listen on %s (mqtt.listen): %w", addr, err)
	}
	if !tcp.IP.IsLoopback() {
		log.Warn("the embedded broker has no TLS: passwords and pictures cross the network unencrypted; use it in a network that you trust, "+
			"or set mqtt.broker to a broker with TLS", "listen", addr)
	}
	return b, nil
}

// serve runs a broker on ln, which it owns. access says who may do what: without a hook for that nobody may do anything.
func serve(ln net.Listener, access mochi.Hook, o ListenOptions, log *slog.Logger) (*Broker, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if o.MaxPacket == 0 {
		o.MaxPacket = maxPacket
	}
	caps := mochi.NewDefaultServerCapabilities()
	caps.MaximumClients = maxClients
	caps.MaximumPacketSize = uint32(o.MaxPacket)
	caps.MaximumInflight = maxQueue
	caps.MaximumClientWritesPending = maxQueue
	caps.MaximumSessionExpiryInterval = maxSession
	caps.MaximumMessageExpiryInterval = 0 // none: the default drops retained messages after a day
	limit := max(minMemory, 4*int64(o.MaxPacket))
	b := &Broker{
		server: mochi.New(&mochi.Options{
			Capabilities:           caps,
			SysTopicResendInterval: sysTopicsEach,
			Logger:                 slog.New(quiet{log.Handler()}),
		}),
		gate: newGate(ln, limit),
	}
	if p, ok := access.(*password); ok {
		p.closing = b.gate.closing
		b.gate.newcomers = maxNewcomers
	}
	b.handover = newHandover(b.server)
	b.inside = b.server.NewClient(nil, "inside", "inside", true)
	m := &memory{server: b.server, limit: limit, log: log}
	err := b.server.AddHook(m, nil)
	if err == nil {
		err = b.server.AddHook(&guarded{access, m}, nil)
	}
	for _, hook := range []mochi.Hook{new(dealer), new(packetIDs), b.handover, new(retainLock)} { // the lock is to be the last
		if err == nil {
			err = b.server.AddHook(hook, nil)
		}
	}
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

// publish gives the subscribers a message, without a connection in between: when it returns nil the broker has the message as it has one
// whose PUBACK it has sent. It waits for takeovers of sessions, but for no subscriber.
func (b *Broker) publish(topic string, payload []byte, qos byte) error {
	if b.gate.closing.Err() != nil {
		return net.ErrClosed
	}
	if release := b.handover.acquire(b.gate.closing, oneMessage, 2*takeoverWait); release != nil {
		defer release()
	}
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos}, TopicName: topic, Payload: payload}
	pk.PacketID = uint16(qos) // QoS 1 wants one, which nobody sees
	if err := b.server.InjectPacket(b.inside, pk); err != nil {
		return fmt.Errorf("publish on %s within the embedded broker: %w", topic, err)
	}
	return nil
}

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
