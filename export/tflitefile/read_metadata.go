package tflitefile

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// What a zip of associated files may hold. The label files of the largest classifiers have some 500 kB.
const (
	maxFiles     = 64
	maxFileBytes = 16 << 20 // of all of them together
	maxLabels    = 1 << 16  // lines of a label file: each takes 16 bytes of memory, however short it is
)

// readMetadata reads the contents of the entry TFLITE_METADATA.
func readMetadata(data []byte) (*Metadata, error) {
	in, root, err := openTable(data, metadataIdentifier)
	if err != nil {
		return nil, err
	}
	d := &Metadata{
		Name:        root.text(slotMetadataName),
		Description: root.text(slotMetadataDescription),
		Version:     root.text(slotMetadataVersion),
		Author:      root.text(slotMetadataAuthor),
		License:     root.text(slotMetadataLicense),
	}
	if subgraphs := root.tables(slotMetadataSubgraphs); len(subgraphs) > 0 {
		if inputs := subgraphs[0].tables(slotSubgraphMetadataInputs); len(inputs) > 0 {
			d.Input = readTensorMetadata(inputs[0])
		}
		for _, output := range subgraphs[0].tables(slotSubgraphMetadataOutputs) {
			d.Outputs = append(d.Outputs, readTensorMetadata(output))
		}
	}
	return d, in.err
}

func readTensorMetadata(t table) TensorMetadata {
	d := TensorMetadata{
		Name:        t.text(slotTensorMetadataName),
		Description: t.text(slotTensorMetadataDescription),
	}
	if content, ok := t.child(slotTensorMetadataContent); ok && content.int8(slotContentType) == contentImage {
		if image, ok := content.child(slotContentProperties); ok {
			d.Image = readImage(image)
		}
	}
	for _, unit := range t.tables(slotTensorMetadataProcessUnits) {
		if unit.int8(slotProcessUnitType) != processNormalization {
			continue
		}
		if options, ok := unit.child(slotProcessUnitOptions); ok && d.Normalization == nil {
			d.Normalization = &Normalization{
				Mean: options.float32s(slotNormalizationMean),
				Std:  options.float32s(slotNormalizationStd),
			}
		}
	}
	if stats, ok := t.child(slotTensorMetadataStats); ok {
		least, greatest := stats.float32s(slotStatsMin), stats.float32s(slotStatsMax)
		if len(least)+len(greatest) > 0 {
			d.Stats = &Stats{Min: least, Max: greatest}
		}
	}
	for _, file := range t.tables(slotTensorMetadataFiles) {
		if file.int8(slotFileType) == fileAxisLabels && d.LabelFile == "" {
			d.LabelFile = file.text(slotFileName)
		}
	}
	return d
}

func readImage(t table) *ImageProperties {
	image := &ImageProperties{ColorSpace: UnknownColorSpace}
	switch t.int8(slotImageColorSpace) {
	case colorSpaceRGB:
		image.ColorSpace = RGB
	case colorSpaceGrayscale:
		image.ColorSpace = Grayscale
	}
	if size, ok := t.child(slotImageSize); ok {
		image.Width = int(size.uint32(slotImageSizeWidth))
		image.Height = int(size.uint32(slotImageSizeHeight))
	}
	return image
}

// unzipFiles reads all entries of the zip at the end of the file; none if there is no zip. The zip may be a stranger's:
// what it says of sizes isn't believed.
func unzipFiles(data []byte) ([]AssociatedFile, error) {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if errors.Is(err, zip.ErrFormat) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open zip of associated files: %w", err)
	}
	if len(archive.File) > maxFiles {
		return nil, fmt.Errorf("%d associated files: want at most %d", len(archive.File), maxFiles)
	}
	var files []AssociatedFile
	seen := make(map[string]bool)
	left := maxFileBytes
	for _, entry := range archive.File {
		if seen[entry.Name] {
			return nil, fmt.Errorf("associated file %q occurs twice", entry.Name)
		}
		seen[entry.Name] = true
		contents, err := unzip(entry, left)
		if err != nil {
			return nil, fmt.Errorf("associated file %q: %w", entry.Name, err)
		}
		left -= len(contents)
		files = append(files, AssociatedFile{Name: entry.Name, Data: contents})
	}
	return files, nil
}

// unzip reads an entry of at most limit bytes.
func unzip(entry *zip.File, limit int) (contents []byte, err error) {
	r, err := entry.Open()
	if err != nil {
		return nil, err
	}
	contents, err = io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if len(contents) == 0 {
		return nil, nil
	}
	if len(contents) > limit {
		return nil, fmt.Errorf("more than %d bytes left of %d for all files", limit, maxFileBytes)
	}
	return contents, nil
}

// Labels gives the lines of the label file of the first output that has one: label i belongs to index i of that
// output's last axis. Labels may repeat. A byte order mark, carriage returns before line ends, and one line end after
// the last label are not part of the labels.
func (m *Model) Labels() ([]string, error) {
	if m.Metadata == nil {
		return nil, errNoLabels
	}
	for _, output := range m.Metadata.Outputs {
		if output.LabelFile != "" {
			return m.Metadata.labels(output.LabelFile)
		}
	}
	return nil, errNoLabels
}

// errNoLabels is the error for a model whose metadata, if any, has no labels.
var errNoLabels = errors.New("read labels: want metadata with a label file for an output, have none")

// labels reads the associated file of that name.
func (d *Metadata) labels(name string) ([]string, error) {
	for _, file := range d.Files {
		if file.Name == name {
			if n := bytes.Count(file.Data, []byte("\n")); n > maxLabels {
				return nil, fmt.Errorf("read labels: %q: want at most %d lines, have %d", name, maxLabels, n)
			}
			return lines(file.Data), nil
		}
	}
	return nil, fmt.Errorf("read labels: want associated file %q, have %d others", name, len(d.Files))
}

func lines(data []byte) []string {
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
