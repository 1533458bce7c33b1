package tflitefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Dump writes the model as text: a line for each tensor, operator, and part of the metadata. Constants and per-channel
// numbers are shown by the first 6 bytes of their SHA-256. Text from the file is quoted. The model need not be valid.
func Dump(w io.Writer, m *Model) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "description %q\n", m.Description)
	fmt.Fprintf(&text, "min_runtime_version %q\n", m.MinRuntime)
	fmt.Fprintf(&text, "inputs %s names %q\n", dims(m.Inputs), m.InputNames)
	fmt.Fprintf(&text, "outputs %s names %q\n", dims(m.Outputs), m.OutputNames)
	fmt.Fprintf(&text, "tensors %d\n", len(m.Tensors))
	for i, t := range m.Tensors {
		fmt.Fprintf(&text, "%5d %s\n", i, t.line())
	}
	fmt.Fprintf(&text, "operators %d\n", len(m.Operators))
	for i, op := range m.Operators {
		fmt.Fprintf(&text, "%5d %s\n", i, m.operatorLine(i, op))
	}
	if m.Metadata != nil {
		m.Metadata.dump(&text)
	}
	if _, err := w.Write(text.Bytes()); err != nil {
		return fmt.Errorf("write dump: %w", err)
	}
	return nil
}

func (t Tensor) line() string {
	line := fmt.Sprintf("%q %s %s", t.Name, t.Type, dims(t.Shape))
	if q := t.Quant; q != nil {
		line += q.line()
	}
	if t.Data != nil {
		line += fmt.Sprintf(" data %d bytes %s", len(t.Data), digest(t.Data))
	}
	return line
}

func (q *Quantization) line() string {
	if len(q.Scale) == 1 && len(q.ZeroPoint) == 1 {
		return fmt.Sprintf(" scale %g zero_point %d", q.Scale[0], q.ZeroPoint[0])
	}
	var raw []byte
	for _, s := range q.Scale {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(s))
	}
	for _, zp := range q.ZeroPoint {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(zp))
	}
	line := fmt.Sprintf(" dimension %d scales %d", q.Dimension, len(q.Scale))
	if len(q.Scale) > 0 {
		line += fmt.Sprintf(" of %g to %g", slices.Min(q.Scale), slices.Max(q.Scale))
	}
	line += fmt.Sprintf(" zero_points %d", len(q.ZeroPoint))
	if len(q.ZeroPoint) > 0 {
		line += fmt.Sprintf(" of %d to %d", slices.Min(q.ZeroPoint), slices.Max(q.ZeroPoint))
	}
	return line + " " + digest(raw)
}

func (m *Model) operatorLine(i int, op Operator) string {
	line := fmt.Sprintf("%s v%d %s -> %s", op.Code, m.OperatorVersion(i), dims(op.Inputs), dims(op.Outputs))
	if op.CustomCode != "" {
		line += fmt.Sprintf(" custom_code %q", op.CustomCode)
	}
	if op.Options != nil {
		line += " " + op.Options.String()
	}
	return strings.TrimRight(line, " ")
}

func (d *Metadata) dump(text *bytes.Buffer) {
	fmt.Fprintf(text, "metadata name %q description %q version %q author %q license %q\n", d.Name, d.Description,
		d.Version, d.Author, d.License)
	fmt.Fprintf(text, "      input %s\n", d.Input.line())
	for i, output := range d.Outputs {
		fmt.Fprintf(text, "      output %d %s\n", i, output.line())
	}
	for _, file := range d.Files {
		fmt.Fprintf(text, "      file %q %d bytes %s\n", file.Name, len(file.Data), digest(file.Data))
	}
}

func (t TensorMetadata) line() string {
	line := fmt.Sprintf("%q description %q", t.Name, t.Description)
	if t.Image != nil {
		line += fmt.Sprintf(" image %s %dx%d", t.Image.ColorSpace, t.Image.Width, t.Image.Height)
	}
	if t.Normalization != nil {
		line += fmt.Sprintf(" mean %g std %g", t.Normalization.Mean, t.Normalization.Std)
	}
	if t.Stats != nil {
		line += fmt.Sprintf(" min %g max %g", t.Stats.Min, t.Stats.Max)
	}
	if t.LabelFile != "" {
		line += fmt.Sprintf(" labels %q", t.LabelFile)
	}
	return line
}

// digest is the start of the data's SHA-256, in hexadecimal.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return fmt.Sprintf("sha256:%x", sum[:6])
}
