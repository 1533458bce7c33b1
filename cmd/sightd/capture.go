package main

import (
	"context"
	"fmt"
	"math"

	"sightd/camera/capture"
	"sightd/camera/v4l2"
	"sightd/camera/v4l2/grab"
)

const captureAbout = `Reads a video device and writes its pictures to standard output, each with a header, for the sightd that has started this.
A driver may hang: then this process can be killed. What it has to say goes to standard error. It ends with its reader, or when it is
told to (SIGTERM). Exit status: 0 it was ended, 1 the device can't be read, 2 usage.`

func captureCommand(ctx context.Context, c *call) error {
	fs := c.flags("capture-v4l2", "--device /dev/videoN [flags]", captureAbout)
	device := fs.String("device", "", "`PATH` or number of the device")
	size := fs.String("size", "", "`WxH` in pixels; empty: 640x480 or near it")
	fps := fs.Float64("fps", 0, "pictures a second; 0: 15 or near it")
	fourcc := fs.String("fourcc", "", "`FORMAT`, such as MJPG or YUYV; empty: the best one")
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	mode := v4l2.Mode{FourCC: *fourcc, FPS: *fps}
	switch {
	case len(arguments) > 0:
		return usageError{fmt.Sprintf("want no arguments, have %q", arguments[0])}
	case *device == "":
		return usageError{"-device is missing"}
	case !(*fps >= 0 && *fps <= 1000) || math.IsNaN(*fps):
		return usageError{fmt.Sprintf("-fps: want 0 to 1000, have %v", *fps)}
	}
	if *size != "" {
		if mode.Width, mode.Height, err = v4l2.ParseSize(*size); err != nil {
			return usageError{"-size: " + err.Error()}
		}
	}
	path, _, err := v4l2.Resolve(*device, nil)
	if err != nil {
		return err
	}
	return grab.Run(ctx, grab.Options{
		Device: path, Mode: mode,
		Emit: func(s *capture.Shot) error { return capture.WriteShot(c.stdout, s) },
		Log:  func(line string) { fmt.Fprintf(c.stderr, "sightd capture-v4l2: %s\n", line) },
	})
}
