package weights

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
)

// googLeNet is torchvision's GoogLeNet without the auxiliary heads: all that its state dict must hold.
func googLeNet() []Want {
	var want []Want
	conv := func(name string, out, in, size int) {
		want = append(want, Want{name + ".conv.weight", []int{out, in, size, size}})
		for _, part := range []string{"weight", "bias", "running_mean", "running_var"} {
			want = append(want, Want{name + ".bn." + part, []int{out}})
		}
	}
	conv("conv1", 64, 3, 7)
	conv("conv2", 64, 64, 1)
	conv("conv3", 192, 64, 3)
	for _, m := range []struct {
		name                           string
		in, b1, b2in, b2, b3in, b3, b4 int
	}{
		{"3a", 192, 64, 96, 128, 16, 32, 32},
		{"3b", 256, 128, 128, 192, 32, 96, 64},
		{"4a", 480, 192, 96, 208, 16, 48, 64},
		{"4b", 512, 160, 112, 224, 24, 64, 64},
		{"4c", 512, 128, 128, 256, 24, 64, 64},
		{"4d", 512, 112, 144, 288, 32, 64, 64},
		{"4e", 528, 256, 160, 320, 32, 128, 128},
		{"5a", 832, 256, 160, 320, 32, 128, 128},
		{"5b", 832, 384, 192, 384, 48, 128, 128},
	} {
		name := "inception" + m.name
		conv(name+".branch1", m.b1, m.in, 1)
		conv(name+".branch2.0", m.b2in, m.in, 1)
		conv(name+".branch2.1", m.b2, m.b2in, 3)
		conv(name+".branch3.0", m.b3in, m.in, 1)
		conv(name+".branch3.1", m.b3, m.b3in, 3)
		conv(name+".branch4.1", m.b4, m.in, 1)
	}
	return append(want, Want{"fc.weight", []int{Classes, 1024}}, Want{"fc.bias", []int{Classes}})
}

// auxiliary names what a GoogLeNet's file holds for training only.
func auxiliary(name string) bool {
	return strings.HasPrefix(name, "aux1.") || strings.HasPrefix(name, "aux2.") || strings.HasSuffix(name, ".num_batches_tracked")
}

func TestCheckRealFiles(t *testing.T) {
	for _, name := range []string{"googlenet_imagenette.pth", "googlenet_imagenette.safetensors"} {
		set := openShared(t, name)
		if err := set.Check(googLeNet(), auxiliary); err != nil {
			t.Error(err)
		}
		if shape, _ := set.Shape("fc.weight"); len(shape) != 2 || shape[0] != 10 {
			t.Errorf("%s: fc.weight has shape %v, want 10 classes", name, shape)
		}
	}
	err := openShared(t, "googlenet_imagenette.pth").Check(googLeNet(), nil)
	if err == nil || !strings.Contains(err.Error(), "has 77 that the network does not have: aux1.conv.bn.bias, aux1.conv.bn.num_batches_tracked,") {
		t.Errorf("auxiliary heads and counters that aren't dropped: error %v", err)
	}
}

// classifier writes a state dict of a batch norm and a fully connected layer as safetensors. A value in values goes to
// element 1 of its tensor.
func classifier(shapes map[string][]int, values map[string]float32) []byte {
	var header []string
	var data []byte
	for _, name := range []string{"bn.running_var", "bn.weight", "fc.weight", "fc.bias", "aux.weight", "stray.weight"} {
		shape, ok := shapes[name]
		if !ok {
			continue
		}
		count := 1
		for _, n := range shape {
			count *= n
		}
		begin := len(data)
		for i := range count {
			v := float32(i)
			if x, ok := values[name]; ok && i == 1 {
				v = x
			}
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
		}
		list := strings.ReplaceAll(fmt.Sprint(shape), " ", ",")
		header = append(header, fmt.Sprintf(`%q:{"dtype":"F32","shape":%s,"data_offsets":[%d,%d]}`, name, list, begin, len(data)))
	}
	text := "{" + strings.Join(header, ",") + "}"
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), data...)
}

func TestCheck(t *testing.T) {
	want := []Want{{"bn.weight", []int{2}}, {"bn.running_var", []int{2}}, {"fc.weight", []int{Classes, 2}}, {"fc.bias", []int{Classes}}}
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, test := range []struct {
		name   string
		shapes map[string][]int // of a right file, but for these; nil: missing
		values map[string]float32
		err    string // "" for none
	}{
		{name: "right"},
		{name: "two classes", shapes: map[string][]int{"fc.weight": {2, 2}, "fc.bias": {2}}},
		{name: "dropped", shapes: map[string][]int{"aux.weight": {5}}},
		{name: "dropped with NaN", shapes: map[string][]int{"aux.weight": {5}}, values: map[string]float32{"aux.weight": nan}},
		{name: "missing", shapes: map[string][]int{"bn.weight": nil}, err: "missing 1 of the network's 4 tensors: bn.weight"},
		{name: "many missing", shapes: map[string][]int{"bn.weight": nil, "bn.running_var": nil, "fc.weight": nil, "fc.bias": nil, "aux.weight": {1}},
			err: "missing 4 of the network's 4 tensors: bn.weight, bn.running_var, fc.weight, …"},
		{name: "extra", shapes: map[string][]int{"stray.weight": {2}}, err: "has 1 that the network does not have: stray.weight"},
		{name: "both", shapes: map[string][]int{"stray.weight": {2}, "fc.bias": nil},
			err: "missing 1 of the network's 4 tensors: fc.bias; has 1 that the network does not have: stray.weight"},
		{name: "shape", shapes: map[string][]int{"bn.weight": {3}}, err: "bn.weight: want shape [2], have [3]"},
		{name: "features", shapes: map[string][]int{"fc.weight": {3, 5}}, err: "fc.weight: want shape [3 2], have [3 5]"},
		{name: "dimensions", shapes: map[string][]int{"fc.weight": {3}}, err: "fc.weight: want shape [classes 2], have [3]"},
		{name: "classes differ", shapes: map[string][]int{"fc.bias": {4}}, err: "fc.bias: want shape [3], have [4]"},
		{name: "one class", shapes: map[string][]int{"fc.weight": {1, 2}}, err: "fc.weight: shape [1 2] means 1 classes, want 2 to 100000"},
		{name: "many classes", shapes: map[string][]int{"fc.weight": {100_001, 2}}, err: "means 100001 classes, want 2 to 100000"},
		{name: "NaN", values: map[string]float32{"fc.weight": nan}, err: "fc.weight: element 1 is NaN, want a finite float32"},
		{name: "infinity", values: map[string]float32{"fc.bias": inf}, err: "fc.bias: element 1 is -Inf, want a finite float32"},
		{name: "variance", values: map[string]float32{"bn.running_var": -0.5}, err: "bn.running_var: element 1 is -0.5, want a variance from 0"},
		{name: "negative weight", values: map[string]float32{"bn.weight": -0.5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			shapes := map[string][]int{"bn.weight": {2}, "bn.running_var": {2}, "fc.weight": {3, 2}, "fc.bias": {3}}
			for name, shape := range test.shapes {
				if shapes[name] = shape; shape == nil {
					delete(shapes, name)
				}
			}
			set := mustRead(t, classifier(shapes, test.values))
			set.Path = "nets/x.safetensors"
			err := set.Check(want, func(name string) bool { return name == "aux.weight" })
			switch {
			case err == nil && test.err != "":
				t.Errorf("no error, want %q", test.err)
			case err != nil && (test.err == "" || !strings.Contains(err.Error(), test.err)):
				t.Errorf("error %q, want %q", err, test.err)
			case err != nil && !strings.HasPrefix(err.Error(), "check weights nets/x.safetensors: "):
				t.Errorf("error %q does not begin with the file's name", err)
			}
		})
	}
}

// TestCheckType wants a tensor of integers.
func TestCheckType(t *testing.T) {
	c := checkpoint{
		tensors:  []savedTensor{{name: "fc.bias", key: "0", class: "LongStorage", shape: []int64{2}, stride: []int64{1}}},
		storages: map[string][]byte{"0": counting("LongStorage", 2)},
	}
	err := mustRead(t, saveLegacy(c)).Check([]Want{{"fc.bias", []int{2}}}, nil)
	if err == nil || !strings.Contains(err.Error(), "fc.bias of : its type is int64") {
		t.Errorf("error %v, want one on int64", err)
	}
}
