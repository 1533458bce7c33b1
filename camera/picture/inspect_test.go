package picture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"sightd/camera/internal/handmade"
	"sightd/camera/picture"
)

var limits = picture.Limits{MaxPixels: 50_000_000, MaxBytes: 1 << 20}

func ycc() []byte { return []byte{0x22, 0x11, 0x11} }

// thumbnail is an APP1 segment with an orientation and, behind it, a whole JPEG with an end marker of its own.
func thumbnail(orientation int) []byte {
	return handmade.APP1(append(handmade.EXIF(binary.BigEndian, orientation), handmade.JPEG{Width: 8, Height: 8}.Bytes()...))
}

func TestInspect(t *testing.T) {
	jpegExif := handmade.APP1(handmade.EXIF(binary.LittleEndian, 8))
	pngExif := handmade.Chunk("eXIf", handmade.EXIF(binary.BigEndian, 6))
	vp8 := handmade.RIFFChunk("VP8 ", handmade.VP8(300, 200))
	webpExif := handmade.RIFFChunk("EXIF", handmade.EXIF(binary.LittleEndian, 3))
	tests := []struct {
		name string
		file []byte
		want picture.Header // without Cost and Beside
	}{
		{"JPEG, grey", handmade.JPEG{Width: 20, Height: 10}.Bytes(), header(picture.JPEG, 20, 10, 1)},
		{"JPEG, colour", handmade.JPEG{Width: 321, Height: 123, Sampling: ycc()}.Bytes(), header(picture.JPEG, 321, 123, 1)},
		{"JPEG, CMYK", handmade.JPEG{Width: 9, Height: 9, Sampling: []byte{0x11, 0x11, 0x11, 0x11}}.Bytes(), header(picture.JPEG, 9, 9, 1)},
		{"JPEG, extended sequential", handmade.JPEG{Width: 9, Height: 9, SOF: 0xc1}.Bytes(), header(picture.JPEG, 9, 9, 1)},
		{"JPEG, progressive, scans", handmade.JPEG{Width: 20, Height: 10, SOF: 0xc2, Scans: 5}.Bytes(), header(picture.JPEG, 20, 10, 1)},
		{"JPEG, orientation", handmade.JPEG{Width: 20, Height: 10, Segments: jpegExif}.Bytes(), header(picture.JPEG, 20, 10, 8)},
		{"JPEG, thumbnail", handmade.JPEG{Width: 20, Height: 10, Segments: thumbnail(6)}.Bytes(), header(picture.JPEG, 20, 10, 6)},
		{"JPEG, first EXIF counts", handmade.JPEG{Width: 20, Height: 10, Segments: append(thumbnail(6), jpegExif...)}.Bytes(), header(picture.JPEG, 20, 10, 6)},
		{"JPEG, data behind the end", handmade.JPEG{Width: 20, Height: 10, Tail: []byte("ftypmp42 and a film")}.Bytes(), header(picture.JPEG, 20, 10, 1)},
		{"JPEG, fill and stray bytes", handmade.JPEG{Width: 20, Height: 10, Segments: []byte{0xff, 0xff, 0xff, 0xfe, 0, 2, 7, 7}}.Bytes(), header(picture.JPEG, 20, 10, 1)},
		{"PNG", handmade.PNG{Width: 20, Height: 10, Color: 2}.Bytes(), header(picture.PNG, 20, 10, 1)},
		{"PNG, orientation", handmade.PNG{Width: 20, Height: 10, Color: 3, Chunks: pngExif}.Bytes(), header(picture.PNG, 20, 10, 6)},
		{"PNG, data behind the end", handmade.PNG{Width: 20, Height: 10, Tail: []byte("tail")}.Bytes(), header(picture.PNG, 20, 10, 1)},
		{"WebP, lossy", handmade.RIFF(vp8), header(picture.WebP, 300, 200, 1)},
		{"WebP, orientation", handmade.RIFF(handmade.RIFFChunk("VP8X", make([]byte, 10)), vp8, webpExif), header(picture.WebP, 300, 200, 3)},
		{"WebP, data behind the end", append(handmade.RIFF(vp8), "tail"...), header(picture.WebP, 300, 200, 1)},
		{"WebP, lossless", handmade.VP8L{Width: 33, Height: 44, Alpha: true}.Lossless(), header(picture.WebP, 33, 44, 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := picture.Inspect(tt.file, limits)
			if err != nil {
				t.Fatal(err)
			}
			if got.Cost != got.CostAt(1) || got.Cost < 3*int64(got.Width*got.Height) {
				t.Errorf("cost %d, want at least the pixels", got.Cost)
			}
			got.Cost, got.Beside = 0, 0
			if got != tt.want {
				t.Errorf("header %+v, want %+v", got, tt.want)
			}
		})
	}
}

func header(format picture.Format, width, height, orientation int) picture.Header {
	return picture.Header{Format: format, Width: width, Height: height, Orientation: orientation}
}

func TestInspectRefuses(t *testing.T) {
	vp8 := handmade.RIFFChunk("VP8 ", handmade.VP8(300, 200))
	animated := handmade.RIFFChunk("VP8X", []byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	dicom := append(make([]byte, 128), "DICM"...)
	frame := handmade.Segment(0xc0, []byte{8, 0, 8, 0, 8, 1, 1, 0x11, 0})
	scan := handmade.Segment(0xda, []byte{1, 1, 0, 0, 63, 0})
	join := func(parts ...string) []byte { return []byte(strings.Join(parts, "")) }
	jpeg := func(parts ...[]byte) []byte {
		return append(append([]byte("\xff\xd8"), bytes.Join(parts, nil)...), 0xff, 0xd9)
	}
	png := func(chunks ...[]byte) []byte { return append([]byte("\x89PNG\r\n\x1a\n"), bytes.Join(chunks, nil)...) }
	end := handmade.Chunk("IEND", nil)
	ihdr := handmade.Chunk("IHDR", []byte{0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0})
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"text", []byte("no picture at all"), "no JPEG, PNG or WebP"},
		{"zeros", make([]byte, 100), "no JPEG, PNG or WebP"},
		{"TIFF", join("II*\x00", "more"), "TIFF pictures are not accepted: send JPEG, PNG or WebP"},
		{"BMP", join("BM", "more"), "BMP pictures are not accepted"},
		{"GIF", join("GIF89a", "more"), "GIF pictures are not accepted"},
		{"HEIC", join("\x00\x00\x00\x18", "ftypheic"), "HEIC pictures are not accepted"},
		{"AVIF", join("\x00\x00\x00\x18", "ftypavif"), "AVIF pictures are not accepted"},
		{"JPEG 2000", join("\x00\x00\x00\x0cjP  \r\n"), "JPEG 2000 pictures are not accepted"},
		{"OpenEXR", join("\x76\x2f\x31\x01", "more"), "OpenEXR pictures are not accepted"},
		{"DICOM", dicom, "DICOM pictures are not accepted"},
		{"RIFF of another kind", join("RIFF\x10\x00\x00\x00WAVEfmt "), "no JPEG, PNG or WebP"},
		{"too many bytes", append(handmade.JPEG{Width: 8, Height: 8}.Bytes(), make([]byte, 1<<20)...), "at most 1048576 are allowed"},

		{"JPEG of no height", handmade.JPEG{Width: 8}.Bytes(), "8x0 pixels"},
		{"JPEG of too many pixels", jpeg(handmade.Segment(0xc0, []byte{8, 255, 0, 255, 0, 1, 1, 0x11, 0})), "at most 50000000"},
		{"JPEG, lossless", handmade.JPEG{Width: 8, Height: 8, SOF: 0xc3}.Bytes(), "lossless JPEG"},
		{"JPEG, hierarchical", handmade.JPEG{Width: 8, Height: 8, SOF: 0xc5}.Bytes(), "hierarchical JPEG"},
		{"JPEG, arithmetic coding", handmade.JPEG{Width: 8, Height: 8, SOF: 0xc9}.Bytes(), "arithmetic coding"},
		{"JPEG of 12 bits", handmade.JPEG{Width: 8, Height: 8, SOF: 0xc1, Bits: 12}.Bytes(), "12 bits a sample"},
		{"JPEG of two components", handmade.JPEG{Width: 8, Height: 8, Sampling: []byte{0x11, 0x11}}.Bytes(), "2 components"},
		{"JPEG, sampling 0", jpeg(handmade.Segment(0xc0, []byte{8, 0, 8, 0, 8, 1, 1, 0x01, 0})), "sampling factors 0x1"},
		{"JPEG without a picture", jpeg(frame), "no picture before its end marker"},
		{"JPEG without a frame", jpeg(scan), "a scan before the frame header"},
		{"JPEG of two frames", jpeg(frame, frame, scan), "a second frame header"},
		{"JPEG in a JPEG", jpeg([]byte{0xff, 0xd8}, frame, scan), "a second start marker"},
		{"JPEG, length 1", jpeg([]byte{0xff, 0xe0, 0, 1}), "a length of 1"},
		{"JPEG, short frame header", jpeg(handmade.Segment(0xc0, []byte{8, 0, 8})), "frame header has 3 bytes"},
		{"JPEG, short scan header", jpeg(frame, handmade.Segment(0xda, []byte{1})), "a scan header of 1 bytes"},
		{"JPEG, scan of more components", jpeg(frame, handmade.Segment(0xda, []byte{2, 1, 0, 2, 0, 0, 63, 0})), "a scan header of 8 bytes"},
		{"JPEG of 101 scans", handmade.JPEG{Width: 8, Height: 8, SOF: 0xc2, Scans: 101}.Bytes(), "more than 100 scans"},

		{"PNG of no width", handmade.PNG{Height: 8}.Bytes(), "0x8 pixels"},
		{"PNG, negative height", png(handmade.Chunk("IHDR", []byte{0, 0, 0, 1, 128, 0, 0, 0, 8, 0, 0, 0, 0})), "1x-2147483648 pixels"},
		{"PNG of too many pixels", png(handmade.Chunk("IHDR", []byte{0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60, 8, 2, 0, 0, 0})), "60000x60000 pixels, at most 50000000"},
		{"PNG, too long", png(handmade.Chunk("IHDR", []byte{0, 1, 0, 0, 0, 0, 0, 1, 8, 2, 0, 0, 0})), "at most 65535 on a side"},
		{"PNG without a header", png(end), `a chunk "IEND" at byte 8`},
		{"PNG of two headers", png(ihdr, ihdr), `a chunk "IHDR" at byte 33`},
		{"PNG, short header", png(handmade.Chunk("IHDR", make([]byte, 12))), "its header has 12 bytes"},
		{"PNG without a picture", png(ihdr, end), "no picture before its end chunk"},
		{"PNG of two palettes", png(ihdr, handmade.Chunk("PLTE", make([]byte, 3)), handmade.Chunk("PLTE", make([]byte, 3))), "2 palettes"},
		{"PNG, long palette", png(ihdr, handmade.Chunk("PLTE", make([]byte, 771))), "771 bytes"},
		{"PNG, huge chunk", png(ihdr, []byte("\xff\xff\xff\xffIDAT\x00\x00\x00\x00")), "a chunk of 4294967295 bytes"},

		{"WebP, animated", handmade.RIFF(animated, vp8), "animated WebP"},
		{"WebP without a picture", handmade.RIFF(handmade.RIFFChunk("EXIF", nil)), "the WebP has no picture"},
		{"WebP of two pictures", handmade.RIFF(vp8, vp8), "a second picture"},
		{"WebP, chunk over the end", handmade.RIFF([]byte("VP8 \xff\x00\x00\x00")), "255 bytes at byte 12"},
		{"WebP, bytes behind the chunks", handmade.RIFF(vp8, []byte("abc")), "3 bytes behind its last chunk"},
		{"WebP, no key frame", handmade.RIFF(handmade.RIFFChunk("VP8 ", make([]byte, 10))), "no key frame"},
		{"WebP of no width", handmade.RIFF(handmade.RIFFChunk("VP8 ", handmade.VP8(0, 9))), "0x9 pixels"},
		{"WebP of too many pixels", handmade.RIFF(handmade.RIFFChunk("VP8 ", handmade.VP8(16383, 16383))), "at most 50000000"},
		{"WebP, huge", append([]byte("RIFF\xff\xff\xff\xffWEBP"), vp8...), "says that it has 4294967303 bytes"},
		{"WebP, lossless without a header", handmade.RIFF(handmade.RIFFChunk("VP8L", []byte("abcdef"))), "its VP8L data has no header"},
		{"WebP, lossless, cut", handmade.RIFF(handmade.RIFFChunk("VP8L", handmade.VP8L{Width: 99, Height: 99, Sets: 9}.Bytes()[:90])), "its VP8L data can't be read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := picture.Inspect(tt.file, limits)
			var refused *picture.RefusedError
			if !errors.As(err, &refused) {
				t.Fatalf("error %v, want a refusal", err)
			}
			if !strings.Contains(refused.Reason, tt.want) || refused.Incomplete {
				t.Errorf("refused (incomplete: %v): %s, want %q", refused.Incomplete, refused.Reason, tt.want)
			}
		})
	}
}

// TestIncomplete cuts whole files at every byte: each must be told from a broken one.
func TestIncomplete(t *testing.T) {
	files := map[string][]byte{
		"JPEG":          handmade.JPEG{Width: 40, Height: 20, Sampling: ycc(), Segments: thumbnail(6)}.Bytes(),
		"JPEG in scans": handmade.JPEG{Width: 20, Height: 10, SOF: 0xc2, Sampling: ycc(), Separate: true, Scans: 2}.Bytes(),
		"PNG":           handmade.PNG{Width: 20, Height: 10, Color: 3}.Bytes(),
		"WebP":          handmade.RIFF(handmade.RIFFChunk("VP8X", make([]byte, 10)), handmade.RIFFChunk("VP8 ", handmade.VP8(3, 2))),
	}
	for name, file := range files {
		if _, err := picture.Inspect(file, limits); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range file {
			_, err := picture.Inspect(file[:n], limits)
			var refused *picture.RefusedError
			if !errors.As(err, &refused) || !refused.Incomplete {
				t.Errorf("%s, the first %d of %d bytes: error %v, want an incomplete file", name, n, len(file), err)
			}
		}
	}
}

// TestEntropyCodedData has bytes in it that look like markers: stuffed ones, restart markers, and fill before the end.
func TestEntropyCodedData(t *testing.T) {
	file := handmade.JPEG{Width: 8, Height: 8}.Bytes()
	data := []byte{0xff, 0x00, 0xd9, 0xff, 0xd0, 0x12, 0xff, 0xd7, 0xff, 0x00, 0xff, 0xff}
	whole := append(append(bytes.Clone(file[:len(file)-2]), data...), 0xff, 0xd9)
	if _, err := picture.Inspect(whole, limits); err != nil {
		t.Error(err)
	}
	var refused *picture.RefusedError
	if _, err := picture.Inspect(whole[:len(whole)-2], limits); !errors.As(err, &refused) || !refused.Incomplete {
		t.Errorf("without its end marker: error %v, want an incomplete file", err)
	}
}

func TestCost(t *testing.T) {
	const rows = 4 << 20 // more than any buffer of rows here
	rotated := handmade.APP1(handmade.EXIF(binary.BigEndian, 6))
	flipped := handmade.APP1(handmade.EXIF(binary.BigEndian, 3))
	tests := []struct {
		name string
		file []byte
		want int64 // at least; at most rows more
	}{
		{"baseline", handmade.JPEG{Width: 4000, Height: 3000, Sampling: ycc()}.Bytes(), 36e6},
		{"baseline, flipped", handmade.JPEG{Width: 4000, Height: 3000, Sampling: ycc(), Segments: flipped}.Bytes(), 36e6},
		{"baseline, turned", handmade.JPEG{Width: 4000, Height: 3000, Sampling: ycc(), Segments: rotated}.Bytes(), 72e6},
		// Blocks of 8x8 in whole MCUs of 16x16: 250x188 MCUs of 4+1+1 blocks of 64 coefficients of 2 bytes.
		{"progressive 4:2:0", handmade.JPEG{Width: 4000, Height: 3000, SOF: 0xc2, Sampling: ycc()}.Bytes(), 36e6 + 250*188*6*128},
		{"baseline in scans", handmade.JPEG{Width: 4000, Height: 3000, Sampling: ycc(), Separate: true}.Bytes(), 36e6 + 250*188*6*128},
		{"PNG", handmade.PNG{Width: 4000, Height: 300, Color: 6}.Bytes(), 3.6e6},
		{"WebP, lossless", handmade.VP8L{Width: 4000, Height: 3000}.Lossless(), 36e6 + 60e6},
		{"WebP, lossless with alpha", handmade.VP8L{Width: 4000, Height: 3000, Alpha: true}.Lossless(), 36e6 + 72e6},
		{"WebP, 1000 sets", handmade.VP8L{Width: 400, Height: 300, Sets: 1000}.Lossless(), 960e3 + 1000*(2954*4+600)},
		{"WebP, 65536 sets", handmade.VP8L{Width: 1024, Height: 1024, Sets: 65536}.Lossless(), 8<<20 + 65536*(2954*4+600)},
		{"WebP, 70 sets, cache of 1024 colours", handmade.VP8L{Width: 400, Height: 300, Sets: 70, CacheBits: 10}.Lossless(), 960e3 + 70*(3980*4+600)},
		{"WebP, 70 sets behind transforms", handmade.VP8L{Width: 400, Height: 300, Sets: 70, Predictor: true, Palette: true}.Lossless(), 960e3 + 70*(2954*4+600)},
	}
	for _, tt := range tests {
		got, err := picture.Inspect(tt.file, limits)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got.Cost < tt.want || got.Cost > tt.want+rows {
			t.Errorf("%s: cost %d, want %d and at most %d more", tt.name, got.Cost, tt.want, rows)
		}
	}
	h := picture.Header{Width: 1001, Height: 15, Orientation: 8, Beside: 7}
	if got, want := h.CostAt(4), int64(7+2*3*251*4); got != want {
		t.Errorf("cost at a quarter of the size %d, want %d", got, want)
	}
}
