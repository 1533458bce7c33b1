package contract

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"sightd/export/tflitefile"
	"sightd/models"
)

// network is a model that the suite opens.
type network struct {
	name string
	data []byte
}

// networks gives the embedded model, which takes int8 and puts out floats, and a small one that computes in floats throughout.
func networks(t *testing.T) []network {
	t.Helper()
	embedded, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	return []network{{"int8", embedded}, {"float", floats(t, 0.25)}}
}

// floats makes a network of [1,8,8,3] floats: CONV_2D, MEAN, FULLY_CONNECTED, SOFTMAX over four classes. bias is that of the second
// class: a NaN makes every score one.
func floats(t *testing.T, bias float32) []byte {
	t.Helper()
	const features, classes = 8, 4
	weights := func(n int) []float32 { // of -1 to 1, without a pattern that a shift or a swap would leave as it is
		w := make([]float32, n)
		for i := range w {
			w[i] = float32((i*i*37+i*11)%101)/50 - 1
		}
		return w
	}
	one := func(name string, shape ...int) tflitefile.Tensor {
		return tflitefile.Tensor{Name: name, Type: tflitefile.Float32, Shape: shape}
	}
	constant := func(name string, values []float32, shape ...int) tflitefile.Tensor {
		tensor := one(name, shape...)
		for _, v := range values {
			tensor.Data = binary.LittleEndian.AppendUint32(tensor.Data, math.Float32bits(v))
		}
		return tensor
	}
	m := tflitefile.Model{
		Description: "a test",
		Tensors: []tflitefile.Tensor{
			one("input", 1, 8, 8, 3),
			constant("conv/weights", weights(features*3*3*3), features, 3, 3, 3),
			constant("conv/bias", weights(features), features),
			one("conv", 1, 8, 8, features),
			{Name: "axes", Type: tflitefile.Int32, Shape: []int{2}, Data: []byte{1, 0, 0, 0, 2, 0, 0, 0}},
			one("mean", 1, features),
			constant("classifier/weights", weights(classes*features), classes, features),
			constant("classifier/bias", []float32{0, bias, -0.25, 0.5}, classes),
			one("classifier", 1, classes),
			one("scores", 1, classes),
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
	data, err := m.Bytes()
	if err != nil {
		t.Fatalf("write a network of floats: %v", err)
	}
	return data
}

// broken gives files that no implementation may open, each a damaged copy of a model or something else.
func broken(model []byte) map[string][]byte {
	damaged := slices.Clone(model)
	for i := 8; i < 64; i++ {
		damaged[i] = 0xff
	}
	return map[string][]byte{
		"nothing":       nil,
		"a text":        []byte("this is no model, but a text that is long enough to hold a header"),
		"only a header": []byte("\x1c\x00\x00\x00TFL3"),
		"another file":  append([]byte("\xff\xd8\xff\xe0"), make([]byte, 4096)...),
		"cut early":     model[:min(1000, len(model)-16)],
		"cut in half":   model[:len(model)/2],
		"damaged":       damaged,
	}
}
