package tflite

import (
	"strings"
	"testing"

	"sightd/inference"
)

func TestHalfErrors(t *testing.T) {
	was := nativeHalf
	t.Cleanup(func() { nativeHalf = was })
	for _, test := range []struct {
		native bool
		want   string
	}{{false, "this processor doesn't compute with them"}, {true, "want a network of floats"}} {
		nativeHalf = test.native
		c, err := OpenBytes(defaultModel(t), inference.Options{Delegate: inference.XNNPACKFP16})
		if err == nil {
			c.Close() // the test has failed anyway
			t.Errorf("native %t: have a classifier, want an error", test.native)
		} else if !strings.HasPrefix(err.Error(), "delegate xnnpack-fp16: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("native %t: have error %q, want %q", test.native, err, test.want)
		}
	}
}

func TestCheckHalf(t *testing.T) {
	quantized, mean, float := node{code: convCode}, node{code: meanCode, real: true}, node{code: depthwiseCode, real: true}
	for _, test := range []struct {
		graph  []node
		native bool
		ok     bool
	}{
		{nil, true, false},
		{[]node{quantized, mean}, true, false},
		{[]node{quantized, float}, true, true},
		{[]node{{code: convCode, real: true}}, true, true},
		{[]node{float}, false, false},
	} {
		if err := checkHalf(test.graph, test.native); (err == nil) != test.ok {
			t.Errorf("%+v, native %t: have %v", test.graph, test.native, err)
		}
	}
}

func TestOperatorNames(t *testing.T) {
	for want, n := range map[string]node{
		"CONV_2D": {code: convCode}, "HARD_SWISH": {code: 117}, "operator 4711": {code: 4711},
		"edgetpu-custom-op": {code: 32, custom: "edgetpu-custom-op"}, "CUSTOM": {code: 32},
	} {
		if have := n.name(); have != want {
			t.Errorf("%+v: have %s, want %s", n, have, want)
		}
	}
}
