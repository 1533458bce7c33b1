package quantize

import "sightd/export/graph"

// TensorFlow Lite wants one scale for all inputs and the output of CONCATENATION, and the same before and after MAX_POOL_2D, PAD and
// SPACE_TO_DEPTH. Values tied in this way form a group.

// ties groups the values that must have the same parameters: each has another value of its group, or itself if it stands for
// the group.
type ties map[string]string

// tie groups the values of the graph.
func tie(g *graph.Graph) ties {
	t := ties{graph.Input: graph.Input}
	for _, op := range g.Ops {
		t[op.Name] = op.Name
	}
	for i := range g.Ops {
		if op := &g.Ops[i]; !op.Computes() {
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

// group is a set of tied values. Their channels are numbered as in the widest of them, the output of a concatenation if there is
// one.
type group struct {
	root     string
	channels int
	layers   []part      // what computes the values
	readers  []*graph.Op // the convolutions that read one of them
	mean     *graph.Op   // the global average pool that does, nil if none
	norm     bool        // LRN reads or writes it
	input    bool        // it holds the graph's input
}

// part is a layer whose output channel 0 is the group's channel offset.
type part struct {
	op     *graph.Op
	offset int
}

// groups finds the groups of the graph, in the order of execution, and where each value's channels begin in its group.
func groups(g *graph.Graph) ([]*group, ties, map[string]int) {
	t, byRoot, offsets := tie(g), map[string]*group{}, map[string]int{}
	var order []*group
	of := func(value string) *group {
		root := t.find(value)
		if byRoot[root] == nil {
			byRoot[root] = &group{root: root}
			order = append(order, byRoot[root])
		}
		return byRoot[root]
	}
	of(graph.Input).input = true
	for i := range g.Ops {
		if op := &g.Ops[i]; op.Kind == graph.Concat {
			offset := 0
			for _, in := range op.Inputs {
				offsets[in] = offset
				offset += g.Op(in).Channels
			}
		}
	}
	for i := range g.Ops {
		op := &g.Ops[i]
		own := of(op.Name)
		own.channels = max(own.channels, op.Channels)
		if !op.Computes() {
			continue
		}
		own.layers = append(own.layers, part{op, offsets[op.Name]})
		read := of(op.Inputs[0])
		switch op.Kind {
		case graph.Mean:
			read.mean = op
		case graph.LRN:
			read.norm, own.norm = true, true
		default:
			read.readers = append(read.readers, op)
		}
	}
	return order, t, offsets
}

// counts gives what half of the pictures showed, in the order of the group's channels.
func (gr *group) counts(seen map[string]*Seen, i int) half {
	out := half{tops: make([]float32, gr.channels), histogram: make([]histogram, gr.channels)}
	for _, l := range gr.layers {
		h := &seen[l.op.Name].halves[i]
		copy(out.tops[l.offset:], h.tops)
		copy(out.histogram[l.offset:], h.histogram)
	}
	return out
}
