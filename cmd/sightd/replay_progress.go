package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"sightd/daemon"
)

const (
	tellEach    = 5 * time.Second
	maxRefusals = 20 // that are named

	// eraseLine puts a terminal's cursor at the start of an empty line.
	eraseLine = "\r\x1b[K"

	// fastest is how many pictures a second no camera takes.
	fastest = 100
)

// replayProgress tells on standard error what a replay does. How far it is stands on one line of a terminal, and nowhere else.
type replayProgress struct {
	w        io.Writer
	terminal bool
	shown    bool // the line is there
	begun    time.Time
	next     time.Time // when to tell again
	refusals int
}

func newReplayProgress(w io.Writer, begun time.Time) *replayProgress {
	return &replayProgress{w: w, terminal: isTerminal(w), begun: begun, next: begun.Add(tellEach)}
}

// isTerminal reports whether somebody may read along.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// seen shows how far it is.
func (p *replayProgress) seen(r daemon.ReplayResult, now time.Time) {
	if !p.terminal || now.Before(p.next) {
		return
	}
	p.next, p.shown = now.Add(tellEach), true
	fmt.Fprintf(p.w, eraseLine+"%s so far, up to %s, %.0f a second", counted(r.Pictures, "picture"), r.Last.Local().Format(time.DateTime),
		float64(r.Pictures)/now.Sub(p.begun).Seconds())
}

// clear makes room for other lines.
func (p *replayProgress) clear() {
	if p.shown {
		fmt.Fprint(p.w, eraseLine)
		p.shown = false
	}
}

// refused names a picture that can't be decoded.
func (p *replayProgress) refused(seq uint64, file, reason string) {
	p.clear()
	switch p.refusals++; {
	case p.refusals <= maxRefusals:
		fmt.Fprintf(p.w, "%s: %s\n", printable(cmp.Or(file, fmt.Sprint("picture ", seq))), printable(reason))
	case p.refusals == maxRefusals+1:
		fmt.Fprintln(p.w, "More pictures that can't be decoded are only counted.")
	}
}

// hint tells that the files' times hardly are those of the pictures.
func (p *replayProgress) hint(r daemon.ReplayResult, fps float64) {
	if span := r.Last.Sub(r.First); fps == 0 && r.Pictures > 2 && span.Seconds()*fastest < float64(r.Pictures-1) {
		fmt.Fprintf(p.w, "The files' times tell of %s within %s, as those of copies do: --fps says how many pictures a second there are.\n",
			counted(r.Pictures, "picture"), shortTime(max(span, 0)))
	}
}

// stopped is the error of a replay that was stopped.
func stopped(r daemon.ReplayResult, scores string) error {
	text := "stopped"
	if r.Pictures > 0 {
		text += fmt.Sprintf(" after %s, at %s of the recording", counted(r.Pictures, "picture"), r.Last.Local().Format(time.DateTime))
	}
	if scores != "" && !r.Kept {
		text += fmt.Sprintf("; no scores were kept in %s", printable(scores))
	}
	return errors.New(text)
}
