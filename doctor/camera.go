package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"sightd/camera/capture"
	"sightd/camera/v4l2"
	"sightd/daemon"
)

// live looks at a source that isn't a folder: whether the programs that it needs are there, and what it reads. No picture is taken.
func (e *examiner) live(ctx context.Context, i int) []Finding {
	c := e.config.Sources[i]
	name := "source " + c.Name
	findings := e.programs(name, c)
	switch c.Type {
	case daemon.TypeV4L2:
		findings = append(findings, e.device(ctx, name, i))
	case daemon.TypeRPiCam:
		if findings[0].Status == OK {
			findings = append(findings, e.csiCamera(ctx, name, i))
		}
	case daemon.TypeReplay:
		findings = append(findings, recording(ctx, name, c.Path, fmt.Sprintf("set sources[%d].path to a folder of pictures or a video", i), true))
	case daemon.TypeGStreamer:
		findings = append(findings, pipeline(ctx, name, c.Pipeline)...)
	case daemon.TypeURL:
		findings = append(findings, e.address(ctx, name, i))
	}
	return findings
}

// programs has a finding for each that the source runs.
func (e *examiner) programs(name string, c daemon.SourceConfig) []Finding {
	var findings []Finding
	for _, program := range (capture.Options{Kind: capture.Kind(c.Type), URL: c.URL, Path: c.Path}).Programs() {
		f := Finding{Name: name + " program", Status: OK}
		path, err := exec.LookPath(program)
		switch {
		case err == nil:
			f.Detail = path
		case errors.Is(err, exec.ErrNotFound):
			f.Status, f.Detail = Fail, program+" is not installed: without it there are no pictures"
			f.Hint = e.distribution().install(program, capture.Package(program))
		default:
			f.Status, f.Detail, f.Hint = Fail, err.Error(), asUser
		}
		findings = append(findings, f)
	}
	return findings
}

// driverPatience is how long a video device's driver may take for its answers.
const driverPatience = 5 * time.Second

// device asks a video device what it is and what it offers.
func (e *examiner) device(ctx context.Context, name string, i int) Finding {
	c := e.config.Sources[i]
	f := Finding{Name: name, Status: Fail, Hint: fmt.Sprintf("\"sightd cameras\" lists what is there; set sources[%d].device to it", i)}
	type answer struct {
		device v4l2.Device
		err    error
	}
	asked := make(chan answer, 1)
	go func() {
		d, err := e.video(c.Device)
		asked <- answer{d, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, driverPatience)
	defer cancel()
	select {
	case a := <-asked:
		if a.err != nil {
			f.Detail = a.err.Error()
			if e.container() {
				f.Hint = "the container must have been given it: docker run --device " + c.Device + " --group-add video"
			}
			return f
		}
		return e.camera(f, i, a.device)
	case <-ctx.Done():
	}
	f.Detail = c.Device + ": the driver doesn't answer"
	f.Hint = "unplug the camera and plug it in again, or restart the board; \"sudo dmesg | tail\" may say more"
	return f
}

// camera says what a video device is good for. f has what is so of all that aren't.
func (e *examiner) camera(f Finding, i int, d v4l2.Device) Finding {
	c := e.config.Sources[i]
	called := fmt.Sprintf("%s (%s)", d.Path, d.Name())
	running, pid := e.running()
	forbidden, allow := e.deviceTrouble(d.Path)
	format := slices.IndexFunc(d.Formats, func(f v4l2.Format) bool {
		return f.Readable && strings.EqualFold(strings.TrimSpace(f.FourCC), strings.TrimSpace(c.FourCC))
	})
	switch other := e.sameDevice(i); {
	case other != "":
		f.Detail, f.Hint = called+" is the device of source "+other+", by another name: a camera has one reader", "remove one of the two sources"
	case forbidden != "":
		f.Detail, f.Hint = called+": "+forbidden, allow
	case d.What != "":
		f.Detail = called + ": want a camera, it is " + d.What
	case d.Problem != "":
		f.Detail, f.Hint = d.Path+": "+d.Problem, cmp.Or(d.Hint, f.Hint)
		if running {
			f.Status = Warn
			f.Detail += "; a running sightd" + process{pid: pid}.String() + " may be what has it"
		}
	case d.Use != "" && d.Use != c.Type:
		f.Detail, f.Hint = called+" is read by a source of type "+d.Use, "\"sightd cameras\" prints the lines for it"
	case format < 0:
		f.Detail = called + " doesn't offer " + c.FourCC
		if have := offers(d); have != "" {
			f.Hint = fmt.Sprintf("set sources[%d].fourcc to %s", i, have)
		}
	default:
		f.Status, f.Hint = OK, ""
		f.Detail = called + " offers " + offers(d)
		if !offered(d.Formats[format], c.Size) {
			f.Detail += fmt.Sprintf(", but not %v in %s: the camera takes something near", c.Size, c.FourCC)
		}
	}
	return f
}

// sameDevice names a source before this one that reads the same device, once symbolic links are followed.
func (e *examiner) sameDevice(i int) string {
	node := func(c daemon.SourceConfig) string {
		if strings.HasPrefix(c.Device, "/") {
			return real(c.Device)
		}
		return "/dev/video" + c.Device
	}
	for _, other := range e.config.Sources[:i] {
		if other.Type == daemon.TypeV4L2 && node(other) == node(e.config.Sources[i]) {
			return other.Name
		}
	}
	return ""
}

// offers are the formats that sightd can read.
func offers(d v4l2.Device) string {
	var names []string
	for _, f := range d.Formats {
		if f.Readable && !slices.Contains(names, f.FourCC) {
			names = append(names, f.FourCC)
		}
	}
	return strings.Join(names, " or ")
}

// offered reports whether a format comes in a size. Steps within a range don't count.
func offered(f v4l2.Format, size daemon.SizeConfig) bool {
	return slices.ContainsFunc(f.Sizes, func(s v4l2.Size) bool {
		return s.Width <= size.Width && size.Width <= max(s.Width, s.MaxWidth) && s.Height <= size.Height && size.Height <= max(s.Height, s.MaxHeight)
	})
}
