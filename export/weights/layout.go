package weights

import (
	"fmt"
	"io"
	"slices"
)

const (
	maxDims = 8 // dimensions of a tensor; a convolution's weights have 4

	// maxSpan is how many bytes one tensor may reach over in the file. The largest of a GoogLeNet with 1000 classes reaches
	// over 8 MiB.
	maxSpan = 512 << 20
)

// A storage is a run of bytes in the file that one or more tensors lie in.
type storage struct {
	at, size int64 // in bytes, from the file's start
}

// A layout says where a tensor's elements lie: element [i, j, …] is number offset + i*stride[0] + j*stride[1] + … of its
// storage. Offset and strides count elements, and none is negative.
type layout struct {
	storage *storage
	dtype   *dtype
	offset  int64
	shape   []int
	stride  []int
}

// check tests that every element lies within the storage and that there are no more of them than the storage has (a stride
// of 0 could otherwise make a few bytes gigabytes). No product or sum in it can overflow.
func (l *layout) check() error {
	if l.dtype.size == 0 {
		return nil // can't be read, and read says so
	}
	stored := l.storage.size / int64(l.dtype.size)
	count, ok := elements(l.shape, stored)
	if !ok {
		return fmt.Errorf("shape %v has more elements than the %d that are stored", l.shape, stored)
	}
	if count == 0 {
		return nil
	}
	last, ok := l.last(stored)
	if !ok {
		return fmt.Errorf("shape %v with strides %v and offset %d reaches beyond the %d elements that are stored",
			l.shape, l.stride, l.offset, stored)
	}
	if (last-l.offset+1)*int64(l.dtype.size) > maxSpan {
		return fmt.Errorf("shape %v with strides %v reaches over more than %d bytes", l.shape, l.stride, maxSpan)
	}
	return nil
}

// last is the number of the last element in the storage, false if that isn't below stored. No dimension may be 0.
func (l *layout) last(stored int64) (int64, bool) {
	last := l.offset
	if last >= stored {
		return 0, false
	}
	for i, n := range l.shape {
		steps, stride := int64(n)-1, int64(l.stride[i])
		if stride > 0 && steps > (stored-1-last)/stride {
			return 0, false
		}
		last += steps * stride
	}
	return last, true
}

// elements is the product of the dimensions, false if it is over limit.
func elements(shape []int, limit int64) (int64, bool) {
	if slices.Contains(shape, 0) {
		return 0, true
	}
	count := int64(1)
	for _, n := range shape {
		if count > limit/int64(n) {
			return 0, false
		}
		count *= int64(n)
	}
	return count, true
}

// read gives the elements in row-major order as float32. The layout has passed check.
func (l *layout) read(r io.ReaderAt) ([]float32, error) {
	if l.dtype.decode == nil {
		return nil, fmt.Errorf("its type is %s, want float32, float64, float16 or bfloat16", l.dtype.name)
	}
	stored := l.storage.size / int64(l.dtype.size)
	count, _ := elements(l.shape, stored)
	if count == 0 {
		return []float32{}, nil
	}
	last, _ := l.last(stored)
	size := int64(l.dtype.size)
	raw := make([]byte, (last-l.offset+1)*size)
	if err := readFull(r, raw, l.storage.at+l.offset*size); err != nil {
		return nil, err
	}
	flat := make([]float32, int64(len(raw))/size)
	l.dtype.decode(flat, raw)
	if l.contiguous() {
		return flat, nil
	}
	return l.gather(flat, int(count)), nil
}

// contiguous tells whether the elements lie in row-major order without gaps. The stride of a dimension of size 1 is never
// used and says nothing.
func (l *layout) contiguous() bool {
	want := 1
	for i := len(l.shape) - 1; i >= 0; i-- {
		if l.shape[i] > 1 && l.stride[i] != want {
			return false
		}
		want *= l.shape[i]
	}
	return true
}

// gather puts count elements, which lie in flat with the layout's strides, in row-major order.
func (l *layout) gather(flat []float32, count int) []float32 {
	out := make([]float32, count)
	index := make([]int, len(l.shape))
	at := 0
	for i := range out {
		out[i] = flat[at]
		for d := len(index) - 1; d >= 0; d-- {
			if index[d]++; index[d] < l.shape[d] {
				at += l.stride[d]
				break
			}
			index[d] = 0
			at -= (l.shape[d] - 1) * l.stride[d]
		}
	}
	return out
}
