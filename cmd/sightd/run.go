package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"sightd/daemon"
)

const runAbout = `Watches folders and cameras. It classifies the pictures that come into a folder, publishes the labels over MQTT and moves each picture to
done/ or failed/. Of a camera, stream or recording it keeps the newest picture only, and publishes what enters, leaves or changes.
Without a configuration it watches ./inbox, runs the embedded model and opens a broker of its own on 127.0.0.1:1883.
Variables such as SIGHTD_MQTT_BROKER override the file. SIGTERM or Ctrl-C stops it cleanly, SIGHUP has it read its model again.
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
	config, err := daemon.Load(*file, os.Environ())
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
		Log:     newLog(c.stderr, config.Log),
		Sample:  *sample,
		Trials:  self,
		Reload:  reload,
	})
}

// newLog makes the logger that the configuration asks for. In text the time is left out where systemd's journal adds its own; in JSON a
// duration is a text with its unit, as it is in text.
func newLog(w io.Writer, config daemon.LogConfig) *slog.Logger {
	level := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}[config.Level]
	options := &slog.HandlerOptions{Level: level}
	if config.Format == "json" {
		options.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
			if a.Value.Kind() == slog.KindDuration {
				a.Value = slog.StringValue(a.Value.Duration().String())
			}
			return a
		}
		return slog.New(slog.NewJSONHandler(w, options))
	}
	if os.Getenv("JOURNAL_STREAM") != "" {
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(w, options))
}
