package weights

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"
)

// Wire types of protobuf's encoding. Groups, 3 and 4, are not read: Caffe's messages have none.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2 // text, a message or packed numbers, behind their length
	wireFixed32 = 5
)

// A field is one field of a protobuf message.
type field struct {
	number  uint64
	wire    uint64
	value   uint64 // the number, or its bits; of wireBytes the length
	tag     int64  // where in the file the field begins
	at, end int64  // where its value lies; of wireBytes without the length
}

// A protobuf reads messages in protobuf's encoding. It keeps nothing of them but a window that moves over the file.
type protobuf struct {
	file   io.ReaderAt
	size   int64
	buf    []byte
	window []byte // the part of buf that holds the file's bytes from start
	start  int64
}

func newProtobuf(r io.ReaderAt, size int64) *protobuf {
	return &protobuf{file: r, size: size, buf: make([]byte, 4<<10)}
}

// fields gives the fields of the message that lies from at to end, and the error that ends it early.
func (p *protobuf) fields(at, end int64) iter.Seq2[field, error] {
	return func(yield func(field, error) bool) {
		for at < end {
			f, err := p.field(at, end)
			if !yield(f, err) || err != nil {
				return
			}
			at = f.end
		}
	}
}

// field reads the field at at, which ends at end at the latest.
func (p *protobuf) field(at, end int64) (field, error) {
	f := field{tag: at}
	tag, at, err := p.varint(at, end)
	if err != nil {
		return f, err
	}
	f.number, f.wire, f.at = tag>>3, tag&7, at
	switch f.wire {
	case wireVarint:
		f.value, f.end, err = p.varint(at, end)
		return f, err
	case wireBytes:
		if f.value, f.at, err = p.varint(at, end); err != nil {
			return f, err
		}
	case wireFixed32:
		f.value = 4
	case wireFixed64:
		f.value = 8
	default:
		return f, fmt.Errorf("byte %d: field %d has wire type %d, want 0, 1, 2 or 5", f.tag, f.number, f.wire)
	}
	if left := end - f.at; f.value > uint64(left) {
		return f, fmt.Errorf("byte %d: field %d has %d bytes, %d are left: the file is cut off or damaged", f.tag, f.number, f.value, left)
	}
	f.end = f.at + int64(f.value)
	if f.wire != wireBytes {
		f.value, err = p.fixed(f.at, f.end)
	}
	return f, err
}

// varint reads a number of 7 bits a byte, and gives the place behind it.
func (p *protobuf) varint(at, end int64) (value uint64, next int64, err error) {
	raw, err := p.peek(at, min(end, at+binary.MaxVarintLen64))
	if err != nil {
		return 0, 0, err
	}
	value, n := binary.Uvarint(raw)
	if n <= 0 {
		return 0, 0, fmt.Errorf("byte %d: want a varint: the file is cut off or damaged", at)
	}
	return value, at + int64(n), nil
}

// fixed reads the little-endian number from at to end, at most 8 bytes.
func (p *protobuf) fixed(at, end int64) (uint64, error) {
	raw, err := p.peek(at, end)
	if err != nil {
		return 0, err
	}
	var all [8]byte
	copy(all[:], raw)
	return binary.LittleEndian.Uint64(all[:]), nil
}

// varints adds the numbers of a field to list: one, or several in a packed field. More than limit of them are an error.
func (p *protobuf) varints(list []uint64, f field, limit int) ([]uint64, error) {
	switch f.wire {
	case wireVarint:
		list = append(list, f.value)
	case wireBytes:
		for at := f.at; at < f.end && len(list) <= limit; {
			value, next, err := p.varint(at, f.end)
			if err != nil {
				return nil, err
			}
			list, at = append(list, value), next
		}
	default:
		return nil, f.expect(wireVarint)
	}
	if len(list) > limit {
		return nil, fmt.Errorf("byte %d: field %d has more than %d numbers", f.tag, f.number, limit)
	}
	return list, nil
}

// text reads a field that holds UTF-8 text of at most maxName bytes.
func (p *protobuf) text(f field) (string, error) {
	if err := f.expect(wireBytes); err != nil {
		return "", err
	}
	if f.value > maxName {
		return "", fmt.Errorf("byte %d: a name has %d bytes, want at most %d", f.tag, f.value, maxName)
	}
	raw, err := p.peek(f.at, f.end)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(raw) {
		return "", fmt.Errorf("byte %d: a name is %q, want UTF-8", f.tag, raw)
	}
	return string(raw), nil
}

// expect tests a field's wire type.
func (f field) expect(wire uint64) error {
	if f.wire != wire {
		return fmt.Errorf("byte %d: field %d has wire type %d, want %d", f.tag, f.number, f.wire, wire)
	}
	return nil
}

// peek gives the file's bytes from at to end, which are not more than the window holds. They are good until the next call.
func (p *protobuf) peek(at, end int64) ([]byte, error) {
	if at < p.start || end > p.start+int64(len(p.window)) {
		p.window = p.buf[:min(int64(len(p.buf)), p.size-at)]
		p.start = at
		if err := readFull(p.file, p.window, at); err != nil {
			p.window = nil
			return nil, err
		}
	}
	return p.window[at-p.start : end-p.start], nil
}
