// Package litert runs a classifier on the GPU: with LiteRT's compiled models and its accelerator, which computes with Vulkan. Both are
// shared libraries that are loaded at run time; where they are absent, or no Vulkan driver is there, opening a model is an error that says
// so, and everything else of sightd works.
//
// A Classifier is used by one goroutine at a time; several may run side by side. Each has an environment of LiteRT, and with it a device of
// Vulkan, of its own. The libraries themselves stay loaded.
//
// LiteRT writes some lines to stderr while it sets a GPU up, whatever its options say: that there is no libOpenCL.so, and what its Vulkan
// part warns of.
package litert

// #include "litert.h"
import "C"

import (
	"errors"
	"fmt"

	"sightd/inference"
)

// Classifier is an opened model, an inference.Classifier. It must be closed.
type Classifier struct {
	session    *C.lrt_session // nil when closed
	spec       inference.Spec
	delegation inference.Delegation
	threads    int

	input   []byte   // the input tensor's memory, in C
	outputs [][]byte // the output tensors' memory, in C
}

var _ inference.Classifier = (*Classifier)(nil)

// Spec describes the model's tensors.
func (c *Classifier) Spec() inference.Spec { return c.spec }

// Delegation says what runs the graph. It names no operators that the GPU left: LiteRT doesn't tell which they are.
func (c *Classifier) Delegation() inference.Delegation { return c.delegation }

// Threads is the number of threads for what the GPU leaves to the processor.
func (c *Classifier) Threads() int { return c.threads }

// Input is the memory of the input tensor, Spec().Input.ByteSize() bytes in NHWC order, to be filled before Invoke. It is memory of C: it
// must not be used after Close.
func (c *Classifier) Input() []byte { return c.input }

// Invoke runs the network on what Input holds, and returns when the outputs are there. It allocates nothing on the Go heap.
func (c *Classifier) Invoke() error {
	if c.session == nil {
		return errors.New("invoke: the classifier is closed")
	}
	if status := C.lrt_run(c.session); status != 0 {
		return fmt.Errorf("invoke: %s", statusText(int(status)))
	}
	return nil
}

// Output writes output i of the last Invoke to dst as real values: (q - zero point) * scale where it is quantized. dst must have exactly
// that output's number of elements. It allocates nothing, and refuses values that are no numbers.
func (c *Classifier) Output(i int, dst []float32) error { return c.spec.ReadOutput(i, c.outputs, dst) }

// Close frees everything but the libraries. It may be called more than once.
func (c *Classifier) Close() error {
	if c.session != nil {
		C.lrt_close(c.session)
	}
	c.session, c.input, c.outputs = nil, nil, nil
	return nil
}
