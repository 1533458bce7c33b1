package outbox

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// volume is a small ext4 file system in a file.
type volume struct {
	image string
	dir   string // where it is mounted
}

// newVolume makes and mounts one of so many MiB until the test's end.
func newVolume(t *testing.T, mib int64) volume {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system wants root")
	}
	tool(t, "mkfs.ext4", "e2fsprogs")
	tool(t, "mount", "mount")
	dir := t.TempDir()
	v := volume{filepath.Join(dir, "image"), filepath.Join(dir, "mounted")}
	f, err := os.Create(v.image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(mib << 20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", v.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	v.mount(t)
	return v
}

func (v volume) mount(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "loop", v.image, v.dir).CombinedOutput(); err != nil {
		t.Skipf("mounting is not permitted here: %v: %s", err, out)
	}
	t.Cleanup(func() { v.unmount(t) })
}

func (v volume) unmount(t *testing.T) {
	t.Helper()
	if err := syscall.Unmount(v.dir, 0); err != nil && err != syscall.EINVAL { // not mounted any more
		t.Errorf("unmount %s: %v", v.dir, err)
	}
}

// writes is what the kernel counts of the device that is mounted.
func (v volume) writes(t *testing.T) string {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(v.dir, &st); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", st.Dev>>8&0xFFF, st.Dev&0xFF|st.Dev>>12&0xFFF00))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	return f[4] + " " + f[6] + " " + f[8] // writes, sectors written, in flight
}

// copy mounts what is on the device now: what the power's loss would leave, if the device keeps what it was given. The
// copy is made again until no write came in between.
func (v volume) copy(t *testing.T) volume {
	t.Helper()
	c := volume{filepath.Join(t.TempDir(), "image"), filepath.Join(t.TempDir(), "mounted")}
	for before := ""; ; {
		before = v.writes(t)
		from, err := os.Open(v.image)
		if err != nil {
			t.Fatal(err)
		}
		to, err := os.Create(c.image)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(to, from)
		from.Close()
		to.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(before, " 0") && before == v.writes(t) {
			break
		}
	}
	c.mount(t)
	return c
}

// I7: a power cut loses at most what was put in the last second.
func TestI7PowerCut(t *testing.T) {
	noLeak(t)
	v := newVolume(t, 16)
	clock, f := newFakeClock(), &faults{}
	opts := Options{Dir: filepath.Join(v.dir, "outbox"), MaxBytes: MinBytes * 4, clock: clock.clock(), fault: f.fault}
	o := open(t, opts)
	r := rand.New(rand.NewPCG(5, 5))
	n, acked := 0, 0
	var written []time.Duration // when message n was put
	worst := 0
	for round := range 12 {
		for range 10 + r.IntN(30) {
			for range r.IntN(8) {
				put(t, o, n, n+1)
				written = append(written, clock.clock().up())
				n++
			}
			clock.asleep(t, o)
			clock.advance(time.Duration(r.IntN(400)) * time.Millisecond)
			clock.asleep(t, o)
		}
		safe := n // what was put a second ago
		for safe > 0 && written[safe-1] > clock.clock().up()-syncDelay {
			safe--
		}
		c := v.copy(t)
		found := open(t, Options{Dir: filepath.Join(c.dir, "outbox")})
		s := found.Stats()
		if s.Damaged > 0 || s.Degraded != "" {
			t.Fatalf("round %d: want nothing damaged, have %+v", round, s)
		}
		// Acknowledgements are not synced: what was acknowledged since the last fdatasync may come again.
		first := next(t, found)
		begin, err := seqOf(first.Payload)
		if err != nil || begin > acked {
			t.Fatalf("round %d: want message %d or one before it, have %d, %v", round, acked, begin, err)
		}
		first.Release()
		end := begin + s.Pending
		expect(t, found, begin, end)
		shut(t, found)
		c.unmount(t)
		if end < safe {
			t.Fatalf("round %d: want message %d and all before it, have those before %d of %d", round, safe-1, end, n)
		}
		worst = max(worst, n-end)
		// Take some, or all, so that the log is begun anew.
		take := r.IntN(n - acked)
		if round%3 == 2 {
			take = n - acked - 1
		}
		ack(expect(t, o, acked, acked+take))
		acked += take
		if round%3 == 2 {
			put(t, o, n, n+1) // while one is pending, then none
			written = append(written, clock.clock().up())
			ack(expect(t, o, acked, n+1))
			n++
			put(t, o, n, n+1)
			written = append(written, clock.clock().up())
			acked = n
			n++
		}
	}
	t.Logf("%d messages in 12 rounds, at most %d lost by a power cut, all of the last second; %d calls of fdatasync or fsync", n, worst, f.counted("sync"))
	shut(t, o)
}

// A file system without a byte left, then with some again.
func TestDiskFull(t *testing.T) {
	noLeak(t)
	v := newVolume(t, 6)
	clock, j := newFakeClock(), &journal{}
	opts := Options{Dir: filepath.Join(v.dir, "outbox"), clock: clock.clock(), Log: j.logger()}
	o := open(t, opts)
	put(t, o, 0, 20)
	filler := filepath.Join(v.dir, "filler")
	fill(t, filler)
	n := 20
	for ; o.Stats().Degraded == ""; n++ {
		put(t, o, n, n+1)
	}
	put(t, o, n, n+200)
	n += 200
	if s := o.Stats(); !strings.Contains(s.Degraded, "no space left") || s.Pending != n || s.Dropped != 0 || j.count("WARN") != 1 {
		t.Errorf("want %d messages and one warning, have %+v:\n%s", n, s, j)
	}
	// Still full: nothing changes, and nothing more is said.
	clock.asleep(t, o)
	clock.advance(retryDelay)
	clock.asleep(t, o)
	m := expect(t, o, 0, 30)
	ack(m[:10])
	if s := o.Stats(); s.Degraded == "" || j.count("WARN") != 1 {
		t.Errorf("want it still full, have %+v:\n%s", s, j)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	clock.advance(time.Second)
	put(t, o, n, n+1) // sees that there is space
	n++
	clock.asleep(t, o)
	if s := o.Stats(); s.Degraded != "" || j.count("INFO", "works again") != 1 {
		t.Errorf("want a disk that works again, have %+v:\n%s", s, j)
	}
	crash(o)
	o = open(t, opts)
	expect(t, o, 10, n)
	none(t, o)
	shut(t, o)
}

// fill writes a file until nothing goes any more.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 16; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// A file system that becomes read-only, as ext4 makes itself when it finds an error.
func TestReadOnly(t *testing.T) {
	noLeak(t)
	v := newVolume(t, 6)
	clock := newFakeClock()
	opts := Options{Dir: filepath.Join(v.dir, "outbox"), clock: clock.clock()}
	o := open(t, opts)
	put(t, o, 0, 20)
	crash(o)
	remount := func(how string) {
		if out, err := exec.Command("mount", "-o", "remount,"+how, v.dir).CombinedOutput(); err != nil {
			t.Fatalf("remount: %v: %s", err, out)
		}
	}
	remount("ro")
	o = open(t, opts)
	if s := o.Stats(); !strings.Contains(s.Degraded, "read-only") || s.Pending != 20 {
		t.Errorf("want 20 messages on a read-only file system, have %+v", s)
	}
	put(t, o, 20, 30)
	ack(expect(t, o, 0, 25)[:15])
	remount("rw")
	clock.asleep(t, o)
	clock.advance(retryDelay)
	clock.asleep(t, o)
	if s := o.Stats(); s.Degraded != "" {
		t.Errorf("want a disk that works again, have %+v", s)
	}
	put(t, o, 30, 40)
	shut(t, o)
	o = open(t, opts)
	expect(t, o, 15, 40)
	none(t, o)
	shut(t, o)
}
