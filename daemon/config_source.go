package daemon

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// The types of sources. All but a folder are live: see SourceConfig.Live.
const (
	TypeFolder    = "folder"
	TypeV4L2      = "v4l2"
	TypeRPiCam    = "rpicam"
	TypeURL       = "url"
	TypeGStreamer = "gstreamer"
	TypeReplay    = "replay"
)

// SourceConfig is one place that pictures come from. A key that isn't of the source's type has its zero value.
type SourceConfig struct {
	Name   string `yaml:"name"`   // 1 to 64 of a-z 0-9 _ -; a level of its topics, so not "bridge"
	Type   string `yaml:"type"`   // folder, v4l2, rpicam, url, gstreamer or replay
	Resize string `yaml:"resize"` // squash, crop or letterbox, to the model's input size

	Path string `yaml:"path"` // of a folder: the watched one; of a replay: a folder of pictures or a video

	// Of a folder.
	Recursive bool          `yaml:"recursive"` // watch its folders too, but never its done and failed
	Settle    time.Duration `yaml:"settle"`    // a file is whole when unchanged for so long; 0 to 1h
	Poll      string        `yaml:"poll"`      // auto, on or off: look regularly instead of waiting for notice
	After     string        `yaml:"after"`     // move, keep or delete a classified picture
	Ignore    []string      `yaml:"ignore"`    // patterns of names that are left alone: see camera.FolderOptions.Ignore
	Results   bool          `yaml:"results"`   // write the event of each picture beside it, as <name>.json
	Done      QuotaConfig   `yaml:"done"`      // of done/
	Failed    QuotaConfig   `yaml:"failed"`    // of failed/

	// Of one kind of live source or another.
	Device   string     `yaml:"device"`   // of v4l2: a path such as /dev/video0; of rpicam: the camera's number, "": the first one
	URL      string     `yaml:"url"`      // may have a password in it: see Redacted
	Pipeline string     `yaml:"pipeline"` // of GStreamer, without a sink; may have a password in it, too
	Size     SizeConfig `yaml:"size"`     // of all but a replay: what the pictures should have; capture.Options says what comes of it
	FourCC   string     `yaml:"fourcc"`   // of v4l2: format that the device is asked for, 4 characters
	Loop     bool       `yaml:"loop"`     // of a replay: begin again at the end

	// Of all live sources.
	FPS      float64       `yaml:"fps"`      // pictures a second at most, 0.01 to 240; 0, for all but v4l2 and rpicam: as they come
	Interval time.Duration `yaml:"interval"` // classify no more often; 0 to 24h
	Crop     [4]float64    `yaml:"crop"`     // part of the picture that is looked at, after rotate and flip: left, top, right, bottom, 0 to 1
	Rotate   int           `yaml:"rotate"`   // degrees clockwise: 0, 90, 180 or 270
	Flip     string        `yaml:"flip"`     // none, horizontal, vertical or both; after rotate
	Motion   string        `yaml:"motion"`   // off, auto, or the part of the picture that has to change, 0 to 1
	Stall    time.Duration `yaml:"stall"`    // without a picture for so long the source is opened anew; 500ms to 1h
	Frozen   time.Duration `yaml:"frozen"`   // identical pictures for so long are a problem; 0 (off) to 24h
	Refresh  time.Duration `yaml:"refresh"`  // a scene without motion is classified again so often; 1s to 24h
}

// QuotaConfig bounds a folder: the oldest files in it make room for new ones.
type QuotaConfig struct {
	MaxMB    int `yaml:"max_mb"`    // MiB: up to 1048576; 0: no bound
	MaxFiles int `yaml:"max_files"` // files, results and reasons among them: 3 to 10000000; 0: no bound
}

// SizeConfig is a picture's size in pixels, written as 640x480: 16 to 8192 each.
type SizeConfig struct{ Width, Height int }

// String is the size as it is written in a file.
func (s SizeConfig) String() string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

// Live reports whether the source is a camera, a stream or a recording, of which the newest picture counts; a folder isn't.
func (s SourceConfig) Live() bool { return s.Type != TypeFolder }

// defaultSource is what a source of the type has that gives only what it must.
func defaultSource(typ string) SourceConfig {
	s := SourceConfig{Type: typ, Resize: "squash"}
	if !s.Live() {
		s.Settle, s.Poll, s.After = 500*time.Millisecond, "auto", "move"
		return s
	}
	s.Crop, s.Flip, s.Motion = [4]float64{0, 0, 1, 1}, "none", "auto"
	s.Stall, s.Frozen, s.Refresh = 5*time.Second, 30*time.Second, 10*time.Second
	switch typ {
	case TypeV4L2:
		s.Size, s.FPS, s.FourCC = SizeConfig{640, 480}, 15, "MJPG"
	case TypeRPiCam:
		s.Size, s.FPS = SizeConfig{640, 480}, 15
	case TypeURL, TypeGStreamer:
		s.Size = SizeConfig{640, 480}
	case TypeReplay:
		s.Frozen = 0 // pictures of one folder may well be the same
	}
	return s
}

// keyTypes is the types of sources that have a key, which is a path below the source.
func keyTypes(path string) []string {
	name, _, _ := strings.Cut(path, ".")
	switch name {
	case "name", "type", "resize":
		return []string{TypeFolder, TypeV4L2, TypeRPiCam, TypeURL, TypeGStreamer, TypeReplay}
	case "path":
		return []string{TypeFolder, TypeReplay}
	case "recursive", "settle", "poll", "after", "ignore", "results", "done", "failed":
		return []string{TypeFolder}
	case "device":
		return []string{TypeV4L2, TypeRPiCam}
	case "size":
		return []string{TypeV4L2, TypeRPiCam, TypeURL, TypeGStreamer}
	case "fourcc":
		return []string{TypeV4L2}
	case "url":
		return []string{TypeURL}
	case "pipeline":
		return []string{TypeGStreamer}
	case "loop":
		return []string{TypeReplay}
	}
	return []string{TypeV4L2, TypeRPiCam, TypeURL, TypeGStreamer, TypeReplay}
}

// requiredKeys is what a source of the type has to give.
func requiredKeys(typ string) []string {
	switch typ {
	case TypeFolder, TypeReplay:
		return []string{"name", "path"}
	case TypeV4L2:
		return []string{"name", "device"}
	case TypeURL:
		return []string{"name", "url"}
	case TypeGStreamer:
		return []string{"name", "pipeline"}
	}
	return []string{"name"}
}

// String names the source for people and logs, without what may be a password.
func (s SourceConfig) String() string {
	s = s.Redacted()
	what := s.Path + s.Device + s.URL + s.Pipeline // of a source there is one of them
	return strings.TrimSpace(fmt.Sprintf("%s: %s %s", s.Name, s.Type, what))
}

// mask stands for what isn't shown.
const mask = "***"

// Redacted is a copy of s to be shown: of its URL and its pipeline, user and password are masked, and everything else that may be
// one, such as what stands behind ? in a URL.
func (s SourceConfig) Redacted() SourceConfig {
	s.URL = redactURL(s.URL)
	s.Pipeline = redactPipeline(s.Pipeline)
	return s
}

// redactURL keeps a URL's scheme, host and port, and a path that can't hold a password.
func redactURL(s string) string {
	if s == "" {
		return ""
	}
	scheme, rest, ok := strings.Cut(s, "://")
	u, err := url.Parse(s)
	if !ok || err != nil || u.Host == "" && strings.Contains(rest, "@") {
		return mask
	}
	if u.User == nil && strings.Contains(rest, "@") { // a password with / in it looks like a port and a path
		return scheme + "://" + mask
	}
	shown := u.Scheme + "://"
	if u.User != nil && u.User.String() != "" {
		shown += mask + "@"
	}
	shown += u.Host
	if path := u.EscapedPath(); strings.ContainsAny(path, "=&@") { // some cameras want /user=…&password=…
		shown += "/" + mask
	} else {
		shown += path
	}
	if u.RawQuery != "" {
		shown += "?" + mask
	}
	if u.Fragment != "" {
		shown += "#" + mask
	}
	return shown
}

var (
	pipelineURL    = regexp.MustCompile(`"[^"]*://[^"]*"?|'[^']*://[^']*'?|[a-zA-Z][a-zA-Z0-9+.-]*://[^\s"']*`)
	pipelineSecret = regexp.MustCompile(`(?i)([a-z0-9_:-]*(?:pw|pass|secret|token|key|auth|credential|cookie|header)[a-z0-9_-]*\s*=\s*)(?:\([a-z]+\))?` +
		`("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s!]+)`)
)

// redactPipeline masks as redactURL each URL in a pipeline, and the properties whose name tells that they are secret.
func redactPipeline(s string) string {
	s = pipelineSecret.ReplaceAllString(s, "${1}"+mask)
	return pipelineURL.ReplaceAllStringFunc(s, func(found string) string {
		if inner := strings.Trim(found, `"'`); inner != found {
			quote := found[:1]
			return quote + redactURL(inner) + quote
		}
		return redactURL(found)
	})
}
