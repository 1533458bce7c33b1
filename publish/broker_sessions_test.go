package publish

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochipackets "github.com/mochi-mqtt/server/v2/packets"
)

// Sessions that nobody comes back to have a limit.
func TestBrokerSessions(t *testing.T) {
	noLeak(t)
	b, j := guard(t, ListenOptions{})
	login := func(id string, keep bool) error {
		c := paho.NewClient(paho.NewClientOptions().AddBroker(mqttURL(b.Addr())).SetClientID(id).SetCleanSession(!keep).SetAutoReconnect(false))
		token := c.Connect()
		token.WaitTimeout(patience)
		c.Disconnect(0)
		return token.Error()
	}
	for i := range maxSessions {
		if err := login(fmt.Sprint("s", i), true); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := login("one more", true); err == nil {
		t.Errorf("want session %d refused", maxSessions+1)
	}
	if err := login("s0", true); err != nil {
		t.Errorf("a known session: %v", err)
	}
	j.wait(t, 1, "level=WARN", "new clients are refused")
}

// persistent logs in with a session that is kept; acks says whether it acknowledges.
func persistent(t *testing.T, b *Broker, id string, acks bool, filters ...string) (paho.Client, <-chan paho.Message) {
	t.Helper()
	in := make(chan paho.Message, 1000)
	c := paho.NewClient(paho.NewClientOptions().AddBroker(mqttURL(b.Addr())).SetClientID(id).SetCleanSession(false).
		SetAutoReconnect(false).SetAutoAckDisabled(true).SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
		if acks {
			m.Ack()
		}
		in <- m
	}))
	settle(t, c.Connect())
	for _, f := range filters {
		settle(t, c.Subscribe(f, 1, nil))
	}
	t.Cleanup(func() { c.Disconnect(100) })
	return c, in
}

// A session that is kept gets, when it comes back, what it didn't acknowledge and what was published in the meantime.
func TestBrokerSession(t *testing.T) {
	noLeak(t)
	b, _ := guard(t, ListenOptions{})
	c, in := persistent(t, b, "keeper", false, "t/+")
	from := asUser(t, b.Addr().String(), nil, "")
	want := map[string]bool{}
	for i := range 20 {
		want[fmt.Sprint("t/", i)] = i < 10 // delivered before
		if i < 10 {
			from.say(t, fmt.Sprint("t/", i), "x")
			<-in
			continue
		}
		if i == 10 {
			c.Disconnect(100)
		}
		from.say(t, fmt.Sprint("t/", i), "x")
	}
	_, again := persistent(t, b, "keeper", true)
	for range 20 {
		var m paho.Message
		select {
		case m = <-again:
		case <-time.After(patience):
			t.Fatalf("%d messages haven't come: %v", len(want), want)
		}
		before, wanted := want[m.Topic()]
		if !wanted || before && !m.Duplicate() {
			t.Errorf("%s: wanted %v, duplicate %v", m.Topic(), wanted, m.Duplicate())
		}
		delete(want, m.Topic())
	}
}

// Members of a shared subscription get each message once, all together; what a member that was cut off has not acknowledged
// waits for it where its session is kept.
func TestBrokerShared(t *testing.T) {
	noLeak(t)
	b, _ := guard(t, ListenOptions{})
	const filter, messages = "$share/g/t/+", 300
	a, fromA := persistent(t, b, "a", false, filter)
	_, fromB := persistent(t, b, "b", true, filter)
	from := asUser(t, b.Addr().String(), nil, "")
	for i := range messages {
		from.say(t, fmt.Sprint("t/", i), "x")
	}
	seen := map[string]int{}
	toA := 0
	for range messages {
		select {
		case m := <-fromA:
			seen[m.Topic()]++
			toA++
		case m := <-fromB:
			seen[m.Topic()]++
		case <-time.After(patience):
			t.Fatalf("want %d messages, have %d", messages, len(seen))
		}
	}
	if len(seen) != messages || toA < messages/3 || toA > messages*2/3 {
		t.Errorf("want %d messages dealt out to two, have %d distinct, %d of them at one", messages, len(seen), toA)
	}
	a.Disconnect(0)
	_, again := persistent(t, b, "a", true)
	for i := range toA {
		select {
		case m := <-again:
			if !m.Duplicate() {
				t.Errorf("%s: want it marked as a repeat", m.Topic())
			}
		case <-time.After(patience):
			t.Fatalf("want %d messages, have %d", toA, i)
		}
	}
	if len(fromB) > 0 {
		t.Errorf("want none of them given to the other member, have %d", len(fromB))
	}
}

// A session that has expired takes no part of a shared subscription any more.
func TestBrokerExpiredSession(t *testing.T) {
	noLeak(t)
	b, _ := guard(t, ListenOptions{})
	conn, _ := five(t, b, "any")
	subscribe := mochipackets.Packet{
		FixedHeader: mochipackets.FixedHeader{Type: mochipackets.Subscribe, Qos: 1}, ProtocolVersion: 5, PacketID: 1,
		Filters: mochipackets.Subscriptions{{Filter: "$share/g/t", Qos: 1}},
	}
	var buf bytes.Buffer
	if err := subscribe.SubscribeEncode(&buf); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(buf.Bytes()); err != nil {
		t.Fatal(err)
	}
	await := func(what string, ok func() bool) {
		t.Helper()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ctx := deadline(t); !ok(); <-tick.C {
			if ctx.Err() != nil {
				t.Fatal("want " + what)
			}
		}
	}
	members := func() int { return len(b.server.Topics.Subscribers("t").Shared) } // groups with members
	await("the member", func() bool { return members() == 1 })
	conn.Close()
	await("the session forgotten", func() bool { return b.server.Clients.Len() == 0 })
	await("the member gone", func() bool { return members() == 0 })
}
