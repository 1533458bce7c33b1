package graph

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// blocksOf gives what SPACE_TO_DEPTH with blocks of 2x2 makes of a map: channel (2*row + column)*channels + c of a block
// (tensorflow/lite/kernels/internal/reference/space_to_depth.h).
func blocksOf(in tensor) tensor {
	return tensor{in.height / 2, in.width / 2, 4 * in.channels, func(y, x, c int) float64 {
		place := c / in.channels
		return in.at(2*y+place/2, 2*x+place%2, c%in.channels)
	}}
}

// framed gives the values of in and around them the border of a Pad, which differs before and behind.
func framed(in tensor, pad *Op) tensor {
	return tensor{in.height + pad.Before + pad.After, in.width + pad.Before + pad.After, in.channels, func(y, x, c int) float64 {
		y, x = y-pad.Before, x-pad.Before
		if y < 0 || y >= in.height || x < 0 || x >= in.width {
			return pad.Fill[c]
		}
		return in.at(y, x, c)
	}}
}

// TestSpace2Depth compares the first convolution with the one over blocks on random values, at the border too.
func TestSpace2Depth(t *testing.T) {
	const side, border = 20, 3
	r := rand.New(rand.NewPCG(11, 12))
	g, same := firstConv(r), firstConv(rand.New(rand.NewPCG(11, 12)))
	fill := [3]float64{8, 2, -11}
	g.Op(FirstConv+"/pad").Fill, same.Op(FirstConv+"/pad").Fill = fill[:], slices.Clone(fill[:])
	out := g.Space2Depth()
	if !reflect.DeepEqual(g, same) {
		t.Error("Space2Depth changed its graph")
	}

	values := random(r, side*side*3, -1, 1)
	picture := tensor{side, side, 3, func(y, x, c int) float64 { return float64(values[(y*side+x)*3+c]) }}
	before, after, pad := g.Op(FirstConv), out.Op(FirstConv), out.Op(FirstConv+"/pad")
	framed := framed(blocksOf(picture), pad)
	if framed.height != pad.Height || framed.width != pad.Width || !slices.Equal(pad.Fill, slices.Concat(fill[:], fill[:], fill[:], fill[:])) {
		t.Fatalf("the border makes %dx%d of %v, the operator states %dx%d", framed.height, framed.width, pad.Fill, pad.Height, pad.Width)
	}
	for o := range before.Channels {
		want := convolve(padded(picture, border, fill), before.Kernel, before.Stride, 0, ohwi(before, 3, o))
		have := convolve(framed, after.Kernel, after.Stride, 0, ohwi(after, 12, o))
		if len(have) != len(want) || len(have) != after.Height || len(have[0]) != after.Width || len(have[0]) != len(want[0]) {
			t.Fatalf("the map is %dx%d, the operator states %dx%d, before it was %dx%d",
				len(have), len(have[0]), after.Height, after.Width, len(want), len(want[0]))
		}
		for y := range want {
			for x := range want[y] {
				if !(math.Abs(have[y][x]-want[y][x]) < 1e-12) {
					t.Fatalf("channel %d at %d,%d: %g over blocks, %g before", o, y, x, have[y][x], want[y][x])
				}
			}
		}
	}
}

// TestSpace2DepthOperators looks at the operators themselves, in both architectures.
func TestSpace2DepthOperators(t *testing.T) {
	for _, a := range architectures {
		g := empty(t, a, 96)
		out := g.Space2Depth()
		if out.Architecture != a || out.Size != g.Size || out.Classes != g.Classes || len(out.Ops) != len(g.Ops)+1 {
			t.Errorf("%s: have %s, size %d, %d classes, %d operators, want the graph's and one more", a, out.Architecture, out.Size, out.Classes, len(out.Ops))
		}
		for i := range g.Ops {
			op := &g.Ops[i]
			if op.Name == FirstConv || op.Name == FirstConv+"/pad" {
				continue
			}
			if have := out.Op(op.Name); !reflect.DeepEqual(have, op) || op.Weights != nil && &have.Weights[0] != &op.Weights[0] {
				t.Errorf("%s: %s has changed, or has weights of its own", a, op.Name)
			}
		}
		conv := out.Op(FirstConv)
		pad := out.Op(conv.Inputs[0])
		blocks := out.Op(pad.Inputs[0])
		if conv.Kernel != 4 || conv.Stride != 1 || conv.Padding != Valid || len(conv.Weights) != 64*4*4*12 {
			t.Errorf("%s: the convolution has kernel %d, stride %d, padding %d and %d weights", a, conv.Kernel, conv.Stride, conv.Padding, len(conv.Weights))
		}
		if pad.Name != FirstConv+"/pad" || pad.Kind != Pad || pad.Before != 2 || pad.After != 1 || pad.Fill != nil || !slices.Equal(pad.Shape(), []int{1, 51, 51, 12}) {
			t.Errorf("%s: before it there is %+v", a, pad)
		}
		if blocks.Kind != SpaceToDepth || blocks.Inputs[0] != Input || !slices.Equal(blocks.Shape(), []int{1, 48, 48, 12}) {
			t.Errorf("%s: before the border there is %s of shape %v, which reads %v", a, blocks.Kind, blocks.Shape(), blocks.Inputs)
		}
	}
}
