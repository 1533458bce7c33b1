package outbox

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// small is the content of the only segment of an outbox with so many messages, the first half of them acknowledged.
func small(t testing.TB, messages int) []byte {
	t.Helper()
	dir := t.TempDir()
	o := open(t, Options{Dir: dir})
	put(t, o, 0, messages)
	ack(expect(t, o, 0, messages/2))
	shut(t, o)
	b := content(t, dir)
	h, err := parseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:surveySegment(h, b, maxNumber).end] // without the zeros that are written ahead
}

// content is that of the only segment in a folder.
func content(t testing.TB, dir string) []byte {
	t.Helper()
	names := files(t, dir, segmentExt)
	if len(names) != 1 {
		t.Fatalf("want one segment, have %q", names)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reading is what comes out of a folder with damaged files.
type reading struct {
	events []int // handed out, in order
	stats  Stats
	log    *journal
}

// read opens a folder with the given segments and takes all that is handed out, which must be some of the events below
// max, unchanged and in order.
func read(t testing.TB, dir string, segments [][]byte, max int) reading {
	t.Helper()
	for i, b := range segments {
		if err := os.WriteFile(filepath.Join(dir, segmentName(uint64(i+1))), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := reading{log: &journal{}}
	o := open(t, Options{Dir: dir, Log: r.log.logger()})
	for last := -1; ; {
		o.mu.Lock()
		m := o.take()
		o.mu.Unlock()
		if m == nil {
			break
		}
		for last++; last < max && !bytes.Equal(m.Payload, event(last)); last++ {
		}
		if last == max || m.Topic != topic {
			t.Fatalf("have a message that was never put, or one out of order: topic %q, payload %.80q", m.Topic, m.Payload)
		}
		r.events = append(r.events, last)
	}
	r.stats = o.Stats()
	put(t, o, max, max+1)
	if m := next(t, o); !bytes.Equal(m.Payload, event(max)) {
		t.Fatalf("want the message that was put last, have %.80q", m.Payload)
	}
	shut(t, o)
	return r
}

// skip leaves positions out: most of those in the header's zeros, and more of all where everything takes longer.
func skip(at int) bool {
	return at >= headerUsed && at < headerSize && at%97 != 0 || raceDetector && at%11 != 0
}

// Every length that a file can be cut to: what is whole comes out, and a torn record is no reason to say anything.
func TestTruncated(t *testing.T) {
	noLeak(t)
	const messages = 4
	b := small(t, messages)
	var ends []int // of the messages
	for at := headerSize; at < len(b); {
		r, err := parseRecord(b[at:])
		if err != nil {
			t.Fatal(err)
		}
		if at += r.size(); r.kind != kindAcks {
			ends = append(ends, at)
		}
	}
	for cut := range len(b) {
		if skip(cut) {
			continue
		}
		r := read(t, t.TempDir(), [][]byte{b[:cut]}, messages)
		whole := 0
		for whole < len(ends) && ends[whole] <= cut {
			whole++
		}
		if len(r.events) != whole {
			t.Fatalf("cut to %d bytes: want %d messages, have %d", cut, whole, len(r.events))
		}
		torn := cut == 0 || cut >= headerSize
		if r.log.count("WARN") != 0 != !torn || (r.stats.Damaged > 0) != !torn {
			t.Fatalf("cut to %d bytes: want a warning: %t, have %+v:\n%s", cut, !torn, r.stats, r.log)
		}
	}
}

// Every byte of a file inverted: nothing wrong comes out, all before it does, and if something is missing that wasn't the
// file's last record, the file is set aside.
func TestFlipped(t *testing.T) {
	noLeak(t)
	const messages = 4
	b := small(t, messages)
	for at := range b {
		if skip(at) {
			continue
		}
		bad := slices.Clone(b)
		bad[at] ^= 0xFF
		dir := t.TempDir()
		r := read(t, dir, [][]byte{bad}, messages)
		before := 0
		for i := headerSize; ; {
			rec, err := parseRecord(b[i:])
			if err != nil || i+rec.size() > at {
				break
			}
			if i += rec.size(); rec.kind != kindAcks {
				before++
			}
		}
		if at < headerUsed {
			before = 0
		} else if at < headerSize {
			before = messages - messages/2
		}
		if len(r.events) < min(before, messages/2) {
			t.Fatalf("byte %d: want at least %d messages, have %v", at, before, r.events)
		}
		if aside := len(files(t, dir, corruptMark)); (aside == 1) != (r.stats.Damaged > 0) || (aside == 1) != (r.log.count("WARN") == 1) {
			t.Fatalf("byte %d: %d files set aside, %d warnings, %+v", at, aside, r.log.count("WARN"), r.stats)
		}
	}
}

// Three segments, the middle one damaged in several ways: the others' messages come out.
func TestDamagedMiddle(t *testing.T) {
	noLeak(t)
	const messages = 400
	from := t.TempDir()
	o := open(t, Options{Dir: from, MaxBytes: MinBytes})
	put(t, o, 0, messages)
	crash(o)
	var segments [][]byte
	var counts []int
	for _, name := range files(t, from, segmentExt) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		h, err := parseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		v := surveySegment(h, b, maxNumber)
		segments, counts = append(segments, b), append(counts, int(v.next-h.first))
	}
	if len(segments) < 3 {
		t.Fatalf("want 3 segments, have %d", len(segments))
	}
	last := len(segments) - 1
	for name, c := range map[string]struct {
		damage func(b []byte) []byte
		lost   int
		aside  int
	}{
		"nothing":      {func(b []byte) []byte { return b }, 0, 0},
		"no header":    {func(b []byte) []byte { b[3] = 0; return b }, counts[1], 1},
		"no content":   {func(b []byte) []byte { return nil }, counts[1], 0},
		"header alone": {func(b []byte) []byte { return b[:headerSize] }, counts[1], 0},
		"first record": {func(b []byte) []byte { b[headerSize+20]++; return b }, counts[1], 1},
		"zeros":        {func(b []byte) []byte { clear(b[headerSize:]); return b }, counts[1], 1},
		"last byte":    {func(b []byte) []byte { b[len(b)-1]++; return b }, 1, 1},
		"too large":    {func(b []byte) []byte { return append(b, make([]byte, segmentFile)...) }, 0, 0},
	} {
		all := slices.Clone(segments)
		all[1] = c.damage(slices.Clone(segments[1]))
		dir := t.TempDir()
		r := read(t, dir, all, messages)
		if len(r.events) != messages-c.lost || int(r.stats.Damaged) != c.lost || r.events[0] != 0 || r.events[len(r.events)-1] != messages-1 {
			t.Errorf("%s: want %d messages lost, have %d of %d, and %+v", name, c.lost, messages-len(r.events), messages, r.stats)
		}
		if n := len(files(t, dir, corruptMark)); n != c.aside || (r.log.count("WARN") > 0) != (c.lost > 0) {
			t.Errorf("%s: want %d files set aside, have %d:\n%s", name, c.aside, n, r.log)
		}
		// Opened again it is whole, and what was counted is still known.
		o := open(t, Options{Dir: dir})
		if s := o.Stats(); s.Pending != messages-c.lost+1 || int(s.Damaged) != c.lost {
			t.Errorf("%s: opened again: want %d messages pending and %d damaged, have %+v", name, messages-c.lost+1, c.lost, s)
		}
		shut(t, o)
	}
	// A segment that is gone, in the middle, is missed; at the end nobody can know.
	r := read(t, t.TempDir(), slices.Delete(slices.Clone(segments), 1, 2), messages)
	if int(r.stats.Damaged) != counts[1] || r.log.count("WARN", "misses") != 1 {
		t.Errorf("want %d messages missed, have %+v:\n%s", counts[1], r.stats, r.log)
	}
	r = read(t, t.TempDir(), segments[:last], messages)
	if r.stats.Damaged != 0 || r.log.count("WARN") != 0 {
		t.Errorf("want nothing missed, have %+v:\n%s", r.stats, r.log)
	}
}

// What goes bad while the outbox is open is given up, and set aside when what was good in it is done with.
func TestDamagedWhileOpen(t *testing.T) {
	noLeak(t)
	dir, j := t.TempDir(), &journal{}
	o := open(t, Options{Dir: dir, MaxBytes: MinBytes})
	put(t, o, 0, 200)
	shut(t, o)
	o = open(t, Options{Dir: dir, MaxBytes: MinBytes, Log: j.logger()})
	name := files(t, dir, segmentExt)[0]
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[12000]++
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var got []int
	for n := 0; n < 200; {
		m := next(t, o)
		for !bytes.Equal(m.Payload, event(n)) {
			n++
		}
		got = append(got, n)
		n++
		m.Ack()
	}
	if s := o.Stats(); s.Damaged == 0 || int(s.Damaged)+len(got) != 200 || j.count("WARN", "can't read messages") != 1 {
		t.Errorf("want one warning, have %d messages, %+v:\n%s", len(got), s, j)
	}
	if n := len(files(t, dir, corruptMark)); n != 1 {
		t.Errorf("want one file set aside, have %d", n)
	}
}

// At most two damaged files are kept, and none when messages need their room.
func TestKeptAside(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	for range 4 {
		b := bytes.Repeat([]byte("x"), 50_000)
		if err := os.WriteFile(filepath.Join(dir, "00000000000000ff.log"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		shut(t, open(t, Options{Dir: dir, MaxBytes: MinBytes}))
	}
	if n := len(files(t, dir, corruptMark)); n != keptAside {
		t.Errorf("want %d files, have %d", keptAside, n)
	}
	o := open(t, Options{Dir: dir, MaxBytes: MinBytes})
	if s := o.Stats(); s.Bytes != onDisk(t, dir) || s.Damaged != 4 {
		t.Errorf("want %d bytes and 4 damaged, have %+v", onDisk(t, dir), s)
	}
	put(t, o, 0, 1200)
	if n := len(files(t, dir, corruptMark)); n != 0 {
		t.Errorf("want no file kept in a full outbox, have %d", n)
	}
	if s := o.Stats(); s.Dropped != 0 && s.Bytes < MinBytes/2 {
		t.Errorf("want no message dropped for a damaged file, have %+v", s)
	}
}

// A crash in the middle of a repair: the good records are in the file of the temporary name.
func TestRepairInterrupted(t *testing.T) {
	noLeak(t)
	b := small(t, 10)
	for _, whole := range []bool{false, true} {
		dir := t.TempDir()
		name := filepath.Join(dir, segmentName(1))
		if err := os.WriteFile(name+tempExt, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if whole { // the old file is still there
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o := open(t, Options{Dir: dir})
		expect(t, o, 5, 10)
		none(t, o)
		if n := len(files(t, dir, tempExt)); n != 0 {
			t.Errorf("want no temporary file, have %d", n)
		}
		shut(t, o)
	}
}
