package export

import (
	"fmt"

	"sightd/export/graph"
	"sightd/export/tflitefile"
)

// normBlock is the number of channels that the sum of squares is computed for at a time: enough to fill vector registers, and few enough to read
// little beyond each channel's window.
const normBlock = 16

// normPiece gives the number of channels that the window's convolution reads at a time: the smallest power of 2 that is no less than the
// radius, so that one piece before a block and one behind it are enough.
func normPiece(radius int) int {
	piece := 1
	for piece < radius {
		piece *= 2
	}
	return piece
}

// norm appends a local response normalization over channels as operators that XNNPACK takes; TensorFlow Lite's own it leaves to a
// kernel that takes ten times as long:
//
//	s = MUL(x, x)
//	v = CONV_2D(s as [1, H*W, C/2, 2], 1x10 in steps of 8, 16 channels) = bias + alpha*sum of s over the window
//	y = x * RSQRT(v) * SQRT(RSQRT(v)) = x * v^-0.75
//
// with pieces of 2 channels for a radius of 2: a block of 16 takes 20 multiplications a value instead of as many as there are channels. The
// padding of SAME is one piece of 0 before the first channel and one behind the last, as the formula has it. All of it is computed in
// float: squares have no room in 8 bits.
func (e *emitter) norm(op *graph.Op, input int) error {
	n := op.Norm
	if n.Beta != 0.75 || n.Radius > normBlock || op.Channels%normBlock != 0 {
		return fmt.Errorf("local response normalization: want beta 0.75, a radius up to %d and a multiple of %d channels, have %g, %d and %d",
			normBlock, normBlock, n.Beta, n.Radius, op.Channels)
	}
	shape, piece, cells := op.Shape(), normPiece(n.Radius), op.Height*op.Width
	taps := normBlock/piece + 2

	squares := e.elementwise(tflitefile.OpMul, tflitefile.MulOptions{}, op.Name+"/squares", shape, input, input)
	squares = e.reshape(squares, op.Name+"/pieces", []int{1, cells, op.Channels / piece, piece})
	window := e.floats(op.Name+"/window", []int{normBlock, 1, taps, piece}, windowWeights(n, taps, piece))
	bias := make([]float32, normBlock)
	for i := range bias {
		bias[i] = float32(n.Bias)
	}
	sums := e.elementwise(tflitefile.OpConv2D, tflitefile.Conv2DOptions{StrideW: normBlock / piece, StrideH: 1, DilationW: 1, DilationH: 1},
		op.Name+"/sums", []int{1, cells, op.Channels / normBlock, normBlock}, squares, window, e.floats(op.Name+"/bias", []int{normBlock}, bias))
	sums = e.reshape(sums, op.Name+"/sum", shape)

	half := e.elementwise(tflitefile.OpRsqrt, nil, op.Name+"/rsqrt", shape, sums)  // v^-1/2
	quarter := e.elementwise(tflitefile.OpSqrt, nil, op.Name+"/sqrt", shape, half) // v^-1/4
	factor := e.elementwise(tflitefile.OpMul, tflitefile.MulOptions{}, op.Name+"/factor", shape, half, quarter)
	e.op(tflitefile.OpMul, tflitefile.MulOptions{}, []int{input, factor}, e.result(op))
	return nil
}

// windowWeights is the convolution that sums over the window, OHWI [normBlock, 1, taps, piece]: output channel o of a block takes the channels
// at most the radius away. The first piece lies before the block.
func windowWeights(n *graph.Norm, taps, piece int) []float32 {
	w := make([]float32, normBlock*taps*piece)
	for o := range normBlock {
		for i := range taps * piece {
			if distance := i - piece - o; distance >= -n.Radius && distance <= n.Radius {
				w[o*taps*piece+i] = float32(n.Alpha)
			}
		}
	}
	return w
}

// reshape appends a float tensor with other dimensions.
func (e *emitter) reshape(tensor int, name string, shape []int) int {
	dims := make([]int32, len(shape))
	for i, d := range shape {
		dims[i] = int32(d)
	}
	return e.elementwise(tflitefile.OpReshape, tflitefile.ReshapeOptions{NewShape: shape}, name, shape,
		tensor, e.constant(name+"/shape", dims, []int{len(shape)}))
}
