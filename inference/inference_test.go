package inference

import "testing"

func TestTensorSpec(t *testing.T) {
	for _, test := range []struct {
		spec     TensorSpec
		elements int
		bytes    int
		text     string
	}{
		{TensorSpec{Type: Float32, Shape: []int{1, 160, 160, 3}}, 76800, 307200, "FLOAT32 [1,160,160,3]"},
		{TensorSpec{Type: Int8, Shape: []int{1, 160, 160, 3}, Scale: 0.0078125, ZeroPoint: -1}, 76800, 76800,
			"INT8 [1,160,160,3] scale 0.0078125 zero point -1"},
		{TensorSpec{Type: UInt8, Shape: []int{1, 10}, Scale: 0.00390625}, 10, 10, "UINT8 [1,10] scale 0.00390625 zero point 0"},
		{TensorSpec{Type: Int32, Shape: []int{2}}, 2, 8, "INT32 [2]"},
		{TensorSpec{Type: Float32}, 1, 4, "FLOAT32 []"},
		{TensorSpec{Type: Float32, Shape: []int{1, 0}}, 0, 0, "FLOAT32 [1,0]"},
		{TensorSpec{Shape: []int{4}}, 4, 0, "Type(0) [4]"},
		{TensorSpec{Type: 9, Shape: []int{4}}, 4, 0, "Type(9) [4]"},
	} {
		if n := test.spec.NumElements(); n != test.elements {
			t.Errorf("%s: %d elements, want %d", test.text, n, test.elements)
		}
		if n := test.spec.ByteSize(); n != test.bytes {
			t.Errorf("%s: %d bytes, want %d", test.text, n, test.bytes)
		}
		if s := test.spec.String(); s != test.text {
			t.Errorf("have %q, want %q", s, test.text)
		}
	}
}

func TestNumClasses(t *testing.T) {
	scores, features := TensorSpec{Shape: []int{1, 10}}, TensorSpec{Shape: []int{1, 1024}}
	for want, spec := range map[int]Spec{0: {}, 10: {Outputs: []TensorSpec{scores, features}}, 1024: {Outputs: []TensorSpec{features}}} {
		if n := spec.NumClasses(); n != want {
			t.Errorf("%d outputs: %d classes, want %d", len(spec.Outputs), n, want)
		}
	}
}

func TestPartial(t *testing.T) {
	for _, test := range []struct {
		d    Delegation
		want bool
	}{
		{Delegation{Delegate: XNNPACK, Total: 84, Taken: 84}, false},
		{Delegation{Delegate: XNNPACK, Total: 84, Taken: 83}, true},
		{Delegation{Delegate: GPU, Total: 84, Taken: Unknown}, true},
		{Delegation{Delegate: CPU, Total: 84}, false},
	} {
		if have := test.d.Partial(); have != test.want {
			t.Errorf("%+v: have %t, want %t", test.d, have, test.want)
		}
	}
}

func TestDelegationString(t *testing.T) {
	for _, test := range []struct {
		d    Delegation
		want string
	}{
		{Delegation{Delegate: XNNPACK, Total: 84, Taken: 84}, "xnnpack, 84 of 84 nodes"},
		{Delegation{Delegate: XNNPACK, Total: 84, Taken: 82, Rest: []string{"QUANTIZE", "SOFTMAX"}},
			"xnnpack, 82 of 84 nodes (left to the processor: QUANTIZE, SOFTMAX)"},
		{Delegation{Delegate: XNNPACK, Total: 5, Taken: 1, Rest: []string{"PAD", "CONV_2D", "SOFTMAX", "CONV_2D"}},
			"xnnpack, 1 of 5 nodes (left to the processor: PAD, 2 CONV_2D, SOFTMAX)"},
		{Delegation{Delegate: GPU, Total: 84, Taken: Unknown}, "gpu, a part of 84 nodes"},
		{Delegation{Delegate: CPU, Total: 84}, "cpu, 84 nodes"},
		// On the CPU everything is left to the built-in kernels: a list of them would be the whole graph.
		{Delegation{Delegate: CPU, Total: 2, Rest: []string{"CONV_2D", "SOFTMAX"}, Reason: "no memory for xnnpack"},
			"cpu, 2 nodes; no memory for xnnpack"},
		{Delegation{Delegate: XNNPACK, Total: 2, Taken: 1, Rest: []string{"SOFTMAX"}, Reason: "asked for gpu"},
			"xnnpack, 1 of 2 nodes (left to the processor: SOFTMAX); asked for gpu"},
	} {
		if have := test.d.String(); have != test.want {
			t.Errorf("have %q, want %q", have, test.want)
		}
	}
}
