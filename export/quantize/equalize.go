package quantize

import (
	"math"

	"sightd/export/graph"
)

// All channels of an int8 activation share one scale, so that a channel whose values stay small is left a few of the 255 steps. But
// ReLU and max pooling let a positive factor through: if a layer's output channel is divided by f and the next layers' weights for
// it are multiplied by f, the network computes the same. That is cross-layer equalization (Nagel et al. 2019, arXiv:1906.04721);
// here it is done over concatenations and pools too, and after what was seen of activations, as SmoothQuant does (Xiao et
// al. 2022, arXiv:2211.10438):
//
//	f = (top/largest top)^alpha     for each channel
//
// What activations gain, the weights that are multiplied lose: each output channel's weights share a scale too. Both are estimated as
// the noise that reaches the next layers' sums, in relation to what these layers compute:
//
//	activations   sum over channels of (sum of squared weights) * (mean squared error of the channel)
//	weights       sum over channels of (steps' square / 12) * (variance of the channel)
//
// The variance, since the mean's share is taken out by the correction of the bias. alpha is the one with the least noise when factors
// and range come from one half of the calibration pictures and the noise is that of the other half. Without that, rare channels
// would get ranges that new pictures leave. The range holds all that was seen.

// choice is what a group gets.
type choice struct {
	params  Params
	factors []float64 // nil: 1 each
}

// minFactor keeps the factors of channels that are hardly ever used from vanishing.
const minFactor = 1e-3

// choose picks a group's factors and range.
func (gr *group) choose(g *graph.Graph, seen map[string]*Seen, o Options) choice {
	switch first := gr.layers[0].op; first.Kind {
	case graph.Mean, graph.FullyConnected: // no ReLU: nothing to equalize, nothing to cut off
		return choice{params: Activation(seen[first.Name].Bounds())}
	}
	alphas := o.Alphas
	if gr.norm || gr.mean != nil && o.PlainFeatures || len(gr.readers)+len(g.Readers(gr.mean)) == 0 {
		alphas = []float64{0} // LRN mixes channels
	}
	halves := [2]half{gr.counts(seen, 0), gr.counts(seen, 1)}
	tops := [2][]float64{gr.tops(seen, 0, 0), gr.tops(seen, 1, 1)}
	sums := gr.sums(g, seen)
	least, alpha := math.Inf(1), 0.0
	for _, a := range alphas {
		noise := 0.0
		for i := range halves {
			factors := equalizers(tops[i], a)
			noise += gr.activationNoise(sums, halves[1-i].histogram, factors, fullRange(halves[i].tops, factors))
			for _, s := range sums {
				noise += s.weightNoise(factors)
			}
		}
		if noise < least {
			least, alpha = noise, a
		}
	}
	factors := equalizers(gr.tops(seen, 0, 1), alpha)
	high := max(fullRange(halves[0].tops, factors), fullRange(halves[1].tops, factors))
	if alpha == 0 {
		factors = nil
	}
	return choice{params: Activation(0, high), factors: factors}
}

// float says whether all layers of the group stay float, and none that reads it wants int8.
func (gr *group) float(float map[string]bool) bool {
	for _, l := range gr.layers {
		if !float[l.op.Name] {
			return false
		}
	}
	for _, op := range gr.readers {
		if !float[op.Name] {
			return false
		}
	}
	return true
}

// tops gives the channels' largest values in the halves from first to last. Before a global average pool they are those of the averages, which is
// what is classified.
func (gr *group) tops(seen map[string]*Seen, first, last int) []float64 {
	out := make([]float64, gr.channels)
	include := func(offset int, tops []float32) {
		for c, t := range tops {
			out[offset+c] = max(out[offset+c], float64(t))
		}
	}
	for i := first; i <= last; i++ {
		if gr.mean != nil {
			include(0, seen[gr.mean.Name].halves[i].tops)
			continue
		}
		for _, l := range gr.layers {
			include(l.offset, seen[l.op.Name].halves[i].tops)
		}
	}
	return out
}

// equalizers gives the factors for alpha.
func equalizers(tops []float64, alpha float64) []float64 {
	largest := 0.0
	for _, t := range tops {
		largest = max(largest, t)
	}
	out := make([]float64, len(tops))
	for c, t := range tops {
		out[c] = 1
		if largest > 0 {
			out[c] = math.Pow(max(t/largest, minFactor), alpha)
		}
	}
	return out
}

// fullRange is the largest value after division.
func fullRange(tops []float32, factors []float64) float64 {
	high := 0.0
	for c, t := range tops {
		high = max(high, float64(t)/factors[c])
	}
	return high
}

// weightedSum is a layer that reads a group, with what its noise is made of.
type weightedSum struct {
	op       *graph.Op
	signal   float64   // the layer's mean squared output, summed over its channels
	averages float64   // how many values of the group are averaged before it
	squares  []float64 // the sum of squared weights of each input channel
	variance []float64 // of each input channel
}

// sums prepares the layers that read a group, also behind a global average pool.
func (gr *group) sums(g *graph.Graph, seen map[string]*Seen) []weightedSum {
	var out []weightedSum
	for _, op := range append(g.Readers(gr.mean), gr.readers...) {
		s := weightedSum{op: op, signal: max(seen[op.Name].power(), math.SmallestNonzeroFloat64), averages: 1,
			squares: make([]float64, gr.channels), variance: make([]float64, gr.channels)}
		if in := seen[op.Inputs[0]]; in != nil && in.channels() == gr.channels {
			s.variance = in.variances()
		} else {
			for _, l := range gr.layers {
				copy(s.variance[l.offset:], seen[l.op.Name].variances())
			}
		}
		if op.Kind == graph.FullyConnected {
			source := g.Op(gr.mean.Inputs[0])
			s.averages = float64(source.Height * source.Width)
		}
		for i, w := range op.Weights {
			s.squares[i%gr.channels] += float64(w) * float64(w)
		}
		out = append(out, s)
	}
	return out
}

// activationNoise is the noise of the group's values on channels, in relation to what the layers that read them compute.
func (gr *group) activationNoise(sums []weightedSum, channels []histogram, factors []float64, high float64) float64 {
	total := 0.0
	for c := range channels {
		e := channels[c].noise(high * factors[c])
		if len(sums) == 0 {
			total += e
		}
		for i := range sums {
			total += sums[i].squares[c] * e / sums[i].averages / sums[i].signal
		}
	}
	return total
}

// weightNoise is the noise of the layer's own weights when they are multiplied by the factors.
func (s *weightedSum) weightNoise(factors []float64) float64 {
	n := len(factors)
	perChannel := len(s.op.Weights) / s.op.Channels
	inputs := 0.0
	for c, f := range factors {
		inputs += s.variance[c] / (f * f)
	}
	inputs *= float64(perChannel / n)
	total := 0.0
	for o := range s.op.Channels {
		largest := 0.0
		for i, w := range s.op.Weights[o*perChannel : (o+1)*perChannel] {
			largest = max(largest, math.Abs(float64(w))*factors[i%n])
		}
		step := largest / 127
		total += step * step / 12 * inputs
	}
	return total / s.signal
}
