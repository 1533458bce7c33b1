package weights

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Limits of a safetensors header, in bytes: of all of it, and of the description of one tensor.
const (
	maxHeader      = 16 << 20
	maxDescription = 4096
)

// safetensorsTypes are the element types by their names in safetensors. Types not listed are kept by name, and are an error
// only when the tensor is read.
var safetensorsTypes = map[string]*dtype{
	"F32":  float32Type,
	"F64":  float64Type,
	"F16":  float16Type,
	"BF16": bfloat16Type,
	"I64":  int64Type,
	"I32":  int32Type,
	"I16":  int16Type,
	"I8":   int8Type,
	"U8":   uint8Type,
	"BOOL": boolType,
}

// readSafetensors lists the tensors of a safetensors file: the header's length as a 64-bit little-endian integer, a header in
// JSON, and the tensors' values, contiguous, one tensor behind the other without gaps.
func readSafetensors(r io.ReaderAt, size int64) (map[string]*layout, error) {
	var length [8]byte
	if err := readFull(r, length[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader {
		return nil, fmt.Errorf("the safetensors header has %d bytes, want at most %d", n, maxHeader)
	}
	header := make([]byte, min(int64(n), size-8))
	if err := readFull(r, header, 8); err != nil {
		return nil, err
	}
	if int64(n) > size-8 {
		return nil, fmt.Errorf("the safetensors header has %d bytes, the file %d: it is cut off", n, size)
	}
	layouts, err := parseHeader(header, 8+int64(n))
	if err != nil {
		return nil, fmt.Errorf("safetensors header: %w", err)
	}
	if err := checkCover(layouts, 8+int64(n), size); err != nil {
		return nil, err
	}
	return plainNames(layouts)
}

// parseHeader reads the JSON object of tensor names and their descriptions; data is where the values begin in the file. The
// entry __metadata__ is skipped.
func parseHeader(header []byte, data int64) (map[string]*layout, error) {
	layouts := make(map[string]*layout)
	err := eachMember(header, func(name string, description json.RawMessage) error {
		if name == "__metadata__" {
			return nil
		}
		l, err := parseDescription(description, data)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		return add(layouts, name, l)
	})
	return layouts, err
}

// eachMember calls do for every key and value of a JSON object, in the text's order. A key that is there twice is an error,
// as is anything behind the object.
func eachMember(text []byte, do func(key string, value json.RawMessage) error) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return errors.New("want a JSON object")
	}
	seen := make(map[string]bool)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok {
			return fmt.Errorf("want a key, have %v", token)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return fmt.Errorf("value of %q: %w", key, err)
		}
		if seen[key] {
			return fmt.Errorf("key %q is there twice", key)
		}
		if seen[key] = true; len(seen) > maxTensors {
			return fmt.Errorf("more than %d keys", maxTensors)
		}
		if err := do(key, value); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("want nothing behind the JSON object")
	}
	return nil
}

// parseDescription reads one tensor's {"dtype":…,"shape":…,"data_offsets":[begin,end]}.
func parseDescription(text []byte, data int64) (*layout, error) {
	if len(text) > maxDescription {
		return nil, fmt.Errorf("its description has %d bytes, want at most %d", len(text), maxDescription)
	}
	var name string
	var shape, offsets []int64
	err := eachMember(text, func(key string, value json.RawMessage) error {
		switch key {
		case "dtype":
			return json.Unmarshal(value, &name)
		case "shape":
			return json.Unmarshal(value, &shape)
		case "data_offsets":
			return json.Unmarshal(value, &offsets)
		}
		return fmt.Errorf("unknown key %q", key)
	})
	if err != nil {
		return nil, err
	}
	if name == "" || shape == nil || len(offsets) != 2 {
		return nil, errors.New("want dtype, shape and two data_offsets")
	}
	if len(shape) > maxDims {
		return nil, fmt.Errorf("shape has %d dimensions, want at most %d", len(shape), maxDims)
	}
	begin, end := offsets[0], offsets[1]
	if begin < 0 || end < begin || end > maxFile {
		return nil, fmt.Errorf("data_offsets are [%d, %d], want 0 <= begin <= end <= %d", begin, end, maxFile)
	}
	l := &layout{storage: &storage{at: data + begin, size: end - begin}, dtype: safetensorsTypes[name]}
	if l.dtype == nil {
		l.dtype = &dtype{name: name}
	}
	for _, n := range shape {
		if n < 0 || n > maxFile {
			return nil, fmt.Errorf("shape is %v, want dimensions from 0 to %d", shape, maxFile)
		}
		l.shape = append(l.shape, int(n))
	}
	return l, l.setContiguous()
}

// setContiguous gives the layout row-major strides; its storage must have just the bytes that the shape needs.
func (l *layout) setContiguous() error {
	l.stride = make([]int, len(l.shape))
	if l.dtype.size == 0 {
		return nil
	}
	count, ok := elements(l.shape, l.storage.size)
	if !ok || count*int64(l.dtype.size) != l.storage.size {
		return fmt.Errorf("%d bytes are stored, shape %v of %s needs another number", l.storage.size, l.shape, l.dtype.name)
	}
	stride := 1
	for i := len(l.shape) - 1; i >= 0; i-- {
		l.stride[i] = stride
		stride *= max(l.shape[i], 1)
	}
	return nil
}

// checkCover tests that the tensors' bytes follow one another from begin to end, the file's size: no overlaps, no gaps.
func checkCover(layouts map[string]*layout, begin, end int64) error {
	type span struct {
		name string
		*storage
	}
	spans := make([]span, 0, len(layouts))
	for name, l := range layouts {
		spans = append(spans, span{name, l.storage})
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.size, b.size), cmp.Compare(a.name, b.name))
	})
	at := begin
	for i, s := range spans {
		switch {
		case s.at < at:
			return fmt.Errorf("tensors %q and %q overlap in the file", spans[i-1].name, s.name)
		case s.at > at:
			return fmt.Errorf("%d bytes before tensor %q belong to no tensor", s.at-at, s.name)
		}
		at += s.size
		if at > end {
			return fmt.Errorf("tensor %q ends at byte %d of a file of %d: it is cut off", s.name, at, end)
		}
	}
	if at != end {
		return fmt.Errorf("%d bytes behind the last tensor belong to no tensor", end-at)
	}
	return nil
}
