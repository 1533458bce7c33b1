package camera_test

import (
	"bytes"
	"image/jpeg"
	"testing"

	"sightd/camera"
	"sightd/camera/capture"
	"sightd/camera/picture"
)

// raw is the corners as raw pixels.
func raw(format capture.Format, width, height int) *capture.Shot {
	shot := &capture.Shot{Format: format, Width: width, Height: height}
	img := corners(width, height)
	for i := 0; i < len(img.Pix); i += 4 {
		red, green, blue := img.Pix[i], img.Pix[i+1], img.Pix[i+2]
		if format == capture.BGR {
			red, blue = blue, red
		}
		shot.Data = append(shot.Data, red, green, blue)
	}
	return shot
}

func encoded(t testing.TB, width, height int) *capture.Shot {
	t.Helper()
	var file bytes.Buffer
	if err := jpeg.Encode(&file, corners(width, height), nil); err != nil {
		t.Fatal(err)
	}
	return &capture.Shot{Format: capture.Encoded, Data: file.Bytes()}
}

// TestDecodeShot takes one Decoder through all kinds of shots, one after the other: what one leaves behind mustn't show in the next.
func TestDecodeShot(t *testing.T) {
	decoder := newDecoder(t)
	for round := range 2 {
		for _, shot := range []*capture.Shot{
			raw(capture.BGR, 40, 20), raw(capture.RGB, 40, 20), encoded(t, 64, 48), raw(capture.RGB, 7, 9), raw(capture.BGR, 7, 9),
			raw(capture.RGB, 40, 20), raw(capture.BGR, 3000, 2000), encoded(t, 64, 48), raw(capture.BGR, 40, 20),
		} {
			before := bytes.Clone(shot.Data)
			mat, err := decoder.DecodeShot(shot)
			if err != nil {
				t.Fatalf("round %d, format %d, %dx%d: %v", round, shot.Format, shot.Width, shot.Height, err)
			}
			if shot.Width > 0 && (mat.Cols() != shot.Width || mat.Rows() != shot.Height) {
				t.Errorf("%dx%d came as %dx%d", shot.Width, shot.Height, mat.Cols(), mat.Rows())
			}
			if got := quarters(mat); got != "RGBW" {
				t.Errorf("format %d, %dx%d: quarters %s, want RGBW", shot.Format, shot.Width, shot.Height, got)
			}
			if !bytes.Equal(before, shot.Data) {
				t.Errorf("format %d, %dx%d: the shot was changed", shot.Format, shot.Width, shot.Height)
			}
		}
	}
}

// TestDecodeShotCopies writes over a shot whose picture is still in use.
func TestDecodeShotCopies(t *testing.T) {
	decoder, shot := newDecoder(t), raw(capture.BGR, 40, 20)
	mat, err := decoder.DecodeShot(shot)
	if err != nil {
		t.Fatal(err)
	}
	clear(shot.Data)
	if got := quarters(mat); got != "RGBW" {
		t.Errorf("quarters %s, want RGBW", got)
	}
}

func TestDecodeShotRefuses(t *testing.T) {
	short := raw(capture.BGR, 40, 20)
	short.Data = short.Data[:len(short.Data)-1]
	long := raw(capture.RGB, 40, 20)
	long.Data = append(long.Data, 0)
	torn := encoded(t, 64, 48)
	torn.Data = torn.Data[:len(torn.Data)/2]
	tests := []struct {
		name   string
		shot   *capture.Shot
		reason string
	}{
		{"no format", &capture.Shot{}, "format 0"},
		{"unknown format", &capture.Shot{Format: 9}, "format 9"},
		{"no file", &capture.Shot{Format: capture.Encoded}, ""},
		{"torn file", torn, ""},
		{"no size", &capture.Shot{Format: capture.BGR}, "0x0 pixels"},
		{"negative", &capture.Shot{Format: capture.BGR, Width: -1, Height: -1, Data: make([]byte, 3)}, "-1x-1 pixels"},
		{"too wide", &capture.Shot{Format: capture.RGB, Width: 1 << 62, Height: 4}, "from 1 to 65535"},
		{"too many pixels", &capture.Shot{Format: capture.RGB, Width: 65535, Height: 65535}, "at most 50000000 in all"},
		{"a byte too few", short, "2399 bytes, want 2400"},
		{"a byte too many", long, "2401 bytes, want 2400"},
	}
	decoder := newDecoder(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := decoder.DecodeShot(test.shot)
			wantRefused(t, err, test.reason)
		})
	}
	if mat, err := decoder.DecodeShot(raw(capture.RGB, 40, 20)); err != nil || quarters(mat) != "RGBW" {
		t.Errorf("after all that a good shot fails: %v", err)
	}
}

func TestDecodeShotBoundsMemory(t *testing.T) {
	decoder := camera.NewDecoder(picture.Limits{MaxPixels: 1 << 30, MaxBytes: 1 << 30})
	defer decoder.Close() // always nil
	_, err := decoder.DecodeShot(&capture.Shot{Format: capture.RGB, Width: 5000, Height: 5000, Data: make([]byte, 75_000_000)})
	wantRefused(t, err, "takes 225 MB of memory")
}

func TestDecodeShotAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	decoder := newDecoder(t)
	for _, shot := range []*capture.Shot{raw(capture.BGR, 320, 240), raw(capture.RGB, 320, 240), raw(capture.BGR, 3000, 2000)} {
		allocations := testing.AllocsPerRun(10, func() {
			if _, err := decoder.DecodeShot(shot); err != nil {
				t.Fatal(err)
			}
		})
		if allocations != 0 {
			t.Errorf("format %d, %dx%d: %v allocations, want none", shot.Format, shot.Width, shot.Height, allocations)
		}
	}
}

// FuzzDecodeShot gives shots whose size, format and bytes don't fit together. The files in them are fuzzed elsewhere.
func FuzzDecodeShot(f *testing.F) {
	f.Add(uint8(2), 2, 1, []byte{1, 2, 3, 4, 5, 6})
	f.Add(uint8(3), 1, 1, []byte{1, 2, 3})
	f.Add(uint8(3), 1<<32, 1<<32, []byte{})
	decoder := camera.NewDecoder(picture.Limits{MaxPixels: 10000, MaxBytes: 1 << 20})
	f.Cleanup(func() { decoder.Close() }) // always nil
	f.Fuzz(func(t *testing.T, format uint8, width, height int, data []byte) {
		if capture.Format(format) == capture.Encoded {
			return
		}
		mat, err := decoder.DecodeShot(&capture.Shot{Format: capture.Format(format), Width: width, Height: height, Data: data})
		if err != nil {
			wantRefused(t, err, "")
			return
		}
		if mat.Cols() != width || mat.Rows() != height || len(data) != 3*width*height {
			t.Fatalf("%d bytes of %dx%d came as %dx%d", len(data), width, height, mat.Cols(), mat.Rows())
		}
	})
}

func BenchmarkDecodeShot(b *testing.B) {
	decoder := newDecoder(b)
	for name, shot := range map[string]*capture.Shot{
		"BGR": raw(capture.BGR, 640, 480), "RGB": raw(capture.RGB, 640, 480), "JPEG": encoded(b, 640, 480),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decoder.DecodeShot(shot); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
