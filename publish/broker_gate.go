package publish

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/listeners"
	"golang.org/x/sync/semaphore"
)

// gate takes connections in for mochi, and knows them all. With mochi's own listeners Close would wait, for ever, for each
// connection that has not sent CONNECT (there is no time-out for that, and only those that have are closed), and one
// failing Accept, as when the process is out of files, would close the broker to newcomers.
//
// mochi makes room for a packet as soon as its length is known, and goes on reading and writing for as long as there are pings.
// So the gate's connections look at lengths and at progress themselves.
type gate struct {
	ln        net.Listener
	newcomers int           // from one address that may be about to log in
	stall     time.Duration // stallTimeout, shorter in tests
	served    chan struct{} // closed when Serve has returned

	receiving *semaphore.Weighted // bytes of large packets that are coming in
	most      int64               // its size
	closing   context.Context     // ends with Close
	cancel    context.CancelFunc

	mu     sync.Mutex
	closed bool
	open   map[*gated]struct{}
	fresh  map[netip.Addr]int // connections that have not logged in, by address
	conns  sync.WaitGroup     // one for each that mochi tends
}

func newGate(ln net.Listener, most int64) *gate {
	g := &gate{
		ln: ln, newcomers: maxConns, stall: stallTimeout, served: make(chan struct{}),
		receiving: semaphore.NewWeighted(most), most: most,
		open: make(map[*gated]struct{}), fresh: make(map[netip.Addr]int),
	}
	g.closing, g.cancel = context.WithCancel(context.Background())
	return g
}

// Init, ID, Address and Protocol are what mochi asks of a listener.
func (g *gate) Init(*slog.Logger) error { return nil }
func (g *gate) ID() string              { return "tcp" }
func (g *gate) Address() string         { return g.ln.Addr().String() }
func (g *gate) Protocol() string        { return "tcp" }

// Serve accepts connections until the gate is closed. Those over maxConns are closed at once, and so are those over newcomers
// from one address: who guesses passwords, or says nothing, doesn't keep the others out.
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
		c := &gated{Conn: conn, gate: g, from: remoteHost(conn.RemoteAddr())}
		if !g.enter(c) {
			conn.Close() // never used
			continue
		}
		go func() {
			defer g.conns.Done()
			defer c.letGo()
			defer c.end()            // mochi may have refused a packet by its length
			_ = establish(g.ID(), c) // how a client left matters to nobody; mochi has logged it
		}()
	}
}

// remoteHost is what connections are counted by: the address, of IPv6 the network's part.
func remoteHost(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	from := tcp.AddrPort().Addr().Unmap().WithZone("")
	if from.Is6() {
		from = netip.PrefixFrom(from, 64).Masked().Addr()
	}
	return from
}

// enter counts c in, unless the gate is full or closed.
func (g *gate) enter(c *gated) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.open) >= maxConns || g.fresh[c.from] >= g.newcomers {
		return false
	}
	if err := c.SetDeadline(time.Now().Add(loginTimeout)); err != nil { // mochi sets another after CONNECT
		return false
	}
	g.open[c] = struct{}{}
	g.fresh[c.from]++
	c.fresh = true
	g.conns.Add(1)
	return true
}

// settle counts c as no newcomer any more.
func (g *gate) settle(c *gated) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !c.fresh {
		return
	}
	c.fresh = false
	if g.fresh[c.from]--; g.fresh[c.from] == 0 {
		delete(g.fresh, c.from)
	}
}

// Close is called by mochi. It lets no more connections in, closes those that are open, and waits for them.
func (g *gate) Close(listeners.CloseFn) {
	g.cancel()
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

// gated is one of a gate's connections. One goroutine reads it.
type gated struct {
	net.Conn
	gate  *gate
	from  netip.Addr
	fresh bool // has not logged in; guarded by gate.mu

	writing atomic.Int64 // since when Write has made no progress, in ns since 1970; 0: there is nothing to write

	in       frame
	begun    bool  // the first packet's length is known
	reserved int64 // of gate.receiving; belongs to the reader
	looking  bool  // holds retainLock; belongs to the reader

	release func() // of handover, or nil; belongs to the reader

	seen, own map[uint16]uint16 // of packetIDs: the id that mochi sees for one of the client's, and back; belong to the reader
}

// letGo lets go of what handover holds for this connection.
func (c *gated) letGo() {
	if c.release != nil {
		c.release()
		c.release = nil
	}
}

var (
	errLongConnect = errors.New("the first packet is too long for CONNECT")
	errNoRoom      = errors.New("too many large packets at a time")
)

// Read passes on what comes. It waits where too many large packets are coming already, and gives up a packet that stops coming.
func (c *gated) Read(p []byte) (int, error) {
	if c.in.inside() {
		if err := c.SetReadDeadline(time.Now().Add(c.gate.stall)); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p)
	if bad := c.in.feed(p[:n], c.begin, c.end); bad != nil {
		n, err = 0, bad // not a byte of it for mochi
	}
	if err != nil {
		c.end()
	}
	return n, err
}

// begin is called with the length of a packet's body before mochi knows it.
func (c *gated) begin(length int) error {
	if !c.begun && length > maxConnect {
		return errLongConnect
	}
	c.begun = true
	if length <= maxConnect { // bounded by the number of connections
		return nil
	}
	ctx, cancel := context.WithTimeout(c.gate.closing, c.gate.stall)
	defer cancel()
	need := min(int64(length), c.gate.most) // mochi refuses what is too long
	if c.gate.receiving.Acquire(ctx, need) != nil {
		return errNoRoom
	}
	c.reserved = need
	return nil
}

// end is called when a packet's body is there, or won't come.
func (c *gated) end() {
	if c.reserved > 0 {
		c.gate.receiving.Release(c.reserved)
		c.reserved = 0
	}
}

// Write closes the connection when the other side has stopped reading: mochi would go on trying, and hold up those who publish
// to it.
func (c *gated) Write(p []byte) (int, error) {
	const piece = 64 << 10 // progress is one of these
	defer c.writing.Store(0)
	for written := 0; ; {
		c.writing.Store(time.Now().UnixNano())
		err := c.SetWriteDeadline(time.Now().Add(c.gate.stall))
		n := 0
		if err == nil {
			n, err = c.Conn.Write(p[written:min(len(p), written+piece)])
		}
		if written += n; err != nil {
			c.Conn.Close() // the reader then ends the session
			return written, err
		}
		if written == len(p) {
			return written, nil
		}
	}
}

// behind reports whether the other side is slow to read, or doesn't.
func (c *gated) behind() bool {
	since := c.writing.Load()
	return since != 0 && time.Since(time.Unix(0, since)) > time.Second
}

// SetDeadline is called by mochi with the keep alive's end, when it begins to read a packet. Write has time limits of its own.
func (c *gated) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// Close is called by mochi when it is done with a connection.
func (c *gated) Close() error {
	c.gate.settle(c)
	c.gate.mu.Lock()
	delete(c.gate.open, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// frame follows MQTT's packets in a stream of bytes (MQTT 3.1.1, section 2.2).
type frame struct {
	header bool // the first byte of a packet has come, its length not yet
	shift  int
	length int
	left   int // bytes of the body that haven't come yet
}

var errLength = errors.New("the length of a packet has more than 4 bytes")

func (f *frame) inside() bool { return f.header || f.left > 0 }

// feed takes the next bytes. It calls begin with the length of each packet's body, and end when that is complete.
func (f *frame) feed(b []byte, begin func(length int) error, end func()) error {
	for len(b) > 0 {
		switch {
		case f.left > 0:
			n := min(f.left, len(b))
			b = b[n:]
			if f.left -= n; f.left == 0 {
				end()
			}
			continue
		case !f.header:
			f.header, f.shift, f.length = true, 0, 0
		default:
			f.length |= int(b[0]&0x7f) << f.shift
			if b[0] < 0x80 {
				f.header, f.left = false, f.length
				if err := begin(f.length); err != nil {
					return err
				}
				if f.left == 0 {
					end()
				}
			} else if f.shift += 7; f.shift > 21 {
				return errLength
			}
		}
		b = b[1:]
	}
	return nil
}
