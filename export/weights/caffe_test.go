package weights

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"slices"
	"testing"
)

// A message is one in protobuf's encoding; its methods add a field.
type message []byte

func (m message) tag(number, wire int) message {
	return binary.AppendUvarint(m, uint64(number<<3|wire))
}

func (m message) varint(number int, values ...int64) message {
	for _, v := range values {
		m = binary.AppendUvarint(m.tag(number, wireVarint), uint64(v))
	}
	return m
}

func (m message) bytes(number int, contents []byte) message {
	return append(binary.AppendUvarint(m.tag(number, wireBytes), uint64(len(contents))), contents...)
}

func (m message) text(number int, texts ...string) message {
	for _, s := range texts {
		m = m.bytes(number, []byte(s))
	}
	return m
}

func (m message) float(number int, values ...float32) message {
	for _, v := range values {
		m = binary.LittleEndian.AppendUint32(m.tag(number, wireFixed32), math.Float32bits(v))
	}
	return m
}

func (m message) double(number int, values ...float64) message {
	for _, v := range values {
		m = binary.LittleEndian.AppendUint64(m.tag(number, wireFixed64), math.Float64bits(v))
	}
	return m
}

// packed adds numbers in one field.
func (m message) packed(number int, values ...uint64) message {
	var all []byte
	for _, v := range values {
		all = binary.AppendUvarint(all, v)
	}
	return m.bytes(number, all)
}

// oldBlob begins a blob with a shape of the older format.
func oldBlob(num, channels, height, width int64) message {
	return message(nil).varint(1, num).varint(2, channels).varint(3, height).varint(4, width)
}

// newBlob begins a blob with a BlobShape.
func newBlob(dims ...uint64) message {
	return message(nil).bytes(7, message(nil).packed(1, dims...))
}

// v1Layer begins a layer of the first format.
func v1Layer(name string, kind int64) message {
	return message(nil).text(2, "in").text(3, name).text(4, name).varint(5, kind)
}

// v2Layer begins a layer of the second format.
func v2Layer(name, kind string) message {
	return message(nil).text(1, name).text(2, kind).text(3, "in").text(4, name)
}

// oneLayer is a network of the first format: an inner product with 3 outputs of 2 inputs, and no bias.
func oneLayer() message {
	blob := oldBlob(1, 1, 3, 2).bytes(5, counting("FloatStorage", 6))
	return message(nil).text(1, "net").bytes(2, v1Layer("fc", 14).bytes(6, blob))
}

// v1Network has what files of the first format have.
func v1Network() message {
	convolution := v1Layer("conv1/7x7_s2", 4).
		bytes(6, oldBlob(1, 3, 2, 1).bytes(5, counting("FloatStorage", 6)).bytes(6, make([]byte, 24))). // with a gradient
		bytes(6, oldBlob(1, 1, 1, 1).bytes(5, counting("FloatStorage", 1))).
		float(7, 1, 2). // blobs_lr
		bytes(10, message(nil).varint(1, 1).varint(3, 3).varint(4, 7).varint(6, 2).bytes(7, message(nil).text(1, "xavier")))
	return message(nil).text(1, "GoogleNet").
		bytes(2, message(nil).text(3, "data", "label").text(4, "data").varint(5, 5).bytes(11, message(nil).varint(4, 32))).
		bytes(2, convolution).
		bytes(2, v1Layer("relu", 18).bytes(30, message(nil).float(1, 0.5))).
		bytes(2, v1Layer("pool", 17).bytes(19, message(nil).varint(1, 1).varint(2, 7).varint(3, 1))).
		bytes(2, v1Layer("norm", 15).bytes(18, message(nil).varint(1, 5).float(2, 1e-4).float(3, 0.75))).
		bytes(2, v1Layer("concat", 3).bytes(9, message(nil).varint(2, -3))).
		bytes(2, v1Layer("fc", 14).
			bytes(6, oldBlob(1, 1, 1, 4).bytes(5, counting("FloatStorage", 4))).
			bytes(6, oldBlob(1, 1, 1, 1).bytes(5, counting("FloatStorage", 1))).
			bytes(17, message(nil).varint(1, 1).varint(2, 0))).
		bytes(2, v1Layer("unknown", 99))
}

// v2Network has what files of the second format have, and the ways of storing values that no writer uses any more.
func v2Network() message {
	return message(nil).text(1, "net").text(3, "data").varint(4, 1, 3, 224, 224).varint(5, 1).
		varint(11, 1).    // a field of a fork
		packed(50, 1, 2). // and another
		bytes(100, v2Layer("data", "Input").text(4, "label").varint(10, 1)).
		bytes(100, v2Layer("packed", "Convolution").
			bytes(7, newBlob(2, 1, 1, 2).bytes(5, counting("FloatStorage", 4))).
			bytes(7, newBlob(2).bytes(5, counting("FloatStorage", 2))).
			bytes(106, message(nil).packed(4, 3, 3).varint(3, 1, 1).packed(6, 1).varint(6, 2).varint(18, 2))).
		bytes(100, v2Layer("unpacked", "InnerProduct").
			bytes(7, message(nil).float(5, 1, 2, 3, 4, 5, 6).bytes(7, message(nil).varint(1, 2, 3))).
			bytes(7, newBlob(2).double(8, 0.1, -2))).
		bytes(100, v2Layer("double", "BatchNorm").
			bytes(7, newBlob(3).bytes(8, counting("DoubleStorage", 3))).
			bytes(7, newBlob().bytes(5, counting("FloatStorage", 1))).
			bytes(7, newBlob(2, 0).bytes(5, nil))).
		bytes(100, v2Layer("old", "Convolution").
			bytes(7, newBlob(9).bytes(5, counting("FloatStorage", 2)).varint(2, 1).varint(1, 1).varint(3, 2).varint(4, 1)))
}

// TestCaffe reads every tensor and layer of both formats.
func TestCaffe(t *testing.T) {
	for _, test := range []struct {
		name    string
		data    message
		tensors map[string]string // by name: shape and values
		layers  []Layer
	}{
		{"first format", v1Network(), map[string]string{
			"conv1/7x7_s2.weight": "[1 3 2 1] [-3 -2 -1 0 1 2]",
			"conv1/7x7_s2.bias":   "[1] [-3]",
			"fc.weight":           "[1 4] [-3 -2 -1 0]",
			"fc.bias":             "[1] [-3]",
		}, []Layer{
			{Name: "data", Type: "Data", Tops: []string{"data", "label"}},
			{Name: "conv1/7x7_s2", Type: "Convolution", Bottoms: []string{"in"}, Tops: []string{"conv1/7x7_s2"}, Settings: map[string]float64{
				"convolution_param.num_output": 1, "convolution_param.pad": 3, "convolution_param.kernel_size": 7, "convolution_param.stride": 2}},
			{Name: "relu", Type: "ReLU", Bottoms: []string{"in"}, Tops: []string{"relu"}, Settings: map[string]float64{"relu_param.negative_slope": 0.5}},
			{Name: "pool", Type: "Pooling", Bottoms: []string{"in"}, Tops: []string{"pool"}, Settings: map[string]float64{
				"pooling_param.pool": 1, "pooling_param.kernel_size": 7, "pooling_param.stride": 1}},
			{Name: "norm", Type: "LRN", Bottoms: []string{"in"}, Tops: []string{"norm"}, Settings: map[string]float64{
				"lrn_param.local_size": 5, "lrn_param.alpha": 1e-4, "lrn_param.beta": 0.75}},
			{Name: "concat", Type: "Concat", Bottoms: []string{"in"}, Tops: []string{"concat"}, Settings: map[string]float64{"concat_param.axis": -3}},
			{Name: "fc", Type: "InnerProduct", Bottoms: []string{"in"}, Tops: []string{"fc"}, Settings: map[string]float64{
				"inner_product_param.num_output": 1, "inner_product_param.bias_term": 0}},
			{Name: "unknown", Type: "type 99", Bottoms: []string{"in"}, Tops: []string{"unknown"}},
		}},
		{"second format", v2Network(), map[string]string{
			"packed.weight":   "[2 1 1 2] [-3 -2 -1 0]",
			"packed.bias":     "[2] [-3 -2]",
			"unpacked.weight": "[2 3] [1 2 3 4 5 6]",
			"unpacked.bias":   "[2] [0.1 -2]",
			"double.weight":   "[3] [-3 -2 -1]",
			"double.bias":     "[] [-3]",
			"double.blob2":    "[2 0] []",
			"old.weight":      "[1 1 2 1] [-3 -2]",
		}, []Layer{
			{Name: "data", Type: "Input", Bottoms: []string{"in"}, Tops: []string{"data", "label"}},
			{Name: "packed", Type: "Convolution", Bottoms: []string{"in"}, Tops: []string{"packed"}, Settings: map[string]float64{
				"convolution_param.kernel_size": 3, "convolution_param.pad": 1, "convolution_param.stride_h": 1,
				"convolution_param.stride_w": 2, "convolution_param.dilation": 2}},
			{Name: "unpacked", Type: "InnerProduct", Bottoms: []string{"in"}, Tops: []string{"unpacked"}},
			{Name: "double", Type: "BatchNorm", Bottoms: []string{"in"}, Tops: []string{"double"}},
			{Name: "old", Type: "Convolution", Bottoms: []string{"in"}, Tops: []string{"old"}},
		}},
	} {
		set := mustRead(t, test.data)
		if set.Format != formatCaffe || len(set.Names()) != len(test.tensors) {
			t.Errorf("%s: format %q and tensors %v, want %q and %d tensors", test.name, set.Format, set.Names(), formatCaffe, len(test.tensors))
		}
		for name, want := range test.tensors {
			have, err := set.Tensor(name)
			if err != nil || fmt.Sprint(have.Shape, have.Data) != want {
				t.Errorf("%s: %s is %v %v, error %v, want %s", test.name, name, have.Shape, have.Data, err, want)
			}
		}
		compareLayers(t, test.name, set.Layers(), test.layers)
	}
}

// compareLayers takes a layer without settings as equal to one with an empty map.
func compareLayers(t *testing.T, name string, have, want []Layer) {
	t.Helper()
	if len(have) != len(want) {
		t.Fatalf("%s: %d layers, want %d", name, len(have), len(want))
	}
	for i := range want {
		if want[i].Settings == nil {
			want[i].Settings = map[string]float64{}
		}
		if !reflect.DeepEqual(have[i], want[i]) {
			t.Errorf("%s: layer %d is %+v, want %+v", name, i, have[i], want[i])
		}
	}
}

// TestLayersAreCopies changes what Layers gave.
func TestLayersAreCopies(t *testing.T) {
	set := mustRead(t, v1Network())
	layers := set.Layers()
	layers[1].Name, layers[1].Bottoms[0], layers[1].Tops[0] = "a", "b", "c"
	layers[1].Settings["convolution_param.pad"] = 8
	again := set.Layers()[1]
	if again.Name != "conv1/7x7_s2" || again.Bottoms[0] != "in" || again.Tops[0] != "conv1/7x7_s2" || again.Settings["convolution_param.pad"] != 3 {
		t.Errorf("layer 1 is %+v after a change to a copy of it", again)
	}
	if layers := mustRead(t, saveLegacy(one("fc.bias"))).Layers(); layers != nil {
		t.Errorf("a state dict has layers: %v", layers)
	}
}

// A walked is one field of a message, as a walk that knows nothing of Caffe finds it.
type walked struct {
	number   uint64
	value    uint64
	contents []byte
}

// walk takes a message of varints and lengths apart, which is all that the real file's messages hold.
func walk(t *testing.T, data []byte) []walked {
	t.Helper()
	next := func() uint64 {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			t.Fatal("the file has a bad varint")
		}
		data = data[n:]
		return v
	}
	var fields []walked
	for len(data) > 0 {
		tag := next()
		f := walked{number: tag >> 3, value: next()}
		switch tag & 7 {
		case 0:
		case 2:
			f.contents, data = data[:f.value], data[f.value:]
		default:
			t.Fatalf("the file has wire type %d", tag&7)
		}
		fields = append(fields, f)
	}
	return fields
}

// TestCaffeRealFile compares BVLC's GoogLeNet with an independent walk over the file, and with figures got by hand.
func TestCaffeRealFile(t *testing.T) {
	data, err := os.ReadFile(sharedFile(t, "bvlc_googlenet.caffemodel"))
	if err != nil {
		t.Fatal(err)
	}
	set := openShared(t, "bvlc_googlenet.caffemodel")
	layers, tensors := set.Layers(), 0
	for _, top := range walk(t, data) {
		if top.number != 2 {
			continue
		}
		l := layers[0]
		layers = layers[1:]
		suffixes := []string{".weight", ".bias"}
		for _, f := range walk(t, top.contents) {
			switch f.number {
			case 2, 3, 4:
				have := [][]string{2: l.Bottoms, 3: l.Tops, 4: {l.Name}}[f.number]
				if !slices.Equal(have, []string{string(f.contents)}) {
					t.Errorf("field %d of %s is %q, want %q", f.number, l.Name, have, f.contents)
				}
			case 5:
				if want := map[uint64]string{4: "Convolution", 14: "InnerProduct"}[f.value]; l.Type != want {
					t.Errorf("%s is a layer of type %q, want %q", l.Name, l.Type, want)
				}
			case 6:
				compareBlob(t, set, l.Name+suffixes[0], walk(t, f.contents))
				suffixes = suffixes[1:]
				tensors++
			}
		}
	}
	if len(layers) != 0 || tensors != 2*58 || len(set.Names()) != tensors {
		t.Errorf("%d layers too many; %d tensors, want %d, which is %d", len(layers), len(set.Names()), tensors, 2*58)
	}
	for _, want := range []struct {
		name        string
		shape       []int
		first, last float32
		sum         float64
	}{
		{"conv1/7x7_s2.weight", []int{64, 3, 7, 7}, 0.08820479363203049, 0.1014004722237587, 0.32196197781104274},
		{"conv1/7x7_s2.bias", []int{64}, -2.527230739593506, -7.981038570404053, -75.58187857270241},
		{"inception_4d/5x5.weight", []int{64, 32, 5, 5}, -0.02168976701796055, 0.0318385511636734, -157.68650128525928},
		{"loss3/classifier.weight", []int{1000, 1024}, 0.054215118288993835, 0.03032362274825573, -2.4061593933056145},
		{"loss3/classifier.bias", []int{1000}, -0.9566079378128052, 0.5850247144699097, -0.1245038038759958},
	} {
		have, err := set.Tensor(want.name)
		if err != nil {
			t.Fatal(err)
		}
		var sum float64
		for _, v := range have.Data {
			sum += float64(v)
		}
		first, last := have.Data[0], have.Data[len(have.Data)-1]
		if !slices.Equal(have.Shape, want.shape) || first != want.first || last != want.last || math.Abs(sum-want.sum) > 1e-9 {
			t.Errorf("%s is %v, %v to %v, sum %v, want %+v", want.name, have.Shape, first, last, sum, want)
		}
	}
}

// compareBlob compares a tensor with the fields of its blob.
func compareBlob(t *testing.T, set *Set, name string, blob []walked) {
	t.Helper()
	have, err := set.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	count := 1
	for _, n := range have.Shape {
		count *= n
	}
	for _, f := range blob {
		switch {
		case f.number < 5:
			if at := int(f.number) - 5 + len(have.Shape); at >= 0 && have.Shape[at] != int(f.value) || at < 0 && f.value != 1 {
				t.Errorf("%s: shape %v, but field %d is %d", name, have.Shape, f.number, f.value)
			}
		case f.number == 5:
			if len(f.contents) != 4*count || len(have.Data) != count {
				t.Fatalf("%s: %d values of shape %v, want %d", name, len(have.Data), have.Shape, len(f.contents)/4)
			}
			for i, v := range have.Data {
				if math.Float32bits(v) != binary.LittleEndian.Uint32(f.contents[4*i:]) {
					t.Fatalf("%s: value %d is %v, which is not in the file", name, i, v)
				}
			}
		}
	}
}

// TestCaffeLeavesValues tests that opening does not take the 28 MB of the values into memory.
func TestCaffeLeavesValues(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector changes allocations")
	}
	path := sharedFile(t, "bvlc_googlenet.caffemodel")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	set, err := Open(path)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<20 {
		t.Errorf("%d bytes were allocated, want at most %d", taken, 1<<20)
	}
}
