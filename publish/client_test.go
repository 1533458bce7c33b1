package publish

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2/packets"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

func TestPublish(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	in := subscribe(t, mqttURL(b.Addr()), testBase+"/#")
	opts := quick(mqttURL(b.Addr()), nil)
	info, err := InfoPayload(opts.Info, MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, opts)
	expect(t, in, InfoTopic(testBase), string(info))
	expect(t, in, StateTopic(testBase), Online)

	if err := c.SetAvailability("inbox", Online); err != nil {
		t.Fatal(err)
	}
	expect(t, in, AvailabilityTopic(testBase, "inbox"), Online)

	for i := range 3 {
		id := fmt.Sprint("event-", i)
		if err := c.Publish(deadline(t), classified(id, "a b/ü \"x\".jpg")); err != nil {
			t.Fatal(err)
		}
		m := next(t, in, EventTopic(testBase, "inbox"))
		if want := payload(t, id, "a b/ü \"x\".jpg"); string(m.Payload()) != want || m.Qos() != 1 || m.Retained() {
			t.Errorf("want QoS 1 and\n%s\nhave QoS %d, retained %v\n%s", want, m.Qos(), m.Retained(), m.Payload())
		}
	}

	if err := c.SetAvailability("inbox", Disabled); err != nil {
		t.Fatal(err)
	}
	expect(t, in, AvailabilityTopic(testBase, "inbox"), Disabled)

	// Who comes later finds what is retained, and no events.
	late := retained(t, mqttURL(b.Addr()), testBase+"/#", 3)
	for topic, want := range map[string]string{
		InfoTopic(testBase): string(info), StateTopic(testBase): Online, AvailabilityTopic(testBase, "inbox"): Disabled,
	} {
		if m := late[topic]; m == nil || string(m.Payload()) != want || m.Qos() != 1 {
			t.Errorf("%s: want %s retained with QoS 1, have %v", topic, want, m)
		}
	}
}

func TestPublishQoS0(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	in := subscribe(t, mqttURL(b.Addr()), EventTopic(testBase, "+"))
	opts := quick(mqttURL(b.Addr()), nil)
	opts.QoS = 0
	c := start(t, opts)
	if err := c.Publish(deadline(t), classified("id", "x.jpg")); err != nil {
		t.Fatal(err)
	}
	if m := next(t, in, EventTopic(testBase, "inbox")); m.Qos() != 0 {
		t.Errorf("want QoS 0, have %d", m.Qos())
	}
}

func TestPublishRefusesAtOnce(t *testing.T) {
	noLeak(t)
	c := start(t, quick("mqtt://127.0.0.1:1", nil)) // never reached: the errors come before
	e := classified("id", "x.jpg")
	for _, source := range []string{"", "bridge", "a/b", "+"} {
		e.Source = source
		if err := c.Publish(deadline(t), e); err == nil || !strings.HasPrefix(err.Error(), "publish event id: want a source's name") {
			t.Errorf("source %q: have %v", source, err)
		}
		if err := c.SetAvailability(source, Online); err == nil {
			t.Errorf("availability of source %q: want an error, have none", source)
		}
	}
	if err := c.SetAvailability("inbox", "on"); err == nil {
		t.Error(`availability "on": want an error, have none`)
	}
	e = classified("id", "x.jpg")
	e.InferMS = math.NaN()
	if err := c.Publish(deadline(t), e); err == nil || !strings.HasPrefix(err.Error(), "encode event id: ") {
		t.Errorf("a time that is no number: have %v", err)
	}
}

func TestBrokerComesLater(t *testing.T) {
	noLeak(t)
	port := reserve(t)
	j, log := newJournal()
	c := start(t, quick("mqtt://"+string(port), log))
	j.wait(t, 1, "MQTT broker not reached", "connection refused", string(port))
	published := make(chan error)
	go func() { published <- c.Publish(deadline(t), classified("early", "x.jpg")) }()
	w := newWitness()
	open(t, port.listen(t), w)
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	if n := w.count(EventTopic(testBase, "inbox"), []byte(payload(t, "early", "x.jpg"))); n != 1 {
		t.Errorf("want the event once, have it %d times", n)
	}
	j.wait(t, 1, "MQTT connected", string(port))
	if n := strings.Count(j.String(), "not reached"); n != 1 {
		t.Errorf("want one line while the broker is away, have %d:\n%s", n, j)
	}
}

// The first broker acknowledges 5 of 20 events, gets the others, and dies. Then another comes on the same port.
func TestBrokerKilledWithEventsOutstanding(t *testing.T) {
	noLeak(t)
	const events, acked = 20, 5
	port := reserve(t)
	first, second := newWitness(), newWitness()
	topic := EventTopic(testBase, "inbox")
	seen, all := 0, make(chan struct{})
	first.reject = func(p mochi.Packet) bool {
		if p.TopicName != topic {
			return false
		}
		if seen++; seen == events {
			close(all)
		}
		return seen > acked
	}
	old := open(t, port.listen(t), first)
	c := start(t, quick("mqtt://"+string(port), nil))
	if err := c.SetAvailability("inbox", Online); err != nil {
		t.Fatal(err)
	}

	var wg sync.WaitGroup
	for i := range events {
		wg.Go(func() {
			id := fmt.Sprint("event-", i)
			if err := c.Publish(deadline(t), classified(id, id+".jpg")); err != nil {
				t.Errorf("publish %s: %v", id, err)
				return
			}
			if body := []byte(payload(t, id, id+".jpg")); first.count(topic, body)+second.count(topic, body) == 0 {
				t.Errorf("%s is reported as delivered, but no broker has it", id)
			}
		})
	}
	select {
	case <-all:
	case <-deadline(t).Done():
		t.Fatal("the first broker didn't get all events")
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, port.listen(t), second)
	wg.Wait()

	fromFirst := 0
	for i := range events {
		id := fmt.Sprint("event-", i)
		body := []byte(payload(t, id, id+".jpg"))
		one, two := first.count(topic, body), second.count(topic, body)
		if one+two == 0 || one > 1 || two > 1 { // by both, where the acknowledgement was lost on the way
			t.Errorf("%s: want it once at a broker or at each, have it %d times at the first, %d at the second", id, one, two)
		}
		fromFirst += one
	}
	if fromFirst != acked {
		t.Errorf("want %d at the first broker, have %d", acked, fromFirst)
	}
	for topic, state := range map[string]string{StateTopic(testBase): Online, AvailabilityTopic(testBase, "inbox"): Online} {
		if n := second.count(topic, []byte(state)); n != 1 {
			t.Errorf("%s: want %s once at the new broker, have it %d times", topic, state, n)
		}
	}
}

func TestLineDroppedBeforePuback(t *testing.T) {
	noLeak(t)
	got := make(chan *packets.PublishPacket, 10)
	s := newScripted(t, func(n int, p *peer) {
		p.login(packets.Accepted)
		m := p.publish()
		if m == nil {
			return
		}
		got <- m
		if n == 1 {
			return // which drops the line
		}
		p.ack(m)
		p.publish() // acknowledges Offline
	})
	c := start(t, quick(s.url(), nil))
	if err := c.Publish(deadline(t), classified("again", "x.jpg")); err != nil {
		t.Fatal(err)
	}
	one, two := <-got, <-got
	if string(one.Payload) != string(two.Payload) || string(two.Payload) != payload(t, "again", "x.jpg") || two.Qos != 1 {
		t.Errorf("want the same message twice, have\n%s\n%s", one, two)
	}
	if two.Dup {
		t.Error("want DUP 0: it is a new session's first attempt (MQTT 3.1.1, section 3.3.1.1), have 1")
	}
	if len(got) > 0 {
		t.Errorf("want no third message, have %s", <-got)
	}
}

func TestBrokerThatNeverAcknowledges(t *testing.T) {
	noLeak(t)
	s := newScripted(t, func(n int, p *peer) {
		p.login(packets.Accepted)
		for m := p.publish(); m != nil; m = p.publish() {
			if n > 1 {
				p.ack(m)
			}
		}
	})
	j, log := newJournal()
	opts := quick(s.url(), log)
	opts.times.ack = 50 * time.Millisecond
	c := start(t, opts)
	if err := c.Publish(deadline(t), classified("id", "x.jpg")); err != nil {
		t.Fatal(err)
	}
	j.wait(t, 1, "MQTT connection lost", "no acknowledgement in time")
}

func TestPublishEndsWithContext(t *testing.T) {
	noLeak(t)
	arrived := make(chan struct{}, 1)
	s := newScripted(t, func(_ int, p *peer) {
		p.login(packets.Accepted)
		if p.publish() != nil {
			arrived <- struct{}{}
			p.drain()
		}
	})
	c := start(t, quick(s.url(), nil))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-arrived
		cancel()
	}()
	if err := c.Publish(ctx, classified("id", "x.jpg")); !errors.Is(err, context.Canceled) {
		t.Errorf("without PUBACK: want %v, have %v", context.Canceled, err)
	}
	if err := c.Publish(ctx, classified("id", "x.jpg")); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: want %v, have %v", context.Canceled, err)
	}
	// The broker reads on, but acknowledges nothing: Close must not wait for that longer than told.
	if err := c.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close: want %v, have %v", context.Canceled, err)
	}
	if err := c.Publish(deadline(t), classified("id", "x.jpg")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: want %v, have %v", ErrClosed, err)
	}
	c.unsaid = nil // for start's Close
}

func TestWill(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	in := subscribe(t, mqttURL(b.Addr()), StateTopic(testBase))
	c := start(t, quick(mqttURL(b.Addr()), nil))
	expect(t, in, StateTopic(testBase), Online)
	sever(t, c)
	expect(t, in, StateTopic(testBase), Offline)
	expect(t, in, StateTopic(testBase), Online)
}

func TestCloseSaysOffline(t *testing.T) {
	noLeak(t)
	w := newWitness()
	b := open(t, listen(t), w)
	in := subscribe(t, mqttURL(b.Addr()), StateTopic(testBase))
	c := start(t, quick(mqttURL(b.Addr()), nil))
	expect(t, in, StateTopic(testBase), Online)
	for range 2 { // the second changes nothing
		if err := c.Close(deadline(t)); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, in, StateTopic(testBase), Offline)
	if id := <-w.gone; id != c.opts.ClientID {
		t.Fatalf("want the end of %s, have that of %s", c.opts.ClientID, id)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wills != 0 {
		t.Errorf("want no will after DISCONNECT, have %d", w.wills)
	}
	if m := retained(t, mqttURL(b.Addr()), StateTopic(testBase), 1)[StateTopic(testBase)]; string(m.Payload()) != Offline {
		t.Errorf("want %s retained, have %s", Offline, m.Payload())
	}
}

// What was said of a source just before Close reaches the broker.
func TestCloseSaysWhatIsUnavailable(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), newWitness())
	in := subscribe(t, mqttURL(b.Addr()), AvailabilityTopic(testBase, "inbox"))
	c := start(t, quick(mqttURL(b.Addr()), nil))
	if err := c.SetAvailability("inbox", Online); err != nil {
		t.Fatal(err)
	}
	expect(t, in, AvailabilityTopic(testBase, "inbox"), Online)
	if err := c.SetAvailability("inbox", Offline); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(deadline(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, in, AvailabilityTopic(testBase, "inbox"), Offline)
}

// However far a connection has come, Close ends the attempt.
func TestCloseWhileDisconnected(t *testing.T) {
	for name, stage := range map[string]func(p *peer, reached func()){
		"before CONNACK": func(p *peer, reached func()) { p.read(); reached(); p.drain() },
		"before PUBACK":  func(p *peer, reached func()) { p.login(packets.Accepted); p.read(); reached(); p.drain() },
		"in backoff":     func(p *peer, reached func()) { p.login(packets.ErrRefusedServerUnavailable); reached() },
	} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			there := make(chan struct{})
			var once sync.Once
			s := newScripted(t, func(_ int, p *peer) { stage(p, func() { once.Do(func() { close(there) }) }) })
			opts := quick(s.url(), nil)
			opts.times.backoff = func(int) time.Duration { return time.Hour }
			c, err := New(opts)
			if err != nil {
				t.Fatal(err)
			}
			<-there
			ctx, cancel := context.WithCancel(context.Background())
			cancel() // "before PUBACK" has something to say, but nobody to acknowledge it
			if err := c.Close(ctx); err != nil && name != "before PUBACK" {
				t.Error(err)
			}
		})
	}
}

// thief is another client with the same id: the broker throws the first out for it.
func thief(t *testing.T, broker, clientID string) {
	t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker(broker).SetClientID(clientID).SetAutoReconnect(false))
	settle(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(uint(patience.Milliseconds())) })
}

func TestClientIDTakenOver(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	j, log := newJournal()
	opts := quick(mqttURL(b.Addr()), log)
	opts.times.now = func() time.Time { return when } // no time passes
	start(t, opts)
	for n := 1; n <= manyLosses; n++ {
		j.wait(t, n, "MQTT connected")
		thief(t, mqttURL(b.Addr()), opts.ClientID)
	}
	j.wait(t, 1, "another client use the same client id", opts.ClientID)
}

func BenchmarkPublish(b *testing.B) {
	broker := open(b, listen(b), new(allowAll))
	c := start(b, quick(mqttURL(broker.Addr()), nil))
	e := classified("01J8Z6", "cats/0007.jpg")
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Publish(ctx, e); err != nil {
			b.Fatal(err)
		}
	}
}
