package camera

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"gocv.io/x/gocv"

	"sightd/camera/picture"
)

// streamChunk is the room that a stream gets first; it doubles from there.
const streamChunk = 1 << 20

// ReadStream reads a picture to the end of r, where its size isn't known before, and decodes it. The result is that of Decode;
// errors of reading are no *picture.RefusedError. It reads no more than one byte over the limit.
func (d *Decoder) ReadStream(r io.Reader) (gocv.Mat, picture.Header, error) {
	d.dropLargeMats()
	defer d.dropLargeFile()
	d.file = d.file[:0]
	for {
		if len(d.file) == cap(d.file) {
			d.double()
		}
		n, err := r.Read(d.file[len(d.file):cap(d.file)])
		d.file = d.file[:len(d.file)+n]
		if int64(len(d.file)) > d.limits.MaxBytes {
			return gocv.Mat{}, picture.Header{}, &picture.RefusedError{
				Reason: fmt.Sprintf("the picture has more than the %d bytes that are allowed", d.limits.MaxBytes),
			}
		}
		if errors.Is(err, io.EOF) {
			return d.decodeRead()
		}
		if err != nil {
			return gocv.Mat{}, picture.Header{}, fmt.Errorf("read picture: %w", err)
		}
	}
}

// double doubles the room for a stream, up to a byte over the limit. Of a large one the old memory goes back to the system at once.
func (d *Decoder) double() {
	size := min(max(2*int64(cap(d.file)), streamChunk), d.limits.MaxBytes+1)
	larger := make([]byte, len(d.file), size)
	copy(larger, d.file)
	d.file = larger
	if size > keptBytes {
		debug.FreeOSMemory()
	}
}
