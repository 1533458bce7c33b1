package quantize

import (
	"fmt"
	"math"

	"sightd/export/graph"
)

// Range holds the smallest and the largest value that an activation took, 0 included. Its zero value has seen nothing else.
type Range struct{ Low, High float64 }

// Include widens the range to hold the values. No value is left out, also none far from the others. After a NaN the range is
// NaN for good, which Activations refuses.
func (r *Range) Include(values []float32) {
	var low, high float32
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	r.Low, r.High = min(r.Low, float64(low)), max(r.High, float64(high))
}

// Activations gives every value of the graph its parameters. seen has the Range of each value that a layer (CONV_2D, MEAN,
// FULLY_CONNECTED) computes, by the value's name; input is what the graph's input has, which the caller knows. TensorFlow
// Lite wants one scale for all inputs and the output of CONCATENATION, and the same before and after MAX_POOL_2D and PAD:
// values tied in this way get the same parameters, from a range that holds all of theirs. A layer that isn't in seen, a
// range that isn't finite, and a layer whose output is tied to the graph's input are errors.
func Activations(g *graph.Graph, seen map[string]*Range, input Params) (map[string]Params, error) {
	groups := tie(g)
	joint := map[string]*Range{} // by the value that stands for the group
	for _, op := range g.Ops {
		if op.Kind != graph.Conv && op.Kind != graph.Mean && op.Kind != graph.FullyConnected {
			continue
		}
		r, name := seen[op.Name], groups.find(op.Name)
		switch {
		case r == nil:
			return nil, fmt.Errorf("choose ranges: nothing was seen of %s", op.Name)
		case !(r.Low >= -math.MaxFloat32 && r.High <= math.MaxFloat32):
			return nil, fmt.Errorf("choose ranges: want a finite range of %s, have %g to %g", op.Name, r.Low, r.High)
		case name == groups.find(graph.Input):
			return nil, fmt.Errorf("choose ranges: %s would need the scale of the graph's input", op.Name)
		}
		if joint[name] == nil {
			joint[name] = &Range{}
		}
		joint[name].Low, joint[name].High = min(joint[name].Low, r.Low), max(joint[name].High, r.High)
	}
	chosen := map[string]Params{groups.find(graph.Input): input}
	for name, r := range joint {
		chosen[name] = Activation(r.Low, r.High)
	}
	params := map[string]Params{graph.Input: input}
	for _, op := range g.Ops {
		p, ok := chosen[groups.find(op.Name)]
		if !ok {
			return nil, fmt.Errorf("choose ranges: %s comes from no layer and not from the input", op.Name)
		}
		params[op.Name] = p
	}
	return params, nil
}

// ties groups the values that must have the same parameters: each has another value of its group, or itself if it stands for
// the group.
type ties map[string]string

// tie groups the values of the graph.
func tie(g *graph.Graph) ties {
	t := ties{graph.Input: graph.Input}
	for _, op := range g.Ops {
		t[op.Name] = op.Name
	}
	for _, op := range g.Ops {
		if op.Kind == graph.Concat || op.Kind == graph.MaxPool || op.Kind == graph.Pad {
			for _, in := range op.Inputs {
				t[t.find(op.Name)] = t.find(in)
			}
		}
	}
	return t
}

// find gives the value that stands for the group of v.
func (t ties) find(v string) string {
	for t[v] != v {
		v = t[v]
	}
	return v
}
