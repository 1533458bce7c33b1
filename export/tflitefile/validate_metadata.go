package tflitefile

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// checkMetadata tests that the metadata describes this model, in the way that its readers need.
func (m *Model) checkMetadata() error {
	d := m.Metadata
	if d == nil {
		return nil
	}
	if len(m.Inputs) != 1 || len(d.Outputs) != len(m.Outputs) {
		return fmt.Errorf("metadata of 1 input and %d outputs: want the model's %d and %d", len(d.Outputs), len(m.Inputs),
			len(m.Outputs))
	}
	if err := d.checkFiles(); err != nil {
		return err
	}
	if err := d.checkTensor(d.Input, &m.Tensors[m.Inputs[0]]); err != nil {
		return fmt.Errorf("metadata of input %q: %w", d.Input.Name, err)
	}
	for i, output := range d.Outputs {
		if err := d.checkTensor(output, &m.Tensors[m.Outputs[i]]); err != nil {
			return fmt.Errorf("metadata of output %d %q: %w", i, output.Name, err)
		}
	}
	return nil
}

func (d *Metadata) checkFiles() error {
	if len(d.Files) > maxFiles {
		return fmt.Errorf("%d associated files: want at most %d", len(d.Files), maxFiles)
	}
	seen := make(map[string]bool)
	total := 0
	for _, file := range d.Files {
		if file.Name == "" || strings.ContainsAny(file.Name, "/\\\x00") || len(file.Name) > math.MaxUint16 {
			return fmt.Errorf("associated file %q: want a name without folders", file.Name)
		}
		if seen[file.Name] {
			return fmt.Errorf("associated file %q occurs twice", file.Name)
		}
		seen[file.Name] = true
		if total += len(file.Data); total > maxFileBytes {
			return fmt.Errorf("associated files of %d bytes up to %q: want at most %d", total, file.Name, maxFileBytes)
		}
	}
	return nil
}

func (d *Metadata) checkTensor(described TensorMetadata, t *Tensor) error {
	if described.Name == "" {
		return fmt.Errorf("name is empty: its readers want one")
	}
	channels := 1
	if len(t.Shape) > 0 {
		channels = t.Shape[len(t.Shape)-1]
	}
	if image := described.Image; image != nil {
		if err := image.check(t); err != nil {
			return err
		}
	}
	if n := described.Normalization; n != nil {
		if len(n.Mean) != len(n.Std) || !perChannel(len(n.Mean), channels) {
			return fmt.Errorf("normalization of %d means and %d deviations: want 1 or %d of each", len(n.Mean), len(n.Std),
				channels)
		}
		for i, std := range n.Std {
			if !(std > 0) {
				return fmt.Errorf("normalization by deviation %g at %d: want a positive one", std, i)
			}
		}
	}
	if described.Image != nil && t.Type == Float32 && described.Normalization == nil {
		return fmt.Errorf("normalization is absent: want one for an image of type FLOAT32")
	}
	if s := described.Stats; s != nil && (len(s.Min) != len(s.Max) || !perChannel(len(s.Min), channels)) {
		return fmt.Errorf("statistics of %d least and %d greatest values: want 1 or %d of each", len(s.Min), len(s.Max),
			channels)
	}
	if described.LabelFile == "" {
		return nil
	}
	labels, err := d.labels(described.LabelFile)
	if err != nil {
		return err
	}
	if len(labels) != channels {
		return fmt.Errorf("label file %q has %d lines: want %d, the last dimension of shape %s", described.LabelFile,
			len(labels), channels, dims(t.Shape))
	}
	for i, label := range labels {
		if !utf8.ValidString(label) {
			return fmt.Errorf("label file %q: line %d is %q: want UTF-8", described.LabelFile, i+1, label)
		}
	}
	return nil
}

// perChannel tells whether n values are one for all channels or one for each.
func perChannel(n, channels int) bool { return n == 1 || n == channels }

func (image *ImageProperties) check(t *Tensor) error {
	channels := 3
	switch image.ColorSpace {
	case RGB:
	case Grayscale:
		channels = 1
	default:
		return fmt.Errorf("color space %s: want RGB or GRAYSCALE", image.ColorSpace)
	}
	if len(t.Shape) != 4 || t.Shape[1] != image.Height || t.Shape[2] != image.Width || t.Shape[3] != channels {
		return fmt.Errorf("image of %s %dx%d: want that of shape %s", image.ColorSpace, image.Width, image.Height,
			dims(t.Shape))
	}
	return nil
}
