package daemon

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sightd/camera"
	"sightd/camera/capture"
)

// sourceKeys is every key of a source, each bound to its place in s, whose type is known.
func sourceKeys(s *SourceConfig) []configKey {
	return []configKey{
		{"name", setText(&s.Name, checkSourceName)},
		{"type", setOneOf(&s.Type, keyTypes("type")...)},
		{"resize", setOneOf(&s.Resize, "squash", "crop", "letterbox")},
		{"path", setText(&s.Path, checkNotEmpty)},

		{"recursive", setBool(&s.Recursive)},
		{"settle", setDuration(&s.Settle, 0, time.Hour)},
		{"poll", setPoll(&s.Poll)},
		{"after", setOneOf(&s.After, "move", "keep", "delete")},
		{"ignore", setTexts(&s.Ignore, 64, camera.CheckIgnore)},
		{"results", setBool(&s.Results)},
		{"done.max_mb", setWhole(&s.Done.MaxMB, 0, 1<<20)},
		{"done.max_files", setFiles(&s.Done.MaxFiles)},
		{"failed.max_mb", setWhole(&s.Failed.MaxMB, 0, 1<<20)},
		{"failed.max_files", setFiles(&s.Failed.MaxFiles)},

		{"device", setDevice(s)},
		{"url", setText(&s.URL, checkStream)},
		{"pipeline", setText(&s.Pipeline, checkPipeline)},
		{"size", setSize(s)},
		{"fourcc", setText(&s.FourCC, checkFourCC)},
		{"loop", setBool(&s.Loop)},

		{"fps", setFPS(s)},
		{"interval", setDuration(&s.Interval, 0, 24*time.Hour)},
		{"crop", setCrop(&s.Crop)},
		{"rotate", setRotate(&s.Rotate)},
		{"flip", setOneOf(&s.Flip, "none", "horizontal", "vertical", "both")},
		{"motion", setMotion(&s.Motion)},
		{"stall", setDuration(&s.Stall, 500*time.Millisecond, time.Hour)},
		{"frozen", setDuration(&s.Frozen, 0, 24*time.Hour)},
		{"refresh", setDuration(&s.Refresh, time.Second, 24*time.Hour)},
	}
}

// foreign says to which types a key belongs that isn't one of the source's type. typed: it gave its type.
func (s *SourceConfig) foreign(key string, typed bool) error {
	types := keyTypes(key)
	if slices.Contains(types, s.Type) {
		return nil
	}
	mine := "of type " + s.Type
	switch {
	case !typed:
		mine = "a folder, as it has no type"
	case s.Type == TypeFolder:
		mine = "a folder"
	}
	return fmt.Errorf("belongs to type %s, this source is %s", alternatives(types), mine)
}

// setFiles takes a limit of files: 0 for none, or room for a picture with its result and its reason.
func setFiles(dst *int) configSetter {
	const least, most = 3, 10_000_000
	return func(v configValue) error {
		var n int
		if err := setWhole(&n, 0, most)(v); err != nil || n > 0 && n < least {
			return fmt.Errorf("want 0 or a whole number from %d to %d, have %s", least, most, v)
		}
		*dst = n
		return nil
	}
}

// setPoll takes auto, on and off; true and false too, as YAML 1.1 reads a plain on and off as those.
func setPoll(dst *string) configSetter {
	set := setOneOf(dst, "auto", "on", "off")
	return func(v configValue) error {
		if yes, known := v.boolean(); known {
			*dst = map[bool]string{true: "on", false: "off"}[yes]
			return nil
		}
		return set(v)
	}
}

// setDevice takes a video device's path or number, of rpicam a camera's number.
func setDevice(s *SourceConfig) configSetter {
	return func(v configValue) error {
		return setText(&s.Device, func(text string) error {
			_, err := strconv.ParseUint(text, 10, 8)
			switch {
			case s.Type == TypeRPiCam && text != "" && err != nil:
				return fmt.Errorf("want a camera's number such as 0, or \"\" for the first one, have %s", quoted(text))
			case s.Type == TypeV4L2 && err != nil && (!strings.HasPrefix(text, "/") || strings.HasSuffix(text, "/")):
				return fmt.Errorf("want a path such as /dev/video0, or its number, have %s", quoted(text))
			}
			return nil
		})(v)
	}
}

// setSize takes a size such as 640x480; of gstreamer one without padding at the ends of rows.
func setSize(s *SourceConfig) configSetter {
	const least, most = 16, 8192
	return func(v configValue) error {
		width, height, ok := strings.Cut(v.text, "x")
		w, errW := strconv.ParseUint(width, 10, 16)
		h, errH := strconv.ParseUint(height, 10, 16)
		if v.kind != plainValue && v.kind != quotedValue || !ok || errW != nil || errH != nil || min(w, h) < least || max(w, h) > most {
			return fmt.Errorf("want a size such as 640x480, from %dx%d to %dx%d, have %s", least, least, most, most, v)
		}
		if s.Type == TypeGStreamer && w%4 != 0 {
			return fmt.Errorf("want a width that is a multiple of 4 with type gstreamer, have %s", v)
		}
		s.Size = SizeConfig{int(w), int(h)}
		return nil
	}
}

// setFPS takes pictures a second; 0, too, where that isn't what a camera is asked for.
func setFPS(s *SourceConfig) configSetter {
	return func(v configValue) error {
		var fps float64
		err := setNumber(&fps, 0.01, 240)(v)
		if s.Type != TypeV4L2 && s.Type != TypeRPiCam && err != nil {
			if setNumber(&fps, 0, 0)(v) != nil {
				return fmt.Errorf("want 0 or a number from 0.01 to 240, have %s", v)
			}
			err = nil
		}
		if err != nil {
			return err
		}
		s.FPS = fps
		return nil
	}
}

var fourCC = regexp.MustCompile(`^[A-Za-z0-9 ]{4}$`)

func checkFourCC(s string) error {
	if !fourCC.MatchString(s) {
		return fmt.Errorf("want 4 letters and digits such as MJPG or YUYV, have %s", quoted(s))
	}
	return nil
}

// setCrop takes the corners of a part of the picture.
func setCrop(dst *[4]float64) configSetter {
	return func(v configValue) error {
		var c [4]float64
		right := v.kind == listValue && len(v.items) == len(c)
		for i := 0; right && i < len(c); i++ {
			right = setNumber(&c[i], 0, 1)(v.items[i]) == nil
		}
		if !right || c[0] >= c[2] || c[1] >= c[3] {
			return fmt.Errorf("want [left, top, right, bottom] from 0 to 1, left before right and top before bottom, have %s", v)
		}
		*dst = c
		return nil
	}
}

// setRotate takes quarter turns.
func setRotate(dst *int) configSetter {
	return func(v configValue) error {
		var text string
		if err := setOneOf(&text, "0", "90", "180", "270")(v); err != nil || v.kind != plainValue {
			return fmt.Errorf("want 0, 90, 180 or 270, have %s", v)
		}
		n, err := strconv.Atoi(text)
		*dst = n
		return err
	}
}

// setMotion takes off, auto or a part of the picture; false too, as YAML 1.1 reads a plain off as that.
func setMotion(dst *string) configSetter {
	return func(v configValue) error {
		var part float64
		yes, known := v.boolean()
		switch {
		case known && !yes:
			*dst = "off"
		case setOneOf(dst, "off", "auto")(v) == nil:
		case setNumber(&part, 0, 1)(v) == nil:
			*dst = strconv.FormatFloat(part, 'g', -1, 64)
		default:
			return fmt.Errorf("want off, auto or a number from 0 to 1, have %s", v)
		}
		return nil
	}
}

// urlScheme is how a URL begins, one without // too, which is told of by its scheme.
var urlScheme = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:(//|[^0-9])`)

// checkStream never repeats the URL: it may have a password in it. The errors of package capture don't, either.
func checkStream(s string) error {
	const escapes = "; write @ as %40, and in a user or password / as %2F, # as %23, ? as %3F and % as %25"
	if !strings.Contains(s, "@") && !urlScheme.MatchString(s) {
		return errors.New("want a URL such as rtsp://192.168.1.20/stream, have one that begins with no rtsp:// or http://")
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.User == nil && strings.Contains(s, "@") { // a password with / in it looks like a port and a path
		return errors.New("want a URL such as rtsp://192.168.1.20/stream, have something else" + escapes)
	}
	schemes := []string{"http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt", "file"}
	if !slices.Contains(schemes, u.Scheme) {
		return fmt.Errorf("want the scheme %s, have %s", alternatives(schemes), quoted(u.Scheme))
	}
	if !strings.HasPrefix(s, u.Scheme+"://") {
		return fmt.Errorf("want it to begin with %s://, have something else", u.Scheme)
	}
	if u.Scheme == "file" {
		if u.Host != "" || len(u.Path) < 2 {
			return errors.New("want file:// and a path from the root, such as file:///srv/door.mp4, have something else")
		}
		return nil
	}
	listens := u.Scheme == "udp" || u.Scheme == "rtp" || u.Scheme == "tcp" || u.Scheme == "srt" // on any address of this board
	if u.Hostname() == "" && !(listens && u.Port() != "") {
		if u.User != nil {
			return errors.New("want a host behind the user and password, have none" + escapes)
		}
		return errors.New("want a host in the URL, have none")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("want a port from 1 to 65535, have %s", quoted(port))
		}
	}
	_, err = capture.New(capture.Options{Kind: capture.URL, URL: s})
	return err
}

// checkPipeline is as checkStream.
func checkPipeline(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("want a pipeline such as \"nvarguscamerasrc ! nvvidconv\", have an empty one")
	}
	if last := strings.TrimSpace(s); strings.HasSuffix(last, "!") && !strings.HasSuffix(last, `\!`) {
		return errors.New("want an element at the end of the pipeline, have a !, behind which one is missing")
	}
	_, err := capture.New(capture.Options{Kind: capture.GStreamer, Pipeline: s})
	return err
}
