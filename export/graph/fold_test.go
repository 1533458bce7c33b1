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
	tensors := stateDict(2)
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

// firstConv gives a graph of conv1 and one more convolution with random weights.
func firstConv(r *rand.Rand) *Graph {
	return &Graph{Size: 96, Classes: 5, Ops: []Op{
		{Name: FirstConv, Kind: Conv, Kernel: 7, Stride: 2, Channels: 4, Weights: random(r, 4*7*7*3, -1, 1), Bias: random(r, 4, -2, 2)},
		{Name: "conv2/3x3_reduce", Kind: Conv, Kernel: 1, Stride: 1, Channels: 4, Weights: random(r, 16, -1, 1), Bias: random(r, 4, -1, 1)},
	}}
}

var (
	imageNet = Normalization{Mean: [3]float64{123.675, 116.28, 103.53}, Std: [3]float64{58.395, 57.12, 57.375}}
	bvlc     = Normalization{Mean: [3]float64{123, 117, 104}, Std: [3]float64{1, 1, 1}}
)

// TestTakePixels runs a random picture of bytes through the first convolution as it was trained, on normalized values, and
// as it was changed, on pixels. Inside the picture both must agree; where the window reaches over the border they must
// differ by what padding with the pixel Zero in place of the mean adds.
func TestTakePixels(t *testing.T) {
	const kernel, stride, border, side = 7, 2, 3, 20
	r := rand.New(rand.NewPCG(3, 4))
	picture := make([]byte, side*side*3)
	for i := range picture {
		picture[i] = byte(r.UintN(256))
	}
	for name, n := range map[string]Normalization{"symmetric": Symmetric, "ImageNet": imageNet, "BVLC": bvlc,
		"to one": {Std: [3]float64{255, 255, 255}}} {
		t.Run(name, func(t *testing.T) {
			g, p := firstConv(r), n.Pixels()
			trained := tensor{side, side, 3, func(y, x, c int) float64 {
				return (float64(picture[(y*side+x)*3+c]) - n.Mean[c]) / n.Std[c]
			}}
			pixels := tensor{side, side, 3, func(y, x, c int) float64 {
				return (float64(picture[(y*side+x)*3+c]) - float64(p.Zero)) * p.Scale
			}}
			// inside is 1 in the picture: what it leaves of the sum over all weights is the border's share.
			inside := tensor{side, side, 3, func(_, _, _ int) float64 { return 1 }}
			changed := g.TakePixels(n, p)
			before, after := g.Op(FirstConv), changed.Op(FirstConv)
			atBorder := 0
			for o := range before.Channels {
				w := ohwi(before, 3, o)
				offset := func(ky, kx, c int) float64 { return w(ky, kx, c) * (float64(p.Zero) - n.Mean[c]) / n.Std[c] }
				whole := 0.0
				for i := range kernel * kernel * 3 {
					whole += offset(i/(kernel*3), i/3%kernel, i%3)
				}
				want := convolve(trained, kernel, stride, border, w)
				have := convolve(pixels, kernel, stride, border, ohwi(after, 3, o))
				covered := convolve(inside, kernel, stride, border, offset)
				scale := 0.0 // the size of the sums, which rounding to float32 goes by
				for _, row := range want {
					for _, v := range row {
						scale = max(scale, math.Abs(v))
					}
				}
				for y := range want {
					for x := range want[y] {
						diff := have[y][x] + float64(after.Bias[o]) - want[y][x] - float64(before.Bias[o])
						expected := whole - covered[y][x]
						if x >= 2 && x < len(want[y])-2 && y >= 2 && y < len(want)-2 && math.Abs(expected) > 1e-9 {
							t.Fatalf("the window at %d,%d is inside, border's share %g", y, x, expected)
						}
						if !(math.Abs(diff-expected) <= 1e-5*scale) {
							t.Fatalf("channel %d at %d,%d: differs by %g, want %g (sums to %g)", o, y, x, diff, expected, scale)
						}
						if math.Abs(expected) > 1e-5*scale {
							atBorder++
						}
					}
				}
			}
			if mismatch := n.Mean != [3]float64{float64(p.Zero), float64(p.Zero), float64(p.Zero)}; mismatch != (atBorder > 0) {
				t.Errorf("mean %v, zero %d: %d outputs differ at the border", n.Mean, p.Zero, atBorder)
			}
		})
	}
}

// TestTakePixelsCopies shows that the graph is left as it was, and what the copy shares with it.
func TestTakePixelsCopies(t *testing.T) {
	g, same := firstConv(rand.New(rand.NewPCG(5, 6))), firstConv(rand.New(rand.NewPCG(5, 6)))
	out := g.TakePixels(imageNet, imageNet.Pixels())
	for i := range g.Ops {
		if !slices.Equal(g.Ops[i].Weights, same.Ops[i].Weights) || !slices.Equal(g.Ops[i].Bias, same.Ops[i].Bias) {
			t.Errorf("TakePixels changed %s of its graph", g.Ops[i].Name)
		}
	}
	if &out.Ops[1].Weights[0] != &g.Ops[1].Weights[0] || &out.Ops[1].Bias[0] != &g.Ops[1].Bias[0] {
		t.Error("the second convolution's weights were copied, want them shared")
	}
	if out.Size != g.Size || out.Classes != g.Classes || len(out.Ops) != len(g.Ops) {
		t.Errorf("have size %d, %d classes, %d operators, want the graph's", out.Size, out.Classes, len(out.Ops))
	}
}

func TestPixels(t *testing.T) {
	gray := func(mean, std float64) Normalization {
		return Normalization{Mean: [3]float64{mean, mean, mean}, Std: [3]float64{std, std, std}}
	}
	for _, test := range []struct {
		n    Normalization
		want Pixels
	}{
		{Symmetric, Pixels{1 / 127.5, 127}},
		{imageNet, Pixels{(1/58.395 + 1/57.12 + 1/57.375) / 3, 114}},
		{bvlc, Pixels{1, 115}}, // the mean is 114.67
		{gray(0, 255), Pixels{1.0 / 255, 0}},
		{gray(0.5, 1), Pixels{1, 0}},
		{gray(127.6, 2), Pixels{0.5, 128}},
		{gray(128, 1), Pixels{1, 128}},
		{gray(255, 1), Pixels{1, 255}},
		{gray(-1e30, 1), Pixels{1, 0}},
		{gray(1e30, 1), Pixels{1, 255}},
	} {
		have := test.n.Pixels()
		if have.Zero != test.want.Zero || !(math.Abs(have.Scale/test.want.Scale-1) < 1e-12) {
			t.Errorf("mean %v, std %v: have %+v, want %+v", test.n.Mean, test.n.Std, have, test.want)
		}
	}
}

// TestSwapChannels shows that the swapped convolution sees in an RGB picture what the first saw in the same picture in BGR.
func TestSwapChannels(t *testing.T) {
	const side = 11
	r := rand.New(rand.NewPCG(7, 8))
	g := firstConv(r)
	original := g.Op(FirstConv).Weights
	kept := slices.Clone(original)
	values := random(r, side*side*3, -1, 1)
	rgb := tensor{side, side, 3, func(y, x, c int) float64 { return float64(values[(y*side+x)*3+c]) }}
	bgr := tensor{side, side, 3, func(y, x, c int) float64 { return rgb.at(y, x, 2-c) }}
	var want [4][][]float64
	for o := range want {
		want[o] = convolve(bgr, 7, 2, 3, ohwi(g.Op(FirstConv), 3, o))
	}
	g.SwapChannels()
	for o := range want {
		have := convolve(rgb, 7, 2, 3, ohwi(g.Op(FirstConv), 3, o))
		for y := range have {
			for x, v := range have[y] {
				if !(math.Abs(v-want[o][y][x]) < 1e-12) {
					t.Fatalf("channel %d at %d,%d: %g of the RGB picture, %g of the BGR one before", o, y, x, v, want[o][y][x])
				}
			}
		}
	}
	if !slices.Equal(original, kept) {
		t.Error("SwapChannels changed the array that other graphs may share")
	}
	g.SwapChannels()
	if !slices.Equal(g.Op(FirstConv).Weights, kept) {
		t.Error("swapping twice doesn't give the first weights")
	}
}
