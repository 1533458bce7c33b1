package tflite

/*
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "tensorflow/lite/c/c_api.h"

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

// library_path gives the file that TensorFlow Lite was loaded from, or NULL. It asks for the address of a function whose address
// nothing else here takes: the linker may give the program an entry of its own for one that is taken.
static const char* library_path(void) {
	Dl_info found;
	void* function = dlsym(RTLD_DEFAULT, "TfLiteSchemaVersion");
	if (!function || !dladdr(function, &found)) return NULL;
	return found.dli_fname;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/mattn/go-tflite"
)

func init() { C.log_warnings_only() }

// Version gives the version of the TensorFlow Lite library, such as "2.20.0".
func Version() string { return C.GoString(C.TfLiteVersion()) }

// Library gives the path of the file that TensorFlow Lite was loaded from.
func Library() (string, error) {
	path := C.library_path()
	if path == nil {
		return "", errors.New("find TensorFlow Lite: the loader doesn't tell which file it is in")
	}
	absolute, err := filepath.Abs(C.GoString(path))
	if err != nil {
		return "", fmt.Errorf("find TensorFlow Lite: %w", err)
	}
	return absolute, nil
}

// Dir gives the folder that TensorFlow Lite was loaded from.
func Dir() (string, error) {
	path, err := Library()
	return filepath.Dir(path), err
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
