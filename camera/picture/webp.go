package picture

import "encoding/binary"

const (
	riffHeader  = 12 // "RIFF", size, "WEBP"
	chunkHeader = 8  // type, size
)

// riffEnd is where the RIFF ends that a WebP file is, by its own account.
func riffEnd(data []byte) int { return 8 + int(binary.LittleEndian.Uint32(data[4:])) }

// webpChunk is a chunk of a WebP file.
type webpChunk struct {
	kind       string
	start, end int // in the file, with header and padding
	payload    []byte
}

// nextWebPChunk reads the chunk at pos of a RIFF that fills riff.
func nextWebPChunk(riff []byte, pos int) (webpChunk, error) {
	payload := pos + chunkHeader
	if payload > len(riff) {
		return webpChunk{}, refuse("the WebP is broken: %d bytes behind its last chunk", len(riff)-pos)
	}
	kind := string(riff[pos : pos+4])
	size := int(binary.LittleEndian.Uint32(riff[pos+4:]))
	if size > len(riff)-payload {
		return webpChunk{}, refuse("the WebP is broken: a chunk %q of %d bytes at byte %d", kind, size, pos)
	}
	return webpChunk{
		kind:    kind,
		start:   pos,
		end:     min(payload+size+size%2, len(riff)),
		payload: riff[payload : payload+size],
	}, nil
}

func inspectWebP(data []byte, limits Limits) (Header, error) {
	header := Header{Format: WebP, Orientation: 1}
	end := riffEnd(data)
	if int64(end) > limits.MaxBytes {
		return header, refuse("the WebP says that it has %d bytes, at most %d are allowed", end, limits.MaxBytes)
	}
	if end > len(data) {
		return header, incomplete("the WebP ends after %d of %d bytes", len(data), end)
	}
	hasImage := false
	for pos := riffHeader; pos < end; {
		c, err := nextWebPChunk(data[:end], pos)
		if err != nil {
			return header, err
		}
		pos = c.end
		switch c.kind {
		case "VP8X":
			if len(c.payload) > 0 && c.payload[0]&0x02 != 0 {
				return header, refuse("animated WebP pictures are not accepted: send a still one")
			}
		case "EXIF":
			header.Orientation = orientation(c.payload)
		case "VP8 ", "VP8L":
			if hasImage {
				return header, refuse("the WebP is broken: a second picture at byte %d", c.start)
			}
			hasImage = true
			read := readVP8
			if c.kind == "VP8L" {
				read = readVP8L
			}
			if err := read(&header, c.payload, limits); err != nil {
				return header, err
			}
		}
	}
	if !hasImage {
		return header, refuse("the WebP has no picture")
	}
	return header, nil
}

// readVP8 reads the frame header of a lossy WebP (RFC 6386, 9.1).
func readVP8(header *Header, p []byte, limits Limits) error {
	if len(p) < 10 || p[0]&1 != 0 || string(p[3:6]) != "\x9d\x01\x2a" {
		return refuse("the WebP is broken: its VP8 data starts with no key frame")
	}
	header.Width = int(binary.LittleEndian.Uint16(p[6:]) & 0x3fff)
	header.Height = int(binary.LittleEndian.Uint16(p[8:]) & 0x3fff)
	// libwebp keeps a row of macroblocks, with coefficients and modes.
	header.Beside = 256<<10 + 160*int64(header.Width)
	return limits.check(header.Width, header.Height)
}

// readVP8L reads the header of a lossless WebP and the start of its data. libwebp decodes it to a picture of 4 bytes a
// pixel of its own, with up to a byte a pixel for the transforms beside it; where the picture has alpha, OpenCV has that
// converted to 4 bytes a pixel, and takes its 3 when libwebp's are free again.
func readVP8L(header *Header, p []byte, limits Limits) error {
	if len(p) < 5 || p[0] != 0x2f || p[4]>>5 != 0 {
		return refuse("the WebP is broken: its VP8L data has no header")
	}
	bits := binary.LittleEndian.Uint32(p[1:])
	header.Width, header.Height = 1+int(bits&0x3fff), 1+int(bits>>14&0x3fff)
	hasAlpha := bits>>28&1 == 1
	if err := limits.check(header.Width, header.Height); err != nil {
		return err
	}
	tables, err := huffmanTables(p[5:], header.Width, header.Height)
	if err != nil {
		return err
	}
	pixels := int64(header.Width) * int64(header.Height)
	header.Beside = 256<<10 + 96*int64(header.Width) + 5*pixels + tables
	if hasAlpha {
		header.Beside += pixels
	}
	return nil
}

// stripWebP writes the simple form of the format: the RIFF header and one chunk.
func stripWebP(dst, data []byte) []byte {
	end := riffEnd(data)
	for pos := riffHeader; pos < end; {
		c, err := nextWebPChunk(data[:end], pos)
		if err != nil {
			return dst // Inspect has met no error
		}
		pos = c.end
		if c.kind != "VP8 " && c.kind != "VP8L" {
			continue
		}
		size := len(c.payload)
		dst = append(dst, riffMagic...)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(webpMagic)+chunkHeader+size+size%2))
		dst = append(dst, webpMagic...)
		dst = append(dst, c.kind...)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(size))
		dst = append(dst, c.payload...)
		if size%2 == 1 {
			dst = append(dst, 0)
		}
		return dst
	}
	return dst
}
