package capture

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// replayFPS is the rate of a replay that has none of its own.
const replayFPS = 5

// isVideoFile reports whether a replay's path is read by ffmpeg: it is there, and no folder.
func isVideoFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func newReplay(o Options) Open {
	return func(ctx context.Context) (Stream, error) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("open recording %s: %w", printable(o.Path, 256), err)
		}
		info, err := os.Stat(o.Path)
		switch {
		case err != nil:
			return nil, fmt.Errorf("open recording: %w", err)
		case info.IsDir():
			return openFolder(o)
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("open recording %s: it is no folder and no regular file", printable(o.Path, 256))
		case !o.Pace && isPicture(o.Path):
			return nil, fmt.Errorf("open recording %s: want a folder or a video, have one picture", printable(o.Path, 256))
		}
		return openVideo(ctx, o, info.ModTime())
	}
}

// isPicture reports whether a file's name is that of a picture.
func isPicture(name string) bool { return slices.Contains(replayed, strings.ToLower(path.Ext(name))) }

// openVideo replays a video with ffmpeg.
func openVideo(ctx context.Context, o Options, modified time.Time) (Stream, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("open recording %s: %w", printable(o.Path, 256), err)
	}
	var options []string
	if o.Pace {
		options = append(options, "-re")
	} else if o.FPS == 0 {
		o.FPS = replayFPS
	}
	if o.Loop {
		options = append(options, "-stream_loop", "-1")
	}
	child, err := ffmpegCommand(o, false, slices.Concat(localOnly, options), "file:"+path).start(ctx)
	if err != nil {
		return nil, err
	}
	next := newPPMReader(child, o.MaxBytes).next
	if !o.Pace {
		start, unsure := o.Start, error(nil)
		if start.IsZero() {
			// It was modified last when its last picture came.
			var length time.Duration
			length, unsure = videoLength(ctx, path)
			start = modified.Add(-length)
		}
		read, n := next, uint64(0)
		next = func(shot *Shot) error {
			if err := read(shot); err != nil {
				return err
			}
			if n == 0 && unsure != nil { // of a file that is no video ffmpeg tells
				o.Log.Warn("the recording's length isn't known: its first picture counts as taken when the file was modified", "err", unsure)
			}
			shot.Time = virtual(start, n, o.FPS)
			n++
			return nil
		}
	}
	return &childStream{child: child, next: next, ends: true}, nil
}
