package tflite

/*
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tensorflow/lite/c/c_api.h"

#cgo LDFLAGS: -ldl

// What an external delegate's library must have (tensorflow/lite/delegates/external/external_delegate_interface.h). TensorFlow Lite's
// own TfLiteExternalDelegateCreate gives the library no way to report an error, and so says nothing when there is no delegate.
typedef TfLiteDelegate* (*create_function)(char** keys, char** values, size_t num_options, void (*report)(const char*));
typedef void (*destroy_function)(TfLiteDelegate*);

typedef struct {
	void* library;
	create_function create;
	destroy_function destroy;
	TfLiteDelegate* delegate;
	size_t num_options;
	char **keys, **values; // the delegate may keep pointers to them
	char wrong[1024];      // what went wrong, or what the library reported
} external_delegate;

// report is handed to the library. It can't tell which delegate a report is about, but that the thread is in a call that creates one;
// what other threads report is dropped.
static __thread external_delegate* creating;

static void report(const char* text) {
	if (!creating) return;
	size_t used = strlen(creating->wrong);
	snprintf(creating->wrong + used, sizeof creating->wrong - used, "%s%s", used ? "; " : "", text ? text : "");
}

// symbol looks a function up, or writes down what is wrong.
static void* symbol(external_delegate* e, const char* name) {
	void* found = dlsym(e->library, name);
	if (!found) snprintf(e->wrong, sizeof e->wrong, "it lacks the function %s", name);
	return found;
}

// external_open loads the library and looks its functions up. A library that was loaded stays in memory: it may have left threads
// behind, and handlers that run when the process ends.
static bool external_open(external_delegate* e, const char* path) {
	e->library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!e->library) {
		snprintf(e->wrong, sizeof e->wrong, "%s", dlerror());
		return false;
	}
	e->create = (create_function)symbol(e, "tflite_plugin_create_delegate");
	if (!e->create) return false;
	e->destroy = (destroy_function)symbol(e, "tflite_plugin_destroy_delegate");
	return e->destroy != NULL;
}

static bool external_create(external_delegate* e) {
	creating = e;
	e->delegate = e->create(e->keys, e->values, e->num_options, report);
	creating = NULL;
	return e->delegate != NULL;
}

static void external_free(external_delegate* e) {
	if (e->delegate) e->destroy(e->delegate);
	if (e->library) dlclose(e->library);
	for (size_t i = 0; i < e->num_options; i++) {
		free(e->keys[i]);
		free(e->values[i]);
	}
	free(e->keys);
	free(e->values);
	free(e);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"sightd/inference"
)

// external is a delegate out of a shared library, as go-tflite's delegates.Delegater. go-tflite's own package of that name links a
// library that no build of TensorFlow Lite ships.
type external struct{ c *C.external_delegate }

// newExternal loads the library that the delegate names and has it create a delegate, which must be deleted after the interpreter.
// The library runs code of its own as soon as it is loaded: it can crash the process or never return.
func newExternal(delegate inference.Delegate) (*external, error) {
	path, options, err := delegate.Library()
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open delegate: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open delegate %s: want a shared library, have %s", path, info.Mode())
	}
	e, err := openExternal(path)
	if err != nil {
		return nil, fmt.Errorf("open delegate %s: %w", path, err)
	}
	if err := e.create(options); err != nil {
		e.Delete()
		return nil, fmt.Errorf("create delegate %s: %w", path, err)
	}
	return e, nil
}

// openExternal loads the library and checks that it is an external delegate's.
func openExternal(path string) (*external, error) {
	c := (*C.external_delegate)(C.calloc(1, C.sizeof_external_delegate))
	if c == nil {
		return nil, errors.New("out of memory")
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	e := &external{c}
	if !C.external_open(c, name) {
		err := errors.New(strings.TrimPrefix(e.wrong(), path+": "))
		e.Delete()
		return nil, err
	}
	return e, nil
}

// create has the library create the delegate.
func (e *external) create(options []inference.ExternalOption) error {
	if len(options) > 0 {
		e.c.keys = (**C.char)(C.calloc(C.size_t(len(options)), C.size_t(unsafe.Sizeof(uintptr(0)))))
		e.c.values = (**C.char)(C.calloc(C.size_t(len(options)), C.size_t(unsafe.Sizeof(uintptr(0)))))
		if e.c.keys == nil || e.c.values == nil {
			return errors.New("out of memory")
		}
		keys, values := unsafe.Slice(e.c.keys, len(options)), unsafe.Slice(e.c.values, len(options))
		for i, o := range options {
			keys[i], values[i] = C.CString(o.Key), C.CString(o.Value)
		}
		e.c.num_options = C.size_t(len(options))
	}
	if C.external_create(e.c) {
		return nil
	}
	if why := e.wrong(); why != "" {
		return fmt.Errorf("its library gives none: %s", why)
	}
	return errors.New("its library gives none and no reason")
}

// wrong gives what went wrong, on one line.
func (e *external) wrong() string {
	return strings.Join(strings.Fields(C.GoString(&e.c.wrong[0])), " ")
}

// Ptr gives the TfLiteDelegate.
func (e *external) Ptr() unsafe.Pointer { return unsafe.Pointer(e.c.delegate) }

// Delete frees the delegate and its options.
func (e *external) Delete() { C.external_free(e.c) }
