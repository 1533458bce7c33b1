package capture

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	self := []string{"/bin/true"}
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{}, `type "" is unknown: want v4l2, rpicam, url, gstreamer or replay`},
		{Options{Kind: "usb"}, `type "usb" is unknown`},
		{Options{Kind: RPiCam, Width: -1}, "size -1x0"},
		{Options{Kind: RPiCam, Width: 640}, "size 640x0 is wrong: want both sides"},
		{Options{Kind: RPiCam, Width: 70000, Height: 1}, "size 70000x1"},
		{Options{Kind: RPiCam, FPS: math.NaN()}, "fps NaN"},
		{Options{Kind: RPiCam, FPS: -1}, "fps -1"},
		{Options{Kind: RPiCam, FPS: math.Inf(1)}, "fps +Inf"},
		{Options{Kind: RPiCam, FPS: 1e-300}, "fps 1e-300"},
		{Options{Kind: RPiCam, MaxBytes: -1}, "-1 bytes"},
		{Options{Kind: RPiCam, MaxBytes: 1 << 40}, "bytes a picture is wrong"},
		{Options{Kind: RPiCam, Device: "front"}, `device "front" is wrong: want the number`},
		{Options{Kind: RPiCam, Device: "-1"}, `device "-1" is wrong`},
		{Options{Kind: V4L2, Self: self}, "device is missing"},
		{Options{Kind: V4L2, Self: self, Device: "video0"}, `device "video0" is wrong`},
		{Options{Kind: V4L2, Self: self, Device: "--help"}, `device "--help" is wrong`},
		{Options{Kind: V4L2, Self: self, Device: "0", FourCC: "MJPEG"}, `fourcc "MJPEG" is wrong`},
		{Options{Kind: V4L2, Self: self, Device: "0", FourCC: "\x00\x00\x00\x00"}, `fourcc "????" is wrong`},
		{Options{Kind: V4L2, Device: "0"}, "command that reads V4L2 devices is missing"},
		{Options{Kind: URL}, "url is missing"},
		{Options{Kind: URL, URL: "rtsp://me:s3/cret@cam/x"}, "url can't be read: in user and password write / ? #"},
		{Options{Kind: URL, URL: "rtsp:///x"}, "url rtsp:///x has no host"},
		{Options{Kind: URL, URL: "rtsp://me:s3cret@/x"}, "url rtsp:///x has no host"},
		{Options{Kind: URL, URL: "gopher://me:s3cret@cam/x"}, "scheme gopher: want http, https, rtsp"},
		{Options{Kind: URL, URL: "concat://me:s3cret@cam/x"}, "scheme concat"},
		{Options{Kind: URL, URL: "http://cam/\nx"}, "control characters"},
		{Options{Kind: URL, URL: "file://host/x.mp4"}, "want file:///path"},
		{Options{Kind: URL, URL: "http://cam/" + strings.Repeat("x", maxURL)}, "url has 2059 bytes"},
		{Options{Kind: GStreamer}, "pipeline is missing"},
		{Options{Kind: GStreamer, Pipeline: " \n"}, "pipeline is missing"},
		{Options{Kind: GStreamer, Pipeline: "videotestsrc ! appsink drop=true"}, "pipeline ends in appsink: leave the sink out"},
		{Options{Kind: GStreamer, Pipeline: `filesrc location="x`}, `pipeline has a " without`},
		{Options{Kind: GStreamer, Pipeline: "a\x00b"}, "zero byte"},
		{Options{Kind: GStreamer, Pipeline: "videotestsrc", Width: 641, Height: 480}, "width 641 is wrong"},
		{Options{Kind: Replay}, "path is missing"},
	} {
		open, err := New(test.o)
		if open != nil || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got error %v, want one with %q", test.o, err, test.want)
		} else if strings.Contains(err.Error(), "cret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q", err)
		}
	}
}

func TestNewTakes(t *testing.T) {
	self := []string{"/bin/true"}
	for _, o := range []Options{
		{Kind: RPiCam, Device: "1", Width: 640, Height: 480, FPS: 0.5, MaxBytes: 1},
		{Kind: V4L2, Device: "0", Self: self},
		{Kind: V4L2, Device: "/dev/v4l/by-id/usb-x", Self: self, FourCC: "Y16 "},
		{Kind: URL, URL: "rtsp://me:p%40ss@192.168.1.20:554/Streaming/Channels/101?transportmode=unicast"},
		{Kind: URL, URL: "RTSP://[fe80::1]/x"},
		{Kind: URL, URL: "udp://@239.0.0.1:1234"},
		{Kind: URL, URL: "udp://:1234"},
		{Kind: URL, URL: "srt://cam:9000?mode=caller"},
		{Kind: URL, URL: "/videos/x.mp4"},
		{Kind: URL, URL: "file:///videos/x%20y.mp4"},
		{Kind: GStreamer, Pipeline: "nvarguscamerasrc ! video/x-raw(memory:NVMM),width=1920 ! nvvidconv", Width: 640, Height: 360},
		{Kind: GStreamer, Pipeline: "v4l2src ! image/jpeg,width=641", Width: 641, Height: 480},
		{Kind: Replay, Path: "/no/such"},
	} {
		if _, err := New(o); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestPrograms(t *testing.T) {
	for _, test := range []struct {
		o    Options
		want []string
	}{
		{Options{Kind: V4L2}, nil},
		{Options{Kind: GStreamer}, []string{gstLaunch}},
		{Options{Kind: URL, URL: "rtsp://cam/"}, []string{ffmpeg}},
		{Options{Kind: URL, URL: "http://cam/mjpeg"}, nil},
		{Options{Kind: URL, URL: "http://cam/x.M3U8?y"}, []string{ffmpeg}},
		{Options{Kind: URL, URL: "/x.mp4"}, []string{ffmpeg}},
		{Options{Kind: Replay, Path: t.TempDir()}, nil},
	} {
		if got := test.o.Programs(); !slices.Equal(got, test.want) {
			t.Errorf("%+v: got %q, want %q", test.o, got, test.want)
		}
	}
	for _, program := range []string{ffmpeg, gstLaunch, rpicamVid, libcameraVid} {
		if Package(program) == "" {
			t.Errorf("%s has no package", program)
		}
	}
}

func TestVirtualTime(t *testing.T) {
	start := time.Unix(1e9, 0)
	for _, test := range []struct {
		n    uint64
		fps  float64
		want time.Duration
	}{
		{0, 5, 0}, {1, 5, 200 * time.Millisecond}, {5, 5, time.Second}, {1e12, 1000, 1e9 * time.Second}, {1, 0.001, 1000 * time.Second},
	} {
		if got := virtual(start, test.n, test.fps).Sub(start); got != test.want {
			t.Errorf("picture %d at %v a second: got %v, want %v", test.n, test.fps, got, test.want)
		}
	}
}

func TestPipelineArguments(t *testing.T) {
	for _, test := range []struct {
		pipeline string
		want     []string
	}{
		{"", nil},
		{" a  !\tb\n", []string{"a", "!", "b"}},
		{`a x="1 2" ! "video/x-raw, width=3" ! b y='4 "5"'`, []string{"a", "x=1 2", "!", "video/x-raw, width=3", "!", "b", `y=4 "5"`}},
		{`a\ b "c\"d" 'e\f' ""`, []string{"a b", `c"d`, `e\f`, ""}},
		{"a $HOME `id` ; b | c > d", []string{"a", "$HOME", "`id`", ";", "b", "|", "c", ">", "d"}},
	} {
		got, err := pipelineArguments(test.pipeline)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, %v, want %q", test.pipeline, got, err, test.want)
		}
	}
	for _, test := range []struct {
		pipeline, last string
		jpeg           bool
	}{
		{"videotestsrc", "videotestsrc", false},
		{"v4l2src device=/dev/video0", "v4l2src", false},
		{"videotestsrc ! jpegenc quality=90", "jpegenc", true},
		{"a ! nvjpegenc ! queue max-size-buffers=1", "nvjpegenc", true},
		{"v4l2src ! image/jpeg,width=640 ! jpegparse", "image/jpeg,width=640", true},
		{"v4l2src ! image/jpeg, width=640", "image/jpeg,", true},
		{`v4l2src ! "image/jpeg, width=640"`, "image/jpeg, width=640", true},
		{"v4l2src ! image/jpeg ! jpegdec", "jpegdec", false},
		{"a ! jpegenc ! multipartmux", "multipartmux", true},
		{"!", "", false},
		{"queue", "", false},
		{"a ! ", "a", false},
	} {
		arguments, err := pipelineArguments(test.pipeline)
		if err != nil {
			t.Fatal(err)
		}
		if last := lastElement(arguments); last != test.last || makesJPEG(last) != test.jpeg {
			t.Errorf("%q: ends in %q, JPEG %v", test.pipeline, last, makesJPEG(last))
		}
	}
}

func FuzzPipelineArguments(f *testing.F) {
	f.Add(`a x="1 2" ! b\ c ! 'd`)
	f.Fuzz(func(t *testing.T, pipeline string) {
		arguments, err := pipelineArguments(pipeline)
		if err != nil {
			return
		}
		total := 0
		for _, argument := range arguments {
			total += len(argument)
		}
		if total > len(pipeline) {
			t.Errorf("%q: got %q", pipeline, arguments)
		}
		lastElement(arguments)
	})
}
