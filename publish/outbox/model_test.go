package outbox

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// model is what an outbox is to have.
type model struct {
	t     testing.TB
	seed  uint64
	r     *rand.Rand
	opts  Options
	clock *fakeClock
	f     *faults
	j     *journal
	o     *Outbox

	count    int              // messages put so far, numbered from 0
	pending  map[int]bool     // not acknowledged
	recent   map[int]bool     // acknowledged since Open: a crash may forget it
	maybe    map[int]bool     // was acknowledged, and may have been forgotten by a crash
	handed   map[int]*Message // outstanding
	released map[int]*Message
	last     int // the highest that was handed out since Open
}

// Random operations and faults against a model: nothing is lost unless it is counted, the order is kept, and nothing comes
// again that must not.
func TestRandomOperations(t *testing.T) {
	noLeak(t)
	seeds := uint64(40)
	if raceDetector {
		seeds = 8
	}
	if os.Getenv("TEST_LONG") != "" {
		seeds = 2000
	}
	for seed := range seeds {
		m := &model{
			t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 7)), clock: newFakeClock(), f: &faults{}, j: &journal{},
			pending: map[int]bool{}, recent: map[int]bool{}, maybe: map[int]bool{},
		}
		m.opts = Options{Dir: t.TempDir(), MaxBytes: 8 << 20, clock: m.clock.clock(), fault: m.f.fault, Log: m.j.logger()}
		if seed%3 == 0 {
			m.opts.MaxBytes = MinBytes
		}
		m.run()
	}
}

func (m *model) run() {
	m.open()
	for range 400 {
		switch k := m.r.IntN(100); {
		case k < 40:
			m.put(1 + m.r.IntN(20))
		case k < 70:
			m.next(1 + m.r.IntN(30))
		case k < 84:
			m.ack(1 + m.r.IntN(60))
		case k < 90:
			m.release(1 + m.r.IntN(10))
		case k < 94:
			m.pass(time.Duration(m.r.IntN(3000)) * time.Millisecond)
		case k < 96:
			m.f.set(m.fault())
		case k < 98:
			m.heal()
			crash(m.o)
			maps.Copy(m.maybe, m.recent)
			m.open()
		default:
			m.heal()
			shut(m.t, m.o)
			m.open()
		}
		m.clock.asleep(m.t, m.o)
		if have := m.o.Stats(); have.Bytes > m.opts.MaxBytes || have.Bytes != onDisk(m.t, m.opts.Dir) {
			m.t.Fatalf("seed %d: want at most %d bytes, have %d, and %d in Stats", m.seed, m.opts.MaxBytes, onDisk(m.t, m.opts.Dir), have.Bytes)
		}
	}
	m.heal()
	for m.o.Stats().Pending > 0 {
		m.next(1000)
		m.ack(1000)
	}
	s := m.o.Stats()
	if s.Damaged != 0 || s.Expired != 0 || s.Dropped == 0 && len(m.pending) != 0 || s.Bytes > headerSize+staleBytes {
		m.t.Fatalf("seed %d: want nothing lost, have %d, and %+v:\n%s", m.seed, len(m.pending), s, m.j)
	}
	shut(m.t, m.o)
}

func (m *model) open() {
	m.o = open(m.t, m.opts)
	m.recent = map[int]bool{}
	m.handed, m.released, m.last = map[int]*Message{}, map[int]*Message{}, -1
}

// pass has time pass.
func (m *model) pass(d time.Duration) {
	m.clock.asleep(m.t, m.o)
	m.clock.advance(d)
	m.clock.asleep(m.t, m.o)
}

// fault is what goes wrong from now on.
func (m *model) fault() func(op, path string) error {
	op := []string{"write", "sync", "create", "remove"}[m.r.IntN(4)]
	err := []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EROFS}[m.r.IntN(3)]
	return failTimes(op, err, 1+m.r.IntN(4))
}

// heal ends all faults and waits until everything is on disk.
func (m *model) heal() {
	m.f.set(nil)
	for m.o.Stats().Degraded != "" {
		m.pass(retryDelay)
	}
}

func (m *model) put(n int) {
	for range n {
		payload := append([]byte(strconv.Itoa(m.count)+" "), event(m.count)[:m.r.IntN(800)]...)
		if m.r.IntN(50) == 0 {
			payload = append(payload, bytes.Repeat([]byte("large"), m.r.IntN(8000))...)
		}
		if err := m.o.Put(topic, payload, m.clock.clock().now()); err != nil {
			m.t.Fatalf("seed %d: %v", m.seed, err)
		}
		m.pending[m.count] = true
		m.count++
	}
}

func (m *model) next(n int) {
	for range n {
		m.o.mu.Lock()
		h := m.o.take()
		m.o.mu.Unlock()
		if h == nil {
			return
		}
		head, _, _ := strings.Cut(string(h.Payload), " ")
		k, err := strconv.Atoi(head)
		switch {
		case err != nil:
			m.t.Fatalf("seed %d: have payload %.80q", m.seed, h.Payload)
		case m.handed[k] != nil:
			m.t.Fatalf("seed %d: message %d is handed out twice", m.seed, k)
		case k < m.last && m.released[k] == nil:
			m.t.Fatalf("seed %d: message %d after %d", m.seed, k, m.last)
		case !m.pending[k] && !m.maybe[k]:
			m.t.Fatalf("seed %d: message %d again, long after it was acknowledged", m.seed, k)
		}
		delete(m.released, k)
		for older, r := range m.released {
			if older < k && !m.o.done.has(r.e.number) {
				m.t.Fatalf("seed %d: message %d before %d, which was released", m.seed, k, older)
			}
		}
		m.handed[k], m.last = h, max(m.last, k)
	}
}

// some are outstanding messages, at random.
func (m *model) some(n int) []int {
	var keys []int
	for k := range m.handed {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	m.r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys[:min(n, len(keys))]
}

func (m *model) ack(n int) {
	for _, k := range m.some(n) {
		if !m.o.done.has(m.handed[k].e.number) { // else it was dropped
			delete(m.pending, k)
			delete(m.maybe, k)
			m.recent[k] = true
		}
		m.handed[k].Ack()
		delete(m.handed, k)
	}
}

func (m *model) release(n int) {
	for _, k := range m.some(n) {
		m.handed[k].Release()
		m.released[k] = m.handed[k]
		delete(m.handed, k)
	}
}
