package capture

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// schemes are those that are given to ffmpeg as they are. Others of its own (concat, subfile …) have no place in a configuration.
var schemes = []string{"rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "tcp", "srt"}

// parseURL checks a URL. Its errors don't quote it: the password may be anywhere in one that is wrong.
func parseURL(address string) (*url.URL, error) {
	switch {
	case address == "":
		return nil, errors.New("url is missing: want one as rtsp://192.168.1.20/stream or http://192.168.1.20/mjpeg")
	case len(address) > maxURL:
		return nil, fmt.Errorf("url has %d bytes: want at most %d", len(address), maxURL)
	case strings.ContainsFunc(address, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, errors.New("url has control characters in it")
	case !strings.Contains(address, "://"):
		return &url.URL{Scheme: "file", Path: address}, nil
	}
	u, err := url.Parse(address)
	if err != nil || strings.HasSuffix(Redact(address), "://"+hidden) {
		return nil, errors.New("url can't be read: in user and password write / ? # : % as %2F %3F %23 %3A %25, and @ as %40, behind the host, too")
	}
	u.Scheme = strings.ToLower(u.Scheme)
	switch {
	case u.Scheme == "file":
		if u.Host != "" && u.Host != "localhost" || u.Path == "" {
			return nil, fmt.Errorf("url %s is wrong: want file:///path/of/the/video", printable(Redact(address), 256))
		}
	case !isHTTP(u) && !slices.Contains(schemes, u.Scheme):
		return nil, fmt.Errorf("url has the scheme %s: want http, https, %s or file", printable(u.Scheme, 32), strings.Join(schemes, ", "))
	case u.Host == "":
		return nil, fmt.Errorf("url %s has no host", printable(Redact(address), 256))
	}
	return u, nil
}

func isHTTP(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

// isVideoURL reports whether the address is one of a video or a playlist: Go need not ask for it first.
func isVideoURL(u *url.URL) bool {
	return slices.Contains([]string{".m3u8", ".mpd", ".mp4", ".m4v", ".mkv", ".mov", ".webm", ".ts", ".flv", ".avi"}, strings.ToLower(path.Ext(u.Path)))
}

func newURL(o Options) (Open, error) {
	u, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	switch {
	case u.Scheme == "file":
		// In real time, as all that a URL brings.
		o.Path, o.Pace = u.Path, true
		return newReplay(o), nil
	case isHTTP(u) && !isVideoURL(u):
		return func(ctx context.Context) (Stream, error) { return openHTTP(ctx, o, u) }, nil
	}
	return func(ctx context.Context) (Stream, error) { return openLive(ctx, o) }, nil
}
