package tflite

/*
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "tensorflow/lite/c/c_api.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

// TensorFlow Lite's published C headers don't have XNNPACK's functions. What follows is declared as TensorFlow Lite 2.20 defines it
// (tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h, 56 bytes on a 64-bit machine). The options are returned by value: room is
// left behind the known fields, so that a library that knows more of them doesn't write past the end.
typedef struct {
	int32_t num_threads;
	uint32_t runtime_flags;
	uint32_t flags;
	void* weights_cache;
	bool handle_variable_ops;
	const char* weight_cache_file_path;
	int weight_cache_file_descriptor; // the delegate closes it
	void* weight_cache_provider;
	char rest[200];
} xnnpack_options;
enum { xnnpack_qs8 = 0x1, xnnpack_qu8 = 0x2, xnnpack_force_fp16 = 0x4 };

xnnpack_options TfLiteXNNPackDelegateOptionsDefault(void);
TfLiteDelegate* TfLiteXNNPackDelegateCreate(const xnnpack_options*);
void TfLiteXNNPackDelegateDelete(TfLiteDelegate*);

// xnnpack_create takes weights, a descriptor of a file of packed weights, or -1. The file's content is used, or, where build is set,
// written.
static TfLiteDelegate* xnnpack_create(int threads, bool half, int weights, bool build) {
	xnnpack_options o;
	memset(&o, 0, sizeof o);
	o = TfLiteXNNPackDelegateOptionsDefault();
	o.num_threads = threads;
	o.flags |= xnnpack_qs8 | xnnpack_qu8;
	if (half) o.flags |= xnnpack_force_fp16;
	if (weights >= 0) {
		o.weight_cache_file_descriptor = weights;
		// With this beginning of a path XNNPACK looks for nothing in the file before it writes.
		o.weight_cache_file_path = build ? ":memory" : "weight cache";
	}
	return TfLiteXNNPackDelegateCreate(&o);
}

// has_avx512_fp16 reports whether an x86 processor computes with 16 bits.
static bool has_avx512_fp16(void) {
#if defined(__x86_64__)
	unsigned a, b, c, d;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 23 & 1);
#else
	return false;
#endif
}
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// xnnpack is the XNNPACK delegate as go-tflite's delegates.Delegater. go-tflite's own package of that name links
// libraries that no build of TensorFlow Lite ships.
type xnnpack struct{ delegate *C.TfLiteDelegate }

// newXNNPACK creates the delegate with its int8 and uint8 kernels on; half computes float networks with 16 bits. weights may be nil.
// It must be deleted after the interpreter.
func newXNNPACK(threads int, half bool, weights *weightCache) (*xnnpack, error) {
	fd, build, err := weights.descriptor()
	if err != nil {
		return nil, err
	}
	d := C.xnnpack_create(C.int(threads), C.bool(half), C.int(fd), C.bool(build))
	if d == nil {
		return nil, fmt.Errorf("create the XNNPACK delegate with %d threads: the library gave none", threads)
	}
	return &xnnpack{d}, nil
}

// Ptr gives the TfLiteDelegate.
func (x *xnnpack) Ptr() unsafe.Pointer { return unsafe.Pointer(x.delegate) }

// Delete frees the delegate.
func (x *xnnpack) Delete() { C.TfLiteXNNPackDelegateDelete(x.delegate) }

// nativeHalf is whether the processor computes with 16 bits. Where it doesn't, XNNPACK computes with 32 and stores 16, if it runs at
// all, which is slower than not to.
var nativeHalf = hasHalf()

func hasHalf() bool {
	if runtime.GOARCH == "arm64" {
		return cpu.ARM64.HasASIMDHP
	}
	return cpu.X86.HasAVX512F && bool(C.has_avx512_fp16())
}

// checkHalf says why a graph can't be computed with 16 bits.
func checkHalf(graph []node, native bool) error {
	if !native {
		return errors.New("16-bit floats: this processor doesn't compute with them: use xnnpack")
	}
	for _, n := range graph {
		if (n.code == convCode || n.code == depthwiseCode) && n.real {
			return nil
		}
	}
	return errors.New("16-bit floats: want a network of floats, this one has no convolution in floats: use xnnpack")
}
