package tflitefile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"
)

// stranger builds a file with what this package doesn't write: a custom operator, unknown options, an operator code in
// one field only, a quantization without scales, and two subgraphs if asked for.
func stranger(subgraphs int) []byte {
	b := builder{flatbuffers.NewBuilder(0)}
	buffers := b.offsets([]flatbuffers.UOffsetT{b.buffer(nil), b.buffer([]byte{1, 2, 3, 4})})
	custom := b.text("TFLite_Detection")
	b.StartObject(numOperatorCodeSlots)
	b.PrependInt8Slot(slotOperatorCodeDeprecated, int8(OpCustom), 0)
	b.PrependUOffsetTSlot(slotOperatorCodeCustom, custom, 0)
	codes := []flatbuffers.UOffsetT{b.EndObject()}
	b.StartObject(numOperatorCodeSlots)
	b.PrependInt8Slot(slotOperatorCodeDeprecated, placeholderCode, 0)
	b.PrependInt32Slot(slotOperatorCodeBuiltin, 150, 0)
	codes = append(codes, b.EndObject())
	codeVector := b.offsets(codes)

	b.StartObject(numQuantizationSlots)
	quantization := b.EndObject()
	shape := b.ints([]int{1, -4})
	b.StartObject(numTensorSlots)
	b.PrependUOffsetTSlot(slotTensorShape, shape, 0)
	b.PrependInt8Slot(slotTensorType, 17, 0)
	b.PrependUint32Slot(slotTensorBuffer, 1, 0)
	b.PrependUOffsetTSlot(slotTensorQuantization, quantization, 0)
	tensors := b.offsets([]flatbuffers.UOffsetT{b.EndObject()})

	inputs, outputs := b.ints([]int{0, -1}), b.ints([]int{0})
	b.StartObject(0)
	options := b.EndObject()
	var operators []flatbuffers.UOffsetT
	for code := range 2 {
		b.StartObject(numOperatorSlots)
		b.PrependUint32Slot(slotOperatorCodeIndex, uint32(code), 0)
		b.PrependUOffsetTSlot(slotOperatorInputs, inputs, 0)
		b.PrependUOffsetTSlot(slotOperatorOutputs, outputs, 0)
		b.PrependByteSlot(slotOperatorOptionsType, 200, 0)
		b.PrependUOffsetTSlot(slotOperatorOptions, options, 0)
		operators = append(operators, b.EndObject())
	}
	operatorVector := b.offsets(operators)
	b.StartObject(numSubgraphSlots)
	b.PrependUOffsetTSlot(slotSubgraphTensors, tensors, 0)
	b.PrependUOffsetTSlot(slotSubgraphInputs, outputs, 0)
	b.PrependUOffsetTSlot(slotSubgraphOutputs, outputs, 0)
	b.PrependUOffsetTSlot(slotSubgraphOperators, operatorVector, 0)
	subgraph := b.EndObject()
	var list []flatbuffers.UOffsetT
	for range subgraphs {
		list = append(list, subgraph)
	}
	subgraphVector := b.offsets(list)
	b.StartObject(numModelSlots)
	b.PrependUint32Slot(slotModelVersion, modelVersionNumber, 0)
	b.PrependUOffsetTSlot(slotModelOperatorCodes, codeVector, 0)
	b.PrependUOffsetTSlot(slotModelSubgraphs, subgraphVector, 0)
	b.PrependUOffsetTSlot(slotModelBuffers, buffers, 0)
	b.FinishWithFileIdentifier(b.EndObject(), []byte(modelIdentifier))
	return b.FinishedBytes()
}

func TestReadStrangersModel(t *testing.T) {
	have, err := Read(stranger(1))
	if err != nil {
		t.Fatal(err)
	}
	want := &Model{
		Tensors: []Tensor{{Type: 17, Shape: []int{1, -4}, Data: []byte{1, 2, 3, 4}}},
		Operators: []Operator{
			{Code: OpCustom, CustomCode: "TFLite_Detection", Version: 1, Inputs: []int{0, -1}, Outputs: []int{0}},
			{Code: 150, Version: 1, Inputs: []int{0, -1}, Outputs: []int{0}},
		},
		Inputs:  []int{0},
		Outputs: []int{0},
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("have %+v, want %+v", have, want)
	}
}

// patched is the data with the bytes of one place replaced.
func patched(data []byte, at int, with ...byte) []byte {
	data = bytes.Clone(data)
	copy(data[at:], with)
	return data
}

func TestReadRefuses(t *testing.T) {
	good := mustBytes(t, newInt8Net().model)
	in, root, err := openTable(good, modelIdentifier)
	if err != nil {
		t.Fatal(err)
	}
	subgraph := root.tables(slotModelSubgraphs)[0]
	tensor := subgraph.tables(slotSubgraphTensors)[2]
	operator := subgraph.tables(slotSubgraphOperators)[1]
	inputs, _ := subgraph.vector(slotSubgraphInputs, 4)
	operatorInputs, _ := operator.vector(slotOperatorInputs, 4)
	shape, _ := tensor.vector(slotTensorShape, 4)
	buffers, _ := root.vector(slotModelBuffers, 4)
	if in.err != nil {
		t.Fatal(in.err)
	}
	huge := []byte{0xff, 0xff, 0xff, 0xff}
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "0 bytes: want at least 8"},
		{"text", []byte("hello, world"), `identifier "o, w": want "TFL3"`},
		{"a zip", []byte("PK\x03\x04aaaaaaa"), `identifier "aaaa": want "TFL3"`},
		{"another schema version", patched(good, root.field(slotModelVersion), 2), "schema version 2: want 3"},
		{"two subgraphs", stranger(2), "2 subgraphs: want 1"},
		{"no subgraph", stranger(0), "0 subgraphs: want 1"},
		{"a root outside", patched(good, 0, huge...), "offset 4294967295 at 0: want one to before"},
		{"half a file", good[:len(good)/2], "want"},
		{"a vtable outside", patched(good, tensor.pos, 0, 0, 0, 0x80), "vtable at 2147"},
		{"a huge vector", patched(good, shape-4, huge...), "tensor 2: vector of 4294967295 elements"},
		{"an unknown buffer", patched(good, tensor.field(slotTensorBuffer), 100), "tensor 2: buffer 100: want one below 10"},
		{"an unknown operator code", patched(good, operator.field(slotOperatorCodeIndex), 99),
			"operator 1: operator code 99: want one below 8"},
		{"an input that is no tensor", patched(good, inputs, huge...), "input or output is tensor -1: want one of 17"},
		{"an operator on no tensor", patched(good, operatorInputs, 99),
			"operator 1 (CONV_2D): tensor 99: want one of 17"},
		{"broken metadata", bytes.Replace(good, []byte(metadataIdentifier), []byte("M009"), 1),
			`metadata "TFLITE_METADATA": identifier "M009": want "M001"`},
		{"a buffer outside", patched(good, buffers+8, 0xf0, 0xff, 0xff, 0x0f), "want"},
		{"a broken checksum", patched(good, bytes.LastIndex(good, []byte("a\nb\nc")), 'x'),
			`associated file "labels.txt": zip: checksum error`},
	} {
		m, err := Read(test.data)
		if err == nil || m != nil || !strings.HasPrefix(err.Error(), "read model: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v: want an error with %q", test.name, err, test.want)
		}
	}
}

// TestReadBoundsWhatSharedVectorsCost reads a file in which thousands of tensors have the same large shape.
func TestReadBoundsWhatSharedVectorsCost(t *testing.T) {
	const tensors, dimensions = 5000, 20000
	b := builder{flatbuffers.NewBuilder(0)}
	shape := b.ints(make([]int, dimensions))
	var list []flatbuffers.UOffsetT
	for range tensors {
		b.StartObject(numTensorSlots)
		b.PrependUOffsetTSlot(slotTensorShape, shape, 0)
		list = append(list, b.EndObject())
	}
	vector := b.offsets(list)
	b.StartObject(numSubgraphSlots)
	b.PrependUOffsetTSlot(slotSubgraphTensors, vector, 0)
	subgraphs := b.offsets([]flatbuffers.UOffsetT{b.EndObject()})
	b.StartObject(numModelSlots)
	b.PrependUint32Slot(slotModelVersion, modelVersionNumber, 0)
	b.PrependUOffsetTSlot(slotModelSubgraphs, subgraphs, 0)
	b.FinishWithFileIdentifier(b.EndObject(), []byte(modelIdentifier))
	_, err := Read(b.FinishedBytes())
	if want := "contents larger than a file of"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v: want an error with %q", err, want)
	}
}

func TestReadSurvivesEveryChangedByte(t *testing.T) {
	good := mustBytes(t, newFloatNet().model)
	refused := 0
	for at := range good {
		for _, value := range []byte{1, 0xff} {
			if !readAndDump(t, patched(good, at, value)) {
				refused++
			}
		}
	}
	if refused < 100 {
		t.Errorf("%d changed files of %d were refused: want more", refused, 2*len(good))
	}
}

// readAndDump puts the data through all that takes models from strangers, and tells whether Read took it.
func readAndDump(t testing.TB, data []byte) bool {
	t.Helper()
	m, err := Read(data)
	if err != nil {
		return false
	}
	var text bytes.Buffer
	if err := Dump(&text, m); err != nil {
		t.Fatal(err)
	}
	if labels, err := m.Labels(); err == nil && len(labels) > maxFileBytes {
		t.Fatalf("%d labels", len(labels))
	}
	if m.Validate() != nil {
		return true
	}
	back, err := Read(mustBytes(t, m))
	if err != nil {
		t.Fatalf("read again: %v", err)
	}
	var again bytes.Buffer
	if err := Dump(&again, back); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), text.Bytes()) {
		t.Fatalf("written and read again:\n%s\nwas:\n%s", &again, &text)
	}
	return true
}

// withZip is a model's flatbuffer followed by a zip that add fills.
func withZip(t *testing.T, add func(*zip.Writer) error) []byte {
	t.Helper()
	var file bytes.Buffer
	file.Write(newFloatNet().model.flatbuffer())
	w := zip.NewWriter(&file)
	w.SetOffset(0)
	if err := add(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestReadZipsOfStrangers(t *testing.T) {
	entry := func(w *zip.Writer, name string, contents []byte) error {
		e, err := w.Create(name) // deflated, with a data descriptor
		if err != nil {
			return err
		}
		_, err = e.Write(contents)
		return err
	}
	for _, test := range []struct {
		name string
		add  func(*zip.Writer) error
		want string // error; empty: none
	}{
		{"deflated", func(w *zip.Writer) error { return entry(w, "labels.txt", []byte("a\nb")) }, ""},
		{"twice the same name", func(w *zip.Writer) error {
			if err := entry(w, "a", nil); err != nil {
				return err
			}
			return entry(w, "a", nil)
		}, `associated file "a" occurs twice`},
		{"more than it says to hold in memory", func(w *zip.Writer) error {
			return entry(w, "bomb", make([]byte, maxFileBytes+1))
		}, `associated file "bomb": more than 16777216 bytes left of 16777216 for all files`},
		{"many entries", func(w *zip.Writer) error {
			for i := range maxFiles + 1 {
				if err := entry(w, fmt.Sprint(i), nil); err != nil {
					return err
				}
			}
			return nil
		}, "65 associated files: want at most 64"},
	} {
		_, err := Read(withZip(t, test.add))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v: want %q", test.name, err, test.want)
		}
	}
}

func TestLabels(t *testing.T) {
	for _, test := range []struct {
		name, contents string
		want           []string
	}{
		{"no newline at the end", "a\nb", []string{"a", "b"}},
		{"newline at the end", "a\nb\n", []string{"a", "b"}},
		{"carriage returns", "a\r\nb c\r\n", []string{"a", "b c"}},
		{"byte order mark", "\ufeffé\nb", []string{"é", "b"}},
		{"an empty label and a repeated one", "a\n\na\n", []string{"a", "", "a"}},
		{"an empty label at the end", "a\n\n", []string{"a", ""}},
		{"nothing", "", nil},
	} {
		m := &Model{Metadata: &Metadata{
			Outputs: []TensorMetadata{{Name: "features"}, {LabelFile: "l"}},
			Files:   []AssociatedFile{{Name: "card"}, {Name: "l", Data: []byte(test.contents)}},
		}}
		have, err := m.Labels()
		if err != nil || !reflect.DeepEqual(have, test.want) {
			t.Errorf("%s: %q, %v: want %q", test.name, have, err, test.want)
		}
	}
	for want, m := range map[string]*Model{
		"want metadata with a label file for an output, have none":  {},
		"want metadata with a label file for an output, have none ": {Metadata: &Metadata{Outputs: make([]TensorMetadata, 1)}},
		`want associated file "l", have 0 others`:                   {Metadata: &Metadata{Outputs: []TensorMetadata{{LabelFile: "l"}}}},
	} {
		if _, err := m.Labels(); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%v: want an error with %q", err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	float, quantized := mustBytes(f, newFloatNet().model), mustBytes(f, newInt8Net().model)
	f.Add(float)
	f.Add(quantized)
	f.Add(stranger(1))
	f.Add(float[:len(float)/2])
	f.Add(patched(quantized, int(binary.LittleEndian.Uint32(quantized)), 0xff, 0xff, 0xff, 0xff))
	for _, c := range operatorCases() {
		f.Add(mustBytes(f, c.model()))
	}
	f.Fuzz(func(t *testing.T, data []byte) { readAndDump(t, data) })
}

// largeModel has constants of about 4 MB, somewhat less than an int8 GoogLeNet.
func largeModel() *Model {
	const units = 2048
	m := operatorCase{code: OpFullyConnected, options: FullyConnectedOptions{}, shape: []int{1, units},
		constants: []Tensor{floats("w", []int{512, units}, make([]float32, 512*units)...)}, output: []int{1, 512}}.model()
	return m
}

func BenchmarkBytes(b *testing.B) {
	m := largeModel()
	b.ReportAllocs()
	for b.Loop() {
		mustBytes(b, m)
	}
}

func BenchmarkRead(b *testing.B) {
	data := mustBytes(b, largeModel())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(data); err != nil {
			b.Fatal(err)
		}
	}
}
