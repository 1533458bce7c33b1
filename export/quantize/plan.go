package quantize

import (
	"fmt"
	"slices"
	"sync"

	"sightd/export/graph"
)

// Plan says how a graph becomes int8.
type Plan struct {
	// Params has the parameters of each value, with its channels divided by the Factors.
	Params map[string]Params

	// Factors has what the channels of a value are divided by, so that small channels get more of the 255 steps that all channels of a
	// tensor share (see equalize.go). A value that isn't there is divided by nothing.
	Factors map[string][]float64

	// Means has the mean of each channel of a value on the calibration pictures, before division. A value that isn't there was not
	// seen.
	Means map[string][]float64
}

// Options say what Choose may do.
type Options struct {
	// PlainFeatures keeps the global average pool's channels as they are: it is an output of the model.
	PlainFeatures bool

	// Float names the layers that are computed in float. A value that no other layer reads gets no parameters, and a convolution among
	// them need not have been seen.
	Float map[string]bool

	// Alphas are the strengths of the equalization that are tried, from 0 (none) to 1 (all channels fill the range); nil for the
	// usual ones.
	Alphas []float64
}

var usualAlphas = []float64{0, 0.25, 0.5, 0.75, 1}

// Choose plans the quantization of the graph. seen has what calibration saw of each value that a layer computes (Op.Computes), by the
// value's name; what it has of other values, such as those of pools, serves Means. input is what the graph's input has. A layer
// that isn't in seen or has another number of channels there, a range that isn't finite, and a layer whose output is tied to the
// graph's input are errors. The graph is one of graph.GoogLeNet's: what is concatenated are outputs of layers, and a FULLY_CONNECTED reads a MEAN.
func Choose(g *graph.Graph, seen map[string]*Seen, input Params, o Options) (*Plan, error) {
	if o.Alphas == nil {
		o.Alphas = usualAlphas
	}
	if err := checkSeen(g, seen, o.Float); err != nil {
		return nil, err
	}
	order, t, offsets := groups(g)
	plan := &Plan{Params: map[string]Params{graph.Input: input}, Factors: map[string][]float64{}, Means: map[string][]float64{}}
	chosen := map[string]*choice{} // by the group's root; nil for one that stays float
	var wait sync.WaitGroup
	for _, gr := range order {
		switch {
		case gr.input:
			chosen[gr.root] = &choice{params: input}
		case !gr.float(o.Float):
			c := &choice{}
			chosen[gr.root] = c
			wait.Go(func() { *c = gr.choose(g, seen, o) })
		}
	}
	wait.Wait()
	for i := range g.Ops {
		op := &g.Ops[i]
		source := op.Name
		if op.Kind == graph.Mean { // an average of channels has their factors
			source = op.Inputs[0]
		}
		if c := chosen[t.find(source)]; c != nil && c.factors != nil {
			plan.Factors[op.Name] = c.factors[offsets[op.Name] : offsets[op.Name]+op.Channels]
		}
		if c := chosen[t.find(op.Name)]; c != nil {
			plan.Params[op.Name] = c.params
			if factors := plan.Factors[op.Name]; op.Kind == graph.Mean && factors != nil {
				plan.Params[op.Name] = meanParams(seen[op.Name], factors)
			}
		}
		if s := seen[op.Name]; s != nil {
			plan.Means[op.Name] = s.means()
		} else if op.Kind == graph.Concat {
			plan.Means[op.Name] = joinedMeans(op, plan.Means)
		}
	}
	return plan, nil
}

// checkSeen tests that every operator reads what is there, and that every layer was seen whose values become int8.
func checkSeen(g *graph.Graph, seen map[string]*Seen, float map[string]bool) error {
	t, known := tie(g), map[string]bool{graph.Input: true}
	for i := range g.Ops {
		op := &g.Ops[i]
		for _, in := range op.Inputs {
			if !known[in] {
				return fmt.Errorf("choose ranges: %s reads %s, which nothing computes before it", op.Name, in)
			}
		}
		known[op.Name] = true
		if !op.Computes() || op.Kind == graph.Conv && float[op.Name] {
			continue
		}
		s := seen[op.Name]
		switch {
		case s == nil:
			return fmt.Errorf("choose ranges: nothing was seen of %s", op.Name)
		case !s.finite():
			low, high := s.Bounds()
			return fmt.Errorf("choose ranges: want a finite range of %s, have %g to %g", op.Name, low, high)
		case s.channels() != op.Channels:
			return fmt.Errorf("choose ranges: want %d channels of %s, %d were seen", op.Channels, op.Name, s.channels())
		case t.find(op.Name) == t.find(graph.Input):
			return fmt.Errorf("choose ranges: %s would need the scale of the graph's input", op.Name)
		}
	}
	return nil
}

// joinedMeans gives the means of a concatenation, nil if those of an input aren't known.
func joinedMeans(op *graph.Op, means map[string][]float64) []float64 {
	var out []float64
	for _, in := range op.Inputs {
		if means[in] == nil {
			return nil
		}
		out = append(out, means[in]...)
	}
	return out
}

// meanParams gives the parameters of the averages whose channels are divided by factors.
func meanParams(s *Seen, factors []float64) Params {
	return Activation(0, max(fullRange(s.halves[0].tops, factors), fullRange(s.halves[1].tops, factors)))
}

// Apply gives a copy of the graph whose values are divided by the plan's factors: a layer's weights and bias are divided for each
// output channel, and multiplied for each input channel. What the network answers stays the same but for rounding, since ReLU and
// the pools let a positive factor through. Values that nothing divides are shared with g.
func (p *Plan) Apply(g *graph.Graph) *graph.Graph {
	out := *g
	out.Ops = slices.Clone(g.Ops)
	for i := range out.Ops {
		op := &out.Ops[i]
		input, output := p.Factors[op.Inputs[0]], p.Factors[op.Name]
		if op.Weights == nil || input == nil && output == nil {
			continue
		}
		w, bias := slices.Clone(op.Weights), slices.Clone(op.Bias)
		perChannel := len(w) / op.Channels
		for o := range bias {
			divisor := 1.0
			if output != nil {
				divisor = output[o]
			}
			bias[o] = float32(float64(bias[o]) / divisor)
			for j := range perChannel {
				factor := 1 / divisor
				if input != nil {
					factor *= input[j%len(input)]
				}
				w[o*perChannel+j] = float32(float64(w[o*perChannel+j]) * factor)
			}
		}
		op.Weights, op.Bias = w, bias
	}
	return &out
}

// InputMeans gives the mean of each channel that a layer reads, as the graph of Apply has it; nil if they aren't known.
func (p *Plan) InputMeans(op *graph.Op) []float64 {
	means, factors := p.Means[op.Inputs[0]], p.Factors[op.Inputs[0]]
	if means == nil || factors == nil {
		return means
	}
	out := make([]float64, len(means))
	for c := range out {
		out[c] = means[c] / factors[c]
	}
	return out
}
