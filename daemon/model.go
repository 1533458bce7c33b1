package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"sightd/decide"
	"sightd/export/tflitefile"
	"sightd/inference"
	"sightd/models"
	"sightd/preprocess"
)

// modelName names a model for people.
func modelName(path string) string {
	if path == "" {
		return "embedded"
	}
	return path
}

// maxModelBytes is more than any GoogLeNet has.
const maxModelBytes = 1 << 30

// ReadModel reads a model's file and its card: the embedded one for "", or the .json beside the .tflite. A model without a card is run without
// proof.
func ReadModel(path string) ([]byte, *models.Card, error) {
	if path == "" {
		return models.Default()
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("open model %s: want a regular file", path) // a device or a FIFO may never end
	} else if err == nil && info.Size() > maxModelBytes {
		return nil, nil, fmt.Errorf("open model %s: want at most %d bytes, have %d", path, maxModelBytes, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open model: %w", err)
	}
	text, err := readAtMost(strings.TrimSuffix(path, ".tflite")+".json", maxCardBytes)
	if errors.Is(err, os.ErrNotExist) {
		return data, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open model %s: %w", path, err)
	}
	card, err := models.ParseCard(text)
	if err == nil {
		err = card.Matches(data)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open model %s: the .json beside it isn't its card (export again, or move it away): %w", path, err)
	}
	return data, card, nil
}

// inputOf says what the input tensor wants. A float input is normalized as the file's metadata says, (p-127.5)/127.5 where it doesn't.
func inputOf(spec inference.TensorSpec, file *tflitefile.Model) preprocess.Input {
	in := preprocess.Input{Height: spec.Shape[1], Width: spec.Shape[2], Type: spec.Type}
	for c := range 3 {
		in.Mean[c], in.Std[c] = 127.5, 127.5
	}
	if file.Metadata == nil || file.Metadata.Input.Normalization == nil {
		return in
	}
	n := file.Metadata.Input.Normalization
	for c := range 3 {
		if len(n.Mean) > 0 && len(n.Std) > 0 {
			in.Mean[c], in.Std[c] = n.Mean[min(c, len(n.Mean)-1)], n.Std[min(c, len(n.Std)-1)]
		}
	}
	return in
}

// modelLabels takes the labels of a model's classes from a file, else from the model's metadata, else from its card.
func modelLabels(path string, file *tflitefile.Model, card *models.Card, classes int) (labels []string, err error) {
	switch {
	case path != "":
		labels, err = ReadLabels(path)
	case file.Metadata != nil:
		labels, err = file.Labels()
	case card != nil:
		labels = card.Labels
	}
	if err != nil {
		return nil, err
	}
	if len(labels) == 0 {
		return nil, errors.New("the model has no labels inside: name a file with one label a line")
	}
	return labels, decide.CheckLabels(labels, classes)
}

// ReadLabels reads a file with a label a line. A newline at its end is no label.
func ReadLabels(path string) ([]string, error) {
	data, err := readAtMost(path, maxLabelBytes)
	if err != nil {
		return nil, fmt.Errorf("read labels: %w", err)
	}
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil, fmt.Errorf("read labels: %s is empty", path)
	}
	return strings.Split(text, "\n"), nil
}

// loadedModel is a model's file as it was read.
type loadedModel struct {
	data []byte
	card *models.Card // nil: it has none
	file *tflitefile.Model
	sum  string // sha256

	goldens func() ([]inference.Golden, error) // draws those of the card, once
}

// load reads a model.
func load(path string) (*loadedModel, error) {
	data, card, err := ReadModel(path)
	if err != nil {
		return nil, err
	}
	m := &loadedModel{data: data, card: card}
	if card != nil {
		m.goldens = sync.OnceValues(card.Goldens)
		m.sum = card.File.SHA256 // ReadModel has compared it with the file's, a test with the embedded one's
	} else {
		m.sum = models.Sum(data)
	}
	if m.file, err = tflitefile.Read(data); err != nil {
		return nil, fmt.Errorf("open model %s: %w", modelName(path), err)
	}
	return m, nil
}

// float reports whether the first convolution's weights are no integers.
func (m *loadedModel) float() bool {
	for _, op := range m.file.Operators {
		if op.Code == tflitefile.OpConv2D && len(op.Inputs) > 1 && op.Inputs[1] >= 0 {
			weights := m.file.Tensors[op.Inputs[1]].Type
			return weights != tflitefile.Int8 && weights != tflitefile.UInt8
		}
	}
	return false
}

// golden is the sum of what the model is proven by.
func (m *loadedModel) golden() (string, error) {
	if m.card == nil {
		return "no card", nil
	}
	text, err := json.Marshal(m.card.Golden)
	if err != nil {
		return "", fmt.Errorf("read model card: %w", err)
	}
	return "card " + models.Sum(text), nil
}
