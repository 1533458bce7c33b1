package litert

/*
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "litert.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"unsafe"
)

// The files that the GPU needs.
const (
	libraryFile     = "libLiteRt.so"
	acceleratorFile = "libLiteRtWebGpuAccelerator.so"
)

// Files names the shared libraries that Find looks for.
func Files() []string { return []string{libraryFile, acceleratorFile} }

// Find looks whether a folder has LiteRT and its accelerator for the GPU, and loads neither. The error says what is missing and what to do.
func Find(dir string) error {
	for _, name := range Files() {
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("find LiteRT: there is no %s in %s: install the package sightd-gpu, or make gpu in a checkout", name, dir)
		case err != nil:
			return fmt.Errorf("find LiteRT: %w", err)
		case !info.Mode().IsRegular():
			return fmt.Errorf("find LiteRT: %s in %s: want a file, have %s", name, dir, info.Mode())
		}
	}
	return nil
}

// libraries are those that were loaded, by folder: they stay, since threads that they and drivers start may outlive all use of them.
var libraries struct {
	sync.Mutex
	loaded map[string]*C.lrt
}

const maxMessage = 1024

// load loads LiteRT out of a folder, and its accelerator, which LiteRT itself would leave out without a word if it can't be loaded. dir
// must be absolute.
func load(dir string) (*C.lrt, error) {
	if err := Find(dir); err != nil {
		return nil, err
	}
	libraries.Lock()
	defer libraries.Unlock()
	if l := libraries.loaded[dir]; l != nil {
		return l, nil
	}
	message := (*C.char)(C.calloc(1, maxMessage))
	library := (*C.lrt)(C.calloc(1, C.sizeof_lrt))
	defer C.free(unsafe.Pointer(message))
	if message == nil || library == nil {
		C.free(unsafe.Pointer(library))
		return nil, errors.New("load LiteRT: out of memory")
	}
	path := C.CString(filepath.Join(dir, libraryFile))
	defer C.free(unsafe.Pointer(path))
	accelerator := C.CString(filepath.Join(dir, acceleratorFile))
	defer C.free(unsafe.Pointer(accelerator))
	if !C.lrt_load(path, library, message, maxMessage) || !C.lrt_probe(accelerator, message, maxMessage) {
		C.free(unsafe.Pointer(library))
		return nil, fmt.Errorf("load LiteRT: %s", C.GoString(message))
	}
	if libraries.loaded == nil {
		libraries.loaded = map[string]*C.lrt{}
	}
	libraries.loaded[dir] = library
	return library, nil
}

// statuses names what LiteRT's functions give.
var statuses = map[int]string{
	1: "invalid argument", 2: "out of memory", 3: "run-time failure", 4: "missing input", 5: "unsupported", 6: "not found", 7: "timeout",
	8: "wrong version", 9: "unknown", 10: "already exists", 100: "cancelled", 500: "can't read the file", 501: "invalid flatbuffer",
	502: "can't load a library", 503: "can't serialize", 504: "can't compile", 1000: "index out of bounds", 1001: "invalid type",
	1002: "invalid graph", 1003: "can't change the graph",
}

// The statuses that mean something to this package.
const (
	statusRuntimeFailure = 3
	statusCompilation    = 504
)

// statusText gives a status with its name.
func statusText(status int) string {
	if name, ok := statuses[status]; ok {
		return fmt.Sprintf("status %d, %s", status, name)
	}
	return fmt.Sprintf("status %d", status)
}

// failure makes an error of what a function of LiteRT gave, nil where that was success.
func failure(f C.lrt_failure) error {
	if f.function == nil {
		return nil
	}
	return fmt.Errorf("%s: %s", C.GoString(f.function), statusText(int(f.status)))
}
