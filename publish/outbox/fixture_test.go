package outbox

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. It is never waited out by a passing test.
const patience = 60 * time.Second

// deadline is a context that fails slow tests, not slow machines.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// noLeak fails the test if more goroutines are left at its end than there are now. Call it first.
func noLeak(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		eventually(t, func() bool { return runtime.NumGoroutine() <= before }, func() string {
			buf := make([]byte, 1<<20)
			return fmt.Sprintf("want %d goroutines as at the start, have %d:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		})
	})
}

// eventually waits for what tells nobody of itself.
func eventually(t testing.TB, cond func() bool, describe func() string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("after %v: %s", patience, describe())
		}
	}
}

// journal is a log to look into.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// count is the number of lines that contain all the parts.
func (j *journal) count(parts ...string) int {
	n := 0
lines:
	for line := range strings.Lines(j.String()) {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue lines
			}
		}
		n++
	}
	return n
}

// when is the time at which the fake clock starts.
var when = time.Date(2026, 9, 23, 10, 15, 30, 123e6, time.UTC)

// fakeClock stands still but for advance and set.
type fakeClock struct {
	mu     sync.Mutex
	wall   time.Time
	mono   time.Duration
	timers map[chan time.Time]time.Duration
}

func newFakeClock() *fakeClock {
	return &fakeClock{wall: when, timers: map[chan time.Time]time.Duration{}}
}

func (c *fakeClock) clock() clock {
	return clock{
		now: func() time.Time {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.wall
		},
		up: func() time.Duration {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.mono
		},
		timer: func(d time.Duration) (<-chan time.Time, func()) {
			c.mu.Lock()
			defer c.mu.Unlock()
			ch := make(chan time.Time, 1)
			c.timers[ch] = c.mono + d
			c.fire()
			return ch, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				delete(c.timers, ch)
			}
		},
	}
}

func (c *fakeClock) fire() {
	for ch, at := range c.timers {
		if at <= c.mono {
			ch <- c.wall
			delete(c.timers, ch)
		}
	}
}

// advance has time pass.
func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.mono = c.wall.Add(d), c.mono+d
	c.fire()
}

// set sets the clock on the wall.
func (c *fakeClock) set(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = to
}

// asleep waits until the outbox's goroutine has nothing to do before the clock is advanced.
func (c *fakeClock) asleep(t testing.TB, o *Outbox) {
	t.Helper()
	eventually(t, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.kick) > 0 {
			return false
		}
		at, any := o.deadline()
		c.mu.Lock()
		defer c.mu.Unlock()
		return !any || o.wakeAt >= 0 && o.wakeAt <= at && at > c.mono && len(c.timers) > 0
	}, func() string { return "the outbox still works" })
}

// faults fails operations on files, and counts all.
type faults struct {
	mu    sync.Mutex
	fail  func(op, path string) error
	count map[string]int
}

func (f *faults) fault(op, path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count = map[string]int{}
	}
	f.count[op]++
	if f.fail == nil {
		return nil
	}
	return f.fail(op, filepath.Base(path))
}

func (f *faults) set(fail func(op, path string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *faults) counted(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[op]
}

// open opens an outbox that is closed at the test's end, if not before.
func open(t testing.TB, opts Options) *Outbox {
	t.Helper()
	if opts.MaxAge == 0 && opts.clock.now == nil {
		opts.MaxAge = 1 << 62 // the tests' messages are of another time
	}
	o, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Log(err)
		}
	})
	return o
}

func shut(t testing.TB, o *Outbox) {
	t.Helper()
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
}

// crash lets go of the folder as kill -9 does: nothing is written, and the lock is free.
func crash(o *Outbox) {
	o.mu.Lock()
	o.closed = true
	wake(&o.more)
	wake(&o.room)
	o.mu.Unlock()
	close(o.quit)
	<-o.ended
	o.reader.close()
	for _, s := range o.segments {
		s.close()
	}
	o.lock.Close()
}

const topic = "sightd/pi4/frontdoor/event"

var eventLabels = strings.Split("tabby, tabby cat|tiger cat|Egyptian cat|lynx, catamount|Persian cat|golden retriever|"+
	"Labrador retriever|sports car, sport car|school bus|tennis ball|mailbox, letter box|shopping cart|street sign|umbrella|"+
	"park bench|mountain bike, all-terrain bike, off-roader|ambulance|bicycle-built-for-two, tandem bicycle, tandem|crane|"+
	"laptop, laptop computer|desk|coffee mug|wall clock|pickup, pickup truck|limousine, limo|minivan|cab, hack, taxi, taxicab", "|")

// event is a payload like publish.EventPayload's, of 1 event a second; equal n give equal bytes. Everything that
// differs between events differs at random.
func event(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	id := []byte("01K5V3M2QR")
	for len(id) < 26 {
		id = append(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[r.IntN(32)])
	}
	at := when.Add(time.Duration(n)*time.Second + time.Duration(r.IntN(1000))*time.Millisecond)
	var b []byte
	order := r.Perm(len(eventLabels))
	best := order[0]
	score := 0.3 + 0.7*r.Float64()
	b = fmt.Appendf(b, `{"event_type":"classified","id":"%s","seq":%d,"ts":"%s","source":"frontdoor","label":%q,"index":%d,`+
		`"score":%.4f,"smoothed":%.4f,"previous":%q,"top":[`, id, n, at.Format("2006-01-02T15:04:05.000Z"), eventLabels[best], best*37,
		score, score*(0.9+0.1*r.Float64()), eventLabels[order[1]])
	for i, k := range order[:8] {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"label":%q,"index":%d,"score":%.4f}`, eventLabels[k], k*37, score)
		score *= r.Float64()
	}
	return fmt.Appendf(b, `],"model":"googlenet-int8","model_sha":"3f2ac61f0b94e7d5581aa2b0c4e1f96d7a8850c3b2e1d4f60718293a4b5c6d7e",`+
		`"delegate":"xnnpack","infer_ms":%.2f,"frame_age_ms":%d,"duration_s":%.3f,"file":null,"error":null,"replayed":false}`,
		25+9*r.Float64(), 20+r.IntN(60), 100*r.Float64())
}

// put puts the events from from up to, not including, to.
func put(t testing.TB, o *Outbox, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := o.Put(topic, event(n), when); err != nil {
			t.Fatal(err)
		}
	}
}

// next takes the next message.
func next(t testing.TB, o *Outbox) *Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, err := o.Next(ctx)
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	return m
}

// expect takes the messages from from up to, not including, to, which must be the next ones.
func expect(t testing.TB, o *Outbox, from, to int) []*Message {
	t.Helper()
	var all []*Message
	for n := from; n < to; n++ {
		m := next(t, o)
		if m.Topic != topic || !bytes.Equal(m.Payload, event(n)) {
			t.Fatalf("want event %d, have topic %s, payload %.80s", n, m.Topic, m.Payload)
		}
		all = append(all, m)
	}
	return all
}

func ack(messages []*Message) {
	for _, m := range messages {
		m.Ack()
	}
}

// none fails the test if there is a message to hand out.
func none(t testing.TB, o *Outbox) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if m := o.take(); m != nil {
		t.Fatalf("want no message, have topic %s, payload %.80s", m.Topic, m.Payload)
	}
}

// onDisk is the size of all files in a folder.
func onDisk(t testing.TB, dir string) int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

// files are the names in a folder that contain a part.
func files(t testing.TB, dir, part string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+part+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}
