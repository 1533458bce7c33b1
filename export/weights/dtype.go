package weights

import (
	"encoding/binary"
	"math"
)

// A dtype is an element type of stored tensors.
type dtype struct {
	name string // PyTorch's name for it; that of safetensors where PyTorch has none
	size int    // in bytes; 0: not known here

	// decode converts len(dst) little-endian elements; nil: the type isn't read as weights.
	decode func(dst []float32, src []byte)
}

var (
	float32Type  = &dtype{"float32", 4, decodeFloat32}
	float64Type  = &dtype{"float64", 8, decodeFloat64}
	float16Type  = &dtype{"float16", 2, decodeFloat16}
	bfloat16Type = &dtype{"bfloat16", 2, decodeBFloat16}
	int64Type    = &dtype{"int64", 8, nil}
	int32Type    = &dtype{"int32", 4, nil}
	int16Type    = &dtype{"int16", 2, nil}
	int8Type     = &dtype{"int8", 1, nil}
	uint8Type    = &dtype{"uint8", 1, nil}
	boolType     = &dtype{"bool", 1, nil}
)

func decodeFloat32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func decodeFloat64(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
	}
}

func decodeFloat16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = fromFloat16(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// decodeBFloat16: a bfloat16 is the upper half of a float32.
func decodeBFloat16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

// fromFloat16 converts an IEEE 754 binary16: 1 sign bit, 5 exponent bits with bias 15, 10 fraction bits. Every one of them
// has an exact float32.
func fromFloat16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent := uint32(h>>10) & 0x1f
	fraction := uint32(h) & 0x3ff
	switch exponent {
	case 0: // zero or subnormal: fraction * 2^-24
		value := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(value))
	case 0x1f: // infinity or NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
