package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"sightd/camera/capture"
	"sightd/camera/v4l2"
	"sightd/camera/v4l2/csi"
	"sightd/publish"
)

const camerasAbout = `Lists the cameras of this machine: what each is called whatever number it has, its formats, sizes and rates, and a line
for the configuration. It takes no picture. --all adds the video devices that are no cameras.
Exit status: 0 a camera was found, 1 none was, with what to do about it, 2 usage.`

func camerasCommand(ctx context.Context, c *call) error {
	fs := c.flags("cameras", "[--all] [--json]", camerasAbout)
	all := fs.Bool("all", false, "list metadata, codecs and the like, too")
	asJSON := fs.Bool("json", false, "print a JSON object in place of text")
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(arguments) > 0 {
		return usageError{fmt.Sprintf("want no arguments, have %q", arguments[0])}
	}
	found, err := findCameras(ctx)
	if err != nil {
		return err
	}
	list := found.list()
	if !*all {
		list.Others = []v4l2.Device{}
	}
	out := bufio.NewWriter(c.stdout)
	if *asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(list)
	} else {
		list.print(out, found.board)
	}
	if err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if !list.Found {
		return errRefused
	}
	return nil
}

// foundCameras is what was looked at.
type foundCameras struct {
	devices []v4l2.Device
	csi     []csi.Camera
	csiErr  error
	board   string // the device tree's name of the machine; "" on a PC
	missing []missingProgram
}

// missingProgram is a program that some type of source needs.
type missingProgram struct {
	Program string `json:"program"`
	Package string `json:"package"`
	Types   string `json:"types"` // of sources, for people
}

func findCameras(ctx context.Context) (*foundCameras, error) {
	devices, err := v4l2.List(ctx)
	if err != nil {
		return nil, err
	}
	f := &foundCameras{devices: devices}
	f.csi, f.csiErr = csi.List(ctx)
	if model, err := os.ReadFile("/proc/device-tree/model"); err == nil {
		f.board = strings.TrimRight(string(model), "\x00\n")
	}
	for _, need := range []struct {
		types   string
		options capture.Options
	}{
		{"type url with rtsp and videos of type replay", capture.Options{Kind: capture.URL, URL: "rtsp://camera"}},
		{"type gstreamer", capture.Options{Kind: capture.GStreamer}},
		{"type rpicam", capture.Options{Kind: capture.RPiCam}},
	} {
		for _, program := range need.options.Programs() {
			if _, err := exec.LookPath(program); err != nil {
				f.missing = append(f.missing, missingProgram{program, capture.Package(program), need.types})
			}
		}
	}
	return f, nil
}

// cameraList is what the command tells.
type cameraList struct {
	Found   bool             `json:"found"` // a camera that can be used, though another program may have it now
	Cameras []listedCamera   `json:"cameras"`
	Others  []v4l2.Device    `json:"others"` // devices that are no cameras
	Missing []missingProgram `json:"missing"`
	Problem string           `json:"problem"` // of the list of CSI cameras, else ""
}

// listedCamera is a camera, or a device of which it isn't known.
type listedCamera struct {
	Name    string       `json:"name"`   // for people
	Config  string       `json:"config"` // a line below sources; "": none can be given
	Nodes   []string     `json:"nodes"`  // its devices; none of a CSI camera that libcamera lists
	Device  *v4l2.Device `json:"device,omitempty"`
	CSI     *csi.Camera  `json:"csi,omitempty"`
	Problem string       `json:"problem"`
	Hint    string       `json:"hint"`
}

// list makes a list of what was found. Nodes of one sensor, or with one trouble, are one entry.
func (f *foundCameras) list() *cameraList {
	list := &cameraList{Cameras: []listedCamera{}, Others: []v4l2.Device{}, Missing: []missingProgram{}}
	names := sourceNames{}
	sensors := 0 // that nvarguscamerasrc counts
	for _, c := range f.csi {
		if c.USB() {
			continue
		}
		list.Cameras = append(list.Cameras, listedCamera{Name: c.Sensor, Nodes: []string{}, CSI: &c, Config: fmt.Sprintf(
			"- {name: %s, type: rpicam, device: %d, size: 640x480, fps: 15}", names.next(c.Sensor), c.Number)})
	}
	listed := len(list.Cameras) > 0
	for i := range f.devices {
		d := &f.devices[i]
		if d.Use == "" && d.Problem == "" || listed && d.Use == string(capture.RPiCam) {
			list.Others = append(list.Others, *d)
			continue
		}
		entry := listedCamera{Name: d.Name(), Nodes: []string{d.Path}, Device: d, Problem: d.Problem, Hint: d.Hint}
		if same := list.same(&entry); same != nil {
			same.Nodes = append(same.Nodes, d.Path)
			continue
		}
		switch capture.Kind(d.Use) {
		case capture.V4L2:
			if mode, ok := d.Best(); ok && d.Ready() {
				entry.Config = v4l2Line(names.next(d.Name()), d, mode, f.ambiguous(d))
			}
		case capture.RPiCam:
			f.csiSensor(&entry, names.next("csi"))
		case capture.GStreamer:
			f.gstreamerSensor(&entry, names.next(sensorName(d)), sensors)
			sensors++
		}
		list.Cameras = append(list.Cameras, entry)
	}
	raspberry := strings.Contains(f.board, "Raspberry")
	for _, c := range list.Cameras {
		list.Found = list.Found || c.Config != "" && c.Problem == ""
		raspberry = raspberry || c.CSI != nil || c.Device != nil && c.Device.Use == string(capture.RPiCam)
	}
	for _, m := range f.missing {
		if raspberry || m.Types != "type rpicam" {
			list.Missing = append(list.Missing, m)
		}
	}
	if f.csiErr != nil && !errors.Is(f.csiErr, csi.ErrMissing) {
		list.Problem = f.csiErr.Error()
	}
	return list
}

// same is an entry that is about the same sensor, or the same trouble of the same camera, as another one.
func (l *cameraList) same(entry *listedCamera) *listedCamera {
	for i := range l.Cameras {
		c := &l.Cameras[i]
		if d, e := c.Device, entry.Device; d != nil && e.Problem != "" && d.Problem == e.Problem && d.Bus == e.Bus && d.Name() == e.Name() {
			return c
		}
	}
	return nil
}

// csiSensor is a sensor of a Raspberry Pi that libcamera didn't list.
func (f *foundCameras) csiSensor(entry *listedCamera, name string) {
	entry.Name = "camera on the CSI port"
	entry.Config = fmt.Sprintf("- {name: %s, type: rpicam, size: 640x480, fps: 15}", name)
	switch {
	case errors.Is(f.csiErr, csi.ErrMissing):
		entry.Problem, entry.Hint = "rpicam-apps isn't installed", "sudo apt install rpicam-apps"
	case f.csiErr != nil:
		entry.Problem, entry.Hint = "libcamera doesn't list it", "try \"rpicam-hello --list-cameras\""
	default:
		entry.Problem, entry.Hint = "libcamera knows no camera here", "check the ribbon cable and dtoverlay in /boot/firmware/config.txt, and restart"
	}
}

// gstreamerSensor is a sensor that a plug-in of GStreamer reads: on a Jetson nvarguscamerasrc, which counts them.
func (f *foundCameras) gstreamerSensor(entry *listedCamera, name string, number int) {
	pipeline := "libcamerasrc ! video/x-raw,width=640,height=480"
	if strings.HasPrefix(entry.Device.Driver, "tegra") {
		pipeline = fmt.Sprintf("nvarguscamerasrc sensor-id=%d ! nvvidconv ! video/x-raw,format=BGRx,width=640,height=480", number)
	}
	entry.Config = fmt.Sprintf("- {name: %s, type: gstreamer, pipeline: %q}", name, pipeline)
	entry.Name = sensorName(entry.Device)
	entry.Problem, entry.Hint = "", ""
	for _, m := range f.missing {
		if m.Types == "type gstreamer" {
			entry.Problem, entry.Hint = m.Program+" isn't installed", "sudo apt install "+m.Package
		}
	}
}

// sensorName finds the sensor in a Jetson's "vi-output, imx219 9-0010".
func sensorName(d *v4l2.Device) string {
	if _, sensor, ok := strings.Cut(d.Card, ", "); ok && sensor != "" {
		return strings.Fields(sensor + " ")[0]
	}
	return d.Name()
}

// ambiguous reports whether there are cameras of one make that their links by id don't tell apart, for want of serial numbers: udev
// then has a link for one of them only.
func (f *foundCameras) ambiguous(d *v4l2.Device) bool {
	alike, linked := 0, 0
	for i := range f.devices {
		if other := &f.devices[i]; other.Ready() && other.Card == d.Card && other.Driver == d.Driver {
			alike++
			linked += min(len(other.ByID), 1)
		}
	}
	return alike > linked
}

// v4l2Line is a source in YAML. A link by id finds the camera in any port; one by path tells cameras of one make apart.
func v4l2Line(name string, d *v4l2.Device, mode v4l2.Mode, ambiguous bool) string {
	device := d.Path
	switch {
	case len(d.ByID) > 0 && !ambiguous:
		device = d.ByID[0]
	case len(d.ByPath) > 0:
		device = d.ByPath[0]
	case len(d.ByID) > 0:
		device = d.ByID[0]
	}
	return fmt.Sprintf("- {name: %s, type: v4l2, device: %s, size: %dx%d, fps: %s, fourcc: %s}",
		name, yamlText(device), mode.Width, mode.Height, number(mode.FPS), yamlText((mode.FourCC + "    ")[:4]))
}

var plainYAML = regexp.MustCompile(`^[A-Za-z/](?:[A-Za-z0-9_./+@=-]|:[A-Za-z0-9_./+@=-])*$`)

// yamlText writes a value of a flow mapping, in quotes where it would be taken for something else.
func yamlText(s string) string {
	if plainYAML.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// number is a rate as people write it: two decimals at most.
func number(rate float64) string {
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(rate, 'f', 2, 64), "0"), ".")
}

// sourceNames makes names for sources of what cameras call themselves, each another one.
type sourceNames map[string]bool

func (n sourceNames) next(camera string) string {
	base := strings.Trim(squeezed.ReplaceAllString(publish.Name(camera), "-"), "-")
	name := base
	for i := 2; n[name] || !publish.ValidSource(name); i++ {
		name = base[:min(len(base), 60)] + "-" + strconv.Itoa(i)
	}
	n[name] = true
	return name
}

var squeezed = regexp.MustCompile(`-{2,}`)
