package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sightd/daemon"
)

// A duration has its unit, in both formats.
func TestLogDurations(t *testing.T) {
	var text, object strings.Builder
	for w, format := range map[*strings.Builder]string{&text: "text", &object: "json"} {
		log, _ := newLog(w, daemon.LogConfig{Level: "info", Format: format})
		log.Info("done", "took", 97*time.Millisecond, slog.Group("of", "wait", time.Minute), "n", 5)
	}
	if want := " level=INFO msg=done took=97ms of.wait=1m0s n=5\n"; !strings.HasSuffix(text.String(), want) || !strings.HasPrefix(text.String(), "time=") {
		t.Errorf("text: got %q, want a time and %q", text.String(), want)
	}
	var line struct {
		Time time.Time
		Took string
		Of   struct{ Wait string }
		N    int
	}
	if err := json.Unmarshal([]byte(object.String()), &line); err != nil {
		t.Fatalf("%v in %s", err, object.String())
	}
	if line.Took != "97ms" || line.Of.Wait != "1m0s" || line.N != 5 || line.Time.IsZero() {
		t.Errorf("json: got %s", object.String())
	}
}

// In the journal each line has its priority and no time of its own, elsewhere neither, whatever $JOURNAL_STREAM says of another stream.
func TestLogJournal(t *testing.T) {
	lines := func(stream func(f *os.File) string) string {
		t.Helper()
		f, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		t.Setenv("JOURNAL_STREAM", stream(f))
		log, level := newLog(f, daemon.LogConfig{Level: "debug", Format: "text"})
		log = log.With("source", "door")
		log.Error("a")
		log.Warn("b")
		log.WithGroup("g").Info("c", "n", 1)
		log.Debug("d")
		level(daemon.LogConfig{Level: "warn"})
		log.Info("not said")
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const want = "<3>level=ERROR msg=a source=door\n<4>level=WARN msg=b source=door\n<6>level=INFO msg=c source=door g.n=1\n<7>level=DEBUG msg=d source=door\n"
	if have := lines(func(f *os.File) string {
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	}); have != want {
		t.Errorf("want %q, have %q", want, have)
	}
	if have := lines(func(*os.File) string { return "8:1234" }); !strings.HasPrefix(have, "time=") || strings.Count(have, "\n") != 4 {
		t.Errorf("another stream: want plain lines with a time, have %q", have)
	}
}
