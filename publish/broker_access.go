package publish

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"sync"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// allowAll lets everyone in, and everyone publish and subscribe everywhere. (mochi has the same in a package that brings
// a YAML library along.)
type allowAll struct{ mochi.HookBase }

func (*allowAll) ID() string { return "allow-all" }

func (*allowAll) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

func (*allowAll) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (*allowAll) OnACLCheck(*mochi.Client, string, bool) bool              { return true }

// password lets in who knows it. A wrong one is answered late, and the gate lets only so many connections of one address wait for
// an answer: an address gets 8 answers a second at most.
type password struct {
	allowAll
	login   [2][sha256.Size]byte // of user and password: equal lengths, which comparing in constant time takes
	log     *slog.Logger
	delay   time.Duration
	closing context.Context // ends the delay

	mu       sync.Mutex
	told     time.Time
	attempts int // since then
}

func newPassword(user, secret string, delay time.Duration, log *slog.Logger) *password {
	return &password{
		login: [2][sha256.Size]byte{sha256.Sum256([]byte(user)), sha256.Sum256([]byte(secret))},
		log:   log, delay: delay, closing: context.Background(),
	}
}

func (*password) ID() string { return "password" }

func (p *password) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	user, secret := sha256.Sum256(pk.Connect.Username), sha256.Sum256(pk.Connect.Password)
	if subtle.ConstantTimeCompare(user[:], p.login[0][:])&subtle.ConstantTimeCompare(secret[:], p.login[1][:]) == 1 {
		return true
	}
	p.tell(cl.Net.Remote, time.Now())
	wait := time.NewTimer(p.delay)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-p.closing.Done():
	}
	return false
}

// tell logs a wrong login, with all those that have come since the last line, which is a minute old at least.
func (p *password) tell(remote string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempts++
	if !p.told.IsZero() && now.Sub(p.told) < time.Minute {
		return
	}
	p.log.Warn("embedded broker: wrong user or password (mqtt.user, mqtt.password)", "remote", remote, "attempts", p.attempts)
	p.told, p.attempts = now, 0
}

// guarded is an access hook that lets nothing through to a client for which too much waits: mochi knows no bytes, and has no other
// way to leave one subscriber out. Such a client can't subscribe to more either, and nobody to wildcards of $SYS (see retainLock).
// (Of several hooks that decide on access a single yes is enough for mochi, so this wraps it.)
type guarded struct {
	mochi.Hook
	memory *memory
}

func (g *guarded) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	return g.Hook.OnACLCheck(cl, topic, write) && (write || !sysWildcard(topic) && !g.memory.full(cl))
}

// Bookkeeping of memory.
const (
	perMessage = 1024                   // bytes that a message takes beside its payload
	fullFor    = 100 * time.Millisecond // a client that was full isn't looked at again
)

// memory bounds the bytes of the messages that wait for clients, and of those retained, to about limit. Beyond that sessions whose
// client is away lose what waits for them, if that is more than their share; and a client that is there gets nothing more, if
// more than its share waits, until it has taken some. So do other brokers (mosquitto: max_queued_bytes). Retained messages may
// take half of the limit; more are passed on without being retained.
type memory struct {
	mochi.HookBase
	server *mochi.Server
	limit  int64
	log    *slog.Logger

	mu       sync.Mutex
	waiting  map[string]*backlog // by client id
	retained int64               // bytes, in the way of backlog
	sum      int64               // of both
	since    int64               // bytes that came after the last count
	told     time.Time
}

// backlog is what waits for a client.
type backlog struct {
	bytes int64     // those at the last count, and all that was published to it since
	full  time.Time // until then it gets nothing more
}

func (*memory) ID() string { return "memory" }

func (*memory) Provides(b byte) bool {
	return b == mochi.OnConnect || b == mochi.OnSessionEstablish || b == mochi.OnPublish || b == mochi.OnClientExpired
}

// OnConnect refuses new sessions when there are too many.
func (m *memory) OnConnect(cl *mochi.Client, _ packets.Packet) error {
	if _, known := m.server.Clients.Get(cl.ID); !known && m.server.Clients.Len() >= maxSessions {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.tell("embedded broker: new clients are refused: too many left a session behind", "sessions", maxSessions)
		return packets.ErrServerBusy
	}
	return nil
}

// OnSessionEstablish is called after a login.
func (m *memory) OnSessionEstablish(cl *mochi.Client, _ packets.Packet) {
	if c, ok := cl.Net.Conn.(*gated); ok {
		c.gate.settle(c)
	}
}

// OnClientExpired is called when a session has been left for too long. mochi forgets the client, but not its subscriptions: a
// shared one would go on taking its part of the messages.
func (m *memory) OnClientExpired(cl *mochi.Client) { m.server.UnsubscribeClient(cl) }

// OnPublish counts a message for those who will get it.
func (m *memory) OnPublish(_ *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	size := int64(len(pk.Payload) + perMessage)
	to := m.server.Topics.Subscribers(pk.TopicName)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting == nil {
		m.waiting = make(map[string]*backlog)
	}
	retain := pk.FixedHeader.Retain && len(pk.Payload) > 0
	if m.sum+size*int64(len(to.Subscriptions)+len(to.Shared)+1) > m.limit || retain && m.retained+size > m.limit/2 {
		m.recount()
	}
	for id := range to.Subscriptions {
		m.wait(id, size)
	}
	for _, members := range to.Shared { // one of them gets it
		for id := range members {
			m.wait(id, size/int64(len(members)))
		}
	}
	if retain {
		m.retained += size
		m.add(size)
	}
	if retain && m.retained > m.limit/2 {
		m.tell("embedded broker: a message is not retained: too much is", "topic", pk.TopicName, "bytes", m.retained)
		m.retained -= size
		m.sum -= size
		pk.FixedHeader.Retain = false
	}
	return pk, nil
}

func (m *memory) wait(id string, bytes int64) {
	b := m.waiting[id]
	if b == nil {
		b = new(backlog)
		m.waiting[id] = b
	}
	b.bytes += bytes
	m.add(bytes)
}

func (m *memory) add(bytes int64) {
	m.sum += bytes
	m.since += bytes
}

// recount counts all that is there, if enough has come since the last time to be worth the work, and clears what is too much.
func (m *memory) recount() {
	if m.since < m.limit/8 {
		return
	}
	before, clients := m.waiting, m.server.Clients.GetAll()
	m.waiting, m.sum, m.retained, m.since = make(map[string]*backlog), 0, 0, 0
	for id, cl := range clients {
		b := before[id]
		if b == nil {
			b = new(backlog)
		}
		b.count(cl)
		m.waiting[id] = b
		m.sum += b.bytes
	}
	for _, pk := range m.server.Topics.Retained.GetAll() {
		m.retained += int64(len(pk.Payload) + perMessage)
	}
	if m.sum += m.retained; m.sum < m.limit*7/8 { // before the next count
		return
	}
	for id, b := range m.waiting {
		if cl := clients[id]; cl.Closed() && b.bytes > m.share() {
			m.tell("embedded broker: what waited for a client is dropped: it is away, and holds more than its share", "client_id", printable(id), "bytes", b.bytes)
			cl.ClearInflights()
			m.sum -= b.bytes
			b.bytes = 0
		}
	}
}

// share is how many bytes may always wait for each client.
func (m *memory) share() int64 { return m.limit / 2 / int64(max(1, len(m.waiting))) }

// count counts what waits for a client. What waits with QoS 0 can't be seen: where a connection isn't keeping up all that was
// published to it counts on.
func (b *backlog) count(cl *mochi.Client) {
	bytes := int64(0)
	for _, pk := range cl.State.Inflight.GetAll(false) {
		bytes += int64(len(pk.Payload) + perMessage)
	}
	if c, ok := cl.Net.Conn.(*gated); ok && c.behind() {
		bytes = max(bytes, b.bytes)
	}
	b.bytes = bytes
}

// full reports whether a client gets nothing more for now.
func (m *memory) full(cl *mochi.Client) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, now := m.waiting[cl.ID], time.Now()
	if b == nil || m.sum <= m.limit {
		return false
	}
	if b.bytes <= m.share() || now.Before(b.full) {
		return b.bytes > m.share()
	}
	m.sum -= b.bytes
	b.count(cl)
	m.sum += b.bytes
	if b.bytes <= m.share() {
		return false
	}
	b.full = now.Add(fullFor)
	m.tell("embedded broker: messages to a client are dropped: it doesn't take what waits for it", "client_id", printable(cl.ID), "bytes", b.bytes)
	return true
}

// tell logs a warning, once a minute at most; mu is held.
func (m *memory) tell(text string, args ...any) {
	if now := time.Now(); m.told.IsZero() || now.Sub(m.told) >= time.Minute {
		m.log.Warn(text, args...)
		m.told = now
	}
}
