package tflitefile

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
)

func mustBytes(t testing.TB, m *Model) []byte {
	t.Helper()
	data, err := m.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReadGivesBackWhatWasWritten(t *testing.T) {
	bare := newFloatNet().model
	bare.Metadata, bare.MinRuntime, bare.Description, bare.InputNames, bare.OutputNames = nil, "", "", nil, nil
	models := map[string]*Model{
		"float with metadata":    newFloatNet().model,
		"int8 without signature": newInt8Net().model,
		"bare":                   bare,
	}
	for _, c := range operatorCases() {
		models[c.name] = c.model()
	}
	for name, m := range models {
		t.Run(name, func(t *testing.T) {
			data := mustBytes(t, m)
			back, err := Read(data)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(back, m) {
				var have, want bytes.Buffer
				if err := errors.Join(Dump(&have, back), Dump(&want, m)); err != nil {
					t.Fatal(err)
				}
				t.Errorf("read back:\n%s\nwant:\n%s", &have, &want)
			}
			if again := mustBytes(t, back); !bytes.Equal(again, data) {
				t.Errorf("written again: %d bytes that differ from the first %d", len(again), len(data))
			}
		})
	}
}

func TestWritingDoesNotDependOnTheRun(t *testing.T) {
	first := mustBytes(t, newFloatNet().model)
	for range 5 {
		if again := mustBytes(t, newFloatNet().model); !bytes.Equal(again, first) {
			t.Fatal("the same model gave other bytes")
		}
	}
}

func TestBuffersAreAligned(t *testing.T) {
	m := newInt8Net().model
	m.Description = "of an odd length"
	in, root, err := openTable(mustBytes(t, m), modelIdentifier)
	if err != nil {
		t.Fatal(err)
	}
	full := 0
	for i, buffer := range root.tables(slotModelBuffers) {
		first, n := buffer.vector(slotBufferData, 1)
		if i == 0 && n != 0 {
			t.Errorf("buffer 0 has %d bytes: want none", n)
		}
		if n == 0 {
			continue
		}
		full++
		if first%16 != 0 {
			t.Errorf("buffer %d begins at %d: want a multiple of 16", i, first)
		}
	}
	if in.err != nil {
		t.Fatal(in.err)
	}
	if want := 7 + 2; full != want { // constants, run time version, metadata
		t.Errorf("%d buffers with data: want %d", full, want)
	}
}

func TestZipOfAssociatedFiles(t *testing.T) {
	m := newFloatNet().model
	data := mustBytes(t, m)
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.File) != len(m.Metadata.Files) {
		t.Fatalf("%d entries: want %d", len(archive.File), len(m.Metadata.Files))
	}
	for i, entry := range archive.File {
		want := m.Metadata.Files[i]
		if entry.Name != want.Name || entry.Method != zip.Store || entry.Flags&8 != 0 {
			t.Errorf("entry %d is %q, method %d, flags %#x: want %q, stored, no data descriptor", i, entry.Name, entry.Method,
				entry.Flags, want.Name)
		}
		offset, err := entry.DataOffset()
		if err != nil {
			t.Fatal(err)
		}
		if have := data[offset : offset+int64(len(want.Data))]; !bytes.Equal(have, want.Data) {
			t.Errorf("%s at %d of the file: %q: want %q", want.Name, offset, have, want.Data)
		}
		r, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		have, err := io.ReadAll(r) // tests the checksum
		if err != nil || !bytes.Equal(have, want.Data) {
			t.Errorf("%s: %q, %v: want %q", want.Name, have, err, want.Data)
		}
	}
}

// failAfter fails once n bytes have been written.
type failAfter struct{ n int }

var errFull = errors.New("disk full")

func (w *failAfter) Write(p []byte) (int, error) {
	if len(p) > w.n {
		return w.n, errFull
	}
	w.n -= len(p)
	return len(p), nil
}

func TestWriteToReportsBytesAndErrors(t *testing.T) {
	m := newFloatNet().model
	size := len(mustBytes(t, m))
	flatbuffer := len(m.flatbuffer())
	for _, test := range []struct {
		room int
		want int64
		err  error
	}{
		{0, 0, errFull},
		{flatbuffer - 1, int64(flatbuffer - 1), errFull},
		{flatbuffer, int64(flatbuffer), errFull},
		{size - 1, int64(size - 1), errFull},
		{size, int64(size), nil},
	} {
		if n, err := m.WriteTo(&failAfter{test.room}); n != test.want || !errors.Is(err, test.err) {
			t.Errorf("room for %d: wrote %d, %v: want %d, %v", test.room, n, err, test.want, test.err)
		}
	}
	m.Outputs = nil
	var out bytes.Buffer
	if n, err := m.WriteTo(&out); n != 0 || err == nil || out.Len() != 0 {
		t.Errorf("an invalid model: wrote %d bytes, %v: want none and an error", out.Len(), err)
	}
}

func TestOperatorVersions(t *testing.T) {
	float := func(shape ...int) Tensor { return Tensor{Type: Float32, Shape: shape} }
	int8s := func(scale float32) Tensor { return Tensor{Type: Int8, Shape: []int{1, 4}, Quant: perTensor(scale, 0)} }
	for _, test := range []struct {
		name    string
		op      Operator
		tensors []Tensor // inputs, then the output
		want    int
	}{
		{"conv float", Operator{Code: OpConv2D}, []Tensor{float(), float(), float(), float()}, 1},
		{"conv int8", Operator{Code: OpConv2D}, []Tensor{int8s(1), int8s(1), float(), int8s(1)}, 3},
		{"depthwise float", Operator{Code: OpDepthwiseConv2D, Options: DepthwiseConv2DOptions{DilationW: 1}},
			[]Tensor{float(), float(), float()}, 1},
		{"depthwise dilated", Operator{Code: OpDepthwiseConv2D, Options: DepthwiseConv2DOptions{DilationW: 2}},
			[]Tensor{float(), float(), float()}, 2},
		{"depthwise int8", Operator{Code: OpDepthwiseConv2D, Options: DepthwiseConv2DOptions{DilationW: 2}},
			[]Tensor{int8s(1), int8s(1), int8s(1)}, 3},
		{"fc float", Operator{Code: OpFullyConnected}, []Tensor{float(), float(), float(), float()}, 1},
		{"fc int8", Operator{Code: OpFullyConnected}, []Tensor{int8s(1), int8s(1), float(), int8s(1)}, 4},
		{"fc keeping dims", Operator{Code: OpFullyConnected, Options: FullyConnectedOptions{KeepNumDims: true}},
			[]Tensor{int8s(1), int8s(1), float(), int8s(1)}, 5},
		{"fc without bias", Operator{Code: OpFullyConnected}, []Tensor{int8s(1), int8s(1), int8s(1)}, 6},
		{"mul float", Operator{Code: OpMul}, []Tensor{float(), float(), float()}, 1},
		{"mul int8", Operator{Code: OpMul}, []Tensor{int8s(0.5), int8s(0.5), int8s(0.5)}, 2},
		{"mul int8 rescaled up", Operator{Code: OpMul}, []Tensor{int8s(1), int8s(0.5), int8s(0.5)}, 3},
		{"pad of rank 5", Operator{Code: OpPad}, []Tensor{float(1, 1, 1, 1, 1), float(), float()}, 4},
		{"pad int8", Operator{Code: OpPad}, []Tensor{int8s(1), float(), int8s(1)}, 2},
		{"dequantize float16", Operator{Code: OpDequantize}, []Tensor{{Type: Float16}, float()}, 3},
		{"dequantize int8", Operator{Code: OpDequantize}, []Tensor{int8s(1), float()}, 2},
		{"dequantize uint8", Operator{Code: OpDequantize}, []Tensor{{Type: UInt8}, float()}, 1},
		{"quantize", Operator{Code: OpQuantize}, []Tensor{int8s(1), int8s(1)}, 1},
		{"reshape int8", Operator{Code: OpReshape}, []Tensor{int8s(1), int8s(1)}, 1},
		{"softmax int8", Operator{Code: OpSoftmax}, []Tensor{int8s(1), int8s(1)}, 2},
		{"given", Operator{Code: OpSoftmax, Version: 7}, []Tensor{int8s(1), int8s(1)}, 7},
		{"no tensors", Operator{Code: OpSoftmax}, nil, 1},
	} {
		m := &Model{Tensors: test.tensors, Operators: []Operator{test.op}}
		for i := range max(len(test.tensors)-1, 0) {
			m.Operators[0].Inputs = append(m.Operators[0].Inputs, i)
			m.Operators[0].Outputs = []int{i + 1}
		}
		if have := m.OperatorVersion(0); have != test.want {
			t.Errorf("%s: version %d: want %d", test.name, have, test.want)
		}
	}
}
