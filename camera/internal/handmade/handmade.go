// Package handmade builds picture files byte by byte, for tests: sizes, orders and kinds that no encoder writes, and
// hostile ones. What it draws is one flat colour.
package handmade

import (
	"bytes"
	"encoding/binary"
)

// JPEG describes a JPEG file. Its zero value, with a size, is a grey baseline one.
type JPEG struct {
	Width, Height int
	SOF           byte   // marker of the frame header, 0 for 0xC0, baseline; 0xC2 is progressive
	Bits          byte   // a sample, 0 for 8
	Sampling      []byte // a component each, horizontal<<4|vertical; nil for one of 0x11
	Separate      bool   // a scan for each component, instead of one for all
	Scans         int    // how often the scans are repeated, 0 for once
	Segments      []byte // put behind the start marker
	Tail          []byte // put behind the end marker
}

// Bytes is the file.
func (j JPEG) Bytes() []byte {
	sof, bits, sampling := j.SOF, j.Bits, j.Sampling
	if sof == 0 {
		sof = 0xc0
	}
	if bits == 0 {
		bits = 8
	}
	if sampling == nil {
		sampling = []byte{0x11}
	}
	file := append([]byte{0xff, 0xd8}, j.Segments...)
	file = append(file, Segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...))...)
	frame := []byte{bits, byte(j.Height >> 8), byte(j.Height), byte(j.Width >> 8), byte(j.Width), byte(len(sampling))}
	for i, s := range sampling {
		frame = append(frame, byte(i+1), s, 0)
	}
	file = append(file, Segment(sof, frame)...)
	// One code a table, of one bit: 0. It stands for a difference of 0 in DC, for the end of the block in AC.
	for _, table := range []byte{0x00, 0x10} {
		file = append(file, Segment(0xc4, append([]byte{table, 1}, make([]byte, 16)...))...)
	}
	for range max(j.Scans, 1) {
		file = append(file, j.scans(sof, sampling)...)
	}
	return append(append(file, 0xff, 0xd9), j.Tail...)
}

// scans writes one scan for all components, or one for each. In each the data are zero bits: one a block for DC, and
// one for AC where the scan has that.
func (j JPEG) scans(sof byte, sampling []byte) []byte {
	last, bitsPerBlock := byte(63), 2
	if sof == 0xc2 {
		last, bitsPerBlock = 0, 1 // a progressive scan of all components has DC only
	}
	var hmax, vmax, blocks int
	for _, s := range sampling {
		hmax, vmax = max(hmax, int(s>>4)), max(vmax, int(s&15))
		blocks += int(s>>4) * int(s&15)
	}
	if j.Separate || len(sampling) == 1 {
		var file []byte
		for i, s := range sampling {
			width, height := ceil(j.Width*int(s>>4), hmax), ceil(j.Height*int(s&15), vmax)
			file = append(file, Segment(0xda, []byte{1, byte(i + 1), 0, 0, last, 0})...)
			file = append(file, make([]byte, ceil(ceil(width, 8)*ceil(height, 8)*bitsPerBlock, 8))...)
		}
		return file
	}
	header := []byte{byte(len(sampling))}
	for i := range sampling {
		header = append(header, byte(i+1), 0)
	}
	units := ceil(j.Width, 8*hmax) * ceil(j.Height, 8*vmax)
	return append(Segment(0xda, append(header, 0, last, 0)), make([]byte, ceil(units*blocks*bitsPerBlock, 8))...)
}

func ceil(n, unit int) int { return (n + unit - 1) / unit }

// Segment is a JPEG segment: marker, length, payload.
func Segment(marker byte, payload []byte) []byte {
	s := []byte{0xff, marker}
	s = binary.BigEndian.AppendUint16(s, uint16(len(payload)+2))
	return append(s, payload...)
}

// EXIF is EXIF data, a TIFF file, whose only entry is an orientation.
func EXIF(order binary.AppendByteOrder, orientation int) []byte {
	exif := []byte("II")
	if order.AppendUint16(nil, 1)[0] == 0 {
		exif = []byte("MM")
	}
	exif = order.AppendUint16(exif, 42)
	exif = order.AppendUint32(exif, 8)
	exif = order.AppendUint16(exif, 1)
	exif = order.AppendUint16(exif, 0x0112)
	exif = order.AppendUint16(exif, 3)
	exif = order.AppendUint32(exif, 1)
	exif = order.AppendUint16(exif, uint16(orientation))
	return append(exif, 0, 0, 0, 0, 0, 0)
}

// APP1 is the JPEG segment that holds EXIF data.
func APP1(exif []byte) []byte { return Segment(0xe1, append([]byte("Exif\x00\x00"), exif...)) }
