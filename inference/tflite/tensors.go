package tflite

import (
	"fmt"
	"unsafe"

	"github.com/mattn/go-tflite"

	"sightd/inference"
)

// readTensors fills spec, input and outputs, and refuses a model that isn't an image classifier.
func (c *Classifier) readTensors() error {
	if n := c.interpreter.GetInputTensorCount(); n != 1 {
		return fmt.Errorf("read inputs: want 1 input, the model has %d", n)
	}
	tensors := []*tflite.Tensor{c.interpreter.GetInputTensor(0)}
	for i := range c.interpreter.GetOutputTensorCount() {
		tensors = append(tensors, c.interpreter.GetOutputTensor(i))
	}
	var specs []inference.TensorSpec
	for i, t := range tensors {
		if t == nil {
			return fmt.Errorf("read tensor %d of input and outputs: the library gave none", i)
		}
		specs = append(specs, describe(t))
	}
	c.spec = inference.Spec{Input: specs[0], Outputs: specs[1:]}
	if err := c.spec.Check(); err != nil {
		return err
	}
	c.outputs = nil
	for i, t := range tensors {
		memory, err := memoryOf(t, &specs[i])
		if err != nil {
			return err
		}
		if i == 0 {
			c.input = memory
		} else {
			c.outputs = append(c.outputs, memory)
		}
	}
	return nil
}

// describe reads what a tensor is.
func describe(t *tflite.Tensor) inference.TensorSpec {
	q := t.QuantizationParams()
	return inference.TensorSpec{
		Name:      t.Name(),
		Type:      elementType(t.Type()),
		Shape:     t.Shape(),
		Scale:     float32(q.Scale),
		ZeroPoint: q.ZeroPoint,
	}
}

// memoryOf gives the memory of a tensor, which belongs to the interpreter.
func memoryOf(t *tflite.Tensor, spec *inference.TensorSpec) ([]byte, error) {
	if t.Data() == nil || int(t.ByteSize()) != spec.ByteSize() {
		return nil, fmt.Errorf("read tensor %s: want %d bytes of memory for %s, have %d", spec.Name, spec.ByteSize(), spec, t.ByteSize())
	}
	return unsafe.Slice((*byte)(t.Data()), spec.ByteSize()), nil
}

func elementType(t tflite.TensorType) inference.Type {
	switch t {
	case tflite.Float32:
		return inference.Float32
	case tflite.UInt8:
		return inference.UInt8
	case tflite.Int8:
		return inference.Int8
	case tflite.Int32:
		return inference.Int32
	}
	return inference.UnknownType
}

// asFloats gives the memory of a FLOAT32 tensor as its values.
func asFloats(memory []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory)/4)
}
