// Package capture brings pictures out of cameras, streams and recordings, one after the other, as they come: JPEG files or raw
// pixels. Nothing is decoded here, and nothing is linked that could crash or hang: what has to talk to drivers and decode video
// runs in a child process of its own (rpicam-vid, ffmpeg, gst-launch-1.0, or sightd itself for V4L2), whose pictures come through
// a pipe, and which is killed with all its descendants when the Stream is closed. HTTP MJPEG and folders of pictures are read by
// Go alone.
//
// A Stream that ends stays ended. When to give one up, when to open it again, and which of its pictures are worth a look is the
// business of package live.
package capture

import (
	"context"
	"time"
)

// Format is how the bytes of a Shot are to be read.
type Format uint8

// The formats.
const (
	Encoded Format = iota + 1 // a whole picture file, JPEG from cameras, also PNG and WebP from recordings: its header says its size
	BGR                       // rows from the top, 3 bytes a pixel: blue, green, red; no padding
	RGB                       // the same: red, green, blue
)

// Shot is one picture as it came.
type Shot struct {
	Format        Format
	Width, Height int    // pixels, of BGR and RGB; 0 for Encoded
	Data          []byte // Width*Height*3 bytes, or the file

	// Time is when its last byte came, or when the child that reads a V4L2 device got it, with a monotonic reading; of a replay
	// without Pace, when what it shows happened.
	Time time.Time
	Seq  uint64 // counts the pictures of a Stream, from 1
	File string // of a folder's picture: its path below the folder, with slashes; else ""
}

// Stream is an open camera, stream or recording.
type Stream interface {
	// Read waits for the next picture and puts it into shot, whose Data it writes over, or replaces where it is too small. The
	// error is io.EOF, bare, where a recording has come to its end; it wraps fs.ErrClosed after Close; any other says what became of the
	// stream, for people, in one line, with the last words of its child process. After an error all that is left is Close.
	Read(shot *Shot) error

	// Close ends the stream, a Read in progress, and what was started for it: the child process and its descendants are killed
	// and reaped, descriptors closed, goroutines ended. It may be called from any goroutine, more than once; all calls return when that
	// is done. The one error is that of a child that is still there 10 s after it was killed, since it hangs in a driver; it is reaped when
	// it goes.
	Close() error
}

// Open opens a Stream. It returns soon, and doesn't wait for anything of a network longer than ctx: a Stream that is open may still
// never bring a picture. The Stream outlives ctx. The error says for people what is missing or wrong, in one line.
type Open func(ctx context.Context) (Stream, error)
