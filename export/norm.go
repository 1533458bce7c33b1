package export

import (
	"fmt"

	"sightd/export/graph"
	"sightd/export/tflitefile"
)

// normBlock is the number of channels that the sum of squares is computed for at a time. A window of 1x3 blocks reaches normBlock channels to
// either side, more than any radius needs, for 3*normBlock multiplications a value instead of as many as there are channels.
const normBlock = 16

// norm appends a local response normalization over channels as operators that XNNPACK takes; TensorFlow Lite's own it leaves to a
// kernel that takes ten times as long:
//
//	s = MUL(x, x)
//	v = CONV_2D(s as [1, H*W, C/16, 16], 1x3) = bias + alpha*sum of s over the window
//	y = x * RSQRT(v) * SQRT(RSQRT(v)) = x * v^-0.75
//
// The padding of SAME is 0 beyond the first and last channel, as the formula has it. All of it is computed in float: squares have
// no room in 8 bits.
func (e *emitter) norm(op *graph.Op, input int) error {
	n := op.Norm
	if n.Beta != 0.75 || n.Radius > normBlock || op.Channels%normBlock != 0 {
		return fmt.Errorf("local response normalization: want beta 0.75, a radius up to %d and a multiple of %d channels, have %g, %d and %d",
			normBlock, normBlock, n.Beta, n.Radius, op.Channels)
	}
	shape := op.Shape()
	blocks := []int{1, op.Height * op.Width, op.Channels / normBlock, normBlock}

	squares := e.elementwise(tflitefile.OpMul, tflitefile.MulOptions{}, op.Name+"/squares", shape, input, input)
	squares = e.reshape(squares, op.Name+"/blocks", blocks)
	window := e.floats(op.Name+"/window", []int{normBlock, 1, 3, normBlock}, windowWeights(n))
	bias := make([]float32, normBlock)
	for i := range bias {
		bias[i] = float32(n.Bias)
	}
	sums := e.elementwise(tflitefile.OpConv2D, tflitefile.Conv2DOptions{StrideW: 1, StrideH: 1, DilationW: 1, DilationH: 1},
		op.Name+"/sums", blocks, squares, window, e.floats(op.Name+"/bias", []int{normBlock}, bias))
	sums = e.reshape(sums, op.Name+"/sum", shape)

	half := e.elementwise(tflitefile.OpRsqrt, nil, op.Name+"/rsqrt", shape, sums)  // v^-1/2
	quarter := e.elementwise(tflitefile.OpSqrt, nil, op.Name+"/sqrt", shape, half) // v^-1/4
	factor := e.elementwise(tflitefile.OpMul, tflitefile.MulOptions{}, op.Name+"/factor", shape, half, quarter)
	e.op(tflitefile.OpMul, tflitefile.MulOptions{}, []int{input, factor}, e.result(op))
	return nil
}

// windowWeights is the convolution that sums over the window, OHWI [normBlock, 1, 3, normBlock]: output channel o takes the channel i of the block
// before (0), its own (1) or the one behind (2) if they are at most the radius apart.
func windowWeights(n *graph.Norm) []float32 {
	w := make([]float32, normBlock*3*normBlock)
	for o := range normBlock {
		for k := range 3 {
			for i := range normBlock {
				if distance := (k-1)*normBlock + i - o; distance >= -n.Radius && distance <= n.Radius {
					w[(o*3+k)*normBlock+i] = float32(n.Alpha)
				}
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
