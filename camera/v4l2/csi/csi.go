// Package csi lists the cameras on a Raspberry Pi's CSI ports by asking rpicam-hello, or libcamera-hello, as it was called before.
// It takes no pictures.
package csi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// Camera is a camera as libcamera sees it. It lists USB cameras, too, which are read through V4L2.
type Camera struct {
	Number int    `json:"number"` // a source's device
	Sensor string `json:"sensor"` // imx708
	Width  int    `json:"width"`  // pixels, of all the sensor
	Height int    `json:"height"`
	Kind   string `json:"kind"` // bits and colour filter: "10-bit RGGB"; "" unknown
	Path   string `json:"path"` // in the device tree: /base/soc/i2c0mux/i2c@1/imx708@1a
	Modes  []Mode `json:"modes"`
}

// Mode is one in which the sensor may run.
type Mode struct {
	Format string  `json:"format"` // SRGGB10_CSI2P
	Width  int     `json:"width"`  // pixels
	Height int     `json:"height"`
	FPS    float64 `json:"fps"` // at most
}

// USB reports whether the camera is one that type v4l2 reads.
func (c *Camera) USB() bool {
	return strings.Contains(c.Path, "usb") || usbNumbers.MatchString(c.Path)
}

// Bounds on what is read of a program, and how long it may take.
const (
	maxOutput  = 1 << 20
	maxCameras = 16
	maxModes   = 64 // a camera
	slow       = 10 * time.Second
	patience   = time.Second // for the program's descendants, when it was killed
)

// ErrMissing says that there is no program to ask.
var ErrMissing = errors.New("list CSI cameras: rpicam-hello isn't installed")

// programs are the names, the newer one first.
var programs = []string{"rpicam-hello", "libcamera-hello"}

// List asks for 10 seconds at most. The error is ErrMissing, or says for people what the program said.
func List(ctx context.Context) ([]Camera, error) { return list(ctx, slow) }

func list(ctx context.Context, limit time.Duration) ([]Camera, error) {
	for _, name := range programs {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, "--list-cameras")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = patience
		var out, failure limited
		cmd.Stdout, cmd.Stderr = &out, &failure
		err = cmd.Run()
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("list CSI cameras: %s hasn't answered for %v", name, limit)
		case err != nil:
			return nil, fmt.Errorf("list CSI cameras: %s: %w: %s", name, err, lastLine(failure.bytes))
		}
		// Before 2023 the list came on standard error.
		return append(parse(out.bytes), parse(failure.bytes)...), nil
	}
	return nil, ErrMissing
}

// limited keeps the first bytes that are written.
type limited struct{ bytes []byte }

func (l *limited) Write(p []byte) (int, error) {
	l.bytes = append(l.bytes, p[:min(len(p), maxOutput-len(l.bytes))]...)
	return len(p), nil
}

// lastLine is the end of what a program said.
func lastLine(text []byte) string {
	text = bytes.TrimSpace(text)
	line := text[bytes.LastIndexByte(text, '\n')+1:]
	return printable(string(line[:min(len(line), 200)]))
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

var (
	cameraLine = regexp.MustCompile(`^(\d{1,2}) : (\S{1,64})(?: \[(\d{1,5})x(\d{1,5})([^\]]{0,40})\])? \(([^)]{0,256})\)`)
	formatMark = regexp.MustCompile(`^(?:Modes:)?\s*'([A-Za-z0-9_-]{1,32})'\s*:\s*`)
	modeText   = regexp.MustCompile(`^(\d{1,5})x(\d{1,5})(?: \[(\d{1,4}(?:\.\d{1,6})?) fps[^\]]*\])?\s*`)
	usbNumbers = regexp.MustCompile(`-[0-9a-f]{4}:[0-9a-f]{4}$`) // vendor and product
)

// parse reads the list: a line for each camera, and below it the modes, format by format, one a line or several. Lines that are
// neither are passed over.
func parse(text []byte) []Camera {
	cameras, format := []Camera{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, " \r\n")
		if m := cameraLine.FindStringSubmatch(line); m != nil {
			if len(cameras) == maxCameras {
				break
			}
			cameras = append(cameras, Camera{
				Number: number(m[1]), Sensor: printable(m[2]), Width: number(m[3]), Height: number(m[4]),
				Kind: printable(strings.TrimSpace(m[5])), Path: printable(m[6]), Modes: []Mode{},
			})
			format = ""
			continue
		}
		line = strings.TrimSpace(line)
		if m := formatMark.FindStringSubmatch(line); m != nil {
			format, line = m[1], line[len(m[0]):]
		}
		if format == "" || len(cameras) == 0 {
			continue
		}
		c := &cameras[len(cameras)-1]
		for m := modeText.FindStringSubmatch(line); m != nil && len(c.Modes) < maxModes; m = modeText.FindStringSubmatch(line) {
			fps, _ := strconv.ParseFloat(m[3], 64) // 0: older versions don't tell it
			c.Modes = append(c.Modes, Mode{Format: format, Width: number(m[1]), Height: number(m[2]), FPS: fps})
			line = line[len(m[0]):]
		}
	}
	return cameras
}

// number reads what an expression has found to be some digits, or nothing.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
