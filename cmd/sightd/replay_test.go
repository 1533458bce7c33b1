package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightd/daemon"
	"sightd/decide"
)

var dusk = time.Date(2026, 9, 23, 18, 0, 0, 0, time.Local)

// film is a folder of so many pictures of a golf ball, and a broken one behind them. Its files were modified so far apart.
func film(t *testing.T, n int, apart time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		sample(t, dir, fmt.Sprintf("%02d.png", i))
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.png"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range n + 1 {
		name := fmt.Sprintf("%02d.png", i)
		if i == n {
			name = "broken.png"
		}
		when := dusk.Add(time.Duration(i) * apart)
		if err := os.Chtimes(filepath.Join(dir, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReplayCommand(t *testing.T) {
	dir := film(t, 10, 200*time.Millisecond)
	code, stdout, stderr := sightd(t, nil, "replay", dir, "--explain")
	for _, want := range []string{"  enter   golf ball ", "\n1 event; at the end it shows golf ball. 11 pictures of 2s, from 2026-09-23 18:00:00 on: ", ", 1 no pictures, in "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("want %q, have\n%s", want, stdout)
		}
	}
	if code != exitOK || strings.Contains(stdout, "Only from") || !strings.HasPrefix(stderr, "broken.png: ") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d, stderr %q, stdout\n%s", code, stderr, stdout)
	}
	if entered, table := strings.Count(stdout, "entered"), strings.Count(stdout, "golf ball"); entered != 1 || table > 8 {
		t.Errorf("want runs of pictures explained, have\n%s", stdout)
	}

	code, stdout, stderr = sightd(t, nil, "replay", film(t, 10, time.Microsecond), "--json", "--fps", "0")
	if code != exitOK || !strings.Contains(stderr, "tell of 11 pictures within 0s, as those of copies do: --fps says") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	code, stdout, _ = sightd(t, nil, "replay", dir, "--json", "--fps", "5")
	var event struct {
		Source string
		Seq    int
	}
	if err := json.Unmarshal([]byte(stdout), &event); err != nil || code != exitOK || event.Source != "replay" || event.Seq != 1 {
		t.Errorf("exit code %d, %v, have %s", code, err, stdout)
	}
}

func TestReplayCommandFaults(t *testing.T) {
	dir := t.TempDir()
	picture, missing := sample(t, dir, "x.png"), filepath.Join(dir, "missing")
	for _, test := range []struct{ path, want string }{
		{picture, "sightd replay: open recording " + picture + ": want a folder or a video, have one picture\n"},
		{missing, "sightd replay: open recording: stat " + missing + ": no such file or directory\n"},
		{t.TempDir(), ": no pictures in it: want files with .jpg, .jpeg, .png, .webp\n"},
	} {
		for _, more := range [][]string{nil, {"--scores", filepath.Join(dir, "scores")}} {
			code, stdout, stderr := sightd(t, nil, append([]string{"replay", test.path}, more...)...)
			if code != exitRefused || stdout != "" || !strings.HasSuffix(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, %q, %q, want %q", code, stdout, stderr, test.want)
			}
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	scores := filepath.Join(dir, "night.scores")
	var stdout, stderr bytes.Buffer
	code := Main(ctx, []string{"replay", film(t, 2, time.Second), "--scores", scores}, nil, &stdout, &stderr)
	if want := "sightd replay: stopped; no scores were kept in " + scores + "\n"; code != exitRefused || stderr.String() != want {
		t.Errorf("exit code %d, %q, want %q", code, stderr.String(), want)
	}
	if left, err := filepath.Glob(scores + "*"); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	if _, err := os.Stat(scores); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("want no file, have %v", err)
	}
}

// TestReplayProgress has a line on a terminal every 5 s, which goes when something else is to be written.
func TestReplayProgress(t *testing.T) {
	var log bytes.Buffer
	if isTerminal(&log) {
		t.Fatal("a buffer is a terminal")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close() // only read
	if isTerminal(null) {
		t.Fatal(os.DevNull + " is a terminal")
	}
	p := newReplayProgress(&log, dusk)
	r := daemon.ReplayResult{Pictures: 50, Last: dusk.Add(time.Hour)}
	p.seen(r, dusk.Add(time.Minute))
	p.clear()
	if log.Len() > 0 {
		t.Errorf("want nothing in a file, have %q", log.String())
	}
	p.terminal = true
	p.seen(r, dusk.Add(4*time.Second))
	p.seen(r, dusk.Add(5*time.Second))
	r.Pictures = 200
	p.seen(r, dusk.Add(9*time.Second))
	p.seen(r, dusk.Add(10*time.Second))
	p.refused(201, "a\nb.jpg", "it is broken")
	p.clear()
	p.refused(202, "", "it is broken, too")
	const line = "\r\x1b[K%d pictures so far, up to 2026-09-23 19:00:00, %d a second"
	want := fmt.Sprintf(line+line, 50, 10, 200, 20) + "\r\x1b[K" + `"a\nb.jpg": it is broken` + "\npicture 202: it is broken, too\n"
	if log.String() != want {
		t.Errorf("want %q, have %q", want, log.String())
	}
	log.Reset()
	for i := range 100 {
		p.refused(uint64(i), "x", "it is broken")
	}
	if n := strings.Count(log.String(), "\n"); n != maxRefusals-2+1 || !strings.HasSuffix(log.String(), "are only counted.\n") {
		t.Errorf("want %d lines, have\n%s", maxRefusals-1, log.String())
	}
}

// TestPrintReplay has the end of a long recording explained, in runs.
func TestPrintReplay(t *testing.T) {
	r := daemon.ReplayResult{Pictures: 1, Classified: 1, First: dusk, Last: dusk, State: decide.State{Score: decide.Score{Label: decide.None}}}
	var out bytes.Buffer
	if err := printReplay(&out, r, 0, true, time.Second); err != nil || out.String() != "\n0 events. 1 picture of 0s, from 2026-09-23 18:00:00 on: 1 classified, in 1s\n" {
		t.Errorf("have %q, %v", out.String(), err)
	}
	for i := range 3 {
		when := dusk.Add(time.Duration(i) * time.Second).UTC()
		r.Entries = append(r.Entries, decide.Entry{Time: when, Until: when, Count: 1, Gate: decide.Black, Before: decide.None, Shown: decide.None})
	}
	r.Cut = true
	out.Reset()
	if err := printReplay(&out, r, 0, true, time.Second); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 7 || lines[1] != "Only from 2026-09-23 18:00:00 on: more pictures aren't remembered." || !strings.Contains(lines[3], "18:00:00.000 to 18:00:02.000") {
		t.Errorf("have\n%s", out.String())
	}
}

// TestReplayHint is given where no camera could have taken the pictures at the times of the files.
func TestReplayHint(t *testing.T) {
	for _, test := range []struct {
		pictures uint64
		span     time.Duration
		fps      float64
		want     bool
	}{
		{9, 10 * time.Millisecond, 0, true}, {5, -3 * time.Millisecond, 0, true}, {9, 10 * time.Millisecond, 5, false}, {9, 8 * time.Second, 0, false},
		{101, time.Second, 0, false}, {1, 0, 0, false}, {2, 0, 0, false},
	} {
		var log bytes.Buffer
		newReplayProgress(&log, dusk).hint(daemon.ReplayResult{Pictures: test.pictures, First: dusk, Last: dusk.Add(test.span)}, test.fps)
		if have := strings.Contains(log.String(), "--fps says"); have != test.want || strings.Contains(log.String(), "-") && strings.Contains(log.String(), "within -") {
			t.Errorf("%+v: have %q", test, log.String())
		}
	}
}
