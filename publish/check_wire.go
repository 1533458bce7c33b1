package publish

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// maxAnswer bounds a packet's body from a broker under test, beside the payload that it sends back.
const maxAnswer = 64 << 10

// wire is MQTT 3.1.1 on a connection, packet by packet: Check wants to see each answer, which paho keeps to itself.
type wire struct {
	conn net.Conn
	in   chan packets.ControlPacket // what came, in order; closed at the connection's end
	err  error                      // why it ended; set before in is closed
	stop chan struct{}              // closed by close
	next uint16                     // packet identifier
}

// newWire reads packets of conn, which it owns, with bodies of at most limit bytes.
func newWire(conn net.Conn, limit int) *wire {
	w := &wire{conn: conn, in: make(chan packets.ControlPacket), stop: make(chan struct{})}
	go w.receive(limit)
	return w
}

func (w *wire) receive(limit int) {
	defer close(w.in)
	r := bufio.NewReader(w.conn)
	if start, err := r.Peek(1); err == nil && start[0] != packets.Connack<<4 {
		start, _ = r.Peek(min(r.Buffered(), 16)) // all of it is there
		w.err = notMQTT(bytes.Clone(start))
		return
	}
	for {
		p, err := readPacket(r, limit)
		if err != nil {
			w.err = bare(err)
			return
		}
		select {
		case w.in <- p:
		case <-w.stop:
			w.err = net.ErrClosed
			return
		}
	}
}

// readPacket reads one packet. paho's own reader would make room for up to 256 MiB because a stranger said so.
func readPacket(r *bufio.Reader, limit int) (packets.ControlPacket, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	length := 0
	for shift := 0; ; shift += 7 { // MQTT 3.1.1, section 2.2.3
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
		if shift == 21 {
			return nil, errors.New("read packet: want a length of at most 4 bytes, have more")
		}
	}
	if length > limit {
		return nil, fmt.Errorf("read packet: want at most %d bytes, have %d", limit, length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	p, err := packets.NewControlPacketWithHeader(packets.FixedHeader{
		MessageType: first >> 4, Dup: first&8 != 0, Qos: first >> 1 & 3, Retain: first&1 != 0, RemainingLength: length,
	})
	if err != nil {
		return nil, fmt.Errorf("read packet: %w", err)
	}
	if err := p.Unpack(bytes.NewBuffer(body)); err != nil {
		return nil, fmt.Errorf("read packet of type %d: %w", first>>4, err)
	}
	return p, nil
}

// send writes a packet. The end of ctx cuts the connection: a broker that doesn't read could keep it for ever.
func (w *wire) send(ctx context.Context, p packets.ControlPacket) error {
	stop := context.AfterFunc(ctx, func() { w.conn.Close() }) // it is lost either way
	defer stop()
	if err := p.Write(w.conn); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return w.end(ctx, bare(err))
	}
	return nil
}

// end is why the connection ended, which the last thing that came says better than err, with which nothing could be sent.
func (w *wire) end(ctx context.Context, err error) error {
	for {
		select {
		case _, ok := <-w.in:
			if !ok {
				return w.err
			}
		case <-ctx.Done():
			return err
		}
	}
}

// await hands packets to seen until that reports true. QoS 1 messages are acknowledged. Its errors are the cause of ctx, and
// that of the connection's end.
func (w *wire) await(ctx context.Context, seen func(packets.ControlPacket) bool) error {
	for {
		select {
		case p, ok := <-w.in:
			if !ok {
				return w.err
			}
			if m, ok := p.(*packets.PublishPacket); ok && m.Qos == 1 {
				ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
				ack.MessageID = m.MessageID
				if err := w.send(ctx, ack); err != nil {
					return err
				}
			}
			if seen(p) {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// connect logs in with a clean session, and returns the broker's code.
func (w *wire) connect(ctx context.Context, clientID, user, password string) (code byte, err error) {
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion = "MQTT", 4
	p.CleanSession, p.ClientIdentifier, p.Keepalive = true, clientID, 300
	p.UsernameFlag, p.Username = user != "", user
	p.PasswordFlag, p.Password = password != "", []byte(password)
	if err := w.send(ctx, p); err != nil {
		return 0, err
	}
	err = w.await(ctx, func(p packets.ControlPacket) bool {
		ack, ok := p.(*packets.ConnackPacket)
		if ok {
			code = ack.ReturnCode
		}
		return ok
	})
	return code, err
}

// identify makes next the following packet identifier. 0 is none.
func (w *wire) identify() { w.next = w.next%65535 + 1 }

// subscribe asks for filters with QoS 1, and returns those that the broker refused. What comes in the meantime goes to also.
func (w *wire) subscribe(ctx context.Context, also func(*packets.PublishPacket), filters ...string) (refused []string, err error) {
	w.identify()
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	p.MessageID, p.Topics, p.Qoss = w.next, filters, bytes.Repeat([]byte{1}, len(filters))
	if err := w.send(ctx, p); err != nil {
		return nil, err
	}
	var codes []byte
	err = w.await(ctx, func(in packets.ControlPacket) bool {
		switch in := in.(type) {
		case *packets.PublishPacket:
			also(in)
		case *packets.SubackPacket:
			codes = in.ReturnCodes
			return in.MessageID == p.MessageID
		}
		return false
	})
	for i, filter := range filters {
		if err == nil && (i >= len(codes) || codes[i] > 2) {
			refused = append(refused, filter)
		}
	}
	return refused, err
}

// publish sends a message with QoS 1 and waits for PUBACK. What comes in the meantime goes to also.
func (w *wire) publish(ctx context.Context, also func(*packets.PublishPacket), topic string, payload []byte, retain bool) error {
	w.identify()
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.MessageID, p.TopicName, p.Payload, p.Qos, p.Retain = w.next, topic, payload, 1, retain
	if err := w.send(ctx, p); err != nil {
		return err
	}
	return w.await(ctx, func(in packets.ControlPacket) bool {
		switch in := in.(type) {
		case *packets.PublishPacket:
			also(in)
		case *packets.PubackPacket:
			return in.MessageID == p.MessageID
		}
		return false
	})
}

// close ends the connection, with DISCONNECT if there still is one, and waits for the reader.
func (w *wire) close(ctx context.Context) {
	close(w.stop)
	stop := context.AfterFunc(ctx, func() { w.conn.Close() })
	defer stop()
	_ = packets.NewControlPacket(packets.Disconnect).Write(w.conn) // the connection may be gone
	w.conn.Close()                                                 // its end is the point
	for range w.in {
	}
}
