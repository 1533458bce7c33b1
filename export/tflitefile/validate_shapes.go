package tflitefile

import (
	"encoding/binary"
	"fmt"
	"slices"
)

func (s step) checkMean() error {
	o, err := optionsOf[ReducerOptions](s)
	if err != nil {
		return err
	}
	x := s.in[0]
	axes, err := s.in[1].constantInts()
	if err != nil {
		return err
	}
	reduced := make(map[int]bool)
	for _, axis := range axes {
		if axis < 0 {
			axis += len(x.Shape)
		}
		if axis < 0 || axis >= len(x.Shape) || reduced[axis] {
			return fmt.Errorf("axes %s: want different ones of shape %s", dims(axes), dims(x.Shape))
		}
		reduced[axis] = true
	}
	want := []int{}
	for i, d := range x.Shape {
		switch {
		case !reduced[i]:
			want = append(want, d)
		case o.KeepDims:
			want = append(want, 1)
		}
	}
	if err := x.wantType(Float32, Int8, UInt8); err != nil {
		return err
	}
	if err := s.y.wantType(x.Type); err != nil {
		return err
	}
	return s.wantShape(want)
}

func (s step) checkReshape() error {
	o, err := optionsOf[ReshapeOptions](s)
	if err != nil {
		return err
	}
	x := s.in[0]
	if x.elements() != s.y.elements() {
		return fmt.Errorf("input %q of shape %s: want as many elements as the output's %s", x.Name, dims(x.Shape),
			dims(s.y.Shape))
	}
	if !fits(o.NewShape, s.y.Shape) {
		return fmt.Errorf("new shape %s: want the output's %s, one dimension may be -1", dims(o.NewShape), dims(s.y.Shape))
	}
	if len(s.in) == 2 {
		shape, err := s.in[1].constantInts()
		if err != nil {
			return err
		}
		if !slices.Equal(shape, o.NewShape) {
			return fmt.Errorf("shape %q of %s: want that of the options, %s", s.in[1].Name, dims(shape), dims(o.NewShape))
		}
	}
	return s.moves(x, Float32, Int8, UInt8)
}

// fits tells whether shape is want, with at most one dimension as -1.
func fits(shape, want []int) bool {
	open := 0
	return slices.EqualFunc(shape, want, func(have, want int) bool {
		if have == -1 {
			open++
			return open == 1
		}
		return have == want
	})
}

func (s step) checkSpaceToDepth() error {
	o, err := optionsOf[SpaceToDepthOptions](s)
	if err != nil {
		return err
	}
	x, n := s.in[0], o.BlockSize
	if len(x.Shape) != 4 || n < 1 || x.Shape[1]%n != 0 || x.Shape[2]%n != 0 {
		return fmt.Errorf("input %q of shape %s: want NHWC with a height and width that block size %d divides", x.Name, dims(x.Shape), n)
	}
	if err := s.wantShape([]int{x.Shape[0], x.Shape[1] / n, x.Shape[2] / n, x.Shape[3] * n * n}); err != nil {
		return err
	}
	return s.moves(x, Float32, Int8, UInt8)
}

func (s step) checkPad() error {
	if _, err := optionsOf[PadOptions](s); err != nil {
		return err
	}
	return s.checkPaddings()
}

func (s step) checkPadV2() error {
	if _, err := optionsOf[PadV2Options](s); err != nil {
		return err
	}
	value := s.in[2]
	if value.elements() != 1 {
		return fmt.Errorf("value %q of shape %s: want one element", value.Name, dims(value.Shape))
	}
	if err := s.moves(value, Float32, Int8, UInt8); err != nil {
		return err
	}
	return s.checkPaddings()
}

// checkPaddings tests input 1 of a PAD: how many elements come before and after, for each dimension.
func (s step) checkPaddings() error {
	x := s.in[0]
	widths, err := s.in[1].constantInts()
	if err != nil {
		return err
	}
	if !slices.Equal(s.in[1].Shape, []int{len(x.Shape), 2}) {
		return fmt.Errorf("paddings %q of shape %s: want [%d,2]", s.in[1].Name, dims(s.in[1].Shape), len(x.Shape))
	}
	want := slices.Clone(x.Shape)
	for i, width := range widths {
		if width < 0 {
			return fmt.Errorf("paddings %s: want 0 or more each", dims(widths))
		}
		want[i/2] += width
	}
	if err := s.wantShape(want); err != nil {
		return err
	}
	return s.moves(x, Float32, Int8, UInt8)
}

func (s step) checkAdd() error {
	o, err := optionsOf[AddOptions](s)
	if err != nil {
		return err
	}
	return s.checkBinary(o.Activation)
}

func (s step) checkSub() error {
	o, err := optionsOf[SubOptions](s)
	if err != nil {
		return err
	}
	return s.checkBinary(o.Activation)
}

func (s step) checkMul() error {
	o, err := optionsOf[MulOptions](s)
	if err != nil {
		return err
	}
	return s.checkBinary(o.Activation)
}

// checkBinary tests an operator on two tensors of the same type, where a dimension of 1, or a missing one at the front,
// is repeated.
func (s step) checkBinary(a Activation) error {
	if err := a.check(); err != nil {
		return err
	}
	left, right := s.in[0], s.in[1]
	if err := left.wantType(Float32, Int8); err != nil {
		return err
	}
	for _, t := range []*Tensor{right, s.y} {
		if err := t.wantType(left.Type); err != nil {
			return err
		}
	}
	for _, t := range s.in {
		if t.Quant != nil && len(t.Quant.Scale) > 1 {
			return fmt.Errorf("input %q has %d scales: want 1", t.Name, len(t.Quant.Scale))
		}
	}
	want := slices.Clone(left.Shape)
	other := right.Shape
	if len(other) > len(want) {
		want, other = slices.Clone(other), want
	}
	shift := len(want) - len(other)
	for i, d := range other {
		switch {
		case want[shift+i] == 1:
			want[shift+i] = d
		case d != 1 && d != want[shift+i]:
			return fmt.Errorf("inputs of shapes %s and %s: want dimensions that are equal or 1", dims(left.Shape),
				dims(right.Shape))
		}
	}
	return s.wantShape(want)
}

// constantInts gives the elements of an INT32 constant.
func (t *Tensor) constantInts() ([]int, error) {
	if t.Type != Int32 || t.Data == nil {
		return nil, fmt.Errorf("%q of type %s: want an INT32 constant", t.Name, t.Type)
	}
	var values []int
	for b := t.Data; len(b) >= 4; b = b[4:] {
		values = append(values, int(int32(binary.LittleEndian.Uint32(b))))
	}
	return values, nil
}
