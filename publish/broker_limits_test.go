package publish

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
	mochipackets "github.com/mochi-mqtt/server/v2/packets"
)

// guard opens a broker as Listen does, with a quick answer to wrong passwords.
func guard(t *testing.T, o ListenOptions) (*Broker, *journal) {
	t.Helper()
	j, log := newJournal()
	b, err := Listen("127.0.0.1:0", o, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close the broker: %v", err)
		}
	})
	return b, j
}

// With a password everybody needs it, on this machine too, in MQTT 3.1.1 and 5.
func TestListenPassword(t *testing.T) {
	noLeak(t)
	b, j := guard(t, ListenOptions{User: "cam", Password: "s3cret", delay: time.Millisecond})
	addr := b.Addr().String()
	for _, tt := range []struct {
		user, password string
		want           byte
	}{
		{"cam", "s3cret", packets.Accepted},
		{"cam", "s3cre", packets.ErrRefusedNotAuthorised},
		{"cam", "s3crett", packets.ErrRefusedNotAuthorised},
		{"cam", "", packets.ErrRefusedNotAuthorised},
		{"CAM", "s3cret", packets.ErrRefusedNotAuthorised},
		{"", "", packets.ErrRefusedNotAuthorised},
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		w := newWire(conn, 1000)
		code, err := w.connect(deadline(t), "id", tt.user, tt.password)
		if err != nil || code != tt.want {
			t.Errorf("%q %q: want code %d, have %d, %v", tt.user, tt.password, tt.want, code, err)
		}
		w.close(deadline(t))
	}
	line := j.wait(t, 1, "level=WARN", "wrong user or password", "remote=127.0.0.1:", "attempts=1")
	if strings.Contains(line, "s3cre") || strings.Count(j.String(), "wrong user or password") != 1 {
		t.Errorf("want one line without a password, have\n%s", j)
	}
	report := mustCheck(t, quick(mqttURL(b.Addr()), nil), CheckOptions{})
	wantStage(t, report, "CONNECT", StageFailed, "not authorized")
	opts := quick(mqttURL(b.Addr()), nil)
	opts.User, opts.Password = "cam", "s3cret"
	if report := mustCheck(t, opts, CheckOptions{Discovery: "homeassistant", Fleet: "f"}); !report.OK {
		t.Errorf("want all to pass, have\n%s", table(report))
	}

	_, answer := five(t, b, "wrong")
	if answer[3] != 0x86 {
		t.Errorf("MQTT 5: want CONNACK with 0x86, have % x", answer)
	}
}

// five logs in with MQTT 5, as cam, with a session that is kept for a second, and returns the first bytes of CONNACK.
func five(t *testing.T, b *Broker, password string) (net.Conn, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	connect := mochipackets.Packet{
		FixedHeader: mochipackets.FixedHeader{Type: mochipackets.Connect}, ProtocolVersion: 5,
		Properties: mochipackets.Properties{SessionExpiryInterval: 1, SessionExpiryIntervalFlag: true},
		Connect: mochipackets.ConnectParams{
			ProtocolName: []byte("MQTT"), ClientIdentifier: "five",
			UsernameFlag: true, Username: []byte("cam"), PasswordFlag: true, Password: []byte(password),
		},
	}
	var buf bytes.Buffer
	if err := connect.ConnectEncode(&buf); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(buf.Bytes()); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != 0x20 {
		t.Fatalf("want CONNACK, have % x, %v", answer, err)
	}
	return conn, answer
}

// Others than loopback want a password, and a warning.
func TestListenAbroad(t *testing.T) {
	noLeak(t)
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", ":0"} {
		for _, o := range []ListenOptions{{}, {User: "cam"}, {Password: "s3cret"}} {
			b, err := Listen(addr, o, nil)
			if err == nil {
				b.Close()
			}
			if err == nil || !containsAll(err.Error(), []string{"mqtt.listen", "mqtt.user", "mqtt.password"}) {
				t.Errorf("%s %+v: want an error that names the keys, have %v", addr, o, err)
			}
		}
	}
	j, log := newJournal()
	b, err := Listen("0.0.0.0:0", ListenOptions{User: "cam", Password: "s3cret"}, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	j.wait(t, 1, "level=WARN", "unencrypted")
	if n := strings.Count(j.String(), "level=WARN"); n != 1 {
		t.Errorf("want one warning, have\n%s", j)
	}
}

// Who guesses passwords waits for each answer, and takes few connections; who knows it gets in when one of them is free.
func TestListenGuesses(t *testing.T) {
	noLeak(t)
	b, _ := guard(t, ListenOptions{User: "cam", Password: "s3cret"})
	var guesses []net.Conn
	for range maxNewcomers {
		conn, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		guesses = append(guesses, conn)
	}
	late, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	closed(t, late)
	guesses[0].Close()
	c := quick(mqttURL(b.Addr()), nil)
	c.User, c.Password = "cam", "s3cret"
	if err := start(t, c).Publish(deadline(t), classified("id", "x.jpg")); err != nil {
		t.Fatal(err)
	}
	b.gate.mu.Lock()
	defer b.gate.mu.Unlock()
	if n := b.gate.fresh[netip.MustParseAddr("127.0.0.1")]; n > maxNewcomers-1 {
		t.Errorf("want at most %d connections that have not logged in, have %d", maxNewcomers-1, n)
	}
}

func TestOrigin(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:99":               "192.0.2.1",
		"[::ffff:192.0.2.1]:99":      "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:99":  "2001:db8:1:2::",
		"[fe80::1:2:3:4%lo]:99":      "fe80::",
		"[2001:db8:1:2:ffff::9]:100": "2001:db8:1:2::",
	} {
		if have := remoteHost(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))); have.String() != want {
			t.Errorf("%s: want %s, have %s", addr, want, have)
		}
	}
}

// A packet up to the limit passes, one over it ends its connection, and the first packet has a limit of its own.
func TestListenMaxPacket(t *testing.T) {
	noLeak(t)
	const limit = 3 << 20
	b, _ := guard(t, ListenOptions{MaxPacket: limit})
	to, from := asUser(t, b.Addr().String(), nil, ""), asUser(t, b.Addr().String(), nil, "")
	to.hear(t, "#")
	from.say(t, "t", strings.Repeat("x", limit-100))
	to.until(t, "t")
	if err := from.publish(deadline(t), func(*packets.PublishPacket) {}, "t", make([]byte, limit), false); !hungUp(err) {
		t.Errorf("want the connection closed over %d bytes, have %v", limit, err)
	}

	conn, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{0x10, 0x80, 0x80, 0x40}); err != nil { // CONNECT of 1 MiB, which a PUBLISH may have
		t.Fatal(err)
	}
	closed(t, conn)
}

// freeze logs a client in that subscribes to filter and then reads nothing any more.
func freeze(t *testing.T, b *Broker, filter string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &peer{conn}
	connect := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	connect.ProtocolName, connect.ProtocolVersion, connect.CleanSession, connect.ClientIdentifier = "MQTT", 4, true, "frozen"
	p.write(connect)
	p.read()
	sub := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	sub.MessageID, sub.Topics, sub.Qoss = 1, []string{filter}, []byte{1}
	p.write(sub)
	p.read()
	return conn
}

// A subscriber that stops reading is thrown out. (While mochi writes to it, it holds up all who publish to it.)
func TestBrokerFrozenSubscriber(t *testing.T) {
	noLeak(t)
	b, _ := guard(t, ListenOptions{})
	b.gate.stall = 100 * time.Millisecond // nobody reads it yet
	freeze(t, b, "t")
	from := asUser(t, b.Addr().String(), nil, "")
	payload := strings.Repeat("x", 512<<10)
	for range 64 { // 32 MiB are more than the sockets hold
		from.say(t, "t", payload)
	}
	if _, ok := b.server.Clients.Get("frozen"); ok {
		t.Error("want the client gone that read nothing")
	}
}

// What waits for clients that are away is bounded in bytes: they lose, the others don't.
func TestBrokerMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	noLeak(t)
	b, j := guard(t, ListenOptions{MaxPacket: 2 << 20})
	addr := b.Addr().String()
	for i := range 8 { // sessions that are left behind
		c := paho.NewClient(paho.NewClientOptions().AddBroker("mqtt://" + addr).SetClientID(fmt.Sprint("away-", i)).SetCleanSession(false))
		settle(t, c.Connect())
		settle(t, c.Subscribe("t", 1, nil))
		c.Disconnect(0)
	}
	here, from := asUser(t, addr, nil, ""), asUser(t, addr, nil, "")
	here.hear(t, "t", "end")
	payload := strings.Repeat("x", 1<<20)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done := make(chan []string, 1)
	go func() { done <- here.until(t, "end") }()
	const messages = 100 // 8 x 100 MiB for those away
	for range messages {
		from.say(t, "t", payload)
	}
	from.say(t, "end", "")
	if have := len(<-done); have != messages+1 {
		t.Errorf("want all %d messages for who reads, have %d", messages, have-1)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2*minMemory {
		t.Errorf("want at most about %d bytes kept, have %d", minMemory, grown)
	}
	j.wait(t, 1, "level=WARN", "what waited for a client is dropped", "client_id=away-")
}

// Retained messages may not fill the memory.
func TestBrokerRetainedLimit(t *testing.T) {
	noLeak(t)
	b, j := guard(t, ListenOptions{})
	from := asUser(t, b.Addr().String(), nil, "")
	payload := bytes.Repeat([]byte{'x'}, 1<<20-100)
	for i := range 80 {
		if err := from.publish(deadline(t), func(*packets.PublishPacket) {}, fmt.Sprint("t/", i), payload, true); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for _, pk := range b.server.Topics.Retained.GetAll() {
		total += len(pk.Payload)
	}
	if total > minMemory/2 || total < minMemory/4 {
		t.Errorf("want at most %d bytes retained, and not many fewer, have %d", minMemory/2, total)
	}
	j.wait(t, 1, "level=WARN", "not retained")
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{0x10, 2, 'a', 'b', 0xc0, 0, 0x30, 0x80, 1}, uint64(1))
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 1}, uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		// The same packets are seen however the stream is cut.
		whole, err := lengths(data, func(n int) int { return n })
		r := rand.New(rand.NewPCG(seed, 0))
		pieces, err2 := lengths(data, func(n int) int { return 1 + r.IntN(n) })
		if fmt.Sprint(whole, err) != fmt.Sprint(pieces, err2) {
			t.Errorf("whole: %v, %v\nin pieces: %v, %v", whole, err, pieces, err2)
		}
	})
}

// lengths feeds data in pieces, and returns the lengths of the bodies that began, and how many were complete.
func lengths(data []byte, piece func(n int) int) (all []int, err error) {
	var f frame
	complete := 0
	for len(data) > 0 && err == nil {
		n := piece(len(data))
		err = f.feed(data[:n], func(length int) error { all = append(all, length); return nil }, func() { complete++ })
		data = data[n:]
	}
	return append(all, -complete), err
}

// Large packets wait for each other: together they are no more than the gate's limit.
func TestGateReceiving(t *testing.T) {
	g := newGate(nil, 1<<20)
	g.stall = time.Millisecond
	first, second := &gated{gate: g, begun: true}, &gated{gate: g, begun: true}
	if err := first.begin(700 << 10); err != nil {
		t.Fatal(err)
	}
	if err := second.begin(700 << 10); err != errNoRoom {
		t.Errorf("want %v, have %v", errNoRoom, err)
	}
	if err := second.begin(maxConnect); err != nil {
		t.Errorf("a small one: %v", err)
	}
	first.end()
	first.end()
	if err := second.begin(2 << 20); err != nil {
		t.Errorf("after the end of the first: %v", err)
	}
	g.cancel()
	if err := (&gated{gate: g}).begin(maxConnect + 1); err != errLongConnect {
		t.Errorf("want %v, have %v", errLongConnect, err)
	}
}
