package export

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"sightd/export/graph"
	"sightd/export/quantize"
	"sightd/export/tflitefile"
	"sightd/inference"
)

// A step is a part of the int8 method that can be left out, to measure what it brings.
type step string

// The steps, with their names in the model card.
const (
	stepFront    step = "float until the first local response normalization"
	stepBorder   step = "border of the mean pixel"
	stepBlocks   step = "first convolution over blocks of 2x2 pixels"
	stepEqualize step = "channel equalization"
	stepRound    step = "balanced rounding of weights"
	stepBias     step = "bias correction"
	stepLogits   step = "float logits"
	stepRange    step = "range of integer logits by divergence"
)

// stepsOf lists the steps that buildInt8 took for a network.
func (o *Options) stepsOf(b *built) []step {
	var taken []step
	if floatOps(b.g, b.f)[graph.FirstConv] {
		taken = append(taken, stepFront)
	}
	if b.g.Op(graph.FirstConv+"/blocks") != nil {
		taken = append(taken, stepBlocks)
	}
	if b.g.Op(graph.FirstConv+"/pad").Fill != nil {
		taken = append(taken, stepBorder)
	}
	taken = append(taken, stepEqualize, stepRound, stepBias)
	if o.IntegerOutput {
		taken = append(taken, stepRange)
	} else {
		taken = append(taken, stepLogits)
	}
	return slices.DeleteFunc(taken, func(s step) bool { return o.without[s] })
}

// observed is what the float network made of the calibration pictures.
type observed struct {
	seen   map[string]*quantize.Seen // by the value's name
	scores [][]float32               // of each picture
	logits [][]float32
}

// built is a network in the form that is to be written.
type built struct {
	g *graph.Graph // with the changes that the form asks for
	f form
}

// model writes the network, with the values named in more as outputs behind the others.
func (b *built) model(more []string) (*tflitefile.Model, error) {
	f := b.f
	f.more = more
	return write(b.g, f)
}

// buildFloat prepares a float network. A float32 input takes the picture as the network was trained on it, the others plain pixels.
func (o *Options) buildFloat(g *graph.Graph, norm graph.Normalization) *built {
	f := form{half: o.Precision == PrecisionFloat16, input: o.Input, features: o.Features}
	if o.Input != inference.Float32 {
		g, f.pixels = takePixels(g, norm)
	}
	return &built{g, f}
}

// buildInt8 chooses the int8 network's numbers.
func (o *Options) buildInt8(g *graph.Graph, norm graph.Normalization, seen *observed) (*built, error) {
	f := form{int8: true, input: o.Input, integer: o.IntegerOutput, features: o.Features, without: o.without}
	input := normalizedParams(norm)
	if o.Input != inference.Float32 {
		g, f.pixels = takePixels(g, norm)
		input = f.pixels
	}
	if o.without[stepBorder] {
		g.Op(graph.FirstConv + "/pad").Fill = nil
	}
	float := floatOps(g, f)
	if !float[graph.FirstConv] && !o.without[stepBlocks] {
		g = g.Space2Depth()
	}
	choices := quantize.Options{Float: float, PlainFeatures: o.IntegerOutput && o.Features}
	if o.without[stepEqualize] {
		choices.Alphas = []float64{0}
	}
	plan, err := quantize.Choose(g, seen.seen, input, choices)
	if err != nil {
		return nil, err
	}
	if o.without[stepBias] {
		plan.Means = nil
	}
	g = plan.Apply(g)
	if o.IntegerOutput && !o.without[stepRange] {
		shiftLogits(g, plan, seen.logits)
	}
	f.plan = plan
	if f.layers, err = quantizeLayers(g, f); err != nil {
		return nil, err
	}
	return &built{g, f}, nil
}

// quantizeLayers quantizes the layers that are computed in int8, side by side, by their names.
func quantizeLayers(g *graph.Graph, f form) (map[string]quantize.Layer, error) {
	float := floatOps(g, f)
	layers, errs := make([]quantize.Layer, len(g.Ops)), make([]error, len(g.Ops))
	var wait sync.WaitGroup
	for i := range g.Ops {
		op := &g.Ops[i]
		if op.Weights == nil || float[op.Name] {
			continue
		}
		taps := max(op.Kernel*op.Kernel, 1)
		if f.without[stepRound] {
			taps = 1 // each weight by itself
		}
		in := quantize.Input{Scale: f.plan.Params[op.Inputs[0]].Scale, Means: f.plan.InputMeans(op)}
		wait.Go(func() {
			if layers[i], errs[i] = quantize.Weights(op.Weights, op.Bias, taps, in); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", op.Name, errs[i])
			}
		})
	}
	wait.Wait()
	byName := map[string]quantize.Layer{}
	for i := range g.Ops {
		byName[g.Ops[i].Name] = layers[i]
	}
	return byName, errors.Join(errs...)
}

// takePixels changes the graph for an input of plain pixels, and gives the parameters of an int8 tensor with them.
func takePixels(g *graph.Graph, norm graph.Normalization) (*graph.Graph, quantize.Params) {
	p := norm.Pixels()
	return g.TakePixels(norm, p), quantize.Params{Scale: float32(p.Scale), ZeroPoint: p.Zero - 128}
}

// normalizedParams gives the parameters of an int8 tensor with normalized pixels.
func normalizedParams(norm graph.Normalization) quantize.Params {
	low, high := math.Inf(1), math.Inf(-1)
	for i := range 3 {
		low = min(low, (0-norm.Mean[i])/norm.Std[i])
		high = max(high, (255-norm.Mean[i])/norm.Std[i])
	}
	return quantize.Activation(low, high)
}

// shiftLogits gives the int8 logits the range that is best for the softmax, whose upper end becomes 0. It changes the graph's classifier, which
// gets a bias of its own.
func shiftLogits(g *graph.Graph, plan *quantize.Plan, logits [][]float32) {
	high, span := quantize.Logits(logits)
	plan.Params[graph.Classifier] = quantize.Params{Scale: float32(span / 255), ZeroPoint: 127}
	fc := g.Op(graph.Classifier)
	fc.Bias = append([]float32(nil), fc.Bias...)
	for i := range fc.Bias {
		fc.Bias[i] -= float32(high)
	}
}
