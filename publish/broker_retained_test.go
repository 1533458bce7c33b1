package publish

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	mochipackets "github.com/mochi-mqtt/server/v2/packets"
)

// Who subscribes with a wildcard while messages are retained, cleared, and left as wills gets what is retained, and nothing races.
func TestBrokerRetainedWhileSubscribing(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	addr := b.Addr().String()
	fixed := asUser(t, addr, nil, "")
	if err := fixed.publish(deadline(t), func(*packets.PublishPacket) {}, "t/fixed/last", []byte("x"), true); err != nil {
		t.Fatal(err)
	}
	const rounds = 200
	stop := make(chan struct{})
	var publishers, subscribers sync.WaitGroup
	for i := range 2 {
		w := asUser(t, addr, nil, "")
		publishers.Go(func() {
			until(t, stop, func(n int) error {
				payload := []byte("x")
				if n%3 == 2 {
					payload = nil // forgotten again
				}
				return w.publish(deadline(t), func(*packets.PublishPacket) {}, fmt.Sprintf("t/p%d/%d", i, n/3%8), payload, true)
			})
		})
	}
	publishers.Go(func() {
		until(t, stop, func(n int) error { return leaveWill(addr, fmt.Sprintf("t/will/%d", n%8)) })
	})
	for i := range 3 {
		w := asUser(t, addr, nil, "")
		filter := []string{"t/+/last", "t/#", "+/fixed/+"}[i]
		subscribers.Go(func() {
			for range rounds {
				came := make(map[string]bool)
				hear := func(m *packets.PublishPacket) { came[m.TopicName] = came[m.TopicName] || m.Retain }
				if refused, err := w.subscribe(deadline(t), hear, filter); err != nil || len(refused) > 0 {
					t.Errorf("subscribe to %s: refused %q, %v", filter, refused, err)
					return
				}
				for !came["t/fixed/last"] {
					if err := w.await(deadline(t), func(p packets.ControlPacket) bool {
						m, ok := p.(*packets.PublishPacket)
						if ok {
							hear(m)
						}
						return ok
					}); err != nil {
						t.Errorf("%s: want t/fixed/last, which is retained: %v", filter, err)
						return
					}
				}
			}
		})
	}
	subscribers.Wait()
	close(stop)
	publishers.Wait()
}

// leaveWill connects with a retained will, and goes without a word.
func leaveWill(addr, topic string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion, p.CleanSession, p.ClientIdentifier = "MQTT", 4, true, "will"
	p.WillFlag, p.WillRetain, p.WillTopic, p.WillMessage = true, true, topic, []byte("gone")
	if err := p.Write(conn); err != nil {
		return err
	}
	_, err = packets.ReadPacket(conn) // CONNACK
	return err
}

// A will that is to be retained is sent as soon as its client is gone, whatever delay it has: see retainLock.
func TestBrokerDelayedWill(t *testing.T) {
	noLeak(t)
	b, _ := guard(t, ListenOptions{})
	listener := asUser(t, b.Addr().String(), nil, "")
	listener.hear(t, "t/+")
	conn, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	connect := mochipackets.Packet{
		FixedHeader: mochipackets.FixedHeader{Type: mochipackets.Connect}, ProtocolVersion: 5,
		Properties: mochipackets.Properties{SessionExpiryInterval: 3600, SessionExpiryIntervalFlag: true},
		Connect: mochipackets.ConnectParams{
			ProtocolName: []byte("MQTT"), ClientIdentifier: "five", WillFlag: true, WillRetain: true, WillTopic: "t/will", WillPayload: []byte("gone"),
			WillProperties: mochipackets.Properties{WillDelayInterval: 3600},
		},
	}
	var buf bytes.Buffer
	if err := connect.ConnectEncode(&buf); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(buf.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil { // of CONNACK
		t.Fatal(err)
	}
	conn.Close()
	listener.until(t, "t/will")
	late := asUser(t, b.Addr().String(), nil, "")
	late.hear(t, "t/will")
	late.until(t, "t/will")
}

// Several of the broker's own topics can't be asked for at a time, one can.
func TestBrokerSysTopics(t *testing.T) {
	noLeak(t)
	b, _ := guard(t, ListenOptions{})
	w := asUser(t, b.Addr().String(), nil, "")
	refused, err := w.subscribe(deadline(t), func(*packets.PublishPacket) {}, "$SYS/#", "$SYS/broker/+", "#")
	if want := []string{"$SYS/#", "$SYS/broker/+"}; err != nil || !slices.Equal(refused, want) {
		t.Errorf("want %q refused, have %q, %v", want, refused, err)
	}
	w.hear(t, "$SYS/broker/version")
	w.until(t, "$SYS/broker/version")
}
