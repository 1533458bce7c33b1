package tflitefile

import "math"

// Plain computations of the test nets, written from the operators' definitions: what TensorFlow Lite has to agree with.

// image is an NHWC value with batch 1.
type image struct {
	h, w, c int
	data    []float64
}

func newImage(h, w, c int) image { return image{h, w, c, make([]float64, h*w*c)} }

func (i image) at(y, x, c int) *float64 { return &i.data[(y*i.w+x)*i.c+c] }

// windowSame calls f for every cell of a SAME window that lies inside the image, for every output position.
func (i image) windowSame(size, stride int, f func(outY, outX, y, x, ky, kx int)) {
	outH, outW := (i.h+stride-1)/stride, (i.w+stride-1)/stride
	padY := max((outH-1)*stride+size-i.h, 0) / 2
	padX := max((outW-1)*stride+size-i.w, 0) / 2
	for outY := range outH {
		for outX := range outW {
			for ky := range size {
				for kx := range size {
					y, x := outY*stride+ky-padY, outX*stride+kx-padX
					if y >= 0 && y < i.h && x >= 0 && x < i.w {
						f(outY, outX, y, x, ky, kx)
					}
				}
			}
		}
	}
}

// conv is a convolution with stride 1 and SAME padding; weights are OHWI and square.
func (i image) conv(weights, bias []float64) image {
	out := len(bias)
	size := int(math.Sqrt(float64(len(weights) / out / i.c)))
	y := newImage(i.h, i.w, out)
	for p := range y.data {
		y.data[p] = bias[p%out]
	}
	i.windowSame(size, 1, func(outY, outX, inY, inX, ky, kx int) {
		for o := range out {
			for c := range i.c {
				*y.at(outY, outX, o) += *i.at(inY, inX, c) * weights[((o*size+ky)*size+kx)*i.c+c]
			}
		}
	})
	return y
}

func (i image) maxPool(size, stride int) image {
	y := newImage((i.h+stride-1)/stride, (i.w+stride-1)/stride, i.c)
	for p := range y.data {
		y.data[p] = math.Inf(-1)
	}
	i.windowSame(size, stride, func(outY, outX, inY, inX, _, _ int) {
		for c := range i.c {
			*y.at(outY, outX, c) = max(*y.at(outY, outX, c), *i.at(inY, inX, c))
		}
	})
	return y
}

func (i image) concat(other image) image {
	y := newImage(i.h, i.w, i.c+other.c)
	for row := range i.h {
		for col := range i.w {
			for c := range i.c {
				*y.at(row, col, c) = *i.at(row, col, c)
			}
			for c := range other.c {
				*y.at(row, col, i.c+c) = *other.at(row, col, c)
			}
		}
	}
	return y
}

func (i image) mean() []float64 {
	y := make([]float64, i.c)
	for p, v := range i.data {
		y[p%i.c] += v / float64(i.h*i.w)
	}
	return y
}

func fullyConnected(x, weights, bias []float64) []float64 {
	y := append([]float64(nil), bias...)
	for o := range y {
		for i, v := range x {
			y[o] += v * weights[o*len(x)+i]
		}
	}
	return y
}

func softmax(x []float64) []float64 {
	sum := 0.0
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = math.Exp(v)
		sum += y[i]
	}
	for i := range y {
		y[i] /= sum
	}
	return y
}

func wide[T float32 | int32 | int8](values []T) []float64 {
	y := make([]float64, len(values))
	for i, v := range values {
		y[i] = float64(v)
	}
	return y
}

func (n *floatNet) compute(pixels []float32) []float64 {
	x := image{8, 8, 3, wide(pixels)}
	conv := x.conv(wide(n.convWeights), wide(n.convBias))
	for i, v := range conv.data {
		conv.data[i] = max(v, 0)
	}
	mean := conv.maxPool(3, 2).mean()
	return softmax(fullyConnected(mean, wide(n.fcWeights), wide(n.fcBias)))
}

// scaled are quantized weights or biases as real numbers, with one scale for each of len(scales) equal parts.
func scaled[T int32 | int8](values []T, scales []float32) []float64 {
	y := wide(values)
	for i := range y {
		y[i] *= float64(scales[i*len(scales)/len(values)])
	}
	return y
}

// rounded brings values to those that the quantization can express.
func rounded(values []float64, q *Quantization) []float64 {
	y := make([]float64, len(values))
	scale, zeroPoint := float64(q.Scale[0]), float64(q.ZeroPoint[0])
	for i, v := range values {
		y[i] = (min(max(math.Round(v/scale)+zeroPoint, -128), 127) - zeroPoint) * scale
	}
	return y
}

// compute gives the logits as real numbers.
func (n *int8Net) compute(pixels []byte) []float64 {
	x := newImage(6, 6, 3)
	for i, p := range pixels {
		x.data[i] = (float64(p) - 127) / 127.5
	}
	conv := x.conv(scaled(n.convWeights, int8ConvScales), scaled(n.convBias, biased(int8Image, int8ConvScales).Scale))
	conv.data = rounded(conv.data, int8Branch) // the zero point of -128 is RELU
	pool := conv.maxPool(3, 2)
	side := pool.conv(scaled(n.sideWeights, int8SideScales), scaled(n.sideBias, biased(int8Branch, int8SideScales).Scale))
	side.data = rounded(side.data, int8Branch)
	mean := rounded(pool.concat(side).mean(), int8Mean)
	logits := fullyConnected(mean, scaled(n.fcWeights, int8FCScales), scaled(n.fcBias, biased(int8Mean, int8FCScales).Scale))
	return rounded(logits, int8Logits)
}
