package main

import (
	"strings"
	"testing"
)

func TestCaptureUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "-device is missing"},
		{[]string{"--device", "0", "x"}, exitUsage, `want no arguments, have "x"`},
		{[]string{"--device", "0", "--size", "640"}, exitUsage, `-size: want a size such as 640x480, have "640"`},
		{[]string{"--device", "0", "--fps", "NaN"}, exitUsage, "-fps: want 0 to 1000"},
		{[]string{"--device", "0", "--fps", "-1"}, exitUsage, "-fps: want 0 to 1000"},
		{[]string{"--device", "webcam"}, exitRefused, `want /dev/videoN, N or a link in /dev/v4l, have "webcam"`},
		{[]string{"--device", "/dev/video65000"}, exitRefused, "no device /dev/video65000"},
		{[]string{"--device", "/dev/null", "--size", "640x480", "--fps", "15", "--fourcc", "MJPG"}, exitRefused, "open /dev/null: it is no video device"},
	} {
		code, stdout, stderr := sightd(t, nil, append([]string{"capture-v4l2"}, test.args...)...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%q: got %d, %q, %q, want %d and %q", test.args, code, stdout, stderr, test.code, test.want)
		}
	}
	if code, stdout, _ := sightd(t, nil, "help"); code != exitOK || strings.Contains(stdout, "capture-v4l2") {
		t.Errorf("help tells of a command that isn't for people: %s", stdout)
	}
}
