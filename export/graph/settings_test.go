package graph

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightd/export/weights"
)

// A message is one in protobuf's encoding; its methods add a field.
type message []byte

func (m message) varint(number int, values ...int) message {
	for _, v := range values {
		m = binary.AppendUvarint(binary.AppendUvarint(m, uint64(number<<3)), uint64(v))
	}
	return m
}

func (m message) bytes(number int, contents []byte) message {
	m = binary.AppendUvarint(m, uint64(number<<3|2))
	return append(binary.AppendUvarint(m, uint64(len(contents))), contents...)
}

func (m message) text(number int, text string) message { return m.bytes(number, []byte(text)) }

func (m message) float(number int, v float32) message {
	return binary.LittleEndian.AppendUint32(binary.AppendUvarint(m, uint64(number<<3|5)), math.Float32bits(v))
}

// caffeLayer is a layer of a Caffe network that a test writes.
type caffeLayer struct {
	name, kind string
	field      int // of the layer's parameters in its message (caffe.proto, LayerParameter)
	parameters message
	blobs      []stored
}

// The fields of caffe.proto's LayerParameter that hold a layer's parameters.
const (
	convolutionParam  = 106
	innerProductParam = 117
	lrnParam          = 118
	poolingParam      = 121
	reluParam         = 123
)

// caffeNet writes the layers as a .caffemodel file, which must have a blob somewhere, and opens it.
func caffeNet(t *testing.T, layers ...caffeLayer) *weights.Set {
	t.Helper()
	var net message
	for _, l := range layers {
		m := message(nil).text(1, l.name).text(2, l.kind)
		if l.field != 0 {
			m = m.bytes(l.field, l.parameters)
		}
		for _, b := range l.blobs {
			var shape message
			for _, d := range b.shape {
				shape = shape.varint(1, d)
			}
			m = m.bytes(7, message(nil).bytes(7, shape).bytes(5, make([]byte, 4*b.size())))
		}
		net = net.bytes(100, m)
	}
	path := filepath.Join(t.TempDir(), "net.caffemodel")
	if err := os.WriteFile(path, net, 0o644); err != nil {
		t.Fatal(err)
	}
	return openFile(t, path)
}

// convolution gives parameters of a convolution in the fields of ConvolutionParameter.
func convolution(pad, kernel, stride int) message {
	return message(nil).varint(3, pad).varint(4, kernel).varint(6, stride)
}

// pooling gives parameters of a pool in the fields of PoolingParameter. Method 0 is MAX, 1 AVE.
func pooling(method, kernel, stride, pad int) message {
	return message(nil).varint(1, method).varint(2, kernel).varint(3, stride).varint(4, pad)
}

// normalization gives parameters of LRN in the fields of LRNParameter.
func normalization(size int, alpha, beta float32) message {
	return message(nil).varint(1, size).float(2, alpha).float(3, beta)
}

// fitting is a network whose settings are those of models/bvlc_googlenet/train_val.prototxt: one layer of each kind, and some that
// GoogLeNet's table doesn't have.
var fitting = []caffeLayer{
	{name: "data", kind: "Data", blobs: []stored{{shape: []int{1}}}}, // a network has values
	{name: "conv1/7x7_s2", kind: "Convolution", field: convolutionParam, parameters: convolution(3, 7, 2).varint(1, 64).varint(2, 1).varint(5, 1).varint(18, 1)},
	{name: "conv1/relu_7x7", kind: "ReLU", field: reluParam, parameters: message(nil).float(1, 0)},
	{name: "pool1/3x3_s2", kind: "Pooling", field: poolingParam, parameters: pooling(0, 3, 2, 0).varint(13, 0)},
	{name: "pool1/norm1", kind: "LRN", field: lrnParam, parameters: normalization(5, 1e-4, 0.75).varint(4, 0).float(5, 1)},
	{name: "conv2/3x3_reduce", kind: "Convolution", field: convolutionParam, parameters: convolution(0, 1, 1)},
	{name: "conv2/3x3", kind: "Convolution", field: convolutionParam, parameters: message(nil).varint(9, 1).varint(10, 1).varint(11, 3).varint(12, 3)},
	{name: "conv2/norm2", kind: "LRN", field: lrnParam, parameters: normalization(5, 1e-4, 0.75)},
	{name: "inception_3a/5x5", kind: "Convolution", field: convolutionParam, parameters: convolution(2, 5, 1)},
	{name: "inception_3a/pool", kind: "Pooling", field: poolingParam, parameters: pooling(0, 3, 1, 1)},
	{name: "inception_3a/output", kind: "Concat"},
	{name: "pool4/3x3_s2", kind: "Pooling", field: poolingParam, parameters: pooling(0, 3, 2, 0)},
	{name: "pool5/7x7_s1", kind: "Pooling", field: poolingParam, parameters: pooling(1, 7, 1, 0)},
	{name: "loss1/ave_pool", kind: "Pooling", field: poolingParam, parameters: pooling(1, 5, 3, 0)},
	{name: "loss3/classifier", kind: "InnerProduct", field: innerProductParam, parameters: message(nil).varint(1, 1000).varint(6, 0)},
}

// TestSettings changes one setting after the other.
func TestSettings(t *testing.T) {
	if err := checkSettings(caffeNet(t, fitting...)); err != nil {
		t.Errorf("BVLC's own settings: %v", err)
	}
	if err := checkSettings(caffeNet(t, fitting[0])); err != nil {
		t.Errorf("no settings: %v", err)
	}
	if err := checkSettings(open(t, named("a"))); err != nil {
		t.Errorf("a state dict: %v", err)
	}
	for _, test := range []struct {
		layer      string
		parameters message
		want       string
	}{
		{"conv1/7x7_s2", convolution(3, 5, 2), "convolution_param.kernel_size 7, have 5"},
		{"conv1/7x7_s2", convolution(3, 7, 1), "convolution_param.stride 2, have 1"},
		{"conv1/7x7_s2", convolution(2, 7, 2), "convolution_param.pad 3, have 2"},
		{"conv1/7x7_s2", message(nil).varint(9, 2), "convolution_param.pad_h 3, have 2"},
		{"conv1/7x7_s2", message(nil).varint(10, 2), "convolution_param.pad_w 3, have 2"},
		{"conv1/7x7_s2", message(nil).varint(4, 7, 6), "convolution_param.kernel_w 7, have 6"},
		{"conv1/7x7_s2", message(nil).varint(11, 6), "convolution_param.kernel_h 7, have 6"},
		{"conv1/7x7_s2", message(nil).varint(13, 1), "convolution_param.stride_h 2, have 1"},
		{"conv1/7x7_s2", message(nil).varint(14, 1), "convolution_param.stride_w 2, have 1"},
		{"conv2/3x3", convolution(1, 3, 1).varint(5, 2), "convolution_param.group 1, have 2"},
		{"conv2/3x3", convolution(1, 3, 1).varint(18, 2), "convolution_param.dilation 1, have 2"},
		{"conv2/3x3", convolution(1, 3, 1).varint(18, 1, 2), "convolution_param.dilation_w 1, have 2"},
		{"inception_3a/5x5", convolution(1, 3, 1), "convolution_param.kernel_size 5, have 3"},
		{"pool1/3x3_s2", pooling(1, 3, 2, 0), "pooling_param.pool 0, have 1"},
		{"pool1/3x3_s2", pooling(0, 2, 2, 0), "pooling_param.kernel_size 3, have 2"},
		{"pool1/3x3_s2", pooling(0, 3, 2, 1), "pooling_param.pad 0, have 1"},
		{"pool1/3x3_s2", pooling(0, 3, 2, 0).varint(13, 1), "pooling_param.round_mode 0, have 1"},
		{"pool1/3x3_s2", message(nil).varint(12, 1), "pooling_param.global_pooling 0, have 1"},
		{"inception_3a/pool", pooling(0, 3, 2, 1), "pooling_param.stride 1, have 2"},
		{"pool4/3x3_s2", pooling(0, 2, 2, 0), "pooling_param.kernel_size 3, have 2"},
		{"pool5/7x7_s1", pooling(0, 7, 1, 0), "pooling_param.pool 1, have 0"},
		{"pool1/norm1", normalization(3, 1e-4, 0.75), "lrn_param.local_size 5, have 3"},
		{"pool1/norm1", normalization(5, 1e-3, 0.75), "lrn_param.alpha 0.0001, have 0.001"},
		{"pool1/norm1", normalization(5, 1e-4, 0.5), "lrn_param.beta 0.75, have 0.5"},
		{"pool1/norm1", normalization(5, 1e-4, 0.75).float(5, 2), "lrn_param.k 1, have 2"},
		{"conv2/norm2", normalization(5, 1e-4, 0.75).varint(4, 1), "lrn_param.norm_region 0, have 1"},
		{"conv1/relu_7x7", message(nil).float(1, 0.1), "relu_param.negative_slope 0, have 0.1"},
		{"loss3/classifier", message(nil).varint(6, 1), "inner_product_param.transpose 0, have 1"},
	} {
		layers := slices.Clone(fitting)
		i := slices.IndexFunc(layers, func(l caffeLayer) bool { return l.name == test.layer })
		layers[i].parameters = test.parameters
		set := caffeNet(t, layers...)
		want := "check weights " + set.Path + ": layer " + test.layer + ": want " + test.want
		if err := checkSettings(set); err == nil || err.Error() != want {
			t.Errorf("have error %v, want %q", err, want)
		}
	}
}

// TestSettingsAreChecked reads a whole network with a wrong setting, and with the right one.
func TestSettingsAreChecked(t *testing.T) {
	for stride, want := range map[int]string{2: "", 4: "layer pool3/3x3_s2: want pooling_param.stride 2, have 4"} {
		layers := []caffeLayer{{name: "pool3/3x3_s2", kind: "Pooling", field: poolingParam, parameters: pooling(0, 3, stride, 0)}}
		tensors := tensorsOf(BVLC, 3)
		for i := 0; i < len(tensors); i += 2 { // weights and bias
			layers = append(layers, caffeLayer{name: strings.TrimSuffix(tensors[i].name, ".weight"), kind: "Convolution", blobs: tensors[i : i+2]})
		}
		layers[len(layers)-1].kind = "InnerProduct"
		layers = append(layers, caffeLayer{name: "loss1/fc", kind: "InnerProduct", blobs: []stored{{shape: []int{4, 2}}, {shape: []int{4}}}})
		g, err := GoogLeNet(caffeNet(t, layers...), 96)
		if want == "" && err != nil || want != "" && (err == nil || g != nil || !strings.HasSuffix(err.Error(), want)) {
			t.Errorf("stride %d of pool3: error %v, want %q", stride, err, want)
		}
	}
}
