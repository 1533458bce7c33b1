// Package graph holds GoogLeNet as a list of operators with its weights: read from torchvision's state dict, its batch norm folded, or from
// Caffe's network, with its local response normalization; auxiliary heads left out, a global average pool before the classifier. Tensors are NHWC, one picture.
//
// It computes no activation and knows nothing of files or quantization: package export writes a Graph as a .tflite file and
// has TensorFlow Lite run it.
package graph

import "slices"

// Kind is what an operator does. The names are TensorFlow Lite's.
type Kind string

// The operators that GoogLeNet is made of.
const (
	Conv           Kind = "CONV_2D" // with bias, followed by ReLU
	MaxPool        Kind = "MAX_POOL_2D"
	Concat         Kind = "CONCATENATION" // along the channels
	Mean           Kind = "MEAN"          // over height and width: [1,H,W,C] -> [1,C]
	FullyConnected Kind = "FULLY_CONNECTED"
	Pad            Kind = "PAD"            // a border around height and width
	SpaceToDepth   Kind = "SPACE_TO_DEPTH" // blocks of 2x2 pixels become channels
	LRN            Kind = "LOCAL_RESPONSE_NORMALIZATION"
)

// Padding is how TensorFlow Lite pads a convolution or pool.
type Padding int

// Same and Valid are TensorFlow Lite's paddings.
const (
	Same Padding = iota
	Valid
)

// Input is the name of the value that the network starts from: a picture [1,Size,Size,3], RGB, normalized as the network was
// trained.
const Input = "data"

// Op is one operator. Its output is a value with the operator's name.
type Op struct {
	Name   string // as in the GoogLeNet prototxt: "inception_3a/3x3_reduce"
	Kind   Kind
	Inputs []string // names of values

	Kernel  int       // side of the window of Conv and MaxPool
	Stride  int       // of Conv and MaxPool
	Padding Padding   // of Conv and MaxPool
	Before  int       // of Pad: rows above the map and columns left of it
	After   int       // of Pad: rows below it and columns right of it
	Fill    []float64 // of Pad: what they hold, for each channel; nil for 0
	Norm    *Norm     // of LRN

	// Weights are OHWI for Conv ([Channels, Kernel, Kernel, channels of the input]) and [Channels, inputs] for FullyConnected.
	Weights []float32
	Bias    []float32 // [Channels]

	// Height, Width and Channels are the output's. Mean and FullyConnected have height and width 1 and shape [1,Channels].
	Height, Width, Channels int
}

// Norm is a local response normalization over channels (Krizhevsky et al. 2012, section 3.3): each value is divided by
//
//	(Bias + Alpha*sum of squares over the channels at most Radius away)^Beta
//
// Caffe states alpha times the window's 2*Radius+1 channels.
type Norm struct {
	Radius            int
	Bias, Alpha, Beta float64
}

// Shape is the shape of the operator's output.
func (o *Op) Shape() []int {
	if o.Kind == Mean || o.Kind == FullyConnected {
		return []int{1, o.Channels}
	}
	return []int{1, o.Height, o.Width, o.Channels}
}

// Computes says whether the operator's output has a range of its own: those of the others hold values of their inputs, and share their
// inputs' range.
func (o *Op) Computes() bool {
	return o.Kind == Conv || o.Kind == Mean || o.Kind == FullyConnected || o.Kind == LRN
}

// NumMACs is the number of multiplications with a weight that the operator does for one picture.
func (o *Op) NumMACs() int { return o.Height * o.Width * len(o.Weights) }

// Graph is a network whose operators are in order of execution.
type Graph struct {
	Architecture Architecture
	Size         int // side of the input picture, in pixels
	Classes      int
	Ops          []Op
}

// Op finds an operator by name; nil if there is none.
func (g *Graph) Op(name string) *Op {
	for i := range g.Ops {
		if g.Ops[i].Name == name {
			return &g.Ops[i]
		}
	}
	return nil
}

// Readers lists the operators that read an operator's output; none for nil.
func (g *Graph) Readers(op *Op) []*Op {
	var readers []*Op
	for i := range g.Ops {
		if op != nil && slices.Contains(g.Ops[i].Inputs, op.Name) {
			readers = append(readers, &g.Ops[i])
		}
	}
	return readers
}

// Shape gives the shape of a value: Input or an operator's output; nil for an unknown name.
func (g *Graph) Shape(value string) []int {
	if value == Input {
		return []int{1, g.Size, g.Size, 3}
	}
	if op := g.Op(value); op != nil {
		return op.Shape()
	}
	return nil
}

// The values that the rest of the export names.
const (
	FirstConv  = "conv1/7x7_s2"
	Features   = "pool5/7x7_s1"     // the 1024 pooled features
	Classifier = "loss3/classifier" // its output are the logits
)
