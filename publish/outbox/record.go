package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

const (
	magic   = "sightdob"
	version = 1

	headerSize = 4096 // a page, so that what changes later lies on others
	headerUsed = 64
	frameSize  = 8

	maxBody   = MaxMessage + MaxMessage/1000 + 64 // of a message: DEFLATE makes noise larger by less than that
	maxAcks   = 64 << 10                          // body of acknowledgements
	maxNumber = 1 << 62                           // of a message: sums of two don't overflow
)

const (
	kindMessage byte = 0xA1 + iota
	kindPacked
	kindAcks
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errShort is of bytes that end before the record does.
var errShort = errors.New("the file ends in it")

// totals count messages over the whole life of an outbox.
type totals struct{ dropped, expired, damaged uint64 }

// atLeast raises each count to that of u.
func (t *totals) atLeast(u totals) {
	t.dropped, t.expired, t.damaged = max(t.dropped, u.dropped), max(t.expired, u.expired), max(t.damaged, u.damaged)
}

// header is the first page of a segment.
type header struct {
	first  uint64 // no message of the segment has a lower number
	prior  uint64 // number after the last message before the segment
	totals totals
}

// encode is the page.
func (h header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	le := binary.LittleEndian
	le.PutUint32(b[8:], version)
	for i, v := range []uint64{h.first, h.prior, h.totals.dropped, h.totals.expired, h.totals.damaged} {
		le.PutUint64(b[16+8*i:], v)
	}
	le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// parseHeader reads the page from the start of b.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerSize {
		return header{}, fmt.Errorf("read header: want %d bytes, have %d", headerSize, len(b))
	}
	le := binary.LittleEndian
	if string(b[:8]) != magic {
		return header{}, fmt.Errorf("read header: want %q at the start, have %q", magic, b[:8])
	}
	if v := le.Uint32(b[8:]); v != version {
		return header{}, fmt.Errorf("read header: want version %d, have %d", version, v)
	}
	if want, have := le.Uint32(b[60:]), crc32.Checksum(b[:60], castagnoli); want != have {
		return header{}, fmt.Errorf("read header: want checksum %08x, have %08x", want, have)
	}
	h := header{
		first:  le.Uint64(b[16:]),
		prior:  le.Uint64(b[24:]),
		totals: totals{le.Uint64(b[32:]), le.Uint64(b[40:]), le.Uint64(b[48:])},
	}
	if h.first > maxNumber || h.prior > h.first {
		return header{}, fmt.Errorf("read header: want first number of at most %d, and none before it that is higher, have %d and %d", uint64(maxNumber), h.first, h.prior)
	}
	return h, nil
}

// beginRecord appends a frame that endRecord fills in when the body follows it.
func beginRecord(b []byte, kind byte) []byte { return append(b, kind, 0, 0, 0, 0, 0, 0, 0) }

// endRecord fills in the frame at the start of b, which is the whole record, and returns its checksum.
func endRecord(b []byte) uint32 {
	binary.LittleEndian.PutUint32(b, uint32(b[0])|uint32(len(b)-frameSize)<<8)
	sum := crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, b[frameSize:])
	binary.LittleEndian.PutUint32(b[4:], sum)
	return sum
}

// record is one in a segment's bytes. It shares them.
type record struct {
	kind byte
	sum  uint32
	body []byte
}

func (r record) size() int { return frameSize + len(r.body) }

// Made once: the search for a record makes many.
var (
	errKind   = fmt.Errorf("want a record of kind 0x%x to 0x%x, have another", kindMessage, kindAcks)
	errLength = fmt.Errorf("want a record of at most %d bytes, or %d of acknowledgements, have more", maxBody, maxAcks)
)

// recordSize is the size that the frame at the start of b says, if that can be one.
func recordSize(b []byte) (int, error) {
	if len(b) < frameSize {
		return 0, errShort
	}
	n, limit := int(b[1])|int(b[2])<<8|int(b[3])<<16, maxBody
	switch b[0] {
	case kindMessage, kindPacked:
	case kindAcks:
		limit = maxAcks
	default:
		return 0, errKind
	}
	if n > limit {
		return 0, errLength
	}
	return frameSize + n, nil
}

// parseRecord reads the record at the start of b.
func parseRecord(b []byte) (record, error) {
	size, err := recordSize(b)
	if err != nil {
		return record{}, err
	}
	if len(b) < size {
		return record{}, errShort
	}
	r := record{kind: b[0], sum: binary.LittleEndian.Uint32(b[4:]), body: b[frameSize:size]}
	if have := crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, r.body); have != r.sum {
		return record{}, fmt.Errorf("want checksum %08x, have %08x", r.sum, have)
	}
	return r, nil
}

// message is the body of a message, packed or not. It shares the record's bytes.
type message struct {
	number   uint64
	accepted time.Time
	chain    uint32 // packed: checksum of the message record before
	size     int    // of the content, unpacked
	content  []byte // packed or not
}

var errBody = errors.New("want a message's number, time and content, have less")

// message reads the body of a message in a segment whose first number is first.
func (r record) message(first uint64) (message, error) {
	offset, n := binary.Uvarint(r.body)
	if n <= 0 || offset > maxNumber || len(r.body) < n+8 {
		return message{}, errBody
	}
	m := message{
		number:   first + offset,
		accepted: time.Unix(0, int64(binary.LittleEndian.Uint64(r.body[n:]))),
		content:  r.body[n+8:],
	}
	if m.number > maxNumber {
		return message{}, fmt.Errorf("want a number of at most %d, have %d", uint64(maxNumber), m.number)
	}
	m.size = len(m.content)
	if r.kind == kindPacked {
		if len(m.content) < 4 {
			return message{}, errBody
		}
		m.chain = binary.LittleEndian.Uint32(m.content)
		size, n := binary.Uvarint(m.content[4:])
		if n <= 0 || size > maxBody {
			return message{}, errBody
		}
		m.size, m.content = int(size), m.content[4+n:]
	}
	return m, nil
}

// appendContent appends what the content of a message is, unpacked.
func appendContent(b []byte, topic string, payload []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(topic)))
	b = append(b, topic...)
	return append(b, payload...)
}

// parseContent is the reverse of appendContent. The payload shares b.
func parseContent(b []byte) (topic string, payload []byte, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return "", nil, fmt.Errorf("want a topic and a payload, have %d bytes that hold no topic", len(b))
	}
	return string(b[n : n+int(size)]), b[n+int(size):], nil
}

// appendAcks appends a record of everything that is done with.
func appendAcks(b []byte, done *ranges, t totals) []byte {
	start := len(b)
	b = beginRecord(b, kindAcks)
	for _, v := range []uint64{done.floor, t.dropped, t.expired, t.damaged, uint64(len(done.above))} {
		b = binary.AppendUvarint(b, v)
	}
	at := done.floor
	for _, s := range done.above {
		b = binary.AppendUvarint(b, s.from-at)
		b = binary.AppendUvarint(b, s.to-s.from)
		at = s.to
	}
	endRecord(b[start:])
	return b
}

var errAcks = errors.New("want acknowledgements, have numbers that are none")

// acks reads the body of acknowledgements.
func (r record) acks() (ranges, totals, error) {
	b, failed := r.body, false
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			failed = true
			return 0
		}
		b = b[n:]
		return v
	}
	done := ranges{floor: next()}
	t := totals{next(), next(), next()}
	at := done.floor
	for range next() {
		skip, length := next(), next()
		if failed || at > maxNumber || skip > maxNumber || length > maxNumber || length == 0 {
			return ranges{}, totals{}, errAcks
		}
		done.above = append(done.above, span{at + skip, at + skip + length})
		at += skip + length
	}
	if failed || at > maxNumber || len(b) > 0 {
		return ranges{}, totals{}, errAcks
	}
	return done, t, nil
}
