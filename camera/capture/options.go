package capture

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind is what the pictures come from.
type Kind string

// The kinds, as they are called in the configuration.
const (
	V4L2      Kind = "v4l2"      // a USB camera or capture card, read by a child that Options.Self starts
	RPiCam    Kind = "rpicam"    // a CSI camera of a Raspberry Pi, read by rpicam-vid
	URL       Kind = "url"       // HTTP MJPEG and snapshots, read by Go; RTSP, HLS, other streams and videos, read by ffmpeg
	GStreamer Kind = "gstreamer" // whatever gst-launch-1.0 can read, as a Jetson's CSI camera
	Replay    Kind = "replay"    // a folder of pictures, read by Go; a video file, read by ffmpeg
)

// DefaultMaxBytes bounds a picture where Options doesn't.
const DefaultMaxBytes = 64 << 20

const (
	maxSide = 65535 // widest and highest picture
	maxFPS  = 1000
	maxURL  = 2048 // bytes
)

// Options say what to open, and how. What a Kind doesn't use is ignored.
type Options struct {
	Kind Kind

	// Device is the path of a V4L2 device or its number; of an RPiCam the number of the camera as `rpicam-vid --list-cameras`
	// counts, "" for the first.
	Device string
	// URL of what is to be read: http or https; rtsp, rtsps, rtmp, rtmps, udp, rtp, tcp, srt; the path of a video or a file
	// URL, which is replayed with Pace. User and password may be part of it.
	URL string
	// Pipeline holds GStreamer elements as gst-launch-1.0 takes them, without the sink. One that ends in JPEG (jpegenc, caps
	// image/jpeg) is read as that, of any other the pixels are taken.
	Pipeline string
	// Path of a replay's folder of pictures or video file.
	Path string

	// Width and Height of the pictures, 0 where they don't matter. V4L2 and RPiCam are asked for that size and may choose a
	// near one; a stream or video is made smaller to fit into it, its aspect kept, and never larger; a pipeline's pixels are
	// brought to it, 640x480 if it is 0, with a width that is a multiple of 4. Otherwise ignored.
	Width, Height int
	// FPS is how many pictures a second are wanted, 0 for what comes. Of streams that bring more, pictures are left out. A
	// snapshot URL is fetched that often, once a second if 0. In a replay see Pace.
	FPS    float64
	FourCC string // pixel format that a V4L2 device is asked for, as MJPG or YUYV; "" leaves it the choice

	// Loop starts a replay again at its end.
	Loop bool
	// Pace brings a replay's pictures in real time, a video's at their own rate or at FPS, a folder's at FPS or 5 a second; a
	// Shot's Time is the present. Without it they come as fast as they are read, and Time is when they were taken: of picture
	// n, from 0, Start + n/FPS. If FPS is 0, a folder's pictures are as far apart as the modification times of their
	// files, and a video is sampled 5 times a second.
	Pace bool
	// Start is the time of a replay's first picture; zero for the modification time of a folder's first file, and for that of a
	// video less its length.
	Start time.Time

	// MaxBytes bounds one picture, encoded or raw; a larger one is an error of Read. 0 for DefaultMaxBytes.
	MaxBytes int64

	// Self is the command that reads a V4L2 device and writes its pictures with WriteShot on standard output: a program and
	// its first arguments. `--device X --size WxH --fps N --fourcc MJPG` is appended, as far as it is set.
	Self []string
	// Log gets the children's standard error, at debug level; nil for none.
	Log *slog.Logger
}

// New checks the options and returns what opens the stream that they describe. Nothing is started yet, and no file looked at.
// The errors are for whoever wrote the configuration; like all errors and log records of this package they hold no user,
// password or query of a URL, and nothing of a pipeline but the name of its last element.
func New(o Options) (Open, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if err := o.checkPictures(); err != nil {
		return nil, err
	}
	switch o.Kind {
	case V4L2:
		return newV4L2(o)
	case RPiCam:
		return newRPiCam(o)
	case URL:
		return newURL(o)
	case GStreamer:
		return newGStreamer(o)
	case Replay:
		if o.Path == "" {
			return nil, errors.New("path is missing: want a folder of pictures or a video file")
		}
		return newReplay(o), nil
	}
	return nil, fmt.Errorf("type %q is unknown: want %s, %s, %s, %s or %s", o.Kind, V4L2, RPiCam, URL, GStreamer, Replay)
}

func (o Options) checkPictures() error {
	switch {
	case o.Width < 0 || o.Width > maxSide || o.Height < 0 || o.Height > maxSide:
		return fmt.Errorf("size %dx%d is wrong: want 0 to %d on each side", o.Width, o.Height, maxSide)
	case (o.Width == 0) != (o.Height == 0):
		return fmt.Errorf("size %dx%d is wrong: want both sides, or none", o.Width, o.Height)
	case !(o.FPS >= 0 && o.FPS <= maxFPS): // not NaN either
		return fmt.Errorf("fps %v is wrong: want 0 to %d", o.FPS, maxFPS)
	case o.FPS > 0 && o.FPS < 0.001:
		return fmt.Errorf("fps %v is wrong: want at least 0.001", o.FPS)
	case o.MaxBytes < 0 || o.MaxBytes > math.MaxInt32:
		return fmt.Errorf("at most %d bytes a picture is wrong: want 1 to %d", o.MaxBytes, math.MaxInt32)
	}
	return nil
}

// Programs are the names of the external programs that the source needs, for checks before it is opened. Of rpicam-vid it is the
// name that it has here. A stream over http is read without any, unless its address is one of a video or playlist.
func (o Options) Programs() []string {
	switch o.Kind {
	case RPiCam:
		return []string{rpicamName()}
	case GStreamer:
		return []string{gstLaunch}
	case URL:
		if u, err := parseURL(o.URL); err == nil && isHTTP(u) && !isVideoURL(u) {
			return nil
		}
		return []string{ffmpeg}
	case Replay:
		if !isVideoFile(o.Path) {
			return nil
		}
		return []string{ffmpeg}
	}
	return nil
}

// number is x as the programs take it: without an exponent.
func number(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// interval is the time between pictures; 0 for no rate.
func interval(fps float64) time.Duration {
	if fps == 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / fps)
}

// virtual is the time of picture n of a replay, from 0.
func virtual(start time.Time, n uint64, fps float64) time.Time {
	seconds, fraction := math.Modf(float64(n) / fps)
	return start.Add(time.Duration(seconds)*time.Second + time.Duration(math.Round(fraction*float64(time.Second))))
}

// printable is a text of strangers on one line of at most limit bytes: whatever isn't printable ASCII turns into ?.
func printable(text string, limit int) string {
	text = strings.TrimSpace(text)
	if len(text) > limit {
		text = text[:limit]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, text)
}
