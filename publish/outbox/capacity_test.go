package outbox

import (
	"runtime"
	"testing"
	"time"
)

// A day of events at one a second fits the default cap, comes out in order, and takes little memory.
func TestDayOfEvents(t *testing.T) {
	if raceDetector {
		t.Skip("counts memory, which the race detector changes")
	}
	noLeak(t)
	const day = 86400
	dir := t.TempDir()
	o := open(t, Options{Dir: dir})
	plain, peak := 0, uint64(0)
	heap := func() {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
	}
	heap()
	before := peak
	peak = 0
	for n := range day {
		e := event(n)
		plain += len(e)
		if err := o.Put(topic, e, when.Add(time.Duration(n)*time.Second)); err != nil {
			t.Fatal(err)
		}
		if n%5000 == 0 {
			heap()
		}
	}
	putting := peak - before
	peak = 0
	s := o.Stats()
	if s.Dropped > 0 || s.Pending != day || s.Bytes > defaultBytes {
		t.Fatalf("want %d messages in at most %d bytes, have %+v", day, defaultBytes, s)
	}
	shut(t, o)
	o = open(t, Options{Dir: dir})
	heap()
	for n := range day {
		expect(t, o, n, n+1)[0].Ack()
		if n%5000 == 0 {
			heap()
		}
	}
	none(t, o)
	replaying := max(peak, before) - before
	// What is not synced, the compressor, the decompressor and their buffers: no memory a message.
	const limit = 8 << 20
	if putting > limit || replaying > limit {
		t.Errorf("want at most %d bytes of heap, have %d while putting and %d while replaying", limit, putting, replaying)
	}
	t.Logf("%d payloads of %d bytes: %d bytes on disk, %.1f each; heap at most %d KiB while putting, %d KiB while replaying",
		day, plain/day, s.Bytes, float64(s.Bytes)/day, putting>>10, replaying>>10)
}

func BenchmarkPut(b *testing.B) {
	b.ReportAllocs()
	o := open(b, Options{Dir: b.TempDir(), MaxBytes: 1 << 30})
	events := benchEvents()
	b.ResetTimer()
	for n := range b.N {
		if err := o.Put(topic, events[n%len(events)], when); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(o.Stats().Bytes)/float64(b.N), "B/message")
}

// BenchmarkPutAck is the steady state: a broker that acknowledges at once.
func BenchmarkPutAck(b *testing.B) {
	b.ReportAllocs()
	o := open(b, Options{Dir: b.TempDir()})
	events := benchEvents()
	b.ResetTimer()
	for n := range b.N {
		if err := o.Put(topic, events[n%len(events)], when); err != nil {
			b.Fatal(err)
		}
		m, err := o.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		m.Ack()
	}
}

// BenchmarkReplay takes what was put before.
func BenchmarkReplay(b *testing.B) {
	b.ReportAllocs()
	dir := b.TempDir()
	o := open(b, Options{Dir: dir, MaxBytes: 1 << 30})
	events := benchEvents()
	for n := range b.N {
		if err := o.Put(topic, events[n%len(events)], when); err != nil {
			b.Fatal(err)
		}
	}
	shut(b, o)
	b.ResetTimer()
	o = open(b, Options{Dir: dir, MaxBytes: 1 << 30})
	for range b.N {
		m, err := o.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		m.Ack()
	}
}

func benchEvents() [][]byte {
	events := make([][]byte, 5000)
	for n := range events {
		events[n] = event(n)
	}
	return events
}
