package outbox

import (
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// failAlways fails each operation of a kind, failOnce the next one.
func failAlways(op string, err error) func(string, string) error {
	return func(have, path string) error {
		if have != op {
			return nil
		}
		return &os.PathError{Op: op, Path: path, Err: err}
	}
}

func failOnce(op string, err error) func(string, string) error { return failTimes(op, err, 1) }

func failTimes(op string, err error, times int) func(string, string) error {
	return func(have, path string) error {
		if have != op || times == 0 {
			return nil
		}
		times--
		return &os.PathError{Op: op, Path: path, Err: err}
	}
}

// The first failed fdatasync costs nothing: what was not synced goes to another file. The second one leads to memory. When
// the disk works again all is on it, in order, and nothing is lost.
func TestFailedSync(t *testing.T) {
	noLeak(t)
	for times := 1; times <= 4; times++ {
		dir, f, j, clock := t.TempDir(), &faults{}, &journal{}, newFakeClock()
		o := open(t, Options{Dir: dir, Log: j.logger(), clock: clock.clock(), fault: f.fault})
		put(t, o, 0, 10)
		clock.asleep(t, o)
		clock.advance(syncDelay)
		clock.asleep(t, o)
		put(t, o, 10, 20) // unsynced
		ack(expect(t, o, 0, 15)[12:])
		synced := map[string]bool{}
		count := 0
		f.set(func(op, path string) error {
			if op == "write" || op == "sync" {
				if synced[path] {
					t.Errorf("%s of %s after its fdatasync failed", op, path)
				}
			}
			if op != "sync" || count >= times {
				return nil
			}
			count++
			synced[path] = true
			return syscall.EIO
		})
		clock.advance(syncDelay)
		clock.asleep(t, o)
		if have := o.Stats().Degraded; (have != "") != (times > 1) {
			t.Errorf("%d failures: in memory alone: %q", times, have)
		}
		put(t, o, 20, 30)
		m := expect(t, o, 15, 25)
		ack(m[:2])
		for round := 0; o.Stats().Degraded != ""; round++ {
			if round > times {
				t.Fatalf("%d failures: still in memory alone:\n%s", times, j.String())
			}
			clock.asleep(t, o)
			clock.advance(retryDelay)
			clock.asleep(t, o)
		}
		if n := len(files(t, dir, ".log")); n != 2 {
			t.Errorf("%d failures: want 2 segments, have %d", times, n)
		}
		clock.advance(syncDelay)
		clock.asleep(t, o)
		found := open(t, Options{Dir: copyDir(t, dir)})
		expect(t, found, 0, 12)
		expect(t, found, 17, 30)
		none(t, found)
		crash(o)
		if s := found.Stats(); s.Damaged != 0 || s.Dropped != 0 {
			t.Errorf("%d failures: want nothing lost, have %+v", times, s)
		}
		if warned := j.count("WARN"); warned != min(times, 2) {
			t.Errorf("%d failures: want %d warnings, have %d:\n%s", times, min(times, 2), warned, j.String())
		}
	}
}

// A full disk: messages go to memory, what is on disk is still handed out, before them, and when there is space again they
// go to disk.
func TestFullDisk(t *testing.T) {
	noLeak(t)
	dir, f, j, clock := t.TempDir(), &faults{}, &journal{}, newFakeClock()
	o := open(t, Options{Dir: dir, Log: j.logger(), clock: clock.clock(), fault: f.fault})
	put(t, o, 0, 20)
	f.set(failAlways("write", syscall.ENOSPC))
	put(t, o, 20, 40)
	m := expect(t, o, 0, 30)
	ack(m[10:15])
	ack(m[22:24])
	if s := o.Stats(); !strings.Contains(s.Degraded, "no space") || s.Pending != 33 {
		t.Errorf("want 33 messages and no space left, have %+v", s)
	}
	f.set(nil)
	clock.asleep(t, o)
	clock.advance(time.Second)
	put(t, o, 40, 41) // sees that there is space
	clock.asleep(t, o)
	if s := o.Stats(); s.Degraded != "" || j.count("INFO", "works again") != 1 {
		t.Errorf("want a disk that works again, have %+v:\n%s", s, j.String())
	}
	put(t, o, 41, 50)
	crash(o)
	o = open(t, Options{Dir: dir})
	expect(t, o, 0, 10)
	expect(t, o, 15, 22)
	expect(t, o, 24, 50)
	none(t, o)
}

// Memory is bounded: the oldest go, and are counted on disk when that works again.
func TestMemoryBound(t *testing.T) {
	noLeak(t)
	dir, f, j, clock := t.TempDir(), &faults{}, &journal{}, newFakeClock()
	opts := Options{Dir: dir, Log: j.logger(), clock: clock.clock(), fault: f.fault}
	o := open(t, opts)
	put(t, o, 0, 5)
	f.set(failAlways("write", syscall.EIO))
	put(t, o, 5, 3005)
	s := o.Stats()
	if s.Dropped == 0 || s.Pending+int(s.Dropped) != 3005 || s.Pending*len(event(0)) > MemoryBytes {
		t.Errorf("want at most %d bytes in memory, have %+v", MemoryBytes, s)
	}
	if n := j.count("WARN", "drops"); n != 1 {
		t.Errorf("want one warning of dropped messages, have %d:\n%s", n, j.String())
	}
	f.set(nil)
	clock.asleep(t, o)
	clock.advance(retryDelay)
	clock.asleep(t, o)
	crash(o)
	o = open(t, opts)
	if have := o.Stats(); have.Dropped != s.Dropped || have.Pending != s.Pending {
		t.Errorf("want %+v, have %+v", s, have)
	}
	expect(t, o, 0, 5)
	expect(t, o, 3010-s.Pending, 3005)
	none(t, o)
}

// The folder comes when messages are in memory already: those on disk are older and go first, and none is taken for
// another.
func TestLateFolder(t *testing.T) {
	noLeak(t)
	dir, f, clock := t.TempDir(), &faults{}, newFakeClock()
	opts := Options{Dir: dir, clock: clock.clock(), fault: f.fault}
	o := open(t, opts)
	put(t, o, 0, 10)
	shut(t, o)
	f.set(failAlways("mkdir", syscall.EACCES))
	o = open(t, opts)
	put(t, o, 10, 20)
	m := expect(t, o, 10, 15)
	m[0].Ack()
	m[1].Release()
	m[2].Release()
	f.set(nil)
	clock.asleep(t, o)
	clock.advance(retryDelay)
	clock.asleep(t, o)
	if s := o.Stats(); s.Degraded != "" || s.Pending != 19 || !s.Oldest.Equal(when) {
		t.Errorf("want 19 messages on disk, have %+v", s)
	}
	m[2].Ack()
	m[3].Ack()
	expect(t, o, 0, 10)
	expect(t, o, 11, 12)
	expect(t, o, 15, 20)
	none(t, o)
	m[4].Release()
	expect(t, o, 14, 15)
	shut(t, o)
	o = open(t, opts)
	expect(t, o, 0, 10)
	expect(t, o, 11, 12)
	expect(t, o, 14, 20)
	none(t, o)
}

// A clock that is set forward, as that of a board without a battery is when it finds the time, does not make what was
// just accepted old.
func TestClockSet(t *testing.T) {
	noLeak(t)
	clock := newFakeClock()
	clock.set(time.Unix(0, 0))
	o := open(t, Options{Dir: t.TempDir(), MaxAge: time.Hour, clock: clock.clock()})
	if err := o.Put(topic, event(0), clock.clock().now()); err != nil {
		t.Fatal(err)
	}
	clock.set(when)
	expect(t, o, 0, 1)[0].Release()
	clock.advance(2 * time.Hour)
	none(t, o)
	if s := o.Stats(); s.Expired != 1 || s.Pending != 0 {
		t.Errorf("want one message expired, have %+v", s)
	}
}

// TestDroppedWhileSynced fills the outbox while its first segment is being synced, so that this is dropped to make room: that is no fault
// of the disk, which would have what was written meanwhile kept in memory.
func TestDroppedWhileSynced(t *testing.T) {
	clock, j := newFakeClock(), &journal{}
	random := rand.NewChaCha8([32]byte{})
	var o *Outbox
	fill := func(n int) {
		for range n {
			payload := make([]byte, 4000) // that can't be deflated
			random.Read(payload)          // always all of it
			if err := o.Put(topic, payload, when); err != nil {
				t.Error(err)
			}
		}
	}
	filled := make(chan struct{})
	var once sync.Once
	opts := Options{Dir: t.TempDir(), MaxBytes: MinBytes, Log: j.logger(), clock: clock.clock(), fault: func(op, path string) error {
		if op == "sync" && strings.HasSuffix(path, segmentExt) {
			once.Do(func() {
				fill(100)
				close(filled)
			})
		}
		return nil
	}}
	o = open(t, opts)
	fill(3)
	clock.asleep(t, o)
	clock.advance(syncDelay)
	<-filled
	clock.asleep(t, o)
	before := o.Stats()
	if j.count("failed to sync") != 0 || before.Degraded != "" || before.Dropped < 3 {
		t.Errorf("want the first messages dropped and no fault of the disk, have %+v", before)
	}
	crash(o)
	if after := open(t, opts).Stats(); after.Pending != before.Pending {
		t.Errorf("want %d messages after a crash, have %d", before.Pending, after.Pending)
	}
}
