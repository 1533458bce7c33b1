package graph

import (
	"errors"
	"fmt"

	"sightd/export/weights"
)

// layer is one row of the network's table.
type layer struct {
	name  string // as in the GoogLeNet prototxt
	torch string // prefix of its tensors in torchvision's state dict; "" where it has none

	kernel, stride, channels int // of a convolution, or of a pool (channels 0)
	torchKernel              int // where torchvision's differs

	// inception gives the widths of a module's convolutions, in the order of branches.
	inception widths

	norm bool // local response normalization, which torchvision doesn't have
}

// widths are numbers of channels: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection.
type widths [len(branches)]int

// isInception says whether the row is an inception module.
func (l *layer) isInception() bool { return l.inception != widths{} }

// layers is GoogLeNet, for both architectures: the paper's (Szegedy et al. 2014, arXiv:1409.4842, table 1) as Caffe's
// bvlc_googlenet has it (models/bvlc_googlenet/train_val.prototxt), and torchvision's (torchvision/models/googlenet.py), which differs in
// four ways: each convolution has a batch norm, there is no local response normalization, the branch named 5x5 has 3x3
// kernels, and pool4 is 2x2.
var layers = []layer{
	{name: "conv1/7x7_s2", torch: "conv1", kernel: 7, stride: 2, channels: 64},
	{name: "pool1/3x3_s2", kernel: 3, stride: 2},
	{name: "pool1/norm1", norm: true},
	{name: "conv2/3x3_reduce", torch: "conv2", kernel: 1, stride: 1, channels: 64},
	{name: "conv2/3x3", torch: "conv3", kernel: 3, stride: 1, channels: 192},
	{name: "conv2/norm2", norm: true},
	{name: "pool2/3x3_s2", kernel: 3, stride: 2},
	{name: "inception_3a", torch: "inception3a", inception: widths{64, 96, 128, 16, 32, 32}},
	{name: "inception_3b", torch: "inception3b", inception: widths{128, 128, 192, 32, 96, 64}},
	{name: "pool3/3x3_s2", kernel: 3, stride: 2},
	{name: "inception_4a", torch: "inception4a", inception: widths{192, 96, 208, 16, 48, 64}},
	{name: "inception_4b", torch: "inception4b", inception: widths{160, 112, 224, 24, 64, 64}},
	{name: "inception_4c", torch: "inception4c", inception: widths{128, 128, 256, 24, 64, 64}},
	{name: "inception_4d", torch: "inception4d", inception: widths{112, 144, 288, 32, 64, 64}},
	{name: "inception_4e", torch: "inception4e", inception: widths{256, 160, 320, 32, 128, 128}},
	{name: "pool4/3x3_s2", kernel: 3, torchKernel: 2, stride: 2},
	{name: "inception_5a", torch: "inception5a", inception: widths{256, 160, 320, 32, 128, 128}},
	{name: "inception_5b", torch: "inception5b", inception: widths{384, 192, 384, 48, 128, 128}},
}

// caffeNorm is bvlc_googlenet's local response normalization: local_size 5, alpha 1e-4, which Caffe divides by the size, beta
// 0.75.
var caffeNorm = Norm{Radius: 2, Bias: 1, Alpha: caffeAlpha / 5, Beta: 0.75}

const caffeAlpha = 1e-4

// What a convolution of an inception module reads, where it isn't another one.
const (
	fromInput = -1 // the module's input
	fromPool  = -2 // the module's input through a 3x3 max pool
)

// branches lists the convolutions of an inception module in the order of widths.
var branches = [6]struct {
	name, torch         string
	from                int // fromInput, fromPool or the index of the convolution that it reads
	kernel, torchKernel int
	output              bool // goes into the module's concatenation
}{
	{"1x1", "branch1", fromInput, 1, 1, true},
	{"3x3_reduce", "branch2.0", fromInput, 1, 1, false},
	{"3x3", "branch2.1", 1, 3, 3, true},
	{"5x5_reduce", "branch3.0", fromInput, 1, 1, false},
	{"5x5", "branch3.1", 3, 5, 3, true},
	{"pool_proj", "branch4.1", fromPool, 1, 1, true},
}

// batchNorm lists the tensors of a batch norm, each as long as the convolution has channels.
var batchNorm = []string{"weight", "bias", "running_mean", "running_var"}

// The sizes that a network can be exported for.
const (
	MinSize  = 96
	SizeStep = 32 // the strides' product: at its multiples every pool of stride 2 gets an even map
	MaxSize  = 512
)

// CheckSize says whether a network can be exported for pictures of size by size pixels.
func CheckSize(size int) error {
	if size < MinSize || size > MaxSize || size%SizeStep != 0 {
		return fmt.Errorf("size: want a multiple of %d from %d to %d, have %d", SizeStep, MinSize, MaxSize, size)
	}
	return nil
}

// GoogLeNet reads the network out of a set of weights, for pictures of size by size pixels. Recognize says which architecture it is; then
// what the set holds is checked: missing, extra or wrongly shaped tensors, layers with other settings than the network's, and
// values that are no numbers are errors that name them. Auxiliary heads and batch counters may be there and are left out.
func GoogLeNet(set *weights.Set, size int) (*Graph, error) {
	if err := CheckSize(size); err != nil {
		return nil, err
	}
	a, err := Recognize(set)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(set.Check(a.Wants(), a.Dropped), checkSettings(set)); err != nil {
		return nil, err
	}
	b := builder{set: set, g: &Graph{Architecture: a, Size: size}, value: Input, height: size, channels: 3}
	for _, l := range layers {
		switch {
		case l.isInception():
			b.inception(l)
		case l.norm:
			if a == BVLC {
				b.norm(l.name)
			}
		case l.torch == "":
			b.pool(l.name, a.kernel(l.kernel, l.torchKernel), l.stride)
		default:
			b.conv(l.name, l.torch, l.kernel, l.stride, l.channels)
		}
	}
	b.classifier()
	if b.err != nil {
		return nil, b.err
	}
	return b.g, nil
}

// builder appends operators. It follows one value: its name, its height (which is its width too) and its channels. After an
// error the graph is of no use.
type builder struct {
	set *weights.Set
	g   *Graph
	err error

	value            string
	height, channels int
}

// fail keeps the first error.
func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// append adds an operator that reads the value that is followed, and follows its output.
func (b *builder) append(op Op) {
	if op.Inputs == nil {
		op.Inputs = []string{b.value}
	}
	b.g.Ops = append(b.g.Ops, op)
	b.value, b.height, b.channels = op.Name, op.Height, op.Channels
}

// conv appends a convolution whose padding keeps the map's centre: (kernel-1)/2 on each side. TensorFlow Lite's SAME does
// so for stride 1; for stride 2 on an even map it pads one less before than after, so that conv1 gets a PAD of its own and
// VALID.
func (b *builder) conv(name, torch string, kernel, stride, channels int) {
	if b.err != nil {
		return // don't read the rest of the file
	}
	padding := Same
	if stride > 1 {
		border := (kernel - 1) / 2
		b.append(Op{Name: name + "/pad", Kind: Pad, Before: border, After: border,
			Height: b.height + 2*border, Width: b.height + 2*border, Channels: b.channels})
		padding = Valid
	}
	var w, bias []float32
	var err error
	if b.g.Architecture == BVLC {
		w, bias, err = b.plain(name, kernel, b.channels, channels)
	} else {
		w, bias, err = b.folded(torch, kernel, b.channels, channels)
	}
	b.fail(err)
	height := b.height
	if padding == Valid {
		height = (b.height-kernel)/stride + 1
	}
	b.append(Op{Name: name, Kind: Conv, Kernel: kernel, Stride: stride, Padding: padding,
		Weights: w, Bias: bias, Height: height, Width: height, Channels: channels})
}

// pool appends a max pool. Torch (ceil_mode) and Caffe round the size of the output up. Stride 1 has one row of padding on each side,
// which is SAME; stride 2 has none, and SAME on an even map pads just the one row that rounding up asks for. CheckSize sees
// to it that the maps are even.
func (b *builder) pool(name string, kernel, stride int) {
	height := (b.height + stride - 1) / stride
	b.append(Op{Name: name, Kind: MaxPool, Kernel: kernel, Stride: stride, Padding: Same,
		Height: height, Width: height, Channels: b.channels})
}

// norm appends a local response normalization.
func (b *builder) norm(name string) {
	n := caffeNorm
	b.append(Op{Name: name, Kind: LRN, Norm: &n, Height: b.height, Width: b.height, Channels: b.channels})
}

// inception appends a module: four branches, concatenated in the order that both architectures have.
func (b *builder) inception(l layer) {
	in, height, channels := b.value, b.height, b.channels
	outputs := make([]string, 0, 4)
	var names [len(branches)]string
	total := 0
	for i, br := range branches {
		switch br.from {
		case fromInput:
			b.value, b.height, b.channels = in, height, channels
		case fromPool:
			b.value, b.height, b.channels = in, height, channels
			b.pool(l.name+"/pool", 3, 1)
		default:
			b.value, b.height, b.channels = names[br.from], height, l.inception[br.from]
		}
		names[i] = l.name + "/" + br.name
		b.conv(names[i], l.torch+"."+br.torch, b.g.Architecture.kernel(br.kernel, br.torchKernel), 1, l.inception[i])
		if br.output {
			outputs = append(outputs, names[i])
			total += l.inception[i]
		}
	}
	b.append(Op{Name: l.name + "/output", Kind: Concat, Inputs: outputs, Height: height, Width: height, Channels: total})
}

// classifier appends the global average pool and the fully connected layer. Dropout does nothing outside training.
func (b *builder) classifier() {
	b.append(Op{Name: Features, Kind: Mean, Height: 1, Width: 1, Channels: b.channels})
	name := "fc"
	if b.g.Architecture == BVLC {
		name = Classifier
	}
	w, err := b.set.Tensor(name + ".weight")
	b.fail(err)
	bias, err := b.set.Tensor(name + ".bias")
	b.fail(err)
	if b.err != nil {
		return
	}
	b.g.Classes = w.Shape[0]
	b.append(Op{Name: Classifier, Kind: FullyConnected, Weights: w.Data, Bias: bias.Data,
		Height: 1, Width: 1, Channels: b.g.Classes})
}
