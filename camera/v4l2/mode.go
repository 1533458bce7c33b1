package v4l2

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Mode is what a device is asked to do. Zero values leave the choice to Prepare.
type Mode struct {
	FourCC string  `json:"fourcc"`
	Width  int     `json:"width"` // pixels
	Height int     `json:"height"`
	FPS    float64 `json:"fps"` // pictures a second
}

// What suits a network that sees 224 pixels, and leaves detail for snapshots.
const (
	wantWidth, wantHeight = 640, 480
	leastFPS, mostFPS     = 15, 30
)

// Best is the mode to start with: MJPG where the camera has it, which takes the least of a USB bus, else YUYV or the first format that
// can be read; of the sizes of at least 640x480 the smallest, else the largest; of the rates from 15 to 30 the lowest, else the nearest.
func (d *Device) Best() (Mode, bool) {
	f := d.format("")
	if f == nil {
		return Mode{}, false
	}
	mode := Mode{FourCC: f.FourCC, Width: wantWidth, Height: wantHeight, FPS: leastFPS}
	if size := f.best(); size != nil {
		mode.Width, mode.Height = size.near(wantWidth, wantHeight)
		mode.FPS = size.bestRate()
	}
	return mode, true
}

// format is the one with that name, or the best one for "".
func (d *Device) format(name string) *Format {
	prefer := []string{name}
	if name == "" {
		prefer = []string{"MJPG", "JPEG", "YUYV", "UYVY"}
	}
	for _, p := range prefer {
		if i := slices.IndexFunc(d.Formats, func(f Format) bool { return f.FourCC == p && f.Readable }); i >= 0 {
			return &d.Formats[i]
		}
	}
	if name == "" {
		if i := slices.IndexFunc(d.Formats, func(f Format) bool { return f.Readable }); i >= 0 {
			return &d.Formats[i]
		}
	}
	return nil
}

// best is the smallest size of at least 640x480, else the largest; nil without any.
func (f *Format) best() *Size {
	var enough, largest *Size
	for i := range f.Sizes {
		s := &f.Sizes[i]
		w, h := s.near(wantWidth, wantHeight)
		area := func(s *Size) int {
			w, h := s.near(wantWidth, wantHeight)
			return w * h
		}
		if w >= wantWidth && h >= wantHeight && (enough == nil || area(s) < area(enough)) {
			enough = s
		}
		if largest == nil || area(s) > area(largest) {
			largest = s
		}
	}
	if enough != nil {
		return enough
	}
	return largest
}

// bestRate is the lowest rate from 15 to 30, else the one nearest to them.
func (s *Size) bestRate() float64 {
	if len(s.Rates) == 0 {
		return leastFPS
	}
	if s.AnyRate {
		return min(max(leastFPS, s.Rates[len(s.Rates)-1]), s.Rates[0])
	}
	away := func(r float64) float64 {
		if r >= leastFPS && r <= mostFPS+0.5 {
			return (r - leastFPS) / 1000
		}
		return math.Min(math.Abs(r-leastFPS), math.Abs(r-mostFPS)) + 1
	}
	best := s.Rates[0]
	for _, r := range s.Rates {
		if away(r) < away(best) {
			best = r
		}
	}
	return best
}

// ParseSize reads "640x480": two numbers from 1 to 32768.
func ParseSize(text string) (width, height int, err error) {
	w, h, ok := strings.Cut(text, "x")
	width, okW := side(w)
	height, okH := side(h)
	if !ok || !okW || !okH {
		return 0, 0, fmt.Errorf("want a size such as 640x480, have %q", text)
	}
	return width, height, nil
}

func side(text string) (n int, ok bool) {
	if len(text) == 0 || len(text) > 5 {
		return 0, false
	}
	for _, r := range text {
		if r < '0' || r > '9' {
			return 0, false
		}
		n = n*10 + int(r-'0')
	}
	return n, n >= 1 && n <= maxSide
}

// Prepare looks whether a device, given by its path, can be opened for the mode, and fills in what the mode leaves open. The error says
// for people in one line what is in the way, and what to do. A size or a rate that isn't offered is no error: drivers take the nearest.
// It waits for the driver, however long that takes.
func Prepare(path string, mode Mode) (Mode, error) { return thisMachine().prepare(path, mode) }

func (m machine) prepare(path string, mode Mode) (Mode, error) {
	d := m.examine(path, linkTable{})
	switch {
	case d.What != "":
		return mode, fmt.Errorf("open %s (%s): want a camera, it is %s", path, d.Name(), d.What)
	case d.Problem != "":
		return mode, d.failure()
	}
	if err := m.free(&d); err != nil {
		return mode, err
	}
	f := d.format(strings.ToUpper(strings.TrimSpace(mode.FourCC)))
	if f == nil {
		return mode, fmt.Errorf("open %s (%s): format %s isn't offered: want %s", path, d.Name(), mode.FourCC, d.offers())
	}
	best, _ := (&Device{Formats: []Format{*f}}).Best() // f is readable
	mode.FourCC = f.FourCC
	if mode.Width == 0 || mode.Height == 0 {
		mode.Width, mode.Height = best.Width, best.Height
	}
	if mode.FPS == 0 {
		mode.FPS = best.FPS
	}
	return mode, nil
}

// failure is Problem and Hint in one line.
func (d *Device) failure() error {
	if d.Hint == "" {
		return fmt.Errorf("open %s: %s", d.Path, d.Problem)
	}
	return fmt.Errorf("open %s: %s: %s", d.Path, d.Problem, d.Hint)
}

// offers names the formats that can be read.
func (d *Device) offers() string {
	var names []string
	for _, f := range d.Formats {
		if f.Readable {
			names = append(names, f.FourCC)
		}
	}
	return strings.Join(names, " or ")
}

// free looks whether another program takes pictures from the device: drivers then refuse to give up buffers that there are none of.
func (m machine) free(d *Device) error {
	node, err := m.open(m.root + d.Path)
	if err == nil {
		defer node.Close()
		var c capability
		if err = ask(node.ioctl, reqCapability, &c); err == nil {
			err = ask(node.ioctl, reqBuffers, &bufferRequest{Type: bufferType(c.node()), Memory: memoryMapped})
		}
	}
	if err == nil || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) {
		return nil
	}
	d.Problem, d.Hint = m.explain(d.Path, err)
	return d.failure()
}

// Present looks whether a device is still there and answers; the error says what became of it. It may be in use. It waits for the driver.
func Present(path string) error { return thisMachine().present(path) }

func (m machine) present(path string) error {
	node, err := m.open(m.root + path)
	if err == nil {
		var c capability
		err = ask(node.ioctl, reqCapability, &c)
		if e := node.Close(); err == nil {
			err = e
		}
	}
	if err == nil || errors.Is(err, unix.EBUSY) {
		return nil // this process may be who has it
	}
	problem, hint := m.explain(path, err)
	return fmt.Errorf("read %s: %s: %s", path, problem, hint)
}
