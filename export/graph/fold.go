package graph

import (
	"fmt"
	"math"
	"slices"
)

// epsilon is the batch norm's, as torchvision's GoogLeNet sets it.
const epsilon = 0.001

// folded reads a convolution and its batch norm and gives one convolution with bias that does the same, its weights turned
// from OIHW to OHWI:
//
//	w = w*gamma/sqrt(variance+epsilon)
//	b = beta - mean*gamma/sqrt(variance+epsilon)
//
// (Ioffe and Szegedy 2015, arXiv:1502.03167; torchvision's convolutions have no bias of their own). torch is the prefix of
// the tensors' names. A result that float32 can't hold is an error.
func (b *builder) folded(torch string, kernel, in, out int) (w, bias []float32, err error) {
	conv, err := b.set.Tensor(torch + ".conv.weight")
	if err != nil {
		return nil, nil, err
	}
	var norm [4][]float32
	for i, name := range batchNorm {
		t, err := b.set.Tensor(torch + ".bn." + name)
		if err != nil {
			return nil, nil, err
		}
		norm[i] = t.Data
	}
	gamma, beta, mean, variance := norm[0], norm[1], norm[2], norm[3]

	w = toOHWI(conv.Data, out, in, kernel)
	bias = make([]float32, out)
	perChannel := len(w) / out
	for o := range out {
		k := float64(gamma[o]) / math.Sqrt(float64(variance[o])+epsilon)
		bias[o] = float32(float64(beta[o]) - float64(mean[o])*k)
		for i := o * perChannel; i < (o+1)*perChannel; i++ {
			w[i] = float32(float64(w[i]) * k)
		}
	}
	if !finite(w) || !finite(bias) {
		return nil, nil, fmt.Errorf("fold the batch norm %s.bn: want values that float32 can hold, have some beyond", torch)
	}
	return w, bias, nil
}

// plain reads a convolution with bias, its weights turned from OIHW to OHWI.
func (b *builder) plain(name string, kernel, in, out int) (w, bias []float32, err error) {
	conv, err := b.set.Tensor(name + ".weight")
	if err != nil {
		return nil, nil, err
	}
	t, err := b.set.Tensor(name + ".bias")
	if err != nil {
		return nil, nil, err
	}
	return toOHWI(conv.Data, out, in, kernel), t.Data, nil
}

// toOHWI gives weights [out, in, kernel, kernel] as [out, kernel, kernel, in].
func toOHWI(oihw []float32, out, in, kernel int) []float32 {
	w, area := make([]float32, len(oihw)), kernel*kernel
	for o := range out {
		for i := range in {
			for p := range area {
				w[(o*area+p)*in+i] = oihw[(o*in+i)*area+p]
			}
		}
	}
	return w
}

// finite says whether no value is infinite or NaN.
func finite(values []float32) bool {
	return !slices.ContainsFunc(values, func(v float32) bool { return math.IsInf(float64(v), 0) || math.IsNaN(float64(v)) })
}

// Normalization is how a network's input is made of a pixel's channel: (p - Mean) / Std, p from 0 to 255, both in the order
// red, green, blue.
type Normalization struct {
	Mean [3]float64
	Std  [3]float64
}

// Symmetric is the normalization of torchvision's published GoogLeNet and the default of sightd's export: -1 to 1.
var Symmetric = Normalization{Mean: [3]float64{127.5, 127.5, 127.5}, Std: [3]float64{127.5, 127.5, 127.5}}

// Pixels says how a quantized input tensor holds a pixel: its real value is (p - Zero) * Scale, the same for the three
// channels.
type Pixels struct {
	Scale float64
	Zero  int // the pixel whose real value is 0: what a border without a Fill shows
}

// Pixels chooses how plain pixels are taken: Zero is the whole pixel nearest to the mean of the three means (the lower one
// of two), Scale the mean of 1/Std. A network whose three channels are normalized alike, with a mean from 0 to 255, keeps
// its own values, shifted by half a pixel's step at most. No Std may be 0.
func (n Normalization) Pixels() Pixels {
	mean := (n.Mean[0] + n.Mean[1] + n.Mean[2]) / 3
	scale := (1/n.Std[0] + 1/n.Std[1] + 1/n.Std[2]) / 3
	zero := min(max(math.Ceil(mean-0.5), 0), 255)
	return Pixels{Scale: scale, Zero: int(zero)}
}

// TakePixels returns a copy of the graph whose first convolution takes an input of p instead of one normalized by n. With
// r = (pixel-Zero)*Scale, the normalized input is x = (r/Scale + Zero - Mean)/Std, so that
//
//	w' = w / (Scale*Std)          for each input channel
//	b' = b + sum w*(Zero-Mean)/Std
//
// The border, which the network was trained with as x = 0, becomes the whole pixel nearest to each channel's Mean. That is exact for
// whole means from 0 to 255, and off by half a pixel at most for others in that range. Weights and bias of the other operators are shared
// with g.
func (g *Graph) TakePixels(n Normalization, p Pixels) *Graph {
	out := g.copy()
	conv := out.Op(FirstConv)
	w := make([]float32, len(conv.Weights))
	bias := make([]float32, len(conv.Bias))
	perChannel := len(conv.Weights) / conv.Channels
	for o := range bias {
		sum := float64(conv.Bias[o])
		for i := range perChannel {
			c := i % 3 // OHWI: the input's channel is the last
			v := float64(conv.Weights[o*perChannel+i])
			w[o*perChannel+i] = float32(v / (p.Scale * n.Std[c]))
			sum += v * (float64(p.Zero) - n.Mean[c]) / n.Std[c]
		}
		bias[o] = float32(sum)
	}
	conv.Weights, conv.Bias = w, bias
	if border := n.border(); border != [3]int{p.Zero, p.Zero, p.Zero} {
		pad := out.Op(conv.Inputs[0])
		pad.Fill = make([]float64, 3)
		for c := range border {
			pad.Fill[c] = float64(border[c]-p.Zero) * p.Scale
		}
	}
	return out
}

// border gives the pixel whose normalized value is nearest to 0, the lower one of two.
func (n Normalization) border() (pixel [3]int) {
	for c := range pixel {
		pixel[c] = int(min(max(math.Ceil(n.Mean[c]-0.5), 0), 255))
	}
	return pixel
}

// copy gives a graph with operators of its own, which share their arrays with g.
func (g *Graph) copy() *Graph {
	out := *g
	out.Ops = slices.Clone(g.Ops)
	return &out
}

// Space2Depth returns a copy of the graph whose first convolution, 7x7 in steps of 2 over 3 channels, is one of 4x4 in steps of 1 over
// the 12 channels of blocks of 2x2 pixels. It computes the same: the border of 3 pixels becomes one of 2 blocks before the map and 1 behind
// it, the kernel gets a row and a column of zeros in front of it for the pixel that this is more, and its taps are sorted by their place in
// a block. Kernels for int8 work on 4, 8 or 16 channels at a time, of which 3 leave most unused. The border stands right before the
// convolution, where a runtime can do without a copy of the map.
func (g *Graph) Space2Depth() *Graph {
	out := &Graph{Architecture: g.Architecture, Size: g.Size, Classes: g.Classes}
	first := g.Op(FirstConv)
	for _, op := range g.Ops {
		switch op.Name {
		case first.Inputs[0]: // the border
			blocks := Op{Name: FirstConv + "/blocks", Kind: SpaceToDepth, Inputs: op.Inputs, Channels: 4 * op.Channels,
				Height: (op.Height - op.Before - op.After) / 2, Width: (op.Width - op.Before - op.After) / 2}
			op.Inputs, op.Channels = []string{blocks.Name}, blocks.Channels
			op.Before = (op.Before + 1) / 2
			op.After = (first.Kernel+1)/2 - 1 - op.Before
			op.Height, op.Width = blocks.Height+op.Before+op.After, blocks.Width+op.Before+op.After
			op.Fill = slices.Concat(op.Fill, op.Fill, op.Fill, op.Fill)
			out.Ops = append(out.Ops, blocks, op)
		case FirstConv:
			op.Weights = blockWeights(op.Weights, op.Channels, op.Kernel, len(op.Weights)/(op.Channels*op.Kernel*op.Kernel))
			op.Kernel, op.Stride = (op.Kernel+1)/2, 1
			out.Ops = append(out.Ops, op)
		default:
			out.Ops = append(out.Ops, op)
		}
	}
	return out
}

// blockWeights sorts weights [out, k, k, in], behind a row and a column of zeros, into [out, (k+1)/2, (k+1)/2, 2*2*in].
func blockWeights(w []float32, out, k, in int) []float32 {
	half := (k + 1) / 2
	sorted := make([]float32, out*half*half*4*in)
	for o := range out {
		for y := range k {
			for x := range k {
				from := ((o*k+y)*k + x) * in
				y, x := y+1, x+1
				to := (((o*half+y/2)*half+x/2)*4 + (y%2)*2 + x%2) * in
				copy(sorted[to:to+in], w[from:from+in])
			}
		}
	}
	return sorted
}

// SwapChannels exchanges the first convolution's red and blue input channels: a network trained on BGR pictures then takes
// RGB ones. It changes g, and gives it a new array of weights.
func (g *Graph) SwapChannels() {
	conv := g.Op(FirstConv)
	w := append([]float32(nil), conv.Weights...)
	for i := 0; i < len(w); i += 3 {
		w[i], w[i+2] = w[i+2], w[i]
	}
	conv.Weights = w
}
