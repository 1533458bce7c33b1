package capture

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// A video that doesn't tell its length counts as begun when it was modified, and the log says so.
func TestReplayVideoWithoutLength(t *testing.T) {
	noLeak(t)
	path := clip(t, "x.mjpeg", "red", "-f", "mjpeg")
	if err := os.Chtimes(path, epoch, epoch); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{}, {Start: epoch}} {
		var log lockedBuffer
		o.Kind, o.Path, o.Log = Replay, path, debugLog(&log)
		var shot Shot
		if err := read(t, open(t, o), &shot); err != nil || !shot.Time.Equal(epoch) {
			t.Errorf("got a picture of %v, %v, want %v", shot.Time, err, epoch)
		}
		if warned := strings.Contains(log.String(), "length isn't known"); warned != o.Start.IsZero() {
			t.Errorf("start %v: the log is %q", o.Start, log.String())
		}
	}
}

func TestParseLength(t *testing.T) {
	for _, test := range []struct {
		text, said, want string
	}{
		{"2.5\n", "", "2.5s"}, {"86400.040000", "a word", "24h0m0.04s"},
		{"N/A\n", "", `0s want seconds, ffprobe says "N/A"`}, {"", "", `0s want seconds, ffprobe says ""`}, {"", "x: Invalid data", "0s x: Invalid data"},
		{"-1", "", `0s want seconds, ffprobe says "-1"`}, {"0", "", `0s want`}, {"NaN", "", `0s want`}, {"inf", "", `0s want`}, {"1e12", "", `0s want`},
	} {
		length, err := parseLength(test.text, test.said)
		have := length.String()
		if err != nil {
			have += strings.TrimPrefix(err.Error(), "read the length of a video:")
		}
		if !strings.HasPrefix(have, test.want) {
			t.Errorf("%q, %q: got %s, want %s", test.text, test.said, have, test.want)
		}
	}
}

// ffprobe may hang, as on a disk that is gone.
func TestLengthThatDoesNotCome(t *testing.T) {
	noLeak(t)
	play(t, "silent", ffprobe)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	within(t, "videoLength", func() {
		if length, err := videoLength(ctx, "x"); length != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", length, err)
		}
	})
}

func FuzzLength(f *testing.F) {
	for _, text := range []string{"2.5\n", "N/A", "1e300", "-0", "0x1p-2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if length, err := parseLength(text, ""); err == nil && (length < 0 || length > maxLength) || err != nil && length != 0 {
			t.Errorf("got %v, %v", length, err)
		}
	})
}
