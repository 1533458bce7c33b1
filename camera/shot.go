package camera

import (
	"fmt"

	"gocv.io/x/gocv"

	"sightd/camera/capture"
	"sightd/camera/picture"
)

// rawSide is the widest or highest raw picture.
const rawSide = 65535

// DecodeShot makes a picture of a shot from a live source: of a file as Decode does, of raw pixels by a copy. The Mat holds 8-bit
// BGR pixels, belongs to the Decoder and is valid until its next call. The shot isn't changed, and no pointer to it is
// kept. Every error is a *picture.RefusedError. Raw pictures of one size after the other allocate nothing.
func (d *Decoder) DecodeShot(s *capture.Shot) (gocv.Mat, error) {
	switch s.Format {
	case capture.Encoded:
		mat, _, err := d.Decode(s.Data)
		return mat, err
	case capture.BGR:
		if err := d.checkRaw(s, 1); err != nil {
			return gocv.Mat{}, err
		}
		if err := putPixels(&d.mat, s); err != nil {
			return gocv.Mat{}, err
		}
		return d.mat, nil
	case capture.RGB:
		if err := d.checkRaw(s, 2); err != nil {
			return gocv.Mat{}, err
		}
		if err := putPixels(&d.turned, s); err != nil {
			return gocv.Mat{}, err
		}
		if err := gocv.CvtColor(d.turned, &d.mat, gocv.ColorRGBToBGR); err != nil {
			return gocv.Mat{}, &picture.RefusedError{Reason: fmt.Sprintf("the %dx%d pixels can't be converted from RGB: %v", s.Width, s.Height, err)}
		}
		return d.mat, nil
	}
	return gocv.Mat{}, &picture.RefusedError{Reason: fmt.Sprintf("the shot has format %d, want a picture file, BGR or RGB", s.Format)}
}

// checkRaw refuses raw pixels of a wrong size. copies is how many of them are made.
func (d *Decoder) checkRaw(s *capture.Shot, copies int) error {
	if s.Width < 1 || s.Height < 1 || s.Width > rawSide || s.Height > rawSide {
		return &picture.RefusedError{Reason: fmt.Sprintf("the raw picture is %dx%d pixels, want from 1 to %d on a side", s.Width, s.Height, rawSide)}
	}
	pixels := int64(s.Width) * int64(s.Height)
	if pixels > int64(d.limits.MaxPixels) {
		return &picture.RefusedError{
			Reason: fmt.Sprintf("the raw picture is %dx%d pixels, at most %d in all are allowed", s.Width, s.Height, d.limits.MaxPixels),
		}
	}
	if int64(len(s.Data)) != 3*pixels {
		return &picture.RefusedError{
			Reason: fmt.Sprintf("the raw picture of %dx%d pixels has %d bytes, want %d", s.Width, s.Height, len(s.Data), 3*pixels),
		}
	}
	if need := int64(1+copies) * 3 * pixels; need > memoryBudget {
		return &picture.RefusedError{
			Reason: fmt.Sprintf("the raw picture of %dx%d pixels takes %d MB of memory, at most %d MB are allowed",
				s.Width, s.Height, (need+999_999)/1_000_000, int(memoryBudget)/1_000_000),
		}
	}
	return nil
}

// putPixels copies a shot's raw pixels to mat, whose memory is kept where it has the size.
func putPixels(mat *gocv.Mat, s *capture.Shot) error {
	if mat.Cols() != s.Width || mat.Rows() != s.Height || mat.Type() != gocv.MatTypeCV8UC3 {
		mat.Close() // always nil
		*mat = gocv.NewMatWithSize(s.Height, s.Width, gocv.MatTypeCV8UC3)
	}
	pixels, err := mat.DataPtrUint8()
	if err != nil || len(pixels) != len(s.Data) {
		return &picture.RefusedError{Reason: fmt.Sprintf("the raw picture of %dx%d pixels found no room: %d bytes: %v", s.Width, s.Height, len(pixels), err)}
	}
	copy(pixels, s.Data)
	return nil
}
