package capture

import (
	"bytes"
	"image/color"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// clip makes a video of 2 s with 10 pictures a second, 320x240, all of the colour.
func clip(t *testing.T, name, colour string, options ...string) string {
	t.Helper()
	needs(t, ffmpeg)
	path := filepath.Join(t.TempDir(), name)
	args := append([]string{"-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "color=" + colour + ":size=320x240:rate=10:duration=2"}, options...)
	if out, err := exec.Command(ffmpeg, append(args, path)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

var h264 = []string{"-vf", "scale=out_color_matrix=bt709", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-colorspace", "bt709"}

// wantPixels checks size and colour of a raw picture.
func wantPixels(t *testing.T, shot *Shot, format Format, width, height int, want color.RGBA) {
	t.Helper()
	if shot.Format != format || shot.Width != width || shot.Height != height || len(shot.Data) != width*height*3 {
		t.Fatalf("got format %d, %dx%d, %d bytes, want %d, %dx%d", shot.Format, shot.Width, shot.Height, len(shot.Data), format, width, height)
	}
	middle := shot.Data[(height/2*width+width/2)*3:]
	r, g, b := middle[0], middle[1], middle[2]
	if format == BGR {
		r, b = b, r
	}
	for i, pair := range [][2]uint8{{r, want.R}, {g, want.G}, {b, want.B}} {
		if off := int(pair[0]) - int(pair[1]); off < -4 || off > 4 {
			t.Errorf("channel %d is %d, want %d", i, pair[0], pair[1])
		}
	}
}

func TestReplayVideo(t *testing.T) {
	noLeak(t)
	path := clip(t, "a -b %d.mp4", "0x20c040", h264...)
	green := color.RGBA{0x20, 0xc0, 0x40, 255}
	if err := os.Chtimes(path, epoch, epoch); err != nil {
		t.Fatal(err)
	}
	start := epoch.Add(time.Hour)
	for _, test := range []struct {
		name          string
		o             Options
		width, height int
		want          int // pictures
		start         time.Time
		interval      time.Duration
	}{
		{"as it is", Options{}, 320, 240, 10, epoch.Add(-2 * time.Second), 200 * time.Millisecond},
		{"a rate and a start", Options{FPS: 2, Start: start}, 320, 240, 4, start, 500 * time.Millisecond},
		{"more pictures than there are", Options{FPS: 40}, 320, 240, 80, epoch.Add(-2 * time.Second), 25 * time.Millisecond},
		{"smaller", Options{Width: 160, Height: 160, Start: epoch}, 160, 120, 10, epoch, 200 * time.Millisecond},
		{"never larger", Options{Width: 640, Height: 640, Start: epoch}, 320, 240, 10, epoch, 200 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Kind, test.o.Path = Replay, path
			s := open(t, test.o)
			var shot Shot
			var err error
			n := 0
			for err = read(t, s, &shot); err == nil; err = read(t, s, &shot) {
				wantPixels(t, &shot, RGB, test.width, test.height, green)
				if want := test.start.Add(time.Duration(n) * test.interval); !shot.Time.Equal(want) {
					t.Errorf("picture %d is of %v, want %v", n, shot.Time, want)
				}
				if n++; shot.Seq != uint64(n) {
					t.Errorf("picture %d has the number %d", n, shot.Seq)
				}
			}
			if n != test.want || err != io.EOF {
				t.Errorf("got %d pictures, %v, want %d, %v", n, err, test.want, io.EOF)
			}
		})
	}
}

// The colours are those of the stream's own matrix.
func TestVideoColours(t *testing.T) {
	for matrix, options := range map[string][]string{
		"bt709": h264,
		"bt601": {"-vf", "scale=out_color_matrix=smpte170m", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-colorspace", "smpte170m"},
		"full":  {"-vf", "scale=out_range=full:out_color_matrix=smpte170m", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "1"},
	} {
		for name, want := range map[string]color.RGBA{"red": {255, 0, 0, 255}, "0x102030": {16, 32, 48, 255}} {
			t.Run(matrix+" "+name, func(t *testing.T) {
				s := open(t, Options{Kind: Replay, Path: clip(t, "x.mov", name, options...)})
				var shot Shot
				if err := read(t, s, &shot); err != nil {
					t.Fatal(err)
				}
				wantPixels(t, &shot, RGB, 320, 240, want)
			})
		}
	}
}

func TestReplayVideoInRealTime(t *testing.T) {
	noLeak(t)
	path := clip(t, "x.mp4", "blue", h264...)
	for _, o := range []Options{{Kind: Replay, Path: path, Pace: true, Loop: true}, {Kind: URL, URL: "file://" + path, Loop: true}} {
		s := open(t, o)
		var shot Shot
		var first time.Time
		for i := range 31 { // more than the clip has
			if err := read(t, s, &shot); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = shot.Time
			}
		}
		// The first ones may come in a burst.
		if took := shot.Time.Sub(first); took < 1500*time.Millisecond || took > limit {
			t.Errorf("30 pictures at 10 a second take %v", took)
		}
		closeStream(t, s)
	}
}

func TestReplayBrokenVideo(t *testing.T) {
	noLeak(t)
	needs(t, ffmpeg)
	playlist := filepath.Join(t.TempDir(), "x.m3u8")
	text := "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n#EXT-X-ENDLIST\n"
	if err := os.WriteFile(playlist, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(t.TempDir(), "x.mp4")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("garbage", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{playlist: "ffmpeg ended with status", garbage: "Invalid data found"} {
		s := open(t, Options{Kind: Replay, Path: path})
		wantError(t, s, want)
	}
}

// A live stream over a protocol of ffmpeg's, with a password that must not be shown.
func TestLiveStream(t *testing.T) {
	noLeak(t)
	path := clip(t, "x.ts", "red", "-vf", "tpad=stop_mode=clone:stop_duration=20", "-c:v", "mpeg2video", "-q:v", "2")
	video, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone.ts" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "video/mp2t")
		send(w, video)
		hang(r)
	})
	address = strings.Replace(address, "http://", "http://me:s3cret@", 1)
	s := open(t, Options{Kind: URL, URL: address + "/x", Width: 160, Height: 120, FPS: 5, Log: debugLog(&log)})
	var shot Shot
	for range 5 {
		if err := read(t, s, &shot); err != nil {
			t.Fatal(err)
		}
		wantPixels(t, &shot, RGB, 160, 120, color.RGBA{255, 0, 0, 255})
	}
	closeStream(t, s)
	s = open(t, Options{Kind: URL, URL: address + "/gone.ts?key=s3cret", Log: debugLog(&log)})
	if err := wantError(t, s, "ffmpeg ended with status 1", "404"); strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %q", err)
	}
	s = open(t, Options{Kind: URL, URL: "rtsp://me:s3cret@127.0.0.1:1/x", Log: debugLog(&log)})
	if err := wantError(t, s, "ffmpeg ended with status 1", "refused"); strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %q", err)
	}
	if text := log.String(); strings.Contains(text, "s3cret") || !strings.Contains(text, "refused") {
		t.Errorf("logged\n%s", text)
	}
}

// lockedBuffer is a log that goroutines share.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A gap in a live stream's time is none in its pictures, and no picture is repeated to fill it.
func TestLiveStreamRepeatsNothing(t *testing.T) {
	noLeak(t)
	path := clip(t, "x.ts", "red", "-vf", "setpts='PTS+gte(N,10)*1000/TB'", "-fps_mode", "passthrough", "-c:v", "mpeg2video")
	o := Options{Log: debugLog(io.Discard)}
	for fps, want := range map[float64]int{0: 20, 5: 10} {
		o.FPS = fps
		child, err := ffmpegCommand(o, true, nil, path).start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s := &childStream{child: child, next: newPPMReader(child, DefaultMaxBytes).next, ends: true}
		n := 0
		for err = read(t, s, &Shot{}); err == nil; err = read(t, s, &Shot{}) {
			n++
		}
		if err != io.EOF || n < want-1 || n > want+1 {
			t.Errorf("at %v a second: got %d pictures, %v, want %d", fps, n, err, want)
		}
		closeStream(t, s)
	}
}

func TestGStreamer(t *testing.T) {
	needs(t, gstLaunch)
	for _, test := range []struct {
		name, pipeline string
		o              Options
		check          func(*testing.T, *Shot)
	}{
		{"pixels", "videotestsrc pattern=solid-color foreground-color=0xff102030", Options{}, func(t *testing.T, s *Shot) {
			wantPixels(t, s, BGR, 640, 480, color.RGBA{16, 32, 48, 255})
		}},
		{"pixels of a size", `videotestsrc pattern=red ! "video/x-raw, width=100, height=50" ! queue`, Options{Width: 52, Height: 39, FPS: 10},
			func(t *testing.T, s *Shot) { wantPixels(t, s, BGR, 52, 39, color.RGBA{255, 0, 0, 255}) }},
		{"JPEG", "videotestsrc ! video/x-raw,width=64,height=48 ! jpegenc", Options{}, func(t *testing.T, s *Shot) {
			if s.Format != Encoded || !bytes.HasPrefix(s.Data, []byte{0xff, 0xd8, 0xff}) || !bytes.HasSuffix(s.Data, []byte{0xff, 0xd9}) {
				t.Errorf("got format %d, %d bytes", s.Format, len(s.Data))
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			noLeak(t)
			test.o.Kind, test.o.Pipeline = GStreamer, test.pipeline
			s := open(t, test.o)
			var shot Shot
			for i := range 3 {
				if err := read(t, s, &shot); err != nil {
					t.Fatal(err)
				}
				if shot.Seq != uint64(i+1) {
					t.Errorf("picture %d has the number %d", i+1, shot.Seq)
				}
				test.check(t, &shot)
			}
		})
	}
}

func TestGStreamerEnds(t *testing.T) {
	needs(t, gstLaunch)
	for _, test := range []struct{ pipeline, want string }{
		{"nvarguscamerasrc9 ! jpegenc", `gst-launch-1.0 ended with status 1: WARNING: erroneous pipeline: no element "nvarguscamerasrc9"`},
		{"videotestsrc ! audioconvert", "could not link"},
		{"filesrc location=/no/such ! jpegenc", "Resource not found"},
		{"videotestsrc num-buffers=2 ! jpegenc", "gst-launch-1.0 ended with status 0"},
		{"filesrc location=http://me:s3cret@cam/x ! jpegenc", "ended with status"},
	} {
		t.Run(test.pipeline, func(t *testing.T) {
			noLeak(t)
			var log lockedBuffer
			s := open(t, Options{Kind: GStreamer, Pipeline: test.pipeline, Log: debugLog(&log)})
			if err := wantError(t, s, test.want); strings.Contains(err.Error()+log.String(), "s3cret") {
				t.Errorf("error %q, log\n%s", err, log.String())
			}
		})
	}
}

func TestGStreamerArguments(t *testing.T) {
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Pipeline: `a x="y z" ! b`}, "-q|a|x=y z|!|b|!|videoconvert|!|videoscale|!|video/x-raw,format=BGR,width=640,height=480|!|fdsink|fd=3|sync=false"},
		{Options{Pipeline: "a", Width: 320, Height: 201, FPS: 2.5},
			"-q|a|!|videorate|drop-only=true|max-rate=3|!|videoconvert|!|videoscale|!|video/x-raw,format=BGR,width=320,height=201|!|fdsink|fd=3|sync=false"},
		{Options{Pipeline: "a ! jpegenc", Width: 320, Height: 200}, "-q|a|!|jpegenc|!|fdsink|fd=3|sync=false"},
	} {
		notes := play(t, "quiet", gstLaunch)
		test.o.Kind = GStreamer
		s := open(t, test.o)
		wantError(t, s, "ended with status 4")
		wantArguments(t, notes, strings.Split(test.want, "|")...)
	}
}

func TestFFmpegArguments(t *testing.T) {
	const scale = "scale=w='min(iw,640)':h='min(ih,480)':force_original_aspect_ratio=decrease:"
	const rest = "flags=area+accurate_rnd+full_chroma_int,settb=AVTB,setpts=N/25/TB|-r|25|-pix_fmt|rgb24|-flush_packets|1|-f|image2pipe|-c:v|ppm|pipe:1"
	const begin = "-nostdin|-hide_banner|-loglevel|repeat+warning|"
	video := album(t, "x.mp4") + "/x.mp4"
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Kind: URL, URL: "rtsp://me:pa%40ss@cam/x?y"}, begin + "-fflags|nobuffer|-flags|low_delay|-rtsp_transport|tcp|-allowed_media_types|video|" +
			"-i|rtsp://me:pa%40ss@cam/x?y|-an|-sn|-dn|-vf|scale=" + rest},
		{Options{Kind: URL, URL: "udp://@239.0.0.1:1234", FPS: 5, Width: 640, Height: 480}, begin + "-fflags|nobuffer|-flags|low_delay|-i|udp://@239.0.0.1:1234|" +
			"-an|-sn|-dn|-vf|select='isnan(prev_selected_t)+lt(t,prev_selected_t)+gte(t-prev_selected_t,0.18)'," + scale + rest},
		{Options{Kind: Replay, Path: video}, begin + "-protocol_whitelist|file|-i|file:" + video + "|-an|-sn|-dn|-vf|fps=5,scale=" + rest},
		{Options{Kind: Replay, Path: video, Pace: true, Loop: true, FPS: 2.5},
			begin + "-protocol_whitelist|file|-re|-stream_loop|-1|-i|file:" + video + "|-an|-sn|-dn|-vf|fps=2.5,scale=" + rest},
	} {
		notes := play(t, "quiet", ffmpeg)
		s := open(t, test.o)
		wantError(t, s, "ended with status 4")
		wantArguments(t, notes, strings.Split(test.want, "|")...)
	}
}

func TestPrintable(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{" a\tb \n", "a b"}, {"\x1b[31mé\x00\xff", "?[31m???"}, {strings.Repeat("x", 100), strings.Repeat("x", 20)},
	} {
		if got := printable(test.text, 20); got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

func BenchmarkPPM(b *testing.B) {
	stream := append([]byte("P6\n640 480\n255\n"), make([]byte, 640*480*3)...)
	p := newPPMReader(&again{data: stream}, DefaultMaxBytes)
	var shot Shot
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if err := p.next(&shot); err != nil {
			b.Fatal(err)
		}
	}
}
