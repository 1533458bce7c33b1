package export

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"sightd/export/graph"
	"sightd/export/weights"
	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/models"
	"sightd/models/drawn"
)

// tolerance is how far a score of a golden input may be from the card's: the kernels of another machine may round int8 values to the step
// beside, and near a draw a probability moves by a quarter of what that adds to the difference of two logits: 0.24 is allowed.
const tolerance = 0.06

// goldens runs the drawn pictures through the written model.
func goldens(run *tflite.Classifier, norm graph.Normalization, size int) (models.GoldenCard, error) {
	card := models.GoldenCard{Tolerance: tolerance}
	for _, name := range drawn.Names() {
		pixels, err := drawn.Picture(name, size)
		if err != nil {
			return card, err
		}
		if err := invoke(run, norm, pixels); err != nil {
			return card, fmt.Errorf("run golden input %s: %w", name, err)
		}
		scores := make([]float32, run.Spec().NumClasses())
		if err := run.Output(0, scores); err != nil {
			return card, fmt.Errorf("run golden input %s: %w", name, err)
		}
		card.Inputs = append(card.Inputs, models.GoldenItem{Name: name, Scores: scores})
	}
	return card, nil
}

// made is what an export has made and measured: what the card tells of beside the options.
type made struct {
	set  *weights.Set
	g    *graph.Graph
	norm graph.Normalization // of the network, whoever stated it
	bgr  bool                // it was trained on BGR pictures
	data []byte              // of the .tflite

	weights, activations string   // how they were quantized
	steps                []string // what was done beyond that
	calibration          *pictures
	agreement            models.Agreement
	temperature          *models.Temperature
	accuracy             *models.Accuracy
	layers               []models.LayerCard
	golden               models.GoldenCard
	refused              []string // pictures that were left out, "FILE: reason"
}

// card writes down what was made. calibration may be nil.
func (o *Options) card(m *made) *models.Card {
	sum := sha256.Sum256(m.data)
	c := &models.Card{
		Name:         o.Name,
		Type:         string(o.Precision),
		Architecture: string(m.g.Architecture),
		Author:       o.Author,
		License:      o.License,
		File:         models.FileCard{Name: filepath.Base(o.Output), Format: "tflite", Bytes: int64(len(m.data)), SHA256: hex.EncodeToString(sum[:])},
		Source:       models.FileCard{Name: filepath.Base(o.Weights), Format: m.set.Format, SHA256: m.set.SHA256},
		Exporter:     o.Exporter + ", TensorFlow Lite " + tflite.Version(),
		Input: models.InputCard{
			Type:     o.Input.String(),
			Size:     o.Size,
			Pixels:   map[inference.Type]string{inference.Int8: "p-128", inference.UInt8: "p", inference.Float32: "(p-mean)/std"}[o.Input],
			Resize:   "squash",
			Channels: map[bool]string{false: "rgb", true: "bgr"}[m.bgr],
			Mean:     m.norm.Mean,
			Std:      m.norm.Std,
		},
		Outputs:     []string{outputName},
		Output:      &models.OutputCard{Type: o.outputType().String()},
		Labels:      o.Labels,
		Method:      models.MethodCard{Weights: m.weights, Activations: m.activations, Steps: m.steps},
		Agreement:   m.agreement,
		Accuracy:    m.accuracy,
		Temperature: m.temperature,
		Layers:      m.layers,
		Golden:      m.golden,
	}
	if c.Name == "" {
		c.Name = strings.TrimSuffix(c.File.Name, ".tflite")
	}
	if info, err := os.Stat(o.Weights); err == nil { // it was read a moment ago; the size is for people
		c.Source.Bytes = info.Size()
	}
	if o.Features {
		c.Outputs = append(c.Outputs, featuresName)
	}
	if m.calibration != nil {
		c.Method.Pictures, c.Method.PicturesSHA = len(m.calibration.samples), m.calibration.sha256
	}
	return c
}

// outputType is the type of the scores: float32, or with IntegerOutput the type of the input.
func (o *Options) outputType() inference.Type {
	switch {
	case !o.IntegerOutput:
		return inference.Float32
	case o.Input == inference.UInt8:
		return inference.UInt8
	}
	return inference.Int8
}

// layerCards tells of the layers in order.
func layerCards(figures []layerFigures) []models.LayerCard {
	cards := make([]models.LayerCard, len(figures))
	for i, l := range figures {
		cards[i] = models.LayerCard{Name: l.name, Operator: l.operator, Low: l.low, High: l.high, SNR: math.Round(100*l.snr) / 100}
		if !l.float {
			cards[i].Scale, cards[i].ZeroPoint = l.params.Scale, l.params.ZeroPoint
		}
	}
	return cards
}
