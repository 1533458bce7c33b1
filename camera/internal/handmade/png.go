package handmade

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
)

// PNG describes a PNG file. Its zero value, with a size, is 8-bit grey.
type PNG struct {
	Width, Height int
	Bits          byte // a sample, 0 for 8
	Color         byte // 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha
	Interlaced    bool
	Chunks        []byte // put behind the header
	Tail          []byte // put behind the end chunk
}

// Bytes is the file.
func (p PNG) Bytes() []byte {
	bits := p.Bits
	if bits == 0 {
		bits = 8
	}
	var header []byte
	header = binary.BigEndian.AppendUint32(header, uint32(p.Width))
	header = binary.BigEndian.AppendUint32(header, uint32(p.Height))
	header = append(header, bits, p.Color, 0, 0, 0)
	passes := []struct{ x, y, dx, dy int }{{0, 0, 1, 1}}
	if p.Interlaced {
		header[12] = 1
		passes = []struct{ x, y, dx, dy int }{
			{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2},
		}
	}
	file := append([]byte("\x89PNG\r\n\x1a\n"), Chunk("IHDR", header)...)
	file = append(file, p.Chunks...)
	if p.Color == 3 {
		file = append(file, Chunk("PLTE", make([]byte, 3))...)
	}
	channels := map[byte]int{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[p.Color]
	var data bytes.Buffer
	z, _ := zlib.NewWriterLevel(&data, zlib.BestSpeed) // the level is one that there is
	for _, pass := range passes {
		columns, rows := (p.Width-pass.x+pass.dx-1)/pass.dx, (p.Height-pass.y+pass.dy-1)/pass.dy
		if columns == 0 {
			continue
		}
		row := make([]byte, 1+(columns*channels*int(bits)+7)/8)
		for range rows {
			z.Write(row) // a bytes.Buffer takes everything
		}
	}
	z.Close()
	file = append(file, Chunk("IDAT", data.Bytes())...)
	file = append(file, Chunk("IEND", nil)...)
	return append(file, p.Tail...)
}

// Chunk is a PNG chunk: length, kind, payload, checksum.
func Chunk(kind string, payload []byte) []byte {
	c := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
	c = append(append(c, kind...), payload...)
	return binary.BigEndian.AppendUint32(c, crc32.ChecksumIEEE(c[4:]))
}

// ZTXT is a PNG text chunk that inflates to size bytes.
func ZTXT(size int) []byte {
	var data bytes.Buffer
	z := zlib.NewWriter(&data)
	z.Write(make([]byte, size)) // a bytes.Buffer takes everything
	z.Close()
	return Chunk("zTXt", append([]byte("Comment\x00\x00"), data.Bytes()...))
}
