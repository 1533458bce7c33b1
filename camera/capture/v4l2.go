package capture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

func newV4L2(o Options) (Open, error) {
	device := o.Device
	if n, err := strconv.ParseUint(device, 10, 16); err == nil {
		device = fmt.Sprintf("/dev/video%d", n)
	}
	switch {
	case device == "":
		return nil, errors.New("device is missing: want a path as /dev/video0, or its number")
	case device[0] != '/':
		return nil, fmt.Errorf("device %q is wrong: want a path as /dev/video0, or its number", printable(device, 64))
	case o.FourCC != "" && (len(o.FourCC) != 4 || printable(o.FourCC+".", 5) != o.FourCC+"."):
		return nil, fmt.Errorf("fourcc %q is wrong: want four characters as MJPG or YUYV", printable(o.FourCC, 16))
	case len(o.Self) == 0:
		return nil, errors.New("the command that reads V4L2 devices is missing")
	}
	argv := append(o.Self[:len(o.Self):len(o.Self)], "--device", device)
	if o.Width > 0 {
		argv = append(argv, "--size", fmt.Sprintf("%dx%d", o.Width, o.Height))
	}
	if o.FPS > 0 {
		argv = append(argv, "--fps", number(o.FPS))
	}
	if o.FourCC != "" {
		argv = append(argv, "--fourcc", o.FourCC)
	}
	c := command{name: "the reader of " + printable(device, 128), argv: argv, own: true, log: o.Log}
	return func(ctx context.Context) (Stream, error) {
		if _, err := os.Stat(device); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("no device %s: is it plugged in? `sightd cameras` lists what is there", printable(device, 128))
		}
		child, err := c.start(ctx)
		if err != nil {
			return nil, err
		}
		return &childStream{child: child, next: NewShotReader(child, o.MaxBytes).Read}, nil
	}, nil
}
