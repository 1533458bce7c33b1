package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sightd/camera/v4l2/csi"
)

// csiCamera asks libcamera's program which cameras a Raspberry Pi has. No picture is taken.
func (e *examiner) csiCamera(ctx context.Context, name string, i int) Finding {
	c := e.config.Sources[i]
	f := Finding{Name: name, Status: Fail, Hint: e.csiHint()}
	cameras, err := e.cameras(ctx)
	cameras = slices.DeleteFunc(cameras, func(c csi.Camera) bool { return c.USB() })
	want, errNumber := strconv.Atoi(c.Device)
	at := slices.IndexFunc(cameras, func(c csi.Camera) bool { return c.Number == want || errNumber != nil })
	switch {
	case errors.Is(err, csi.ErrMissing):
		f.Status, f.Detail, f.Hint = OK, "whether there is a camera isn't looked at: rpicam-hello isn't installed", ""
	case err != nil:
		f.Status, f.Detail = Warn, err.Error()
	case len(cameras) == 0:
		f.Detail = "libcamera finds no camera"
	case at < 0:
		f.Detail = fmt.Sprintf("libcamera finds no camera %s, but %s", c.Device, sensors(cameras))
		f.Hint = fmt.Sprintf("set sources[%d].device to the number of one that is there", i)
	default:
		f.Status, f.Hint = OK, ""
		f.Detail = "libcamera finds " + sensors(cameras[at:at+1])
	}
	return f
}

func sensors(cameras []csi.Camera) string {
	var names []string
	for _, c := range cameras {
		names = append(names, fmt.Sprintf("%d: %s (%dx%d)", c.Number, c.Sensor, c.Width, c.Height))
	}
	return strings.Join(names, ", ")
}

// csiHint is advice where libcamera finds no camera.
func (e *examiner) csiHint() string {
	for _, file := range []string{"/boot/firmware/config.txt", "/boot/config.txt"} {
		text, err := read(e.root + file)
		if err != nil {
			continue
		}
		legacy, detect := false, false
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			legacy = legacy || line == "start_x=1"
			detect = detect || strings.HasPrefix(line, "camera_auto_detect=1") || strings.HasPrefix(line, "dtoverlay=")
		}
		switch {
		case legacy:
			return file + " has start_x=1, the legacy camera stack, which hides cameras from libcamera: take that line out, write camera_auto_detect=1, and restart the board"
		case !detect:
			return "write camera_auto_detect=1 into " + file + ", or the sensor's dtoverlay, and restart the board"
		}
	}
	return "look at the flat cable's seat and side, with the power off; a camera of another maker needs its dtoverlay in config.txt; \"rpicam-hello --list-cameras\" lists what is found"
}
