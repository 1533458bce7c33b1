package tflitefile

import (
	"archive/zip"
	"bytes"
	"runtime"
	"strings"
	"testing"
)

// TestLabelsBomb reads a file of 19 KB in which a label file of 16 MiB of empty lines is packed: as strings they would take 256 MiB.
func TestLabelsBomb(t *testing.T) {
	data := withZip(t, func(w *zip.Writer) error {
		e, err := w.Create("labels.txt")
		if err != nil {
			return err
		}
		_, err = e.Write(bytes.Repeat([]byte("\n"), maxFileBytes))
		return err
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Labels()
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "want at most 65536 lines, have 16777216") {
		t.Errorf("want the label file refused, have %v", err)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 6*maxFileBytes {
		t.Errorf("%d bytes were allocated, want at most %d", taken, 6*maxFileBytes)
	}
}
