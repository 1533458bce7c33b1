package grab

import (
	"bytes"
	"fmt"

	"gocv.io/x/gocv"

	"sightd/camera/capture"
)

// take copies a picture from OpenCV's memory, and reports whether it is whole. The error says that no picture of this camera can be.
func (g *grabber) take(shot *capture.Shot, mat *gocv.Mat) (ok bool, err error) {
	rows, cols := mat.Rows(), mat.Cols()
	switch {
	case mat.Empty():
		return g.whole(false)
	case mat.Type() == gocv.MatTypeCV8UC3:
		data, err := mat.DataPtrUint8()
		if err != nil || len(data) != rows*cols*3 {
			return false, fmt.Errorf("read %s: want %d bytes for a picture of %dx%d pixels, have %d: %v", g.Device, rows*cols*3, cols, rows, len(data), err)
		}
		shot.Format, shot.Width, shot.Height = capture.BGR, cols, rows
		shot.Data = append(shot.Data[:0], data...)
		return g.whole(true)
	case mat.Type() == gocv.MatTypeCV8UC1 && rows == 1:
		data, err := mat.DataPtrUint8()
		if err != nil {
			return false, fmt.Errorf("read %s: %w", g.Device, err)
		}
		jpeg := trim(data)
		shot.Format, shot.Width, shot.Height = capture.Encoded, 0, 0
		shot.Data = append(shot.Data[:0], jpeg...)
		return g.whole(len(jpeg) > 0)
	}
	return false, fmt.Errorf("read %s: OpenCV brings %dx%d elements of type %d: want JPEG or BGR", g.Device, cols, rows, mat.Type())
}

// whole counts the pictures that aren't.
func (g *grabber) whole(ok bool) (bool, error) {
	if ok {
		g.torn = 0
		return true, nil
	}
	if g.torn++; g.torn == 1 {
		g.Log("a picture came torn, and was left out")
	}
	if g.torn >= maxTorn {
		return false, fmt.Errorf("read %s: %d torn pictures in a row: try fourcc: YUYV, another cable, or a port without a hub", g.Device, g.torn)
	}
	return false, nil
}

// trim cuts off what follows a JPEG's end marker: drivers hand on padding. It returns nothing for data without start or end marker,
// as when a part was lost on the bus. Whether what lies between is a picture is for a decoder to say.
func trim(data []byte) []byte {
	end := bytes.LastIndex(data, []byte{0xff, 0xd9})
	if end < 0 || !bytes.HasPrefix(data, []byte{0xff, 0xd8, 0xff}) {
		return nil
	}
	return data[:end+2]
}
