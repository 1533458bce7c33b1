package camera

import (
	"errors"
	"fmt"
	"image"

	"gocv.io/x/gocv"
)

const (
	// ThumbnailHeight is the most rows of a thumbnail.
	ThumbnailHeight = 270

	thumbnailQuality = 70 // of JPEG, of 100
	snapshotQuality  = 85
)

// Snapshot is the picture as a JPEG at its own size.
func (f Frame) Snapshot() ([]byte, error) {
	if f.Mat.Closed() || f.Mat.Empty() {
		return nil, errors.New("make a snapshot: want a picture, have none")
	}
	return f.encode(f.Mat, snapshotQuality)
}

// Thumbnail is the picture as a JPEG of at most 270 rows, which has some ten or twenty KB.
func (f Frame) Thumbnail() ([]byte, error) {
	mat := f.Mat
	if mat.Closed() || mat.Empty() {
		return nil, errors.New("make a thumbnail: want a picture, have none")
	}
	if rows := mat.Rows(); rows > ThumbnailHeight {
		small := gocv.NewMat()
		defer small.Close() // it is freed, which can't fail
		size := image.Pt(max(1, mat.Cols()*ThumbnailHeight/rows), ThumbnailHeight)
		if err := gocv.Resize(mat, &small, size, 0, 0, gocv.InterpolationArea); err != nil {
			return nil, fmt.Errorf("shrink %s to %v: %w", f.File, size, err)
		}
		mat = small
	}
	return f.encode(mat, thumbnailQuality)
}

// encode makes a JPEG of mat, which is the picture or a smaller one.
func (f Frame) encode(mat gocv.Mat, quality int) ([]byte, error) {
	buf, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, mat, []int{gocv.IMWriteJpegQuality, quality})
	if err != nil {
		return nil, fmt.Errorf("encode %s as JPEG: %w", f.File, err)
	}
	defer buf.Close()
	return append([]byte(nil), buf.GetBytes()...), nil // those belong to OpenCV
}
