package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestWriteAndReadShots(t *testing.T) {
	shots := []Shot{
		{Format: Encoded, Data: picture(1), Time: time.Now().Add(-3 * time.Second)},
		{Format: BGR, Width: 5, Height: 3, Data: bytes.Repeat([]byte("bgr"), 15)},
		{Format: RGB, Width: 1, Height: 1, Data: []byte("rgb"), Time: time.Now()},
	}
	var b bytes.Buffer
	for i := range shots {
		if err := WriteShot(&b, &shots[i]); err != nil {
			t.Fatal(err)
		}
	}
	stream := b.Bytes()
	r := NewShotReader(iotest.HalfReader(&b), 1<<20)
	var got Shot
	for i, want := range shots {
		if err := r.Read(&got); err != nil {
			t.Fatal(err)
		}
		if got.Format != want.Format || got.Width != want.Width || got.Height != want.Height || !bytes.Equal(got.Data, want.Data) || got.Seq != uint64(i+1) {
			t.Errorf("shot %d: got %+v", i, got)
		}
		if want.Time.IsZero() {
			want.Time = time.Now()
		}
		if off := got.Time.Sub(want.Time).Abs(); off > limit {
			t.Errorf("shot %d: its time is off by %v", i, off)
		}
		if i == 0 && time.Since(got.Time) < 3*time.Second {
			t.Errorf("a picture of 3 s ago is said to be %v old", time.Since(got.Time))
		}
	}
	if err := r.Read(&got); err != io.EOF {
		t.Errorf("got %v at the end", err)
	}
	for _, n := range []int{1, frameHeader - 1, frameHeader, frameHeader + 1} {
		if err := NewShotReader(bytes.NewReader(stream[:n]), 1<<20).Read(&got); err != io.ErrUnexpectedEOF {
			t.Errorf("got %v after %d bytes", err, n)
		}
	}
	broken := errors.New("broken")
	if err := WriteShot(failing{broken}, &shots[0]); !errors.Is(err, broken) {
		t.Errorf("got %v of a writer that fails", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestReadShotRefuses(t *testing.T) {
	var b bytes.Buffer
	if err := WriteShot(&b, &Shot{Format: BGR, Width: 4, Height: 2, Data: make([]byte, 24)}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		offset int
		value  uint32
		want   string
	}{
		{"another magic", 0, 0x0a0a0a0a, "want the header of a picture"},
		{"format 0", 4, 0, "format 0"},
		{"format 4", 4, 4, "format 4"},
		{"a file with a size", 4, uint32(Encoded), "want 0x0"},
		{"another width", 8, 5, "has 24 bytes, want 30"},
		{"a width that overflows", 8, 1 << 31, "want"},
		{"no bytes", 16, 0, "0 bytes, want 1 to 1000"},
		{"many bytes", 16, 1 << 31, "want 1 to 1000"},
		{"something behind", 20, 1, "want the header of a picture"},
		{"long ago", 28, 0x80000000, "ago"},
		{"in the future", 28, 0x7fffffff, "ago"},
	} {
		stream := bytes.Clone(b.Bytes())
		binary.LittleEndian.PutUint32(stream[test.offset:], test.value)
		if err := NewShotReader(bytes.NewReader(stream), 1000).Read(&Shot{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", test.name, err, test.want)
		}
	}
}

func FuzzReadShot(f *testing.F) {
	var b bytes.Buffer
	if err := WriteShot(&b, &Shot{Format: BGR, Width: 4, Height: 2, Data: make([]byte, 24)}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, stream []byte) {
		const maxBytes = 1000
		r := NewShotReader(bytes.NewReader(stream), maxBytes)
		var shot Shot
		for r.Read(&shot) == nil {
			if len(shot.Data) > maxBytes || shot.Format != Encoded && len(shot.Data) != shot.Width*shot.Height*3 {
				t.Fatalf("format %d, %dx%d pixels in %d bytes", shot.Format, shot.Width, shot.Height, len(shot.Data))
			}
		}
	})
}
