package export

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sightd/export/graph"
	"sightd/export/tflitefile"
	"sightd/export/weights"
	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/models"
	"sightd/models/drawn"
)

// labelsName is the name of the labels in the zip behind the model.
const labelsName = "labels.txt"

// tolerance is how far a score of a golden input may be from the card's: the kernels of another machine may differ by one step
// of a logit, which near a draw moves a probability by about a quarter of the step.
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

// describe fills in what the card says of the files and the method.
func (o *Options) describe(card *models.Card, set *weights.Set, data []byte, calibration *pictures) {
	sum := sha256.Sum256(data)
	card.Name = o.Name
	if card.Name == "" {
		card.Name = strings.TrimSuffix(filepath.Base(o.Output), ".tflite")
	}
	card.File = models.FileCard{Name: filepath.Base(o.Output), Format: "tflite", Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
	card.Source = models.FileCard{Name: filepath.Base(o.Weights), Format: set.Format, SHA256: set.SHA256}
	if info, err := os.Stat(o.Weights); err == nil { // it was read a moment ago; the size is for people
		card.Source.Bytes = info.Size()
	}
	card.Exporter = o.Exporter + ", TensorFlow Lite " + tflite.Version()
	card.Input = models.InputCard{
		Type:     o.Input.String(),
		Size:     o.Size,
		Pixels:   map[inference.Type]string{inference.Int8: "p-128", inference.UInt8: "p", inference.Float32: "(p-mean)/std"}[o.Input],
		Resize:   "squash",
		Channels: "rgb",
		Mean:     o.Normalization.Mean,
		Std:      o.Normalization.Std,
	}
	if o.BGR {
		card.Input.Channels = "bgr"
	}
	card.Outputs = []string{outputName}
	if o.Features {
		card.Outputs = append(card.Outputs, featuresName)
	}
	card.Labels = o.Labels
	card.Method = models.MethodCard{
		Weights:     "int8, symmetric, one scale for each output channel",
		Activations: "int8, one scale for a tensor, the range seen on the calibration pictures",
		Pictures:    len(calibration.samples),
		PicturesSHA: calibration.sha256,
	}
}

// metadata is what other programs read in the file: labels and how the input is made.
func (o *Options) metadata() *tflitefile.Metadata {
	// A quantized input takes plain pixels. Said in the metadata's terms, (p-mean)/std/scale + zero point = p (or p-128).
	pixels := o.Normalization.Pixels()
	mean, std := []float32{float32(pixels.Zero)}, []float32{float32(1 / pixels.Scale)}
	if o.Input == inference.Float32 {
		mean, std = make([]float32, 3), make([]float32, 3)
		for i := range 3 {
			mean[i], std[i] = float32(o.Normalization.Mean[i]), float32(o.Normalization.Std[i])
		}
	}
	m := &tflitefile.Metadata{
		Name:        "GoogLeNet image classifier",
		Description: fmt.Sprintf("Says which of %d classes a picture shows.", len(o.Labels)),
		Version:     "1",
		Input: tflitefile.TensorMetadata{
			Name:          inputName,
			Description:   fmt.Sprintf("RGB picture of %d by %d pixels, %s", o.Size, o.Size, o.Input),
			Image:         &tflitefile.ImageProperties{Width: o.Size, Height: o.Size},
			Normalization: &tflitefile.Normalization{Mean: mean, Std: std},
		},
		Outputs: []tflitefile.TensorMetadata{{
			Name:        outputName,
			Description: "Probability of each class.",
			LabelFile:   labelsName,
		}},
		Files: []tflitefile.AssociatedFile{{Name: labelsName, Data: []byte(strings.Join(o.Labels, "\n") + "\n")}},
	}
	if o.Features {
		m.Outputs = append(m.Outputs, tflitefile.TensorMetadata{Name: featuresName, Description: "The 1024 pooled features before the classifier."})
	}
	return m
}
