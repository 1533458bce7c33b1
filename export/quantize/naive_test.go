package quantize

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sightd/export/graph"
)

// evaluate computes all values of a graph in float64 by the operators' definitions, for one picture [Size, Size, 3]. each is called with every
// value as soon as it is there, and may change it; it may be nil.
func evaluate(g *graph.Graph, picture []float64, each func(name string, v []float64)) map[string][]float64 {
	values := map[string][]float64{graph.Input: slices.Clone(picture)}
	if each != nil {
		each(graph.Input, values[graph.Input])
	}
	for i := range g.Ops {
		op := &g.Ops[i]
		in, shape := values[op.Inputs[0]], g.Shape(op.Inputs[0])
		var out []float64
		switch op.Kind {
		case graph.Conv, graph.MaxPool:
			out = slide(op, in, shape)
		case graph.Concat:
			for p := range op.Height * op.Width {
				for _, name := range op.Inputs {
					c := g.Op(name).Channels
					out = append(out, values[name][p*c:(p+1)*c]...)
				}
			}
		case graph.Mean:
			out = make([]float64, op.Channels)
			for j, v := range in {
				out[j%op.Channels] += v * float64(op.Channels) / float64(len(in))
			}
		case graph.FullyConnected:
			for o, b := range op.Bias {
				out = append(out, float64(b)+product(op.Weights[o*len(in):], in))
			}
		case graph.Pad, graph.SpaceToDepth:
			out = rearrange(op, in, shape)
		case graph.LRN:
			out = normalize(op, in)
		}
		if each != nil {
			each(op.Name, out)
		}
		values[op.Name] = out
	}
	return values
}

func product(w []float32, x []float64) float64 {
	sum := 0.0
	for i, v := range x {
		sum += float64(w[i]) * v
	}
	return sum
}

// slide computes a convolution with ReLU or a max pool. shape is that of the input.
func slide(op *graph.Op, in []float64, shape []int) []float64 {
	height, width, channels := shape[1], shape[2], shape[3]
	before := 0 // rows of padding before the first, as TensorFlow Lite's SAME has them
	if op.Padding == graph.Same {
		before = max((op.Height-1)*op.Stride+op.Kernel-height, 0) / 2
	}
	out := make([]float64, op.Height*op.Width*op.Channels)
	for i := range out {
		y, x, o := i/op.Channels/op.Width, i/op.Channels%op.Width, i%op.Channels
		sum, top := 0.0, math.Inf(-1)
		if op.Kind == graph.Conv {
			sum = float64(op.Bias[o])
		}
		for k := range op.Kernel * op.Kernel {
			iy, ix := y*op.Stride-before+k/op.Kernel, x*op.Stride-before+k%op.Kernel
			if iy < 0 || iy >= height || ix < 0 || ix >= width {
				continue
			}
			pixel := in[(iy*width+ix)*channels:][:channels]
			if op.Kind == graph.Conv {
				sum += product(op.Weights[(o*op.Kernel*op.Kernel+k)*channels:], pixel)
			} else {
				top = max(top, pixel[o])
			}
		}
		if op.Kind == graph.Conv {
			out[i] = max(sum, 0)
		} else {
			out[i] = top
		}
	}
	return out
}

// rearrange computes PAD or SPACE_TO_DEPTH.
func rearrange(op *graph.Op, in []float64, shape []int) []float64 {
	out := make([]float64, op.Height*op.Width*op.Channels)
	height, width, channels := shape[1], shape[2], shape[3]
	for i := range out {
		y, x, c := i/op.Channels/op.Width, i/op.Channels%op.Width, i%op.Channels
		if op.Kind == graph.SpaceToDepth {
			out[i] = in[((2*y+c/channels/2)*width+2*x+c/channels%2)*channels+c%channels]
			continue
		}
		if y, x = y-op.Before, x-op.Before; y >= 0 && y < height && x >= 0 && x < width {
			out[i] = in[(y*width+x)*channels+c]
		} else if op.Fill != nil {
			out[i] = op.Fill[c]
		}
	}
	return out
}

// normalize computes LRN.
func normalize(op *graph.Op, in []float64) []float64 {
	out := make([]float64, len(in))
	for i, v := range in {
		c, sum := i%op.Channels, 0.0
		for j := max(c-op.Norm.Radius, 0); j <= min(c+op.Norm.Radius, op.Channels-1); j++ {
			sum += in[i-c+j] * in[i-c+j]
		}
		out[i] = v / math.Pow(op.Norm.Bias+op.Norm.Alpha*sum, op.Norm.Beta)
	}
	return out
}

// network builds small graphs: it follows one value.
type network struct {
	r                *rand.Rand
	g                *graph.Graph
	value            string
	height, channels int
}

func newNetwork(r *rand.Rand, size int) *network {
	return &network{r: r, g: &graph.Graph{Size: size, Classes: 4}, value: graph.Input, height: size, channels: 3}
}

func (n *network) add(op graph.Op) string {
	if op.Inputs == nil {
		op.Inputs = []string{n.value}
	}
	if op.Name == "" {
		op.Name = fmt.Sprint(op.Kind, len(n.g.Ops))
	}
	n.g.Ops = append(n.g.Ops, op)
	n.value, n.height, n.channels = op.Name, op.Height, op.Channels
	return op.Name
}

// conv appends a convolution with random weights. Its output channels are of very different sizes.
func (n *network) conv(kernel, stride, channels int, padding graph.Padding) string {
	op := graph.Op{Kind: graph.Conv, Kernel: kernel, Stride: stride, Padding: padding, Channels: channels}
	op.Height = (n.height + stride - 1) / stride
	if padding == graph.Valid {
		op.Height = (n.height-kernel)/stride + 1
	}
	op.Width = op.Height
	fan := kernel * kernel * n.channels
	for range channels {
		size := math.Exp(1.5 * n.r.NormFloat64())
		for range fan {
			op.Weights = append(op.Weights, float32(size*n.r.NormFloat64()*math.Sqrt(2/float64(fan))))
		}
		op.Bias = append(op.Bias, float32(size*n.r.NormFloat64()/4))
	}
	return n.add(op)
}

func (n *network) pool(kernel, stride int) string {
	height := (n.height + stride - 1) / stride
	return n.add(graph.Op{Kind: graph.MaxPool, Kernel: kernel, Stride: stride, Height: height, Width: height, Channels: n.channels})
}

func (n *network) pad(border int) string {
	height := n.height + 2*border
	return n.add(graph.Op{Kind: graph.Pad, Before: border, After: border, Height: height, Width: height, Channels: n.channels})
}

func (n *network) norm() string {
	return n.add(graph.Op{Kind: graph.LRN, Norm: &graph.Norm{Radius: 2, Bias: 1, Alpha: 0.1, Beta: 0.75}, Height: n.height, Width: n.height, Channels: n.channels})
}

// module appends an inception module with two to five branches.
func (n *network) module() string {
	in, height, channels := n.value, n.height, n.channels
	var names []string
	total := 0
	for b := range 2 + n.r.IntN(4) {
		n.value, n.height, n.channels = in, height, channels
		switch b % 3 {
		case 1:
			n.conv(1, 1, 1+n.r.IntN(3), graph.Same)
		case 2:
			n.pool(3, 1)
		}
		names = append(names, n.conv([]int{1, 3, 5}[n.r.IntN(3)], 1, 1+n.r.IntN(4), graph.Same))
		total += n.channels
	}
	return n.add(graph.Op{Kind: graph.Concat, Inputs: names, Height: height, Width: height, Channels: total})
}

// classifier appends the global average pool and a fully connected layer with random weights.
func (n *network) classifier() *graph.Graph {
	n.add(graph.Op{Name: graph.Features, Kind: graph.Mean, Height: 1, Width: 1, Channels: n.channels})
	op := graph.Op{Name: graph.Classifier, Kind: graph.FullyConnected, Height: 1, Width: 1, Channels: n.g.Classes}
	for range n.g.Classes {
		for range n.channels {
			op.Weights = append(op.Weights, float32(n.r.NormFloat64()/math.Sqrt(float64(n.channels))))
		}
		op.Bias = append(op.Bias, float32(n.r.NormFloat64()/4))
	}
	n.add(op)
	return n.g
}

// randomNetwork gives a graph of the kind that GoogLeNet is: a border, perhaps blocks, convolutions, pools, modules, perhaps
// LRN, and the classifier.
func randomNetwork(r *rand.Rand) *graph.Graph {
	n := newNetwork(r, 10)
	n.pad(1)
	if r.IntN(2) == 0 {
		n.add(graph.Op{Kind: graph.SpaceToDepth, Height: 6, Width: 6, Channels: 12})
	}
	n.conv(3, 1, 1+r.IntN(6), graph.Valid)
	for range r.IntN(5) {
		switch r.IntN(6) {
		case 0:
			n.pool(3, 1+r.IntN(2))
		case 1:
			n.norm()
		case 2:
			n.pad(1)
			n.conv(3, 1, 1+r.IntN(6), graph.Valid)
		case 3:
			n.conv(1, 1, 1+r.IntN(6), graph.Same)
		default:
			n.module()
		}
	}
	return n.classifier()
}

// inputParams are what the pictures' pixels have.
var inputParams = Params{Scale: 1.0 / 128, ZeroPoint: 0}

// randomPicture gives pixels from -1 to 1 that int8 holds exactly.
func randomPicture(r *rand.Rand, g *graph.Graph) []float64 {
	picture := make([]float64, g.Size*g.Size*3)
	for i := range picture {
		picture[i] = float64(r.IntN(256)-128) / 128
	}
	return picture
}

// observe gives what calibration sees of all values of the graph but the input on n random pictures.
func observe(r *rand.Rand, g *graph.Graph, n int) map[string]*Seen {
	seen := map[string]*Seen{}
	for i := range g.Ops {
		seen[g.Ops[i].Name] = NewSeen(g.Ops[i].Channels)
	}
	for i := range n {
		for name, v := range evaluate(g, randomPicture(r, g), nil) {
			if name != graph.Input {
				seen[name].Include(i, narrow(v))
			}
		}
	}
	return seen
}

func narrow(values []float64) []float32 {
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(v)
	}
	return out
}

// simulate computes the values of the graph as the int8 network that plan makes of it has them, in float64.
func simulate(t *testing.T, g *graph.Graph, plan *Plan, picture []float64) map[string][]float64 {
	t.Helper()
	g = plan.Apply(g)
	for i := range g.Ops {
		op := &g.Ops[i]
		if op.Weights == nil {
			continue
		}
		in := Input{Scale: plan.Params[op.Inputs[0]].Scale, Means: plan.InputMeans(op)}
		l, err := Weights(op.Weights, op.Bias, max(op.Kernel*op.Kernel, 1), in)
		if err != nil {
			t.Fatal(err)
		}
		op.Weights, op.Bias = make([]float32, len(op.Weights)), make([]float32, len(op.Bias))
		perChannel := len(op.Weights) / op.Channels
		for j, q := range l.Weights {
			op.Weights[j] = float32(q) * l.Scales[j/perChannel]
		}
		for o, b := range l.Bias {
			op.Bias[o] = float32(float64(b) * float64(in.Scale) * float64(l.Scales[o]))
		}
	}
	return evaluate(g, picture, func(name string, v []float64) {
		p, ok := plan.Params[name]
		for i := range v {
			if ok {
				q := math.RoundToEven(v[i]/float64(p.Scale)) + float64(p.ZeroPoint)
				v[i] = (min(max(q, -128), 127) - float64(p.ZeroPoint)) * float64(p.Scale)
			}
		}
	})
}
