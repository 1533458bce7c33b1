package outbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the outbox guarantees, one test each. I7, the loss by a power cut, is TestI7PowerCut.

// copyDir is what another process would find after kill -9 right now.
func copyDir(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// I1: when Put has returned, the message is in the file.
func TestI1OnDiskBeforeAccepted(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	o := open(t, Options{Dir: dir})
	for n := range 20 {
		put(t, o, n, n+1)
		found := open(t, Options{Dir: copyDir(t, dir)})
		expect(t, found, 0, n+1)
		none(t, found)
	}
}

// I2: a message goes only after Ack.
func TestI2DeletedOnlyAfterAck(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	o := open(t, Options{Dir: dir, MaxBytes: 2 << 20})
	put(t, o, 0, 2000)
	m := expect(t, o, 0, 2000)
	var kept []int
	for n := range m {
		switch {
		case n%10 == 0:
			m[n].Release()
			kept = append(kept, n)
		case n%10 == 1: // handed out, that's all
			kept = append(kept, n)
		default:
			m[n].Ack()
		}
	}
	if s := o.Stats(); s.Pending != len(kept) {
		t.Errorf("want %d messages pending, have %d", len(kept), s.Pending)
	}
	shut(t, o)
	o = open(t, Options{Dir: dir})
	for _, n := range kept {
		ack(expect(t, o, n, n+1))
	}
	none(t, o)
	if s := o.Stats(); s.Pending != 0 || s.Bytes > headerSize+staleBytes || s.Bytes != onDisk(t, dir) {
		t.Errorf("want no message and one small file, have %+v", s)
	}
}

// I3: after a crash everything that was accepted and not acknowledged is handed out again, oldest first, and besides at
// most AckBatch of the others.
func TestI3SentAgainOldestFirst(t *testing.T) {
	noLeak(t)
	for _, acked := range []int{0, 1, AckBatch - 1, AckBatch, AckBatch + 1, 500, 999, 1000} {
		dir := t.TempDir()
		o := open(t, Options{Dir: dir, MaxBytes: 2 << 20})
		put(t, o, 0, 1000)
		m := expect(t, o, 0, min(acked+20, 1000))
		ack(m[:acked])
		crash(o)
		o = open(t, Options{Dir: dir})
		s := o.Stats()
		again := acked - (1000 - s.Pending)
		if again < 0 || again >= AckBatch {
			t.Fatalf("%d acknowledged: want fewer than %d again, have %d", acked, AckBatch, again)
		}
		expect(t, o, acked-again, 1000)
		none(t, o)
	}
}

// I4: a message has the same bytes whenever it is handed out, so that its id is the same.
func TestI4SameBytesEveryTime(t *testing.T) {
	noLeak(t)
	dir, f := t.TempDir(), &faults{}
	clock := newFakeClock()
	opts := Options{Dir: dir, clock: clock.clock(), fault: f.fault}
	o := open(t, opts)
	put(t, o, 0, 50)
	expect(t, o, 0, 50)[7].Release()
	expect(t, o, 7, 8)[0].Release() // from memory
	clock.asleep(t, o)
	f.set(failOnce("sync", syscall.EIO))
	clock.advance(syncDelay)
	eventually(t, func() bool { return f.counted("sync") > 1 }, func() string { return "no second fdatasync" })
	clock.asleep(t, o)
	expect(t, o, 7, 8)[0].Release()
	crash(o)
	o = open(t, opts)
	m := expect(t, o, 0, 50) // from disk
	slices.Reverse(m)
	for _, m := range m {
		m.Release()
	}
	expect(t, o, 0, 50)
	if m[0].Accepted != when.Local() {
		t.Errorf("want accepted %v, have %v", when, m[0].Accepted)
	}
}

// I5: the cap on bytes always holds, on disk, and old messages go. Both are counted, over a restart too.
func TestI5CapsHold(t *testing.T) {
	noLeak(t)
	dir, clock := t.TempDir(), newFakeClock()
	opts := Options{Dir: dir, MaxBytes: MinBytes, MaxAge: time.Hour, clock: clock.clock()}
	o := open(t, opts)
	var out *Message
	const events = 5000
	for n := range events {
		put(t, o, n, n+1)
		if n == 0 {
			out = next(t, o)
		}
		o.mu.Lock()
		have, said := onDisk(t, dir), o.bytes
		o.mu.Unlock()
		if have > MinBytes || have != said {
			t.Fatalf("after %d events: want at most %d bytes, have %d, and %d in Stats", n+1, MinBytes, have, said)
		}
	}
	out.Ack() // was dropped: nothing happens
	s := o.Stats()
	if s.Dropped == 0 || s.Pending+int(s.Dropped) != events {
		t.Fatalf("want %d messages pending or dropped, have %+v", events, s)
	}
	if s.Bytes < MinBytes*3/4 {
		t.Errorf("want a store that is nearly full, have %d bytes", s.Bytes)
	}
	clock.asleep(t, o)
	clock.advance(ackDelay)
	clock.asleep(t, o)
	crash(o)
	o = open(t, opts)
	if have := o.Stats(); have.Dropped != s.Dropped || have.Pending != s.Pending {
		t.Errorf("want %+v after a crash, have %+v", s, have)
	}
	expect(t, o, events-s.Pending, events-s.Pending+5)
	clock.advance(2 * time.Hour)
	if err := o.Put(topic, event(events), clock.clock().now()); err != nil {
		t.Fatal(err)
	}
	expect(t, o, events, events+1)
	if have := o.Stats(); int(have.Expired) != s.Pending-5 || have.Pending != 6 {
		t.Errorf("want %d messages expired and 6 pending, have %+v", s.Pending-5, have)
	}
	shut(t, o)
	o = open(t, opts)
	if have := o.Stats(); int(have.Expired) < s.Pending-5 || have.Dropped != s.Dropped {
		t.Errorf("want the counts to survive, have %+v", have)
	}
}

// I6: whatever is wrong with folder and disk, Open and Put succeed, and what can be kept is.
func TestI6FaultsNeverStop(t *testing.T) {
	noLeak(t)
	full := func(dir string) error { return os.WriteFile(dir, []byte("a file, no folder"), 0o600) }
	garbage := func(dir string) error {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "0000000000000001.log"), []byte(strings.Repeat("garbage", 10000)), 0o600)
	}
	for name, c := range map[string]struct {
		prepare func(dir string) error
		fail    func(op, path string) error
		memory  bool
	}{
		"no folder can be made": {full, nil, true},
		"garbage":               {garbage, nil, false},
		"no folder":             {nil, failAlways("mkdir", syscall.EACCES), true},
		"no lock":               {nil, failAlways("lock", syscall.EROFS), true},
		"no file":               {nil, failAlways("create", syscall.EROFS), true},
		"no space":              {nil, failAlways("write", syscall.ENOSPC), true},
		"no write":              {nil, failAlways("write", syscall.EIO), true},
		"nothing removed":       {garbage, failAlways("remove", syscall.EIO), false},
		"nothing renamed":       {garbage, failAlways("rename", syscall.EIO), false},
	} {
		dir := filepath.Join(t.TempDir(), "outbox")
		if c.prepare != nil {
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
		}
		f, j := &faults{fail: c.fail}, &journal{}
		o := open(t, Options{Dir: dir, Log: j.logger(), fault: f.fault})
		put(t, o, 0, 100)
		expect(t, o, 0, 50)
		ack(expect(t, o, 50, 100))
		s := o.Stats()
		if (s.Degraded != "") != c.memory || s.Pending != 50 {
			t.Errorf("%s: want 50 messages pending, in memory alone: %t, have %+v", name, c.memory, s)
		}
		if have := j.count("WARN", "kept in memory"); have > 1 || (have == 1) != c.memory {
			t.Errorf("%s: want one warning, have %d:\n%s", name, have, j.String())
		}
		if err := o.Close(); (err != nil) != c.memory {
			t.Errorf("%s: want an error of Close: %t, have %v", name, c.memory, err)
		}
	}
}
