package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sightd/daemon"
)

// manyFiles writes pictures of two kinds by turns, and two files among them that are none.
func manyFiles(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var kinds [][]byte
	for _, name := range []string{"golf_ball", "parachute"} {
		data, err := daemon.SamplePNG(name)
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, data)
	}
	for i := range n {
		data := kinds[i%2]
		if i == 3 || i == n/2 {
			data = []byte("no picture")
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.png", i)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestClassifyMany classifies many pictures side by side, and one after the other: what is printed is the same, in the same order.
func TestClassifyMany(t *testing.T) {
	const n = 40
	dir := manyFiles(t, n)
	goroutines := runtime.NumGoroutine()
	var printed [2]string
	for i, threads := range []string{"1", "2"} {
		code, stdout, stderr := sightd(t, nil, "classify", "--json", "--threads", threads, dir)
		if code != exitRefused || stderr != "" {
			t.Fatalf("%s threads: got exit code %d, %q, want %d", threads, code, stderr, exitRefused)
		}
		for line := range strings.Lines(stdout) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatal(err)
			}
			delete(fields, "infer_ms")
			printed[i] += fmt.Sprintln(fields)
		}
	}
	if printed[0] != printed[1] {
		t.Errorf("one after the other:\n%sside by side:\n%s", printed[0], printed[1])
	}
	if lines := strings.Count(printed[1], "\n"); lines != n {
		t.Errorf("got %d lines, want %d", lines, n)
	}
	if have := runtime.NumGoroutine(); have > goroutines {
		t.Errorf("got %d goroutines, want the %d from before", have, goroutines)
	}
}

// shortWriter takes so many bytes.
type shortWriter struct{ left int }

var errFull = errors.New("there is no room")

func (w *shortWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestClassifyManyEnds has the output end, or a signal come, amid many pictures: all goroutines end.
func TestClassifyManyEnds(t *testing.T) {
	dir := manyFiles(t, 60)
	goroutines := runtime.NumGoroutine()
	var stderr bytes.Buffer
	if code := Main(context.Background(), []string{"classify", "--json", "--threads", "2", dir}, nil, &shortWriter{4096}, &stderr); code == exitOK || !strings.Contains(stderr.String(), errFull.Error()) {
		t.Errorf("no room for the output: got exit code %d, %q", code, stderr.String())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if code := Main(ctx, []string{"classify", "--json", "--threads", "2", dir}, nil, &bytes.Buffer{}, &stderr); code == exitOK {
		t.Error("a signal: got exit code 0")
	}
	if have := runtime.NumGoroutine(); have > goroutines {
		t.Errorf("got %d goroutines, want the %d from before", have, goroutines)
	}
}
