package quantize

import (
	"fmt"
	"strings"
	"testing"

	"sightd/export/graph"
)

// kinds are the operators' letters in lines for ops.
var kinds = map[string]graph.Kind{"L": graph.Conv, "F": graph.FullyConnected, "A": graph.Mean, "N": graph.LRN, "C": graph.Concat,
	"M": graph.MaxPool, "P": graph.Pad, "D": graph.SpaceToDepth}

// ops makes operators of lines "name kind input…", with L for a convolution, F for FULLY_CONNECTED, A for MEAN, N for LRN, C for
// CONCATENATION, M for MAX_POOL_2D, P for PAD and D for SPACE_TO_DEPTH. A convolution and FULLY_CONNECTED have one channel, or as
// many as stand behind the letter, and no weights.
func ops(lines ...string) *graph.Graph {
	g := &graph.Graph{Size: 1}
	channels := map[string]int{graph.Input: 3}
	for _, line := range lines {
		f := strings.Fields(line)
		op := graph.Op{Name: f[0], Kind: kinds[f[1][:1]], Inputs: f[2:], Height: 1, Width: 1}
		switch op.Kind {
		case graph.Conv, graph.FullyConnected:
			op.Channels = 1
			if len(f[1]) > 1 {
				op.Channels = int(f[1][1] - '0')
			}
		default:
			for _, in := range op.Inputs {
				op.Channels += channels[in]
			}
		}
		if op.Kind == graph.SpaceToDepth {
			op.Channels *= 4
		}
		channels[op.Name] = op.Channels
		g.Ops = append(g.Ops, op)
	}
	return g
}

// small has everything that GoogLeNet has: blocks, a border, LRN, two modules with pools inside and between them.
var small = []string{
	"blocks D data", "pad P blocks", "conv L4 pad", "pool1 M conv", "norm N pool1", "pool2 M norm",
	"a L2 pool2", "b_reduce L1 pool2", "b L3 b_reduce", "inner M pool2", "c L1 inner", "out C a b c",
	"d L2 out", "inner2 M out", "e L2 inner2", "out2 C d e", "pool3 M out2",
	"features A pool3", "logits F3 features",
}

// describe writes a group on one line.
func describe(g *graph.Graph, gr *group, t ties) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d channels:", gr.channels)
	for _, v := range append([]graph.Op{{Name: graph.Input}}, g.Ops...) {
		if t.find(v.Name) == gr.root {
			fmt.Fprintf(&b, " %s", v.Name)
		}
	}
	for _, l := range gr.layers {
		fmt.Fprintf(&b, "; %s from %d", l.op.Name, l.offset)
	}
	for _, op := range gr.readers {
		fmt.Fprintf(&b, "; read by %s", op.Name)
	}
	if gr.mean != nil {
		fmt.Fprintf(&b, "; averaged by %s", gr.mean.Name)
	}
	if gr.norm {
		b.WriteString("; LRN")
	}
	if gr.input {
		b.WriteString("; input")
	}
	return b.String()
}

func TestGroups(t *testing.T) {
	g := ops(small...)
	order, ties, offsets := groups(g)
	want := []string{
		"12 channels: data blocks pad; read by conv; input",
		"4 channels: conv pool1; conv from 0; LRN",
		"4 channels: norm pool2 inner; norm from 0; read by a; read by b_reduce; read by c; LRN",
		"6 channels: a b c out inner2; a from 0; b from 2; c from 5; read by d; read by e",
		"1 channels: b_reduce; b_reduce from 0; read by b",
		"4 channels: d e out2 pool3; d from 0; e from 2; averaged by features",
		"4 channels: features; features from 0; read by logits",
		"3 channels: logits; logits from 0",
	}
	for i, gr := range order {
		if i >= len(want) {
			t.Errorf("one group more: %s", describe(g, gr, ties))
		} else if have := describe(g, gr, ties); have != want[i] {
			t.Errorf("group %d: have\n%s\nwant\n%s", i, have, want[i])
		}
	}
	if len(order) != len(want) {
		t.Errorf("%d groups, want %d", len(order), len(want))
	}
	for value, offset := range map[string]int{"a": 0, "b": 2, "c": 5, "d": 0, "e": 2, "out": 0, "conv": 0, "inner2": 0} {
		if offsets[value] != offset {
			t.Errorf("%s begins at channel %d, want %d", value, offsets[value], offset)
		}
	}
}

// TestCounts puts together what was seen of the branches.
func TestCounts(t *testing.T) {
	g := ops(small...)
	order, _, _ := groups(g)
	seen := map[string]*Seen{
		"a": seenOf(2, []float32{1, 2}, []float32{10, 20}), "b": seenOf(3, []float32{3, 4, 5}, []float32{30, 40, 50}),
		"c": seenOf(1, []float32{6}, []float32{60}),
	}
	for i, scale := range []float32{1, 10} {
		have := order[3].counts(seen, i)
		for c := range have.tops {
			want := float32(c+1) * scale
			if have.tops[c] != want || have.histogram[c] != *histogramOf(want) {
				t.Errorf("half %d, channel %d: largest %g, want %g", i, c, have.tops[c], want)
			}
		}
	}
}
