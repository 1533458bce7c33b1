package tflitefile

// Metadata is the file's TensorFlow Lite Metadata: what other programs (MediaPipe, the Task Library, Android Studio)
// read to feed pictures and name the classes. Those demand one input of type UINT8 or FLOAT32, the latter with a
// Normalization, outputs that aren't INT8, and a name for every output.
type Metadata struct {
	Name, Description, Version, Author, License string

	Input   TensorMetadata   // of Model.Inputs[0], the only one
	Outputs []TensorMetadata // one for each of Model.Outputs

	// Files are stored uncompressed in a zip after the flatbuffer, in this order.
	Files []AssociatedFile
}

// TensorMetadata describes an input or an output.
type TensorMetadata struct {
	Name, Description string

	Image         *ImageProperties // nil: the tensor isn't an image
	Normalization *Normalization   // nil: none
	Stats         *Stats           // nil: none

	// LabelFile names the associated file that has a line for each index along the tensor's last axis, in order.
	// Empty: none.
	LabelFile string
}

// ImageProperties say what picture a tensor holds.
type ImageProperties struct {
	ColorSpace    ColorSpace
	Width, Height int // pixels
}

// ColorSpace is the meaning of an image's channels. The zero value is RGB, the only one that image classifiers take.
type ColorSpace int8

// The color spaces. The numbers are this package's own.
const (
	RGB ColorSpace = iota
	Grayscale
	UnknownColorSpace
)

// String gives the color space's name in the schema.
func (c ColorSpace) String() string {
	return enumName(int8(c), "ColorSpace", "RGB", "GRAYSCALE", "UNKNOWN")
}

// Normalization says how a pixel p of 0..255 gets to the network's input: (p - Mean) / Std. It has one value for all
// channels, or one for each.
type Normalization struct {
	Mean, Std []float32
}

// Stats are the least and the greatest value that a tensor takes, one for all channels or one for each.
type Stats struct {
	Min, Max []float32
}

// AssociatedFile is a file in the zip.
type AssociatedFile struct {
	Name string // no folders
	Data []byte
}
