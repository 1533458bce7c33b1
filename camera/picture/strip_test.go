package picture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"sightd/camera/internal/handmade"
	"sightd/camera/picture"
)

func TestStrip(t *testing.T) {
	exif := handmade.EXIF(binary.BigEndian, 6)
	jfif := handmade.Segment(0xe0, []byte("JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"))
	adobe := handmade.Segment(0xee, []byte("Adobe\x00\x64\x00\x00\x00\x00\x01"))
	comment := handmade.Segment(0xfe, []byte("a comment"))
	text := handmade.Chunk("tEXt", []byte("Comment\x00text"))
	animation := handmade.Chunk("acTL", []byte{0, 0, 0, 2, 0, 0, 0, 0})
	vp8 := handmade.RIFFChunk("VP8 ", append(handmade.VP8(300, 200), 1)) // an odd size, padded
	alpha := handmade.RIFFChunk("ALPH", []byte{1, 2, 3})
	tests := []struct {
		name       string
		file, want []byte
	}{
		{
			"JPEG",
			handmade.JPEG{Width: 9, Height: 9, Tail: []byte("tail"),
				Segments: bytes.Join([][]byte{jfif, handmade.APP1(exif), comment, adobe, {1, 2, 3}}, nil)}.Bytes(),
			handmade.JPEG{Width: 9, Height: 9, Segments: append(bytes.Clone(jfif), adobe...)}.Bytes(),
		},
		{
			"PNG",
			handmade.PNG{Width: 9, Height: 9, Color: 3, Tail: []byte("tail"),
				Chunks: bytes.Join([][]byte{text, animation, handmade.Chunk("eXIf", exif)}, nil)}.Bytes(),
			handmade.PNG{Width: 9, Height: 9, Color: 3}.Bytes(),
		},
		{
			"WebP",
			append(handmade.RIFF(handmade.RIFFChunk("VP8X", make([]byte, 10)), alpha, vp8, handmade.RIFFChunk("EXIF", exif)), "tail"...),
			handmade.RIFF(vp8),
		},
		{"no picture", []byte("no picture"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := bytes.Clone(tt.file)
			if got := picture.Strip(nil, tt.file); !bytes.Equal(got, tt.want) {
				t.Errorf("stripped to\n%q, want\n%q", got, tt.want)
			}
			if !bytes.Equal(tt.file, before) {
				t.Error("Strip has changed its argument")
			}
			if got := picture.Strip(tt.file[:0], tt.file); !bytes.Equal(got, tt.want) {
				t.Errorf("stripped in place to\n%q, want\n%q", got, tt.want)
			}
		})
	}
}

// FuzzInspect checks on any bytes that Inspect and Strip don't panic, that what is stripped is the same picture, and
// that nothing is left to strip of it.
func FuzzInspect(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("II*\x00"))
	f.Add(handmade.JPEG{Width: 20, Height: 10, Sampling: ycc(), Segments: thumbnail(6)}.Bytes())
	f.Add(handmade.JPEG{Width: 20, Height: 10, SOF: 0xc2, Separate: true, Sampling: ycc()}.Bytes())
	f.Add(handmade.PNG{Width: 20, Height: 10, Color: 3, Chunks: handmade.Chunk("eXIf", handmade.EXIF(binary.BigEndian, 6))}.Bytes())
	f.Add(handmade.RIFF(handmade.RIFFChunk("VP8 ", handmade.VP8(30, 20)), handmade.RIFFChunk("EXIF", handmade.EXIF(binary.LittleEndian, 3))))
	f.Add(handmade.VP8L{Width: 33, Height: 44, Sets: 70, CacheBits: 3, Predictor: true, Palette: true, Alpha: true}.Lossless())
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := picture.Inspect(data, limits)
		if err != nil {
			var refused *picture.RefusedError
			if !errors.As(err, &refused) || refused.Reason == "" {
				t.Fatalf("error %v, want a refusal with a reason", err)
			}
			return
		}
		if got.Width*got.Height > limits.MaxPixels || got.Width < 1 || got.Height < 1 || got.Cost < 3 {
			t.Fatalf("header %+v", got)
		}
		stripped := picture.Strip(nil, data)
		if len(stripped) > len(data) {
			t.Errorf("stripped %d bytes to %d", len(data), len(stripped))
		}
		again, err := picture.Inspect(stripped, limits)
		if err != nil {
			t.Fatalf("stripped: %v", err)
		}
		if got.Orientation = 1; again.Format != got.Format || again.Width != got.Width || again.Height != got.Height || again.Orientation != 1 {
			t.Errorf("stripped header %+v, want that of %+v", again, got)
		}
		if !bytes.Equal(picture.Strip(nil, stripped), stripped) {
			t.Error("stripping twice gives another file")
		}
		if !bytes.Equal(picture.Strip(data[:0], data), stripped) {
			t.Error("stripping in place gives another file")
		}
	})
}

func BenchmarkInspect(b *testing.B) {
	file := handmade.JPEG{Width: 4000, Height: 3000, Sampling: ycc()}.Bytes()
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := picture.Inspect(file, limits); err != nil {
			b.Fatal(err)
		}
	}
}
