package main

import (
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
With --scores the pictures are looked at once, and each further try takes seconds. It publishes nothing. Videos are read by ffmpeg.

The events have the times of the recording. Pictures in a folder were taken when their files were modified, unless --fps counts them;
a video ended when its file was modified. Copies often have other times: --start sets the first one.`

func replayCommand(ctx context.Context, c *call) error {
	fs := c.flags("replay", "DIR|VIDEO [-c FILE] [flags]", replayAbout)
	file := fs.String("c", "", "configuration `FILE` (YAML) with the decisions to try")
	source := fs.String("source", "", "`NAME` of the live source whose crop, rotate, motion and so on count (default: the first one)")
	fps := fs.Float64("fps", 0, "pictures a second of the recording (default: a folder's files tell by their times, a video is looked at 5 times a second)")
	start := fs.String("start", "", "`TIME` of the first picture, as 2026-09-23T22:00:00Z (default: when the first file was modified, of a video less its length)")
	scores := fs.String("scores", "", "`FILE` to keep the scores and thumbnails of all pictures in, 2 to 3 KB each; if it is there, it is read in place of the recording, which may be gone then")
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
	options.Log, _ = newLog(c.stderr, config.Log) // its level stays
	began, told := time.Now(), 0
	progress := newReplayProgress(c.stderr, began)
	options.Event = func(e decide.Event, m publish.Model) error {
		told++
		progress.clear()
		if *asJSON {
			return printEventJSON(c.stdout, e, m)
		}
		return printEvent(c.stdout, e)
	}
	options.Refused = progress.refused
	options.Seen = func(r daemon.ReplayResult) { progress.seen(r, time.Now()) }
	result, err := daemon.Replay(ctx, config, options)
	progress.clear()
	switch {
	case errors.Is(err, context.Canceled):
		return stopped(result, *scores)
	case err != nil:
		return err
	case result.Pictures == 0:
		return errors.New("there are no pictures in the recording")
	}
	if !*asJSON {
		err = printReplay(c.stdout, result, told, *explain, time.Since(began))
	}
	progress.hint(result, *fps)
	return err
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

// printReplay prints what it comes to: there is a picture at least.
func printReplay(w io.Writer, r daemon.ReplayResult, events int, explain bool, took time.Duration) error {
	if explain && len(r.Entries) > 0 {
		for i := range r.Entries {
			r.Entries[i].Time, r.Entries[i].Until = r.Entries[i].Time.Local(), r.Entries[i].Until.Local()
		}
		fmt.Fprintln(w)
		if r.Cut {
			fmt.Fprintf(w, "Only from %s on: more pictures aren't remembered.\n", r.Entries[0].Time.Format(time.DateTime))
		}
		if err := decide.WriteTable(w, decide.Runs(r.Entries)); err != nil {
			return err
		}
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
	_, err := fmt.Fprintf(w, "\n%s%s. %s of %s, from %s on: %s%s, in %s\n", counted(events, "event"), shows, counted(r.Pictures, "picture"),
		shortTime(r.Last.Sub(r.First)), r.First.Local().Format(time.DateTime), strings.Join(parts, ", "), from, shortTime(took))
	return err
}

// counted is a number of things.
func counted[N int | uint64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
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
