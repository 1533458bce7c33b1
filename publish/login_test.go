package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

func TestWrongPassword(t *testing.T) {
	noLeak(t)
	w := newWitness()
	w.password = "right"
	b := open(t, listen(t), w)
	j, log := newJournal()
	opts := quick(mqttURL(b.Addr()), log)
	opts.User, opts.Password = "cam", "wrong-s3cret"
	c := start(t, opts)
	line := j.wait(t, 1, "MQTT login refused", "level=ERROR", "log in to "+b.Addr().String(), "user=cam")
	if !strings.Contains(line, "not authorized") && !strings.Contains(line, "bad user name or password") {
		t.Errorf("want the broker's reason, have %s", line)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Publish(ctx, classified("id", "x.jpg")); !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, have %v", context.Canceled, err)
	}
	if err := c.Close(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(j.String(), opts.Password) {
		t.Errorf("the password is in the log:\n%s", j)
	}

	opts.Password = "right"
	start(t, opts)
	j.wait(t, 1, "MQTT connected")
}

func TestConnackCodes(t *testing.T) {
	for _, tt := range []struct {
		code byte
		want []string
	}{
		{1, []string{"level=ERROR", "login refused", "doesn't speak MQTT 3.1.1"}},
		{2, []string{"level=ERROR", "login refused", "client id rejected", "client_id=sightd-test-000000"}},
		{3, []string{"level=WARN", "broker not reached", "broker not available"}},
		{4, []string{"level=ERROR", "login refused", "bad user name or password"}},
		{5, []string{"level=ERROR", "login refused", "not authorized"}},
		{6, []string{"level=WARN", "broker not reached", "the answer to the login is not MQTT 3.1.1"}},
		{0x86, []string{"level=WARN", "broker not reached", "the answer to the login is not MQTT 3.1.1"}},
	} {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			noLeak(t)
			s := newScripted(t, func(n int, p *peer) {
				if n < 3 {
					p.login(tt.code)
					p.drain()
					return
				}
				p.login(packets.Accepted)
				p.publish()
			})
			j, log := newJournal()
			start(t, quick(s.url(), log))
			j.wait(t, 1, tt.want...)
			j.wait(t, 1, "MQTT connected")
			if n := strings.Count(j.String(), tt.want[2]); n != 1 {
				t.Errorf("want one line for two refusals, have %d:\n%s", n, j)
			}
		})
	}
}

func TestWhatIsNoBroker(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		want   string
	}{
		"closes":   {"", "connection closed by the other side"},
		"is HTTP":  {"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "connection closed by the other side"},
		"is MQTT?": {"\xd0\x00", "not an MQTT broker"}, // PINGRESP in place of CONNACK
	} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			s := newScripted(t, func(_ int, p *peer) {
				p.read()
				_, _ = p.Write([]byte(tt.answer)) // the client may have gone
			})
			j, log := newJournal()
			start(t, quick(s.url(), log))
			j.wait(t, 1, "MQTT broker not reached", "get CONNACK of "+s.ln.Addr().String(), tt.want)
		})
	}
}

// A connection that ends with a packet that is none is told as such: only paho knows why it closed it.
func TestGarbage(t *testing.T) {
	noLeak(t)
	s := newScripted(t, func(n int, p *peer) {
		p.login(packets.Accepted)
		if n == 1 {
			p.read()
			_, _ = p.Write([]byte("\xf0\x00")) // a packet type that MQTT 3.1.1 reserves
			p.drain()
			return
		}
		p.publish()
	})
	j, log := newJournal()
	start(t, quick(s.url(), log))
	j.wait(t, 1, "MQTT connection lost", errGivenUp.Error())
	j.wait(t, 1, "MQTT connected")
}

func TestReport(t *testing.T) {
	j, log := newJournal()
	r := report{log: log, host: "broker:1883", clientID: "id", user: "cam"}
	now := when
	lines := func() int {
		j.mu.Lock()
		defer j.mu.Unlock()
		return len(j.lines)
	}
	away := &stageError{connect, "broker:1883", errors.New("connection refused")}
	refused := &stageError{logIn, "broker:1883", refusal(5)}
	eof := errors.New("EOF")
	for i, step := range []struct {
		do   func()
		want bool // a line
	}{
		{func() { r.failed(away, now) }, true},
		{func() { r.failed(away, now) }, false},
		{func() { now = now.Add(repeatAfter - 1); r.failed(away, now) }, false},
		{func() { now = now.Add(1); r.failed(away, now) }, true},
		{func() { r.failed(refused, now) }, true}, // something else
		{func() { r.failed(refused, now) }, false},
		{func() { r.up() }, true},
		{func() { r.lost(eof, time.Hour, now) }, true},
		{func() { r.failed(refused, now) }, true}, // the same as before, but after a connection
		{func() { r.up() }, true},
		{func() { r.lost(eof, time.Second, now) }, true},
		{func() { r.up() }, true},
		{func() { r.lost(eof, time.Second, now) }, true},
		{func() { r.up() }, true},
		{func() { r.lost(eof, time.Second, now) }, true}, // the third: taken over?
		{func() { r.up() }, false},
		{func() { r.lost(eof, time.Second, now) }, false},
		{func() { now = now.Add(repeatAfter); r.lost(eof, time.Second, now) }, true},
		{func() { r.up() }, false},
		{func() { r.lost(eof, healthy, now) }, true}, // it lasted
		{func() { r.up() }, true},
	} {
		before := lines()
		step.do()
		if have := lines() - before; have != map[bool]int{false: 0, true: 1}[step.want] {
			t.Fatalf("step %d: want a line: %v, have %d:\n%s", i, step.want, have, j)
		}
	}
	if n := strings.Count(j.String(), "another client use the same client id"); n != 2 {
		t.Errorf("want 2 lines on the client id, have %d:\n%s", n, j)
	}
}

func TestBackoff(t *testing.T) {
	for attempt, longest := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		longest *= time.Second
		for range 100 {
			if d := backoff(attempt); d <= longest/2 || d > longest {
				t.Fatalf("attempt %d: want more than %v to %v, have %v", attempt, longest/2, longest, d)
			}
		}
	}
	if d := backoff(1 << 30); d <= 30*time.Second || d > time.Minute {
		t.Errorf("attempt 1<<30: have %v", d)
	}
}

// Each failure waits longer than the one before, until a connection has lasted.
func TestBackoffStartsAnew(t *testing.T) {
	noLeak(t)
	s := newScripted(t, func(n int, p *peer) {
		if n == 1 || n == 4 {
			p.login(packets.ErrRefusedServerUnavailable)
			return
		}
		p.login(packets.Accepted)
		p.publish() // until the test cuts the line
	})
	attempts := make(chan int, 100)
	var passed atomic.Int64 // of time, in nanoseconds
	opts := quick(s.url(), nil)
	opts.times.now = func() time.Time { return when.Add(time.Duration(passed.Load())) }
	opts.times.backoff = func(attempt int) time.Duration {
		attempts <- attempt
		return time.Millisecond
	}
	c := start(t, opts)
	for i, step := range []struct {
		lasts time.Duration // of a connection that the test cuts; 0: it is refused
		want  int           // attempt
	}{
		{0, 0}, {healthy - 1, 1}, {healthy, 0}, {0, 1}, {1, 2},
	} {
		if step.lasts > 0 {
			standing(t, c)
			passed.Add(int64(step.lasts))
			sever(t, c)
		}
		if have := <-attempts; have != step.want {
			t.Fatalf("connection %d: want attempt %d, have %d", i+1, step.want, have)
		}
	}
}
