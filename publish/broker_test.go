package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

func TestListen(t *testing.T) {
	noLeak(t)
	j, log := newJournal()
	b, err := Listen("127.0.0.1:0", ListenOptions{}, log)
	if err != nil {
		t.Fatal(err)
	}
	in := subscribe(t, mqttURL(b.Addr()), "a/+")
	c := start(t, quick(mqttURL(b.Addr()), nil))
	if err := c.Publish(deadline(t), classified("id", "x.jpg")); err != nil {
		t.Fatal(err)
	}
	if len(in) > 0 {
		t.Errorf("want nothing for another topic, have %d messages", len(in))
	}
	j.wait(t, 1, "embedded broker: ")
	if s := j.String(); strings.Contains(s, "level=INFO") || strings.Contains(s, "level=WARN") || strings.Contains(s, "level=ERROR") {
		t.Errorf("want debug lines only, have\n%s", s)
	}

	_, port, err := net.SplitHostPort(b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("listen on 127.0.0.1:%s (mqtt.listen): address already in use: another broker may run here; "+
		"set mqtt.broker to mqtt://127.0.0.1:%[1]s to use it, or mqtt.listen to another port", port)
	if _, err := Listen(b.Addr().String(), ListenOptions{}, nil); err == nil || err.Error() != want {
		t.Errorf("port in use:\nwant %s\nhave %v", want, err)
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestListenRefuses(t *testing.T) {
	for addr, want := range map[string]string{
		"0.0.0.0:0":     "want mqtt.user and mqtt.password with an address that other machines reach",
		":0":            "want mqtt.user and mqtt.password with an address that other machines reach",
		"[::]:0":        "want mqtt.user and mqtt.password with an address that other machines reach",
		"192.0.2.1:0":   "want mqtt.user and mqtt.password with an address that other machines reach",
		"127.0.0.1":     "want host:port",
		"127.0.0.1:x:1": "want host:port",
		"":              "want mqtt.user and mqtt.password with an address that other machines reach",
	} {
		b, err := Listen(addr, ListenOptions{}, nil)
		if err == nil {
			b.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), "listen on "+addr+" (mqtt.listen): "+want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: want one line with mqtt.listen and %q, have %v", addr, want, err)
		}
	}
}

// Whatever clients do or don't, Close ends them all: silent ones, those inside a packet, those that read nothing.
func TestBrokerClosesAll(t *testing.T) {
	noLeak(t)
	b, err := Listen("127.0.0.1:0", ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for range maxConns {
		conn, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	if _, err := conns[1].Write([]byte{0x10, 0x40, 0, 4, 'M'}); err != nil { // the beginning of CONNECT
		t.Fatal(err)
	}
	connect := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	connect.ProtocolName, connect.ProtocolVersion, connect.CleanSession, connect.ClientIdentifier = "MQTT", 4, true, "idle"
	if err := connect.Write(conns[2]); err != nil {
		t.Fatal(err)
	}
	if _, err := packets.ReadPacket(conns[2]); err != nil {
		t.Fatalf("read CONNACK: %v", err)
	}

	// One more than the broker takes is turned away.
	late, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	closed(t, late)

	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, conn := range conns {
		closed(t, conn)
	}
}

// closed wants the other side to have closed the connection.
func closed(t testing.TB, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, conn)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Fatal("want the connection closed, it is open")
	}
}

func TestBrokerRefusesLargePackets(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	conn, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{0x10, 0xff, 0xff, 0xff, 0x7f}); err != nil { // CONNECT of 256 MiB
		t.Fatal(err)
	}
	closed(t, conn)
}

// A packet that is refused by its length, before and after a login, leaves all room there is for others.
func TestBrokerRoomAfterRefusal(t *testing.T) {
	noLeak(t)
	b, _ := guard(t, ListenOptions{})
	for range 3 {
		w := asUser(t, b.Addr().String(), nil, "")
		if _, err := w.conn.Write([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}); err != nil { // PUBLISH of 256 MiB
			t.Fatal(err)
		}
		if err := w.await(deadline(t), func(packets.ControlPacket) bool { return false }); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("want the connection closed, have %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.gate.receiving.Acquire(ctx, b.gate.most); err != nil {
		t.Fatal("want all room free again, it isn't")
	}
	b.gate.receiving.Release(b.gate.most)
}
