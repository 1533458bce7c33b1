// Package v4l2 finds video devices and tells which of them are cameras, what they offer, and what keeps one from being read. It
// asks the kernel by ioctl, and reads /sys, /dev/v4l and /proc. It opens devices, but takes no picture from any: that is the
// business of package grab below it, which runs in a child process.
//
// A driver may not return from a call. List gives each device a few seconds and goes on without it. Resolve, which a daemon calls
// before every opening, opens nothing: it reads what the kernel tells in /sys.
package v4l2

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Device is a /dev/video* node. Most aren't cameras: a webcam has a second one for metadata, and a board's decoders and image
// processors have a dozen.
type Device struct {
	Path   string   `json:"path"`    // /dev/video0
	ByID   []string `json:"by_id"`   // links in /dev/v4l/by-id, sorted: the same wherever the camera is plugged in
	ByPath []string `json:"by_path"` // links in /dev/v4l/by-path, sorted: the same whatever is plugged in there

	Driver string `json:"driver"` // uvcvideo
	Card   string `json:"card"`   // the camera's name
	Bus    string `json:"bus"`    // where it is plugged in

	Use  string `json:"use"`  // the type of source that reads it: v4l2, rpicam or gstreamer; "": it is no camera, or it doesn't say
	What string `json:"what"` // in a few words, what it is instead of a camera, else ""

	Formats []Format `json:"formats"`
	Users   []string `json:"users"`   // programs that have it open, as far as one may look: "motion (pid 812)"
	Problem string   `json:"problem"` // why it can't be read as it is, else ""
	Hint    string   `json:"hint"`    // what to do about that, else ""
}

// Ready reports whether a source of type v4l2 can read the device, unless another program does.
func (d *Device) Ready() bool { return d.Use == useV4L2 && d.Problem == "" }

// Name is the card's name for people. UVC cameras often tell theirs twice, cut off: "C920: C9" is "C920".
func (d *Device) Name() string {
	first, rest, twice := strings.Cut(d.Card, ": ")
	if twice && strings.HasPrefix(first, rest) {
		return first
	}
	return cmp.Or(d.Card, filepath.Base(d.Path))
}

// Format is one way in which a device gives pictures.
type Format struct {
	FourCC      string `json:"fourcc"` // MJPG, YUYV; of the kernel's formats with a space at the end without it
	Description string `json:"description"`
	Readable    bool   `json:"readable"` // sources of type v4l2 understand it
	Sizes       []Size `json:"sizes"`    // as the driver lists them
}

// Size is a size of pictures, or a range of them, in pixels.
type Size struct {
	Width     int `json:"width"`
	Height    int `json:"height"`
	MaxWidth  int `json:"max_width,omitempty"` // of a range, of which Width and Height are the least; else 0
	MaxHeight int `json:"max_height,omitempty"`
	StepX     int `json:"step_x,omitempty"` // of a range: 1 or more
	StepY     int `json:"step_y,omitempty"`

	Rates   []float64 `json:"rates"`              // pictures a second, fastest first; of a range of sizes those of the size nearest 640x480
	AnyRate bool      `json:"any_rate,omitempty"` // all between the two Rates, too
}

// slowDevice is how long a device may take for its answers. They come from the driver's memory, or from a USB camera's controller.
const slowDevice = 5 * time.Second

// maxDevices bounds how many nodes are asked: video4linux has 256 numbers for all kinds of devices.
const maxDevices = 256

// List asks all /dev/video* what they are, several at a time, and returns them by number. A device that can't be asked is there
// with its Problem. Without any device the list is empty. When ctx ends, or after 5 seconds, what hasn't answered gets that for
// its Problem, and the goroutine that asks it stays until the driver returns.
func List(ctx context.Context) ([]Device, error) { return thisMachine().list(ctx) }

// Look asks one device, given as for Resolve. It waits for the driver, however long that takes.
func Look(device string) (Device, error) {
	m := thisMachine()
	path, _, err := m.resolve(device, nil)
	if err != nil {
		return Device{}, err
	}
	return m.examine(path, m.links()), nil
}

// machine is where the devices are: files below root, and how one of them is opened.
type machine struct {
	root string // "" for this machine
	open func(path string) (device, error)
	slow time.Duration
}

func thisMachine() machine { return machine{open: openDevice, slow: slowDevice} }

func (m machine) list(ctx context.Context) ([]Device, error) {
	paths, err := m.paths()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.slow)
	defer cancel()
	links := m.links()
	devices := make([]Device, len(paths))
	var wait sync.WaitGroup
	for i, path := range paths {
		wait.Go(func() {
			answer := make(chan Device, 1)
			go func() { answer <- m.examine(path, links) }()
			select {
			case devices[i] = <-answer:
			case <-ctx.Done():
				devices[i] = newDevice(path, links)
				devices[i].Card = m.identity(path).Name
				devices[i].Problem = "the driver doesn't answer"
				devices[i].Hint = "unplug the camera and plug it in again, or restart the machine; \"sudo dmesg | tail\" may say more"
			}
		})
	}
	wait.Wait()
	users := m.users()
	for i := range devices {
		devices[i].Users = append(devices[i].Users, users[devices[i].Path]...)
	}
	return devices, nil
}

// paths are the /dev/video* nodes by number.
func (m machine) paths() ([]string, error) {
	entries, err := os.ReadDir(m.root + "/dev")
	if err != nil {
		return nil, fmt.Errorf("list video devices: %w", err)
	}
	var numbers []int
	for _, e := range entries {
		if n, ok := nodeNumber(e.Name()); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	var paths []string
	for _, n := range numbers[:min(len(numbers), maxDevices)] {
		paths = append(paths, "/dev/video"+strconv.Itoa(n))
	}
	return paths, nil
}

// nodeNumber is 3 for "video3".
func nodeNumber(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, "video")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n >= 0 && strconv.Itoa(n) == digits
}

// linkTable has the links in /dev/v4l/by-id and by-path, by the node that they lead to.
type linkTable struct{ byID, byPath map[string][]string }

func (m machine) links() linkTable {
	return linkTable{m.linksIn("/dev/v4l/by-id"), m.linksIn("/dev/v4l/by-path")}
}

// linksIn reads a folder of links; one that isn't there has none, as on machines without udev.
func (m machine) linksIn(dir string) map[string][]string {
	table := map[string][]string{}
	entries, err := os.ReadDir(m.root + dir)
	if err != nil {
		return table
	}
	for _, e := range entries {
		link := dir + "/" + e.Name()
		if target, err := m.follow(link); err == nil {
			table[target] = append(table[target], link)
		}
	}
	return table
}

func newDevice(path string, links linkTable) Device {
	return Device{
		Path: path, ByID: append([]string{}, links.byID[path]...), ByPath: append([]string{}, links.byPath[path]...),
		Formats: []Format{}, Users: []string{},
	}
}

// follow follows links to a path without the root.
func (m machine) follow(path string) (string, error) {
	target, err := filepath.EvalSymlinks(m.root + path)
	if err != nil || m.root == "" {
		return target, err
	}
	root, err := filepath.EvalSymlinks(m.root)
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(target, root), nil
}
