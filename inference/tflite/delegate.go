package tflite

/*
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tensorflow/lite/c/c_api.h"

// TensorFlow Lite's published C headers have neither XNNPACK's nor the opaque delegate's functions. What follows is
// declared as TensorFlow Lite 2.20 defines it (tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h, 56 bytes on a 64-bit
// machine). The options are returned by value: room is left behind the known fields, so that a library that knows more
// of them doesn't write past the end.
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

static TfLiteDelegate* xnnpack_create(int threads) {
	xnnpack_options o;
	memset(&o, 0, sizeof o);
	o = TfLiteXNNPackDelegateOptionsDefault();
	o.num_threads = threads;
	o.flags |= xnnpack_qs8 | xnnpack_qu8;
	return TfLiteXNNPackDelegateCreate(&o);
}

// The inspector is a delegate that takes nothing: its Prepare is called with the graph as the delegates before it left
// it, and writes down the operators (tensorflow/lite/c/c_api_opaque.h, builtin_ops.h).
typedef struct {
	void* data;
	TfLiteStatus (*Prepare)(void* context, void* delegate, void* data);
	TfLiteStatus (*CopyFromBufferHandle)(void*, void*, void*, int, void*);
	TfLiteStatus (*CopyToBufferHandle)(void*, void*, void*, int, void*);
	void (*FreeBufferHandle)(void*, void*, void*, int*);
	int64_t flags;
} opaque_delegate_builder;
typedef struct { int size; int data[]; } int_array;

void* TfLiteOpaqueDelegateCreate(const opaque_delegate_builder*);
void TfLiteOpaqueDelegateDelete(void*);
TfLiteStatus TfLiteOpaqueContextGetExecutionPlan(void* context, int_array** plan);
TfLiteStatus TfLiteOpaqueContextGetNodeAndRegistration(void* context, int index, void** node, void** op);
int TfLiteOperatorGetBuiltInCode(const void* op);

enum { max_inspected = 1024 };
typedef struct {
	int num_nodes; // of the execution plan; may be larger than max_inspected
	int codes[max_inspected];
} inspection;

static TfLiteStatus inspect(void* context, void* delegate, void* data) {
	inspection* found = data;
	int_array* plan = NULL;
	if (TfLiteOpaqueContextGetExecutionPlan(context, &plan) != kTfLiteOk) return kTfLiteError;
	found->num_nodes = plan->size;
	for (int i = 0; i < plan->size && i < max_inspected; i++) {
		void *node = NULL, *op = NULL;
		if (TfLiteOpaqueContextGetNodeAndRegistration(context, plan->data[i], &node, &op) != kTfLiteOk) return kTfLiteError;
		found->codes[i] = TfLiteOperatorGetBuiltInCode(op);
	}
	return kTfLiteOk;
}

static void* inspector_create(inspection* found) {
	opaque_delegate_builder b;
	memset(&b, 0, sizeof b);
	b.data = found;
	b.Prepare = inspect;
	return TfLiteOpaqueDelegateCreate(&b);
}

// TensorFlow Lite announces each delegate on stderr. The library has no C function to stop that; this is its
// tflite::logging_internal::MinimalLogger::SetMinimumLogSeverity(LogSeverity), where INFO is 1 and WARNING 2. A library
// without it just goes on talking.
int set_minimum_log_severity(int severity)
	__asm__("_ZN6tflite16logging_internal13MinimalLogger21SetMinimumLogSeverityENS_11LogSeverityE") __attribute__((weak));

static void log_warnings_only(void) {
	if (set_minimum_log_severity) set_minimum_log_severity(2);
}

// complaints collects what TensorFlow Lite reports while it builds and runs an interpreter, up to its size; the rest is
// dropped. It is written by the thread that is in a call of TensorFlow Lite and read after that call.
typedef struct {
	size_t used;
	char text[1024];
} complaints;

static void complain(void* user, const char* format, va_list args) {
	complaints* c = user;
	size_t room = sizeof c->text - c->used;
	if (room < 3) return;
	if (c->used > 0) {
		c->text[c->used++] = ';';
		c->text[c->used++] = ' ';
		room -= 2;
	}
	int n = vsnprintf(c->text + c->used, room, format, args);
	if (n > 0) c->used += (size_t)n < room ? (size_t)n : room - 1;
}

static void options_complain(void* options, complaints* c) {
	TfLiteInterpreterOptionsSetErrorReporter(options, complain, c);
}
*/
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/mattn/go-tflite"
)

func init() { C.log_warnings_only() }

// xnnpack is the XNNPACK delegate as go-tflite's delegates.Delegater. go-tflite's own package of that name links
// libraries that no build of TensorFlow Lite ships.
type xnnpack struct{ delegate *C.TfLiteDelegate }

// newXNNPACK creates the delegate with its int8 and uint8 kernels on. It must be deleted after the interpreter.
func newXNNPACK(threads int) (*xnnpack, error) {
	d := C.xnnpack_create(C.int(threads))
	if d == nil {
		return nil, fmt.Errorf("create the XNNPACK delegate with %d threads: the library gave none", threads)
	}
	return &xnnpack{d}, nil
}

// Ptr gives the TfLiteDelegate.
func (x *xnnpack) Ptr() unsafe.Pointer { return unsafe.Pointer(x.delegate) }

// Delete frees the delegate.
func (x *xnnpack) Delete() { C.TfLiteXNNPackDelegateDelete(x.delegate) }

// inspector is a delegate that takes no node and notes which operators it was shown.
type inspector struct {
	delegate unsafe.Pointer
	found    *C.inspection
}

// newInspector creates an inspector. It must be deleted after the interpreter.
func newInspector() (*inspector, error) {
	found := (*C.inspection)(C.calloc(1, C.sizeof_inspection))
	if found == nil {
		return nil, fmt.Errorf("allocate %d bytes for the graph inspector: out of memory", C.sizeof_inspection)
	}
	d := C.inspector_create(found)
	if d == nil {
		C.free(unsafe.Pointer(found))
		return nil, fmt.Errorf("create the graph inspector: the library gave none")
	}
	return &inspector{d, found}, nil
}

// Ptr gives the TfLiteOpaqueDelegate.
func (i *inspector) Ptr() unsafe.Pointer { return i.delegate }

// Delete frees the inspector and what it found.
func (i *inspector) Delete() {
	C.TfLiteOpaqueDelegateDelete(i.delegate)
	C.free(unsafe.Pointer(i.found))
}

// numNodes is the number of nodes that the inspector was shown.
func (i *inspector) numNodes() int { return int(i.found.num_nodes) }

// builtin lists the operators that no delegate took, in order of execution, and counts the nodes that delegates made.
func (i *inspector) builtin() (names []string, numDelegated int) {
	for _, code := range i.found.codes[:min(i.numNodes(), C.max_inspected)] {
		if code == delegateCode {
			numDelegated++
			continue
		}
		names = append(names, operatorName(int(code)))
	}
	return names, numDelegated
}

// delegateCode is the schema's BuiltinOperator DELEGATE.
const delegateCode = 51

// operatorName names the schema's BuiltinOperator for the operators that image classifiers are made of.
func operatorName(code int) string {
	switch code {
	case 0:
		return "ADD"
	case 1:
		return "AVERAGE_POOL_2D"
	case 2:
		return "CONCATENATION"
	case 3:
		return "CONV_2D"
	case 4:
		return "DEPTHWISE_CONV_2D"
	case 6:
		return "DEQUANTIZE"
	case 9:
		return "FULLY_CONNECTED"
	case 13:
		return "LOCAL_RESPONSE_NORMALIZATION"
	case 17:
		return "MAX_POOL_2D"
	case 18:
		return "MUL"
	case 22:
		return "RESHAPE"
	case 25:
		return "SOFTMAX"
	case 32:
		return "CUSTOM"
	case 34:
		return "PAD"
	case 40:
		return "MEAN"
	case 114:
		return "QUANTIZE"
	}
	return fmt.Sprintf("operator %d", code)
}

// errorLog is where TensorFlow Lite writes what it complains about. go-tflite's SetErrorReporter keeps its callback for
// ever, so the reporter is set through the C API, on the pointer that go-tflite's InterpreterOptions wraps.
type errorLog struct{ c *C.complaints }

// newErrorLog attaches an error log to the options. It must be deleted after the interpreter.
func newErrorLog(options *tflite.InterpreterOptions) (*errorLog, error) {
	c := (*C.complaints)(C.calloc(1, C.sizeof_complaints))
	if c == nil {
		return nil, fmt.Errorf("allocate %d bytes for the error log: out of memory", C.sizeof_complaints)
	}
	// InterpreterOptions is a struct of one field, the *C.TfLiteInterpreterOptions (go-tflite v1.0.5).
	C.options_complain(*(*unsafe.Pointer)(unsafe.Pointer(options)), c)
	return &errorLog{c}, nil
}

// take gives what was reported since the last call, on one line, and forgets it.
func (e *errorLog) take() string {
	text := C.GoStringN(&e.c.text[0], C.int(e.c.used))
	e.c.used = 0
	if text == "" {
		return "TensorFlow Lite gives no reason"
	}
	return strings.Join(strings.Fields(text), " ")
}

// Delete frees the log.
func (e *errorLog) Delete() { C.free(unsafe.Pointer(e.c)) }

// Version gives the version of the TensorFlow Lite library, such as "2.20.0".
func Version() string { return C.GoString(C.TfLiteVersion()) }
