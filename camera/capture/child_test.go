package capture

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestChildBringsPictures(t *testing.T) {
	noLeak(t)
	play(t, "three", rpicamVid)
	s := open(t, Options{Kind: RPiCam})
	var shot Shot
	for i := range 3 {
		wantJPEG(t, s, &shot, picture(i), uint64(i+1))
	}
	wantError(t, s, "rpicam-vid ended with status 0")
}

func TestChildEnds(t *testing.T) {
	for _, test := range []struct{ mode, want string }{
		{"die", "rpicam-vid ended with status 3: no cameras available"},
		{"quiet", "rpicam-vid ended with status 4"},
		{"crash", "rpicam-vid was ended by signal 9 (killed)"},
		{"half", "rpicam-vid ended with status 0 amid a picture"},
		{"garbage", "bytes without a JPEG in them"},
		{"shut", "rpicam-vid has closed its output, but runs on"},
		{"babble", "rpicam-vid ended with status 0: the last?[31m words"},
	} {
		t.Run(test.mode, func(t *testing.T) {
			noLeak(t)
			play(t, test.mode, rpicamVid)
			s := open(t, Options{Kind: RPiCam, MaxBytes: 1 << 20})
			if err := wantError(t, s, test.want); test.mode == "crash" && !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("got error %q, want nothing behind the signal", err)
			}
		})
	}
}

func TestChildIsClosed(t *testing.T) {
	for _, mode := range []string{"silent", "stubborn", "endless", "family"} {
		t.Run(mode, func(t *testing.T) {
			noLeak(t)
			notes := play(t, mode, rpicamVid)
			s := open(t, Options{Kind: RPiCam})
			if mode != "silent" {
				wantJPEG(t, s, &Shot{}, picture(1), 1)
			}
			var all sync.WaitGroup
			var readErr error
			all.Go(func() {
				for readErr == nil {
					readErr = s.Read(&Shot{})
				}
			})
			for range 3 {
				all.Go(func() { closeStream(t, s) })
			}
			within(t, "the Read", all.Wait)
			if !errors.Is(readErr, fs.ErrClosed) {
				t.Errorf("Read has %v, want fs.ErrClosed", readErr)
			}
			if err := s.Read(&Shot{}); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("a later Read has %v, want fs.ErrClosed", err)
			}
			if pid := s.(*childStream).child.cmd.Process.Pid; !gone(pid) {
				t.Errorf("process %d is left", pid)
			}
			if mode == "family" {
				pid := noted(t, notes, "descendant")
				eventually(t, "the descendant's end", func() bool { return gone(pid) })
			}
		})
	}
}

// A descendant that has left the group isn't killed, but it holds nothing up either.
func TestOrphanHoldsThePipe(t *testing.T) {
	for _, when := range []string{"Read", "Close"} {
		t.Run(when, func(t *testing.T) {
			noLeak(t)
			notes := play(t, "orphan", rpicamVid)
			s := open(t, Options{Kind: RPiCam})
			wantJPEG(t, s, &Shot{}, picture(1), 1)
			pid := noted(t, notes, "descendant")
			defer syscall.Kill(pid, syscall.SIGKILL)
			if when == "Read" {
				wantError(t, s, "rpicam-vid ended with status 0")
			}
			closeStream(t, s)
			if gone(pid) {
				t.Error("the descendant has ended: it wasn't one that holds the pipe")
			}
		})
	}
}

// What is in the pipe when the program has ended is read, however late that is.
func TestChildReadLate(t *testing.T) {
	play(t, "three", rpicamVid)
	s := open(t, Options{Kind: RPiCam})
	c := s.(*childStream).child
	s.(*childStream).next = (&jpegReader{r: c, buf: make([]byte, 100), max: 1 << 20}).next
	within(t, "the end", func() { <-c.done })
	var shot Shot
	for i := range 3 {
		if err := c.out.SetReadDeadline(time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		wantJPEG(t, s, &shot, picture(i), uint64(i+1))
	}
	wantError(t, s, "ended with status 0")
}

// A driver that hangs keeps its program from ending.
func TestCloseGivesUp(t *testing.T) {
	play(t, "silent", rpicamVid)
	s := open(t, Options{Kind: RPiCam})
	c := s.(*childStream).child
	hung := &child{name: "rpicam-vid", out: c.out, cmd: c.cmd, reaped: true, done: make(chan struct{})}
	if err := hung.close(time.Millisecond); err == nil || !strings.Contains(err.Error(), "it hangs in a driver") {
		t.Errorf("got error %v", err)
	}
}

func TestChildDiesWithItsParent(t *testing.T) {
	notes := play(t, "parent")
	cmd := exec.Command(os.Args[0])
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, "the start", func() {
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Errorf("the parent says %q, %v", line, err)
		}
	})
	pid := noted(t, notes, "child")
	if gone(pid) {
		t.Fatal("the child has ended")
	}
	cmd.Process.Kill()
	cmd.Wait() // it was killed
	eventually(t, "the child's end", func() bool { return gone(pid) })
}

func TestMissingPrograms(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	video := filepath.Join(t.TempDir(), "x.mp4")
	if err := os.WriteFile(video, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		o       Options
		program string
		want    string
	}{
		{Options{Kind: RPiCam}, rpicamVid, "rpicam-vid is not installed: it is in the package rpicam-apps, on older systems libcamera-apps"},
		{Options{Kind: URL, URL: "rtsp://me:secret@127.0.0.1/x"}, ffmpeg, "ffmpeg is not installed: it is in the package ffmpeg"},
		{Options{Kind: Replay, Path: video}, ffmpeg, "ffmpeg is not installed: it is in the package ffmpeg"},
		{Options{Kind: GStreamer, Pipeline: "videotestsrc"}, gstLaunch, "gst-launch-1.0 is not installed: it is in the package gstreamer1.0-tools"},
		{Options{Kind: V4L2, Device: "/dev/null", Self: []string{"/no/such/sightd"}}, "", "no such file"},
	} {
		s, err := mustNew(t, test.o)(t.Context())
		if s != nil || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", test.o.Kind, s, err, test.want)
		}
		var programs []string
		if test.program != "" {
			programs = []string{test.program}
		}
		if got := test.o.Programs(); !slices.Equal(got, programs) {
			t.Errorf("%s: needs %q, want %q", test.o.Kind, got, programs)
		}
	}
}

func TestOlderRPiCam(t *testing.T) {
	noLeak(t)
	t.Setenv("PATH", "")
	notes := play(t, "three", libcameraVid)
	o := Options{Kind: RPiCam, Device: "1", Width: 640, Height: 480, FPS: 12.5}
	if got := o.Programs(); !slices.Equal(got, []string{libcameraVid}) {
		t.Errorf("needs %q", got)
	}
	s := open(t, o)
	wantJPEG(t, s, &Shot{}, picture(0), 1)
	wantArguments(t, notes, "--nopreview", "--timeout", "0", "--codec", "mjpeg", "--quality", "90", "--output", "-", "--flush", "--verbose=0",
		"--camera", "1", "--width", "640", "--height", "480", "--framerate", "12.5")
}

func wantArguments(t *testing.T, notes string, want ...string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(notes, "arguments"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != strings.Join(want, "\n") {
		t.Errorf("started with\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestV4L2(t *testing.T) {
	noLeak(t)
	notes := play(t, "shots")
	s := open(t, Options{Kind: V4L2, Device: "/dev/null", Self: []string{os.Args[0], "capture-v4l2"}, Width: 640, Height: 480, FPS: 15, FourCC: "MJPG"})
	var shot Shot
	for i := range 3 {
		if err := read(t, s, &shot); err != nil {
			t.Fatal(err)
		}
		if shot.Format != BGR || shot.Width != 4 || shot.Height != 2 || len(shot.Data) != 24 || shot.Data[23] != byte(i) || shot.Seq != uint64(i+1) {
			t.Errorf("got %+v", shot)
		}
		if age := time.Since(shot.Time); age < 0 || age > limit {
			t.Errorf("the picture is %v old", age)
		}
	}
	wantError(t, s, "the reader of /dev/null ended with status 0")
	wantArguments(t, notes, "capture-v4l2", "--device", "/dev/null", "--size", "640x480", "--fps", "15", "--fourcc", "MJPG")

	_, err := mustNew(t, Options{Kind: V4L2, Device: "4711", Self: []string{os.Args[0]}})(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no device /dev/video4711") {
		t.Errorf("got error %v", err)
	}
}

func TestOpenAfterTheEnd(t *testing.T) {
	noLeak(t)
	play(t, "three", rpicamVid, ffmpeg, gstLaunch)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, o := range []Options{
		{Kind: RPiCam}, {Kind: URL, URL: "rtsp://127.0.0.1/"}, {Kind: URL, URL: "http://127.0.0.1/"}, {Kind: GStreamer, Pipeline: "x"},
		{Kind: Replay, Path: t.TempDir()}, {Kind: V4L2, Device: "/dev/null", Self: []string{os.Args[0]}},
	} {
		if s, err := mustNew(t, o)(ctx); s != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, %v", o.Kind, s, err)
		}
	}
}

func TestStandardError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &stderr{log: debugLog(&log), secrets: secretsOf("rtsp://me:s3cr3t@cam/x")}
		for i := range 100 {
			s.line(fmt.Sprintf("line %d of rtsp://me:s3cr3t@cam/x\n", i), false, time.Now())
		}
		if got := strings.Count(log.String(), "program says"); got != loggedLines {
			t.Errorf("logged %d lines, want %d", got, loggedLines)
		}
		time.Sleep(loggedTime)
		s.line("progress 1\rprogress 2\r\n", false, time.Now())
		s.line("\n", false, time.Now())
		if !strings.Contains(log.String(), "lines=80") || !strings.Contains(log.String(), `line="progress 2"`) {
			t.Errorf("logged\n%s", log.String())
		}
		if strings.Contains(log.String(), "s3cr3t") || !strings.Contains(log.String(), "line 3 of rtsp://cam/x") {
			t.Errorf("logged\n%s", log.String())
		}
		if len(s.lines) != keptLines || s.words() != "progress 2" {
			t.Errorf("kept %q", s.lines)
		}
		s.line(strings.Repeat("x", 3*lineBytes), false, time.Now())
		if got := len(s.words()); got != lineBytes {
			t.Errorf("kept a line of %d bytes, want %d", got, lineBytes)
		}
		s.line(strings.Repeat("x", 40)+"rtsp://me:s3c", true, time.Now())
		if strings.Contains(s.words(), "s3c") {
			t.Errorf("kept %q", s.words())
		}
	})
}

// What a program says tells why it ends, but not all of it does.
func TestLastWords(t *testing.T) {
	const (
		version = "[0:05:01.123456789] [1234]  INFO Camera camera_manager.cpp:297 libcamera v0.3.0"
		tuning  = "[0:05:01.223456789] [1237]  WARN RPiSdn sdn.cpp:40 Using legacy SDN tuning"
		colours = "[swscaler @ 0x55ef00aa9900] deprecated pixel format used, make sure you did set range correctly"
	)
	for _, test := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"nothing", nil, ""},
		{"the last", []string{"one", "two"}, "two"},
		{"libcamera's version", []string{"no cameras available", version, tuning}, "no cameras available"},
		{"nothing else", []string{version, tuning, colours}, ""},
		{"an older libcamera", []string{"[0:05:01] INFO Camera camera_manager.cpp:297 libcamera v0.0.5"}, ""},
		{"libcamera's error", []string{version, "[0:05:01.3] [1]  ERROR V4L2 v4l2_device.cpp:390 busy"}, "[0:05:01.3] [1]  ERROR V4L2 v4l2_device.cpp:390 busy"},
		{"advice on colours", []string{"refused", colours}, "refused"},
		{"an address", []string{"[rtsp @ 0x55ef00aa9900] method DESCRIBE failed: 404 Not Found"}, "method DESCRIBE failed: 404 Not Found"},
		{"two addresses", []string{"[vist#0:0/h264 @ 0x55ef] [dec:h264 @ 0x66aa] Error submitting packet"}, "Error submitting packet"},
		{"an address alone", []string{"refused", "[rtsp @ 0x55ef00aa9900] "}, "refused"},
		{"many lines without worth", append([]string{"refused"}, slices.Repeat([]string{colours}, 3*keptLines)...), "refused"},
		{"other brackets", []string{"[info] the device is busy"}, "[info] the device is busy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &stderr{log: debugLog(new(bytes.Buffer))}
			for _, line := range test.lines {
				s.line(line+"\n", false, time.Now())
			}
			if got := s.words(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
