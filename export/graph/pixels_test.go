package graph

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// firstConv gives a graph of conv1 behind its border and one more convolution, with random weights.
func firstConv(r *rand.Rand) *Graph {
	return &Graph{Architecture: BVLC, Size: 20, Classes: 5, Ops: []Op{
		{Name: FirstConv + "/pad", Kind: Pad, Inputs: []string{Input}, Before: 3, After: 3, Height: 26, Width: 26, Channels: 3},
		{Name: FirstConv, Kind: Conv, Inputs: []string{FirstConv + "/pad"}, Kernel: 7, Stride: 2, Padding: Valid,
			Height: 10, Width: 10, Channels: 4, Weights: random(r, 4*7*7*3, -1, 1), Bias: random(r, 4, -2, 2)},
		{Name: "conv2/3x3_reduce", Kind: Conv, Inputs: []string{FirstConv}, Kernel: 1, Stride: 1, Height: 10, Width: 10, Channels: 4, Weights: random(r, 16, -1, 1), Bias: random(r, 4, -1, 1)},
	}}
}

var (
	imageNet = Normalization{Mean: [3]float64{123.675, 116.28, 103.53}, Std: [3]float64{58.395, 57.12, 57.375}}
	bvlc     = Normalization{Mean: [3]float64{123, 117, 104}, Std: [3]float64{1, 1, 1}}
)

// padded gives the values of in and around them those of the border.
func padded(in tensor, border int, fill [3]float64) tensor {
	return tensor{in.height + 2*border, in.width + 2*border, in.channels, func(y, x, c int) float64 {
		y, x = y-border, x-border
		if y < 0 || y >= in.height || x < 0 || x >= in.width {
			return fill[c]
		}
		return in.at(y, x, c)
	}}
}

// TestTakePixels runs a random picture of bytes through the first convolution as it was trained, on normalized values with a border
// of 0, and as it was changed, on pixels with the border that it asks for. Both must agree but for what the border's pixel differs from
// the mean: nothing if the mean is a whole number, and half a pixel at most.
func TestTakePixels(t *testing.T) {
	const kernel, stride, border, side = 7, 2, 3, 20
	r := rand.New(rand.NewPCG(3, 4))
	picture := make([]byte, side*side*3)
	for i := range picture {
		picture[i] = byte(r.UintN(256))
	}
	for _, test := range []struct {
		name  string
		n     Normalization
		fill  bool // the border gets a fill
		exact bool
	}{
		{"symmetric", Symmetric, false, false},
		{"ImageNet", imageNet, true, false},
		{"BVLC", bvlc, true, true},
		{"to one", Normalization{Std: [3]float64{255, 255, 255}}, false, true},
		{"alike and whole", Normalization{Mean: [3]float64{128, 128, 128}, Std: [3]float64{60, 50, 40}}, false, true},
		{"near each other", Normalization{Mean: [3]float64{127.4, 126.9, 127.5}, Std: [3]float64{60, 60, 60}}, false, false},
		{"black and white", Normalization{Mean: [3]float64{0, 255, 7}, Std: [3]float64{1, 2, 3}}, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			n, g, p := test.n, firstConv(r), test.n.Pixels()
			changed := g.TakePixels(n, p)
			before, after := g.Op(FirstConv), changed.Op(FirstConv)
			pad := changed.Op(after.Inputs[0])
			if (pad.Fill != nil) != test.fill || test.fill && len(pad.Fill) != 3 {
				t.Fatalf("the border has the fill %v, want one: %t", pad.Fill, test.fill)
			}
			fill, off := [3]float64{}, [3]float64{} // of pixels, and what that differs from a normalized 0
			copy(fill[:], pad.Fill)
			for c := range fill {
				pixel := fill[c]/p.Scale + float64(p.Zero)
				if math.Abs(pixel-n.Mean[c]) > 0.5+1e-9 || math.Abs(pixel-math.Round(pixel)) > 1e-9 {
					t.Errorf("channel %d: the border's pixel is %g, want the whole one nearest to %g", c, pixel, n.Mean[c])
				}
				if off[c] = (pixel - n.Mean[c]) / n.Std[c]; test.exact && math.Abs(off[c]) > 1e-9 {
					t.Errorf("channel %d: the border's pixel is off by %g, want none", c, off[c])
				}
			}
			trained := tensor{side, side, 3, func(y, x, c int) float64 {
				return (float64(picture[(y*side+x)*3+c]) - n.Mean[c]) / n.Std[c]
			}}
			pixels := tensor{side, side, 3, func(y, x, c int) float64 {
				return (float64(picture[(y*side+x)*3+c]) - float64(p.Zero)) * p.Scale
			}}
			nothing := tensor{side, side, 3, func(_, _, _ int) float64 { return 0 }}
			atBorder := 0
			for o := range before.Channels {
				want := convolve(trained, kernel, stride, border, ohwi(before, 3, o))
				have := convolve(padded(pixels, border, fill), kernel, stride, 0, ohwi(after, 3, o))
				share := convolve(padded(nothing, border, off), kernel, stride, 0, ohwi(before, 3, o)) // the border's
				scale := 0.0                                                                           // the size of the sums, which rounding to float32 goes by
				for _, row := range want {
					for _, v := range row {
						scale = max(scale, math.Abs(v))
					}
				}
				for y := range want {
					for x := range want[y] {
						diff := have[y][x] + float64(after.Bias[o]) - want[y][x] - float64(before.Bias[o])
						if !(math.Abs(diff-share[y][x]) <= 1e-5*scale) {
							t.Fatalf("channel %d at %d,%d: differs by %g, want %g (sums to %g)", o, y, x, diff, share[y][x], scale)
						}
						if math.Abs(diff) > 1e-5*scale {
							atBorder++
						}
					}
				}
			}
			if test.exact != (atBorder == 0) {
				t.Errorf("mean %v: %d outputs differ", n.Mean, atBorder)
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
	if g.Op(FirstConv+"/pad").Fill != nil {
		t.Error("TakePixels filled the border of its graph")
	}
	if &out.Ops[2].Weights[0] != &g.Ops[2].Weights[0] || &out.Ops[2].Bias[0] != &g.Ops[2].Bias[0] {
		t.Error("the second convolution's weights were copied, want them shared")
	}
	if out.Architecture != g.Architecture || out.Size != g.Size || out.Classes != g.Classes || len(out.Ops) != len(g.Ops) {
		t.Errorf("have %s, size %d, %d classes, %d operators, want the graph's", out.Architecture, out.Size, out.Classes, len(out.Ops))
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
