package grab

import (
	"bytes"
	"testing"

	"sightd/camera/v4l2"
)

func FuzzTrim(f *testing.F) {
	f.Add([]byte("\xff\xd8\xff\xd9\x00"))
	f.Add([]byte("\xff\xd8\xff\xe0\xff\xd9x\xff\xd9"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := trim(data)
		if !bytes.HasPrefix(data, got) || len(got) > 0 && (!bytes.HasSuffix(got, []byte{0xff, 0xd9}) || !bytes.HasPrefix(got, []byte{0xff, 0xd8})) {
			t.Errorf("%x: got %x", data, got)
		}
	})
}

func TestDifference(t *testing.T) {
	want := v4l2.Mode{FourCC: "MJPG", Width: 640, Height: 480, FPS: 15}
	have := want
	have.FPS = 30
	if got := difference(want, have); got != "" {
		t.Errorf("faster: got %q", got)
	}
	have = v4l2.Mode{FourCC: "YUYV", Width: 800, Height: 600, FPS: 7.5}
	if got, want := difference(want, have), "YUYV 800x600 at 7.5 fps, asked for MJPG 640x480 at 15"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, test := range []struct {
		value float64
		want  string
	}{{0x47504a4d, "MJPG"}, {0x20203859, "Y8"}, {0, ""}, {-1, ""}} {
		if got := codec(test.value); got != test.want {
			t.Errorf("%g: got %q, want %q", test.value, got, test.want)
		}
	}
}
