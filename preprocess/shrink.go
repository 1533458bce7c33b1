package preprocess

// #cgo CXXFLAGS: -O3
// #include "shrink.h"
import "C"

import (
	"errors"
	"fmt"
	"image"
	"unsafe"

	"gocv.io/x/gocv"

	"sightd/inference"
)

// shrinker makes input tensors of pictures that have at least as many pixels as the part of the input that they come to. It averages by
// area, to within a step of the exact average, as OpenCV's INTER_AREA does.
type shrinker struct{ c *C.shrinker }

var errNoMemory = errors.New("there is no memory left")

func newShrinker(in Input) (*shrinker, error) {
	var flip C.uint8_t
	var table *C.float
	switch in.Type {
	case inference.Int8:
		flip = 0x80 // p-128 in two's complement
	case inference.Float32:
		values := in.table()
		table = (*C.float)(unsafe.Pointer(&values[0][0]))
	}
	s := &shrinker{C.shrinker_new(C.int(in.Width), C.int(in.Height), flip, table)}
	if s.c == nil {
		return nil, fmt.Errorf("shrink to %dx%d: %w", in.Width, in.Height, errNoMemory)
	}
	return s, nil
}

// close frees the shrinker's memory. It may be called more than once.
func (s *shrinker) close() {
	C.shrinker_free(s.c)
	s.c = nil
}

// shrinks says whether run takes a part of a picture of that size to one of the input of that size: no axis grows or shrinks by too much.
func shrinks(from, to image.Point) bool {
	most := image.Pt(to.X*(C.SHRINK_TAPS-2), to.Y*(C.SHRINK_TAPS-2))
	return from.X >= to.X && from.Y >= to.Y && from.X <= most.X && from.Y <= most.Y
}

// run writes a part of an 8-bit BGR picture to a part of the tensor, and grey around it.
func (s *shrinker) run(tensor []byte, picture gocv.Mat, from, to image.Rectangle) error {
	done := C.shrinker_run(s.c, unsafe.Pointer(picture.Ptr()), part(from), part(to), unsafe.Pointer(&tensor[0]))
	if done == 0 {
		return errNoMemory
	}
	return nil
}

func part(r image.Rectangle) C.shrink_part {
	return C.shrink_part{x: C.int(r.Min.X), y: C.int(r.Min.Y), width: C.int(r.Dx()), height: C.int(r.Dy())}
}
