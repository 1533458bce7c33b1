package doctor

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sightd/camera/v4l2"
	"sightd/camera/v4l2/csi"
	"sightd/daemon"
)

// healthy are the kernel's files of a machine without troubles, as a Raspberry Pi 4 has them.
var healthy = map[string]string{
	"proc/cpuinfo":                                        "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\n",
	"proc/meminfo":                                        "MemTotal:        3884436 kB\nMemFree:          195108 kB\nMemAvailable:    3241420 kB\nBuffers:          110848 kB\n",
	"proc/self/limits":                                    "Limit                     Soft Limit           Hard Limit           Units     \nMax processes             13794                13794                processes \nMax open files            1024                 1048576              files     \n",
	"proc/sys/fs/inotify/max_user_instances":              "128\n",
	"proc/sys/fs/inotify/max_user_watches":                "16384\n",
	"sys/class/thermal/thermal_zone0/temp":                "48686\n",
	"sys/class/rtc/rtc0/name":                             "rpi_rtc\n",
	"sys/fs/ext4/mmcblk0p2/errors_count":                  "0\n",
	"sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
}

// recorded is a machine that has the healthy files with the changes laid over them: text that begins with "-> " makes a symbolic
// link, "absent" leaves the file out.
func recorded(t *testing.T, changes map[string]string) *system {
	t.Helper()
	root := t.TempDir()
	files := maps.Clone(healthy)
	maps.Copy(files, changes)
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(text, "-> "); link {
			err = os.Symlink(target, path)
		} else if text != "absent" {
			err = os.WriteFile(path, []byte(text), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return &system{
		proc: filepath.Join(root, "proc"), sys: filepath.Join(root, "sys"), root: root,
		now:      func() time.Time { return time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC) },
		adjtimex: func(*unix.Timex) (int, error) { return unix.TIME_OK, nil },
		statfs:   room(8<<30, 500_000, unix.EXT4_SUPER_MAGIC),
		access:   thisSystem().access,
		polled:   func(string) (string, bool, error) { return "", false, nil },
		bind:     func(string) error { return nil },
		video:    func(string) (v4l2.Device, error) { return webcam(), nil },
		lookup:   net.DefaultResolver.LookupHost,
		cameras:  func(context.Context) ([]csi.Camera, error) { return []csi.Camera{imx708()}, nil },
		getenv:   func(string) string { return "" },
		run:      answers(nil),
	}
}

// imx708 is a camera on a Raspberry Pi's port as libcamera tells it.
func imx708() csi.Camera {
	return csi.Camera{Number: 0, Sensor: "imx708", Width: 4608, Height: 2592, Path: "/base/soc/i2c0mux/i2c@1/imx708@1a"}
}

// answer is what a program says: its output, or what it says is wrong when it fails.
type answer struct {
	out, said string
	err       error
}

// answers are those of programs on a healthy machine without a service, with changes laid over them.
func answers(changes map[string]answer) func(context.Context, string, ...string) (string, string, error) {
	known := map[string]answer{
		"systemctl": {out: "Id=sightd.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\n"},
		"getconf":   {out: "glibc 2.36\n"},
	}
	maps.Copy(known, changes)
	return func(_ context.Context, program string, _ ...string) (string, string, error) {
		a, ok := known[program]
		if !ok {
			return "", "", fmt.Errorf("%s: %w", program, exec.ErrNotFound)
		}
		return a.out, a.said, a.err
	}
}

// webcam is a camera on USB as its driver tells it.
func webcam() v4l2.Device {
	return v4l2.Device{
		Path: "/dev/video0", Driver: "uvcvideo", Card: "C920: C9", Use: "v4l2",
		Formats: []v4l2.Format{
			{FourCC: "H264", Sizes: []v4l2.Size{{Width: 640, Height: 480}}},
			{FourCC: "MJPG", Readable: true, Sizes: []v4l2.Size{{Width: 320, Height: 240}, {Width: 640, Height: 480}}},
			{FourCC: "YUYV", Readable: true, Sizes: []v4l2.Size{{Width: 16, MaxWidth: 1280, Height: 16, MaxHeight: 720, StepX: 8, StepY: 8}}},
		},
	}
}

// room is a file system with so much that is free.
func room(bytes int64, inodes uint64, kind int64) func(string, *unix.Statfs_t) error {
	return func(_ string, st *unix.Statfs_t) error {
		st.Bsize, st.Bavail, st.Type = 4096, uint64(bytes/4096), kind
		st.Files, st.Ffree = 1_000_000, inodes
		return nil
	}
}

// denied is access that is refused below a path.
func denied(path string, errno unix.Errno) func(string, uint32) error {
	return func(asked string, mode uint32) error {
		if asked == path || within(asked, path) {
			return errno
		}
		return thisSystem().access(asked, mode)
	}
}

// config is the default one in a temporary folder, whose inbox and state are there.
func config(t *testing.T) *daemon.Config {
	t.Helper()
	c, dir := daemon.Default(), t.TempDir()
	c.Name = "test"
	c.StateDir = filepath.Join(dir, "state")
	c.Sources[0].Path = filepath.Join(dir, "inbox")
	for _, path := range []string{c.StateDir, c.Sources[0].Path} {
		if err := os.Mkdir(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return &c
}

// want holds findings against what they should be: a finding for each line "status name: part of the detail", with " -> part of
// the hint" behind it where there should be one.
func want(t *testing.T, got []Finding, lines ...string) {
	t.Helper()
	if len(got) != len(lines) {
		t.Errorf("got %d findings, want %d:\n%+v", len(got), len(lines), got)
		return
	}
	for i, line := range lines {
		head, hint, _ := strings.Cut(line, " -> ")
		head, detail, _ := strings.Cut(head, ": ")
		status, name, _ := strings.Cut(head, " ")
		f := got[i]
		if f.Status != OK && f.Hint == "" {
			t.Errorf("%s %s: %s: nothing says what to do", f.Status, f.Name, f.Detail)
		}
		if string(f.Status) != status || f.Name != name || !strings.Contains(f.Detail, detail) || !strings.Contains(f.Hint, hint) || hint == "" && f.Hint != "" {
			t.Errorf("got  %s %s: %s -> %s\nwant %s", f.Status, f.Name, f.Detail, f.Hint, line)
		}
	}
}

// write makes a file with its folders.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// listening is a socket that listens on this machine, on any free port.
func listening(t *testing.T) *net.TCPListener {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() }) // the test has closed it, or needs it no more
	return ln
}
