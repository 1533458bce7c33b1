package v4l2

import (
	"fmt"
	"slices"
	"strings"
)

// The types of sources that Device.Use names.
const (
	useV4L2      = "v4l2"
	useRpicam    = "rpicam"
	useGStreamer = "gstreamer"
)

// readable are the formats that OpenCV's V4L2 backend understands, without those of raw sensors.
var readable = map[string]bool{
	"MJPG": true, "JPEG": true, "YUYV": true, "UYVY": true, "YU12": true, "YV12": true, "NV12": true, "NV21": true, "411P": true,
	"BGR3": true, "RGB3": true, "XR24": true, "AR24": true, "GREY": true, "Y10": true, "Y16": true,
}

// bayer tells a format of a raw sensor by its name: BA81, RG10, pRAA, PC1B.
func bayer(name string) bool {
	return len(name) == 4 && (slices.Contains([]string{"BA81", "GBRG", "GRBG", "RGGB", "BYR2"}, name) ||
		slices.Contains([]string{"BG", "GB", "GR", "RG", "BA"}, name[:2]) && name[2] >= '0' && name[2] <= '9' ||
		name[0] == 'p' && slices.Contains([]string{"BA", "GA", "gA", "RA", "BC", "GC", "gC", "RC", "BE", "GE", "gE", "RE"}, name[1:3]) ||
		strings.HasPrefix(name, "PC1"))
}

// processors are drivers and names of nodes that work on pictures and take none, whatever they say they can.
var processors = []struct{ prefix, what string }{
	{"bcm2835-codec", "a decoder, encoder or scaler"},
	{"rpi-hevc-dec", "a decoder, encoder or scaler"},
	{"rpivid", "a decoder, encoder or scaler"},
	{"bcm2835-isp", "an image processor"},
	{"pispbe", "an image processor"},
}

func processor(name string) string {
	for _, p := range processors {
		if strings.HasPrefix(name, p.prefix) {
			return p.what
		}
	}
	return ""
}

const loopbackDriver = "v4l2 loopback"

// examine opens a device and asks it.
func (m machine) examine(path string, links linkTable) Device {
	d := newDevice(path, links)
	node, err := m.open(m.root + path)
	if err == nil {
		err = d.ask(node.ioctl)
		if e := node.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		d.Card = m.identity(path).Name
		if d.What = processor(d.Card); d.What == "" {
			d.Problem, d.Hint = m.explain(path, err)
		}
	}
	return d
}

// ask fills in what the driver tells.
func (d *Device) ask(call ioctl) error {
	var c capability
	if err := ask(call, reqCapability, &c); err != nil {
		return err
	}
	d.Driver, d.Card, d.Bus = text(c.Driver[:]), text(c.Card[:]), text(c.Bus[:])
	caps := c.node()
	if d.What = d.instead(caps); d.What != "" || d.Problem != "" {
		return nil
	}
	q := questions{call, maxQuestions}
	d.Formats = q.formats(bufferType(caps))
	d.judge(caps)
	return nil
}

func bufferType(caps uint32) uint32 {
	if caps&capCapture != 0 {
		return bufCapture
	}
	return bufCapturePlanes
}

// instead says what a node is that takes no pictures. A loopback device that nobody writes into calls itself an output.
func (d *Device) instead(caps uint32) string {
	captures := caps&(capCapture|capCapturePlanes) != 0
	switch what := processor(d.Driver); {
	case what != "":
		return what
	case caps&(capMemory|capMemoryPlanes) != 0:
		return "a decoder, encoder or scaler"
	case caps&capTouch != 0:
		return "a touch sensor"
	case captures:
		return ""
	case caps&(capMetaCapture|capMetaOutput) != 0:
		return "metadata"
	case caps&(capOutput|capOutputPlanes) != 0 && d.Driver == loopbackDriver:
		d.Use = useV4L2
		d.noWriter()
		return ""
	case caps&(capOutput|capOutputPlanes) != 0:
		return "a video output"
	}
	return "no source of pictures"
}

func (d *Device) noWriter() {
	d.Problem = "no program writes into this loopback device"
	d.Hint = "start the program that does, such as ffmpeg -re -i FILE -f v4l2 " + d.Path
}

// judge says by which type of source a node that captures is read, and what is in the way.
func (d *Device) judge(caps uint32) {
	names := make([]string, 0, len(d.Formats))
	anyReadable, allBayer := false, len(d.Formats) > 0
	for _, f := range d.Formats {
		names = append(names, f.FourCC)
		anyReadable = anyReadable || f.Readable
		allBayer = allBayer && bayer(f.FourCC)
	}
	switch {
	case caps&capMediaControl != 0 || allBayer:
		d.sensor()
	case len(d.Formats) == 0 && d.Driver == loopbackDriver:
		d.Use = useV4L2
		d.noWriter()
	case len(d.Formats) == 0:
		d.Use, d.Problem = useV4L2, "the driver lists no formats"
		d.Hint = "unplug the camera and plug it in again; \"sudo dmesg | tail\" may say more"
	case !anyReadable:
		d.Use, d.Problem = useV4L2, fmt.Sprintf("it offers only %s", strings.Join(names, ", "))
		d.Hint = "type v4l2 reads MJPG, YUYV and the like: use type gstreamer, with v4l2src and what decodes the format"
	case caps&capStreaming == 0:
		d.Use, d.Problem = useV4L2, "the driver has no streaming I/O"
		d.Hint = "use type gstreamer with v4l2src"
	default:
		d.Use = useV4L2
	}
}

// sensor is a node that gives what a sensor has measured, which no one can see a picture in: a library has to control it.
func (d *Device) sensor() {
	d.Problem = "it gives the raw values of a sensor, which type v4l2 can't read"
	switch {
	case strings.Contains(d.Driver, "unicam") || strings.HasPrefix(d.Driver, "rp1-cfe"):
		d.Use = useRpicam
		d.Hint = "use type rpicam, with the package rpicam-apps"
	case strings.HasPrefix(d.Driver, "tegra"):
		d.Use = useGStreamer
		d.Hint = "use type gstreamer, with nvarguscamerasrc"
	default:
		d.Use = useGStreamer
		d.Hint = "use type gstreamer, with libcamerasrc of the package gstreamer1.0-libcamera, if libcamera knows the sensor"
	}
}
