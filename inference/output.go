package inference

import (
	"fmt"
	"math"
	"unsafe"
)

// ReadOutput is what Classifier.Output does, for a network whose outputs lie in memory, each as ByteSize bytes. One without outputs there,
// as after Close, has none.
func (s *Spec) ReadOutput(i int, memory [][]byte, dst []float32) error {
	if i < 0 || i >= len(memory) {
		return fmt.Errorf("read output %d: the model has %d", i, len(memory))
	}
	spec := &s.Outputs[i]
	if len(dst) != spec.NumElements() {
		return fmt.Errorf("read output %d: want room for %d values, have %d", i, spec.NumElements(), len(dst))
	}
	switch spec.Type {
	case Float32:
		copy(dst, unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(memory[i]))), len(dst)))
	case Int8:
		for j, q := range memory[i] {
			dst[j] = float32(int(int8(q))-spec.ZeroPoint) * spec.Scale
		}
	case UInt8:
		for j, q := range memory[i] {
			dst[j] = float32(int(q)-spec.ZeroPoint) * spec.Scale
		}
	}
	for j, v := range dst {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("read output %d: value %d is %g: %w", i, j, v, ErrNotANumber)
		}
	}
	return nil
}
