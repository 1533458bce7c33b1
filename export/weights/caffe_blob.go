package weights

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// The fields of a BlobProto that are read. Its gradients (diff, double_diff) are not.
const (
	blobNum      = 1 // to 4: num, channels, height and width, the four dimensions of the format without shape
	blobWidth    = 4
	blobFloats   = 5
	blobShape    = 7
	blobDoubles  = 8
	blobShapeDim = 1 // of the BlobShape in blobShape
)

// A blobType is how the values of a blob are stored. Unpacked, every value is a field of its own, with one byte before it.
type blobType struct {
	packed, unpacked *dtype
	wire             uint64 // of an unpacked value
}

// blobTypes are by the number of the field.
var blobTypes = map[uint64]*blobType{
	blobFloats:  {float32Type, &dtype{"float32", 5, decodeUnpackedFloat32}, wireFixed32},
	blobDoubles: {float64Type, &dtype{"float64", 9, decodeUnpackedFloat64}, wireFixed64},
}

func decodeUnpackedFloat32(dst []float32, src []byte) {
	for i := range dst {
		decodeFloat32(dst[i:i+1], src[5*i+1:])
	}
}

func decodeUnpackedFloat64(dst []float32, src []byte) {
	for i := range dst {
		decodeFloat64(dst[i:i+1], src[9*i+1:])
	}
}

// blob reads the shape and the place of a blob's values. A shape of the older format has always four dimensions: ones before
// the last rank dimensions are taken off.
func (c *caffeNet) blob(message field, rank int) (*layout, error) {
	if err := message.expect(wireBytes); err != nil {
		return nil, err
	}
	l := &layout{storage: &storage{}}
	var shape, old []uint64
	for f, err := range c.fields(message.at, message.end) {
		if err != nil {
			return nil, err
		}
		switch {
		case f.number >= blobNum && f.number <= blobWidth:
			if old == nil {
				old = make([]uint64, blobWidth)
			}
			old[f.number-blobNum] = f.value
			err = f.expect(wireVarint)
		case f.number == blobShape:
			shape, err = c.blobShape(shape, f)
		case f.number == blobFloats || f.number == blobDoubles:
			err = l.addValues(f, blobTypes[f.number])
		}
		if err != nil {
			return nil, err
		}
	}
	if old != nil { // goes before a shape, as in Caffe
		for shape = old; len(shape) > rank && shape[0] == 1; {
			shape = shape[1:]
		}
	}
	if l.dtype == nil {
		return nil, fmt.Errorf("shape %v has no values", shape)
	}
	for _, n := range shape {
		if n > maxFile {
			return nil, fmt.Errorf("shape is %d, want dimensions from 0 to %d", shape, maxFile)
		}
		l.shape = append(l.shape, int(n))
	}
	return l, l.setContiguous()
}

// blobShape adds the dimensions of a BlobShape to shape.
func (c *caffeNet) blobShape(shape []uint64, message field) ([]uint64, error) {
	if err := message.expect(wireBytes); err != nil {
		return nil, err
	}
	for f, err := range c.fields(message.at, message.end) {
		if err == nil && f.number == blobShapeDim {
			shape, err = c.varints(shape, f, maxDims)
		}
		if err != nil {
			return nil, fmt.Errorf("read its shape: %w", err)
		}
	}
	return shape, nil
}

// addValues adds the values of a field to the storage: all of them if they are packed, one otherwise.
func (l *layout) addValues(f field, t *blobType) error {
	single := f.wire == t.wire && f.end-f.tag == int64(t.unpacked.size)
	switch {
	case l.dtype == nil && f.wire == wireBytes:
		l.dtype = t.packed
		*l.storage = storage{at: f.at, size: f.end - f.at}
	case l.dtype == nil && single:
		l.dtype = t.unpacked
		*l.storage = storage{at: f.tag, size: f.end - f.tag}
	case l.dtype == t.unpacked && single && f.tag == l.storage.at+l.storage.size:
		l.storage.size += f.end - f.tag
	default:
		// protobuf allows it, and no program writes it
		return errors.New("its values lie in several pieces, want one packed field, or fields right behind one another")
	}
	return nil
}

// decimal gives the shortest decimal number that is stored as the bits of a float32: 1e-4 and not 9.999999747378752e-05.
func decimal(bits uint32) float64 {
	v := float64(math.Float32frombits(bits))
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', -1, 32), 64)
	if err != nil {
		return v // not reached: every formatted number can be parsed
	}
	return short
}
