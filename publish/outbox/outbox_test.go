package outbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOrder(t *testing.T) {
	noLeak(t)
	o := open(t, Options{Dir: t.TempDir()})
	put(t, o, 0, 10)
	m := expect(t, o, 0, 6)
	m[4].Release()
	m[1].Release()
	m[4].Release() // twice is once
	m[0].Ack()
	again := expect(t, o, 1, 2)
	expect(t, o, 4, 5)
	m[2].Release()
	expect(t, o, 2, 3)
	expect(t, o, 6, 10)
	none(t, o)
	again[0].Release()
	again[0].Ack() // takes the release back
	none(t, o)
	if s := o.Stats(); s.Pending != 8 {
		t.Errorf("want 8 messages pending, have %+v", s)
	}
	shut(t, o)
	m[5].Ack() // nothing happens
	m[5].Release()
}

func TestReopen(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	for round := range 5 {
		o := open(t, Options{Dir: dir})
		put(t, o, 10*round, 10*round+10)
		ack(expect(t, o, 5*round, 5*round+5))
		if round%2 == 0 {
			shut(t, o)
		} else {
			crash(o)
			o = open(t, Options{Dir: dir})
			s := o.Stats()
			if want := 5 * (round + 1); s.Pending < want || s.Pending > want+AckBatch {
				t.Errorf("after a crash: want %d messages pending, and at most %d more, have %d", want, AckBatch, s.Pending)
			}
			// What was forgotten comes again, first.
			ack(expect(t, o, 10*round+10-s.Pending, 5*round+5))
			shut(t, o)
		}
	}
	o := open(t, Options{Dir: dir})
	ack(expect(t, o, 25, 50))
	none(t, o)
}

func TestNextWaits(t *testing.T) {
	noLeak(t)
	o := open(t, Options{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := o.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, have %v", context.Canceled, err)
	}
	got := make(chan error)
	wait := func() {
		_, err := o.Next(deadline(t))
		got <- err
	}
	waiting := func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.more != nil
	}
	go wait()
	eventually(t, waiting, func() string { return "Next doesn't wait" })
	put(t, o, 0, 1)
	if err := <-got; err != nil {
		t.Error(err)
	}
	go wait()
	eventually(t, waiting, func() string { return "Next doesn't wait" })
	shut(t, o)
	if err := <-got; !errors.Is(err, ErrClosed) {
		t.Errorf("want %v, have %v", ErrClosed, err)
	}
	if err := o.Put(topic, nil, when); !errors.Is(err, ErrClosed) {
		t.Errorf("want %v, have %v", ErrClosed, err)
	}
	shut(t, o)
}

func TestOptions(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		opts Options
		want string
	}{
		{"no folder", Options{}, "want a folder"},
		{"small", Options{Dir: dir, MaxBytes: MinBytes - 1}, "want a size of at least 262144 bytes, have 262143"},
		{"negative size", Options{Dir: dir, MaxBytes: -1}, "have -1"},
		{"negative age", Options{Dir: dir, MaxAge: -time.Second}, "want an age of more than 0, have -1s"},
	} {
		if _, err := Open(c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want an error with %q, have %v", c.name, c.want, err)
		}
	}
	o := open(t, Options{Dir: dir, MaxBytes: MinBytes})
	if err := o.Put(topic, make([]byte, MinBytes/4), when); err == nil || !strings.Contains(err.Error(), "want at most 65536 bytes") {
		t.Errorf("want an error of a message that is too large, have %v", err)
	}
	if err := o.Put("", nil, when); err != nil {
		t.Error(err)
	}
	if m := next(t, o); m.Topic != "" || len(m.Payload) != 0 || !m.Accepted.Equal(when) {
		t.Errorf("want an empty message, have %+v", m)
	}
}

func TestLock(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	o := open(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "want no other process") {
		t.Errorf("want an error of another process, have %v", err)
	}
	shut(t, o)
	shut(t, open(t, Options{Dir: dir}))
}

// Sizes around the compressor's window, compressible or not, with the dictionary in and out of its reach.
func TestSizes(t *testing.T) {
	noLeak(t)
	r := rand.New(rand.NewPCG(1, 2))
	var payloads [][]byte
	for _, size := range []int{0, 1, 40_000, 100, 32767, 32768, 32769, 65535, 65536, 200_000, 7, MaxMessage - 1} {
		noise := make([]byte, size)
		for i := range noise {
			noise[i] = byte(r.Uint32())
		}
		payloads = append(payloads, noise, []byte(strings.Repeat("x", size)))
	}
	// So that the ends of messages meet the end of the window in all ways.
	for size := range 600 {
		payloads = append(payloads, []byte(strings.Repeat("abcdefghij", 120)[:size+500]))
	}
	dir := t.TempDir()
	o := open(t, Options{Dir: dir})
	for _, p := range payloads {
		if err := o.Put("t", p, when); err != nil {
			t.Fatal(err)
		}
	}
	crash(o)
	o = open(t, Options{Dir: dir})
	for i, p := range payloads {
		if m := next(t, o); string(m.Payload) != string(p) {
			t.Fatalf("payload %d: want %d bytes, have %d others", i, len(p), len(m.Payload))
		}
	}
	none(t, o)
}

// While the broker acknowledges within a second nothing is synced, no file grows, and nothing at all is written between.
func TestSteadyState(t *testing.T) {
	noLeak(t)
	dir, clock, f := t.TempDir(), newFakeClock(), &faults{}
	o := open(t, Options{Dir: dir, clock: clock.clock(), fault: f.fault})
	for n := range 500 {
		put(t, o, n, n+1)
		ack(expect(t, o, n, n+1))
		clock.advance(syncDelay)
	}
	clock.asleep(t, o)
	if n := f.counted("sync"); n != 0 {
		t.Errorf("want no fdatasync, have %d", n)
	}
	if n := onDisk(t, dir); n > headerSize+2000 {
		t.Errorf("want a file that doesn't grow, have %d bytes", n)
	}
	writes := f.counted("write")
	clock.advance(time.Hour)
	clock.asleep(t, o)
	if n := f.counted("write"); n != writes {
		t.Errorf("want no write while there is nothing to do, have %d", n-writes)
	}
}

// One fdatasync covers what was put within a second.
func TestSyncOnce(t *testing.T) {
	noLeak(t)
	clock, f := newFakeClock(), &faults{}
	o := open(t, Options{Dir: t.TempDir(), clock: clock.clock(), fault: f.fault})
	for second := range 3 {
		for n := range 10 {
			put(t, o, 10*second+n, 10*second+n+1)
			clock.asleep(t, o)
			clock.advance(syncDelay / 10)
		}
		clock.asleep(t, o)
		// The first one of a segment syncs the folder as well.
		if n := f.counted("sync"); n != second+2 {
			t.Errorf("want %d calls after %d s, have %d", second+2, second+1, n)
		}
	}
	// Those of the next second are acknowledged in time, those before are not, but they are synced.
	put(t, o, 30, 40)
	m := expect(t, o, 0, 40)
	ack(m[30:])
	clock.asleep(t, o)
	clock.advance(syncDelay)
	clock.asleep(t, o)
	if n := f.counted("sync"); n != 4 {
		t.Errorf("want no fdatasync for what was acknowledged in time, have %d", n-4)
	}
}

func TestForeignFiles(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	for name, content := range map[string]string{
		"notes.txt":            "not ours",
		"0000000000000002.log": strings.Repeat("no segment ", 1000),
		"0000000000000003.log": string(append([]byte(magic), 2, 0, 0, 0)) + strings.Repeat("x", 8192), // another version
		"0000000000000004.log": "",                                                                    // a segment that was never synced
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "0000000000000005.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	var j journal
	o := open(t, Options{Dir: dir, Log: j.logger()})
	put(t, o, 0, 5)
	expect(t, o, 0, 5)
	if s := o.Stats(); s.Damaged != 2 || s.Degraded != "" {
		t.Errorf("want 2 damaged files, have %+v", s)
	}
	if have := files(t, dir, corruptMark); len(have) != 2 {
		t.Errorf("want 2 files set aside, have %q", have)
	}
	if j.count("WARN", "no segment") != 2 || j.count("WARN", "leaves alone") != 2 {
		t.Errorf("want warnings of 2 files set aside and of 2 left alone, have\n%s", j.String())
	}
	if have := files(t, dir, "notes.txt"); len(have) != 1 {
		t.Error("a file that isn't the outbox's is gone")
	}
}
