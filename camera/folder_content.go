package camera

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"sync"

	"gocv.io/x/gocv"

	"sightd/camera/picture"
)

// heldBytes is the size up to which a file is read once: what was looked into is kept until it is decoded.
const heldBytes = 128 << 10

// content is what is in a file that is looked into.
type content struct {
	io.SectionReader
	held *[]byte // all of it; nil where it isn't held
}

// buffers are for what is held.
var buffers sync.Pool

// buffer gives one for so many bytes.
func buffer(size int64) *[]byte {
	if b, ok := buffers.Get().(*[]byte); ok && int64(cap(*b)) >= size {
		*b = (*b)[:size]
		return b
	}
	const step = 16 << 10 // so that the next picture, a bit larger, finds room
	b := make([]byte, size, (size/step+1)*step)
	return &b
}

// contentOf reads a small file of that size; a large one is read when it is asked for, and tell is called with each time.
func contentOf(file *os.File, size int64, tell func()) (content, error) {
	if size > heldBytes {
		return content{SectionReader: *io.NewSectionReader(steady{file, tell}, 0, size)}, nil
	}
	held := buffer(size)
	tell()
	n, err := file.ReadAt(*held, 0)
	*held = (*held)[:n]
	if err != nil && err != io.EOF { // one that was cut meanwhile has changed
		buffers.Put(held)
		return content{}, err
	}
	return content{*io.NewSectionReader(bytes.NewReader(*held), 0, int64(n)), held}, nil
}

// sum is the content's SHA-256, of its first hashedBytes.
func (c *content) sum() (sum contentSum, err error) {
	if c.held != nil {
		return sha256.Sum256(*c.held), nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(&c.SectionReader, 0, min(c.Size(), hashedBytes))); err != nil {
		return sum, err
	}
	return contentSum(h.Sum(nil)), nil
}

// letGo lets go of what is held.
func (c *content) letGo() {
	if c.held != nil {
		buffers.Put(c.held)
		c.held = nil
	}
}

// Decode decodes the item's picture, with the result of Decoder.Decode. Of a file of up to 128 KiB that is what was looked into, whatever
// has become of the file since. A larger one is read, if it is still the one that was handed out. An error that is no
// *picture.RefusedError is that of Open, or of reading; it wraps ErrFileChanged too if the file was written to while it was read. The
// caller then calls Release. What was held is let go: a second call reads the file.
func (it *Item) Decode(d *Decoder) (gocv.Mat, picture.Header, error) {
	if it.content.held != nil {
		defer it.content.letGo()
		return d.Decode(*it.content.held)
	}
	file, err := it.Open()
	if err != nil {
		return gocv.Mat{}, picture.Header{}, err
	}
	defer file.Close() // it was only read
	mat, header, err := d.ReadFile(file)
	if changed := it.unchanged(file); changed != nil {
		return gocv.Mat{}, header, changed
	}
	return mat, header, err
}
