package picture

import (
	"bytes"
	"strings"
)

// Magic bytes of the formats that are read.
const (
	jpegMagic = "\xff\xd8\xff"
	pngMagic  = "\x89PNG\r\n\x1a\n"
	riffMagic = "RIFF"
	webpMagic = "WEBP" // at offset 8, behind the size of the RIFF
)

// Inspect reads the header of a picture and walks the file to its end marker. Every error is a *RefusedError: the file
// is no JPEG, PNG or WebP, is over the limits, is of a kind that no decoder here takes, is broken, or ends too early.
// Bytes behind the end marker are no fault: phones append some. A file that passes may still have broken pixels.
func Inspect(data []byte, limits Limits) (Header, error) {
	if len(data) == 0 {
		return Header{}, incomplete("the file is empty")
	}
	if int64(len(data)) > limits.MaxBytes {
		return Header{}, refuse("the file has %d bytes, at most %d are allowed", len(data), limits.MaxBytes)
	}
	var header Header
	var err error
	switch format(data) {
	case JPEG:
		header, err = inspectJPEG(data, limits)
	case PNG:
		header, err = inspectPNG(data, limits)
	case WebP:
		header, err = inspectWebP(data, limits)
	default:
		return Header{}, unknown(data)
	}
	if err != nil {
		return Header{}, err
	}
	header.Cost = header.CostAt(1)
	return header, nil
}

// Strip appends to dst what a decoder needs of a file that Inspect has accepted, and returns the extended slice. The
// result is a file of the same format, never longer than data, that decodes to the same pixels. It has no EXIF:
// Orientation is in the Header alone. dst may be data[:0], which strips in place; else it must not overlap data.
func Strip(dst, data []byte) []byte {
	switch format(data) {
	case JPEG:
		return stripJPEG(dst, data)
	case PNG:
		return stripPNG(dst, data)
	case WebP:
		return stripWebP(dst, data)
	}
	return dst
}

// format tells a format by its magic bytes, "" where it is none of those that are read.
func format(data []byte) Format {
	switch {
	case hasAt(data, 0, jpegMagic):
		return JPEG
	case hasAt(data, 0, pngMagic):
		return PNG
	case hasAt(data, 0, riffMagic) && hasAt(data, 8, webpMagic):
		return WebP
	}
	return ""
}

func hasAt(data []byte, offset int, magic string) bool {
	return len(data) >= offset+len(magic) && string(data[offset:offset+len(magic)]) == magic
}

// others are formats that are refused by name: OpenCV would decode most of them, with decoders that have a history.
var others = []struct {
	offset int
	magic  string
	name   string
}{
	{0, "II*\x00", "TIFF"},
	{0, "MM\x00*", "TIFF"},
	{0, "II+\x00", "TIFF"},
	{0, "MM\x00+", "TIFF"},
	{0, "BM", "BMP"},
	{0, "GIF87a", "GIF"},
	{0, "GIF89a", "GIF"},
	{0, "\x00\x00\x00\x0cjP  ", "JPEG 2000"},
	{0, "\xff\x4f\xff\x51", "JPEG 2000"},
	{0, "\xff\x0a", "JPEG XL"},
	{0, "\x00\x00\x00\x0cJXL ", "JPEG XL"},
	{4, "ftypavif", "AVIF"},
	{4, "ftypavis", "AVIF"},
	{4, "ftypheic", "HEIC"},
	{4, "ftypheix", "HEIC"},
	{4, "ftyphevc", "HEIC"},
	{4, "ftypmif1", "HEIF"},
	{4, "ftypmsf1", "HEIF"},
	{0, "\x76\x2f\x31\x01", "OpenEXR"},
	{0, "#?RADIANCE", "Radiance HDR"},
	{0, "#?RGBE", "Radiance HDR"},
	{0, "\x59\xa6\x6a\x95", "Sun raster"},
	{0, "8BPS", "Photoshop"},
	{128, "DICM", "DICOM"},
	{0, "P1\n", "PNM"},
	{0, "P2\n", "PNM"},
	{0, "P3\n", "PNM"},
	{0, "P4\n", "PNM"},
	{0, "P5\n", "PNM"},
	{0, "P6\n", "PNM"},
	{0, "P7\n", "PAM"},
	{0, "<svg", "SVG"},
}

// unknown is the refusal of a file that is none of the formats that are read.
func unknown(data []byte) error {
	for _, magic := range []string{jpegMagic, pngMagic, riffMagic} {
		if len(data) < len(magic) && strings.HasPrefix(magic, string(data)) {
			return incomplete("the file ends after %d bytes", len(data))
		}
	}
	if len(data) < 12 && bytes.HasPrefix(data, []byte(riffMagic)) {
		return incomplete("the file ends after %d bytes", len(data))
	}
	for _, other := range others {
		if hasAt(data, other.offset, other.magic) {
			return refuse("%s pictures are not accepted: send JPEG, PNG or WebP", other.name)
		}
	}
	return refuse("the file is no JPEG, PNG or WebP picture")
}
