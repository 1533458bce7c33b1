package litert

/*
#include <stdlib.h>
#include "litert.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"unsafe"

	"sightd/inference"
)

// MaxThreads bounds what Options.Threads may ask for.
const MaxThreads = 64

// gpuOptions are the accelerator's: it computes with floats of 32 bits. With those of 16 bits a GPU that has them is faster, but a network
// of large values overflows (local response normalization squares values of thousands), and scores are further from what the
// processor's kernels give. A GPU that lacks them takes the option all the same, and then says that runs succeed which compute nothing.
const gpuOptions = "precision = 2\n"

// OpenBytes opens a .tflite file that is in memory, which is copied, with the delegate gpu. dir is the folder of LiteRT's libraries, see
// Find. The GPU takes the whole network, or of one that it can't run in whole the largest part that it can; the rest then runs on the
// processor with XNNPACK. A network of which it takes no two operators is an error. The error names no file.
func OpenBytes(data []byte, opts inference.Options, dir string) (*Classifier, error) {
	if opts.Delegate != inference.GPU {
		return nil, fmt.Errorf("delegate: LiteRT runs gpu, have %q", string(opts.Delegate))
	}
	if opts.Threads < 0 || opts.Threads > MaxThreads {
		return nil, fmt.Errorf("threads: want 0 (chosen by sightd) to %d, have %d", MaxThreads, opts.Threads)
	}
	if len(data) < 8 || string(data[4:8]) != "TFL3" {
		return nil, errors.New("not a TensorFlow Lite model: want \"TFL3\" at byte 4")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find LiteRT: %w", err)
	}
	library, err := load(dir)
	if err != nil {
		return nil, err
	}
	c := &Classifier{threads: opts.Threads}
	if c.threads == 0 {
		c.threads = min(runtime.NumCPU(), 4)
	}
	c.session = (*C.lrt_session)(C.calloc(1, C.sizeof_lrt_session))
	if c.session == nil {
		return nil, errors.New("open LiteRT: out of memory")
	}
	c.session.library = library
	if err := c.build(data, dir); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// build makes all that is in the session.
func (c *Classifier) build(data []byte, dir string) error {
	path := C.CString(dir)
	defer C.free(unsafe.Pointer(path))
	var gpu C.bool
	if err := failure(C.lrt_create_environment(c.session, path, &gpu)); err != nil {
		return fmt.Errorf("set LiteRT up: %w", err)
	}
	if !gpu {
		return fmt.Errorf("set LiteRT up: it doesn't accept %s in %s as its accelerator: both must be of one version", acceleratorFile, dir)
	}
	var graph C.lrt_graph
	if err := failure(C.lrt_create_model(c.session, unsafe.Pointer(unsafe.SliceData(data)), C.size_t(len(data)), &graph)); err != nil {
		return fmt.Errorf("not a TensorFlow Lite model: LiteRT refuses it: %w", err)
	}
	tensors, err := c.describe(graph)
	if err != nil {
		return err
	}
	if err := c.spec.Check(); err != nil {
		return err
	}
	c.delegation = inference.Delegation{Delegate: inference.GPU, Total: int(graph.nodes), Taken: int(graph.nodes)}
	if err := c.bind(tensors); err != nil {
		return err
	}
	return c.compile()
}

// describe reads what the model takes and gives. tensors are the input and the outputs, in the order of the spec.
func (c *Classifier) describe(graph C.lrt_graph) (tensors []C.lrt_tensor, err error) {
	if graph.inputs != 1 {
		return nil, fmt.Errorf("read inputs: want 1 input, the model has %d", uint64(graph.inputs))
	}
	tensors = make([]C.lrt_tensor, 1+int(graph.outputs))
	for i := range tensors {
		t := &tensors[i]
		if err := failure(C.lrt_get_tensor(c.session, i > 0, C.size_t(max(0, i-1)), t)); err != nil {
			return nil, fmt.Errorf("read the model's tensors: %w", err)
		}
		spec := inference.TensorSpec{Name: C.GoString(t.name), Type: elementType(int(t._type.element))}
		for d := range min(int(t._type.rank&0x7f), C.lrt_max_rank) {
			spec.Shape = append(spec.Shape, int(t._type.dimensions[d]))
		}
		if t.quantization == 1 {
			spec.Scale, spec.ZeroPoint = float32(t.per_tensor.scale), int(t.per_tensor.zero_point)
		}
		if i == 0 {
			c.spec.Input = spec
		} else {
			c.spec.Outputs = append(c.spec.Outputs, spec)
		}
	}
	return tensors, nil
}

// elementType takes a number of TfLiteType.
func elementType(t int) inference.Type {
	switch t {
	case 1:
		return inference.Float32
	case 2:
		return inference.Int32
	case 3:
		return inference.UInt8
	case 9:
		return inference.Int8
	}
	return inference.UnknownType
}

// compile makes the network for the GPU alone, or else for GPU and processor. The tensors must have their memory.
func (c *Classifier) compile() error {
	f, err := c.compileFor(C.lrt_gpu, "")
	if err == nil {
		var alone C.bool
		if err := failure(C.lrt_is_gpu_alone(c.session, &alone)); err != nil {
			return fmt.Errorf("ask LiteRT what the GPU took: %w", err)
		}
		if alone {
			return nil
		}
	} else if f.status != statusCompilation {
		return err
	}
	// What the GPU took is what is missing where the processor runs its nodes one by one.
	if _, err := c.compileFor(C.lrt_gpu|C.lrt_cpu, "kernel_mode = \"builtin\"\n"); err != nil {
		return err
	}
	var steps C.size_t
	if err := failure(C.lrt_count(c.session, &steps)); err != nil {
		return fmt.Errorf("count what the GPU took: %w", err)
	}
	if int(steps) >= c.delegation.Total {
		return fmt.Errorf("compile the network for the GPU: it can run one of its %d operators at most", c.delegation.Total)
	}
	c.delegation.Taken = c.delegation.Total - int(steps) + 1
	_, err = c.compileFor(C.lrt_gpu|C.lrt_cpu, "")
	return err
}

// compileFor makes the network for a mask of accelerators. cpu are more options of the processor's kernels.
func (c *Classifier) compileFor(mask C.int, cpu string) (C.lrt_failure, error) {
	gpuText := C.CString(gpuOptions)
	defer C.free(unsafe.Pointer(gpuText))
	cpuText := C.CString(fmt.Sprintf("num_threads = %d\n%s", c.threads, cpu))
	defer C.free(unsafe.Pointer(cpuText))
	f := C.lrt_compile(c.session, mask, gpuText, cpuText)
	err := failure(f)
	switch {
	case err == nil:
		return f, nil
	case f.status == statusRuntimeFailure && !bool(C.lrt_has_gpu(c.session)):
		return f, fmt.Errorf("set the GPU up: %s", vulkan())
	}
	return f, fmt.Errorf("compile the network for the GPU: %w", err)
}

// bind makes the memory of all tensors.
func (c *Classifier) bind(tensors []C.lrt_tensor) error {
	if !C.lrt_make_room(c.session, C.size_t(len(tensors)-1)) {
		return errors.New("allocate the tensors: out of memory")
	}
	for i := range tensors {
		spec := c.spec.Input
		if i > 0 {
			spec = c.spec.Outputs[i-1]
		}
		var memory unsafe.Pointer
		if err := failure(C.lrt_bind(c.session, i > 0, &tensors[i], C.size_t(spec.ByteSize()), &memory)); err != nil {
			return fmt.Errorf("allocate %d bytes for tensor %s: %w", spec.ByteSize(), spec.Name, err)
		}
		bytes := unsafe.Slice((*byte)(memory), spec.ByteSize())
		if i == 0 {
			c.input = bytes
		} else {
			c.outputs = append(c.outputs, bytes)
		}
	}
	return nil
}

// vulkan says why no GPU can be had.
func vulkan() string {
	text := (*C.char)(C.calloc(1, maxMessage))
	if text == nil {
		return "out of memory"
	}
	defer C.free(unsafe.Pointer(text))
	C.lrt_vulkan(text, maxMessage)
	return C.GoString(text)
}
