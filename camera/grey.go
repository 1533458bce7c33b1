package camera

import (
	"errors"
	"fmt"
	"image"

	"gocv.io/x/gocv"

	"sightd/camera/view"
)

// samples is how many times as wide and as high as the thumbnail a picture is first sampled: 9 points of a cell are then averaged,
// each interpolated between 4 pixels. A true average of every pixel took, on one machine, 0.2 ms for 640x480 and 5.7 ms for
// 1920x1080; this takes 0.1 ms for any size, and still leaves a third of a pixel's noise at most.
const samples = 3

// Grey makes the small grey pictures that package view looks at. It reuses its memory and isn't safe for concurrent use.
type Grey struct {
	sampled gocv.Mat // BGR
	luma    gocv.Mat // of the samples
	small   gocv.Mat
}

// NewGrey makes a Grey. Close it to free its memory.
func NewGrey() *Grey {
	return &Grey{sampled: gocv.NewMat(), luma: gocv.NewMat(), small: gocv.NewMat()}
}

// Close frees the memory of a Grey. It must not be used any more.
func (g *Grey) Close() error {
	return errors.Join(g.sampled.Close(), g.luma.Close(), g.small.Close())
}

// Shrink writes the luma of part, in pixels, of an 8-bit BGR picture to dst. The picture is only read. Shrink allocates nothing on
// Go's heap.
func (g *Grey) Shrink(dst *view.Picture, mat gocv.Mat, part image.Rectangle) error {
	if mat.Closed() || mat.Empty() || mat.Type() != gocv.MatTypeCV8UC3 {
		return errors.New("shrink picture: want one of 8-bit BGR")
	}
	if whole := image.Rect(0, 0, mat.Cols(), mat.Rows()); part.Empty() || !part.In(whole) {
		return fmt.Errorf("shrink picture: part %v, want one inside %v", part, whole)
	}
	if err := g.shrink(mat, part); err != nil {
		return fmt.Errorf("shrink picture: part %v: %w", part, err)
	}
	pixels, err := g.small.DataPtrUint8()
	if err != nil {
		return fmt.Errorf("shrink picture: %w", err)
	}
	if len(pixels) != len(dst) {
		return fmt.Errorf("shrink picture: it has %d bytes, want %d", len(pixels), len(dst))
	}
	copy(dst[:], pixels)
	return nil
}

// shrink makes g.small.
func (g *Grey) shrink(mat gocv.Mat, part image.Rectangle) error {
	region := mat.Region(part) // a view; GoCV ends the process where it lies outside the picture
	defer region.Close()       // always nil
	size := image.Pt(min(part.Dx(), samples*view.Width), min(part.Dy(), samples*view.Height))
	if err := gocv.Resize(region, &g.sampled, size, 0, 0, gocv.InterpolationLinear); err != nil {
		return err
	}
	if err := gocv.CvtColor(g.sampled, &g.luma, gocv.ColorBGRToGray); err != nil {
		return err
	}
	return gocv.Resize(g.luma, &g.small, image.Pt(view.Width, view.Height), 0, 0, gocv.InterpolationArea)
}
