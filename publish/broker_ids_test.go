package publish

import (
	"fmt"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// talk sends a packet over conn, and returns the first that comes which is no PUBLISH.
func talk(t *testing.T, conn net.Conn, p packets.ControlPacket) packets.ControlPacket {
	t.Helper()
	if err := p.Write(conn); err != nil {
		t.Fatal(err)
	}
	for {
		answer := read(t, conn)
		if _, ok := answer.(*packets.PublishPacket); !ok {
			return answer
		}
	}
}

func read(t *testing.T, conn net.Conn) packets.ControlPacket {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	p, err := packets.ReadPacket(conn)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// keeper logs in with a session that is kept, and reads so many deliveries: their ids by topic.
func keeper(t *testing.T, b *Broker, deliveries int, say func(conn net.Conn)) (net.Conn, map[string]uint16) {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() }) // its end is the point
	connect := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	connect.ProtocolName, connect.ProtocolVersion, connect.ClientIdentifier = "MQTT", 4, "keeper"
	if code := talk(t, conn, connect).(*packets.ConnackPacket).ReturnCode; code != 0 {
		t.Fatalf("want CONNACK 0, have %d", code)
	}
	say(conn)
	ids := map[string]uint16{}
	for range deliveries {
		p, ok := read(t, conn).(*packets.PublishPacket)
		if !ok {
			t.Fatalf("want PUBLISH, have %v", p)
		}
		ids[p.TopicName] = p.MessageID
	}
	return conn, ids
}

// A client may use any packet ids, those of deliveries to it included that it hasn't acknowledged yet: its packets are answered as others are,
// and the deliveries come again with its session.
func TestBrokerPacketIDs(t *testing.T) {
	noLeak(t)
	b, _ := guard(t, ListenOptions{})
	from := asUser(t, b.Addr().String(), nil, "")
	subscribe := func(id uint16, topic string) *packets.SubscribePacket {
		p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
		p.MessageID, p.Topics, p.Qoss = id, []string{topic}, []byte{1}
		return p
	}
	publish := func(id uint16, qos byte) *packets.PublishPacket {
		p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		p.MessageID, p.Qos, p.TopicName, p.Payload = id, qos, fmt.Sprint("u/", id), []byte("x")
		return p
	}
	unsubscribe := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
	unsubscribe.MessageID, unsubscribe.Topics = 4, []string{"v/+"}
	pubrel := packets.NewControlPacket(packets.Pubrel).(*packets.PubrelPacket)
	pubrel.MessageID = 3

	const n = 4
	conn, ids := keeper(t, b, n, func(conn net.Conn) {
		talk(t, conn, subscribe(1, "t/+"))
		for i := range n {
			from.say(t, fmt.Sprint("t/", i), "x")
		}
	})
	if want := map[string]uint16{"t/0": 1, "t/1": 2, "t/2": 3, "t/3": 4}; !reflect.DeepEqual(ids, want) {
		t.Fatalf("this test wants ids %v of the broker's, has %v", want, ids)
	}
	from.hear(t, "u/+")
	if p, ok := talk(t, conn, publish(1, 1)).(*packets.PubackPacket); !ok || p.MessageID != 1 {
		t.Errorf("PUBLISH with QoS 1: want PUBACK 1, have %v", p)
	}
	if p, ok := talk(t, conn, subscribe(2, "v/+")).(*packets.SubackPacket); !ok || p.MessageID != 2 || !reflect.DeepEqual(p.ReturnCodes, []byte{1}) {
		t.Errorf("SUBSCRIBE: want SUBACK 2 with code 1, have %v", p)
	}
	for range 2 { // the second is a repeat
		if p, ok := talk(t, conn, publish(3, 2)).(*packets.PubrecPacket); !ok || p.MessageID != 3 {
			t.Errorf("PUBLISH with QoS 2: want PUBREC 3, have %v", p)
		}
	}
	if p, ok := talk(t, conn, pubrel).(*packets.PubcompPacket); !ok || p.MessageID != 3 {
		t.Errorf("PUBREL: want PUBCOMP 3, have %v", p)
	}
	if p, ok := talk(t, conn, unsubscribe).(*packets.UnsubackPacket); !ok || p.MessageID != 4 {
		t.Errorf("UNSUBSCRIBE: want UNSUBACK 4, have %v", p)
	}
	if have := from.until(t, "u/3"); !reflect.DeepEqual(have, []string{"u/1", "u/3"}) {
		t.Errorf("want what was published to arrive, have %q", have)
	}
	conn.Close()
	_, again := keeper(t, b, n, func(net.Conn) {})
	if !reflect.DeepEqual(again, ids) {
		t.Errorf("want the deliveries %v again, have %v", ids, again)
	}
}
