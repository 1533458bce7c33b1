package export

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"sightd/export/graph"
	"sightd/export/tflitefile"
	"sightd/inference"
)

// described gives a model with the tensors of an input and an output, and its metadata.
func described(o *Options, a graph.Architecture, norm graph.Normalization, input tflitefile.Tensor, output tflitefile.TensorType) *tflitefile.Metadata {
	m := &tflitefile.Model{Tensors: []tflitefile.Tensor{input, {Type: output}}, Inputs: []int{0}, Outputs: []int{1}}
	o.addMetadata(m, a, norm)
	return m.Metadata
}

// TestNormalization checks for each type of file and of input, and either architecture, that a pixel normalized as the metadata says is
// the real value of what the tensor holds of that pixel, and that its range is stated.
func TestNormalization(t *testing.T) {
	for _, a := range []graph.Architecture{graph.Torchvision, graph.BVLC} {
		for _, precision := range []Precision{PrecisionInt8, PrecisionFloat16, PrecisionFloat32} {
			for _, in := range []inference.Type{inference.Int8, inference.UInt8, inference.Float32} {
				t.Run(fmt.Sprintf("%s %s %s", a, precision, in), func(t *testing.T) {
					norm, _ := a.Trained()
					o := Options{Weights: "w", Labels: []string{"x"}, Size: 96, Precision: precision, Input: in}
					checkNormalization(t, o, a, norm)
				})
			}
		}
	}
}

func checkNormalization(t *testing.T, o Options, a graph.Architecture, norm graph.Normalization) {
	t.Helper()
	pixels := norm.Pixels()
	input := tflitefile.Tensor{Type: tflitefile.Float32}
	low, high := []float32{0}, []float32{255} // what the tensor holds
	// real is the real value of what the tensor holds of pixel p in channel c.
	real := func(p, c int) float64 { return (float64(p) - norm.Mean[c]) / norm.Std[c] }
	switch o.Input {
	case inference.Int8:
		low, high = []float32{-128}, []float32{127}
		input = tflitefile.Tensor{Type: tflitefile.Int8, Quant: &tflitefile.Quantization{Scale: []float32{float32(pixels.Scale)}, ZeroPoint: []int64{int64(pixels.Zero) - 128}}}
		real = func(p, _ int) float64 {
			return float64(p-128-int(input.Quant.ZeroPoint[0])) * float64(input.Quant.Scale[0])
		}
	case inference.UInt8:
		input = tflitefile.Tensor{Type: tflitefile.UInt8, Quant: &tflitefile.Quantization{Scale: []float32{float32(pixels.Scale)}, ZeroPoint: []int64{int64(pixels.Zero)}}}
		real = func(p, _ int) float64 {
			return float64(p-int(input.Quant.ZeroPoint[0])) * float64(input.Quant.Scale[0])
		}
	default:
		low, high = nil, nil
		for c := range 3 {
			low, high = append(low, float32(real(0, c))), append(high, float32(real(255, c)))
		}
	}
	d := described(&o, a, norm, input, tflitefile.Float32).Input
	for p := range 256 {
		for c := range 3 {
			mean, std := d.Normalization.Mean, d.Normalization.Std
			got := (float64(p) - float64(mean[c%len(mean)])) / float64(std[c%len(std)])
			if want := real(p, c); !near(got, want, 1e-6*max(math.Abs(want), 1)) {
				t.Fatalf("pixel %d, channel %d: (p-mean)/std is %g, the tensor's real value %g", p, c, got, want)
			}
		}
	}
	if !slices.Equal(d.Stats.Min, low) || !slices.Equal(d.Stats.Max, high) {
		t.Errorf("statistics: got %+v, want %v to %v", *d.Stats, low, high)
	}
}

// TestPlainNormalization shows the numbers that people read: no digits that rounding has left.
func TestPlainNormalization(t *testing.T) {
	for _, test := range []struct {
		norm      graph.Normalization
		mean, std float32
	}{
		{graph.Symmetric, 127, 127.5},
		{graph.Normalization{Mean: [3]float64{123, 117, 104}, Std: [3]float64{1, 1, 1}}, 115, 1},
		{graph.Normalization{Std: [3]float64{255, 255, 255}}, 0, 255},
		{graph.Normalization{Mean: [3]float64{128, 128, 128}, Std: [3]float64{58.395, 58.395, 58.395}}, 128, 58.395},
	} {
		p := test.norm.Pixels()
		quant := &tflitefile.Quantization{Scale: []float32{float32(p.Scale)}, ZeroPoint: []int64{int64(p.Zero)}}
		n := normalizationOf(&tflitefile.Tensor{Type: tflitefile.UInt8, Quant: quant}, test.norm)
		if n.Mean[0] != test.mean || n.Std[0] != test.std {
			t.Errorf("%+v: got mean %v, std %v, want %g and %g", test.norm, n.Mean, n.Std, test.mean, test.std)
		}
	}
	// A tensor without quantization holds plain numbers.
	n := normalizationOf(&tflitefile.Tensor{Type: tflitefile.Int8}, graph.Symmetric)
	if n.Mean[0] != 128 || n.Std[0] != 1 {
		t.Errorf("INT8 without quantization: got mean %v, std %v, want 128 and 1", n.Mean, n.Std)
	}
	// A scale that no short number gives.
	if s := float32(1) / 3 * 1e-3; !near(1/float64(inverse(s)), float64(s), 1e-10) {
		t.Errorf("inverse of %g: got %g", s, inverse(s))
	}
}

func TestAddMetadata(t *testing.T) {
	o := Options{Weights: "dir/googlenet.pth", Labels: []string{"great white shark", "crane"}, Size: 96, Precision: PrecisionFloat32, Author: "A. Uthor", License: "CC0"}
	float := tflitefile.Tensor{Type: tflitefile.Float32}
	d := described(&o, graph.Torchvision, graph.Symmetric, float, tflitefile.Float32)
	if want := "Says which of 2 classes a picture shows. GoogLeNet (torchvision), float32, made of googlenet.pth."; d.Description != want {
		t.Errorf("description: got %q, want %q", d.Description, want)
	}
	if d.Author != o.Author || d.License != o.License || d.Name == "" || d.Version == "" {
		t.Errorf("got author %q, license %q, name %q, version %q", d.Author, d.License, d.Name, d.Version)
	}
	if in := d.Input; in.Name != inputName || *in.Image != (tflitefile.ImageProperties{ColorSpace: tflitefile.RGB, Width: 96, Height: 96}) {
		t.Errorf("input: got %+v", in)
	}
	if out := d.Outputs[0]; len(d.Outputs) != 1 || out.Name != outputName || out.LabelFile != labelsName || out.Stats.Min[0] != 0 || out.Stats.Max[0] != 1 {
		t.Errorf("outputs: got %+v", d.Outputs)
	}
	if len(d.Files) != 1 || d.Files[0].Name != labelsName || string(d.Files[0].Data) != "great white shark\ncrane\n" {
		t.Errorf("files: got %+v", d.Files)
	}
	o.Features = true
	for kind, want := range map[tflitefile.TensorType][2]float32{tflitefile.UInt8: {0, 255}, tflitefile.Int8: {-128, 127}} {
		d = described(&o, graph.Torchvision, graph.Symmetric, float, kind)
		if s := d.Outputs[0].Stats; s.Min[0] != want[0] || s.Max[0] != want[1] {
			t.Errorf("scores of type %s: got statistics %+v, want %v", kind, *s, want)
		}
		if len(d.Outputs) != 2 || d.Outputs[1].Name != featuresName {
			t.Errorf("outputs with features: got %+v", d.Outputs)
		}
	}
}
