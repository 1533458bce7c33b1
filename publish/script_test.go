package publish

import (
	"net"
	"sync"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// scripted is a broker that misbehaves as a test tells it to. It speaks just enough MQTT 3.1.1 for that.
type scripted struct {
	ln     net.Listener
	script func(n int, p *peer)

	mu    sync.Mutex
	peers []*peer
	wg    sync.WaitGroup
}

// peer is a client's connection, as the broker sees it.
type peer struct{ net.Conn }

// newScripted serves until the test's end. It calls script for the nth connection, from 1, and closes that afterwards.
func newScripted(t *testing.T, script func(n int, p *peer)) *scripted {
	t.Helper()
	s := &scripted{ln: listen(t), script: script}
	s.wg.Add(1)
	go s.serve()
	t.Cleanup(func() {
		s.ln.Close()
		s.mu.Lock()
		for _, p := range s.peers {
			p.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *scripted) url() string { return mqttURL(s.ln.Addr()) }

func (s *scripted) serve() {
	defer s.wg.Done()
	for n := 1; ; n++ {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		p := &peer{conn}
		s.mu.Lock()
		s.peers = append(s.peers, p)
		s.mu.Unlock()
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			defer p.Close()
			s.script(n, p)
		}()
	}
}

// read is the client's next packet, or nil when it is gone. Pings are answered on the way.
func (p *peer) read() packets.ControlPacket {
	for {
		packet, err := packets.ReadPacket(p)
		if err != nil {
			return nil
		}
		if _, ping := packet.(*packets.PingreqPacket); !ping {
			return packet
		}
		p.write(packets.NewControlPacket(packets.Pingresp))
	}
}

func (p *peer) write(packet packets.ControlPacket) {
	_ = packet.Write(p) // if the client is gone, read says so
}

// login answers CONNECT with code.
func (p *peer) login(code byte) *packets.ConnectPacket {
	connect, _ := p.read().(*packets.ConnectPacket)
	ack := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
	ack.ReturnCode = code
	p.write(ack)
	return connect
}

// publish is the client's next PUBLISH, or nil when it is gone. Those retained, and SUBSCRIBE, are acknowledged on the way.
func (p *peer) publish() *packets.PublishPacket {
	for {
		switch m := p.read().(type) {
		case *packets.SubscribePacket:
			ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			ack.MessageID, ack.ReturnCodes = m.MessageID, m.Qoss
			p.write(ack)
		case *packets.PublishPacket:
			if !m.Retain {
				return m
			}
			p.ack(m)
		case nil:
			return nil
		}
	}
}

func (p *peer) ack(m *packets.PublishPacket) {
	ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
	ack.MessageID = m.MessageID
	p.write(ack)
}

// drain reads until the client is gone.
func (p *peer) drain() {
	for p.read() != nil {
	}
}
