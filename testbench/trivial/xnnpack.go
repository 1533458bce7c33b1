package main

/*
#cgo LDFLAGS: -ltensorflowlite_c
#include <stdint.h>
#include <string.h>
#include "tensorflow/lite/c/c_api.h"

// As tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h of TensorFlow Lite 2.20 has it, with room for what a later library knows.
typedef struct {
	int32_t num_threads;
	uint32_t runtime_flags;
	uint32_t flags;
	char rest[244];
} xnnpack_options;
enum { xnnpack_qs8 = 0x1, xnnpack_qu8 = 0x2 };

xnnpack_options TfLiteXNNPackDelegateOptionsDefault(void);
TfLiteDelegate* TfLiteXNNPackDelegateCreate(const xnnpack_options*);

static TfLiteDelegate* create_xnnpack(int threads) {
	xnnpack_options o;
	memset(&o, 0, sizeof o);
	o = TfLiteXNNPackDelegateOptionsDefault();
	o.num_threads = threads;
	o.flags |= xnnpack_qs8 | xnnpack_qu8;
	return TfLiteXNNPackDelegateCreate(&o);
}
*/
import "C"

import "unsafe"

// xnnpack is the delegate for go-tflite, whose own package for it links libraries that no build of TensorFlow Lite ships.
type xnnpack struct{ delegate *C.TfLiteDelegate }

func newXNNPACK(threads int) *xnnpack { return &xnnpack{C.create_xnnpack(C.int(threads))} }

// Ptr implements delegates.Delegater.
func (x *xnnpack) Ptr() unsafe.Pointer { return unsafe.Pointer(x.delegate) }

// Delete implements delegates.Delegater. The delegate is needed until the program ends.
func (x *xnnpack) Delete() {}
