package picture_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"

	"sightd/camera/internal/handmade"
	"sightd/camera/picture"
)

// TestPictureBombs inspects small files that would grow: what is beside the picture never comes to a decoder, a picture larger than
// allowed is refused by its header, and looking takes less memory than a small multiple of the file.
func TestPictureBombs(t *testing.T) {
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	for range 16 {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	bomb := handmade.Chunk("zTXt", append([]byte("Comment\x00\x00"), packed.Bytes()...))
	text := handmade.Chunk("iTXt", append([]byte("Comment\x00\x01\x00\x00\x00"), packed.Bytes()...))
	profile := handmade.Chunk("iCCP", append([]byte("icc\x00\x00"), packed.Bytes()...))
	png := func(chunks ...[]byte) []byte {
		return handmade.PNG{Width: 20, Height: 10, Color: 2, Chunks: bytes.Join(chunks, nil)}.Bytes()
	}
	plain := png()
	sized := func(width, height uint32) []byte {
		data := bytes.Clone(plain)
		binary.BigEndian.PutUint32(data[16:], width)
		binary.BigEndian.PutUint32(data[20:], height)
		return data
	}
	claims := bytes.Clone(plain)
	binary.BigEndian.PutUint32(claims[33:], 0x7fffffff) // the length of the chunk behind the header
	for _, test := range []struct {
		name, want string // want: of the refusal; "": none
		data       []byte
	}{
		{"a text that grows", "", png(bomb)},
		{"an international text that grows", "", png(text)},
		{"a colour profile that grows", "", png(profile)},
		{"50 texts that grow", "", png(bytes.Repeat(bomb, 50))},
		{"16384x16384", "pixels", sized(16384, 16384)},
		{"2^31-1 by 2^31-1", "", sized(1<<31-1, 1<<31-1)},
		{"0 by 2^32-1", "", sized(0, 1<<32-1)},
		{"a chunk of 2 GB", "ends after", claims},
		{"a JPEG of 65535x65535", "", handmade.JPEG{Width: 65535, Height: 65535, Sampling: []byte{0x11}}.Bytes()},
		{"a WebP of 16383x16383", "", handmade.RIFF(handmade.RIFFChunk("VP8 ", handmade.VP8(16383, 16383)))},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		header, err := picture.Inspect(test.data, limits)
		runtime.ReadMemStats(&after)
		if taken, bound := after.TotalAlloc-before.TotalAlloc, uint64(1<<20); taken > bound {
			t.Errorf("%s: %d bytes were allocated for a file of %d, want at most %d", test.name, taken, len(test.data), bound)
		}
		if err != nil {
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: have error %v, want one with %q", test.name, err, test.want)
			}
			if strings.HasSuffix(test.name, "grows") || strings.HasSuffix(test.name, "grow") {
				t.Errorf("%s: want it taken, have %v", test.name, err)
			}
			continue
		}
		if header.Width != 20 || header.Height != 10 {
			t.Errorf("%s: taken as %dx%d", test.name, header.Width, header.Height)
		}
		if stripped := picture.Strip(nil, test.data); !bytes.Equal(stripped, plain) {
			t.Errorf("%s: want only the picture's own %d bytes for the decoder, have %d", test.name, len(plain), len(stripped))
		}
	}
}
