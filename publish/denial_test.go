package publish

import (
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// turned is a clock that a test sets.
type turned struct {
	mu  sync.Mutex
	now time.Time
}

func (c *turned) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *turned) on(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// TestTwoBoardsOfOneName stops one of two boards: the other says that it is there, and logs once why.
func TestTwoBoardsOfOneName(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	in := subscribe(t, mqttURL(b.Addr()), StateTopic(testBase))
	j, log := newJournal()
	clock := turned{now: when}
	opts := quick(mqttURL(b.Addr()), log)
	opts.times.now, opts.times.pause, opts.times.deny = clock.time, time.Millisecond, time.Millisecond
	stays := start(t, opts)
	expect(t, in, StateTopic(testBase), Online)
	clock.on(ownWill)

	const rounds = 3
	for range rounds {
		other := quick(mqttURL(b.Addr()), nil)
		other.ClientID = "sightd-test-111111"
		stops, err := New(other)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, in, StateTopic(testBase), Online)
		standing(t, stops)
		if err := stops.Close(deadline(t)); err != nil {
			t.Fatal(err)
		}
		expect(t, in, StateTopic(testBase), Offline)
		expect(t, in, StateTopic(testBase), Online)
		clock.on(time.Minute)
	}
	j.wait(t, 1, "another sightd uses this one's name", StateTopic(testBase))
	if n := strings.Count(j.String(), "another sightd"); n != 1 {
		t.Errorf("want one line, have %d:\n%s", n, j)
	}
	if m := retained(t, mqttURL(b.Addr()), StateTopic(testBase), 1)[StateTopic(testBase)]; string(m.Payload()) != Online {
		t.Errorf("want %s retained, have %s", Online, m.Payload())
	}

	// Its own Offline it doesn't deny.
	if err := stays.Close(deadline(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, in, StateTopic(testBase), Offline)
	clock.on(time.Minute)
	if len(in) > 0 {
		t.Errorf("want nothing after %s, have %s", Offline, (<-in).Payload())
	}
}

// TestDenialsAreRare has Offline said again and again: it is denied so often as is allowed, and in the end.
func TestDenialsAreRare(t *testing.T) {
	noLeak(t)
	const each = 200 * time.Millisecond
	b := open(t, listen(t), new(allowAll))
	in := subscribe(t, mqttURL(b.Addr()), StateTopic(testBase))
	opts := quick(mqttURL(b.Addr()), nil)
	opts.times.pause, opts.times.deny = time.Millisecond, each
	c := start(t, opts)
	expect(t, in, StateTopic(testBase), Online)
	standing(t, c)

	other := paho.NewClient(paho.NewClientOptions().AddBroker(mqttURL(b.Addr())).SetClientID("other"))
	settle(t, other.Connect())
	defer other.Disconnect(uint(patience.Milliseconds()))
	const times = 50
	began := time.Now()
	for range times {
		settle(t, other.Publish(StateTopic(testBase), 1, true, Offline))
	}
	online := 0
	for offline, last := 0, ""; offline < times || last != Online; {
		if last = string(next(t, in, StateTopic(testBase)).Payload()); last == Offline {
			offline++
		} else {
			online++
		}
	}
	if most := 2 + int(time.Since(began)/each); online > most {
		t.Errorf("want %s again %d times at most, have it %d times", Online, most, online)
	}
}

func TestDenialsDue(t *testing.T) {
	for _, tt := range []struct {
		last time.Time
		want time.Duration
	}{
		{time.Time{}, 0}, {when, time.Minute}, {when.Add(-20 * time.Second), 40 * time.Second}, {when.Add(-time.Hour), 0}, {when.Add(time.Hour), 0},
	} {
		d := denials{last: tt.last}
		if have := d.due(when, time.Minute); have != tt.want {
			t.Errorf("last %v: want %v, have %v", tt.last, tt.want, have)
		}
	}
}

// TestOwnWillIsDenied severs the connection: what the broker says for it comes when the next one stands, or before, and is no other
// board's.
func TestOwnWillIsDenied(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	j, log := newJournal()
	clock := turned{now: when}
	opts := quick(mqttURL(b.Addr()), log)
	opts.times.now, opts.times.pause, opts.times.deny = clock.time, time.Millisecond, time.Millisecond
	c := start(t, opts)
	standing(t, c)
	clock.on(time.Hour)
	sever(t, c)
	standing(t, c)
	in := subscribe(t, mqttURL(b.Addr()), StateTopic(testBase))
	other := paho.NewClient(paho.NewClientOptions().AddBroker(mqttURL(b.Addr())).SetClientID("other"))
	settle(t, other.Connect())
	defer other.Disconnect(uint(patience.Milliseconds()))
	settle(t, other.Publish(StateTopic(testBase), 1, true, Offline)) // as a broker does that is late
	for last := ""; last != Online; {                                // the first is Offline
		last = string(next(t, in, StateTopic(testBase)).Payload())
	}
	if strings.Contains(j.String(), "another sightd") {
		t.Errorf("want no word of another board, have\n%s", j)
	}
}
