package inference

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// Delegate names what runs the graph: one of the constants, or an external delegate, External followed by the path of its shared
// library and, behind a question mark, its options as in a URL: external:/usr/lib/libedgetpu.so.1?device=usb
type Delegate string

// The delegates that sightd knows by name.
const (
	Auto        Delegate = "auto"         // the best that can be had: who opens a model says what that is
	CPU         Delegate = "cpu"          // TensorFlow Lite's built-in kernels
	XNNPACK     Delegate = "xnnpack"      // the XNNPACK delegate
	XNNPACKFP16 Delegate = "xnnpack-fp16" // the XNNPACK delegate, which computes float networks with 16 bits
	GPU         Delegate = "gpu"          // LiteRT's accelerator for Vulkan

	External = "external:" // begins the name of an external delegate
)

// Delegates says what may be asked for, for messages.
const Delegates = "auto, cpu, xnnpack, xnnpack-fp16, gpu or external:/path.so"

// ExternalOption is an option of an external delegate, which alone knows what it means.
type ExternalOption struct{ Key, Value string }

// maxExternalOptions is how many options TensorFlow Lite hands on to an external delegate.
const maxExternalOptions = 256

// ParseDelegate checks the name of a delegate, as users write it. It looks at no file.
func ParseDelegate(text string) (Delegate, error) {
	d := Delegate(text)
	switch d {
	case Auto, CPU, XNNPACK, XNNPACKFP16, GPU:
		return d, nil
	}
	if !d.IsExternal() {
		return "", fmt.Errorf("want %s, have %q", Delegates, text)
	}
	if _, _, err := d.Library(); err != nil {
		return "", err
	}
	return d, nil
}

// IsExternal reports whether the delegate is a shared library of its own.
func (d Delegate) IsExternal() bool { return strings.HasPrefix(string(d), External) }

// HasDriver reports whether the delegate needs what isn't TensorFlow Lite's own, and may crash or hang: a GPU's driver, or a shared library.
func (d Delegate) HasDriver() bool { return d == GPU || d.IsExternal() }

// Library gives the path of an external delegate's shared library, and its options in the order in which they are written. A path
// that isn't absolute, an option without a name, and one that isn't escaped as in a URL are errors.
func (d Delegate) Library() (path string, options []ExternalOption, err error) {
	rest, external := strings.CutPrefix(string(d), External)
	if !external {
		return "", nil, fmt.Errorf("delegate %s: want a name such as external:/path.so", d)
	}
	path, query, _ := strings.Cut(rest, "?")
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return "", nil, fmt.Errorf("delegate %q: want external: and the absolute path of a shared library", string(d))
	}
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		key, keyErr := url.QueryUnescape(key)
		value, valueErr := url.QueryUnescape(value)
		if err := errors.Join(keyErr, valueErr); err != nil || key == "" || strings.ContainsRune(key+value, 0) {
			return "", nil, fmt.Errorf("delegate %q: want options such as ?device=usb&speed=max, have %q", string(d), part)
		}
		options = append(options, ExternalOption{key, value})
	}
	if len(options) > maxExternalOptions {
		return "", nil, fmt.Errorf("delegate %s: want at most %d options, have %d", path, maxExternalOptions, len(options))
	}
	return path, options, nil
}
