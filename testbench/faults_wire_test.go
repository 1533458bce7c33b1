package testbench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// wire is a proxy between the daemon and its broker. It can be cut, held up and torn, and notes which events the broker has acknowledged.
type wire struct {
	to string // the broker's address
	ln net.Listener

	watched
	state  wireState
	pairs  map[*pair]bool
	tear   byte                 // type of the next packet that is torn, 0: none is
	torn   int                  // so many were
	acked  map[string]time.Time // when the broker acknowledged the first event of a file
	told   []told               // that the broker acknowledged
	ids    map[string]bool      // of them
	closed bool

	work sync.WaitGroup
}

// wireState is what becomes of what is sent.
type wireState int

const (
	whole   wireState = iota
	cut               // new connections are reset
	stalled           // nothing is read
	deaf              // what comes from the daemon is read and thrown away
)

// pair is a connection of the daemon, and the one to the broker that stands for it.
type pair struct {
	daemon, broker net.Conn
	forgotten      bool
	pending        map[uint16]told // by packet id
}

func newWire(t testing.TB, url string) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{to: strings.TrimPrefix(url, "mqtt://"), ln: ln, pairs: map[*pair]bool{}, acked: map[string]time.Time{}, ids: map[string]bool{}}
	w.work.Go(w.accept)
	t.Cleanup(func() {
		w.change(func() {
			w.closed, w.state = true, cut
			for p := range w.pairs {
				p.reset()
			}
		})
		ln.Close() // nobody is left to be told
		w.work.Wait()
	})
	return w
}

func (w *wire) url() string { return "mqtt://" + w.ln.Addr().String() }

// set has what is sent from now on treated otherwise. Connections that stand are reset by cut, and forgotten for good by deaf.
func (w *wire) set(s wireState) {
	w.change(func() {
		w.state = s
		for p := range w.pairs {
			switch s {
			case cut:
				p.reset()
			case deaf:
				p.forgotten = true
				if p.broker != nil {
					p.broker.Close() // forgotten by the broker, too
				}
			}
		}
	})
}

// tearNext tears the next packet of a type: half of it is passed on, then both connections are reset.
func (w *wire) tearNext(t testing.TB, kind byte) {
	t.Helper()
	var before int
	w.change(func() { w.tear, before = kind, w.torn })
	w.until(t, func() bool { return w.torn > before }, func() string { return "no packet to tear has come" })
}

func (p *pair) reset() {
	for _, conn := range []net.Conn{p.daemon, p.broker} {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // fails where it is closed
			tcp.Close()
		}
	}
}

func (w *wire) accept() {
	for {
		conn, err := w.ln.Accept()
		if err != nil {
			return
		}
		p := &pair{daemon: conn, pending: map[uint16]told{}}
		w.change(func() {
			if w.state == cut || w.closed {
				p.reset()
				return
			}
			p.forgotten = w.state == deaf
			w.pairs[p] = true
			w.work.Go(func() { w.serve(p) })
		})
	}
}

// serve passes on what one connection says until it ends.
func (w *wire) serve(p *pair) {
	defer w.change(func() {
		delete(w.pairs, p)
		p.reset()
	})
	w.ready(p)
	broker, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	ended := false
	w.change(func() {
		p.broker = broker
		if ended = w.state == cut || w.closed; ended || p.forgotten {
			broker.Close()
		}
	})
	if ended {
		return
	}
	var down sync.WaitGroup
	down.Go(func() {
		w.pass(p, broker, p.daemon)
		w.change(func() {
			if !p.forgotten {
				p.reset()
			}
		})
	})
	w.pass(p, p.daemon, broker)
	broker.Close() // a clean end where the daemon's was
	down.Wait()
}

// ready waits while nothing is read.
func (w *wire) ready(p *pair) {
	for {
		w.mu.Lock()
		wait := w.state == stalled && !w.closed
		if w.more == nil {
			w.more = make(chan struct{})
		}
		more := w.more
		w.mu.Unlock()
		if !wait {
			return
		}
		<-more
	}
}

// pass passes packets on in one direction.
func (w *wire) pass(p *pair, from, to net.Conn) {
	reader := bufio.NewReader(from)
	for {
		packet, err := readPacket(reader)
		if err != nil {
			return
		}
		w.ready(p)
		forgotten, tear := false, false
		w.change(func() {
			forgotten = p.forgotten
			if tear = packet[0]>>4 == w.tear && !forgotten && (w.tear != packets.Publish || from == p.daemon); tear {
				w.tear = 0
				return
			}
			if !forgotten {
				w.note(p, from == p.daemon, packet)
			}
		})
		if forgotten {
			if from == p.daemon {
				continue
			}
			return
		}
		if tear {
			_, _ = to.Write(packet[:len(packet)/2]) // it is reset anyway
			w.change(func() {
				w.torn++
				p.reset()
			})
			return
		}
		if _, err := to.Write(packet); err != nil {
			return
		}
	}
}

// readPacket reads one MQTT packet as it is.
func readPacket(r *bufio.Reader) ([]byte, error) {
	kind, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	packet, length := []byte{kind}, 0
	for shift := 0; ; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		packet = append(packet, b)
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
		if shift > 21 {
			return nil, fmt.Errorf("read packet: want a length of at most 4 bytes")
		}
	}
	body := make([]byte, length)
	_, err = io.ReadFull(r, body)
	return append(packet, body...), err
}

// note remembers an event that the daemon sends, and that the broker has acknowledged it. The caller holds w.mu.
func (w *wire) note(p *pair, up bool, packet []byte) {
	kind := packet[0] >> 4
	if up && kind != packets.Publish || !up && kind != packets.Puback {
		return
	}
	parsed, err := packets.ReadPacket(bytes.NewReader(packet))
	if err != nil {
		return
	}
	switch packet := parsed.(type) {
	case *packets.PublishPacket:
		e := told{payload: string(packet.Payload)}
		if packet.Qos > 0 && strings.HasSuffix(packet.TopicName, "/event") && json.Unmarshal(packet.Payload, &e) == nil {
			p.pending[packet.MessageID] = e
		}
	case *packets.PubackPacket:
		e, ok := p.pending[packet.MessageID]
		if !ok {
			return
		}
		delete(p.pending, packet.MessageID)
		w.told, w.ids[e.ID] = append(w.told, e), true
		if _, known := w.acked[e.File]; !known && e.File != "" {
			w.acked[e.File] = time.Now()
		}
	}
}

// has says whether the broker has acknowledged an event of a file, and when.
func (w *wire) has(file string) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.acked[file]
	return at, ok
}

// count is how many events the broker has acknowledged, each once.
func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ids)
}

// all are the events that the broker has acknowledged so far, repeats too.
func (w *wire) all() []told {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told[:len(w.told):len(w.told)]
}
