package graph

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"sightd/export/weights"
)

var update = flag.Bool("update", false, "write the dumps in testdata anew")

// dump describes the graph, a line for an operator.
func dump(g *Graph) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, size %d, %d classes\n", g.Architecture, g.Size, g.Classes)
	for i := range g.Ops {
		op := &g.Ops[i]
		fmt.Fprintf(&b, "%-27s %-15s", op.Name, op.Kind)
		switch op.Kind {
		case Conv, MaxPool:
			fmt.Fprintf(&b, " %dx%d/%d %-5s", op.Kernel, op.Kernel, op.Stride, [...]string{Same: "SAME", Valid: "VALID"}[op.Padding])
		case Pad:
			fmt.Fprintf(&b, " border %d", op.Before)
			if op.After != op.Before {
				fmt.Fprintf(&b, " and %d", op.After)
			}
			if op.Fill != nil {
				fmt.Fprintf(&b, " of %v", op.Fill)
			}
		case LRN:
			fmt.Fprintf(&b, " radius %d bias %g alpha %g beta %g", op.Norm.Radius, op.Norm.Bias, op.Norm.Alpha, op.Norm.Beta)
		}
		fmt.Fprintf(&b, " %v", op.Shape())
		if op.Weights != nil || op.Bias != nil {
			fmt.Fprintf(&b, " %d weights, %d biases", len(op.Weights), len(op.Bias))
		}
		fmt.Fprintf(&b, " <- %s\n", strings.Join(op.Inputs, " "))
	}
	return b.String()
}

// compareDump compares the graph with a dump in testdata.
func compareDump(t *testing.T, golden string, g *Graph) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(dump(g)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if have := dump(g); have != string(want) {
		t.Errorf("%s: the graph has changed: have\n%s", golden, have)
	}
}

// sizesOf are the sizes that a test builds the networks for: under the race detector the first of them.
func sizesOf(sizes ...int) []int {
	if raceEnabled {
		return sizes[:1]
	}
	return sizes
}

// TestLayers compares every operator with the dumps in testdata.
func TestLayers(t *testing.T) {
	for a, name := range map[Architecture]string{Torchvision: "googlenet", BVLC: "bvlc"} {
		for _, size := range sizesOf(96, 160, 224) {
			compareDump(t, fmt.Sprintf("testdata/%s_%d.txt", name, size), empty(t, a, size))
		}
	}
}

// TestLayersOfPixels does so with the changes for an input of pixels and for blocks of them.
func TestLayersOfPixels(t *testing.T) {
	n, _ := BVLC.Trained()
	compareDump(t, "testdata/bvlc_96_blocks.txt", empty(t, BVLC, 96).TakePixels(n, n.Pixels()).Space2Depth())
}

// trainedKernel gives the side of an operator's window as the architecture was trained, from the names alone: they state it, but for
// torchvision's branch named 5x5, which is 3x3, and its pool4, which is 2x2.
func trainedKernel(t *testing.T, a Architecture, op *Op) int {
	t.Helper()
	last := op.Name[strings.LastIndex(op.Name, "/")+1:]
	if op.Kind == MaxPool && last == "pool" {
		return 3
	}
	if last == "pool_proj" {
		return 1
	}
	side := int(last[0] - '0')
	switch {
	case strings.HasSuffix(last, "_reduce"):
		return 1
	case a == Torchvision && last == "5x5":
		return 3
	case a == Torchvision && strings.HasPrefix(op.Name, "pool4/"):
		return 2
	case side != 1 && side != 3 && side != 5 && side != 7:
		t.Fatalf("%s states no kernel", op.Name)
	}
	return side
}

// TestPadding computes every shape anew by the formulas of torch and Caffe from the paddings that the networks were trained with, and the
// padding before the first row by TensorFlow Lite's: both must agree, or the maps would be shifted against the ones trained on.
func TestPadding(t *testing.T) {
	for _, a := range architectures {
		for _, size := range sizesOf(96, 128, 160, 224) {
			g := empty(t, a, size)
			for i := range g.Ops {
				op := &g.Ops[i]
				if op.Kind != Conv && op.Kind != MaxPool {
					continue
				}
				if kernel := trainedKernel(t, a, op); op.Kernel != kernel {
					t.Errorf("%s: %s has the kernel %d, want %d", a, op.Name, op.Kernel, kernel)
				}
				in := g.Shape(op.Inputs[0])[1]
				border := 0
				if before := g.Op(op.Inputs[0]); before != nil && before.Kind == Pad {
					border = before.Before
				}
				// Both networks pad all convolutions and the pools of stride 1 by half the kernel, the other pools not.
				pad := (op.Kernel - 1) / 2
				if op.Kind == MaxPool && op.Stride == 2 {
					pad = 0
				}
				want := trainedHeight(in-2*border, pad, op)
				have, before := tensorFlowLite(in, op)
				if op.Height != have || op.Width != have || have != want {
					t.Errorf("%s, size %d: %s is %dx%d, by TensorFlow Lite's rule %d, as trained %d", a, size, op.Name, op.Height, op.Width, have, want)
				}
				if before+border != pad {
					t.Errorf("%s, size %d: %s is padded by %d before the first row, as trained by %d", a, size, op.Name, before+border, pad)
				}
			}
		}
	}
}

// trainedHeight gives the height of an operator's output as Caffe (ConvolutionLayer::compute_output_shape and PoolingLayer::Reshape) and torch
// (ceil_mode) compute it: a convolution's is rounded down, a pool's up, but no window may begin in the padding behind the map.
func trainedHeight(in, pad int, op *Op) int {
	exact := float64(in+2*pad-op.Kernel) / float64(op.Stride)
	if op.Kind == Conv {
		return int(math.Floor(exact)) + 1
	}
	out := int(math.Ceil(exact)) + 1
	if (out-1)*op.Stride >= in+pad {
		out--
	}
	return out
}

// tensorFlowLite gives the height of an operator's output and the rows of padding before its input's first, as
// tensorflow/lite/kernels/padding.h computes them.
func tensorFlowLite(in int, op *Op) (out, before int) {
	if op.Padding == Valid {
		return (in-op.Kernel)/op.Stride + 1, 0
	}
	out = (in + op.Stride - 1) / op.Stride
	return out, max((out-1)*op.Stride+op.Kernel-in, 0) / 2
}

// TestWeightShapes holds the arrays to the shapes that Op documents, and the operators to their order.
func TestWeightShapes(t *testing.T) {
	n, _ := BVLC.Trained()
	for name, g := range map[string]*Graph{"torchvision": empty(t, Torchvision, 96), "BVLC": empty(t, BVLC, 96),
		"of pixels": empty(t, BVLC, 96).TakePixels(n, n.Pixels()), "of blocks": empty(t, Torchvision, 96).Space2Depth()} {
		t.Run(name, func(t *testing.T) { checkShapes(t, g) })
	}
}

func checkShapes(t *testing.T, g *Graph) {
	known := map[string]bool{Input: true}
	for i := range g.Ops {
		op := &g.Ops[i]
		channels := 0
		for _, in := range op.Inputs {
			if !known[in] {
				t.Fatalf("%s reads %s before it is computed", op.Name, in)
			}
			shape := g.Shape(in)
			channels += shape[len(shape)-1]
		}
		if known[op.Name] {
			t.Errorf("%s is there twice", op.Name)
		}
		known[op.Name] = true
		wantWeights, wantBias, wantChannels := 0, 0, channels
		switch op.Kind {
		case Conv:
			wantWeights, wantBias, wantChannels = op.Channels*op.Kernel*op.Kernel*channels, op.Channels, op.Channels
		case FullyConnected:
			wantWeights, wantBias, wantChannels = op.Channels*channels, op.Channels, g.Classes
		case SpaceToDepth:
			wantChannels = 4 * channels
		}
		if len(op.Weights) != wantWeights || len(op.Bias) != wantBias || op.Channels != wantChannels {
			t.Errorf("%s: %d weights, %d biases, %d channels, want %d, %d, %d",
				op.Name, len(op.Weights), len(op.Bias), op.Channels, wantWeights, wantBias, wantChannels)
		}
		if (op.Kind == LRN) != (op.Norm != nil) || op.Kind != Pad && op.Fill != nil {
			t.Errorf("%s %s: normalization %v, fill %v", op.Kind, op.Name, op.Norm, op.Fill)
		}
	}
	if last := g.Ops[len(g.Ops)-1].Name; last != Classifier || !slices.Equal(g.Shape(Classifier), []int{1, 10}) ||
		!slices.Equal(g.Shape(Features), []int{1, 1024}) || g.Shape("none") != nil || g.Op("none") != nil {
		t.Errorf("last is %s, shapes %v and %v", last, g.Shape(Classifier), g.Shape(Features))
	}
}

// TestReaders compares the readers of some values with the paper's figure of an inception module.
func TestReaders(t *testing.T) {
	for value, want := range map[string][]string{
		"conv1/7x7_s2/pad":        {FirstConv},
		"pool1/3x3_s2":            {"pool1/norm1"},
		"pool2/3x3_s2":            {"inception_3a/1x1", "inception_3a/3x3_reduce", "inception_3a/5x5_reduce", "inception_3a/pool"},
		"inception_3a/3x3_reduce": {"inception_3a/3x3"},
		"inception_3a/pool_proj":  {"inception_3a/output"},
		"inception_5b/output":     {Features},
		Features:                  {Classifier},
		Classifier:                nil,
		"none":                    nil,
	} {
		g := empty(t, BVLC, 96)
		var have []string
		for _, op := range g.Readers(g.Op(value)) {
			have = append(have, op.Name)
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s is read by %v, want %v", value, have, want)
		}
	}
}

// TestNumMACs compares the work for one picture with the 1.5 G of the paper, which are 1.498 G in torchvision's table of
// models and, with the 5x5 kernels, 1.583 G in the figures that are given for Caffe's model: all for 1000 classes.
func TestNumMACs(t *testing.T) {
	for a, wants := range map[Architecture][3]int{
		Torchvision: {276_047_872, 764_979_200, 1_498_376_192},
		BVLC:        {291_530_752, 807_987_200, 1_582_671_872},
	} {
		for i, size := range sizesOf(96, 160, 224) {
			g := empty(t, a, size)
			total := 1024 * (1000 - g.Classes)
			for i := range g.Ops {
				total += g.Ops[i].NumMACs()
			}
			if total != wants[i] {
				t.Errorf("%s, size %d: %d multiplications, want %d", a, size, total, wants[i])
			}
		}
	}
}

func TestCheckSize(t *testing.T) {
	for _, size := range []int{96, 128, 160, 192, 224, 256, 480, 512} {
		if err := CheckSize(size); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
	}
	for _, size := range []int{-96, 0, 1, 32, 64, 95, 97, 112, 161, 223, 511, 544} {
		want := fmt.Sprintf("size: want a multiple of 32 from 96 to 512, have %d", size)
		if err := CheckSize(size); err == nil || err.Error() != want {
			t.Errorf("size %d: error %v, want %q", size, err, want)
		}
		if g, err := GoogLeNet(nil, size); err == nil || g != nil {
			t.Errorf("size %d: GoogLeNet gives %v, error %v", size, g, err)
		}
	}
}

// TestReadFails shows that a tensor that can't be read while the graph is built is an error that names it.
func TestReadFails(t *testing.T) {
	for _, test := range []struct {
		a    Architecture
		has  weights.Want
		want string
	}{
		{Torchvision, weights.Want{Name: "conv1.conv.weight", Shape: []int{64, 3, 7, 7}}, "read conv1.bn.weight"},
		{Torchvision, weights.Want{Name: "conv1.bn.weight", Shape: []int{64}}, "read conv1.conv.weight"},
		{BVLC, weights.Want{Name: "conv1/7x7_s2.weight", Shape: []int{64, 3, 7, 7}}, "read conv1/7x7_s2.bias"},
		{BVLC, weights.Want{Name: "conv1/7x7_s2.bias", Shape: []int{64}}, "read conv1/7x7_s2.weight"},
	} {
		set := open(t, []stored{{name: test.has.Name, shape: test.has.Shape}})
		b := builder{set: set, g: &Graph{Architecture: test.a}, value: Input, height: 96, channels: 3}
		b.conv(FirstConv, "conv1", 7, 2, 64)
		b.classifier()
		if b.err == nil || !strings.Contains(b.err.Error(), test.want) || !strings.Contains(b.err.Error(), "no such tensor") {
			t.Errorf("%s, only %s: error %v, want %q", test.a, test.has.Name, b.err, test.want)
		}
	}
}

func BenchmarkGoogLeNet(b *testing.B) {
	for _, a := range architectures {
		b.Run(string(a), func(b *testing.B) {
			set := open(b, tensorsOf(a, 10))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := GoogLeNet(set, 160); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
