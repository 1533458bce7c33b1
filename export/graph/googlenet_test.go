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
	fmt.Fprintf(&b, "size %d, %d classes\n", g.Size, g.Classes)
	for i := range g.Ops {
		op := &g.Ops[i]
		fmt.Fprintf(&b, "%-27s %-15s", op.Name, op.Kind)
		switch op.Kind {
		case Conv, MaxPool:
			fmt.Fprintf(&b, " %dx%d/%d %-5s", op.Kernel, op.Kernel, op.Stride, [...]string{Same: "SAME", Valid: "VALID"}[op.Padding])
		case Pad:
			fmt.Fprintf(&b, " border %d", op.Border)
		}
		fmt.Fprintf(&b, " %v", op.Shape())
		if op.Weights != nil || op.Bias != nil {
			fmt.Fprintf(&b, " %d weights, %d biases", len(op.Weights), len(op.Bias))
		}
		fmt.Fprintf(&b, " <- %s\n", strings.Join(op.Inputs, " "))
	}
	return b.String()
}

// TestLayers compares every operator with the dumps in testdata.
func TestLayers(t *testing.T) {
	for _, size := range []int{96, 160, 224} {
		g := empty(t, size)
		golden := fmt.Sprintf("testdata/googlenet_%d.txt", size)
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
}

// TestPadding computes every shape anew by torch's formulas from torchvision's paddings, and the padding before the first
// row by TensorFlow Lite's: both must agree, or the maps would be shifted against the ones trained on.
func TestPadding(t *testing.T) {
	for _, size := range []int{96, 128, 160, 224} {
		g := empty(t, size)
		for i := range g.Ops {
			op := &g.Ops[i]
			if op.Kind != Conv && op.Kind != MaxPool {
				continue
			}
			in := g.Shape(op.Inputs[0])[1]
			border := 0
			if before := g.Op(op.Inputs[0]); before != nil && before.Kind == Pad {
				border = before.Border
			}
			have, before := tensorFlowLite(in, op)
			// torchvision pads all convolutions and the pools of stride 1 by half the kernel, the other pools not.
			torchPad := (op.Kernel - 1) / 2
			if op.Kind == MaxPool && op.Stride == 2 {
				torchPad = 0
			}
			want := float64(in-2*border+2*torchPad-op.Kernel)/float64(op.Stride) + 1
			if op.Kind == MaxPool {
				want = math.Ceil(want) // ceil_mode
			}
			if op.Height != have || op.Width != have || have != int(want) {
				t.Errorf("size %d: %s is %dx%d, by TensorFlow Lite's rule %d, by torch's %g",
					size, op.Name, op.Height, op.Width, have, want)
			}
			if before+border != torchPad {
				t.Errorf("size %d: %s is padded by %d before the first row, torch by %d", size, op.Name, before+border, torchPad)
			}
		}
	}
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
	g := empty(t, 224)
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
		}
		if len(op.Weights) != wantWeights || len(op.Bias) != wantBias || op.Channels != wantChannels {
			t.Errorf("%s: %d weights, %d biases, %d channels, want %d, %d, %d",
				op.Name, len(op.Weights), len(op.Bias), op.Channels, wantWeights, wantBias, wantChannels)
		}
	}
	if last := g.Ops[len(g.Ops)-1].Name; last != Classifier || !slices.Equal(g.Shape(Classifier), []int{1, 10}) ||
		!slices.Equal(g.Shape(Features), []int{1, 1024}) || g.Shape("none") != nil || g.Op("none") != nil {
		t.Errorf("last is %s, shapes %v and %v", last, g.Shape(Classifier), g.Shape(Features))
	}
}

// TestNumMACs compares the work for one picture with the 1.5 G of the paper, which are 1.498 G in torchvision's table of
// models: both for 1000 classes.
func TestNumMACs(t *testing.T) {
	for size, want := range map[int]int{96: 276_047_872, 160: 764_979_200, 224: 1_498_376_192} {
		g := empty(t, size)
		total := 1024 * (1000 - g.Classes)
		for i := range g.Ops {
			total += g.Ops[i].NumMACs()
		}
		if total != want {
			t.Errorf("size %d: %d multiplications, want %d", size, total, want)
		}
	}
}

// TestWants counts tensors and parameters. torchvision states 6,624,904 parameters for 1000 classes without auxiliary heads;
// a batch norm's running mean and variance are none.
func TestWants(t *testing.T) {
	wants := Wants()
	if len(wants) != 57*5+2 {
		t.Errorf("%d tensors, want 57 convolutions of 5 and the classifier's 2", len(wants))
	}
	seen := map[string]bool{}
	for classes, want := range map[int]int{1000: 6_624_904, 10: 5_610_154} {
		have := 0
		for _, s := range stateDict(classes) {
			seen[s.name] = true
			if !strings.Contains(s.name, ".running_") {
				have += s.size()
			}
		}
		if have != want {
			t.Errorf("%d classes: %d parameters, want %d", classes, have, want)
		}
	}
	if len(seen) != len(wants) {
		t.Errorf("%d names for %d tensors", len(seen), len(wants))
	}
}

func TestDropped(t *testing.T) {
	for name, want := range map[string]bool{
		"aux1.conv.conv.weight":                      true,
		"aux2.fc2.bias":                              true,
		"conv1.bn.num_batches_tracked":               true,
		"inception3a.branch1.bn.num_batches_tracked": true,
		"aux1":                     false,
		"aux3.fc1.weight":          false,
		"auxiliary.fc1.weight":     false,
		"net.aux1.fc1.weight":      false,
		"num_batches_tracked":      false,
		"conv1.bn.running_mean":    false,
		"conv1.num_batches_tracke": false,
		"fc.weight":                false,
		"":                         false,
	} {
		if Dropped(name) != want {
			t.Errorf("Dropped(%q) is %t, want %t", name, !want, want)
		}
	}
	for _, w := range Wants() {
		if Dropped(w.Name) {
			t.Errorf("%s is wanted and dropped", w.Name)
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

func TestGoogLeNetErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(tensors []stored) []stored
		want   string // a part of the error
	}{
		{"renamed", func(s []stored) []stored { find(t, s, "inception4b.branch3.1.bn.bias").name = "bn5.bias"; return s },
			"missing 1 of the network's 287 tensors: inception4b.branch3.1.bn.bias; has 1 that the network does not have: bn5.bias"},
		{"shape", func(s []stored) []stored { find(t, s, "conv1.conv.weight").shape = []int{64, 3, 7, 6}; return s },
			"conv1.conv.weight: want shape [64 3 7 7], have [64 3 7 6]"},
		{"NHWC", func(s []stored) []stored { find(t, s, "conv3.conv.weight").shape = []int{192, 3, 3, 64}; return s },
			"conv3.conv.weight: want shape [192 64 3 3], have [192 3 3 64]"},
		{"classes", func(s []stored) []stored { find(t, s, "fc.bias").shape = []int{4}; return s },
			"fc.bias: want shape [3], have [4]"},
		{"a true 5x5", func(s []stored) []stored {
			find(t, s, "inception3a.branch3.1.conv.weight").shape = []int{32, 16, 5, 5}
			return s
		},
			"inception3a.branch3.1.conv.weight: want shape [32 16 3 3], have [32 16 5 5]"},
		{"NaN", func(s []stored) []stored {
			find(t, s, "conv1.conv.weight").data = []float32{0, float32(math.NaN()), 0}
			return s
		}, "conv1.conv.weight: element 1 is NaN, want a finite float32"},
		{"variance", func(s []stored) []stored {
			find(t, s, "conv2.bn.running_var").data = []float32{0, 0, -1}
			return s
		}, "conv2.bn.running_var: element 2 is -1, want a variance from 0"},
		{"overflow", func(s []stored) []stored {
			find(t, s, "conv2.bn.weight").data = []float32{3e38}
			find(t, s, "conv2.bn.running_mean").data = []float32{1}
			return s
		}, "fold the batch norm conv2.bn: want values that float32 can hold"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, err := GoogLeNet(open(t, test.change(stateDict(3))), 96)
			if err == nil || g != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("have error %v, want %q", err, test.want)
			}
		})
	}
	lone := open(t, []stored{{name: "conv1.conv.weight", shape: []int{1}}})
	if g, err := GoogLeNet(lone, 96); err == nil || g != nil || !strings.Contains(err.Error(), "missing 286 of the network's 287") {
		t.Errorf("one tensor: error %v", err)
	}
}

// TestReadFails shows that a tensor that can't be read while the graph is built is an error that names it.
func TestReadFails(t *testing.T) {
	for _, w := range []weights.Want{{Name: "conv1.conv.weight", Shape: []int{64, 3, 7, 7}}, {Name: "conv1.bn.weight", Shape: []int{64}}} {
		b := builder{set: open(t, []stored{{name: w.Name, shape: w.Shape}}), g: &Graph{}, value: Input, height: 96, channels: 3}
		b.conv(FirstConv, "conv1", 7, 2, 64)
		b.classifier()
		if b.err == nil || !strings.Contains(b.err.Error(), "read conv1.") || !strings.Contains(b.err.Error(), "no such tensor") {
			t.Errorf("only %s: error %v", w.Name, b.err)
		}
	}
}

func BenchmarkGoogLeNet(b *testing.B) {
	set := open(b, stateDict(10))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := GoogLeNet(set, 160); err != nil {
			b.Fatal(err)
		}
	}
}
