// Command bbolt writes the same messages to the outbox and to a queue in a bbolt file, and says what each costs the
// device: bytes written and flushes an event. outbox_bytes.sh makes the file systems and runs it.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"sightd/publish/outbox"
)

// queue is a store of messages.
type queue interface {
	put(payload []byte) error // kill -9 does not lose it, nor, after sync, a power cut
	sync() error
	ack(n int) error // takes the n oldest messages, which the broker has
	close() error
}

const (
	topic    = "sightd/pi4/frontdoor/event"
	ackBatch = outbox.AckBatch // deletions in one transaction
)

// segments is the outbox.
type segments struct{ o *outbox.Outbox }

func (s segments) put(payload []byte) error { return s.o.Put(topic, payload, time.Now()) }
func (s segments) sync() error              { return s.o.Sync() }
func (s segments) close() error             { return s.o.Close() }

func (s segments) ack(n int) error {
	for range n {
		m, err := s.o.Next(context.Background())
		if err != nil {
			return err
		}
		m.Ack()
	}
	return nil
}

// tree is a bbolt file with one bucket, from a number to a message. Every transaction is synced, which takes two calls of
// fdatasync, unless lazy is set: then it is in the page cache alone until sync, and a power cut may leave a file that
// can't be read.
type tree struct {
	db    *bbolt.DB
	lazy  bool
	batch [][]byte // put, and not committed
	size  int      // of a batch
	acked int      // to be deleted with the next messages
}

var bucket = []byte("messages")

func openTree(path string, lazy bool, batch int) (*tree, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		PageSize: 4096, FreelistType: bbolt.FreelistMapType, NoFreelistSync: true, NoSync: lazy,
	})
	if err != nil {
		return nil, err
	}
	t := &tree{db: db, lazy: lazy, size: batch}
	if lazy {
		t.size = 1
	}
	return t, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

func (t *tree) put(payload []byte) error {
	t.batch = append(t.batch, payload)
	if len(t.batch) < t.size {
		return nil // a second's messages are one transaction; kill -9 loses them
	}
	return t.commit()
}

// commit writes what was put and deletes what was acknowledged.
func (t *tree) commit() error {
	if len(t.batch) == 0 && t.acked == 0 {
		return nil
	}
	err := t.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		b.FillPercent = 1 // keys grow
		c := b.Cursor()
		for k, _ := c.First(); k != nil && t.acked > 0; k, _ = c.First() {
			if err := c.Delete(); err != nil {
				return err
			}
			t.acked--
		}
		for _, p := range t.batch {
			n, err := b.NextSequence()
			if err != nil {
				return err
			}
			if err := b.Put(binary.BigEndian.AppendUint64(nil, n), append([]byte(topic+"\x00"), p...)); err != nil {
				return err
			}
		}
		return nil
	})
	t.batch = t.batch[:0]
	return err
}

func (t *tree) sync() error {
	if t.lazy {
		return t.db.Sync()
	}
	return t.commit()
}

func (t *tree) ack(n int) error {
	for range n {
		if t.acked++; t.acked >= ackBatch {
			if err := t.commit(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tree) close() error { return errors.Join(t.commit(), t.db.Close()) }

// event is like a payload of the daemon: 900 bytes of which what differs between events is random.
func event(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	at := time.Unix(1790000000+int64(n), int64(r.IntN(1000))*1e6).UTC()
	b := fmt.Appendf(nil, `{"event_type":"classified","id":"01K5V3M2QR%016X","seq":%d,"ts":"%s","source":"frontdoor","top":[`,
		r.Uint64(), n, at.Format("2006-01-02T15:04:05.000Z"))
	for i := range 8 {
		if i > 0 {
			b = append(b, ',')
		}
		k := r.IntN(1000)
		b = fmt.Appendf(b, `{"label":"%s %d","index":%d,"score":%.4f}`, strings.Repeat("label ", 3), k, k, r.Float64()/float64(i+1))
	}
	return fmt.Appendf(b, `],"model":"googlenet-int8","model_sha":"3f2ac61f0b94e7d5581aa2b0c4e1f96d7a8850c3b2e1d4f60718293a4b5c6d7e",`+
		`"delegate":"xnnpack","infer_ms":%.2f,"frame_age_ms":%d,"duration_s":%.3f,"file":null,"error":null,"replayed":false}`,
		25+9*r.Float64(), 20+r.IntN(60), 100*r.Float64())
}

// counts is what a device was given.
type counts struct{ bytes, flushes int64 }

// device reads the counts of the device that dir is on, after everything that is in the page cache was written.
func device(dir string) (counts, error) {
	f, err := os.Open(dir)
	if err != nil {
		return counts{}, err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return counts{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return counts{}, err
	}
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return counts{}, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 16 {
		return counts{}, fmt.Errorf("read the device's counts: want 16 and more, have %d", len(fields))
	}
	sectors, err := strconv.ParseInt(fields[6], 10, 64)
	if err != nil {
		return counts{}, err
	}
	flushes, err := strconv.ParseInt(fields[15], 10, 64)
	return counts{sectors * 512, flushes}, err
}

func open(kind, dir string, batch int) (queue, error) {
	switch kind {
	case "outbox":
		o, err := outbox.Open(outbox.Options{Dir: filepath.Join(dir, "outbox"), MaxBytes: 256 << 20})
		return segments{o}, err
	case "bbolt":
		return openTree(filepath.Join(dir, "outbox.db"), false, batch)
	case "bbolt-nosync":
		return openTree(filepath.Join(dir, "outbox.db"), true, batch)
	}
	return nil, fmt.Errorf("open store: want outbox, bbolt or bbolt-nosync, have %q", kind)
}

// work puts events. A broker that is there takes each at once; otherwise each batch is synced, and the broker takes all
// at the end.
func work(q queue, events, batch int, broker bool, pace time.Duration) error {
	var tick <-chan time.Time
	if pace > 0 {
		t := time.NewTicker(pace)
		defer t.Stop()
		tick = t.C
	}
	for n := range events {
		if tick != nil {
			<-tick
		}
		if err := q.put(event(n)); err != nil {
			return err
		}
		var err error
		switch {
		case broker:
			err = q.ack(1)
		case (n+1)%batch == 0:
			err = q.sync()
		}
		if err != nil {
			return err
		}
	}
	if broker {
		return nil
	}
	return q.ack(events)
}

func run() error {
	kind := flag.String("store", "outbox", "outbox, bbolt or bbolt-nosync")
	dir := flag.String("dir", "", "folder on the device to be measured")
	events := flag.Int("events", 1000, "messages")
	batch := flag.Int("batch", 1, "messages between two syncs, with the broker away")
	broker := flag.Bool("broker", false, "the broker takes each message at once")
	pace := flag.Duration("pace", 0, "time between two messages; 0: none")
	flag.Parse()
	q, err := open(*kind, *dir, *batch)
	if err != nil {
		return err
	}
	before, err := device(*dir)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := work(q, *events, *batch, *broker, *pace); err != nil {
		return err
	}
	if err := q.close(); err != nil {
		return err
	}
	took := time.Since(start)
	after, err := device(*dir)
	if err != nil {
		return err
	}
	n := float64(*events)
	fmt.Printf("%-13s %9.0f bytes/event %7.3f flushes/event %8.1f us/event\n", *kind,
		float64(after.bytes-before.bytes)/n, float64(after.flushes-before.flushes)/n, float64(took.Microseconds())/n)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
