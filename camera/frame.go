package camera

import (
	"time"

	"gocv.io/x/gocv"
)

// Frame is one picture on its way from a source to a result.
type Frame struct {
	// Mat holds the pixels: 8 bits, BGR, upright. It belongs to the source or the Decoder that the frame came from and
	// is valid until the next call of that.
	Mat gocv.Mat

	Time   time.Time // when the picture was taken or, of a file, met
	Seq    uint64    // counts the frames of a source, from 1
	Source string    // name of the source
	File   string    // of a file: its path relative to the folder, with slashes; "" for a live frame
	ID     string    // identifies the frame in everything that is published of it
}
