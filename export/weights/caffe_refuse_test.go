package weights

import (
	"archive/tar"
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// inLayer makes a network of one layer of the first format, an inner product called fc, with more fields behind its type.
func inLayer(more message) message {
	return message(nil).text(1, "net").bytes(2, append(v1Layer("fc", 14), more...))
}

// inBlob makes a network whose only blob is this message.
func inBlob(blob message) message { return inLayer(message(nil).bytes(6, blob)) }

func TestCaffeRefusals(t *testing.T) {
	three := counting("FloatStorage", 3)
	parameters := func(m message) message { return inLayer(message(nil).bytes(10, m)) }
	v2 := func(m message) message { return message(nil).bytes(100, append(v2Layer("fc", "InnerProduct"), m...)) }
	for _, test := range []struct {
		name string
		data message
		want string
	}{
		{"no blobs", inLayer(nil), "it holds no tensors: none of its 1 layers has blobs"},
		{"no values", inBlob(oldBlob(1, 1, 1, 3)), `layer 0: tensor "fc.weight": shape [1 3] has no values`},
		{"too few values", inBlob(oldBlob(1, 1, 2, 2).bytes(5, three)), "12 bytes are stored, shape [2 2] of float32 needs another number"},
		{"too many values", inBlob(oldBlob(1, 1, 1, 2).bytes(5, three)), "12 bytes are stored, shape [1 2] of float32 needs another number"},
		{"unpacked values", inBlob(newBlob(2).float(5, 1, 2, 3)), "15 bytes are stored, shape [2] of float32 needs another number"},
		{"odd bytes", inBlob(newBlob(3).bytes(5, three[1:])), "11 bytes are stored"},
		{"no shape", inBlob(message(nil).bytes(5, three)), "12 bytes are stored, shape [] of float32 needs another number"},
		{"negative shape", inBlob(oldBlob(1, 1, -3, -1).bytes(5, three)), "want dimensions from 0 to 1073741824"},
		{"huge shape", inBlob(oldBlob(1<<30, 1<<30, 1<<30, 1<<30).bytes(5, three)), "needs another number"},
		{"huge rank", inBlob(newBlob(1, 1, 1, 1, 1, 1, 1, 1, 3).bytes(5, three)), "read its shape: byte 25: field 1 has more than 8 numbers"},
		{"shape's type", inBlob(message(nil).varint(7, 3).bytes(5, three)), "field 7 has wire type 0, want 2"},
		{"dimension's type", inBlob(newBlob(3).float(1, 3).bytes(5, three)), "field 1 has wire type 5, want 0"},
		{"shape's dimension", inBlob(message(nil).bytes(7, message(nil).float(1, 3)).bytes(5, three)), "field 1 has wire type 5, want 0"},
		{"two pieces", inBlob(newBlob(6).bytes(5, three).bytes(5, three)), "its values lie in several pieces"},
		{"packed and not", inBlob(newBlob(4).bytes(5, three).float(5, 1)), "its values lie in several pieces"},
		{"not packed and packed", inBlob(newBlob(4).float(5, 1).bytes(5, three)), "its values lie in several pieces"},
		{"gap", inBlob(newBlob(2).float(5, 1).varint(3, 1).float(5, 2)), "its values lie in several pieces"},
		{"long tag", inBlob(append(newBlob(2).float(5, 1), "\xad\x00\x00\x00\x80\x3f"...)), "its values lie in several pieces"},
		{"both types", inBlob(newBlob(3).bytes(5, three).bytes(8, three)), "its values lie in several pieces"},
		{"values' type", inBlob(newBlob(3).varint(5, 1<<21)), "its values lie in several pieces"},
		{"blob's type", inLayer(message(nil).varint(6, 1)), "field 6 has wire type 0, want 2"},
		{"layer's type", append(oneLayer(), message(nil).varint(2, 7)...), "layer 1: byte 57: field 2 has wire type 0, want 2"},
		{"type's type", append(oneLayer(), message(nil).bytes(2, message(nil).text(5, "fc"))...), "field 5 has wire type 2, want 0"},
		{"name's type", append(oneLayer(), message(nil).bytes(2, message(nil).varint(4, 1))...), "field 4 has wire type 0, want 2"},
		{"no name", append(oneLayer(), message(nil).bytes(2, message(nil).varint(5, 4))...), `its name is "" and its type "Convolution", want both`},
		{"no type", append(oneLayer(), message(nil).bytes(2, message(nil).text(4, "fc2"))...), `its name is "fc2" and its type "", want both`},
		{"name", v2(message(nil).text(3, "\xff")), `a name is "\xff", want UTF-8`},
		{"long name", v2(message(nil).text(3, strings.Repeat("a", maxName+1))), "a name has 1025 bytes, want at most 1024"},
		{"long tensor name", message(nil).bytes(100, v2Layer(strings.Repeat("a", maxName), "Scale").bytes(7, newBlob(3).bytes(5, three))),
			"name has 1031 bytes, want at most 1024"},
		{"twice", append(oneLayer(), oneLayer()...), `layer 1: tensor "fc.weight" is there twice`},
		{"group", inLayer(message(nil).tag(77, 3).tag(77, 4)), "field 77 has wire type 3, want 0, 1, 2 or 5"},
		{"end of message", inLayer(message(nil).bytes(77, nil).tag(77, wireFixed32)), "field 77 has 4 bytes, 0 are left: the file is cut off or damaged"},
		{"long varint", inLayer(append(message(nil).tag(77, 0), bytes.Repeat([]byte{0xff}, 11)...)), "want a varint: the file is cut off or damaged"},
		{"long blob", inLayer(claim(6, 1<<40)), "field 6 has 1099511627776 bytes, 0 are left"},
		{"two settings", parameters(message(nil).varint(1, 1, 2)), `"fc": convolution_param.num_output is [1 2], want one value`},
		{"three kernels", parameters(message(nil).varint(4, 1, 2, 3)), "convolution_param.kernel_size is [1 2 3], want one value"},
		{"kernels", parameters(message(nil).varint(4, 1, 2).varint(11, 1)), "convolution_param.kernel_size is [1 2], want one value"},
		{"empty list", parameters(message(nil).packed(4)), "convolution_param.kernel_size is [], want one value"},
		{"not a number", parameters(message(nil).double(4, 1)), "convolution_param.kernel_size: byte 23: field 4 has wire type 1, want 0"},
		{"many values", parameters(message(nil).varint(4, 1, 1, 1, 1, 1, 1, 1, 1, 1)), "convolution_param.kernel_size has 9 values, want at most 8"},
		{"many packed values", parameters(message(nil).bytes(4, make([]byte, 999))), "field 4 has more than 8 numbers"},
		{"parameters' type", inLayer(message(nil).varint(10, 1)), "field 10 has wire type 0, want 2"},
	} {
		wantError(t, test.name, test.data, test.want)
	}
}

// claim is the beginning of a field of n bytes.
func claim(number, n int) message {
	field := message(nil).tag(number, wireBytes)
	return append(field, message(nil).varint(0, int64(n))[1:]...)
}

// manyLayers has more layers than are read, each with all settings.
func manyLayers() message {
	layer := v1Layer("fc", 14)
	for number, table := range layerFormats[2].parameters {
		var m message
		for field := range table.names {
			m = m.varint(int(field), 1)
		}
		layer = layer.bytes(int(number), m)
	}
	return bytes.Repeat(message(nil).bytes(2, layer), maxLayers+1)
}

// manyNames has one layer with more bottoms than are read.
func manyNames() message { return inLayer(bytes.Repeat(message(nil).text(2, ""), 1<<20)) }

// manyBlobs has layers with as many tensors as are read, and one more.
func manyBlobs() message {
	var m message
	blobs := bytes.Repeat(message(nil).bytes(6, newBlob(0).bytes(5, nil)), maxLayerBlobs)
	for i := range maxTensors/maxLayerBlobs + 1 {
		m = m.bytes(2, append(v1Layer(strconv.Itoa(i), 14), blobs...))
	}
	return m
}

func TestCaffeCounts(t *testing.T) {
	wantError(t, "layers", manyLayers(), "want at most 4096 layers")
	wantError(t, "names", manyNames(), "the names in the layers have more than 4194304 bytes")
	wantError(t, "tensors", manyBlobs(), "want at most 16384 tensors")
	wantError(t, "blobs", inLayer(bytes.Repeat(message(nil).bytes(6, nil), maxLayerBlobs+1)), `"fc" has more than 16 blobs`)
}

// tarFile makes a tar file of these empty entries.
func tarFile(t *testing.T, format tar.Format, names ...string) []byte {
	t.Helper()
	var file bytes.Buffer
	w := tar.NewWriter(&file)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Format: format}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// TestOtherModels refuses what is no weights file, or one of another program, with what to do.
func TestOtherModels(t *testing.T) {
	node := message(nil).text(1, "input").text(2, "Placeholder").bytes(5, message(nil).text(1, "dtype"))
	operator := message(nil).text(1, "data").text(2, "conv1").text(3, "").text(4, "Conv")
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"prototxt", []byte("name: \"GoogleNet\"\ninput: \"data\"\nlayer {\n  name: \"conv1/7x7_s2\"\n"), "(.prototxt), without weights: want its .caffemodel"},
		{"old prototxt", []byte("# GoogLeNet\r\nlayers  {\r\n  name: \"data\"\r\n"), "want its .caffemodel"},
		{"prototxt behind a line", []byte("\nname: \"GoogleNet\"\nlayer{"), "want its .caffemodel"},
		{"text on layers", []byte("each layer { has a name }\n"), "none of the formats that are read: PyTorch's .pth (zip or legacy), .safetensors and Caffe's .caffemodel"},
		{"binary without layers", message(nil).text(1, "net").varint(7, 1), "none of the formats"},
		{"name alone", message(nil).text(1, "net"), "none of the formats"},
		{"control characters", message(nil).text(1, "a\x01b").bytes(2, v1Layer("fc", 14)), "none of the formats"},
		{"long before layers", append(message(nil).varint(4, make([]int64, maxPreamble)...), oneLayer()...), "none of the formats"},
		{"Caffe2", message(nil).text(1, "net").bytes(2, operator).bytes(2, operator), "none of the formats"},
		{"ONNX", message(nil).varint(1, 8).text(2, "pytorch").text(3, "2.1").bytes(7, message(nil).bytes(1, node)).bytes(8, nil), "it is an ONNX model"},
		{"SavedModel", message(nil).varint(1, 1).bytes(2, message(nil).bytes(1, nil)), "it is a TensorFlow SavedModel"},
		{"frozen graph", message(nil).bytes(1, node).bytes(1, node).bytes(4, message(nil).varint(1, 440)), "it is a TensorFlow graph"},
		{"TensorFlow Lite", []byte("\x1c\x00\x00\x00TFL3\x14\x00\x20\x00"), "it is a TensorFlow Lite model"},
		{"NumPy", []byte("\x93NUMPY\x01\x00v\x00{'descr'"), "it is a NumPy array"},
		{"PyTorch 0.1", tarFile(t, tar.FormatPAX, "sys_info", "pickle", "tensors", "storages"), "it is of torch.save's first format, a tar file (PyTorch 0.1): load and save it again with a current PyTorch"},
		{"PyTorch 0.1, repacked", tarFile(t, tar.FormatGNU, "pickle", "storages"), "torch.save's first format"},
		{"tar", tarFile(t, tar.FormatUSTAR, "googlenet.pth"), "it is a tar archive: unpack it"},
		{"tar of many", tarFile(t, tar.FormatUSTAR, append(slices.Repeat([]string{"a"}, 8), "sys_info")...), "it is a tar archive"},
		{"tar's beginning", tarFile(t, tar.FormatUSTAR, "googlenet.pth")[:300], "it is a tar archive"},
	} {
		wantError(t, test.name, test.data, test.want)
	}
}
