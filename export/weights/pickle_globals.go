package weights

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A global is a Python class, function or constant that a weights file may name.
type global struct {
	name  string // module and name
	dtype *dtype // of the elements of a storage class, or the torch.dtype that it is

	// call stands in for calling it; nil: it can't be called.
	call func(m *machine, args tuple) (any, error)

	// inert marks a class whose objects are dropped.
	inert bool
}

// globals is the list of all that a weights file may name.
var globals = index([]global{
	{name: "collections.OrderedDict", call: orderedDict},
	{name: "torch._utils._rebuild_tensor", call: rebuildTensor},
	{name: "torch._utils._rebuild_tensor_v2", call: rebuildTensor},
	{name: "torch._utils._rebuild_tensor_v3", call: rebuildTensorV3},
	{name: "torch._utils._rebuild_parameter", call: rebuildParameter},

	{name: "torch.FloatStorage", dtype: float32Type},
	{name: "torch.DoubleStorage", dtype: float64Type},
	{name: "torch.HalfStorage", dtype: float16Type},
	{name: "torch.BFloat16Storage", dtype: bfloat16Type},
	{name: "torch.LongStorage", dtype: int64Type},
	{name: "torch.IntStorage", dtype: int32Type},
	{name: "torch.ShortStorage", dtype: int16Type},
	{name: "torch.CharStorage", dtype: int8Type},
	{name: "torch.ByteStorage", dtype: uint8Type},
	{name: "torch.BoolStorage", dtype: boolType},
	{name: "torch.storage.UntypedStorage", dtype: uint8Type}, // its size is in bytes

	{name: "torch.float32", dtype: float32Type},
	{name: "torch.float64", dtype: float64Type},
	{name: "torch.float16", dtype: float16Type},
	{name: "torch.bfloat16", dtype: bfloat16Type},
	{name: "torch.int64", dtype: int64Type},
	{name: "torch.int32", dtype: int32Type},
	{name: "torch.int16", dtype: int16Type},
	{name: "torch.int8", dtype: int8Type},
	{name: "torch.uint8", dtype: uint8Type},
	{name: "torch.bool", dtype: boolType},

	// What training scripts keep beside the weights: torchvision's stores its options and a learning-rate schedule.
	{name: "argparse.Namespace", call: drop, inert: true},
	{name: "collections.Counter", call: drop, inert: true},
	{name: "torch.Size", call: drop, inert: true},
	{name: "torch.device", call: drop, inert: true},
})

func index(list []global) map[string]*global {
	m := make(map[string]*global, len(list))
	for i := range list {
		m[list[i].name] = &list[i]
	}
	return m
}

// refuse is the error for a name that isn't in globals.
func refuse(module, name string) error {
	full := module + "." + name
	for _, prefix := range []string{"torch.nn.modules.", "torch.nn.parallel.", "torchvision.models."} {
		if strings.HasPrefix(module+".", prefix) {
			return fmt.Errorf("it holds a whole module (%s), not a state dict: save model.state_dict()", full)
		}
	}
	return fmt.Errorf("global %q is not allowed in a weights file", full)
}

func drop(*machine, tuple) (any, error) { return dropped{}, nil }

// orderedDict makes an OrderedDict: empty from Python 3, which stores the items after it; from a list of [key, value] lists
// from Python 2.
func orderedDict(m *machine, args tuple) (any, error) {
	if len(args) == 0 {
		return &dict{}, nil
	}
	items, ok := args[0].(*list)
	if !ok || len(args) != 1 {
		return nil, fmt.Errorf("%d arguments, the first %s, want none or one list", len(args), describe(args[0]))
	}
	if err := m.charge(len(items.items)); err != nil {
		return nil, err
	}
	d := &dict{items: make([]pair, 0, len(items.items))}
	for _, item := range items.items {
		kv, ok := item.(*list)
		if !ok || len(kv.items) != 2 {
			return nil, fmt.Errorf("an item is %s, want a list of key and value", describe(item))
		}
		d.items = append(d.items, pair{kv.items[0], kv.items[1]})
	}
	return d, nil
}

// rebuildTensor stands in for
//
//	_rebuild_tensor(storage, storage_offset, size, stride)
//	_rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, backward_hooks, metadata=None)
//
// of torch/_utils.py.
func rebuildTensor(_ *machine, args tuple) (any, error) {
	if len(args) < 4 || len(args) > 7 {
		return nil, fmt.Errorf("%d arguments, want 4 to 7", len(args))
	}
	if len(args) == 7 {
		if err := checkMetadata(args[6]); err != nil {
			return nil, err
		}
	}
	return newLayout(args, nil)
}

// rebuildTensorV3 stands in for
//
//	_rebuild_tensor_v3(storage, storage_offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None)
//
// of torch/_utils.py, for element types that have no storage class of their own: the storage is untyped bytes.
func rebuildTensorV3(_ *machine, args tuple) (any, error) {
	if len(args) != 7 && len(args) != 8 {
		return nil, fmt.Errorf("%d arguments, want 7 or 8", len(args))
	}
	if len(args) == 8 {
		if err := checkMetadata(args[7]); err != nil {
			return nil, err
		}
	}
	g, ok := args[6].(*global)
	if !ok || g.dtype == nil {
		return nil, fmt.Errorf("the element type is %s, want one like torch.float32", describe(args[6]))
	}
	return newLayout(args, g.dtype)
}

// rebuildParameter stands in for _rebuild_parameter(data, requires_grad, backward_hooks) of torch/_utils.py: a parameter is
// its tensor.
func rebuildParameter(_ *machine, args tuple) (any, error) {
	if len(args) != 3 {
		return nil, fmt.Errorf("%d arguments, want 3", len(args))
	}
	l, ok := args[0].(*layout)
	if !ok {
		return nil, fmt.Errorf("the parameter is %s, want a tensor", describe(args[0]))
	}
	return l, nil
}

// checkMetadata refuses a tensor whose stored values are not its values: PyTorch marks a lazy negation or conjugation here.
func checkMetadata(v any) error {
	if d, ok := v.(*dict); v == nil || ok && len(d.items) == 0 {
		return nil
	}
	return errors.New("the tensor is a lazily negated or conjugated view: save a clone of it")
}

// newLayout makes a tensor of the arguments storage, storage_offset, size and stride. With a nil element type, the storage's
// is taken. Whether the tensor fits its storage is checked later, where its name is known.
func newLayout(args tuple, elem *dtype) (*layout, error) {
	store, ok := args[0].(typedStorage)
	if !ok {
		return nil, fmt.Errorf("the storage is %s", describe(args[0]))
	}
	offset, ok := args[1].(int64)
	if !ok || offset < 0 {
		return nil, fmt.Errorf("the storage offset is %s %v, want an int from 0", describe(args[1]), args[1])
	}
	shape, err := sizes("size", args[2])
	if err != nil {
		return nil, err
	}
	stride, err := sizes("stride", args[3])
	if err != nil {
		return nil, err
	}
	if len(shape) != len(stride) {
		return nil, fmt.Errorf("size has %d dimensions, stride has %d", len(shape), len(stride))
	}
	if elem == nil {
		elem = store.dtype
	}
	return &layout{storage: store.storage, dtype: elem, offset: offset, shape: shape, stride: stride}, nil
}

// sizes converts a tuple of up to maxDims ints from 0 to maxFile.
func sizes(what string, v any) ([]int, error) {
	t, ok := v.(tuple)
	if !ok {
		return nil, fmt.Errorf("%s is %s, want a tuple", what, describe(v))
	}
	if len(t) > maxDims {
		return nil, fmt.Errorf("%s has %d dimensions, want at most %d", what, len(t), maxDims)
	}
	out := make([]int, len(t))
	for i, x := range t {
		n, ok := x.(int64)
		if !ok || n < 0 || n > maxFile {
			return nil, fmt.Errorf("%s %d is not an int from 0 to %d", what, i, maxFile)
		}
		out[i] = int(n)
	}
	return slices.Clip(out), nil
}
