package outbox

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func FuzzSurvey(f *testing.F) {
	b := small(f, 6)
	f.Add(b[headerSize:], uint64(1))
	f.Add(b[headerSize:headerSize+100], uint64(1))
	f.Add(small(f, 1)[headerSize:], uint64(1<<40))
	f.Add(appendAcks(nil, &ranges{floor: 7, above: []span{{9, 12}, {20, 21}}}, totals{1, 2, 3}), uint64(0))
	f.Add(bytes.Repeat([]byte{kindMessage, 0, 1, 0}, 500), uint64(1))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, records []byte, first uint64) {
		first %= maxNumber
		h := header{first: first, prior: first}
		b := append(h.encode(), records...)
		v := surveySegment(h, b, maxNumber)
		if v.end < headerSize || v.end > len(b) || v.next < first || (v.end < len(b)) != (v.tail != nil) {
			t.Fatalf("want an end within %d bytes and a number of at least %d, have %+v", len(b), first, v)
		}
		name := filepath.Join(dir, segmentName(1))
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := Open(Options{Dir: dir, MaxAge: 1 << 62})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			o.mu.Lock()
			m := o.take()
			o.mu.Unlock()
			if m == nil {
				break
			}
			m.Ack()
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		for _, name := range files(t, dir, segmentExt) {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(header{first: 5, prior: 3, totals: totals{1, 2, 3}}.encode())
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeader(b)
		if err != nil {
			return
		}
		if have := h.encode(); !bytes.Equal(have[:headerUsed], b[:headerUsed]) && bytes.Equal(b[12:16], have[12:16]) && bytes.Equal(b[56:60], have[56:60]) {
			t.Fatalf("want %x, have %x", b[:headerUsed], have[:headerUsed])
		}
	})
}

// ranges against a set of numbers.
func FuzzRanges(f *testing.F) {
	f.Add([]byte{1, 2, 5, 3, 0, 4, 9, 200})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var r ranges
		var set [600]bool
		for ; len(ops) > 1; ops = ops[2:] {
			from, to := uint64(ops[0]), uint64(ops[0])+uint64(ops[1]%16)
			r.add(from, to)
			for n := from; n < to; n++ {
				set[n] = true
			}
		}
		missing := uint64(0)
		for n, has := range set {
			if r.has(uint64(n)) != has {
				t.Fatalf("%d: want %t, have %t of %+v", n, has, !has, r)
			}
			if !has {
				missing++
			}
		}
		if have := r.missing(0, uint64(len(set))); have != missing {
			t.Fatalf("want %d missing, have %d of %+v", missing, have, r)
		}
		done, _, err := parse(t, appendAcks(nil, &r, totals{}))
		if err != nil || done.floor != r.floor || !slices.Equal(done.above, r.above) {
			t.Fatalf("want %+v, have %+v, %v", r, done, err)
		}
	})
}

func parse(t testing.TB, b []byte) (ranges, totals, error) {
	t.Helper()
	r, err := parseRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	return r.acks()
}
