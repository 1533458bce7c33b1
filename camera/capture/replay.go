package capture

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
			return nil, fmt.Errorf("replay %s: %w", printable(o.Path, 256), err)
		}
		info, err := os.Stat(o.Path)
		switch {
		case err != nil:
			return nil, fmt.Errorf("replay: %w", err)
		case info.IsDir():
			return openFolder(o)
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("replay %s: it is no folder and no regular file", printable(o.Path, 256))
		}
		return openVideo(ctx, o, info.ModTime())
	}
}

// openVideo replays a video with ffmpeg.
func openVideo(ctx context.Context, o Options, modified time.Time) (Stream, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("replay %s: %w", printable(o.Path, 256), err)
	}
	// What the file refers to isn't read: a playlist of a stranger may name any file, and any host.
	options := []string{"-protocol_whitelist", "file"}
	if o.Pace {
		options = append(options, "-re")
	} else if o.FPS == 0 {
		o.FPS = replayFPS
	}
	if o.Loop {
		options = append(options, "-stream_loop", "-1")
	}
	child, err := ffmpegCommand(o, false, options, "file:"+path).start(ctx)
	if err != nil {
		return nil, err
	}
	next := newPPMReader(child, o.MaxBytes).next
	if !o.Pace {
		start := o.Start
		if start.IsZero() {
			start = modified
		}
		read, n := next, uint64(0)
		next = func(shot *Shot) error {
			if err := read(shot); err != nil {
				return err
			}
			shot.Time = virtual(start, n, o.FPS)
			n++
			return nil
		}
	}
	return &childStream{child: child, next: next, ends: true}, nil
}
