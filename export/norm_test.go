package export

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sightd/export/graph"
	"sightd/inference"
)

// normNet gives a graph of a convolution with that many channels, LRN and a classifier. The convolution passes on its three inputs in random
// shares, so that its values lie between 0 and about 4000.
func normNet(channels, size int, n graph.Norm) *graph.Graph {
	r := rand.New(rand.NewPCG(uint64(channels), 9))
	var w []float32
	for range channels * 3 {
		w = append(w, float32(4*r.ExpFloat64()*float64(r.IntN(2))))
	}
	return &graph.Graph{Architecture: graph.BVLC, Size: size, Classes: 2, Ops: []graph.Op{
		{Name: graph.FirstConv, Kind: graph.Conv, Inputs: []string{graph.Input}, Kernel: 1, Stride: 1, Weights: w, Bias: make([]float32, channels),
			Height: size, Width: size, Channels: channels},
		{Name: "norm", Kind: graph.LRN, Inputs: []string{graph.FirstConv}, Norm: &n, Height: size, Width: size, Channels: channels},
		{Name: graph.Features, Kind: graph.Mean, Inputs: []string{"norm"}, Height: 1, Width: 1, Channels: channels},
		{Name: graph.Classifier, Kind: graph.FullyConnected, Inputs: []string{graph.Features}, Weights: make([]float32, 2*channels),
			Bias: make([]float32, 2), Height: 1, Width: 1, Channels: 2},
	}}
}

// TestNorm runs LRN in TensorFlow Lite and compares it with the formula on what the convolution before it computed. All of it must run on
// XNNPACK.
func TestNorm(t *testing.T) {
	const size = 12
	caffe := graph.Norm{Radius: 2, Bias: 1, Alpha: 2e-5, Beta: 0.75}
	for _, test := range []struct {
		channels int
		n        graph.Norm
	}{
		{16, caffe}, {64, caffe}, {192, caffe},
		{32, graph.Norm{Radius: 0, Bias: 2, Alpha: 1e-3, Beta: 0.75}},
		{48, graph.Norm{Radius: 5, Bias: 1, Alpha: 1e-4, Beta: 0.75}},
		{48, graph.Norm{Radius: normBlock, Bias: 0.5, Alpha: 1e-6, Beta: 0.75}},
		{16, graph.Norm{Radius: normBlock, Bias: 1, Alpha: 1e-4, Beta: 0.75}}, // the window is wider than all channels
		{64, graph.Norm{Radius: 1, Bias: 1, Alpha: 1e-4, Beta: 0.75}},
	} {
		t.Run(fmt.Sprintf("%d channels, radius %d", test.channels, test.n.Radius), func(t *testing.T) {
			g := normNet(test.channels, size, test.n)
			m, err := Float(g, []string{graph.FirstConv, "norm"})
			if err != nil {
				t.Fatal(err)
			}
			run := openModel(t, m)
			if d := run.Delegation(); len(d.Rest) > 0 {
				t.Errorf("%s, want all nodes", d)
			}
			norm := graph.Normalization{Std: [3]float64{1, 1, 1}} // pixels as they are
			for _, s := range append(randomPictures(3, size, 10).samples, sample{pixels: make([]byte, size*size*3)}) {
				in := answer(t, run, norm, s.pixels, 1)
				checkNorm(t, test.n, test.channels, in, answer(t, run, norm, s.pixels, 2))
			}
		})
	}
}

// checkNorm compares with the formula in float64.
func checkNorm(t *testing.T, n graph.Norm, channels int, in, have []float32) {
	t.Helper()
	if len(have) != len(in) {
		t.Fatalf("%d values, want %d", len(have), len(in))
	}
	for i, v := range in {
		first, sum := i-i%channels, 0.0
		for c := max(i-n.Radius, first); c <= min(i+n.Radius, first+channels-1); c++ {
			sum += float64(in[c]) * float64(in[c])
		}
		want := float64(v) / math.Pow(n.Bias+n.Alpha*sum, n.Beta)
		if math.Abs(float64(have[i])-want) > 1e-5*want {
			t.Fatalf("position %d, channel %d: %g became %g, want %g", i/channels, i%channels, v, have[i], want)
		}
	}
}

// TestNormRange shows that the values of TestNorm are of the size that GoogLeNet's are, where the norm is far from doing nothing.
func TestNormRange(t *testing.T) {
	m, err := Float(normNet(64, 12, graph.Norm{Radius: 2, Bias: 1, Alpha: 2e-5, Beta: 0.75}), []string{graph.FirstConv, "norm"})
	if err != nil {
		t.Fatal(err)
	}
	run, norm := openModel(t, m), graph.Normalization{Std: [3]float64{1, 1, 1}}
	pixels := randomPictures(1, 12, 10).samples[0].pixels
	in, out := slices.Max(answer(t, run, norm, pixels, 1)), slices.Max(answer(t, run, norm, pixels, 2))
	if in < 3000 || out > in/10 {
		t.Errorf("values up to %g became ones up to %g, want 3000 and more to become less than a tenth", in, out)
	}
}

// TestNormInInt8 compares the norms of an int8 network with the formula: what goes in and comes out has 8 bits, but nothing between.
func TestNormInInt8(t *testing.T) {
	c := calibrateOn(t, smallNet(graph.BVLC, 8), randomPictures(12, smallSize, 11))
	o := Options{Precision: PrecisionInt8, Input: inference.Int8}
	n := c.g.Op("conv2/norm2")
	run := openModel(t, c.write(t, o, n.Inputs[0], n.Name))
	for _, s := range c.p.samples {
		checkNorm(t, *n.Norm, n.Channels, answer(t, run, c.norm, s.pixels, 1), answer(t, run, c.norm, s.pixels, 2))
	}
}

func TestNormErrors(t *testing.T) {
	fits := graph.Norm{Radius: 2, Bias: 1, Alpha: 2e-5, Beta: 0.75}
	for _, test := range []struct {
		channels int
		change   func(n *graph.Norm)
		want     string
	}{
		{16, func(n *graph.Norm) { n.Beta = 0.5 }, "have 0.5, 2 and 16"},
		{16, func(n *graph.Norm) { n.Radius = normBlock + 1 }, "have 0.75, 17 and 16"},
		{24, func(*graph.Norm) {}, "have 0.75, 2 and 24"},
	} {
		n := fits
		test.change(&n)
		m, err := Float(normNet(test.channels, 4, n), nil)
		if err == nil || m != nil || !strings.HasPrefix(err.Error(), "write norm: local response normalization: want beta 0.75, a radius up to 16") ||
			!strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("%+v, %d channels: error %v, want %q", n, test.channels, err, test.want)
		}
	}
}

// BenchmarkNorm runs norms of the size of BVLC's at 224 pixels in TensorFlow Lite, on one thread, with small graphs around them.
func BenchmarkNorm(b *testing.B) {
	for _, channels := range []int{64, 192} {
		g := normNet(channels, 56, graph.Norm{Radius: 2, Bias: 1, Alpha: 2e-5, Beta: 0.75})
		m, err := Float(g, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%d channels", channels), func(b *testing.B) {
			run := openModel(b, m)
			b.ReportAllocs()
			for b.Loop() {
				if err := run.Invoke(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
