package export

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"sightd/export/graph"
	"sightd/export/tflitefile"
	"sightd/inference"
	"sightd/inference/tflite"
)

// smallSize and smallClasses are those of smallNet.
const (
	smallSize    = 32
	smallClasses = 5
)

// smallNet gives a graph with everything that the architecture's GoogLeNet has, but with few channels and one module, with random
// weights. It is made for pictures of the architecture's own normalization, in RGB.
func smallNet(a graph.Architecture, seed uint64) *graph.Graph {
	r := rand.New(rand.NewPCG(seed, 1))
	g := &graph.Graph{Architecture: a, Size: smallSize, Classes: smallClasses}
	add := func(op graph.Op, height int) {
		if op.Inputs == nil {
			op.Inputs = []string{g.Ops[len(g.Ops)-1].Name}
		}
		op.Height, op.Width = height, height
		g.Ops = append(g.Ops, op)
	}
	conv := func(name, input string, kernel, stride, in, out, height int) {
		padding := graph.Same
		if stride > 1 {
			padding = graph.Valid
		}
		w, bias := randomLayer(r, out, kernel*kernel*in)
		add(graph.Op{Name: name, Kind: graph.Conv, Inputs: []string{input}, Kernel: kernel, Stride: stride, Padding: padding,
			Weights: w, Bias: bias, Channels: out}, height)
	}
	pool := func(name, input string, stride, channels, height int) {
		add(graph.Op{Name: name, Kind: graph.MaxPool, Inputs: []string{input}, Kernel: 3, Stride: stride, Channels: channels}, height)
	}
	norm := func(name string, channels, height int) string {
		before := g.Ops[len(g.Ops)-1].Name
		if a != graph.BVLC {
			return before
		}
		add(graph.Op{Name: name, Kind: graph.LRN, Norm: &graph.Norm{Radius: 2, Bias: 1, Alpha: 2e-5, Beta: 0.75}, Channels: channels}, height)
		return name
	}
	add(graph.Op{Name: graph.FirstConv + "/pad", Kind: graph.Pad, Inputs: []string{graph.Input}, Before: 3, After: 3, Channels: 3}, smallSize+6)
	conv(graph.FirstConv, graph.FirstConv+"/pad", 7, 2, 3, 16, 16)
	pool("pool1/3x3_s2", graph.FirstConv, 2, 16, 8)
	conv("conv2/3x3", norm("pool1/norm1", 16, 8), 3, 1, 16, 32, 8)
	pool("pool2/3x3_s2", norm("conv2/norm2", 32, 8), 2, 32, 4)
	conv("inception_3a/1x1", "pool2/3x3_s2", 1, 1, 32, 8, 4)
	conv("inception_3a/5x5_reduce", "pool2/3x3_s2", 1, 1, 32, 4, 4)
	conv("inception_3a/5x5", "inception_3a/5x5_reduce", 5, 1, 4, 8, 4)
	pool("inception_3a/pool", "pool2/3x3_s2", 1, 32, 4)
	conv("inception_3a/pool_proj", "inception_3a/pool", 1, 1, 32, 8, 4)
	add(graph.Op{Name: "inception_3a/output", Kind: graph.Concat, Channels: 24,
		Inputs: []string{"inception_3a/1x1", "inception_3a/5x5", "inception_3a/pool_proj"}}, 4)
	add(graph.Op{Name: graph.Features, Kind: graph.Mean, Channels: 24}, 1)
	w, bias := randomLayer(r, smallClasses, 24)
	for i := range w {
		w[i] *= 0.1 // scores that are neither alike nor 0 and 1
	}
	add(graph.Op{Name: graph.Classifier, Kind: graph.FullyConnected, Weights: w, Bias: bias, Channels: smallClasses}, 1)
	n, _ := a.Trained()
	first := g.Op(graph.FirstConv)
	for i := range first.Weights { // the others' inputs are of the size of 1
		first.Weights[i] *= float32(4 * n.Std[0] / 127.5)
	}
	return g
}

// randomLayer gives weights that keep the size of what they read, and small biases. Channels are of different sizes.
func randomLayer(r *rand.Rand, channels, fan int) (w, bias []float32) {
	for range channels {
		size := math.Exp(0.7 * r.NormFloat64())
		for range fan {
			w = append(w, float32(size*r.NormFloat64()*math.Sqrt(2/float64(fan))))
		}
		bias = append(bias, float32(0.2*size*r.NormFloat64()))
	}
	return w, bias
}

// randomPictures gives n pictures of size by size pixels: a gradient of random colours with some noise on it, so that neighbouring pixels
// resemble each other and each picture is different.
func randomPictures(n, size int, seed uint64) *pictures {
	r := rand.New(rand.NewPCG(seed, 2))
	p := &pictures{}
	for i := range n {
		var from, across, down [3]float64
		for c := range 3 {
			from[c], across[c], down[c] = 255*r.Float64(), 200*r.NormFloat64(), 200*r.NormFloat64()
		}
		s := sample{file: fmt.Sprintf("%03d.png", i), class: -1, pixels: make([]byte, 3*size*size)}
		for j := range s.pixels {
			x, y, c := float64(j/3%size)/float64(size), float64(j/3/size)/float64(size), j%3
			s.pixels[j] = byte(min(max(from[c]+across[c]*x+down[c]*y+20*r.NormFloat64(), 0), 255))
		}
		p.samples = append(p.samples, s)
	}
	return p
}

// quiet is progress that nobody is told.
func quiet(_, _ int) {}

// calibrated is a network that was looked at on pictures.
type calibrated struct {
	g     *graph.Graph
	norm  graph.Normalization
	float *floatNetwork
	seen  *observed
	p     *pictures
}

// calibrateOn opens the float network and looks at it on the pictures. All layers are looked at, whatever the form.
func calibrateOn(t *testing.T, g *graph.Graph, p *pictures) *calibrated {
	t.Helper()
	norm, _ := g.Architecture.Trained()
	float, err := openFloat(g, norm, layersOf(g, nil), 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBoth(float.runs) })
	seen, err := calibrate(float, g, p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return &calibrated{g, norm, float, seen, p}
}

// build builds the network as the options say.
func (c *calibrated) build(t *testing.T, o Options) *built {
	t.Helper()
	if o.Precision != "" && o.Precision != PrecisionInt8 {
		return o.buildFloat(c.g, c.norm)
	}
	b, err := o.buildInt8(c.g, c.norm, c.seen)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// write builds and writes the network, with the values named in more as further outputs.
func (c *calibrated) write(t *testing.T, o Options, more ...string) *tflitefile.Model {
	t.Helper()
	m, err := c.build(t, o).model(more)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// openModel opens a model with XNNPACK. It is closed with the test.
func openModel(t testing.TB, m *tflitefile.Model) *tflite.Classifier {
	t.Helper()
	data, err := m.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	run, err := tflite.OpenBytes(data, inference.Options{Delegate: inference.XNNPACK, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run.Close(); err != nil {
			t.Error(err)
		}
	})
	return run
}

// answer runs the model on a picture and gives output i.
func answer(t *testing.T, run *tflite.Classifier, norm graph.Normalization, pixels []byte, i int) []float32 {
	t.Helper()
	if err := invoke(run, norm, pixels); err != nil {
		t.Fatal(err)
	}
	out := make([]float32, run.Spec().Outputs[i].NumElements())
	if err := run.Output(i, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// difference gives the largest difference of two arrays, and the largest value of the second.
func difference(t *testing.T, have, want []float32) (most, largest float64) {
	t.Helper()
	if len(have) != len(want) {
		t.Fatalf("%d values, want %d", len(have), len(want))
	}
	for i, w := range want {
		most = max(most, math.Abs(float64(have[i])-float64(w)))
		largest = max(largest, math.Abs(float64(w)))
	}
	return most, largest
}
