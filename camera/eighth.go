package camera

// #cgo CXXFLAGS: -O3
// #include "eighth.h"
import "C"

import (
	"unsafe"

	"gocv.io/x/gocv"

	"sightd/camera/picture"
)

// eighth decodes a JPEG at an eighth of its size to mat, in half of libjpeg's time. It says whether it did: it does only what
// cameras write, without a fault, and leaves the rest to libjpeg. The file need not be stripped: it passes over what Strip takes out.
func eighth(file []byte, h picture.Header, mat *gocv.Mat) bool {
	return C.eighth(unsafe.Pointer(&file[0]), C.size_t(len(file)), C.int(h.Width), C.int(h.Height), unsafe.Pointer(mat.Ptr())) != 0
}
