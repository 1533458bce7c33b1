package tflitefile

import (
	"bytes"
	"fmt"
)

// Read reads a .tflite file of one subgraph. Constants point into data, which must not change while the model is in
// use. A file that Bytes wrote gives the Model back, with every operator's version filled in, dilations of 0 as 1, and
// empty slices as nil; Data of an associated file is a copy.
//
// The file may come from a stranger: Read checks every offset, allocates memory in proportion to len(data) plus at
// most 16 MiB of associated files, and fails with an error that names the broken part. It does not check what Validate
// checks. Operators unknown here keep their code and have nil options; what the types here have no field for is left
// out, like sparsity, shape signatures, a second signature, and metadata of inputs after the first.
func Read(data []byte) (*Model, error) {
	m, err := read(data)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	return m, nil
}

func read(data []byte) (*Model, error) {
	in, root, err := openTable(data, modelIdentifier)
	if err != nil {
		return nil, err
	}
	if version := root.uint32(slotModelVersion); in.err == nil && version != modelVersionNumber {
		return nil, fmt.Errorf("schema version %d: want %d", version, modelVersionNumber)
	}
	subgraphs := root.tables(slotModelSubgraphs)
	codes := root.tables(slotModelOperatorCodes)
	buffers := root.tables(slotModelBuffers)
	if in.err != nil {
		return nil, in.err
	}
	if len(subgraphs) != 1 {
		return nil, fmt.Errorf("%d subgraphs: want 1", len(subgraphs))
	}
	subgraph := subgraphs[0]
	m := &Model{
		Description: root.text(slotModelDescription),
		Inputs:      subgraph.ints(slotSubgraphInputs),
		Outputs:     subgraph.ints(slotSubgraphOutputs),
	}
	for i, t := range subgraph.tables(slotSubgraphTensors) {
		tensor, err := readTensor(t, buffers)
		if err != nil {
			return nil, fmt.Errorf("tensor %d: %w", i, err)
		}
		m.Tensors = append(m.Tensors, tensor)
	}
	for i, t := range subgraph.tables(slotSubgraphOperators) {
		op, err := readOperator(t, codes)
		if err != nil {
			return nil, fmt.Errorf("operator %d: %w", i, err)
		}
		m.Operators = append(m.Operators, op)
	}
	m.readSignature(root)
	if in.err != nil {
		return nil, in.err
	}
	if err := m.readEntries(root, buffers); err != nil {
		return nil, err
	}
	return m, m.checkIndices()
}

func readTensor(t table, buffers []table) (Tensor, error) {
	tensor := Tensor{
		Name:  t.text(slotTensorName),
		Type:  TensorType(t.int8(slotTensorType)),
		Shape: t.ints(slotTensorShape),
	}
	var err error
	if tensor.Data, err = readBuffer(t.uint32(slotTensorBuffer), buffers); err != nil {
		return Tensor{}, err
	}
	if q, ok := t.child(slotTensorQuantization); ok {
		quant := Quantization{
			Scale:     q.float32s(slotQuantizationScale),
			ZeroPoint: q.int64s(slotQuantizationZeroPoint),
			Dimension: q.int32(slotQuantizationDimension, 0),
		}
		if quant.Scale != nil { // converters leave an empty table with float tensors
			tensor.Quant = &quant
		}
	}
	return tensor, t.err()
}

// readBuffer gives the contents of the buffer at index; nil if it is empty.
func readBuffer(index int64, buffers []table) ([]byte, error) {
	if index >= int64(len(buffers)) {
		if index == 0 {
			return nil, nil // a file without constants may lack even the empty buffer
		}
		return nil, fmt.Errorf("buffer %d: want one below %d", index, len(buffers))
	}
	buffer := buffers[index]
	if buffer.field(slotBufferOffset) != 0 {
		return nil, fmt.Errorf("buffer %d lies outside the flatbuffer: want a file of less than 2 GB", index)
	}
	return buffer.bytes(slotBufferData), buffer.err()
}

func readOperator(t table, codes []table) (Operator, error) {
	row := t.uint32(slotOperatorCodeIndex)
	if t.err() == nil && row >= int64(len(codes)) {
		return Operator{}, fmt.Errorf("operator code %d: want one below %d", row, len(codes))
	}
	if t.err() != nil {
		return Operator{}, t.err()
	}
	code := codes[row]
	op := Operator{
		Code:    BuiltinOperator(max(int(code.int8(slotOperatorCodeDeprecated)), code.int32(slotOperatorCodeBuiltin, 0))),
		Version: code.int32(slotOperatorCodeVersion, 1),
		Inputs:  t.ints(slotOperatorInputs),
		Outputs: t.ints(slotOperatorOutputs),
	}
	if op.Code == OpCustom {
		op.CustomCode = code.text(slotOperatorCodeCustom)
	}
	if options, ok := t.child(slotOperatorOptions); ok {
		op.Options = readOptions(byte(t.int8(slotOperatorOptionsType)), options)
	}
	return op, t.err()
}

// readSignature takes the names from the first signature, in the order of m.Inputs and m.Outputs. A tensor that it
// doesn't name has an empty one.
func (m *Model) readSignature(root table) {
	signatures := root.tables(slotModelSignatureDefs)
	if len(signatures) == 0 {
		return
	}
	m.InputNames = readTensorMaps(signatures[0].tables(slotSignatureInputs), m.Inputs)
	m.OutputNames = readTensorMaps(signatures[0].tables(slotSignatureOutputs), m.Outputs)
}

func readTensorMaps(maps []table, tensors []int) []string {
	nameOf := make(map[int64]string)
	for _, t := range maps {
		nameOf[t.uint32(slotTensorMapIndex)] = t.text(slotTensorMapName)
	}
	if len(nameOf) == 0 {
		return nil
	}
	var names []string
	for _, tensor := range tensors {
		names = append(names, nameOf[int64(tensor)])
	}
	return names
}

// readEntries reads the model's named buffers that are known here, and with the metadata the zip.
func (m *Model) readEntries(root table, buffers []table) error {
	for _, entry := range root.tables(slotModelMetadata) {
		name := entry.text(slotEntryName)
		data, err := readBuffer(entry.uint32(slotEntryBuffer), buffers)
		if err != nil {
			return fmt.Errorf("metadata %q: %w", name, err)
		}
		switch name {
		case minRuntimeEntry:
			version, _, _ := bytes.Cut(data, []byte{0})
			m.MinRuntime = string(version[:min(len(version), minRuntimeSize)])
		case metadataEntry:
			if m.Metadata != nil {
				return fmt.Errorf("metadata %q occurs twice", name)
			}
			if m.Metadata, err = readMetadata(data); err != nil {
				return fmt.Errorf("metadata %q: %w", name, err)
			}
		}
	}
	if err := root.err(); err != nil {
		return err
	}
	if m.Metadata == nil {
		return nil
	}
	var err error
	m.Metadata.Files, err = unzipFiles(root.in.data)
	return err
}

// checkIndices makes sure that every tensor index that callers may use is one, or -1 where an operator lacks a tensor.
func (m *Model) checkIndices() error {
	for _, list := range [][]int{m.Inputs, m.Outputs} {
		for _, t := range list {
			if t < 0 || t >= len(m.Tensors) {
				return fmt.Errorf("input or output is tensor %d: want one of %d", t, len(m.Tensors))
			}
		}
	}
	for i, op := range m.Operators {
		for _, list := range [][]int{op.Inputs, op.Outputs} {
			for _, t := range list {
				if t < -1 || t >= len(m.Tensors) {
					return fmt.Errorf("operator %d (%s): tensor %d: want one of %d", i, op.Code, t, len(m.Tensors))
				}
			}
		}
	}
	return nil
}
