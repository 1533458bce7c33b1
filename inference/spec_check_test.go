package inference

import (
	"math"
	"strings"
	"testing"
)

func TestSpecCheck(t *testing.T) {
	good := func() Spec {
		return Spec{
			Input:   TensorSpec{Name: "in", Type: Int8, Shape: []int{1, 8, 8, 3}, Scale: 0.5},
			Outputs: []TensorSpec{{Name: "out", Type: Float32, Shape: []int{1, 4}}, {Name: "more", Type: UInt8, Shape: []int{2, 3}, Scale: 1}},
		}
	}
	for _, test := range []struct {
		name   string
		change func(s *Spec)
		want   string // a part of the error, "" for none
	}{
		{"good", func(*Spec) {}, ""},
		{"scores without a batch", func(s *Spec) { s.Outputs[0].Shape = []int{4} }, ""},
		{"scores of one pixel", func(s *Spec) { s.Outputs[0].Shape = []int{1, 1, 1, 4} }, ""},
		{"grey", func(s *Spec) { s.Input.Shape[3] = 1 }, "read input: want one RGB picture [1 height width 3], the model wants [1 8 8 1]"},
		{"two pictures", func(s *Spec) { s.Input.Shape[0] = 2 }, "the model wants [2 8 8 3]"},
		{"flat", func(s *Spec) { s.Input.Shape = []int{1, 192} }, "the model wants [1 192]"},
		{"any size", func(s *Spec) { s.Input.Shape[1] = -1 }, "read input: tensor in: want a shape of fixed sizes"},
		{"empty", func(s *Spec) { s.Input.Shape[1] = 0 }, "tensor in: want a shape of fixed sizes"},
		{"huge", func(s *Spec) { s.Input.Shape[1], s.Input.Shape[2] = math.MaxInt32, math.MaxInt32 }, "1073741824 bytes at most"},
		{"a scalar", func(s *Spec) { s.Outputs[0].Shape = nil }, "read output 0: tensor out: want a shape of fixed sizes"},
		{"integers", func(s *Spec) { s.Input.Type = Int32 }, "tensor in: want FLOAT32, UINT8 or INT8, have INT32"},
		{"unknown", func(s *Spec) { s.Outputs[1].Type = UnknownType }, "read output 1: tensor more: want FLOAT32, UINT8 or INT8"},
		{"no scale", func(s *Spec) { s.Input.Scale = 0 }, "tensor in: want a scale above 0, have 0"},
		{"negative scale", func(s *Spec) { s.Outputs[1].Scale = -1 }, "tensor more: want a scale above 0, have -1"},
		{"scale is no number", func(s *Spec) { s.Input.Scale = float32(math.NaN()) }, "have NaN"},
		{"infinite scale", func(s *Spec) { s.Input.Scale = float32(math.Inf(1)) }, "have +Inf"},
		{"no outputs", func(s *Spec) { s.Outputs = nil }, "read outputs: the model has none"},
		{"one class", func(s *Spec) { s.Outputs[0].Shape = []int{1, 1} }, "read output 0: want scores [1 classes], the model gives [1 1]"},
		{"a map", func(s *Spec) { s.Outputs[0].Shape = []int{1, 2, 4} }, "want scores [1 classes], the model gives [1 2 4]"},
	} {
		s := good()
		test.change(&s)
		err := s.Check()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: have error %v, want %q", test.name, err, test.want)
		}
	}
}
