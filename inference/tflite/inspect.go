package tflite

/*
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "tensorflow/lite/c/c_api.h"
#include "tensorflow/lite/c/c_api_experimental.h"

// The inspector is a delegate that takes nothing: its Prepare is called with the graph as the delegates before it left it, and writes
// down the operators. TensorFlow Lite's published C headers lack the opaque delegate's functions: what follows is declared as
// TensorFlow Lite 2.20 defines it (tensorflow/lite/c/c_api_opaque.h, common.h).
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
const char* TfLiteOperatorGetCustomName(const void* op);
const void* TfLiteOpaqueNodeGetInput(const void* context, const void* node, int index);
void* TfLiteOpaqueNodeGetOutput(void* context, const void* node, int index);
int TfLiteOpaqueNodeNumberOfInputs(const void* node);
int TfLiteOpaqueNodeNumberOfOutputs(const void* node);
TfLiteType TfLiteOpaqueTensorType(const void* tensor);
int TfLiteOpaqueTensorGetAllocationType(const void* tensor);
enum { allocation_mapped = 1 }; // kTfLiteMmapRo: a constant of the model's file

enum { max_inspected = 1024 };
typedef struct {
	int code;
	bool constant;   // its first input is a constant
	bool real;       // its first output is FLOAT32
	char custom[47]; // the name of a custom operator or of the delegate
} inspected_node;
typedef struct {
	int num_nodes; // of the execution plan; may be larger than max_inspected
	inspected_node nodes[max_inspected];
} inspection;

static TfLiteStatus inspect(void* context, void* delegate, void* data) {
	inspection* found = data;
	int_array* plan = NULL;
	if (TfLiteOpaqueContextGetExecutionPlan(context, &plan) != kTfLiteOk) return kTfLiteError;
	found->num_nodes = plan->size;
	for (int i = 0; i < plan->size && i < max_inspected; i++) {
		void *node = NULL, *op = NULL;
		if (TfLiteOpaqueContextGetNodeAndRegistration(context, plan->data[i], &node, &op) != kTfLiteOk) return kTfLiteError;
		inspected_node* n = &found->nodes[i];
		n->code = TfLiteOperatorGetBuiltInCode(op);
		const char* custom = TfLiteOperatorGetCustomName(op);
		strncpy(n->custom, custom ? custom : "", sizeof n->custom - 1);
		const void* in = TfLiteOpaqueNodeNumberOfInputs(node) > 0 ? TfLiteOpaqueNodeGetInput(context, node, 0) : NULL;
		const void* out = TfLiteOpaqueNodeNumberOfOutputs(node) > 0 ? TfLiteOpaqueNodeGetOutput(context, node, 0) : NULL;
		n->constant = in && TfLiteOpaqueTensorGetAllocationType(in) == allocation_mapped;
		n->real = out && TfLiteOpaqueTensorType(out) == kTfLiteFloat32;
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

static TfLiteStatus modify_graph(void* interpreter, void* delegate) {
	return TfLiteInterpreterModifyGraphWithDelegate(interpreter, delegate);
}
*/
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/mattn/go-tflite"
	"github.com/mattn/go-tflite/delegates"
)

// modifyGraph gives the graph to a delegate, which must be deleted after the interpreter. go-tflite knows delegates only as options of
// an interpreter that isn't made yet, when nothing is known of its graph.
func modifyGraph(interpreter *tflite.Interpreter, d delegates.Delegater) tflite.Status {
	// Interpreter is a struct of one field, the *C.TfLiteInterpreter (go-tflite v1.0.5).
	return tflite.Status(C.modify_graph(*(*unsafe.Pointer)(unsafe.Pointer(interpreter)), d.Ptr()))
}

// node is a node of the graph, as far as sightd looks at it.
type node struct {
	code     int    // of the schema's BuiltinOperator; delegateCode for what a delegate made
	custom   string // the name of a custom operator, or of the delegate
	constant bool   // its first input is a constant of the model's file
	real     bool   // its first output is of type FLOAT32
}

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

// graph gives the nodes that the inspector was shown, in order of execution, and how many there are: more than it lists where the
// graph is very large.
func (i *inspector) graph() (nodes []node, total int) {
	total = int(i.found.num_nodes)
	for k := range i.found.nodes[:min(total, C.max_inspected)] {
		n := &i.found.nodes[k]
		nodes = append(nodes, node{int(n.code), C.GoString(&n.custom[0]), bool(n.constant), bool(n.real)})
	}
	return nodes, total
}

// left names the operators that no delegate took, in order of execution, and counts the nodes that delegates made.
func left(nodes []node) (names []string, numDelegated int) {
	for _, n := range nodes {
		if n.code == delegateCode {
			numDelegated++
			continue
		}
		names = append(names, n.name())
	}
	return names, numDelegated
}
