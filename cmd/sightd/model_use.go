package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"sightd/daemon"
	"sightd/publish"
)

// modelUse has the daemon with the configuration in file run the model at path, "" for the configured one. Where it refuses, what was
// used before is used again; where there is no daemon, the next start runs the model.
func modelUse(ctx context.Context, w io.Writer, file, path string) error {
	config, err := daemon.Load(file, os.Environ())
	if err != nil {
		return err
	}
	url, _ := config.BrokerURL()
	options, err := config.BrokerOptions(url)
	if err != nil {
		return err
	}
	used, undo, err := daemon.UseModel(config, path)
	if used == nil {
		return err
	}
	if err != nil {
		fmt.Fprintln(w, printable(err.Error())) // what isn't used any more wasn't removed: no reason to stop
	}
	name := fmt.Sprintf("%s (sha256 %s)", printable(used.Name), used.SHA256)
	r, err := publish.AskReload(ctx, options)
	switch {
	case errors.Is(err, publish.ErrNotReloaded):
		return errors.Join(err, undo())
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("the daemon's answer wasn't waited for: it may run %s soon, and does so from the next start on", name)
	case err != nil:
		fmt.Fprintf(w, "%s is run from the next start on.\n", name)
		fmt.Fprintf(w, "No daemon answers now: %s\nIf one runs all the same, send it SIGHUP (systemctl reload sightd).\n", printable(err.Error()))
		return nil
	case r.SHA256 != used.SHA256:
		return errors.Join(fmt.Errorf("the daemon has read its model again, but runs %s (sha256 %s), not %s: "+
			"it has another state_dir (here %s), or another model.path; relative paths begin at the working directory",
			printable(r.Model), r.SHA256, name, printable(config.StateDir)), undo())
	}
	proven := "not proven: it has no card"
	if r.Proven > 0 {
		proven = fmt.Sprintf("right on %d golden inputs", r.Proven)
	}
	threads := "1 thread"
	if r.Threads != 1 {
		threads = fmt.Sprintf("%d threads", r.Threads)
	}
	fmt.Fprintf(w, "sightd runs %s now: %s with %s, %s, after %s\n", name, printable(r.Delegate), threads, proven, r.Took)
	return nil
}
