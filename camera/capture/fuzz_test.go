package capture

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

// FuzzProgramSays takes what a program that reads a camera prints, a piece of which may be cut off: no more than some short, printable
// lines are kept, and none has the camera's password.
func FuzzProgramSays(f *testing.F) {
	const password = "s3cr3t-w0rd"
	f.Add("[rtsp @ 0x55d0] method DESCRIBE failed: 401\nrtsp://me:"+password+"@cam/x: Server returned 401\n", false)
	f.Add("frame=1\rframe=2\rrtsp://me:s3cr3", true)
	f.Add("[0:01:02.3] [812] INFO Camera\n\n\x1b[31m\x00\xff\n"+strings.Repeat("x", 5000), false)
	f.Add("deprecated pixel format used\n[a @ 0x1] [b @ 0x2] ", false)
	f.Fuzz(func(t *testing.T, text string, cut bool) {
		var log strings.Builder
		s := &stderr{log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), secrets: secretsOf("rtsp://me:" + password + "@cam/x"),
			reason: func(line string) bool { return strings.Contains(line, "401") }}
		now := time.Unix(0, 0)
		for line := range strings.Lines(text) {
			s.line(line, cut, now)
		}
		s.logSuppressed()
		if len(s.lines) > keptLines {
			t.Fatalf("have %d lines", len(s.lines))
		}
		for _, words := range append(s.lines, s.words()) {
			if len(words) > lineBytes+len("…") || strings.ContainsFunc(words, func(r rune) bool { return r < ' ' || r > '~' && r != '…' }) {
				t.Fatalf("have line %q", words)
			}
			if strings.Contains(words, password) {
				t.Fatalf("the line %q has the password", words)
			}
		}
		if strings.Contains(log.String(), password) || strings.Count(log.String(), "\n") > loggedLines+1 {
			t.Fatalf("have log %q", log.String())
		}
	})
}
