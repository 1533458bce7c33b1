package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"gocv.io/x/gocv"

	"sightd/doctor"
	"sightd/inference/tflite"
)

const doctorAbout = `Looks for what could keep sightd from working here: configuration, service, libraries, model, what is remembered of delegates, watched
folders, cameras and streams, state, clock, board, disks, other sightds, broker. It takes no picture: whether a camera is there is
looked at, not what it shows. Each finding is ok, warn or fail, with what to do about it. It changes nothing, and takes half a minute
at most. Without -c it looks at the service's configuration, ` + doctor.ServiceFile + `, where there is one; -c '' looks at the
defaults. Run it as the user that sightd runs as: sudo -u sightd sightd doctor.
--json prints {"status", "findings": [{"name", "status", "detail", "hint"}]}, all texts; keys may be added, none changes.
Exit status: 0 nothing failed (there may be warnings), 1 something did, 2 usage.`

func doctorCommand(ctx context.Context, c *call) error {
	fs := c.flags("doctor", "[-c FILE] [--json]", doctorAbout)
	file := fs.String("c", "", "configuration `FILE` (YAML)")
	asJSON := fs.Bool("json", false, "print a JSON object in place of a table")
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(arguments) > 0 {
		return usageError{fmt.Sprintf("want no arguments, have %q", arguments[0])}
	}
	trial, err := trials()
	if err != nil {
		return err
	}
	looked := *file
	if unnamed(fs) {
		looked = doctor.ServiceFile // where there is one
	}
	if err := borrowCredentials(looked); err != nil {
		return err
	}
	report := doctor.Examine(ctx, doctor.Options{
		File: *file, Unnamed: unnamed(fs), Env: os.Environ(), Trials: trial,
		Libraries: fmt.Sprintf("TensorFlow Lite %s, OpenCV %s", tflite.Version(), gocv.OpenCVVersion()),
	})
	out := bufio.NewWriter(c.stdout)
	if *asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		printReport(out, report)
	}
	if err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if report.Status == doctor.Fail {
		return errRefused
	}
	return nil
}

// printReport prints a table, with each hint below its finding, once below several of the same name that have the same, and what it comes
// to.
func printReport(w io.Writer, report doctor.Report) {
	width := 0
	for _, f := range report.Findings {
		width = max(width, len(f.Name))
	}
	counts := map[doctor.Status]int{}
	for i, f := range report.Findings {
		counts[f.Status]++
		fmt.Fprintf(w, "%-4s  %-*s  %s\n", f.Status, width, f.Name, printable(f.Detail))
		again := i+1 < len(report.Findings) && report.Findings[i+1].Name == f.Name && report.Findings[i+1].Hint == f.Hint
		if f.Hint != "" && !again {
			fmt.Fprintf(w, "%*s%s\n", 6+width+2, "-> ", printable(f.Hint))
		}
	}
	fmt.Fprintf(w, "\n%d ok, %d to look after, %d failed\n", counts[doctor.OK], counts[doctor.Warn], counts[doctor.Fail])
}
