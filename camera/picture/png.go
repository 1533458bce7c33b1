package picture

import "encoding/binary"

// pngChunk is a chunk of a PNG file.
type pngChunk struct {
	kind       string
	start, end int // in the file, from the length to behind the checksum
	payload    []byte
}

// nextChunk reads the chunk at pos. Checksums are left to the decoder.
func nextChunk(data []byte, pos int) (pngChunk, error) {
	const around = 12 // length, type, checksum
	if pos+around > len(data) {
		return pngChunk{}, pngEnds(data)
	}
	length := binary.BigEndian.Uint32(data[pos:])
	if length > 1<<31-1 {
		return pngChunk{}, refuse("the PNG is broken: a chunk of %d bytes at byte %d", length, pos)
	}
	end := pos + around + int(length)
	if end > len(data) {
		return pngChunk{}, pngEnds(data)
	}
	return pngChunk{kind: string(data[pos+4 : pos+8]), start: pos, end: end, payload: data[pos+8 : end-4]}, nil
}

func pngEnds(data []byte) error {
	return incomplete("the PNG ends after %d bytes, without its end chunk", len(data))
}

// inspectPNG takes an animated PNG for the still picture that its IDAT chunks hold: Strip leaves no other frame.
func inspectPNG(data []byte, limits Limits) (Header, error) {
	header := Header{Format: PNG, Orientation: 1}
	palettes, firstIDAT := 0, 0
	for pos := len(pngMagic); ; {
		c, err := nextChunk(data, pos)
		if err != nil {
			return header, err
		}
		if (pos == len(pngMagic)) != (c.kind == "IHDR") {
			return header, refuse("the PNG is broken: a chunk %q at byte %d", c.kind, pos)
		}
		pos = c.end
		switch c.kind {
		case "IHDR":
			if len(c.payload) != 13 {
				return header, refuse("the PNG is broken: its header has %d bytes", len(c.payload))
			}
			// Sides are 31 bits in the format: larger ones turn negative and fail the check.
			header.Width = int(int32(binary.BigEndian.Uint32(c.payload)))
			header.Height = int(int32(binary.BigEndian.Uint32(c.payload[4:])))
			if err := limits.check(header.Width, header.Height); err != nil {
				return header, err
			}
		case "PLTE":
			if palettes++; palettes > 1 || len(c.payload) > 3*256 {
				return header, refuse("the PNG is broken: %d palettes, the last one of %d bytes", palettes, len(c.payload))
			}
		case "IDAT":
			if firstIDAT == 0 {
				firstIDAT = len(c.payload)
			}
		case "eXIf":
			header.Orientation = orientation(c.payload)
		case "IEND":
			if firstIDAT == 0 {
				return header, refuse("the PNG has no picture before its end chunk")
			}
			header.Beside = pngBeside(header, firstIDAT)
			return header, nil
		}
	}
}

// pngBeside bounds what OpenCV and libpng keep beside the pixels: rows of up to 8 bytes a pixel, zlib's window, and,
// before there are pixels, a copy of the first IDAT chunk.
func pngBeside(h Header, firstIDAT int) int64 {
	rows := 256<<10 + 4*8*int64(h.Width)
	pixels := h.CostAt(1)
	return max(rows, int64(firstIDAT)-pixels+rows)
}

func stripPNG(dst, data []byte) []byte {
	dst = append(dst, pngMagic...)
	for pos := len(pngMagic); ; {
		c, err := nextChunk(data, pos)
		if err != nil {
			return dst // Inspect has met no error
		}
		pos = c.end
		kind := c.kind
		switch kind {
		case "IHDR", "PLTE", "IDAT", "IEND":
			dst = append(dst, data[c.start:c.end]...)
		}
		if kind == "IEND" {
			return dst
		}
	}
}
