package litert_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"unsafe"

	"sightd/export/tflitefile"
	"sightd/inference"
	"sightd/inference/litert/gputest"
	"sightd/inference/tflite"
)

const side, features, classes = 8, 8, 4

// activation is a tensor of floats that is computed.
func activation(name string, shape ...int) tflitefile.Tensor {
	return tflitefile.Tensor{Name: name, Type: tflitefile.Float32, Shape: shape}
}

// constant is a tensor of floats from -1 to 1.
func constant(name string, shape ...int) tflitefile.Tensor {
	tensor := activation(name, shape...)
	n := 1
	for _, d := range shape {
		n *= d
	}
	for i := range n {
		tensor.Data = binary.LittleEndian.AppendUint32(tensor.Data, math.Float32bits(float32((i*i*37+i*11)%101)/50-1))
	}
	return tensor
}

// small is a network of floats: CONV_2D, MEAN, FULLY_CONNECTED, SOFTMAX. Tensors 5 and 9 are the features and the scores.
func small() tflitefile.Model {
	return tflitefile.Model{
		Tensors: []tflitefile.Tensor{
			activation("input", 1, side, side, 3),
			constant("conv/weights", features, 3, 3, 3),
			constant("conv/bias", features),
			activation("conv", 1, side, side, features),
			{Name: "axes", Type: tflitefile.Int32, Shape: []int{2}, Data: []byte{1, 0, 0, 0, 2, 0, 0, 0}},
			activation("mean", 1, features),
			constant("classifier/weights", classes, features),
			constant("classifier/bias", classes),
			activation("classifier", 1, classes),
			activation("scores", 1, classes),
		},
		Operators: []tflitefile.Operator{
			{Code: tflitefile.OpConv2D, Inputs: []int{0, 1, 2}, Outputs: []int{3}, Options: tflitefile.Conv2DOptions{
				Padding: tflitefile.PaddingSame, StrideW: 1, StrideH: 1, DilationW: 1, DilationH: 1, Activation: tflitefile.ActivationRelu}},
			{Code: tflitefile.OpMean, Inputs: []int{3, 4}, Outputs: []int{5}, Options: tflitefile.ReducerOptions{}},
			{Code: tflitefile.OpFullyConnected, Inputs: []int{5, 6, 7}, Outputs: []int{8}, Options: tflitefile.FullyConnectedOptions{}},
			{Code: tflitefile.OpSoftmax, Inputs: []int{8}, Outputs: []int{9}, Options: tflitefile.SoftmaxOptions{Beta: 1}},
		},
		Inputs: []int{0}, Outputs: []int{9}, InputNames: []string{"input"}, OutputNames: []string{"scores"},
	}
}

// normalized is small with an operator that the GPU doesn't take, behind the convolution.
func normalized() tflitefile.Model {
	m := small()
	m.Tensors = append(m.Tensors, activation("normalized", 1, side, side, features))
	m.Operators = slices.Insert(m.Operators, 1, tflitefile.Operator{Code: tflitefile.OpLocalResponseNormalization, Inputs: []int{3},
		Outputs: []int{10}, Options: tflitefile.LocalResponseNormalizationOptions{Radius: 2, Bias: 1, Alpha: 0.1, Beta: 0.75}})
	m.Operators[2].Inputs = []int{10, 4}
	return m
}

// refused has nothing but the operator that the GPU doesn't take.
func refused() tflitefile.Model {
	return tflitefile.Model{
		Tensors: []tflitefile.Tensor{activation("input", 1, 1, 1, 3), activation("scores", 1, 1, 1, 3)},
		Operators: []tflitefile.Operator{{Code: tflitefile.OpLocalResponseNormalization, Inputs: []int{0}, Outputs: []int{1},
			Options: tflitefile.LocalResponseNormalizationOptions{Radius: 2, Bias: 1, Alpha: 0.1, Beta: 0.75}}},
		Inputs: []int{0}, Outputs: []int{1}, InputNames: []string{"input"}, OutputNames: []string{"scores"},
	}
}

// file writes a model.
func file(t *testing.T, m tflitefile.Model) []byte {
	t.Helper()
	data, err := m.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// outputs runs a network on a picture and gives all its outputs.
func outputs(t *testing.T, c inference.Classifier) (all [][]float32) {
	t.Helper()
	in := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(c.Input()))), len(c.Input())/4)
	for i := range in {
		in[i] = float32((i*3+i/7)%255)/127.5 - 1
	}
	if err := c.Invoke(); err != nil {
		t.Fatal(err)
	}
	for i, o := range c.Spec().Outputs {
		values := make([]float32, o.NumElements())
		if err := c.Output(i, values); err != nil {
			t.Fatal(err)
		}
		all = append(all, values)
	}
	return all
}

// TestAgreesWithKernels shows that the GPU gives what TensorFlow Lite's own kernels do: in whichever order a file has its outputs, with
// names or without, and where it takes but a part of the network.
func TestAgreesWithKernels(t *testing.T) {
	dir := gputest.Need(t)
	for _, test := range []struct {
		name   string
		model  func() tflitefile.Model
		change func(m *tflitefile.Model)
		total  int
		taken  int
	}{
		{"one output", small, func(*tflitefile.Model) {}, 4, 4},
		{"names in order", small, func(m *tflitefile.Model) { m.Outputs, m.OutputNames = []int{9, 5}, []string{"a", "b"} }, 4, 4},
		{"names out of order", small, func(m *tflitefile.Model) { m.Outputs, m.OutputNames = []int{9, 5}, []string{"b", "a"} }, 4, 4},
		{"no names", small, func(m *tflitefile.Model) { m.Outputs, m.InputNames, m.OutputNames = []int{9, 5}, nil, nil }, 4, 4},
		{"a part", normalized, func(*tflitefile.Model) {}, 5, 3},
		{"a part, two outputs", normalized, func(m *tflitefile.Model) { m.Outputs, m.OutputNames = []int{9, 10}, []string{"b", "a"} }, 5, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := test.model()
			test.change(&m)
			data := file(t, m)
			c := open(t, dir, data)
			d := c.Delegation()
			if d.Delegate != inference.GPU || d.Total != test.total || d.Taken != test.taken {
				t.Errorf("have %+v, want gpu with %d of %d nodes", d, test.taken, test.total)
			}
			kernels, err := tflite.OpenBytes(data, inference.Options{Delegate: inference.CPU})
			if err != nil {
				t.Fatal(err)
			}
			defer kernels.Close() // nothing depends on it
			have, want := outputs(t, c), outputs(t, kernels)
			if len(have) != len(want) {
				t.Fatalf("have %d outputs, want %d", len(have), len(want))
			}
			for i := range want {
				for j := range want[i] {
					if d := math.Abs(float64(have[i][j] - want[i][j])); !(d < 1e-4) {
						t.Fatalf("output %d, value %d: have %g, want %g", i, j, have[i][j], want[i][j])
					}
				}
			}
		})
	}
}
