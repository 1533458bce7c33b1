package capture

import (
	"bytes"
	"fmt"
	"io"
	"time"
)

// JPEG markers (ITU-T T.81, table B.1), without their 0xFF.
const (
	markerTEM  = 0x01
	markerRST0 = 0xd0
	markerRST7 = 0xd7
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
)

const (
	jpegBuffer = 64 << 10
	// garbageBytes may come without a whole picture in them, beside those of one picture.
	garbageBytes = 16 << 20
)

// jpegReader finds JPEG files in a stream of bytes: one behind the other, or with anything in between, as the headers of a
// multipart body. It walks a picture's segments by their lengths, so that a thumbnail's end marker is not taken for the
// picture's, and hands a picture on as soon as its last byte has come. A picture that is broken off is passed over.
type jpegReader struct {
	r        io.Reader
	buf      []byte
	pos, end int // of what is in buf and not used yet
	max      int // bytes of a picture

	data    []byte // the picture so far, in the memory of the Shot
	garbage int    // bytes since the last whole picture that belong to none
}

func newJPEGReader(r io.Reader, maxBytes int64) *jpegReader {
	return &jpegReader{r: r, buf: make([]byte, jpegBuffer), max: int(maxBytes)}
}

// next reads a picture. The error is io.EOF between pictures, io.ErrUnexpectedEOF amid one.
func (j *jpegReader) next(shot *Shot) error {
	j.data, j.garbage = shot.Data[:0], 0
	err := j.read()
	shot.Data, j.data = j.data, nil
	if err != nil {
		shot.Data = shot.Data[:0]
		return err
	}
	shot.Format, shot.Width, shot.Height, shot.File = Encoded, 0, 0, ""
	shot.Time = time.Now()
	return nil
}

func (j *jpegReader) read() error {
	for {
		if err := j.seek(); err != nil {
			return err
		}
		whole, err := j.picture()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if whole || err != nil {
			return err
		}
		if err := j.pass(len(j.data)); err != nil {
			return err
		}
		j.data = j.data[:0]
	}
}

// pass counts bytes that belong to no picture.
func (j *jpegReader) pass(n int) error {
	if j.garbage += n; j.garbage > j.max+garbageBytes {
		return fmt.Errorf("%d bytes without a JPEG in them", j.garbage)
	}
	return nil
}

// seek passes over all in front of a picture and its first three bytes, which become the data: SOI, and the 0xFF of the next
// marker.
func (j *jpegReader) seek() error {
	for matched := 0; ; {
		if err := j.fill(); err != nil {
			return err
		}
		if matched == 0 {
			i := bytes.IndexByte(j.buf[j.pos:j.end], 0xff)
			if i < 0 {
				i = j.end - j.pos
			} else {
				matched = 1
				j.pos++
			}
			j.pos += i
			if err := j.pass(i); err != nil {
				return err
			}
			continue
		}
		b := j.buf[j.pos]
		j.pos++
		switch {
		case matched == 1 && b == markerSOI:
			matched = 2
		case matched == 2 && b == 0xff:
			return j.add(0xff, markerSOI, 0xff)
		case b == 0xff: // fill
			if err := j.pass(1); err != nil {
				return err
			}
			matched = 1
		default:
			if err := j.pass(matched + 1); err != nil {
				return err
			}
			matched = 0
		}
	}
}

// picture reads what comes behind the 0xFF that data ends in, up to the end marker. It is not whole where the data aren't those
// of a JPEG.
func (j *jpegReader) picture() (whole bool, err error) {
	for scans := 0; ; {
		marker, err := j.marker()
		if err != nil {
			return false, err
		}
		switch {
		case marker == markerSOI:
			// The picture so far has broken off, and here is the next one, if a marker follows.
			if err := j.pass(len(j.data) - 2); err != nil {
				return false, err
			}
			j.data, scans = append(j.data[:0], 0xff, markerSOI), 0
			if b, err := j.one(); b != 0xff || err != nil {
				return false, err
			}
			continue
		case marker == markerEOI:
			return scans > 0, nil
		case marker == 0 || marker == markerTEM || marker >= markerRST0 && marker <= markerRST7:
			// Nothing belongs to it. Stuffed zeros are no markers, and have no place here; decoders pass over them.
		default:
			ok, err := j.segment()
			if !ok || err != nil {
				return false, err
			}
			if marker == markerSOS {
				scans++
				if err := j.entropy(); err != nil {
					return false, err
				}
				continue // the data end in the 0xFF and the code of a marker
			}
		}
		if err := j.toFF(); err != nil {
			return false, err
		}
	}
}

// marker is the code behind the 0xFF that data ends in, or the code that entropy has read already.
func (j *jpegReader) marker() (byte, error) {
	if n := len(j.data); j.data[n-1] != 0xff {
		return j.data[n-1], nil
	}
	for {
		b, err := j.one()
		if err != nil || b != 0xff {
			return b, err
		}
	}
}

// segment reads a segment: its length and that many bytes.
func (j *jpegReader) segment() (ok bool, err error) {
	high, err := j.one()
	if err != nil {
		return false, err
	}
	low, err := j.one()
	if err != nil {
		return false, err
	}
	n := int(high)<<8 | int(low)
	if n < 2 {
		return false, nil
	}
	for n -= 2; n > 0; {
		if err := j.fill(); err != nil {
			return false, err
		}
		part := min(n, j.end-j.pos)
		if err := j.add(j.buf[j.pos : j.pos+part]...); err != nil {
			return false, err
		}
		j.pos += part
		n -= part
	}
	return true, nil
}

// entropy reads entropy-coded data up to the code of the next marker, which isn't a restart.
func (j *jpegReader) entropy() error {
	for {
		if err := j.toFF(); err != nil {
			return err
		}
		b := byte(0xff)
		for b == 0xff {
			var err error
			if b, err = j.one(); err != nil {
				return err
			}
		}
		if b != 0 && (b < markerRST0 || b > markerRST7) {
			return nil
		}
	}
}

// toFF takes bytes up to the next 0xFF, and that one.
func (j *jpegReader) toFF() error {
	for {
		if err := j.fill(); err != nil {
			return err
		}
		i := bytes.IndexByte(j.buf[j.pos:j.end], 0xff)
		part := i + 1
		if i < 0 {
			part = j.end - j.pos
		}
		if err := j.add(j.buf[j.pos : j.pos+part]...); err != nil {
			return err
		}
		j.pos += part
		if i >= 0 {
			return nil
		}
	}
}

// one takes one byte.
func (j *jpegReader) one() (byte, error) {
	if err := j.fill(); err != nil {
		return 0, err
	}
	b := j.buf[j.pos]
	j.pos++
	return b, j.add(b)
}

// add adds bytes to the picture.
func (j *jpegReader) add(b ...byte) error {
	need := len(j.data) + len(b)
	if need > j.max {
		return fmt.Errorf("a picture has more than the %d bytes that are allowed", j.max)
	}
	if need > cap(j.data) {
		larger := make([]byte, len(j.data), min(max(2*cap(j.data), need, jpegBuffer), max(j.max, need)))
		copy(larger, j.data)
		j.data = larger
	}
	j.data = append(j.data, b...)
	return nil
}

// fill sees to it that there is at least one byte in buf.
func (j *jpegReader) fill() error {
	if j.pos < j.end {
		return nil
	}
	for range 100 {
		n, err := j.r.Read(j.buf)
		if n > 0 {
			j.pos, j.end = 0, n
			return nil // the error will come again
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}
