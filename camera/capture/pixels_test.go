package capture

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestPPM(t *testing.T) {
	small, large := "P6\n2 1\n255\nabcdef", "P6 700 600\n255\n"+strings.Repeat("x", 700*600*3)
	for _, test := range []struct {
		name, stream string
		want         []string // sizes
		err          string
	}{
		{"nothing", "", nil, "EOF"},
		{"two", small + large + small, []string{"2x1", "700x600", "2x1"}, "EOF"},
		{"half the magic", "P", nil, "unexpected EOF"},
		{"half a header", "P6\n12", nil, "unexpected EOF"},
		{"half the pixels", small[:len(small)-1], nil, "unexpected EOF"},
		{"no PPM", "P5\n2 1\n255\nab", nil, `starts with "P6", got "P5"`},
		{"16 bits", "P6\n2 1\n65535\nabcdef", nil, "values up to 65535"},
		{"no number", "P6\n2x1\n255\nabcdef", nil, `a 'x' where a number`},
		{"a long number", "P6\n123456 1\n255\n", nil, "at most 5 digits"},
		{"no width", "P6\n0 1\n255\n", nil, "0x1 pixels"},
		{"too wide", "P6\n65536 1\n255\n", nil, "65536x1 pixels"},
		{"too large", "P6\n60000 60000\n255\n", nil, "10800000000 bytes, at most 2000000"},
		{"space", "P6" + strings.Repeat(" ", 100), nil, "too much space"},
	} {
		for _, r := range []io.Reader{strings.NewReader(test.stream), iotest.OneByteReader(strings.NewReader(test.stream))} {
			p := newPPMReader(r, 2_000_000)
			var got []string
			var shot Shot
			err := p.next(&shot)
			for ; err == nil; err = p.next(&shot) {
				got = append(got, fmt.Sprintf("%dx%d", shot.Width, shot.Height))
				if shot.Format != RGB || len(shot.Data) != shot.Width*shot.Height*3 || time.Since(shot.Time) > limit {
					t.Errorf("%s: got format %d, %d bytes", test.name, shot.Format, len(shot.Data))
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: got %v, %v, want %v, %s", test.name, got, err, test.want, test.err)
			}
		}
	}
}

func FuzzPPM(f *testing.F) {
	f.Add([]byte("P6\n2 1\n255\nabcdef"))
	f.Add([]byte("P6\n 60000 60000\n255\nabcdef"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		const maxBytes = 1 << 16
		p := newPPMReader(bytes.NewReader(stream), maxBytes)
		var shot Shot
		for p.next(&shot) == nil {
			if len(shot.Data) > maxBytes || len(shot.Data) != shot.Width*shot.Height*3 || len(shot.Data) == 0 {
				t.Fatalf("%dx%d pixels in %d bytes", shot.Width, shot.Height, len(shot.Data))
			}
		}
		if cap(shot.Data) > 2*maxBytes {
			t.Errorf("%d bytes of memory", cap(shot.Data))
		}
	})
}

func TestBGR(t *testing.T) {
	stream := strings.Repeat("a", 24) + strings.Repeat("b", 24) + "c"
	b := &bgrReader{r: bufio.NewReader(iotest.HalfReader(strings.NewReader(stream))), width: 4, height: 2, max: 24}
	var shot Shot
	for _, want := range []string{strings.Repeat("a", 24), strings.Repeat("b", 24)} {
		if err := b.next(&shot); err != nil || string(shot.Data) != want || shot.Format != BGR || shot.Width != 4 || shot.Height != 2 {
			t.Errorf("got %+v, %v", shot, err)
		}
	}
	if err := b.next(&shot); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if err := b.next(&shot); err != io.EOF {
		t.Errorf("got %v, want %v", err, io.EOF)
	}
	b.max = 23
	b.r = bufio.NewReader(strings.NewReader(stream))
	if err := b.next(&shot); err == nil || !strings.Contains(err.Error(), "at most 23") {
		t.Errorf("got %v of a picture that is too large", err)
	}
}
