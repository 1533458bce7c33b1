package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"sightd/daemon"
	"sightd/decide"
	"sightd/publish"
)

const replayAbout = `Decides on a recording, a folder of pictures or a video, what sightd would have decided on a camera, and prints the events. The
code is that of "sightd run", the time is that of the recording, and nothing is waited for: so thresholds can be tried on last night.
With --scores the pictures are looked at once, and each further try takes seconds. It publishes nothing. Videos are read by ffmpeg.`

func replayCommand(ctx context.Context, c *call) error {
	fs := c.flags("replay", "DIR|VIDEO [-c FILE] [flags]", replayAbout)
	file := fs.String("c", "", "configuration `FILE` (YAML) with the decisions to try")
	source := fs.String("source", "", "`NAME` of the live source whose crop, rotate, motion and so on count (default: the first one)")
	fps := fs.Float64("fps", 0, "pictures a second of the recording (default: a folder's files tell by their times, a video is looked at 5 times a second)")
	start := fs.String("start", "", "`TIME` of the first picture, as 2026-09-23T22:00:00Z (default: when the first file was modified)")
	scores := fs.String("scores", "", "`FILE` to keep the scores and thumbnails of all pictures in, 2 to 3 KB each; if it is there, it is read in place of the recording")
	asJSON := fs.Bool("json", false, "print each event as it would be published, one JSON object a line")
	explain := fs.Bool("explain", false, "print what became of the pictures, too")
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(arguments) != 1 {
		return usageError{fmt.Sprintf("want a folder or a video, have %d arguments", len(arguments))}
	}
	options := daemon.ReplayOptions{Path: arguments[0], Source: *source, FPS: *fps, Scores: *scores}
	if *start != "" {
		if options.Start, err = time.Parse(time.RFC3339, *start); err != nil {
			return usageError{fmt.Sprintf("--start: want a time such as 2026-09-23T22:00:00Z, have %q", *start)}
		}
	}
	if *asJSON && *explain {
		return usageError{"want --json or --explain, have both"}
	}
	config, err := daemon.Load(*file, os.Environ())
	if err != nil {
		return err
	}
	options.Log = newLog(c.stderr, config.Log)
	out := bufio.NewWriter(c.stdout)
	began, told := time.Now(), 0
	options.Event = func(e decide.Event, m publish.Model) error {
		told++
		if *asJSON {
			return printEventJSON(out, e, m)
		}
		return printEvent(out, e)
	}
	result, err := daemon.Replay(ctx, config, options)
	if err == nil && !*asJSON {
		err = printReplay(out, result, told, *explain, time.Since(began))
	}
	return errors.Join(err, out.Flush())
}

// printEventJSON prints an event as sightd run would publish it.
func printEventJSON(w io.Writer, e decide.Event, m publish.Model) error {
	payload, err := publish.EventPayload(e, m, publish.MaxPayload)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", payload)
	}
	return err
}

const eventLayout = "2006-01-02 15:04:05.000"

// printEvent prints an event on one line.
func printEvent(w io.Writer, e decide.Event) error {
	about := fmt.Sprintf("score %.2f, smoothed %.2f", e.Label.Score, e.Smoothed)
	switch {
	case e.Kind == decide.Leave:
		about = "after " + shortTime(e.Duration)
	case e.Kind == decide.Change:
		about += fmt.Sprintf(", before %s for %s", printable(e.Previous), shortTime(e.Duration))
	}
	if e.Error != "" {
		about += ": " + printable(e.Error)
	}
	if e.File != "" {
		about += "  " + printable(e.File)
	}
	_, err := fmt.Fprintf(w, "%s  %-6s  %-24s  %s\n", e.Time.Local().Format(eventLayout), e.Kind, printable(e.Label.Label), about)
	return err
}

// printReplay prints what it comes to.
func printReplay(w io.Writer, r daemon.ReplayResult, events int, explain bool, took time.Duration) error {
	if explain && len(r.Entries) > 0 {
		fmt.Fprintln(w)
		if err := decide.WriteTable(w, r.Entries); err != nil {
			return err
		}
	}
	if r.Pictures == 0 {
		return errors.New("replay: there are no pictures in the recording")
	}
	parts := []string{fmt.Sprintf("%d classified", r.Classified)}
	for _, p := range []struct {
		n    uint64
		what string
	}{
		{r.Unchanged, "unchanged"}, {r.Paced, "left out by fps and interval"}, {r.Blind, "black, covered or frozen"}, {r.Refused, "no pictures"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	from := ""
	if r.Kept {
		from = ", from kept scores"
	}
	shows := ""
	if r.State.Label != decide.None {
		shows = fmt.Sprintf("; at the end it shows %s", printable(r.State.Label))
	}
	_, err := fmt.Fprintf(w, "\n%d events%s. %d pictures of %s: %s%s, in %s\n", events, shows, r.Pictures, shortTime(r.Last.Sub(r.First)),
		strings.Join(parts, ", "), from, shortTime(took))
	return err
}

// shortTime is a duration for people.
func shortTime(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}
