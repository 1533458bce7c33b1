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

	area := kernel * kernel
	w = make([]float32, out*area*in)
	bias = make([]float32, out)
	for o := range out {
		k := float64(gamma[o]) / math.Sqrt(float64(variance[o])+epsilon)
		bias[o] = float32(float64(beta[o]) - float64(mean[o])*k)
		for i := range in {
			for p := range area {
				w[(o*area+p)*in+i] = float32(float64(conv.Data[(o*in+i)*area+p]) * k)
			}
		}
	}
	if !finite(w) || !finite(bias) {
		return nil, nil, fmt.Errorf("fold the batch norm %s.bn: want values that float32 can hold, have some beyond", torch)
	}
	return w, bias, nil
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
	Zero  int // the pixel whose real value is 0, and which a zero-padded border therefore shows
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
// That is exact but for the border: the padding is 0 in r, which is the pixel Zero, where the network was trained with the
// pixel Mean. Before ReLU, an output whose window reaches over the border is off by the sum of w*(Zero-Mean)/Std over the
// weights that lie on padding. Weights and bias of the other operators are shared with g.
func (g *Graph) TakePixels(n Normalization, p Pixels) *Graph {
	out := &Graph{Size: g.Size, Classes: g.Classes, Ops: append([]Op(nil), g.Ops...)}
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
	return out
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
