package graph

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// tensor is a picture or map in float64: [height, width, channels].
type tensor struct {
	height, width, channels int
	at                      func(y, x, c int) float64
}

// convolve computes one channel of a convolution in float64 by its definition: border zeros around in, no bias. w gives the
// weight at a row and a column of the kernel for a channel of the input.
func convolve(in tensor, kernel, stride, border int, w func(ky, kx, c int) float64) [][]float64 {
	var out [][]float64
	for y := -border; y+kernel <= in.height+border; y += stride {
		var row []float64
		for x := -border; x+kernel <= in.width+border; x += stride {
			sum := 0.0
			for ky := range kernel {
				for kx := range kernel {
					if y+ky < 0 || y+ky >= in.height || x+kx < 0 || x+kx >= in.width {
						continue
					}
					for c := range in.channels {
						sum += w(ky, kx, c) * in.at(y+ky, x+kx, c)
					}
				}
			}
			row = append(row, sum)
		}
		out = append(out, row)
	}
	return out
}

// ohwi gives the weights of channel o of a convolution as Op has them.
func ohwi(op *Op, channels, o int) func(ky, kx, c int) float64 {
	return func(ky, kx, c int) float64 {
		return float64(op.Weights[((o*op.Kernel+ky)*op.Kernel+kx)*channels+c])
	}
}

// random gives n values from low to high.
func random(r *rand.Rand, n int, low, high float64) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(low + r.Float64()*(high-low))
	}
	return out
}

// TestFold compares convolutions of the graph with a convolution and a batch norm computed by their definitions from torch's
// tensors: a 7x7 with stride 2 behind its PAD, a 3x3 and a 1x1.
func TestFold(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	layers := []struct {
		torch, name                     string
		kernel, stride, border, in, out int

		weights, gamma, beta, mean, variance []float32
	}{
		{torch: "conv1", name: FirstConv, kernel: 7, stride: 2, border: 3, in: 3, out: 64},
		{torch: "inception3a.branch3.1", name: "inception_3a/5x5", kernel: 3, stride: 1, border: 1, in: 16, out: 32},
		{torch: "inception3a.branch3.0", name: "inception_3a/5x5_reduce", kernel: 1, stride: 1, in: 192, out: 16},
	}
	tensors := tensorsOf(Torchvision, 2)
	for i := range layers {
		l := &layers[i]
		l.weights = random(r, l.out*l.in*l.kernel*l.kernel, -1, 1)
		l.gamma, l.beta = random(r, l.out, -2, 2), random(r, l.out, -3, 3)
		l.mean, l.variance = random(r, l.out, -5, 5), random(r, l.out, 0, 0.01) // epsilon counts beside such variances
		l.variance[0] = 0
		find(t, tensors, l.torch+".conv.weight").data = l.weights
		find(t, tensors, l.torch+".bn.weight").data = l.gamma
		find(t, tensors, l.torch+".bn.bias").data = l.beta
		find(t, tensors, l.torch+".bn.running_mean").data = l.mean
		find(t, tensors, l.torch+".bn.running_var").data = l.variance
	}
	g, err := GoogLeNet(open(t, tensors), 96)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		pixels := random(r, 12*10*l.in, -1, 1)
		in := tensor{12, 10, l.in, func(y, x, c int) float64 { return float64(pixels[(y*10+x)*l.in+c]) }}
		op := g.Op(l.name)
		for o := range l.out {
			have := convolve(in, l.kernel, l.stride, l.border, ohwi(op, l.in, o))
			want := convolve(in, l.kernel, l.stride, l.border, func(ky, kx, c int) float64 {
				return float64(l.weights[((o*l.in+c)*l.kernel+ky)*l.kernel+kx])
			})
			for y := range want {
				for x := range want[y] {
					norm := float64(l.beta[o]) + float64(l.gamma[o])*(want[y][x]-float64(l.mean[o]))/math.Sqrt(float64(l.variance[o])+0.001)
					if d := have[y][x] + float64(op.Bias[o]) - norm; !(math.Abs(d) < 1e-4) {
						t.Fatalf("%s channel %d at %d,%d: folded %g, convolution and batch norm %g", l.name, o, y, x, norm+d, norm)
					}
				}
			}
		}
	}
}

// TestPlain compares convolutions of the graph with ones computed from Caffe's weights and biases.
func TestPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	layers := []struct {
		name                            string
		kernel, stride, border, in, out int
		weights, bias                   []float32
	}{
		{name: FirstConv, kernel: 7, stride: 2, border: 3, in: 3, out: 64},
		{name: "inception_3a/5x5", kernel: 5, stride: 1, border: 2, in: 16, out: 32},
		{name: "inception_3a/5x5_reduce", kernel: 1, stride: 1, in: 192, out: 16},
	}
	tensors := tensorsOf(BVLC, 2)
	for i := range layers {
		l := &layers[i]
		l.weights, l.bias = random(r, l.out*l.in*l.kernel*l.kernel, -1, 1), random(r, l.out, -1, 1)
		find(t, tensors, l.name+".weight").data = l.weights
		find(t, tensors, l.name+".bias").data = l.bias
	}
	g, err := GoogLeNet(open(t, tensors), 96)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		values := random(r, 9*8*l.in, -1, 1)
		in := tensor{9, 8, l.in, func(y, x, c int) float64 { return float64(values[(y*8+x)*l.in+c]) }}
		op := g.Op(l.name)
		if !slices.Equal(op.Bias, l.bias) {
			t.Errorf("%s: the bias is not the file's", l.name)
		}
		for o := range l.out {
			have := convolve(in, l.kernel, l.stride, l.border, ohwi(op, l.in, o))
			want := convolve(in, l.kernel, l.stride, l.border, func(ky, kx, c int) float64 {
				return float64(l.weights[((o*l.in+c)*l.kernel+ky)*l.kernel+kx])
			})
			for y := range want {
				if !slices.Equal(have[y], want[y]) { // the same sums in the same order
					t.Fatalf("%s channel %d, row %d: have %v, want %v", l.name, o, y, have[y], want[y])
				}
			}
		}
	}
}
