package main

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sightd/daemon"
)

// A duration has its unit, in both formats.
func TestLogDurations(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "8:1234")
	var text, object strings.Builder
	for w, format := range map[*strings.Builder]string{&text: "text", &object: "json"} {
		log := newLog(w, daemon.LogConfig{Level: "info", Format: format})
		log.Info("done", "took", 97*time.Millisecond, slog.Group("of", "wait", time.Minute), "n", 5)
	}
	if want := "level=INFO msg=done took=97ms of.wait=1m0s n=5\n"; text.String() != want {
		t.Errorf("text: got %q, want %q", text.String(), want)
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
