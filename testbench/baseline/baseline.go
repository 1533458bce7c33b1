// Package baseline runs a .tflite file with TensorFlow Lite's C API in a loop of C, with the time of each Invoke taken in C: what a
// program without Go would measure. It is the yardstick for sightd's own way through go-tflite, and runs a network at other sizes
// for what a cascade of those would save; nothing else uses it: it doesn't check what the model's tensors are, and proves nothing.
package baseline

/*
#cgo LDFLAGS: -ltensorflowlite_c
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tensorflow/lite/c/c_api.h"

// As tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h of TensorFlow Lite 2.20 has it; the published C headers don't have
// that file. The options are returned by value: rest is room for what a later library knows besides.
typedef struct {
	int32_t num_threads;
	uint32_t runtime_flags;
	uint32_t flags;
	char rest[244];
} xnnpack_options;
enum { xnnpack_qs8 = 0x1, xnnpack_qu8 = 0x2 };

xnnpack_options TfLiteXNNPackDelegateOptionsDefault(void);
TfLiteDelegate* TfLiteXNNPackDelegateCreate(const xnnpack_options*);
void TfLiteXNNPackDelegateDelete(TfLiteDelegate*);

static TfLiteDelegate* create_xnnpack(int threads) {
	xnnpack_options o;
	memset(&o, 0, sizeof o);
	o = TfLiteXNNPackDelegateOptionsDefault();
	o.num_threads = threads;
	o.flags |= xnnpack_qs8 | xnnpack_qu8;
	return TfLiteXNNPackDelegateCreate(&o);
}

// run invokes n times and writes the nanoseconds of each to times. It ends at the first status that isn't OK.
static TfLiteStatus run(TfLiteInterpreter* interpreter, int n, int64_t* times) {
	for (int i = 0; i < n; i++) {
		struct timespec a, b;
		clock_gettime(CLOCK_MONOTONIC, &a);
		TfLiteStatus status = TfLiteInterpreterInvoke(interpreter);
		clock_gettime(CLOCK_MONOTONIC, &b);
		if (status != kTfLiteOk) return status;
		times[i] = (int64_t)(b.tv_sec - a.tv_sec) * 1000000000 + (b.tv_nsec - a.tv_nsec);
	}
	return kTfLiteOk;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"time"
	"unsafe"
)

// Model is an opened model. It must be closed. It is used by one goroutine at a time.
type Model struct {
	file        unsafe.Pointer // the model's bytes, in C: the interpreter reads them as long as it lives
	model       *C.TfLiteModel
	delegate    *C.TfLiteDelegate // nil: the built-in kernels run it
	interpreter *C.TfLiteInterpreter
}

// Open opens the bytes of a .tflite file, which are copied, with the XNNPACK delegate or on the built-in kernels. threads is 1 or more.
func Open(file []byte, threads int, xnnpack bool) (*Model, error) {
	if len(file) == 0 || threads < 1 || threads > math.MaxInt16 {
		return nil, fmt.Errorf("open model: want a file and 1 to %d threads, have %d bytes and %d threads", math.MaxInt16, len(file), threads)
	}
	m := &Model{file: C.CBytes(file)}
	if err := m.open(len(file), threads, xnnpack); err != nil {
		m.Close()
		return nil, fmt.Errorf("open model: %w", err)
	}
	return m, nil
}

func (m *Model) open(size, threads int, xnnpack bool) error {
	if m.model = C.TfLiteModelCreate(m.file, C.size_t(size)); m.model == nil {
		return errors.New("the library refuses the file")
	}
	options := C.TfLiteInterpreterOptionsCreate()
	defer C.TfLiteInterpreterOptionsDelete(options)
	C.TfLiteInterpreterOptionsSetNumThreads(options, C.int32_t(threads))
	if xnnpack {
		if m.delegate = C.create_xnnpack(C.int(threads)); m.delegate == nil {
			return errors.New("the library gives no XNNPACK delegate")
		}
		C.TfLiteInterpreterOptionsAddDelegate(options, m.delegate)
	}
	if m.interpreter = C.TfLiteInterpreterCreate(m.model, options); m.interpreter == nil {
		return errors.New("the library gives no interpreter")
	}
	if status := C.TfLiteInterpreterAllocateTensors(m.interpreter); status != C.kTfLiteOk {
		return fmt.Errorf("allocate tensors: status %d", int(status))
	}
	return nil
}

// Resize gives input 0 another height and width, and the network with it. What Input gave before isn't valid any more.
func (m *Model) Resize(size int) error {
	if size < 1 || size > math.MaxInt16 {
		return fmt.Errorf("resize the input: want 1 to %d pixels a side, have %d", math.MaxInt16, size)
	}
	dims := [4]C.int{1, C.int(size), C.int(size), 3}
	if status := C.TfLiteInterpreterResizeInputTensor(m.interpreter, 0, &dims[0], 4); status != C.kTfLiteOk {
		return fmt.Errorf("resize the input to %dx%d: status %d", size, size, int(status))
	}
	if status := C.TfLiteInterpreterAllocateTensors(m.interpreter); status != C.kTfLiteOk {
		return fmt.Errorf("allocate tensors for an input of %dx%d: status %d", size, size, int(status))
	}
	return nil
}

// Input is the memory of input 0. It is memory of C, and not valid any more after Close.
func (m *Model) Input() []byte {
	t := C.TfLiteInterpreterGetInputTensor(m.interpreter, 0)
	return unsafe.Slice((*byte)(C.TfLiteTensorData(t)), int(C.TfLiteTensorByteSize(t)))
}

// Output copies output 0 to dst. It must be a tensor of len(dst) FLOAT32.
func (m *Model) Output(dst []float32) error {
	t := C.TfLiteInterpreterGetOutputTensor(m.interpreter, 0)
	if C.TfLiteTensorType(t) != C.kTfLiteFloat32 || int(C.TfLiteTensorByteSize(t)) != 4*len(dst) {
		return fmt.Errorf("read output 0: want %d FLOAT32, have %d bytes of type %d", len(dst), int(C.TfLiteTensorByteSize(t)), int(C.TfLiteTensorType(t)))
	}
	copy(dst, unsafe.Slice((*float32)(C.TfLiteTensorData(t)), len(dst)))
	return nil
}

// Run invokes the network len(times) times on what Input holds, and writes how long each took.
func (m *Model) Run(times []time.Duration) error {
	if len(times) == 0 {
		return nil
	}
	// A Duration is an int64 of nanoseconds.
	status := C.run(m.interpreter, C.int(len(times)), (*C.int64_t)(unsafe.Pointer(&times[0])))
	if status != C.kTfLiteOk {
		return fmt.Errorf("invoke: status %d", int(status))
	}
	return nil
}

// Close frees everything.
func (m *Model) Close() {
	if m.interpreter != nil {
		C.TfLiteInterpreterDelete(m.interpreter)
	}
	if m.delegate != nil {
		C.TfLiteXNNPackDelegateDelete(m.delegate)
	}
	if m.model != nil {
		C.TfLiteModelDelete(m.model)
	}
	C.free(m.file)
	*m = Model{}
}
