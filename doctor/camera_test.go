package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sightd/camera/v4l2"
	"sightd/daemon"
)

// live is what is found of the last source of the keys, a YAML list without brackets.
func live(t *testing.T, s *system, sources string) []Finding {
	t.Helper()
	c, err := daemon.Parse("f.yaml", []byte("state_dir: "+t.TempDir()+"\nsources: ["+sources+"]\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return (&examiner{system: s, config: &c}).live(context.Background(), len(c.Sources)-1)
}

// installed makes these the only programs.
func installed(t *testing.T, names ...string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		write(t, filepath.Join(dir, name), "#!/bin/sh\n")
		if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	film := filepath.Join(dir, "a.mp4")
	write(t, film, "x")
	const there = "ok source a: is there, and may be read"
	for _, test := range []struct {
		name, source string
		programs     []string
		want         []string
	}{
		{"rpicam", "{name: a, type: rpicam}", []string{"rpicam-vid"}, []string{"ok source a program: rpicam-vid", "ok source a: libcamera finds 0: imx708 (4608x2592)"}},
		{"old rpicam", "{name: a, type: rpicam}", []string{"libcamera-vid"}, []string{"ok source a program: libcamera-vid", "ok source a: libcamera finds 0: imx708"}},
		{"no rpicam", "{name: a, type: rpicam}", nil, []string{"fail source a program: rpicam-vid is not installed -> Raspberry Pi OS has it (sudo apt install rpicam-apps-lite)"}},
		{"GStreamer", "{name: a, type: gstreamer, pipeline: videotestsrc}", []string{"gst-launch-1.0"}, []string{"ok source a program: gst-launch-1.0"}},
		{"no GStreamer", "{name: a, type: gstreamer, pipeline: videotestsrc}", nil, []string{"fail source a program: gst-launch-1.0 is not installed -> sudo apt install gstreamer1.0-tools"}},
		{"video", "{name: a, type: replay, path: " + film + "}", []string{"ffmpeg"}, []string{"ok source a program: ffmpeg", there}},
		{"video without ffmpeg", "{name: a, type: replay, path: " + film + "}", nil, []string{"fail source a program: ffmpeg is not installed -> sudo apt install ffmpeg", there}},
		{"film over file://", "{name: a, type: url, url: 'file://" + film + "'}", []string{"ffmpeg"}, []string{"ok source a program: ffmpeg", there}},
		{"missing film over file://", "{name: a, type: url, url: 'file://" + film + ".no'}", []string{"ffmpeg"},
			[]string{"ok source a program: ffmpeg", "fail source a: no such file -> set sources[0].url to a video"}},
		{"folder over file://", "{name: a, type: url, url: 'file://" + dir + "'}", []string{"ffmpeg"},
			[]string{"ok source a program: ffmpeg", "fail source a: want a video, have a folder -> set sources[0].url to a video"}},
		{"folder", "{name: a, type: replay, path: " + dir + "}", nil, []string{there}},
		{"empty folder", "{name: a, type: replay, path: " + t.TempDir() + "}", nil, []string{"warn source a: is empty -> put pictures there"}},
		{"missing folder", "{name: a, type: replay, path: " + dir + "/none}", nil, []string{"fail source a: no such file -> set sources[0].path"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			installed(t, test.programs...)
			want(t, live(t, recorded(t, nil), test.source), test.want...)
		})
	}
}

func TestRecordingOfNothing(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, []Finding{recording(context.Background(), "source a", fifo, "set sources[0].path", true)}, "fail source a: want a folder or a file, have a device, a FIFO -> set sources[0].path")
}

func TestDevice(t *testing.T) {
	installed(t)
	const camera = "{name: door, type: v4l2, device: /dev/video0}"
	with := func(change func(*v4l2.Device)) v4l2.Device {
		d := webcam()
		change(&d)
		return d
	}
	for _, test := range []struct {
		name, sources string
		device        v4l2.Device
		err           error
		want          string
	}{
		{"right", camera, webcam(), nil, "ok source door: /dev/video0 (C920) offers MJPG or YUYV"},
		{"within a range of sizes", "{name: door, type: v4l2, device: 0, fourcc: yuyv, size: 1024x576}", webcam(), nil, "ok source door: offers MJPG or YUYV"},
		{"another size", "{name: door, type: v4l2, device: 0, size: 800x600}", webcam(), nil, "ok source door: but not 800x600 in MJPG"},
		{"another format", "{name: door, type: v4l2, device: 0, fourcc: NV12}", webcam(), nil, "fail source door: doesn't offer NV12 -> set sources[0].fourcc to MJPG or YUYV"},
		{"a format that can't be read", "{name: door, type: v4l2, device: 0, fourcc: H264}", webcam(), nil, "fail source door: doesn't offer H264 -> set sources[0].fourcc to MJPG or YUYV"},
		{"missing", camera, v4l2.Device{}, errors.New("no device /dev/video0"), "fail source door: no device /dev/video0 -> sightd cameras"},
		{"no camera", camera, with(func(d *v4l2.Device) { d.What = "a decoder" }), nil, "fail source door: want a camera, it is a decoder -> sightd cameras"},
		{"no permission", camera, with(func(d *v4l2.Device) { d.Problem, d.Hint = "permission denied", "join group video" }), nil, "fail source door: /dev/video0: permission denied -> join group video"},
		{"of another type", camera, with(func(d *v4l2.Device) { d.Use = "rpicam" }), nil, "fail source door: is read by a source of type rpicam -> sightd cameras"},
		{"two names", "{name: yard, type: v4l2, device: /dev/null}, {name: door, type: v4l2, device: LINK}", webcam(), nil, "fail source door: is the device of source yard -> remove one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			link := filepath.Join(t.TempDir(), "camera")
			if err := os.Symlink("/dev/null", link); err != nil {
				t.Fatal(err)
			}
			s := recorded(t, nil)
			s.video = func(string) (v4l2.Device, error) { return test.device, test.err }
			want(t, live(t, s, strings.ReplaceAll(test.sources, "LINK", link)), test.want)
		})
	}

	c := config(t)
	c.Sources = []daemon.SourceConfig{{Name: "door", Type: daemon.TypeV4L2, Device: "/dev/video0", FourCC: "MJPG"}}
	hold(t, c)
	s := recorded(t, nil)
	s.video = func(string) (v4l2.Device, error) {
		return with(func(d *v4l2.Device) { d.Problem, d.Hint = "in use by sightd (pid 1)", "stop that program" }), nil
	}
	want(t, (&examiner{system: s, config: c}).live(context.Background(), 0), "warn source door: in use by sightd -> stop that program")

	release := make(chan struct{})
	defer close(release)
	s.video = func(string) (v4l2.Device, error) { <-release; return v4l2.Device{}, nil }
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	want(t, (&examiner{system: s, config: c}).live(ctx, 0), "fail source door: the driver doesn't answer -> unplug")
}
