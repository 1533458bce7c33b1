package outbox

import (
	"fmt"
	"io"
	"os"
)

// readBytes is read from a segment at once.
const readBytes = 64 << 10

// reader reads the messages of one segment after the other, in order.
type reader struct {
	s      *segment
	f      *os.File
	mem    []byte
	buf    []byte // the file's bytes before off; in mem
	off    int64
	next   uint64 // number after the last message
	unpack unpacker
}

func (r *reader) close() {
	if r.f != nil {
		r.f.Close()
	}
	r.s, r.f, r.buf = nil, nil, r.buf[:0]
}

// open begins to read s.
func (r *reader) open(s *segment) error {
	r.close()
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	r.s, r.f, r.off, r.next = s, f, headerSize, 0
	r.unpack.restart()
	return nil
}

// peek returns at least n of the next bytes, or errShort.
func (r *reader) peek(n int) ([]byte, error) {
	have := len(r.buf)
	if have >= n {
		return r.buf, nil
	}
	more := min(int(r.s.end-r.off), max(readBytes, n)-have)
	if have+more < n {
		return nil, errShort
	}
	if len(r.mem) < have+more {
		r.mem = make([]byte, max(readBytes, n))
	}
	copy(r.mem, r.buf)
	r.buf = r.mem[:have]
	if _, err := r.f.ReadAt(r.mem[have:have+more], r.off); err == io.EOF {
		return nil, errShort
	} else if err != nil {
		return nil, err
	}
	r.buf, r.off = r.mem[:have+more], r.off+int64(more)
	return r.buf, nil
}

// record reads the next one. It shares r's bytes.
func (r *reader) record() (record, error) {
	b, err := r.peek(frameSize)
	if err != nil {
		return record{}, err
	}
	size, err := recordSize(b)
	if err != nil {
		return record{}, err
	}
	if b, err = r.peek(size); err != nil {
		return record{}, err
	}
	rec, err := parseRecord(b)
	if err == nil {
		r.buf = b[size:]
	}
	return rec, err
}

// message reads on until the message of the number n.
func (r *reader) message(n uint64) (*entry, error) {
	for {
		rec, err := r.record()
		if err != nil {
			return nil, err
		}
		if rec.kind == kindAcks {
			continue
		}
		m, err := rec.message(r.s.base)
		if err != nil {
			return nil, err
		}
		content, err := r.unpack.content(rec, m)
		if err != nil {
			return nil, err
		}
		if r.next = m.number + 1; m.number < n {
			continue
		}
		if m.number > n {
			return nil, fmt.Errorf("want message %d, have %d", n, m.number)
		}
		topic, payload, err := parseContent(content)
		if err != nil {
			return nil, err
		}
		return &entry{number: n, topic: topic, payload: payload, accepted: m.accepted}, nil
	}
}

// read returns the message of the number n, which is in one of the segments, and that segment.
func (o *Outbox) read(n uint64) (*entry, *segment, error) {
	for _, s := range o.segments {
		if n < s.first || n >= s.next {
			continue
		}
		if o.reader.s != s || o.reader.next > n {
			if err := o.reader.open(s); err != nil {
				return nil, s, err
			}
		}
		if err := o.opts.fault("read", s.path); err != nil {
			return nil, s, err
		}
		e, err := o.reader.message(n)
		return e, s, err
	}
	return nil, nil, fmt.Errorf("want a segment with message %d, have none", n)
}

// loseRest gives up the messages of s from the number n on, because err came of reading that one.
func (o *Outbox) loseRest(n uint64, s *segment, err error) {
	to, path := n+1, ""
	if s != nil {
		to, path, s.bad = s.next, s.path, true
		if len(o.tail) > 0 {
			to = min(to, o.tail[0].number)
		}
		if s == o.active {
			o.seal()
		}
	}
	o.reader.close()
	lost := o.done.missing(n, to)
	o.totals.damaged += lost
	o.log.Warn("outbox can't read messages: they are lost", "file", path, "messages", lost, "err", err)
	o.finish(n, to)
	o.settle()
}
