// Package preprocess makes the input tensor of a network from a frame: crop, resize, RGB, the tensor's type. The same
// code prepares live frames, files, calibration pictures and golden inputs, so a network is measured on what it will
// see. It decodes nothing and turns nothing: frames come upright from package camera.
package preprocess

import (
	"errors"
	"fmt"
	"image"
	"math"

	"gocv.io/x/gocv"

	"sightd/camera"
	"sightd/inference"
)

// Resize is the rule by which a picture of any shape becomes one of the input's.
type Resize string

// The rules.
const (
	// Squash takes the whole view and ignores its aspect.
	Squash Resize = "squash"

	// Centre takes the centre, in the input's shape: 7/8 of the side that limits it. That is what networks for ImageNet
	// are evaluated on: the short side resized to 256, the centre cut to 224.
	Centre Resize = "crop"

	// Letterbox takes the whole view, keeps its aspect and leaves grey bars at two sides.
	Letterbox Resize = "letterbox"
)

const (
	cropped = 7. / 8 // part of a side that Centre keeps

	// grey fills the bars of Letterbox. It is the middle of the range: 0 in an int8 tensor, and next to 0 for a network
	// that takes pixel/127.5-1, so that bars excite a network as little as the zero padding of its convolutions does.
	grey = 128
)

// Input says what a network's input tensor wants: [1, Height, Width, 3], RGB.
type Input struct {
	Width, Height int

	// Type is UInt8 (p, from 0 to 255), Int8 (p-128) or Float32 ((p-Mean)/Std).
	Type inference.Type

	// Mean and Std are for Float32: red, green, blue, in units of pixels (0 to 255). No Std may be 0.
	Mean, Std [3]float32
}

// check says what is wrong with an input.
func (in Input) check() error {
	if in.Width < 1 || in.Height < 1 {
		return fmt.Errorf("size %dx%d, want at least 1x1", in.Width, in.Height)
	}
	switch in.Type {
	case inference.UInt8, inference.Int8:
	case inference.Float32:
		for _, std := range in.Std {
			if std == 0 {
				return fmt.Errorf("standard deviations %v, want none that is 0", in.Std)
			}
		}
	default:
		return fmt.Errorf("type %s, want UINT8, INT8 or FLOAT32", in.Type)
	}
	return nil
}

// Transform makes input tensors. It reuses its memory and isn't safe for concurrent use.
type Transform struct {
	input  Input
	resize Resize
	crop   Crop

	shrunk  gocv.Mat        // a picture behind the axes that shrink, where the other one grows
	resized gocv.Mat        // a picture at the size that it has in the input, BGR
	pixels  gocv.Mat        // the input's pixels, RGB
	inside  image.Rectangle // where the last picture lies in pixels: around it is grey
}

// New makes a Transform for an input, of whole pictures. Close it to free its memory.
func New(in Input, r Resize) (*Transform, error) { return NewCropped(in, r, Whole) }

// NewCropped makes a Transform for an input, of the part of the pictures that c is: the rule is applied as if there were nothing around
// it. Close it to free its memory.
func NewCropped(in Input, r Resize, c Crop) (*Transform, error) {
	if err := in.check(); err != nil {
		return nil, fmt.Errorf("prepare input: %w", err)
	}
	if r != Squash && r != Centre && r != Letterbox {
		return nil, fmt.Errorf("prepare input: resize %q, want %s, %s or %s", r, Squash, Centre, Letterbox)
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("prepare input: %w", err)
	}
	return &Transform{
		input:   in,
		resize:  r,
		crop:    c,
		shrunk:  gocv.NewMat(),
		resized: gocv.NewMat(),
		pixels:  gocv.NewMatWithSize(in.Height, in.Width, gocv.MatTypeCV8UC3),
	}, nil
}

// Close frees the memory of a Transform. It must not be used any more.
func (t *Transform) Close() error {
	return errors.Join(t.shrunk.Close(), t.resized.Close(), t.pixels.Close())
}

// Apply writes the input tensor for f to dst, whose length must be that of the tensor in bytes. Floats are written in
// the machine's byte order. f is only read. Apply allocates nothing on Go's heap.
func (t *Transform) Apply(dst []byte, f camera.Frame) error {
	if f.Mat.Closed() || f.Mat.Empty() || f.Mat.Type() != gocv.MatTypeCV8UC3 {
		return errors.New("prepare frame: want a picture of 8-bit BGR")
	}
	from, to := t.geometry(image.Pt(f.Mat.Cols(), f.Mat.Rows()))
	if err := t.scale(f.Mat, from, to.Size()); err != nil {
		return fmt.Errorf("prepare frame: resize %v to %v: %w", from, to.Size(), err)
	}
	if err := t.place(to); err != nil {
		return fmt.Errorf("prepare frame: %w", err)
	}
	pixels, err := t.pixels.DataPtrUint8()
	if err != nil {
		return fmt.Errorf("prepare frame: %w", err)
	}
	if err := t.input.Fill(dst, pixels); err != nil {
		return fmt.Errorf("prepare frame: %w", err)
	}
	return nil
}

// geometry says which part of a picture comes to which part of the input. Neither is empty, and both lie inside.
func (t *Transform) geometry(size image.Point) (from, to image.Rectangle) {
	input := image.Pt(t.input.Width, t.input.Height)
	from, to = t.crop.Rectangle(size), image.Rectangle{Max: input}
	switch t.resize {
	case Centre:
		from = centred(from.Size(), input, cropped).Add(from.Min)
	case Letterbox:
		to = centred(input, from.Size(), 1)
	}
	return from, to
}

// centred is the rectangle in the middle of outer that has the given shape and fills that part of the limiting side.
func centred(outer, shape image.Point, part float64) image.Rectangle {
	scale := part * min(float64(outer.X)/float64(shape.X), float64(outer.Y)/float64(shape.Y))
	size := image.Pt(
		min(max(int(math.Round(scale*float64(shape.X))), 1), outer.X),
		min(max(int(math.Round(scale*float64(shape.Y))), 1), outer.Y),
	)
	start := outer.Sub(size).Div(2)
	return image.Rectangle{Min: start, Max: start.Add(size)}
}

// scale resizes a part of a picture to t.resized: axes that shrink by area, axes that grow by linear interpolation.
// Where one shrinks and the other grows, the one that shrinks goes first: OpenCV's INTER_AREA takes both at once only
// if both shrink, and its INTER_LINEAR would leave most pixels of an axis that shrinks unread.
func (t *Transform) scale(picture gocv.Mat, from image.Rectangle, to image.Point) error {
	part := picture.Region(from) // a view; GoCV ends the process where it lies outside the picture
	defer part.Close()           // always nil
	size := from.Size()
	switch {
	case to.X <= size.X && to.Y <= size.Y:
		return gocv.Resize(part, &t.resized, to, 0, 0, gocv.InterpolationArea)
	case to.X >= size.X && to.Y >= size.Y:
		return gocv.Resize(part, &t.resized, to, 0, 0, gocv.InterpolationLinear)
	}
	smaller := image.Pt(min(to.X, size.X), min(to.Y, size.Y))
	if err := gocv.Resize(part, &t.shrunk, smaller, 0, 0, gocv.InterpolationArea); err != nil {
		return err
	}
	return gocv.Resize(t.shrunk, &t.resized, to, 0, 0, gocv.InterpolationLinear)
}

// place converts t.resized to RGB and puts it where it lies in the input, around which all is grey.
func (t *Transform) place(to image.Rectangle) error {
	if to != t.inside {
		t.pixels.SetTo(gocv.NewScalar(grey, grey, grey, 0))
		t.inside = to
	}
	inside := t.pixels.Region(to) // a view, whose size and type CvtColor finds right
	defer inside.Close()          // always nil
	return gocv.CvtColor(t.resized, &inside, gocv.ColorBGRToRGB)
}
