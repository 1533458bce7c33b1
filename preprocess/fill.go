package preprocess

import (
	"encoding/binary"
	"fmt"
	"math"

	"sightd/inference"
)

// Fill writes plain pixels, RGB of [Height, Width, 3] with 8 bits a channel, to the bytes of the input tensor: UINT8 p,
// INT8 p-128, FLOAT32 (p-Mean)/Std in the machine's byte order. It is what Transform.Apply does after resizing.
func (in Input) Fill(dst, pixels []byte) error {
	n := in.Height * in.Width * 3
	if len(pixels) != n || len(dst) != n*in.Type.Size() {
		return fmt.Errorf("fill the input: want %d pixel values and %d bytes of tensor, have %d and %d",
			n, n*in.Type.Size(), len(pixels), len(dst))
	}
	switch in.Type {
	case inference.UInt8:
		copy(dst, pixels)
	case inference.Int8:
		for i, p := range pixels {
			dst[i] = p ^ 0x80 // p-128 in two's complement
		}
	case inference.Float32:
		table := in.table()
		for i, p := range pixels {
			binary.NativeEndian.PutUint32(dst[4*i:], math.Float32bits(table[i%3][p]))
		}
	default:
		return fmt.Errorf("fill the input: want UINT8, INT8 or FLOAT32, have %s", in.Type)
	}
	return nil
}

// table has the floats of all levels of red, green and blue.
func (in Input) table() *[3][256]float32 {
	var table [3][256]float32
	for c := range table {
		for p := range table[c] {
			table[c][p] = (float32(p) - in.Mean[c]) / in.Std[c]
		}
	}
	return &table
}
