package tflite

// #include "tensorflow/lite/c/c_api.h"
import "C"

import (
	"errors"
	"unsafe"

	"github.com/mattn/go-tflite"
)

// alignment is that of a flatbuffer's numbers. A file's start is at a multiple of it, wherever it is mapped.
const alignment = 16

// point makes a model of bytes that never move or change. Those that don't lie as a file's would are copied.
func point(data []byte) (*tflite.Model, error) {
	first := unsafe.Pointer(unsafe.SliceData(data))
	if uintptr(first)%alignment != 0 {
		return load(data)
	}
	m := C.TfLiteModelCreate(first, C.size_t(len(data)))
	if m == nil {
		return nil, errors.New("not a TensorFlow Lite model: the library's verifier refused it")
	}
	// Model is a struct of one field, the *C.TfLiteModel (go-tflite v1.0.5), whose NewModel would copy the bytes.
	return (*tflite.Model)(unsafe.Pointer(&struct{ m *C.TfLiteModel }{m})), nil
}
