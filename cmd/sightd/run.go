package main

import (
	"context"
	"fmt"
	"os"

	"sightd/daemon"
)

const runAbout = `Watches folders and cameras. It classifies the pictures that come into a folder, publishes the labels over MQTT and moves each picture to
done/ or failed/. Of a camera, stream or recording it keeps the newest picture only, and publishes what enters, leaves or changes.
Without a configuration it watches ./inbox, runs the embedded model and opens a broker of its own on 127.0.0.1:1883.
Variables such as SIGHTD_MQTT_BROKER override the file. SIGTERM or Ctrl-C stops it cleanly, SIGHUP has it read configuration
and model again: what has changed is taken over without a stop, what is wrong changes nothing.
At the first start it finds out which delegate runs the model best; it remembers that in state_dir.`

func runCommand(ctx context.Context, c *call) error {
	fs := c.flags("run", "[-c FILE] [flags]", runAbout)
	file := fs.String("c", "", "configuration `FILE` (YAML)")
	sample := fs.Bool("sample", false, "drop two drawn pictures into the first folder, to have something to classify")
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(arguments) > 0 {
		return usageError{fmt.Sprintf("want no arguments, have %q", arguments[0])}
	}
	limitMemory(os.DirFS("/"), os.Getenv)
	load := func() (daemon.Config, error) { return daemon.Load(*file, os.Environ()) }
	config, err := load()
	if err != nil {
		return err
	}
	log, level := newLog(c.stderr, config.Log)
	notify, err := daemon.TakeNotify()
	if err != nil {
		return err
	}
	self, err := trials()
	if err != nil {
		return err
	}
	ctx, reload, stop := hangups(ctx, hasTerminal)
	defer stop()
	return daemon.Run(ctx, config, daemon.Options{
		Version: version,
		Log:     log,
		Sample:  *sample,
		Trials:  self,
		Reload:  reload,
		Notify:  notify,
		Load:    load,
		Level:   level,
	})
}
