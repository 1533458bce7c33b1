package inference

import (
	"errors"
	"fmt"
	"math"
)

// Check says why a model isn't an image classifier that sightd can run, nil where it is one: one input [1 height width 3], scores
// [1 classes] of two classes at least as output 0, and tensors of FLOAT32, UINT8 or INT8, of which the quantized ones have a scale.
func (s Spec) Check() error {
	if err := s.Input.check(); err != nil {
		return fmt.Errorf("read input: %w", err)
	}
	in := s.Input.Shape
	if len(in) != 4 || in[0] != 1 || in[1] < 1 || in[2] < 1 || in[3] != 3 {
		return fmt.Errorf("read input: want one RGB picture [1 height width 3], the model wants %v", in)
	}
	if len(s.Outputs) == 0 {
		return errors.New("read outputs: the model has none")
	}
	for i, o := range s.Outputs {
		if err := o.check(); err != nil {
			return fmt.Errorf("read output %d: %w", i, err)
		}
	}
	if out := s.Outputs[0]; out.NumElements() < 2 || out.Shape[len(out.Shape)-1] != out.NumElements() {
		return fmt.Errorf("read output 0: want scores [1 classes], the model gives %v", out.Shape)
	}
	return nil
}

// maxTensorBytes bounds what is asked of memory for a tensor: a picture of 8192x8192 floats is within.
const maxTensorBytes = 1 << 30

func (s TensorSpec) check() error {
	if s.Type != Float32 && s.Type != UInt8 && s.Type != Int8 {
		return fmt.Errorf("tensor %s: want FLOAT32, UINT8 or INT8, have %s", s.Name, s.Type)
	}
	if scale := float64(s.Scale); s.Type != Float32 && (!(scale > 0) || math.IsInf(scale, 0)) {
		return fmt.Errorf("tensor %s: want a scale above 0, have %g", s.Name, s.Scale)
	}
	size := s.Type.Size()
	for _, d := range s.Shape {
		if d < 1 || d > maxTensorBytes/size {
			size = 0
			break
		}
		size *= d
	}
	if size == 0 || len(s.Shape) == 0 {
		return fmt.Errorf("tensor %s: want a shape of fixed sizes and %d bytes at most, have %v", s.Name, maxTensorBytes, s.Shape)
	}
	return nil
}
