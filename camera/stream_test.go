package camera

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"sightd/camera/picture"
)

func TestReadStream(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 40, 30))); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	broken := errors.New("the line is broken")
	for _, test := range []struct {
		name    string
		r       io.Reader
		bytes   int64 // the limit
		refused string
		err     error
	}{
		{"whole", bytes.NewReader(file), 1 << 20, "", nil},
		{"a byte at a time", iotest.OneByteReader(bytes.NewReader(file)), 1 << 20, "", nil},
		{"end with the last bytes", iotest.DataErrReader(bytes.NewReader(file)), int64(len(file)), "", nil},
		{"a byte too many", bytes.NewReader(file), int64(len(file)) - 1, "more than the", nil},
		{"endless", iotest.OneByteReader(endless{}), 3 << 20, "more than the 3145728 bytes", nil},
		{"half", bytes.NewReader(file[:len(file)/2]), 1 << 20, "ends", nil},
		{"nothing", strings.NewReader(""), 1 << 20, "empty", nil},
		{"broken", io.MultiReader(bytes.NewReader(file[:9]), iotest.ErrReader(broken)), 1 << 20, "", broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := NewDecoder(picture.Limits{MaxPixels: 1 << 20, MaxBytes: test.bytes})
			defer d.Close() // frees C memory; there is nothing to report
			mat, _, err := d.ReadStream(test.r)
			var refused *picture.RefusedError
			switch {
			case test.err != nil:
				if !errors.Is(err, test.err) || errors.As(err, &refused) {
					t.Errorf("got error %v, want %v", err, test.err)
				}
			case test.refused != "":
				if !errors.As(err, &refused) || !strings.Contains(refused.Reason, test.refused) {
					t.Errorf("got error %v, want a refusal with %q", err, test.refused)
				}
			case err != nil || mat.Cols() != 40 || mat.Rows() != 30:
				t.Errorf("got %dx%d, %v, want 40x30", mat.Cols(), mat.Rows(), err)
			}
		})
	}
}

// endless never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
