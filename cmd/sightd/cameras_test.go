package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"sightd/camera/v4l2"
	"sightd/camera/v4l2/csi"
	"sightd/publish"
)

var updateCameras = flag.Bool("update-cameras", false, "write the golden files of sightd cameras anew")

// recordedDevices is a list that package v4l2 made of a recording.
func recordedDevices(t *testing.T, name string) []v4l2.Device {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "camera", "v4l2", "testdata", "devices", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var devices []v4l2.Device
	if err := json.Unmarshal(data, &devices); err != nil {
		t.Fatal(err)
	}
	return devices
}

var (
	imx708 = csi.Camera{Number: 0, Sensor: "imx708_wide", Width: 4608, Height: 2592, Kind: "10-bit RGGB",
		Path: "/base/axi/pcie@1000120000/rp1/i2c@88000/imx708@1a", Modes: []csi.Mode{
			{Format: "SRGGB10_CSI2P", Width: 1536, Height: 864, FPS: 120.13}, {Format: "SRGGB10_CSI2P", Width: 4608, Height: 2592, FPS: 14.35}}}
	imx219  = csi.Camera{Number: 1, Sensor: "imx219", Width: 3280, Height: 2464, Path: "/base/axi/pcie@1000120000/rp1/i2c@80000/imx219@10", Modes: []csi.Mode{}}
	usbC920 = csi.Camera{Number: 2, Sensor: "HD", Path: "/base/scb/pcie@7d500000/pci@0,0/usb@0,0-1.3:1.0-046d:082d", Modes: []csi.Mode{}}

	noGst    = missingProgram{"gst-launch-1.0", "gstreamer1.0-tools", "type gstreamer"}
	noRpicam = missingProgram{"rpicam-vid", "rpicam-apps", "type rpicam"}
	noFFmpeg = missingProgram{"ffmpeg", "ffmpeg", "type url with rtsp and videos of type replay"}
)

// TestCameras prints what there is on each recorded machine, holds it against golden files, and checks the configurations' lines.
func TestCameras(t *testing.T) {
	failed := errors.New("list CSI cameras: rpicam-hello: exit status 255: no libcamera")
	for _, test := range []struct {
		name, devices string
		csi           []csi.Camera
		csiErr        error
		board         string
		missing       []missingProgram
		all           bool
		found         bool
	}{
		{"c920", "c920", nil, csi.ErrMissing, "", []missingProgram{noRpicam}, false, true},
		{"c920-all", "c920", nil, csi.ErrMissing, "", nil, true, true},
		{"pi5-two", "rp1cfe", []csi.Camera{imx708, imx219, usbC920}, nil, "Raspberry Pi 5 Model B Rev 1.0", nil, false, true},
		{"pi5-no-apps", "rp1cfe", nil, csi.ErrMissing, "Raspberry Pi 5 Model B Rev 1.0", []missingProgram{noRpicam}, false, false},
		{"pi4-unlisted", "unicam", nil, nil, "Raspberry Pi 4 Model B Rev 1.4", nil, false, false},
		{"pi4-failed", "unicam", nil, failed, "Raspberry Pi 4 Model B Rev 1.4", nil, false, false},
		{"jetson", "jetson", nil, csi.ErrMissing, "NVIDIA Jetson Orin Nano Developer Kit", nil, false, true},
		{"jetson-no-gst", "jetson", nil, csi.ErrMissing, "", []missingProgram{noGst}, false, false},
		{"loopback", "loopback", nil, csi.ErrMissing, "", nil, false, true},
		{"twins", "twins", nil, csi.ErrMissing, "", nil, false, true},
		{"troubles", "troubles", nil, csi.ErrMissing, "", nil, false, true},
		{"nothing", "nothing", nil, csi.ErrMissing, "", []missingProgram{noFFmpeg, noGst, noRpicam}, false, false},
		{"nothing-pi", "nothing", nil, csi.ErrMissing, "Raspberry Pi 4 Model B Rev 1.4", []missingProgram{noFFmpeg, noRpicam}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			list := (&foundCameras{recordedDevices(t, test.devices), test.csi, test.csiErr, test.board, test.missing}).list()
			if !test.all {
				list.Others = nil
			}
			var b bytes.Buffer
			list.print(&b, test.board)
			if list.Found != test.found {
				t.Errorf("found a camera: got %t, want %t", list.Found, test.found)
			}
			golden := filepath.Join("testdata", "cameras", test.name+".txt")
			if *updateCameras {
				if err := os.WriteFile(golden, b.Bytes(), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), want) {
				t.Errorf("got\n%s\nwant what is in %s", b.Bytes(), golden)
			}
			checkLines(t, list.Cameras)
		})
	}
}

// checkLines has the configuration's own checker look at the lines.
func checkLines(t *testing.T, cameras []listedCamera) {
	t.Helper()
	text := "sources:\n"
	for _, c := range cameras {
		if c.Config != "" {
			text += "  " + c.Config + "\n"
		}
	}
	if text == "sources:\n" {
		return
	}
	file := filepath.Join(t.TempDir(), "sightd.yaml")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := sightd(t, nil, "config", "check", file); code != exitOK {
		t.Errorf("the lines are no configuration: %s%s%s", text, stdout, stderr)
	}
}

func TestCamerasJSON(t *testing.T) {
	list := (&foundCameras{devices: recordedDevices(t, "c920"), csi: []csi.Camera{imx219}}).list()
	data, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"found":true,"cameras":[{"name":"imx219","config":"- {name: imx219, type: rpicam, device: 1, `, `"missing":[],"problem":""}`,
		`"config":"- {name: hd-pro-webcam-c920, type: v4l2, device: /dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_5F1E3A2F-video-index0, size: 640x480, fps: 15, fourcc: MJPG}"`,
		`"formats":[{"fourcc":"YUYV","description":"YUYV 4:2:2","readable":true,"sizes":[{"width":640,"height":480,"rates":[30,24,20,15,10,7.5,5]}`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("want %s in %s", want, data)
		}
	}
	if bytes.Contains(data, []byte("null")) {
		t.Errorf("a list is null: %s", data)
	}
}

// TestCamerasCommand looks at this machine, whatever cameras it has, and at one that a program pretends.
func TestCamerasCommand(t *testing.T) {
	dir := t.TempDir()
	list, err := filepath.Abs(filepath.Join("..", "..", "camera", "v4l2", "csi", "testdata", "pi5.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rpicam-hello"), []byte("#!/bin/sh\ncat "+list+"\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	code, stdout, stderr := sightd(t, nil, "cameras")
	if code != exitOK || !strings.Contains(stdout, "- {name: imx708_wide, type: rpicam, device: 0, size: 640x480, fps: 15}\n") {
		t.Errorf("got %d %s%s", code, stdout, stderr)
	}
	if code, _, stderr := sightd(t, nil, "cameras", "x"); code != exitUsage || !strings.Contains(stderr, `want no arguments, have "x"`) {
		t.Errorf("an argument: got %d %s", code, stderr)
	}
	t.Setenv("PATH", t.TempDir())
	code, stdout, stderr = sightd(t, nil, "cameras", "--json", "--all")
	var have cameraList
	if err := json.Unmarshal([]byte(stdout), &have); err != nil || have.Found != (code == exitOK) || len(have.Missing) < 2 {
		t.Errorf("got %d %s%s, %v", code, stdout, stderr, err)
	}
}

func TestSourceNames(t *testing.T) {
	names := sourceNames{}
	for _, test := range []struct{ camera, want string }{
		{"HD Pro Webcam C920", "hd-pro-webcam-c920"}, {"HD Pro Webcam C920", "hd-pro-webcam-c920-2"}, {"hd pro webcam c920", "hd-pro-webcam-c920-3"},
		{"bridge", "bridge-2"}, {"Bridge", "bridge-3"}, {"\x1b[2J", "2j"}, {"", "unnamed"}, {"Caméra (UVC)", "cam-ra-uvc"},
		{strings.Repeat("x", 99), strings.Repeat("x", 64)}, {strings.Repeat("x", 99), strings.Repeat("x", 60) + "-2"},
	} {
		if got := names.next(test.camera); got != test.want || !publish.ValidSource(got) {
			t.Errorf("%q: got %q, want %q", test.camera, got, test.want)
		}
	}
}

// FuzzConfigLine reads a line as YAML, whatever a camera is called and its links are.
func FuzzConfigLine(f *testing.F) {
	f.Add("C920", "/dev/v4l/by-id/usb-a", "MJPG")
	f.Add("a: b, {c}", "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0, #", "Y10")
	f.Add("null", "\x00", "0x1")
	f.Fuzz(func(t *testing.T, card, link, fourcc string) {
		device := "/dev/" + strings.Map(func(r rune) rune { // as udev escapes names
			if r < ' ' || r > '~' {
				return '_'
			}
			return r
		}, link)
		d := v4l2.Device{Path: "/dev/video0", Card: card, ByID: []string{device}}
		code := strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '?'
			}
			return r
		}, fourcc)
		line := v4l2Line(sourceNames{}.next(d.Name()), &d, v4l2.Mode{FourCC: code, Width: 640, Height: 480, FPS: 29.97}, false)
		var got []map[string]any
		if err := yaml.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if len(got) != 1 || len(got[0]) != 6 || got[0]["device"] != device || got[0]["fourcc"] != (code + "    ")[:4] || fmt.Sprint(got[0]["fps"]) != "29.97" {
			t.Errorf("%s: got %v", line, got)
		}
	})
}
