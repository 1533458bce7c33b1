package export

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightd/export/graph"
	"sightd/export/quantize"
	"sightd/export/weights"
	"sightd/inference"
	"sightd/models"
)

func TestCard(t *testing.T) {
	o := Options{Weights: "x/w.pth", Output: "out/mine.tflite", Labels: []string{"a", "b"}, Size: 96, Precision: PrecisionInt8, Input: inference.UInt8,
		IntegerOutput: true, Features: true, Author: "A. Uthor", License: "CC0", Exporter: "test"}
	m := made{
		set:  &weights.Set{Format: "safetensors", SHA256: "12ab"},
		g:    &graph.Graph{Architecture: graph.BVLC},
		norm: graph.Normalization{Mean: [3]float64{123, 117, 104}, Std: [3]float64{1, 1, 1}},
		bgr:  true, data: []byte("tflite"),
		weights: "int8", activations: "int8", steps: []string{"channel equalization"},
		calibration: &pictures{samples: make([]sample, 12), sha256: "34cd"},
		agreement:   models.Agreement{Pictures: 12, Top1: 1},
		temperature: &models.Temperature{Value: 1.1, FittedTo: models.FittedToLabels, Pictures: 12},
	}
	c := o.card(&m)
	if c.Name != "mine" || c.Type != "int8" || c.Architecture != "bvlc_googlenet" || c.Author != "A. Uthor" || c.License != "CC0" {
		t.Errorf("got %q, %q, %q, %q, %q", c.Name, c.Type, c.Architecture, c.Author, c.License)
	}
	if want := (models.FileCard{Name: "mine.tflite", Format: "tflite", Bytes: 6, SHA256: models.Sum(m.data)}); c.File != want {
		t.Errorf("file: got %+v, want %+v", c.File, want)
	}
	if want := (models.FileCard{Name: "w.pth", Format: "safetensors", SHA256: "12ab"}); c.Source != want {
		t.Errorf("source: got %+v, want %+v", c.Source, want)
	}
	if want := (models.InputCard{Type: "UINT8", Size: 96, Pixels: "p", Resize: "squash", Channels: "bgr", Mean: m.norm.Mean, Std: m.norm.Std}); c.Input != want {
		t.Errorf("input: got %+v, want %+v", c.Input, want)
	}
	if c.Output.Type != "UINT8" || !slices.Equal(c.Outputs, []string{outputName, featuresName}) {
		t.Errorf("outputs: got %v of type %+v", c.Outputs, c.Output)
	}
	if c.Method.Pictures != 12 || c.Method.PicturesSHA != "34cd" || !slices.Equal(c.Method.Steps, m.steps) {
		t.Errorf("method: got %+v", c.Method)
	}
	if !strings.HasPrefix(c.Exporter, "test, TensorFlow Lite ") {
		t.Errorf("exporter: got %q", c.Exporter)
	}
	text, err := c.JSON()
	if err != nil {
		t.Fatal(err)
	}
	back, err := models.ParseCard(text)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := back.JSON(); err != nil || !bytes.Equal(again, text) {
		t.Errorf("the card read and written again: %v\n%s", err, again)
	}

	// A float model without calibration pictures.
	o = Options{Weights: filepath.Join(t.TempDir(), "w"), Output: "o.tflite", Name: "named", Size: 96, Precision: PrecisionFloat16, Input: inference.Float32}
	m.calibration, m.bgr, m.agreement, m.temperature = nil, false, models.Agreement{}, nil
	c = o.card(&m)
	if text, err = c.JSON(); err != nil {
		t.Fatal(err)
	}
	if c.Name != "named" || c.Type != "float16" || c.Input.Channels != "rgb" || c.Input.Pixels != "(p-mean)/std" || c.Output.Type != "FLOAT32" {
		t.Errorf("float: got %+v", c)
	}
	for _, key := range []string{"agreement", "accuracy", "temperature", "calibration_pictures", "layers", "author"} {
		if bytes.Contains(text, []byte(`"`+key+`"`)) {
			t.Errorf("a model that was compared with nothing has %q in its card:\n%s", key, text)
		}
	}
}

func TestLayerCards(t *testing.T) {
	got := layerCards([]layerFigures{
		{name: "conv1/7x7_s2", operator: "CONV_2D", low: 0, high: 5.5, params: quantize.Params{Scale: 0.0215, ZeroPoint: -128}, snr: 38.1234},
		{name: "pool1/norm1", operator: "LOCAL_RESPONSE_NORMALIZATION", float: true, high: 139, params: quantize.Params{Scale: 1}, snr: 90},
	})
	want := []models.LayerCard{
		{Name: "conv1/7x7_s2", Operator: "CONV_2D", High: 5.5, Scale: 0.0215, ZeroPoint: -128, SNR: 38.12},
		{Name: "pool1/norm1", Operator: "LOCAL_RESPONSE_NORMALIZATION", High: 139, SNR: 90},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestGoldens runs the embedded model: its golden inputs get the scores of its card.
func TestGoldens(t *testing.T) {
	n, card := openDefaultTwice(t)
	got, err := goldens(n.runs[0], n.norm, card.Input.Size)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Inputs) != len(card.Golden.Inputs) {
		t.Fatalf("got %d golden inputs, want %d", len(got.Inputs), len(card.Golden.Inputs))
	}
	for i, g := range got.Inputs {
		want := card.Golden.Inputs[i]
		if g.Name != want.Name || argmax(g.Scores) != argmax(want.Scores) {
			t.Errorf("got %s with class %d, want %s with %d", g.Name, argmax(g.Scores), want.Name, argmax(want.Scores))
		}
	}
}
