package camera

// #include "imdecode.h"
import "C"

import (
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"runtime/debug"
	"unsafe"

	"gocv.io/x/gocv"

	"sightd/camera/picture"
)

const (
	// memoryBudget bounds, in bytes, what one picture may take: its file, the stripped copy of it, and decoding.
	memoryBudget = 200e6

	// reducedSide is the shortest side that a JPEG must keep to be decoded at a half, a quarter or an eighth of its
	// size, where the caller doesn't say what is enough: four times the side of a network's input. At 224x224 no value
	// then differs by more than 2.
	reducedSide = 1024

	// keptBytes is the size up to which a buffer or a Mat is kept for the next picture.
	keptBytes = 16 << 20
)

// OpenCV works in the thread that calls it. Its own threads made no step here faster, measured on pictures of up to 12
// megapixels, and they would compete with those that run the network. This holds for the whole process.
func init() { gocv.SetNumThreads(1) }

// Decoder decodes picture files: JPEG, PNG and WebP, from strangers. It refuses what picture.Inspect refuses, and what
// would take more than 200 MB of memory. It reuses its memory, and isn't safe for concurrent use.
//
// A JPEG is decoded at a half, a quarter or an eighth of its size as long as that is enough; a 12 megapixel photo of
// 4032x3024 may so come as 504x378, averaged by the decoder, in a quarter of the time and a sixtieth of the memory. One
// that would take too much memory (a long strip, say) is reduced further. PNG and WebP have no such way.
type Decoder struct {
	// Enough says whether a picture of that size, upright, has all the pixels that are needed of it; a larger picture
	// then has, too. It may be set anew before each picture. nil wants a short side of 1024 pixels.
	Enough func(size image.Point) bool

	limits picture.Limits
	file   []byte   // a file that was read, or the stripped copy of one that was given
	mat    gocv.Mat // as decoded
	turned gocv.Mat // upright, of a picture that lies on its side
}

// NewDecoder makes a Decoder. Close it to free its memory.
func NewDecoder(limits picture.Limits) *Decoder {
	return &Decoder{limits: limits, mat: gocv.NewMat(), turned: gocv.NewMat()}
}

// Close frees the Decoder's memory and with it the last picture. The Decoder must not be used any more.
func (d *Decoder) Close() error {
	d.file = nil
	return errors.Join(d.mat.Close(), d.turned.Close())
}

// Decode decodes the file that data is. The Mat holds 8-bit BGR pixels, upright: the file's EXIF orientation is
// applied. It belongs to the Decoder and is valid until the next call of Decode, ReadFile or Close. The Header is that
// of the file: the size before turning and reducing. Every error is a *picture.RefusedError. data isn't changed.
func (d *Decoder) Decode(data []byte) (gocv.Mat, picture.Header, error) {
	d.dropLargeMats()
	defer d.dropLargeFile()
	header, err := picture.Inspect(data, d.limits)
	if err != nil {
		return gocv.Mat{}, header, err
	}
	d.grow(len(data))
	mat, err := d.decode(data, header, int64(len(data)+cap(d.file)))
	return mat, header, err
}

// ReadFile reads and decodes a file, from its start. It reads regular files only, and none over the limit of bytes. The
// result is that of Decode; errors of reading are no *picture.RefusedError. It doesn't close f.
func (d *Decoder) ReadFile(f *os.File) (gocv.Mat, picture.Header, error) {
	d.dropLargeMats()
	defer d.dropLargeFile()
	info, err := f.Stat()
	if err != nil {
		return gocv.Mat{}, picture.Header{}, fmt.Errorf("read picture: %w", err)
	}
	if !info.Mode().IsRegular() {
		return gocv.Mat{}, picture.Header{}, &picture.RefusedError{Reason: "it is no regular file"}
	}
	if err := d.read(f, info.Size()); err != nil {
		return gocv.Mat{}, picture.Header{}, err
	}
	return d.decodeRead()
}

// decodeRead decodes what was read to d.file.
func (d *Decoder) decodeRead() (gocv.Mat, picture.Header, error) {
	header, err := picture.Inspect(d.file, d.limits)
	if err != nil {
		return gocv.Mat{}, header, err
	}
	mat, err := d.decode(d.file, header, int64(cap(d.file)))
	return mat, header, err
}

// read reads a file of that size to d.file.
func (d *Decoder) read(f io.ReaderAt, size int64) error {
	if size > d.limits.MaxBytes {
		return &picture.RefusedError{
			Reason: fmt.Sprintf("the file has %d bytes, at most %d are allowed", size, d.limits.MaxBytes),
		}
	}
	d.grow(int(size))
	d.file = d.file[:size]
	n, err := f.ReadAt(d.file, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read picture: %w", err)
	}
	d.file = d.file[:n] // shorter where the file was cut meanwhile: it is then incomplete
	return nil
}

// decode decodes a file that Inspect has accepted: d.file itself, or one for whose stripped copy it has room. fileBytes is the
// memory that both take.
func (d *Decoder) decode(file []byte, h picture.Header, fileBytes int64) (gocv.Mat, error) {
	scale := d.reduction(h, memoryBudget-fileBytes)
	if need := fileBytes + h.CostAt(scale); need > memoryBudget {
		return gocv.Mat{}, &picture.RefusedError{
			Reason: fmt.Sprintf("decoding the %s takes %d MB of memory, at most %d MB are allowed",
				h.Format, (need+999_999)/1_000_000, int(memoryBudget)/1_000_000),
		}
	}
	if scale != 8 || !eighth(file, h, &d.mat) {
		d.file = picture.Strip(d.file[:0], file)
		if err := d.imdecode(d.file, h, scale); err != nil {
			return gocv.Mat{}, err
		}
	}
	return d.upright(h)
}

// imdecode decodes a stripped file to d.mat with OpenCV.
func (d *Decoder) imdecode(file []byte, h picture.Header, scale int) error {
	flags := C.int(imreadColor[scale] | gocv.IMReadIgnoreOrientation)
	result := C.imdecode(unsafe.Pointer(&file[0]), C.size_t(len(file)), flags, unsafe.Pointer(d.mat.Ptr()))
	if result.decoded == 0 {
		reason, text := fmt.Sprintf("the %s can't be decoded", h.Format), result.message // which else would always lie on the heap
		if message := C.GoString(&text[0]); message != "" {
			reason += ": " + message
		}
		return &picture.RefusedError{Reason: reason}
	}
	width, height := (h.Width+scale-1)/scale, (h.Height+scale-1)/scale
	if d.mat.Cols() != width || d.mat.Rows() != height || d.mat.Type() != gocv.MatTypeCV8UC3 {
		return &picture.RefusedError{
			Reason: fmt.Sprintf("the %s decodes to %dx%d pixels, its header says %dx%d",
				h.Format, d.mat.Cols(), d.mat.Rows(), width, height),
		}
	}
	return nil
}

// imreadColor has OpenCV's flags for 8-bit BGR, by what the sides are divided by.
var imreadColor = map[int]gocv.IMReadFlag{
	1: gocv.IMReadColor,
	2: gocv.IMReadReducedColor2,
	4: gocv.IMReadReducedColor4,
	8: gocv.IMReadReducedColor8,
}

// reduction is what the sides of a picture are divided by while it is decoded: 1, 2, 4 or 8.
func (d *Decoder) reduction(h picture.Header, budget int64) int {
	scale := 1
	if h.Format != picture.JPEG {
		return scale
	}
	enough := d.Enough
	if enough == nil {
		enough = keepsSide
	}
	for scale < 8 && enough(sizeAt(h, 2*scale)) {
		scale *= 2
	}
	for scale < 8 && h.CostAt(scale) > budget {
		scale *= 2
	}
	return scale
}

// keepsSide is what is enough where nobody says.
func keepsSide(size image.Point) bool { return min(size.X, size.Y) >= reducedSide }

// sizeAt is the size of an upright picture whose sides are divided by scale, rounded up as decoders do.
func sizeAt(h picture.Header, scale int) image.Point {
	size := image.Pt((h.Width+scale-1)/scale, (h.Height+scale-1)/scale)
	if h.Turned() {
		size.X, size.Y = size.Y, size.X
	}
	return size
}

// upright applies the EXIF orientation to d.mat.
func (d *Decoder) upright(h picture.Header) (gocv.Mat, error) {
	const (
		bothAxes   = -1
		vertical   = 0
		horizontal = 1
	)
	upright := &d.mat
	if h.Turned() {
		upright = &d.turned
	}
	var err error
	switch h.Orientation {
	case 2:
		err = gocv.Flip(d.mat, upright, horizontal)
	case 3:
		err = gocv.Flip(d.mat, upright, bothAxes)
	case 4:
		err = gocv.Flip(d.mat, upright, vertical)
	case 5:
		err = gocv.Transpose(d.mat, upright)
	case 6:
		err = gocv.Rotate(d.mat, upright, gocv.Rotate90Clockwise)
	case 7:
		if err = gocv.Transpose(d.mat, upright); err == nil {
			err = gocv.Flip(*upright, upright, bothAxes)
		}
	case 8:
		err = gocv.Rotate(d.mat, upright, gocv.Rotate90CounterClockwise)
	}
	if err != nil {
		return gocv.Mat{}, &picture.RefusedError{
			Reason: fmt.Sprintf("the %s can't be turned upright: %v", h.Format, err),
		}
	}
	return *upright, nil
}

// grow makes room for a file of size bytes, and for no more: append would take a quarter more than it needs.
func (d *Decoder) grow(size int) {
	if cap(d.file) < size {
		d.file = make([]byte, 0, size)
	}
}

// dropLargeFile gives the memory of a large file back to the system at once: the next one is read before Go's garbage
// collector would find the time.
func (d *Decoder) dropLargeFile() {
	if cap(d.file) > keptBytes {
		d.file = nil
		debug.FreeOSMemory()
	}
}

// dropLargeMats frees a large last picture before the next file is read.
func (d *Decoder) dropLargeMats() {
	for _, mat := range []*gocv.Mat{&d.mat, &d.turned} {
		if mat.Total()*3 > keptBytes {
			mat.Close() // always nil
			*mat = gocv.NewMat()
		}
	}
}
