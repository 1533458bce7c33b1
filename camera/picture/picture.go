// Package picture looks at a picture file before any decoder does: its format by magic bytes, its size and orientation
// from the header, whether it is whole, and what decoding it would cost. It reads JPEG, PNG and WebP; it decodes no
// pixel, never reads more than it was given, and keeps no part of it.
//
// Strip reduces a file to what a decoder needs for the pixels. What stays out (metadata, colour profiles, text,
// animation, alpha planes, anything behind the end marker) is where decoders read most from strangers and keep most in
// memory. Measured with OpenCV 4.13: a PNG of 1.5 MB whose text chunks inflate to 1.6 GB, an animated PNG of 50
// megapixels whose canvases take 800 MB.
package picture

import "fmt"

// Format is a file format that sightd decodes.
type Format string

// The formats whose decoders are on.
const (
	JPEG Format = "JPEG"
	PNG  Format = "PNG"
	WebP Format = "WebP"
)

// Limits bound what a picture may cost.
type Limits struct {
	MaxPixels int   // width times height
	MaxBytes  int64 // size of the file
}

// maxSide is the widest or highest picture of any format; libjpeg and OpenCV have limits of that size of their own.
const maxSide = 65535

// check refuses a size that is none, and one over the limits.
func (l Limits) check(width, height int) error {
	if width <= 0 || height <= 0 {
		return refuse("the picture is %dx%d pixels", width, height)
	}
	if width > maxSide || height > maxSide {
		return refuse("the picture is %dx%d pixels, at most %d on a side are allowed", width, height, maxSide)
	}
	if width*height > l.MaxPixels {
		return refuse("the picture is %dx%d pixels, at most %d in all are allowed", width, height, l.MaxPixels)
	}
	return nil
}

// DefaultLimits are those of the configuration without a file.
var DefaultLimits = Limits{MaxPixels: 50_000_000, MaxBytes: 64 << 20}

// Header is what a picture says of itself.
type Header struct {
	Format      Format
	Width       int // as stored, before Orientation is applied
	Height      int
	Orientation int // EXIF, 1 to 8; 1 where the file doesn't say

	// Cost is the number of bytes that decoding to 8-bit BGR at full size takes, at most: the pixels, what the decoder
	// keeps beside them (coefficients of a progressive JPEG …) and a second copy where the picture must be turned. The
	// bytes of the file aren't in it. It holds for a file that went through Strip.
	Cost int64

	// Beside is the part of Cost that isn't pixels: decoding a JPEG at a reduced size doesn't save it.
	Beside int64
}

// Turned says whether the picture lies on its side: upright, its width is Height and its height is Width.
func (h Header) Turned() bool { return h.Orientation >= 5 }

// CostAt is Cost where both sides are divided by scale while decoding, rounded up; CostAt(1) is Cost.
func (h Header) CostAt(scale int) int64 {
	w, ht := int64((h.Width+scale-1)/scale), int64((h.Height+scale-1)/scale)
	cost := 3 * w * ht
	if h.Turned() {
		cost *= 2
	}
	return h.Beside + cost
}

// RefusedError says why a file isn't a picture that sightd classifies.
type RefusedError struct {
	Reason string

	// Incomplete is set where more bytes could make the file whole: one that is still being written looks like this.
	Incomplete bool
}

// Error gives the reason.
func (e *RefusedError) Error() string { return e.Reason }

func refuse(format string, args ...any) error {
	return &RefusedError{Reason: fmt.Sprintf(format, args...)}
}

func incomplete(format string, args ...any) error {
	return &RefusedError{Reason: fmt.Sprintf(format, args...), Incomplete: true}
}
