package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ffprobe is part of Debian's package ffmpeg.
const ffprobe = "ffprobe"

// probing is how long ffprobe may take, and maxLength what a recording's length at most is.
const (
	probing   = 10 * time.Second
	maxLength = 1000 * 24 * time.Hour
)

// localOnly are options that keep ffmpeg and ffprobe from reading what a file refers to: a playlist of a stranger may name any file,
// and any host.
var localOnly = []string{"-protocol_whitelist", "file"}

// outputRate is the rate that ffmpeg is told that its output has. The pictures are numbered with it just before they leave, so
// that none is ever left out or repeated on the way to a constant rate, whatever the input's time does: a repeated picture of a
// camera that hangs would look like a new one. All versions of ffmpeg understand this.
const outputRate = 25

// videoFilter samples and scales the pictures. A recording is brought to exactly fps pictures a second; of a live stream
// pictures are left out, and none repeated.
func videoFilter(o Options, live bool) string {
	var filters []string
	if o.FPS > 0 && live {
		// A tenth less than the interval: times are not exact. Time may also start again.
		filters = append(filters, fmt.Sprintf(
			`select='isnan(prev_selected_t)+lt(t,prev_selected_t)+gte(t-prev_selected_t,%s)'`, number(0.9/o.FPS)))
	} else if o.FPS > 0 {
		filters = append(filters, "fps="+number(o.FPS))
	}
	scale := "scale="
	if o.Width > 0 {
		scale += fmt.Sprintf(`w='min(iw,%d)':h='min(ih,%d)':force_original_aspect_ratio=decrease:`, o.Width, o.Height)
	}
	filters = append(filters,
		scale+"flags=area+accurate_rnd+full_chroma_int",
		"settb=AVTB", fmt.Sprintf("setpts=N/%d/TB", outputRate))
	return strings.Join(filters, ",")
}

// ffmpegCommand reads input, which comes behind the options for it.
func ffmpegCommand(o Options, live bool, options []string, input string) command {
	argv := append([]string{ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "repeat+warning"}, options...)
	argv = append(argv, "-i", input,
		"-an", "-sn", "-dn",
		"-vf", videoFilter(o, live),
		"-r", fmt.Sprint(outputRate),
		"-pix_fmt", "rgb24",
		"-flush_packets", "1",
		"-f", "image2pipe", "-c:v", "ppm", "pipe:1")
	return command{name: ffmpeg, argv: argv, secrets: secretsOf(input), log: o.Log}
}

// videoLength asks ffprobe how long a video is.
func videoLength(ctx context.Context, path string) (time.Duration, error) {
	argv := slices.Concat([]string{ffprobe, "-loglevel", "error"}, localOnly,
		[]string{"-show_entries", "format=duration", "-of", "default=noprint_wrappers=1:nokey=1", "file:" + path})
	child, err := command{name: ffprobe, argv: argv, log: slog.New(slog.DiscardHandler)}.start(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, probing)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { child.out.Close() }) // ends the reading
	text, err := io.ReadAll(io.LimitReader(child, 64))
	if !stop() {
		err = ctx.Err()
	}
	if err = errors.Join(err, child.close(patience)); err != nil {
		return 0, fmt.Errorf("read the length of a video: %w", err)
	}
	return parseLength(string(text), child.stderr.words())
}

// parseLength reads ffprobe's answer, in seconds. said is what it complains of.
func parseLength(text, said string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	seconds, err := strconv.ParseFloat(text, 64)
	if err == nil && seconds > 0 && seconds <= maxLength.Seconds() {
		return time.Duration(seconds * float64(time.Second)), nil
	}
	if text == "" && said != "" {
		return 0, fmt.Errorf("read the length of a video: %s", said)
	}
	return 0, fmt.Errorf("read the length of a video: want seconds, ffprobe says %q", printable(text, 64))
}

// openLive opens a live stream with ffmpeg.
func openLive(ctx context.Context, o Options) (Stream, error) {
	options := []string{"-fflags", "nobuffer", "-flags", "low_delay"}
	if strings.HasPrefix(strings.ToLower(o.URL), "rtsp") {
		options = append(options, "-rtsp_transport", "tcp", "-allowed_media_types", "video")
	}
	child, err := ffmpegCommand(o, true, options, o.URL).start(ctx)
	if err != nil {
		return nil, err
	}
	return &childStream{child: child, next: newPPMReader(child, o.MaxBytes).next}, nil
}
