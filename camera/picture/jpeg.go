package picture

import (
	"bytes"
	"encoding/binary"
)

// JPEG markers (ITU-T T.81, table B.1), without their 0xFF.
const (
	markerTEM   = 0x01
	markerSOF0  = 0xc0 // baseline
	markerSOF1  = 0xc1 // extended sequential
	markerSOF2  = 0xc2 // progressive
	markerDHT   = 0xc4
	markerJPG   = 0xc8 // first of the SOF numbers that is reserved
	markerDAC   = 0xcc
	markerSOF15 = 0xcf
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDRI   = 0xdd
	markerAPP0  = 0xe0 // JFIF: says that three components are YCbCr
	markerAPP1  = 0xe1 // Exif
	markerAPP14 = 0xee // Adobe: says which colour space
)

// maxScans bounds the time that a small progressive JPEG can cost: every scan is a pass over all coefficients.
// Encoders write about ten.
const maxScans = 100

// jpegSegment is a marker with what belongs to it.
type jpegSegment struct {
	marker     byte
	start, end int    // in the file: from the 0xFF to the next segment, an SOS with its entropy-coded data
	payload    []byte // behind the length, without the entropy-coded data; nil for a marker that has none
}

// nextSegment reads the segment at or behind pos, as libjpeg does: bytes between segments that are no marker are
// passed over, and so is fill.
func nextSegment(data []byte, pos int) (jpegSegment, error) {
	var s jpegSegment
	for {
		i := bytes.IndexByte(data[pos:], 0xff)
		if i < 0 || pos+i+1 >= len(data) {
			return s, jpegEnds(data)
		}
		pos += i
		if next := data[pos+1]; next != 0 && next != 0xff {
			s.marker, s.start = next, pos
			break
		}
		pos++
	}
	s.end = s.start + 2
	if s.marker == markerTEM || s.marker >= markerRST0 && s.marker <= markerEOI {
		return s, nil
	}
	if s.end+2 > len(data) {
		return s, jpegEnds(data)
	}
	length := int(binary.BigEndian.Uint16(data[s.end:]))
	if length < 2 {
		return s, refuse("the JPEG is broken: marker %02x at byte %d has a length of %d", s.marker, s.start, length)
	}
	if s.end+length > len(data) {
		return s, jpegEnds(data)
	}
	s.payload = data[s.end+2 : s.end+length]
	s.end += length
	if s.marker == markerSOS {
		s.end = entropyEnd(data, s.end)
	}
	return s, nil
}

// entropyEnd finds where the entropy-coded data that starts at pos ends: at the first 0xFF that is neither stuffed, nor
// fill, nor a restart marker. Thumbnails can't be met here: they lie in segments, which have a length.
func entropyEnd(data []byte, pos int) int {
	for {
		i := bytes.IndexByte(data[pos:], 0xff)
		if i < 0 || pos+i+1 >= len(data) {
			return len(data)
		}
		pos += i
		next := data[pos+1]
		switch {
		case next == 0xff:
			pos++
		case next == 0 || next >= markerRST0 && next <= markerRST7:
			pos += 2
		default:
			return pos
		}
	}
}

func jpegEnds(data []byte) error {
	return incomplete("the JPEG ends after %d bytes, without its end marker", len(data))
}

// jpegFrame is what a frame header (SOF) and the scans tell.
type jpegFrame struct {
	marker        byte // 0 as long as no frame header was met
	width, height int
	sampled       [4]jpegComponent
	components    int // so many of them
	multiScan     bool
	scans         int
}

type jpegComponent struct{ h, v int } // sampling factors, 1 to 4

func inspectJPEG(data []byte, limits Limits) (Header, error) {
	header := Header{Format: JPEG, Orientation: 1}
	var frame jpegFrame
	hasExif := false
	for pos := len("\xff\xd8"); ; {
		s, err := nextSegment(data, pos)
		if err != nil {
			return header, err
		}
		pos = s.end
		switch {
		case s.marker == markerEOI:
			if frame.scans == 0 {
				return header, refuse("the JPEG has no picture before its end marker")
			}
			header.Beside = frame.coefficients() + frame.rows()
			return header, nil
		case s.marker == markerSOI:
			return header, refuse("the JPEG is broken: a second start marker at byte %d", s.start)
		case s.marker == markerAPP1 && !hasExif && bytes.HasPrefix(s.payload, exifPrefix):
			hasExif = true
			header.Orientation = orientation(s.payload)
		case s.marker == markerSOS:
			if err := frame.scan(s.payload); err != nil {
				return header, err
			}
		case isSOF(s.marker):
			if err := frame.start(s); err != nil {
				return header, err
			}
			if err := limits.check(frame.width, frame.height); err != nil {
				return header, err
			}
			header.Width, header.Height = frame.width, frame.height
		}
	}
}

func isSOF(marker byte) bool {
	return marker >= markerSOF0 && marker <= markerSOF15 &&
		marker != markerDHT && marker != markerJPG && marker != markerDAC
}

// start takes a frame header.
func (f *jpegFrame) start(s jpegSegment) error {
	switch {
	case f.marker != 0:
		return refuse("the JPEG is broken: a second frame header at byte %d", s.start)
	case s.marker == 0xc3:
		return refuse("lossless JPEG pictures are not accepted: send baseline or progressive JPEG")
	case s.marker >= 0xc9:
		return refuse("JPEG pictures with arithmetic coding are not accepted: send baseline or progressive JPEG")
	case s.marker > markerSOF2:
		return refuse("hierarchical JPEG pictures are not accepted: send baseline or progressive JPEG")
	}
	p := s.payload
	if len(p) < 6 || len(p) != 6+3*int(p[5]) {
		return refuse("the JPEG is broken: its frame header has %d bytes", len(p))
	}
	if p[0] != 8 {
		return refuse("JPEG pictures with %d bits a sample are not accepted: send 8 bits", p[0])
	}
	if n := p[5]; n != 1 && n != 3 && n != 4 {
		return refuse("JPEG pictures with %d components are not accepted: send grey, colour or CMYK", n)
	}
	f.marker = s.marker
	f.height, f.width = int(binary.BigEndian.Uint16(p[1:])), int(binary.BigEndian.Uint16(p[3:]))
	f.components = int(p[5])
	for i := range f.components {
		c := p[6+3*i:]
		h, v := int(c[1]>>4), int(c[1]&15)
		if h < 1 || h > 4 || v < 1 || v > 4 {
			return refuse("the JPEG is broken: sampling factors %dx%d, at most 4x4 are possible", h, v)
		}
		f.sampled[i] = jpegComponent{h, v}
	}
	return nil
}

// scan takes a scan header.
func (f *jpegFrame) scan(p []byte) error {
	if f.marker == 0 {
		return refuse("the JPEG is broken: a scan before the frame header")
	}
	if len(p) < 1 || len(p) != 4+2*int(p[0]) || p[0] < 1 || int(p[0]) > f.components {
		return refuse("the JPEG is broken: a scan header of %d bytes", len(p))
	}
	if f.scans == 0 {
		f.multiScan = f.marker == markerSOF2 || int(p[0]) < f.components
	}
	if f.scans++; f.scans > maxScans {
		return refuse("the JPEG has more than %d scans", maxScans)
	}
	return nil
}

// coefficients is the size of the arrays that libjpeg keeps where a picture comes in several scans: 64 of 2 bytes for
// each block of 8x8 samples, for whole MCUs.
func (f *jpegFrame) coefficients() int64 {
	if !f.multiScan {
		return 0
	}
	hmax, vmax := f.sampling()
	mcusX, mcusY := roundUp(f.width, 8*hmax), roundUp(f.height, 8*vmax)
	var size int64
	for _, c := range f.sampled[:f.components] {
		size += int64(mcusX*c.h) * int64(mcusY*c.v) * 64 * 2
	}
	return size
}

// rows bounds the buffers that libjpeg keeps for a few rows of a picture: input of MCU rows, and context and output of
// upsampling.
func (f *jpegFrame) rows() int64 {
	hmax, vmax := f.sampling()
	width := int64(roundUp(f.width, 8*hmax) * 8 * hmax)
	return 64<<10 + width*int64(f.components)*int64(16*vmax)
}

func (f *jpegFrame) sampling() (hmax, vmax int) {
	for _, c := range f.sampled[:f.components] {
		hmax, vmax = max(hmax, c.h), max(vmax, c.v)
	}
	return hmax, vmax
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit }

func stripJPEG(dst, data []byte) []byte {
	dst = append(dst, data[:2]...)
	for pos := 2; ; {
		s, err := nextSegment(data, pos)
		if err != nil {
			return dst // Inspect has met no error
		}
		pos = s.end
		switch s.marker {
		case markerSOF0, markerSOF1, markerSOF2, markerDHT, markerDQT, markerDRI, markerSOS, markerAPP0, markerAPP14:
			dst = append(dst, data[s.start:s.end]...)
		case markerEOI:
			return append(dst, data[s.start:s.end]...)
		}
	}
}
