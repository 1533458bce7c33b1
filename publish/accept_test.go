package publish

import (
	"fmt"
	"strings"
	"testing"

	"sightd/publish/outbox"
)

// openOutbox opens the outbox in dir. The caller closes it.
func openOutbox(t *testing.T, dir string) *outbox.Outbox {
	t.Helper()
	box, err := outbox.Open(outbox.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// What was accepted while there was no broker reaches the one that comes, over a restart, in its order, and says that it is old.
func TestAcceptedWithoutBroker(t *testing.T) {
	noLeak(t)
	const events = 3 * Window
	dir := t.TempDir()
	port := reserve(t)
	accept := func(from, to int) {
		box := openOutbox(t, dir)
		opts := quick("mqtt://"+string(port), nil)
		opts.Outbox = box
		c := start(t, opts)
		for i := from; i < to; i++ {
			if err := c.Accept(classified(fmt.Sprint("event-", i), "x.jpg")); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Close(deadline(t)); err != nil {
			t.Fatal(err)
		}
		if n := box.Stats().Pending; n != to {
			t.Errorf("want %d events in the outbox, have %d", to, n)
		}
		if err := box.Close(); err != nil {
			t.Fatal(err)
		}
	}
	accept(0, Window+1)
	accept(Window+1, events)

	b := open(t, port.listen(t), new(allowAll))
	in := subscribe(t, mqttURL(b.Addr()), EventTopic(testBase, "inbox"))
	box := openOutbox(t, dir)
	opts := quick("mqtt://"+string(port), nil)
	opts.Outbox = box
	c := start(t, opts)
	if err := c.Accept(classified("new", "x.jpg")); err != nil {
		t.Fatal(err)
	}
	for i := range events {
		id := fmt.Sprint("event-", i)
		expect(t, in, EventTopic(testBase, "inbox"), strings.Replace(payload(t, id, "x.jpg"), `"replayed":false`, `"replayed":true`, 1))
	}
	expect(t, in, EventTopic(testBase, "inbox"), payload(t, "new", "x.jpg"))
	if err := c.Close(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	box = openOutbox(t, dir)
	if n := box.Stats().Pending; n != 0 {
		t.Errorf("after the acknowledgements: want an empty outbox, have %d events", n)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
}

// An event is accepted without an outbox by nobody.
func TestAcceptWithoutOutbox(t *testing.T) {
	noLeak(t)
	c := start(t, quick("mqtt://127.0.0.1:1", nil))
	if err := c.Accept(classified("id", "x.jpg")); err == nil || !strings.Contains(err.Error(), "no outbox") {
		t.Errorf("have %v", err)
	}
}
