package capture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Size of a pipeline's pixels where none is wanted.
const (
	gstWidth  = 640
	gstHeight = 480
)

func newGStreamer(o Options) (Open, error) {
	elements, err := pipelineArguments(o.Pipeline)
	if err != nil {
		return nil, err
	}
	if len(elements) == 0 {
		return nil, errors.New("pipeline is missing: want GStreamer elements without a sink, as nvarguscamerasrc ! nvvidconv")
	}
	last := lastElement(elements)
	if strings.HasSuffix(last, "sink") {
		return nil, fmt.Errorf("pipeline ends in %s: leave the sink out, there is one already", printable(last, 64))
	}
	if o.Width == 0 {
		o.Width, o.Height = gstWidth, gstHeight
	}
	jpeg := makesJPEG(last)
	argv := append([]string{gstLaunch, "-q"}, elements...)
	if !jpeg {
		if o.Width%4 != 0 {
			return nil, fmt.Errorf("width %d is wrong: of a pipeline that makes no JPEG it must be a multiple of 4", o.Width)
		}
		if o.FPS > 0 {
			argv = append(argv, "!", "videorate", "drop-only=true", "max-rate="+strconv.Itoa(int(math.Ceil(o.FPS))))
		}
		argv = append(argv, "!", "videoconvert", "!", "videoscale", "!",
			fmt.Sprintf("video/x-raw,format=BGR,width=%d,height=%d", o.Width, o.Height))
	}
	argv = append(argv, "!", "fdsink", fmt.Sprintf("fd=%d", picturesFD), "sync=false")
	// Elements and drivers write to standard output what they like.
	c := command{name: gstLaunch, argv: argv, separate: true, secrets: secretsOf(o.Pipeline), reason: isGStreamerError, log: o.Log}
	return func(ctx context.Context) (Stream, error) {
		child, err := c.start(ctx)
		if err != nil {
			return nil, err
		}
		if jpeg {
			return &childStream{child: child, next: newJPEGReader(child, o.MaxBytes).next}, nil
		}
		r := &bgrReader{r: bufio.NewReaderSize(child, 64<<10), width: o.Width, height: o.Height, max: o.MaxBytes}
		return &childStream{child: child, next: r.next}, nil
	}, nil
}

// isGStreamerError recognizes the line that says what is wrong; advice and consequences follow it.
func isGStreamerError(line string) bool {
	return strings.HasPrefix(line, "ERROR") || strings.HasPrefix(line, "WARNING: erroneous pipeline")
}

// pipelineArguments splits a pipeline into arguments as a shell would: at space, but for what is quoted or escaped.
func pipelineArguments(pipeline string) ([]string, error) {
	var (
		arguments []string
		current   []byte
		quote     byte // the one that is open
		inside    bool // an argument has begun
	)
	for i := 0; i < len(pipeline); i++ {
		b := pipeline[i]
		switch {
		case b == 0:
			return nil, errors.New("pipeline has a zero byte in it")
		case b == '\\' && quote != '\'' && i+1 < len(pipeline):
			i++
			current, inside = append(current, pipeline[i]), true
		case quote != 0 && b == quote:
			quote = 0
		case quote != 0:
			current = append(current, b)
		case b == '"' || b == '\'':
			quote, inside = b, true
		case b == ' ' || b == '\t' || b == '\n' || b == '\r':
			if inside {
				arguments, current, inside = append(arguments, string(current)), nil, false
			}
		default:
			current, inside = append(current, b), true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("pipeline has a %c without its other one", quote)
	}
	if inside {
		arguments = append(arguments, string(current))
	}
	return arguments, nil
}

// passing are elements that hand on what they get.
var passing = []string{"queue", "queue2", "identity", "jpegparse", "tee", "valve"}

// lastElement is the name of the element, or the caps, that decide what a pipeline makes; "" if there is none.
func lastElement(arguments []string) string {
	for len(arguments) > 0 {
		bang := len(arguments) - 1
		for bang >= 0 && arguments[bang] != "!" {
			bang--
		}
		if bang+1 < len(arguments) {
			if name := arguments[bang+1]; !slices.Contains(passing, name) {
				return name
			}
		}
		arguments = arguments[:max(bang, 0)]
	}
	return ""
}

// makesJPEG reports whether an element makes JPEG pictures: jpegenc, nvjpegenc, vaapijpegenc, avenc_mjpeg …, or says so as caps.
func makesJPEG(element string) bool {
	media, _, _ := strings.Cut(element, ",")
	return strings.TrimSpace(media) == "image/jpeg" || strings.HasSuffix(element, "jpegenc") || strings.HasPrefix(element, "avenc_mjpeg") ||
		element == "multipartmux" || element == "qsvjpegenc" || element == "v4l2jpegenc"
}
