package capture

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"sightd/camera/internal/handmade"
)

// split reads all pictures of a stream.
func split(r io.Reader, buffer int, maxBytes int) (got [][]byte, err error) {
	j := &jpegReader{r: r, buf: make([]byte, buffer), max: maxBytes}
	for {
		var shot Shot
		if err := j.next(&shot); err != nil {
			return got, err
		}
		got = append(got, shot.Data)
	}
}

func TestSplitJPEG(t *testing.T) {
	all := pictures()
	part := "\r\n--boundary\r\nContent-Type: image/jpeg\r\nContent-Length: 1\r\n\r\n"
	for _, between := range []string{"", part, "\xff", "\xff\xff", "\x00\x00\xff\x00", "\xff\xd8", "\xff\xd9", "\xff\xd8\xff\xd9", "\xff\xd8\xff\xe0\x00\x01"} {
		stream := []byte(between)
		for _, p := range all {
			stream = append(append(stream, p...), between...)
		}
		for name, r := range map[string]io.Reader{
			"whole":              bytes.NewReader(stream),
			"a byte at a time":   iotest.OneByteReader(bytes.NewReader(stream)),
			"halves":             iotest.HalfReader(bytes.NewReader(stream)),
			"end with the bytes": iotest.DataErrReader(bytes.NewReader(stream)),
		} {
			got, err := split(r, 1000, 1<<20)
			if len(got) != len(all) {
				t.Fatalf("between %q, %s: got %d pictures, want %d (%v)", between, name, len(got), len(all), err)
			}
			for i := range all {
				if !bytes.Equal(got[i], all[i]) {
					t.Errorf("between %q, %s: picture %d has %d bytes, want %d", between, name, i, len(got[i]), len(all[i]))
				}
			}
			if err != io.EOF && err != io.ErrUnexpectedEOF {
				t.Errorf("between %q, %s: ends with %v", between, name, err)
			}
		}
	}
}

func TestSplitBrokenJPEG(t *testing.T) {
	a, b := picture(1), picture(2)
	huge := handmade.JPEG{Width: 8, Height: 8, Segments: bytes.Repeat(handmade.Segment(0xe1, make([]byte, 60000)), 20)}.Bytes()
	for _, test := range []struct {
		name, stream string
		want         int // whole pictures
		err          string
	}{
		{"nothing", "", 0, "EOF"},
		{"half", string(a[:len(a)/2]), 0, "unexpected EOF"},
		{"without its last byte", string(a[:len(a)-1]), 0, "unexpected EOF"},
		{"half, then a whole one", string(a[:len(a)-9]) + string(b), 1, "EOF"},
		{"half in a multipart stream", string(a[:len(a)-9]) + "\r\n--x\r\nContent-Type: image/jpeg\r\n\r\n" + string(b), 1, "EOF"},
		{"start marker alone", "\xff\xd8\xff", 0, "unexpected EOF"},
		{"no picture between the markers", "\xff\xd8\xff\xd9" + string(a), 1, "EOF"},
		{"junk between segments", string(a[:2]) + "\xff\x00junk" + string(a[2:]), 1, "EOF"},
		{"too large", string(huge), 0, "more than the 1048576 bytes"},
		{"too large, entropy-coded", string(a[:len(a)-2]) + strings.Repeat("x", 1<<20), 0, "more than the 1048576 bytes"},
		{"garbage", strings.Repeat("garbage!", 3<<20), 0, "without a JPEG"},
		{"markers", strings.Repeat("\xff\xd8\xff\xd9", 6<<20), 0, "without a JPEG"},
		{"starts", strings.Repeat("\xff\xd8", 12<<20), 0, "without a JPEG"},
		{"starts in a picture", "\xff\xd8\xff" + strings.Repeat("\xff\xd8", 12<<20), 0, "without a JPEG"},
		{"fill", strings.Repeat("\xff", 24<<20), 0, "without a JPEG"},
		{"fill in a picture", "\xff\xd8" + strings.Repeat("\xff", 2<<20), 0, "more than the 1048576 bytes"},
	} {
		got, err := split(strings.NewReader(test.stream), jpegBuffer, 1<<20)
		if len(got) != test.want || !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: got %d pictures, %v, want %d, %s", test.name, len(got), err, test.want, test.err)
		}
		if test.want == 1 && !bytes.Equal(got[0], b) && !bytes.Equal(got[0], a) && test.name != "junk between segments" {
			t.Errorf("%s: got another picture", test.name)
		}
	}
	broken := errors.New("broken")
	if _, err := split(io.MultiReader(bytes.NewReader(a[:50]), iotest.ErrReader(broken)), 10, 1<<20); err != broken {
		t.Errorf("got %v, want the reader's error", err)
	}
	if _, err := split(stuck{}, 10, 1<<20); err != io.ErrNoProgress {
		t.Errorf("got %v of a reader that is stuck", err)
	}
}

// stuck never brings anything.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// A picture is there with its last byte: nothing behind it is waited for.
func TestSplitJPEGAtOnce(t *testing.T) {
	a := picture(1)
	r, w := io.Pipe()
	defer r.Close()
	go w.Write(a) // ends with the Read of the last byte, or with Close
	var shot Shot
	within(t, "the picture", func() {
		if err := newJPEGReader(r, 1<<20).next(&shot); err != nil || !bytes.Equal(shot.Data, a) {
			t.Errorf("got %d bytes, %v", len(shot.Data), err)
		}
	})
}

func TestSplitJPEGAllocatesNothing(t *testing.T) {
	var stream []byte
	for _, p := range pictures() {
		stream = append(stream, p...)
	}
	j := newJPEGReader(&again{data: stream}, 1<<20)
	shot := Shot{Data: make([]byte, 0, 1<<20)}
	if n := testing.AllocsPerRun(100, func() {
		if err := j.next(&shot); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a picture costs %v allocations", n)
	}
}

// again brings the same bytes over and over.
type again struct {
	data []byte
	pos  int
}

func (a *again) Read(b []byte) (int, error) {
	n := copy(b, a.data[a.pos:])
	a.pos = (a.pos + n) % len(a.data)
	return n, nil
}

func FuzzSplitJPEG(f *testing.F) {
	for _, p := range pictures() {
		if len(p) > 4<<10 {
			continue // takes long to mutate
		}
		f.Add(p, []byte("\r\n--x\r\n\r\n"), 7)
		f.Add(p[:len(p)/2], p, 1)
	}
	f.Fuzz(func(t *testing.T, a, b []byte, buffer int) {
		const maxBytes = 1 << 16
		stream := append(bytes.Clone(a), b...)
		want, wantErr := split(bytes.NewReader(stream), 1<<16, maxBytes)
		got, err := split(iotest.HalfReader(bytes.NewReader(stream)), 1+(buffer&0xfff), maxBytes)
		if len(got) != len(want) || err.Error() != wantErr.Error() {
			t.Fatalf("in one piece %d pictures, %v; in many %d, %v", len(want), wantErr, len(got), err)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("picture %d differs", i)
			}
			if len(got[i]) > maxBytes {
				t.Errorf("picture %d has %d bytes", i, len(got[i]))
			}
			if !bytes.Contains(stream, got[i]) {
				t.Errorf("picture %d isn't part of the stream", i)
			}
			// A picture is what it is wherever it comes: as it is alone.
			alone, _ := split(bytes.NewReader(got[i]), 1<<16, maxBytes)
			if len(alone) != 1 || !bytes.Equal(alone[0], got[i]) {
				t.Errorf("picture %d isn't one when it is alone", i)
			}
		}
	})
}

func BenchmarkSplitJPEG(b *testing.B) {
	var stream []byte
	for _, p := range pictures() {
		stream = append(stream, p...)
	}
	j := newJPEGReader(&again{data: stream}, 1<<20)
	shot := Shot{Data: make([]byte, 0, 1<<20)}
	b.ReportAllocs()
	var bytes int
	for b.Loop() {
		if err := j.next(&shot); err != nil {
			b.Fatal(err)
		}
		bytes += len(shot.Data)
	}
	b.SetBytes(int64(bytes / b.N))
}
