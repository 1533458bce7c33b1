package outbox

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// packLevel is DEFLATE's. Of events as the bridge makes them, level 1 leaves twice as many bytes; the higher ones win a
// tenth, and take longer.
const packLevel = 2

// packer encodes messages, in the order in which they are written to one segment.
type packer struct {
	first  []byte // content of the message that began the stream; empty before it
	chain  uint32 // checksum of the message record before
	primed bool   // w has seen first
	w      *flate.Writer
	out    bytes.Buffer // of w
	plain  []byte
}

// restart makes the next message one that is not packed.
func (p *packer) restart() { p.first, p.primed = p.first[:0], false }

// appendMessage appends the record of a message in a segment whose first number is first. The record must be the next
// message in the segment; if it can't be written, the segment can't take another.
func (p *packer) appendMessage(b []byte, first, number uint64, accepted time.Time, topic string, payload []byte) []byte {
	start := len(b)
	head := func(kind byte) {
		b = beginRecord(b, kind)
		b = binary.AppendUvarint(b, number-first)
		b = binary.LittleEndian.AppendUint64(b, uint64(accepted.UnixNano()))
	}
	if len(p.first) == 0 {
		p.first = appendContent(p.first, topic, payload)
		head(kindMessage)
		b = append(b, p.first...)
		p.chain = endRecord(b[start:])
		return b
	}
	p.prime()
	p.plain = appendContent(p.plain[:0], topic, payload)
	p.deflate(p.plain)
	head(kindPacked)
	b = binary.LittleEndian.AppendUint32(b, p.chain)
	b = binary.AppendUvarint(b, uint64(len(p.plain)))
	b = append(b, p.out.Bytes()...)
	p.chain = endRecord(b[start:])
	return b
}

// prime has the compressor see the first message. It costs a megabyte and some microseconds, which a message that is
// acknowledged before the next one comes does not need.
func (p *packer) prime() {
	if p.primed {
		return
	}
	p.primed = true
	if p.w == nil {
		w, err := flate.NewWriter(&p.out, packLevel)
		if err != nil {
			panic("outbox: " + err.Error()) // the level is a constant
		}
		p.w = w
	} else {
		p.w.Reset(&p.out)
	}
	p.deflate(p.first)
}

// deflate leaves the packed form of plain in out. Writing to a bytes.Buffer can't fail, nor then can the compressor.
func (p *packer) deflate(plain []byte) {
	p.out.Reset()
	if _, err := p.w.Write(plain); err != nil {
		panic("outbox: " + err.Error())
	}
	if err := p.w.Flush(); err != nil {
		panic("outbox: " + err.Error())
	}
}

// unpacker decodes the messages of a segment, which must be given to it in order.
type unpacker struct {
	chain   uint32
	started bool
	in      []byte // what src reads
	src     bytes.Reader
	r       io.ReadCloser // reads src
}

// maxLeft is how much of a message's packed form may be left when all of it is unpacked: the end of the sync flush.
const maxLeft = 16

// restart makes the next message one that is not packed.
func (u *unpacker) restart() { u.started = false }

// content is that of m, the message of record r, in memory of its own. After an error the rest of the stream is lost.
func (u *unpacker) content(r record, m message) ([]byte, error) {
	if r.kind == kindMessage {
		plain := bytes.Clone(m.content)
		u.in = u.in[:0]
		u.src.Reset(u.in)
		if u.r == nil {
			u.r = flate.NewReaderDict(&u.src, plain)
		} else if err := u.r.(flate.Resetter).Reset(&u.src, plain); err != nil {
			return nil, fmt.Errorf("unpack message %d: %w", m.number, err)
		}
		u.chain, u.started = r.sum, true
		return plain, nil
	}
	if !u.started || m.chain != u.chain {
		return nil, fmt.Errorf("unpack message %d: want the message before it, have another or none", m.number)
	}
	u.chain = r.sum
	// The decompressor may have given the end of the message before, at the end of its window, without the flush's mark.
	left := u.in[len(u.in)-u.src.Len():]
	if len(left) > maxLeft {
		u.started = false
		return nil, fmt.Errorf("unpack message %d: the message before it has %d bytes too many", m.number, len(left))
	}
	u.in = append(append(u.in[:0], left...), m.content...)
	u.src.Reset(u.in)
	plain := make([]byte, m.size)
	if _, err := io.ReadFull(u.r, plain); err != nil {
		u.started = false
		return nil, fmt.Errorf("unpack message %d: want %d bytes: %w", m.number, m.size, err)
	}
	return plain, nil
}
