package capture

import (
	"context"
	"fmt"
	"strconv"
)

func newRPiCam(o Options) (Open, error) {
	args := []string{
		"--nopreview",
		"--timeout", "0",
		"--codec", "mjpeg",
		"--quality", "90", // of 50 the model would see the blocks
		"--output", "-",
		"--flush",
		"--verbose=0", // no line for each picture; errors are told all the same
	}
	if o.Device != "" {
		if _, err := strconv.ParseUint(o.Device, 10, 8); err != nil {
			return nil, fmt.Errorf("device %q is wrong: want the number of a camera, as `rpicam-vid --list-cameras` shows it", printable(o.Device, 64))
		}
		args = append(args, "--camera", o.Device)
	}
	if o.Width > 0 {
		args = append(args, "--width", strconv.Itoa(o.Width), "--height", strconv.Itoa(o.Height))
	}
	if o.FPS > 0 {
		args = append(args, "--framerate", number(o.FPS))
	}
	return func(ctx context.Context) (Stream, error) {
		name := rpicamName()
		c := command{name: name, argv: append([]string{name}, args...), log: o.Log}
		child, err := c.start(ctx)
		if err != nil {
			return nil, err
		}
		return &childStream{child: child, next: newJPEGReader(child, o.MaxBytes).next}, nil
	}, nil
}
