package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"sightd/daemon"
)

// newLog makes the logger that the configuration asks for, and what sets its level anew. For systemd's journal text has no time, which
// that adds itself, but the priority that it knows a line by; in JSON a duration is a text with its unit, as it is in text.
func newLog(w io.Writer, config daemon.LogConfig) (log *slog.Logger, level func(daemon.LogConfig)) {
	var threshold slog.LevelVar
	level = func(c daemon.LogConfig) {
		threshold.Set(map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}[c.Level])
	}
	level(config)
	options := &slog.HandlerOptions{Level: &threshold}
	if config.Format == "json" {
		options.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
			if a.Value.Kind() == slog.KindDuration {
				a.Value = slog.StringValue(a.Value.Duration().String())
			}
			return a
		}
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	if f, ok := w.(*os.File); ok && isJournal(f, os.Getenv("JOURNAL_STREAM")) {
		return slog.New(newJournal(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}

// isJournal reports whether f is the stream that systemd has named in $JOURNAL_STREAM, by device and inode.
func isJournal(f *os.File, stream string) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// journal is a handler for each priority of the journal, most urgent first.
type journal [4]slog.Handler

// newJournal writes lines to w that begin with their priority, as sd-daemon(3) has it.
func newJournal(w io.Writer, options *slog.HandlerOptions) journal {
	options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	var j journal
	for i, priority := range []string{"<3>", "<4>", "<6>", "<7>"} { // err, warning, info, debug
		j[i] = slog.NewTextHandler(prefixed{w, priority}, options)
	}
	return j
}

// of is the handler for a level.
func (j journal) of(level slog.Level) slog.Handler {
	switch {
	case level >= slog.LevelError:
		return j[0]
	case level >= slog.LevelWarn:
		return j[1]
	case level >= slog.LevelInfo:
		return j[2]
	}
	return j[3]
}

func (j journal) Enabled(ctx context.Context, level slog.Level) bool { return j[0].Enabled(ctx, level) }

func (j journal) Handle(ctx context.Context, r slog.Record) error {
	return j.of(r.Level).Handle(ctx, r)
}

func (j journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	for i := range j {
		j[i] = j[i].WithAttrs(attrs)
	}
	return j
}

func (j journal) WithGroup(name string) slog.Handler {
	for i := range j {
		j[i] = j[i].WithGroup(name)
	}
	return j
}

// prefixed writes each line, which comes whole, with something before it.
type prefixed struct {
	w      io.Writer
	before string
}

func (p prefixed) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.before), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
