package publish

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// What a broker that goes away has not acknowledged is sent again first, all in the order in which it was sent before.
func TestOrderOverReconnect(t *testing.T) {
	noLeak(t)
	const events = 3 * Window
	var mu sync.Mutex
	got := map[int][]string{} // ids by connection
	s := newScripted(t, func(n int, p *peer) {
		p.login(packets.Accepted)
		for i := 0; ; i++ {
			m := p.publish()
			if m == nil {
				return
			}
			mu.Lock()
			got[n] = append(got[n], eventID(m.Payload))
			full := len(got[n]) == Window
			mu.Unlock()
			switch {
			case n == 1 && i < 3:
				p.ack(m)
			case n == 1 && full:
				return // which drops the line
			case n > 1:
				p.ack(m)
			}
		}
	})
	c := start(t, quick(s.url(), nil))
	var acknowledged []<-chan error
	for i := range events {
		done, err := c.Send(deadline(t), classified(fmt.Sprint("event-", i), "x.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		acknowledged = append(acknowledged, done)
	}
	for i, done := range acknowledged {
		if err := <-done; err != nil {
			t.Errorf("event-%d: %v", i, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	want := func(from, to int) (ids []string) {
		for i := from; i < to; i++ {
			ids = append(ids, fmt.Sprint("event-", i))
		}
		return ids
	}
	if !slices.Equal(got[1], want(0, Window)) {
		t.Errorf("over the first connection: have %q", got[1])
	}
	events2 := slices.DeleteFunc(got[2], func(id string) bool { return id == "" })
	// Of the three that were acknowledged the client may have lost the acknowledgements with the line.
	if n := len(events2); n < events-3 || n > events || !slices.Equal(events2, want(events-n, events)) {
		t.Errorf("over the second connection: want event-3, or one before it, to event-%d, have %q", events-1, events2)
	}
}

// eventID is the id in an event's payload, "" in others.
func eventID(payload []byte) string {
	_, rest, _ := strings.Cut(string(payload), `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// A board that can't send holds back those who make events, rather than collecting what they make.
func TestWindow(t *testing.T) {
	noLeak(t)
	arrived := make(chan string, 100)
	release := make(chan struct{})
	s := newScripted(t, func(_ int, p *peer) {
		p.login(packets.Accepted)
		var held []*packets.PublishPacket
		for range Window {
			m := p.publish()
			if m == nil {
				return
			}
			arrived <- eventID(m.Payload)
			held = append(held, m)
		}
		<-release
		for _, m := range held {
			p.ack(m)
		}
		for m := p.publish(); m != nil; m = p.publish() {
			arrived <- eventID(m.Payload)
			p.ack(m)
		}
	})
	c := start(t, quick(s.url(), nil))
	for i := range Window {
		if _, err := c.Send(deadline(t), classified(fmt.Sprint("event-", i), "x.jpg")); err != nil {
			t.Fatal(err)
		}
		<-arrived
	}
	sent := make(chan error)
	go func() {
		_, err := c.Send(deadline(t), classified("one more", "x.jpg"))
		sent <- err
	}()
	select {
	case <-sent:
		t.Errorf("want a send to wait while %d events are unacknowledged, have it done", Window)
	case <-time.After(50 * time.Millisecond): // a send that doesn't wait is done much earlier
		close(release)
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	if id := <-arrived; id != "one more" {
		t.Errorf("want one more, have %s", id)
	}
}

// An event that had to wait says that it isn't news.
func TestReplayedAfterWaiting(t *testing.T) {
	noLeak(t)
	port := reserve(t)
	j, log := newJournal()
	opts := quick("mqtt://"+string(port), log)
	var passed atomic.Int64 // of time, in nanoseconds
	opts.times.now = func() time.Time { return when.Add(time.Duration(passed.Load())) }
	c := start(t, opts)
	j.wait(t, 1, "MQTT broker not reached")
	w := newWitness()
	topic := EventTopic(testBase, "inbox")
	for i, step := range []struct {
		waits time.Duration
		says  string
	}{{live, "false"}, {live + 1, "true"}} {
		event := classified(fmt.Sprint(i), "x.jpg")
		m, err := c.event(event)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		d := &delivery{message: m, made: opts.times.now(), done: func(err error) { done <- err }}
		passed.Add(int64(step.waits))
		if i == 0 {
			open(t, port.listen(t), w)
		}
		if err := c.push(deadline(t), d); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		want := strings.Replace(payload(t, fmt.Sprint(i), "x.jpg"), `"replayed":false`, `"replayed":`+step.says, 1)
		if w.count(topic, []byte(want)) != 1 {
			t.Errorf("after %v: want it with replayed %s, have another", step.waits, step.says)
		}
	}
}

func TestSet(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	ask := asker(t, mqttURL(b.Addr()))
	before := subscribe(t, mqttURL(b.Addr()), SetTopic(testBase, "inbox"))
	ask(SetTopic(testBase, "inbox"), []byte("OFF"), true) // meant for others: see hear
	next(t, before, SetTopic(testBase, "inbox"))
	j, log := newJournal()
	c := start(t, quick(mqttURL(b.Addr()), log))
	j.wait(t, 1, "retained command ignored")
	ask(SetTopic(testBase, "inbox"), []byte("perhaps"), false)
	ask(SetTopic(testBase, "door"), []byte(`{"enabled":false}`), false)
	ask(SetTopic(testBase, "door"), []byte("on"), false)
	for _, want := range []bool{false, true} {
		source, enabled, err := c.NextSet(deadline(t))
		if err != nil || source != "door" || enabled != want {
			t.Errorf("want door %v, have %s %v, %v", want, source, enabled, err)
		}
	}
	j.wait(t, 1, "command not understood", "perhaps")
}

// Home Assistant asks for discovery by saying that it is online.
func TestAnnouncedAgain(t *testing.T) {
	noLeak(t)
	w := newWitness()
	b := open(t, listen(t), w)
	broker := mqttURL(b.Addr())
	opts := quick(broker, nil)
	opts.Discovery, opts.times.birth, opts.times.pause = DefaultDiscovery, time.Millisecond, time.Millisecond
	topic := DiscoveryTopic(DefaultDiscovery, "sightd_test_inbox")
	in := subscribe(t, broker, topic)
	c := start(t, opts)
	c.Announce(topic, []byte("{}"))
	expect(t, in, topic, "{}")
	ask := asker(t, broker)
	ask(HomeAssistantStatusTopic(DefaultDiscovery), []byte("offline"), false)
	ask(HomeAssistantStatusTopic(DefaultDiscovery), []byte("online"), false)
	expect(t, in, topic, "{}")
	if n := w.count(InfoTopic(testBase), infoPayload(t, opts.Info)); n != 1 {
		t.Errorf("want what isn't discovery once, have it %d times", n)
	}
	c.Announce(topic, nil)
	expect(t, in, topic, "")
}

// What is announced anew on a topic takes the place of what was there; the same again isn't sent twice.
func TestAnnouncedChanged(t *testing.T) {
	noLeak(t)
	w := newWitness()
	b := open(t, listen(t), w)
	broker := mqttURL(b.Addr())
	opts := quick(broker, nil)
	opts.Discovery, opts.times.birth, opts.times.pause = DefaultDiscovery, time.Millisecond, time.Millisecond
	in := subscribe(t, broker, DefaultDiscovery+"/device/#")
	c := start(t, opts)
	about := Discovery{Prefix: DefaultDiscovery, Base: testBase, Name: "test", Info: opts.Info}
	announce := func() (topic, payload string) {
		topic, device, err := about.Source("inbox", false, MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		c.Announce(topic, device)
		return topic, string(device)
	}
	topic, first := announce()
	expect(t, in, topic, first)

	about.Info.Model.Name, about.Info.Delegate.Active = "googlenet-float", "gpu"
	if err := c.SetInfo(about.Info); err != nil {
		t.Fatal(err)
	}
	_, second := announce()
	expect(t, in, topic, second)
	if !strings.Contains(second, `"model":"googlenet-float (gpu)"`) || first == second {
		t.Errorf("want the new model in the device, have %s", second)
	}
	announce()                            // changes nothing
	c.Announce(topic+"/more", []byte("")) // comes behind it
	expect(t, in, topic+"/more", "")
	asker(t, broker)(HomeAssistantStatusTopic(DefaultDiscovery), []byte("online"), false)
	expect(t, in, topic, second)
	expect(t, in, topic+"/more", "")
	sever(t, c)
	expect(t, in, topic, second)
	expect(t, in, topic+"/more", "")

	about.Info = opts.Info // and back
	announce()
	expect(t, in, topic, first)
	if m := retained(t, broker, topic, 1)[topic]; string(m.Payload()) != first {
		t.Errorf("want the last retained, have %s", m.Payload())
	}
	if n := w.count(topic, []byte(second)); n != 3 {
		t.Errorf("want the second three times, have it %d times", n)
	}
}

func infoPayload(t *testing.T, i Info) []byte {
	t.Helper()
	b, err := InfoPayload(i, MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
