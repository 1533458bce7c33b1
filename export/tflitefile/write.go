package tflitefile

import (
	"bytes"
	"fmt"
	"io"

	flatbuffers "github.com/google/flatbuffers/go"
)

// Bytes is the whole file: the flatbuffer, and the zip of associated files where there are any. The same Model gives
// the same bytes. It fails where Validate does.
func (m *Model) Bytes() ([]byte, error) {
	var file bytes.Buffer
	if _, err := m.WriteTo(&file); err != nil {
		return nil, err
	}
	return file.Bytes(), nil
}

// WriteTo writes the file that Bytes returns, and gives the number of bytes written. Nothing is written where
// Validate fails.
func (m *Model) WriteTo(w io.Writer) (int64, error) {
	if err := m.Validate(); err != nil {
		return 0, err
	}
	flatbuffer := m.flatbuffer()
	n, err := w.Write(flatbuffer)
	if err != nil {
		return int64(n), fmt.Errorf("write flatbuffer: %w", err)
	}
	if m.Metadata == nil || len(m.Metadata.Files) == 0 {
		return int64(n), nil
	}
	archive, err := zipFiles(m.Metadata.Files, int64(len(flatbuffer)))
	if err != nil {
		return int64(n), err
	}
	k, err := w.Write(archive)
	if err != nil {
		return int64(n + k), fmt.Errorf("write associated files: %w", err)
	}
	return int64(n + k), nil
}

// builder adds to flatbuffers.Builder what the tables here have in common. A flatbuffer is written from its end to its
// start: whatever a table refers to comes first.
type builder struct {
	*flatbuffers.Builder
}

// flatbuffer is the file without the zip. The model has to be valid. Its length is a multiple of 16.
func (m *Model) flatbuffer() []byte {
	size := 0
	for _, t := range m.Tensors {
		size += len(t.Data) + 2*bufferAlignment
	}
	b := builder{flatbuffers.NewBuilder(size + 1<<16)}

	buffers := []flatbuffers.UOffsetT{b.buffer(nil)} // buffers[0] is empty: that of all computed tensors
	bufferOf := make([]int, len(m.Tensors))
	for i, t := range m.Tensors {
		if t.Data != nil {
			bufferOf[i] = len(buffers)
			buffers = append(buffers, b.buffer(t.Data))
		}
	}
	var entries []flatbuffers.UOffsetT
	addEntry := func(name string, data []byte) {
		buffer := len(buffers)
		buffers = append(buffers, b.buffer(data))
		entries = append(entries, b.entry(name, buffer))
	}
	if m.MinRuntime != "" {
		data := make([]byte, minRuntimeSize)
		copy(data, m.MinRuntime)
		addEntry(minRuntimeEntry, data)
	}
	if m.Metadata != nil {
		addEntry(metadataEntry, m.Metadata.flatbuffer())
	}

	codes, codeOf := m.operatorCodes()
	subgraph := b.subgraph(m, bufferOf, codeOf)
	codeVector := b.offsets(b.operatorCodes(codes))
	subgraphs := b.offsets([]flatbuffers.UOffsetT{subgraph})
	bufferVector := b.offsets(buffers)
	entryVector := b.offsets(entries)
	var signatures flatbuffers.UOffsetT
	if len(m.InputNames)+len(m.OutputNames) > 0 {
		signatures = b.offsets([]flatbuffers.UOffsetT{b.signature(m)})
	}
	description := b.text(m.Description)

	b.StartObject(numModelSlots)
	b.PrependUint32Slot(slotModelVersion, modelVersionNumber, 0)
	b.PrependUOffsetTSlot(slotModelOperatorCodes, codeVector, 0)
	b.PrependUOffsetTSlot(slotModelSubgraphs, subgraphs, 0)
	b.PrependUOffsetTSlot(slotModelDescription, description, 0)
	b.PrependUOffsetTSlot(slotModelBuffers, bufferVector, 0)
	b.PrependUOffsetTSlot(slotModelMetadata, entryVector, 0)
	b.PrependUOffsetTSlot(slotModelSignatureDefs, signatures, 0)
	b.FinishWithFileIdentifier(b.EndObject(), []byte(modelIdentifier))
	return b.FinishedBytes()
}

// operatorCode is a row of the model's table of operators in use.
type operatorCode struct {
	code    BuiltinOperator
	version int
}

// operatorCodes lists the operators in use in the order of their first use, and the row of each of m.Operators.
func (m *Model) operatorCodes() (rows []operatorCode, rowOf []int) {
	index := make(map[operatorCode]int)
	for i, op := range m.Operators {
		row := operatorCode{op.Code, m.OperatorVersion(i)}
		if _, known := index[row]; !known {
			index[row] = len(rows)
			rows = append(rows, row)
		}
		rowOf = append(rowOf, index[row])
	}
	return rows, rowOf
}

func (b builder) operatorCodes(rows []operatorCode) []flatbuffers.UOffsetT {
	var offsets []flatbuffers.UOffsetT
	for _, row := range rows {
		b.StartObject(numOperatorCodeSlots)
		b.PrependInt8Slot(slotOperatorCodeDeprecated, int8(min(row.code, placeholderCode)), 0)
		b.PrependInt32Slot(slotOperatorCodeVersion, int32(row.version), 1)
		b.PrependInt32Slot(slotOperatorCodeBuiltin, int32(row.code), 0)
		offsets = append(offsets, b.EndObject())
	}
	return offsets
}

func (b builder) subgraph(m *Model, bufferOf, codeOf []int) flatbuffers.UOffsetT {
	var tensors, operators []flatbuffers.UOffsetT
	for i, t := range m.Tensors {
		tensors = append(tensors, b.tensor(t, bufferOf[i]))
	}
	for i, op := range m.Operators {
		operators = append(operators, b.operator(op, codeOf[i]))
	}
	tensorVector := b.offsets(tensors)
	operatorVector := b.offsets(operators)
	inputs := b.ints(m.Inputs)
	outputs := b.ints(m.Outputs)
	name := b.text(subgraphName)
	b.StartObject(numSubgraphSlots)
	b.PrependUOffsetTSlot(slotSubgraphTensors, tensorVector, 0)
	b.PrependUOffsetTSlot(slotSubgraphInputs, inputs, 0)
	b.PrependUOffsetTSlot(slotSubgraphOutputs, outputs, 0)
	b.PrependUOffsetTSlot(slotSubgraphOperators, operatorVector, 0)
	b.PrependUOffsetTSlot(slotSubgraphName, name, 0)
	return b.EndObject()
}

func (b builder) tensor(t Tensor, buffer int) flatbuffers.UOffsetT {
	shape := b.ints(t.Shape)
	name := b.text(t.Name)
	var quantization flatbuffers.UOffsetT
	if t.Quant != nil {
		quantization = b.quantization(t.Quant)
	}
	b.StartObject(numTensorSlots)
	b.PrependUOffsetTSlot(slotTensorShape, shape, 0)
	b.PrependInt8Slot(slotTensorType, int8(t.Type), 0)
	b.PrependUint32Slot(slotTensorBuffer, uint32(buffer), 0)
	b.PrependUOffsetTSlot(slotTensorName, name, 0)
	b.PrependUOffsetTSlot(slotTensorQuantization, quantization, 0)
	b.PrependBoolSlot(slotTensorHasRank, true, false)
	return b.EndObject()
}

func (b builder) quantization(q *Quantization) flatbuffers.UOffsetT {
	scale := b.floats(q.Scale)
	b.StartVector(flatbuffers.SizeInt64, len(q.ZeroPoint), flatbuffers.SizeInt64)
	for i := len(q.ZeroPoint) - 1; i >= 0; i-- {
		b.PlaceInt64(q.ZeroPoint[i])
	}
	zeroPoint := b.EndVector(len(q.ZeroPoint))
	b.StartObject(numQuantizationSlots)
	b.PrependUOffsetTSlot(slotQuantizationScale, scale, 0)
	b.PrependUOffsetTSlot(slotQuantizationZeroPoint, zeroPoint, 0)
	b.PrependInt32Slot(slotQuantizationDimension, int32(q.Dimension), 0)
	return b.EndObject()
}

func (b builder) operator(op Operator, code int) flatbuffers.UOffsetT {
	inputs := b.ints(op.Inputs)
	outputs := b.ints(op.Outputs)
	var optionsType byte
	var options flatbuffers.UOffsetT
	if op.Options != nil {
		optionsType, options = op.Options.union(), op.Options.write(b)
	}
	b.StartObject(numOperatorSlots)
	b.PrependUint32Slot(slotOperatorCodeIndex, uint32(code), 0)
	b.PrependUOffsetTSlot(slotOperatorInputs, inputs, 0)
	b.PrependUOffsetTSlot(slotOperatorOutputs, outputs, 0)
	b.PrependByteSlot(slotOperatorOptionsType, optionsType, 0)
	b.PrependUOffsetTSlot(slotOperatorOptions, options, 0)
	return b.EndObject()
}

func (b builder) signature(m *Model) flatbuffers.UOffsetT {
	inputs := b.tensorMaps(m.InputNames, m.Inputs)
	outputs := b.tensorMaps(m.OutputNames, m.Outputs)
	key := b.text(signatureKey)
	b.StartObject(numSignatureSlots)
	b.PrependUOffsetTSlot(slotSignatureInputs, inputs, 0)
	b.PrependUOffsetTSlot(slotSignatureOutputs, outputs, 0)
	b.PrependUOffsetTSlot(slotSignatureKey, key, 0)
	b.PrependUint32Slot(slotSignatureSubgraph, 0, 0)
	return b.EndObject()
}

func (b builder) tensorMaps(names []string, tensors []int) flatbuffers.UOffsetT {
	var offsets []flatbuffers.UOffsetT
	for i, name := range names {
		text := b.text(name)
		b.StartObject(numTensorMapSlots)
		b.PrependUOffsetTSlot(slotTensorMapName, text, 0)
		b.PrependUint32Slot(slotTensorMapIndex, uint32(tensors[i]), 0)
		offsets = append(offsets, b.EndObject())
	}
	return b.offsets(offsets)
}

// entry is a table Metadata of the model's schema: a name for a buffer.
func (b builder) entry(name string, buffer int) flatbuffers.UOffsetT {
	text := b.text(name)
	b.StartObject(numEntrySlots)
	b.PrependUOffsetTSlot(slotEntryName, text, 0)
	b.PrependUint32Slot(slotEntryBuffer, uint32(buffer), 0)
	return b.EndObject()
}

// buffer is a table Buffer whose data begins at a multiple of 16 from the start of the file: the builder aligns from
// the end, and makes the finished length a multiple of the greatest alignment asked for.
func (b builder) buffer(data []byte) flatbuffers.UOffsetT {
	var vector flatbuffers.UOffsetT
	if len(data) > 0 {
		b.StartVector(1, len(data), bufferAlignment)
		b.Pad(len(data))
		copy(b.Bytes[b.Head():], data)
		vector = b.EndVector(len(data))
	}
	b.StartObject(numBufferSlots)
	b.PrependUOffsetTSlot(slotBufferData, vector, 0)
	return b.EndObject()
}

// text is a string, 0 (absent) if it is empty.
func (b builder) text(s string) flatbuffers.UOffsetT {
	if s == "" {
		return 0
	}
	return b.CreateString(s)
}

// offsets is a vector of tables, 0 (absent) if it is empty.
func (b builder) offsets(offsets []flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	if len(offsets) == 0 {
		return 0
	}
	return b.CreateVectorOfTables(offsets)
}

// ints is a vector of int32.
func (b builder) ints(values []int) flatbuffers.UOffsetT {
	b.StartVector(flatbuffers.SizeInt32, len(values), flatbuffers.SizeInt32)
	for i := len(values) - 1; i >= 0; i-- {
		b.PlaceInt32(int32(values[i]))
	}
	return b.EndVector(len(values))
}

// floats is a vector of float32, 0 (absent) if it is empty.
func (b builder) floats(values []float32) flatbuffers.UOffsetT {
	if len(values) == 0 {
		return 0
	}
	b.StartVector(flatbuffers.SizeFloat32, len(values), flatbuffers.SizeFloat32)
	for i := len(values) - 1; i >= 0; i-- {
		b.PlaceFloat32(values[i])
	}
	return b.EndVector(len(values))
}
