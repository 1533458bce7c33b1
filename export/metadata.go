package export

import (
	"fmt"
	"path/filepath"
	"strings"

	"sightd/export/graph"
	"sightd/export/tflitefile"
)

// labelsName is the name of the labels in the zip behind the model.
const labelsName = "labels.txt"

// addMetadata gives a written model its TensorFlow Lite Metadata: what other programs read to make its input and to name its answers. norm is how
// a FLOAT32 input is made of pixels, a the architecture.
func (o *Options) addMetadata(m *tflitefile.Model, a graph.Architecture, norm graph.Normalization) {
	input := &m.Tensors[m.Inputs[0]]
	made := normalizationOf(input, norm)
	d := &tflitefile.Metadata{
		Name:        "GoogLeNet image classifier",
		Description: fmt.Sprintf("Says which of %d classes a picture shows. GoogLeNet (%s), %s, made of %s.", len(o.Labels), a, o.Precision, filepath.Base(o.Weights)),
		Version:     "1",
		Author:      o.Author,
		License:     o.License,
		Input: tflitefile.TensorMetadata{
			Name:          inputName,
			Description:   fmt.Sprintf("RGB picture of %d by %d pixels.", o.Size, o.Size),
			Image:         &tflitefile.ImageProperties{Width: o.Size, Height: o.Size},
			Normalization: made,
			Stats:         inputStats(input, made),
		},
		Files: []tflitefile.AssociatedFile{{Name: labelsName, Data: []byte(strings.Join(o.Labels, "\n") + "\n")}},
	}
	d.Outputs = []tflitefile.TensorMetadata{{
		Name:        outputName,
		Description: "Score of each class.",
		Stats:       scoreStats(m.Tensors[m.Outputs[0]].Type),
		LabelFile:   labelsName,
	}}
	if o.Features {
		d.Outputs = append(d.Outputs, tflitefile.TensorMetadata{Name: featuresName, Description: "The 1024 pooled features before the classifier."})
	}
	m.Metadata = d
}

// normalizationOf says in the metadata's terms how a pixel p of 0 to 255 gets to the input: (p-mean)/std is the tensor's real value. A
// FLOAT32 input is normalized as the network was trained, in the order red, green, blue. An integer one of scale s and zero point z
// holds p itself, or p-128, whose real value is (p-z)*s, or (p-128-z)*s.
func normalizationOf(input *tflitefile.Tensor, norm graph.Normalization) *tflitefile.Normalization {
	n := &tflitefile.Normalization{}
	if input.Type == tflitefile.Float32 {
		for c := range 3 {
			n.Mean, n.Std = append(n.Mean, float32(norm.Mean[c])), append(n.Std, float32(norm.Std[c]))
		}
		return n
	}
	zero := float32(0)
	if input.Type == tflitefile.Int8 {
		zero = 128
	}
	n.Mean, n.Std = []float32{zero}, []float32{1}
	if q := input.Quant; q != nil {
		n.Mean[0] += float32(q.ZeroPoint[0])
		n.Std[0] = inverse(q.Scale[0])
	}
	return n
}

// inverse gives 1/scale: of the numbers whose own inverse is scale in float32, one with few digits, since scale was made of such a one.
func inverse(scale float32) float32 {
	exact := 1 / float64(scale)
	for _, digits := range []string{"%.4g", "%.5g", "%.6g"} {
		var short float64
		if _, err := fmt.Sscan(fmt.Sprintf(digits, exact), &short); err == nil && float32(1/short) == scale {
			return float32(short)
		}
	}
	return float32(exact)
}

// inputStats gives the least and the greatest value of the input, as TensorFlow's own metadata writers do: of an integer tensor what it
// holds, of a FLOAT32 one the normalized pixels.
func inputStats(input *tflitefile.Tensor, n *tflitefile.Normalization) *tflitefile.Stats {
	if input.Type != tflitefile.Float32 {
		return integerStats(input.Type)
	}
	s := &tflitefile.Stats{}
	for c := range n.Mean {
		s.Min, s.Max = append(s.Min, (0-n.Mean[c])/n.Std[c]), append(s.Max, (255-n.Mean[c])/n.Std[c])
	}
	return s
}

// scoreStats gives the least and the greatest score.
func scoreStats(t tflitefile.TensorType) *tflitefile.Stats {
	if t != tflitefile.Float32 {
		return integerStats(t)
	}
	return &tflitefile.Stats{Min: []float32{0}, Max: []float32{1}}
}

// integerStats gives the range of UINT8 or INT8.
func integerStats(t tflitefile.TensorType) *tflitefile.Stats {
	if t == tflitefile.Int8 {
		return &tflitefile.Stats{Min: []float32{-128}, Max: []float32{127}}
	}
	return &tflitefile.Stats{Min: []float32{0}, Max: []float32{255}}
}
