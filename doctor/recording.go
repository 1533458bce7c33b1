package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// probePatience is how long a program may take to say what it knows of a file or an element.
const probePatience = 10 * time.Second

// recording looks at a video, or, where that may be one, at a folder of pictures. hint says where else it is to be.
func recording(ctx context.Context, name, path, hint string, folder bool) Finding {
	f := Finding{Name: name, Status: Fail, Hint: hint}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		f.Detail, f.Hint = err.Error(), asUser
		return f
	case err != nil:
		f.Detail = err.Error()
		return f
	case info.IsDir() && !folder:
		f.Detail = path + ": want a video, have a folder"
		return f
	case !info.IsDir() && !info.Mode().IsRegular():
		f.Detail = path + ": want a folder or a file, have " + kind(info.Mode())
		return f
	}
	file, err := os.Open(path)
	if err == nil && info.IsDir() {
		_, err = file.Readdirnames(1)
	}
	if file != nil {
		file.Close() // it was only read from
	}
	switch {
	case errors.Is(err, io.EOF):
		f.Status, f.Detail, f.Hint = Warn, path+" is empty: there is nothing to replay", "put pictures there"
		return f
	case err != nil:
		f.Detail, f.Hint = err.Error(), asUser
		return f
	}
	f.Status, f.Detail, f.Hint = OK, path+" is there, and may be read", ""
	if !info.IsDir() {
		return video(ctx, f, path, hint)
	}
	return f
}

// video has ffprobe, which comes with ffmpeg, look whether a file is one. f is what is so where it is, or where that can't be told.
func video(ctx context.Context, f Finding, path, hint string) Finding {
	program, err := exec.LookPath("ffprobe")
	if err != nil {
		return f
	}
	if path, err = filepath.Abs(path); err != nil {
		return f
	}
	out, said, err := probe(ctx, program, "-v", "error", "-select_streams", "v", "-show_entries", "stream=codec_type", "-of", "csv=p=0", "file:"+path)
	var exit *exec.ExitError
	switch {
	case err == nil && !strings.Contains(out, "video"):
		f.Status, f.Detail, f.Hint = Fail, path+": want a video, have a file without pictures", hint
	case err != nil && errors.As(err, &exit) && exit.Exited():
		f.Status, f.Detail, f.Hint = Fail, fmt.Sprintf("%s: ffmpeg can't read it: %s", path, strings.TrimPrefix(said, "file:"+path+": ")), hint
	case err != nil:
		f.Detail += "; whether it is a video couldn't be found out: " + err.Error()
	}
	return f
}

// probe runs a program that says what it knows, and gives what it writes and the last line of what it says is wrong.
func probe(ctx context.Context, program string, arguments ...string) (out, said string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, probePatience, fmt.Errorf("no answer from %s within %v", filepath.Base(program), probePatience))
	defer cancel()
	var output, wrong most
	c := exec.CommandContext(ctx, program, arguments...)
	c.Stdout, c.Stderr, c.WaitDelay = &output, &wrong, time.Second
	if err = c.Run(); err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	lines := strings.Split(strings.TrimSpace(wrong.kept.String()), "\n")
	return output.kept.String(), lines[len(lines)-1], err
}

// most keeps the first bytes that are written to it.
type most struct{ kept bytes.Buffer }

func (m *most) Write(p []byte) (int, error) {
	const limit = 64 << 10
	m.kept.Write(p[:min(len(p), limit-m.kept.Len())])
	return len(p), nil
}
