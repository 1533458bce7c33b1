package handmade

import "encoding/binary"

// RIFF is a WebP file of chunks.
func RIFF(chunks ...[]byte) []byte {
	file := []byte("RIFF\x00\x00\x00\x00WEBP")
	for _, c := range chunks {
		file = append(file, c...)
	}
	binary.LittleEndian.PutUint32(file[4:], uint32(len(file)-8))
	return file
}

// RIFFChunk is a chunk of a WebP file: kind, size, payload, padding.
func RIFFChunk(kind string, payload []byte) []byte {
	c := binary.LittleEndian.AppendUint32([]byte(kind), uint32(len(payload)))
	c = append(c, payload...)
	if len(payload)%2 == 1 {
		c = append(c, 0)
	}
	return c
}

// VP8 is the start of the data of a lossy WebP: its frame header.
func VP8(width, height int) []byte {
	p := []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a}
	p = binary.LittleEndian.AppendUint16(p, uint16(width))
	return binary.LittleEndian.AppendUint16(p, uint16(height))
}

// VP8L describes the data of a lossless WebP of one colour.
type VP8L struct {
	Width, Height int
	Alpha         bool
	CacheBits     int // bits of the colour cache, 0 for none

	// Sets is the number of sets of Huffman codes, up to 65536; 0 for one, without an entropy image. The entropy image
	// has one pixel for 4x4 of the picture, so the picture must have 16 pixels a set.
	Sets int

	// Predictor adds a predictor transform, Palette one for two colours: images before the entropy image.
	Predictor, Palette bool
}

// Bytes is the data, for a chunk "VP8L".
func (v VP8L) Bytes() []byte {
	w := &bitWriter{}
	w.bits(0x2f, 8)
	w.bits(v.Width-1, 14)
	w.bits(v.Height-1, 14)
	w.bits(one(v.Alpha), 1)
	w.bits(0, 3)
	width := v.Width
	if v.Predictor {
		w.bits(1, 1)
		w.bits(0, 2)
		w.bits(0, 3) // blocks of 4x4
		w.flatImage()
	}
	if v.Palette {
		w.bits(1, 1)
		w.bits(3, 2)
		w.bits(1, 8) // two colours: eight pixels in one
		w.flatImage()
		width = (width + 7) / 8
	}
	w.bits(0, 1)
	w.bits(one(v.CacheBits > 0), 1)
	if v.CacheBits > 0 {
		w.bits(v.CacheBits, 4)
	}
	w.bits(one(v.Sets > 0), 1)
	if v.Sets > 0 {
		w.bits(0, 3) // blocks of 4x4
		w.entropyImage((width+3)/4*((v.Height+3)/4), v.Sets)
	}
	for range 5 * max(v.Sets, 1) {
		w.singleCode() // so the pixels take no bits
	}
	w.bits(0, 24)
	return w.data
}

// Lossless is a lossless WebP file.
func (v VP8L) Lossless() []byte { return RIFF(RIFFChunk("VP8L", v.Bytes())) }

type bitWriter struct {
	data  []byte
	count int
}

// bits writes the lowest n bits of value, lowest first.
func (w *bitWriter) bits(value, n int) {
	for i := range n {
		if w.count%8 == 0 {
			w.data = append(w.data, 0)
		}
		w.data[w.count/8] |= byte(value >> i & 1 << (w.count % 8))
		w.count++
	}
}

// singleCode writes a Huffman code of one symbol, 0, that takes no bits.
func (w *bitWriter) singleCode() { w.bits(1, 4) }

// flatImage writes an image of the data's lower level in which all pixels are 0.
func (w *bitWriter) flatImage() {
	w.bits(0, 1)
	for range 5 {
		w.singleCode()
	}
}

// entropyImage writes an image of count pixels that hold the numbers from 0 to sets-1, in red and green.
func (w *bitWriter) entropyImage(count, sets int) {
	w.bits(0, 1)
	w.flatCode()
	w.flatCode()
	for range 3 {
		w.singleCode()
	}
	for i := range count {
		n := i % sets
		w.reversed(n&255, 8)
		w.reversed(n>>8, 8)
	}
}

// reversed writes a Huffman code of n bits: highest first.
func (w *bitWriter) reversed(code, n int) {
	for i := n - 1; i >= 0; i-- {
		w.bits(code>>i, 1)
	}
}

// flatCode writes a Huffman code in which the symbols 0 to 255 have 8 bits.
func (w *bitWriter) flatCode() {
	w.bits(0, 1)
	w.bits(12-4, 4)
	for _, length := range []int{17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8} { // the order of the format
		w.bits(one(length == 8), 3)
	}
	w.bits(1, 1)
	w.bits(3, 3) // the number of lengths in 8 bits
	w.bits(256-2, 8)
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
