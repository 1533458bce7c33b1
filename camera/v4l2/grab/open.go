package grab

import (
	"fmt"
	"math"
	"time"

	"gocv.io/x/gocv"

	"sightd/camera/v4l2"
)

// open opens a device that v4l2.Prepare has looked at, and sets the mode: the format first, since sizes and rates are those of a
// format.
//
// OpenCV has four buffers unless it is told another number, and may not be given one alone: an undecoded picture is copied out of the
// driver's buffer after that went back to the driver, which fills it again behind all others.
func open(path string, mode v4l2.Mode, log func(string)) (camera, error) {
	capture, err := gocv.OpenVideoCaptureWithAPI(path, gocv.VideoCaptureV4L2)
	if err != nil || !capture.IsOpened() {
		if capture != nil {
			capture.Close() // it says nothing
		}
		if _, err := v4l2.Prepare(path, mode); err != nil {
			return camera{}, err
		}
		return camera{}, fmt.Errorf("open %s: OpenCV can't: none of its formats, or no memory for buffers: \"sudo dmesg | tail\" may say more", path)
	}
	code := capture.ToCodec((mode.FourCC + "    ")[:4])
	capture.Set(gocv.VideoCaptureFOURCC, code)
	capture.Set(gocv.VideoCaptureFrameWidth, float64(mode.Width))
	capture.Set(gocv.VideoCaptureFrameHeight, float64(mode.Height))
	capture.Set(gocv.VideoCaptureFPS, max(1, math.Ceil(mode.FPS)))
	have := v4l2.Mode{
		FourCC: codec(capture.Get(gocv.VideoCaptureFOURCC)),
		Width:  int(capture.Get(gocv.VideoCaptureFrameWidth)), Height: int(capture.Get(gocv.VideoCaptureFrameHeight)),
		FPS: capture.Get(gocv.VideoCaptureFPS),
	}
	if have.FourCC == "MJPG" || have.FourCC == "JPEG" {
		capture.Set(gocv.VideoCaptureConvertRGB, 0) // the JPEG as it is; if it is decoded nevertheless, that is seen by the Mat
	}
	if differ := difference(mode, have); differ != "" {
		log(fmt.Sprintf("%s gives %s", path, differ))
	}
	rate := have.FPS
	if !(rate > 0 && rate < 1000) {
		rate = 0
	}
	return camera{
		read: capture.Read,
		stamp: func() time.Duration {
			return time.Duration(capture.Get(gocv.VideoCapturePosMsec) * float64(time.Millisecond))
		},
		check: func() error { return v4l2.Present(path) },
		close: capture.Close,
		rate:  rate,
	}, nil
}

// codec is the name of a FOURCC property.
func codec(value float64) string {
	v := uint32(int64(value))
	name := make([]byte, 0, 4)
	for ; v != 0 && len(name) < 4; v >>= 8 {
		if b := byte(v); b > ' ' && b <= '~' {
			name = append(name, b)
		}
	}
	return string(name)
}

// difference tells what a camera gives otherwise than it was asked to; "": nothing. A rate below the one wanted is told, a higher one
// is brought down by leaving pictures out.
func difference(want, have v4l2.Mode) string {
	slow := have.FPS > 0 && have.FPS < want.FPS*0.9
	if want.FourCC == have.FourCC && want.Width == have.Width && want.Height == have.Height && !slow {
		return ""
	}
	return fmt.Sprintf("%s %dx%d at %.4g fps, asked for %s %dx%d at %.4g", have.FourCC, have.Width, have.Height, have.FPS,
		want.FourCC, want.Width, want.Height, want.FPS)
}
