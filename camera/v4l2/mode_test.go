package v4l2

import (
	"strings"
	"testing"
)

func TestBest(t *testing.T) {
	rates := func(r ...float64) []float64 { return r }
	for _, test := range []struct {
		name    string
		formats []Format
		want    Mode
	}{
		{"MJPG before YUYV", []Format{{FourCC: "YUYV", Readable: true, Sizes: []Size{{Width: 640, Height: 480, Rates: rates(30)}}},
			{FourCC: "MJPG", Readable: true, Sizes: []Size{{Width: 1920, Height: 1080, Rates: rates(60, 30, 24)}, {Width: 1280, Height: 720, Rates: rates(60, 30, 25)}}}},
			Mode{"MJPG", 1280, 720, 25}},
		{"all smaller", []Format{{FourCC: "YUYV", Readable: true, Sizes: []Size{{Width: 160, Height: 120, Rates: rates(60)}, {Width: 320, Height: 240, Rates: rates(10, 7.5)}}}},
			Mode{"YUYV", 320, 240, 10}},
		{"wide isn't enough", []Format{{FourCC: "MJPG", Readable: true, Sizes: []Size{{Width: 640, Height: 360, Rates: rates(30)}, {Width: 1280, Height: 720, Rates: rates(60)}}}},
			Mode{"MJPG", 1280, 720, 60}},
		{"H264 is passed over", []Format{{FourCC: "H264"}, {FourCC: "GREY", Readable: true}}, Mode{"GREY", 640, 480, 15}},
		{"steps", []Format{{FourCC: "NV12", Readable: true, Sizes: []Size{{Width: 16, MaxWidth: 4096, StepX: 7, Height: 16, MaxHeight: 4096, StepY: 32, Rates: rates(120, 1), AnyRate: true}}}},
			Mode{"NV12", 646, 496, 15}},
		{"range that is too small", []Format{{FourCC: "NV12", Readable: true, Sizes: []Size{{Width: 16, MaxWidth: 330, StepX: 100, Height: 16, MaxHeight: 240, StepY: 1, Rates: rates(12, 1), AnyRate: true}}}},
			Mode{"NV12", 316, 240, 12}},
		{"29.97", []Format{{FourCC: "MJPG", Readable: true, Sizes: []Size{{Width: 640, Height: 480, Rates: rates(59.94, 30.3, 5)}}}}, Mode{"MJPG", 640, 480, 30.3}},
	} {
		d := Device{Formats: test.formats}
		if got, ok := d.Best(); !ok || got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
	if got, ok := (&Device{Formats: []Format{{FourCC: "H264"}}}).Best(); ok {
		t.Errorf("H264 alone: got %+v, want none", got)
	}
}

func TestPrepare(t *testing.T) {
	for _, test := range []struct {
		recording, path string
		ask, want       Mode
		problem         string
	}{
		{"c920", "/dev/video0", Mode{}, Mode{"MJPG", 640, 480, 15}, ""},
		{"c920", "/dev/video0", Mode{FourCC: "yuyv", Width: 800, Height: 600}, Mode{"YUYV", 800, 600, 15}, ""},
		{"c920", "/dev/video0", Mode{FPS: 7, Width: 33, Height: 44}, Mode{"MJPG", 33, 44, 7}, ""},
		{"c920", "/dev/video0", Mode{FourCC: "H264"}, Mode{}, "open /dev/video0 (HD Pro Webcam C920): format H264 isn't offered: want YUYV or MJPG"},
		{"c920", "/dev/video1", Mode{}, Mode{}, "want a camera, it is metadata"},
		{"c920", "/dev/video10", Mode{}, Mode{}, "want a camera, it is a decoder, encoder or scaler"},
		{"unicam", "/dev/video0", Mode{}, Mode{}, "raw values of a sensor, which type v4l2 can't read: use type rpicam, with the package rpicam-apps"},
		{"jetson", "/dev/video0", Mode{}, Mode{}, "use type gstreamer, with nvarguscamerasrc"},
		{"loopback", "/dev/video20", Mode{}, Mode{"YU12", 1280, 720, 25}, ""},
		{"loopback", "/dev/video21", Mode{}, Mode{}, "no program writes into this loopback device: start the program that does"},
		{"troubles", "/dev/video0", Mode{}, Mode{}, "open /dev/video0: in use by motion (pid 812): stop that program"},
		{"troubles", "/dev/video1", Mode{}, Mode{}, "it is gone"},
		{"troubles", "/dev/video2", Mode{}, Mode{}, "permission denied: "},
		{"troubles", "/dev/video3", Mode{}, Mode{}, "try another cable"},
		{"troubles", "/dev/video4", Mode{}, Mode{}, "open /dev/video4: too many open files: raise LimitNOFILE"},
		{"troubles", "/dev/video7", Mode{}, Mode{}, "in use by ffmpeg (pid 900)"},
		{"troubles", "/dev/video11", Mode{}, Mode{"NV12", 640, 480, 15}, ""},
		{"troubles", "/dev/video99", Mode{}, Mode{}, "it is gone"},
	} {
		got, err := load(t, test.recording).machine(t).prepare(test.path, test.ask)
		if test.problem != "" {
			if err == nil || !strings.Contains(err.Error(), test.problem) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s %s %+v: got %v, want %q", test.recording, test.path, test.ask, err, test.problem)
			}
		} else if err != nil || got != test.want {
			t.Errorf("%s %s %+v: got %+v, %v, want %+v", test.recording, test.path, test.ask, got, err, test.want)
		}
	}
}

func TestAccessHint(t *testing.T) {
	for _, test := range []struct {
		groupMay, inGroup bool
		want              string
	}{
		{true, false, "user pi must be in group video: sudo usermod -aG video pi, then log in again or restart the service"},
		{true, true, "user pi has joined group video since this program's login: log in again, or restart the service"},
		{false, false, "its owner alone may read it: sudo chgrp video /dev/video0"},
	} {
		if got := accessHint("/dev/video0", "video", "pi", test.groupMay, test.inGroup); !strings.HasPrefix(got, test.want) {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"640x480", "0x1", "x", "99999x1", "32768x32768", "1x1x1", "+1x1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, h, err := ParseSize(s)
		if (err == nil) != (w >= 1 && w <= maxSide && h >= 1 && h <= maxSide) {
			t.Errorf("%q: got %dx%d, %v", s, w, h, err)
		}
	})
}
