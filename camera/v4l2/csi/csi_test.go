package csi

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{"none.txt", `[]`},
		{"pi5.txt", `[{"number":0,"sensor":"imx708_wide","width":4608,"height":2592,"kind":"10-bit RGGB","path":"/base/axi/pcie@1000120000/rp1/i2c@88000/imx708@1a","modes":[` +
			`{"format":"SRGGB10_CSI2P","width":1536,"height":864,"fps":120.13},{"format":"SRGGB10_CSI2P","width":2304,"height":1296,"fps":56.03},` +
			`{"format":"SRGGB10_CSI2P","width":4608,"height":2592,"fps":14.35}]},` +
			`{"number":1,"sensor":"imx219","width":3280,"height":2464,"kind":"10-bit RGGB","path":"/base/axi/pcie@1000120000/rp1/i2c@80000/imx219@10","modes":[` +
			`{"format":"SRGGB10_CSI2P","width":640,"height":480,"fps":206.65},{"format":"SRGGB10_CSI2P","width":1640,"height":1232,"fps":83.7},` +
			`{"format":"SRGGB10_CSI2P","width":1920,"height":1080,"fps":47.57},{"format":"SRGGB10_CSI2P","width":3280,"height":2464,"fps":21.19},` +
			`{"format":"SRGGB8","width":640,"height":480,"fps":206.65},{"format":"SRGGB8","width":1640,"height":1232,"fps":83.7}]}]`},
		{"pi4-bullseye.txt", `[{"number":0,"sensor":"ov5647","width":2592,"height":1944,"kind":"","path":"/base/soc/i2c0mux/i2c@1/ov5647@36","modes":[` +
			`{"format":"SGBRG10_CSI2P","width":640,"height":480,"fps":0},{"format":"SGBRG10_CSI2P","width":1296,"height":972,"fps":0},` +
			`{"format":"SGBRG10_CSI2P","width":1920,"height":1080,"fps":0},{"format":"SGBRG10_CSI2P","width":2592,"height":1944,"fps":0}]}]`},
	} {
		got, err := json.Marshal(parse(read(t, test.name)))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: got %s, %v, want %s", test.name, got, err, test.want)
		}
	}
	for name, want := range map[string][]bool{"pi5.txt": {false, false}, "pi4-bullseye.txt": {false}, "usb.txt": {false, true}} {
		for i, c := range parse(read(t, name)) {
			if c.USB() != want[i] {
				t.Errorf("%s: camera %d is a USB camera: got %t", name, i, c.USB())
			}
		}
	}
}

// program puts a shell script into PATH.
func program(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

func TestList(t *testing.T) {
	here, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, program, script string
		cameras               int
		problem               string
	}{
		{"rpicam", "rpicam-hello", `[ "$*" = --list-cameras ] && cat ` + here + `/pi5.txt`, 2, ""},
		{"older name, on standard error", "libcamera-hello", `cat ` + here + `/pi4-bullseye.txt >&2`, 1, ""},
		{"none", "rpicam-hello", `echo "No cameras available!"`, 0, ""},
		{"fails", "rpicam-hello", "echo one >&2; printf 'ERROR: *** no \\033[1mlibcamera ***\\n' >&2; exit 255", 0, "rpicam-hello: exit status 255: ERROR: *** no ?[1mlibcamera ***"},
		{"endless", "rpicam-hello", `yes "0 : x [1x1] (y)" | head -c 3000000`, maxCameras, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			program(t, test.program, test.script)
			got, err := List(t.Context())
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Errorf("got %v, want %q", err, test.problem)
				}
			} else if err != nil || len(got) != test.cameras {
				t.Errorf("got %+v, %v, want %d cameras", got, err, test.cameras)
			}
		})
	}
}

func TestListMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := List(t.Context()); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v", err)
	}
}

// TestListHanging has a program that hangs, and one of its descendants hold the pipes.
func TestListHanging(t *testing.T) {
	program(t, "rpicam-hello", "sleep 300 & sleep 300\n")
	_, err := list(t.Context(), 200*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "hasn't answered") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := List(ctx); err == nil {
		t.Error("ended before: got no error")
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"pi5.txt", "pi4-bullseye.txt", "usb.txt", "none.txt"} {
		f.Add(read(f, name))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cameras := parse(text)
		if len(cameras) > maxCameras {
			t.Fatalf("got %d cameras", len(cameras))
		}
		for _, c := range cameras {
			if c.Number > 99 || c.Width > 99999 || len(c.Modes) > maxModes || strings.ContainsAny(c.Sensor+c.Kind+c.Path, "\x1b\n") {
				t.Errorf("got %+v", c)
			}
		}
	})
}
