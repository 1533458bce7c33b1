package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
)

// External programs.
const (
	ffmpeg       = "ffmpeg"
	gstLaunch    = "gst-launch-1.0"
	rpicamVid    = "rpicam-vid"
	libcameraVid = "libcamera-vid" // what rpicam-vid was called before
)

// Package is the Debian package that has one of the external programs; "" for any other.
func Package(program string) string {
	switch program {
	case ffmpeg:
		return "ffmpeg"
	case gstLaunch:
		return "gstreamer1.0-tools"
	case rpicamVid:
		return "rpicam-apps"
	case libcameraVid:
		return "libcamera-apps"
	}
	return ""
}

// lookPath finds a program. The error says what to install.
func lookPath(program string) (string, error) {
	path, err := exec.LookPath(program)
	switch {
	case err == nil:
		return path, nil
	case Package(program) == "" || !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("start %s: %w", program, errors.Unwrap(err))
	case program == rpicamVid:
		return "", fmt.Errorf("%s is not installed: it is in the package rpicam-apps, on older systems libcamera-apps", program)
	}
	return "", fmt.Errorf("%s is not installed: it is in the package %s", program, Package(program))
}

// rpicamName is the name of rpicam-vid here: the older one only where that alone is found.
func rpicamName() string {
	if _, err := exec.LookPath(rpicamVid); err != nil {
		if _, err := exec.LookPath(libcameraVid); err == nil {
			return libcameraVid
		}
	}
	return rpicamVid
}
