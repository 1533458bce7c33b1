package publish

import (
	"errors"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Some brokers send a message again that isn't acknowledged soon, over the same connection. It is held once, and answered once.
func TestRequestRepeatedWhileHeld(t *testing.T) {
	noLeak(t)
	again, acknowledged := make(chan struct{}), make(chan uint16, 10)
	s := newScripted(t, func(n int, p *peer) {
		p.login(packets.Accepted)
		if n == 1 { // of answers
			for m := p.publish(); m != nil; m = p.publish() {
				p.ack(m)
			}
			return
		}
		subscribe, ok := p.read().(*packets.SubscribePacket)
		if !ok {
			return
		}
		ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
		ack.MessageID, ack.ReturnCodes = subscribe.MessageID, subscribe.Qoss
		p.write(ack)
		send := func(id uint16, dup bool, command string) {
			m := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
			m.MessageID, m.Dup, m.Qos, m.TopicName = id, dup, 1, RequestTopic(testBase, command)
			p.write(m)
		}
		send(7, false, Reload)
		send(7, true, Reload)
		send(8, true, HealthCheck) // of an earlier connection
		go func() {
			select {
			case <-again:
			case <-t.Context().Done():
				return
			}
			send(7, true, Reload) // held no more: as good as a new one
		}()
		for {
			switch m := p.read().(type) {
			case *packets.PubackPacket:
				acknowledged <- m.MessageID
			case nil:
				return
			}
		}
	})
	c := start(t, taking(s.url(), 4, nil))
	reload, health := request(t, c), request(t, c)
	if reload.Command != Reload || health.Command != HealthCheck || c.Stats().Requests.Held != 2 {
		t.Fatalf("want a reload and a health_check, have %s, %s, %d held", reload.Command, health.Command, c.Stats().Requests.Held)
	}
	for id, r := range map[uint16]*IncomingRequest{7: reload, 8: health} {
		if err := r.AnswerError(deadline(t), errors.New("done")); err != nil {
			t.Fatal(err)
		}
		if have := <-acknowledged; have != id {
			t.Errorf("want %d acknowledged, have %d", id, have)
		}
	}
	close(again)
	if r := request(t, c); r.Command != Reload {
		t.Errorf("want the reload again, have %s", r.Command)
	} else {
		r.Release()
	}
}
