package tflitefile

import (
	"archive/zip"
	"bytes"
	"fmt"
	"hash/crc32"

	flatbuffers "github.com/google/flatbuffers/go"
)

// flatbuffer is the metadata without the files' contents: what the buffer of the entry TFLITE_METADATA holds.
func (d *Metadata) flatbuffer() []byte {
	b := builder{flatbuffers.NewBuilder(1 << 10)}
	isLabelFile := make(map[string]bool)
	var outputs []flatbuffers.UOffsetT
	for _, output := range d.Outputs {
		outputs = append(outputs, b.tensorMetadata(output))
		isLabelFile[output.LabelFile] = true
	}
	inputVector := b.offsets([]flatbuffers.UOffsetT{b.tensorMetadata(d.Input)})
	isLabelFile[d.Input.LabelFile] = true
	outputVector := b.offsets(outputs)
	b.StartObject(numSubgraphMetadataSlots)
	b.PrependUOffsetTSlot(slotSubgraphMetadataInputs, inputVector, 0)
	b.PrependUOffsetTSlot(slotSubgraphMetadataOutputs, outputVector, 0)
	subgraphs := b.offsets([]flatbuffers.UOffsetT{b.EndObject()})

	// Label files are listed with their tensors, all others with the model.
	var files []flatbuffers.UOffsetT
	for _, file := range d.Files {
		if !isLabelFile[file.Name] {
			files = append(files, b.associatedFile(file.Name, fileUnknown))
		}
	}
	fileVector := b.offsets(files)
	name, description, version := b.text(d.Name), b.text(d.Description), b.text(d.Version)
	author, license := b.text(d.Author), b.text(d.License)
	parser := b.text(metadataParserVersion)
	b.StartObject(numMetadataSlots)
	b.PrependUOffsetTSlot(slotMetadataName, name, 0)
	b.PrependUOffsetTSlot(slotMetadataDescription, description, 0)
	b.PrependUOffsetTSlot(slotMetadataVersion, version, 0)
	b.PrependUOffsetTSlot(slotMetadataSubgraphs, subgraphs, 0)
	b.PrependUOffsetTSlot(slotMetadataAuthor, author, 0)
	b.PrependUOffsetTSlot(slotMetadataLicense, license, 0)
	b.PrependUOffsetTSlot(slotMetadataFiles, fileVector, 0)
	b.PrependUOffsetTSlot(slotMetadataMinParserVersion, parser, 0)
	b.FinishWithFileIdentifier(b.EndObject(), []byte(metadataIdentifier))
	return b.FinishedBytes()
}

func (b builder) tensorMetadata(t TensorMetadata) flatbuffers.UOffsetT {
	name, description := b.text(t.Name), b.text(t.Description)
	content := b.content(t.Image)
	var units, stats, files flatbuffers.UOffsetT
	if t.Normalization != nil {
		units = b.offsets([]flatbuffers.UOffsetT{b.normalization(t.Normalization)})
	}
	if t.Stats != nil {
		least, greatest := b.floats(t.Stats.Min), b.floats(t.Stats.Max)
		b.StartObject(numStatsSlots)
		b.PrependUOffsetTSlot(slotStatsMax, greatest, 0)
		b.PrependUOffsetTSlot(slotStatsMin, least, 0)
		stats = b.EndObject()
	}
	if t.LabelFile != "" {
		files = b.offsets([]flatbuffers.UOffsetT{b.associatedFile(t.LabelFile, fileAxisLabels)})
	}
	b.StartObject(numTensorMetadataSlots)
	b.PrependUOffsetTSlot(slotTensorMetadataName, name, 0)
	b.PrependUOffsetTSlot(slotTensorMetadataDescription, description, 0)
	b.PrependUOffsetTSlot(slotTensorMetadataContent, content, 0)
	b.PrependUOffsetTSlot(slotTensorMetadataProcessUnits, units, 0)
	b.PrependUOffsetTSlot(slotTensorMetadataStats, stats, 0)
	b.PrependUOffsetTSlot(slotTensorMetadataFiles, files, 0)
	return b.EndObject()
}

// content says that the tensor is an image, or, if that is nil, features, as TensorFlow's own metadata writers do.
func (b builder) content(image *ImageProperties) flatbuffers.UOffsetT {
	contentType := byte(contentFeature)
	var properties flatbuffers.UOffsetT
	if image != nil {
		contentType = contentImage
		b.StartObject(numImageSizeSlots)
		b.PrependUint32Slot(slotImageSizeWidth, uint32(image.Width), 0)
		b.PrependUint32Slot(slotImageSizeHeight, uint32(image.Height), 0)
		size := b.EndObject()
		b.StartObject(numImageSlots)
		b.PrependInt8Slot(slotImageColorSpace, image.ColorSpace.number(), 0)
		b.PrependUOffsetTSlot(slotImageSize, size, 0)
		properties = b.EndObject()
	} else {
		b.StartObject(0)
		properties = b.EndObject()
	}
	b.StartObject(numContentSlots)
	b.PrependByteSlot(slotContentType, contentType, 0)
	b.PrependUOffsetTSlot(slotContentProperties, properties, 0)
	return b.EndObject()
}

// number is the color space's number in the metadata schema.
func (c ColorSpace) number() int8 {
	switch c {
	case RGB:
		return colorSpaceRGB
	case Grayscale:
		return colorSpaceGrayscale
	}
	return colorSpaceUnknown
}

func (b builder) normalization(n *Normalization) flatbuffers.UOffsetT {
	mean, std := b.floats(n.Mean), b.floats(n.Std)
	b.StartObject(numNormalizationSlots)
	b.PrependUOffsetTSlot(slotNormalizationMean, mean, 0)
	b.PrependUOffsetTSlot(slotNormalizationStd, std, 0)
	options := b.EndObject()
	b.StartObject(numProcessUnitSlots)
	b.PrependByteSlot(slotProcessUnitType, processNormalization, 0)
	b.PrependUOffsetTSlot(slotProcessUnitOptions, options, 0)
	return b.EndObject()
}

func (b builder) associatedFile(name string, fileType int8) flatbuffers.UOffsetT {
	text := b.text(name)
	b.StartObject(numFileSlots)
	b.PrependUOffsetTSlot(slotFileName, text, 0)
	b.PrependInt8Slot(slotFileType, fileType, 0)
	return b.EndObject()
}

// zipFiles packs the files for a place at offset in the finished file. Entries are stored, with sizes and checksum
// before the data and without a data descriptor: MediaPipe reads no others. Their time is 1980-01-01, the earliest
// that a zip can hold, so that the bytes depend on the files alone.
func zipFiles(files []AssociatedFile, offset int64) ([]byte, error) {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	w.SetOffset(offset)
	for _, file := range files {
		header := &zip.FileHeader{
			Name:               file.Name,
			Method:             zip.Store,
			CRC32:              crc32.ChecksumIEEE(file.Data),
			CompressedSize64:   uint64(len(file.Data)),
			UncompressedSize64: uint64(len(file.Data)),
		}
		//lint:ignore SA1019 CreateRaw writes this field and not Modified
		header.ModifiedDate = 1<<5 | 1 // month and day
		entry, err := w.CreateRaw(header)
		if err != nil {
			return nil, fmt.Errorf("add associated file %q: %w", file.Name, err)
		}
		if _, err := entry.Write(file.Data); err != nil {
			return nil, fmt.Errorf("add associated file %q: %w", file.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack associated files: %w", err)
	}
	return archive.Bytes(), nil
}
