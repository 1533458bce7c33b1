package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
)

// ppmReader reads PPM files (P6, 8 bits a sample), one behind the other.
type ppmReader struct {
	r   *bufio.Reader
	max int64
}

func newPPMReader(r io.Reader, maxBytes int64) *ppmReader {
	return &ppmReader{r: bufio.NewReaderSize(r, 64<<10), max: maxBytes}
}

// next reads a picture. The error is io.EOF between pictures, io.ErrUnexpectedEOF amid one.
func (p *ppmReader) next(shot *Shot) error {
	first, err := p.r.ReadByte()
	if err != nil {
		return err
	}
	second, err := p.r.ReadByte()
	if err != nil {
		return amid(err)
	}
	if first != 'P' || second != '6' {
		return fmt.Errorf("want a PPM picture, which starts with %q, got %q", "P6", []byte{first, second})
	}
	var header [3]int // width, height, highest value
	for i := range header {
		if header[i], err = p.number(); err != nil {
			return err
		}
	}
	if header[2] != 255 {
		return fmt.Errorf("want a PPM picture with values up to 255, got one with values up to %d", header[2])
	}
	return readPixels(p.r, shot, RGB, header[0], header[1], p.max)
}

// number reads a decimal number of the header, with the space in front and one byte of space behind. Programs write no comments.
func (p *ppmReader) number() (int, error) {
	n, digits := 0, 0
	for range 32 {
		b, err := p.r.ReadByte()
		if err != nil {
			return 0, amid(err)
		}
		switch {
		case b >= '0' && b <= '9' && digits < 5:
			n = 10*n + int(b-'0')
			digits++
		case b != ' ' && b != '\n' && b != '\r' && b != '\t':
			return 0, fmt.Errorf("the header of a PPM picture has a %q where a number of at most 5 digits should be", b)
		case digits > 0:
			return n, nil
		}
	}
	return 0, errors.New("the header of a PPM picture is broken: too much space in it")
}

// readPixels reads the pixels of one picture.
func readPixels(r io.Reader, shot *Shot, format Format, width, height int, maxBytes int64) error {
	if width < 1 || width > maxSide || height < 1 || height > maxSide {
		return fmt.Errorf("a picture says that it is %dx%d pixels, want 1 to %d on each side", width, height, maxSide)
	}
	size := int64(width) * int64(height) * 3
	if size > maxBytes {
		return fmt.Errorf("a picture of %dx%d pixels has %d bytes, at most %d are allowed", width, height, size, maxBytes)
	}
	if err := readData(r, shot, int(size)); err != nil {
		return err
	}
	shot.Format, shot.Width, shot.Height, shot.File = format, width, height, ""
	shot.Time = time.Now()
	return nil
}

// readData fills the shot's Data with n bytes. It grows with what comes, at most twofold: a header alone costs no memory.
func readData(r io.Reader, shot *Shot, n int) error {
	const step = 1 << 20
	shot.Data = shot.Data[:0]
	for len(shot.Data) < n {
		if len(shot.Data) == cap(shot.Data) {
			larger := make([]byte, len(shot.Data), min(n, max(2*cap(shot.Data), step)))
			copy(larger, shot.Data)
			shot.Data = larger
		}
		got, err := io.ReadFull(r, shot.Data[len(shot.Data):min(n, cap(shot.Data))])
		shot.Data = shot.Data[:len(shot.Data)+got]
		if err != nil {
			return amid(err)
		}
	}
	return nil
}

// amid is an error of reading where more must come.
func amid(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// bgrReader reads raw pictures of one size.
type bgrReader struct {
	r             *bufio.Reader
	width, height int
	max           int64
}

// next reads a picture. The error is io.EOF between pictures, io.ErrUnexpectedEOF amid one.
func (b *bgrReader) next(shot *Shot) error {
	if _, err := b.r.Peek(1); err != nil {
		return err
	}
	return readPixels(b.r, shot, BGR, b.width, b.height, b.max)
}
