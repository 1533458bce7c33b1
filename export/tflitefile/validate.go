package tflitefile

import (
	"fmt"
	"math"
	"slices"
)

// maxConstantBytes bounds all constants of a model that is written. GoogLeNet has 27 MB in float.
const maxConstantBytes = 512 << 20

// Validate checks what TensorFlow Lite, or its XNNPACK delegate, demands of a file but tells too late, in the wrong
// words, or not at all: that indices are in range, names unique, shapes and types of each operator's tensors fit its
// options, constants have the bytes that their shape asks for, tensors are computed before they are used, and that the
// quantization rules hold. Those are TensorFlow's 8-bit specification: weights symmetric within [-127,127], biases
// INT32 in steps of input scale times weight scale, one scale and zero point before and after operators that move
// values only, 1/256 and -128 for the result of an INT8 SOFTMAX. Operators without a type of Options here, other than
// those that need none, are refused. The error names the tensor or the operator.
//
// Per-channel numbers are allowed for the weights and biases of CONV_2D, FULLY_CONNECTED and DEPTHWISE_CONV_2D alone.
func (m *Model) Validate() error {
	for _, check := range []func() error{
		m.checkTensors, m.checkGraph, m.checkOperators, m.checkNames, m.checkMetadata,
	} {
		if err := check(); err != nil {
			return fmt.Errorf("validate model: %w", err)
		}
	}
	return nil
}

func (m *Model) checkTensors() error {
	seen := make(map[string]bool)
	total := 0
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if t.Name == "" {
			return fmt.Errorf("tensor %d: want a name, have none", i)
		}
		if seen[t.Name] {
			return fmt.Errorf("tensor %d: name %q: want one that no other tensor has", i, t.Name)
		}
		seen[t.Name] = true
		if err := t.check(); err != nil {
			return fmt.Errorf("tensor %d %q: %w", i, t.Name, err)
		}
		if total += len(t.Data); total > maxConstantBytes {
			return fmt.Errorf("tensor %d %q: %d bytes of constants up to here: want at most %d", i, t.Name, total,
				maxConstantBytes)
		}
	}
	return nil
}

// check tests what a tensor says of itself.
func (t *Tensor) check() error {
	switch t.Type {
	case Float32, Float16, Int32, UInt8, Int64, Int16, Int8:
	default:
		return fmt.Errorf("type %s: want FLOAT32, FLOAT16, INT8, UINT8, INT16, INT32 or INT64", t.Type)
	}
	n := 1
	for _, d := range t.Shape {
		if d < 1 {
			return fmt.Errorf("shape %s: want dimensions of 1 and more", dims(t.Shape))
		}
		if d > math.MaxInt32/8/n {
			return fmt.Errorf("shape %s: want less than 2 GB", dims(t.Shape))
		}
		n *= d
	}
	if want := n * t.Type.Size(); t.Data != nil && len(t.Data) != want {
		return fmt.Errorf("data of %d bytes: want %d for %s %s", len(t.Data), want, t.Type, dims(t.Shape))
	}
	if t.Quant == nil {
		if t.Type == Int8 || t.Type == UInt8 {
			return fmt.Errorf("type %s: want a quantization, have none", t.Type)
		}
		return nil
	}
	return t.checkQuantization()
}

func (t *Tensor) checkQuantization() error {
	q := t.Quant
	var least, greatest int64
	switch t.Type {
	case Int8:
		least, greatest = math.MinInt8, math.MaxInt8
	case UInt8:
		least, greatest = 0, math.MaxUint8
	case Int16, Int32:
	default:
		return fmt.Errorf("type %s: want no quantization, have one", t.Type)
	}
	if len(q.Scale) == 0 || len(q.ZeroPoint) != len(q.Scale) {
		return fmt.Errorf("%d scales and %d zero points: want as many of both, and at least 1", len(q.Scale),
			len(q.ZeroPoint))
	}
	if q.Dimension < 0 || q.Dimension >= max(len(t.Shape), 1) {
		return fmt.Errorf("quantized dimension %d: want one of shape %s", q.Dimension, dims(t.Shape))
	}
	if len(q.Scale) > 1 {
		if t.Data == nil {
			return fmt.Errorf("%d scales: want 1 for a computed tensor", len(q.Scale))
		}
		if len(t.Shape) == 0 || len(q.Scale) != t.Shape[q.Dimension] {
			return fmt.Errorf("%d scales: want 1, or one for each index along dimension %d of shape %s", len(q.Scale),
				q.Dimension, dims(t.Shape))
		}
	}
	for i := range q.Scale {
		if s := float64(q.Scale[i]); !(s > 0) || math.IsInf(s, 0) {
			return fmt.Errorf("scale %g at %d: want a positive, finite one", s, i)
		}
		if zp := q.ZeroPoint[i]; zp < least || zp > greatest {
			return fmt.Errorf("zero point %d at %d: want one in [%d,%d] for %s", zp, i, least, greatest, t.Type)
		}
	}
	return nil
}

// checkGraph tests that every tensor is there when it is used, and has one origin.
func (m *Model) checkGraph() error {
	if len(m.Inputs) == 0 || len(m.Outputs) == 0 {
		return fmt.Errorf("%d inputs and %d outputs: want at least 1 of each", len(m.Inputs), len(m.Outputs))
	}
	origin := make(map[int]string) // of each tensor that is computed or given so far
	for _, t := range m.Inputs {
		switch {
		case t < 0 || t >= len(m.Tensors):
			return fmt.Errorf("input is tensor %d: want one of %d", t, len(m.Tensors))
		case m.Tensors[t].Data != nil:
			return fmt.Errorf("input %q is a constant", m.Tensors[t].Name)
		case origin[t] != "":
			return fmt.Errorf("input %q occurs twice", m.Tensors[t].Name)
		}
		origin[t] = "an input"
	}
	for i, op := range m.Operators {
		for _, t := range op.Inputs {
			switch {
			case t == -1:
			case t < 0 || t >= len(m.Tensors):
				return fmt.Errorf("%s: input is tensor %d: want one of %d, or -1", m.label(i), t, len(m.Tensors))
			case m.Tensors[t].Data == nil && origin[t] == "":
				return fmt.Errorf("%s: input %q isn't computed yet", m.label(i), m.Tensors[t].Name)
			}
		}
		for _, t := range op.Outputs {
			switch {
			case t < 0 || t >= len(m.Tensors):
				return fmt.Errorf("%s: output is tensor %d: want one of %d", m.label(i), t, len(m.Tensors))
			case m.Tensors[t].Data != nil:
				return fmt.Errorf("%s: output %q is a constant", m.label(i), m.Tensors[t].Name)
			case origin[t] != "":
				return fmt.Errorf("%s: output %q already is %s", m.label(i), m.Tensors[t].Name, origin[t])
			}
			origin[t] = "the output of " + m.label(i)
		}
	}
	for i, t := range m.Outputs {
		switch {
		case t < 0 || t >= len(m.Tensors):
			return fmt.Errorf("output is tensor %d: want one of %d", t, len(m.Tensors))
		case origin[t] == "" || slices.Contains(m.Inputs, t):
			return fmt.Errorf("output %q isn't computed by any operator", m.Tensors[t].Name)
		case slices.Contains(m.Outputs[:i], t):
			return fmt.Errorf("output %q occurs twice", m.Tensors[t].Name)
		}
	}
	return nil
}

// label names an operator in errors: its index, its code, and its output where it has one.
func (m *Model) label(i int) string {
	op := m.Operators[i]
	if y := m.tensorAt(op.Outputs, 0); y != nil {
		return fmt.Sprintf("operator %d %s to %q", i, op.Code, y.Name)
	}
	return fmt.Sprintf("operator %d %s", i, op.Code)
}

// checkNames tests the signature's names and the run time's version.
func (m *Model) checkNames() error {
	if len(m.MinRuntime) > minRuntimeSize {
		return fmt.Errorf("minimum run time %q: want at most %d bytes", m.MinRuntime, minRuntimeSize)
	}
	if len(m.InputNames) == 0 && len(m.OutputNames) == 0 {
		return nil
	}
	for _, list := range []struct {
		of      string
		names   []string
		tensors []int
	}{{"inputs", m.InputNames, m.Inputs}, {"outputs", m.OutputNames, m.Outputs}} {
		if len(list.names) != len(list.tensors) {
			return fmt.Errorf("signature names %d %s: want %d", len(list.names), list.of, len(list.tensors))
		}
		for i, name := range list.names {
			if name == "" || slices.Contains(list.names[:i], name) {
				return fmt.Errorf("signature name %q of %s: want one that isn't empty and occurs once", name, list.of)
			}
		}
	}
	return nil
}
