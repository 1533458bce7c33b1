package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// whence is a hook that notes how events came, and lets everyone do everything.
type whence struct {
	allowAll
	inside, outside atomic.Int64 // events
}

func (w *whence) Provides(b byte) bool { return w.allowAll.Provides(b) || b == mochi.OnPublish }

func (w *whence) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	switch {
	case eventID(pk.Payload) == "":
	case cl.Net.Inline:
		w.inside.Add(1)
	default:
		w.outside.Add(1)
	}
	return pk, nil
}

// What has waited comes over the connection, which is what paces it, and what is new without one: all of it, in order, though there is
// more than a subscriber's queue holds.
func TestInside(t *testing.T) {
	noLeak(t)
	const waiting, fresh = 2 * maxQueue, 100
	w := new(whence)
	dir := t.TempDir()
	box := openOutbox(t, dir)
	for i := range waiting {
		if err := box.Put(EventTopic(testBase, "inbox"), []byte(payload(t, fmt.Sprint("old-", i), "x.jpg")), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	box = openOutbox(t, dir)
	b := open(t, listen(t), w)
	in := subscribe(t, mqttURL(b.Addr()), EventTopic(testBase, "inbox"))
	opts := quick(mqttURL(b.Addr()), nil)
	opts.Outbox, opts.Embedded = box, b
	opts.times.now = func() time.Time { return when } // what is new doesn't grow old
	c := start(t, opts)
	for i := range waiting {
		expect(t, in, EventTopic(testBase, "inbox"), strings.Replace(payload(t, fmt.Sprint("old-", i), "x.jpg"), `"replayed":false`, `"replayed":true`, 1))
	}
	for i := range fresh {
		if err := c.Publish(deadline(t), classified(fmt.Sprint("new-", i), "x.jpg")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range fresh {
		expect(t, in, EventTopic(testBase, "inbox"), payload(t, fmt.Sprint("new-", i), "x.jpg"))
	}
	if inside, outside := w.inside.Load(), w.outside.Load(); inside != fresh || outside != waiting {
		t.Errorf("want %d events without a connection and %d over one, have %d and %d", fresh, waiting, inside, outside)
	}
	if err := c.Close(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
}

// Who takes the client's place breaks its connection, upon which it comes back. No event is lost by that, nor are they in another order.
func TestInsideReconnect(t *testing.T) {
	noLeak(t)
	const events = 300
	w := new(whence)
	b := open(t, listen(t), w)
	in := subscribe(t, mqttURL(b.Addr()), EventTopic(testBase, "inbox"))
	opts := quick(mqttURL(b.Addr()), nil)
	opts.Embedded = b
	opts.times.now = func() time.Time { return when }
	c := start(t, opts)
	for i := range events {
		if err := c.Publish(deadline(t), classified(fmt.Sprint("event-", i), "x.jpg")); err != nil {
			t.Fatal(err)
		}
		if i%30 == 0 {
			other := paho.NewClient(paho.NewClientOptions().AddBroker(mqttURL(b.Addr())).SetClientID(opts.ClientID).SetAutoReconnect(false))
			settle(t, other.Connect())
			defer other.Disconnect(0)
		}
	}
	for i := range events {
		expect(t, in, EventTopic(testBase, "inbox"), payload(t, fmt.Sprint("event-", i), "x.jpg"))
	}
	if connects := c.Stats().Connects; connects < 2 || w.inside.Load() != events {
		t.Errorf("want several connections and %d events without one, have %d and %d", events, connects, w.inside.Load())
	}
}

// A broker that is closed takes nothing.
func TestInsideClosed(t *testing.T) {
	noLeak(t)
	b, err := Listen("127.0.0.1:0", ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	opts := quick(mqttURL(b.Addr()), nil)
	opts.Embedded = b
	c := start(t, opts)
	if err := c.Publish(deadline(t), classified("before", "x.jpg")); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	published := make(chan error, 1)
	go func() { published <- c.Publish(ctx, classified("after", "x.jpg")) }()
	if err := b.publish(EventTopic(testBase, "inbox"), []byte("x"), 1); !errors.Is(err, net.ErrClosed) {
		t.Errorf("want %v, have %v", net.ErrClosed, err)
	}
	cancel()
	if err := <-published; !errors.Is(err, context.Canceled) {
		t.Errorf("want an event that waits for the broker until %v, have %v", context.Canceled, err)
	}
}
