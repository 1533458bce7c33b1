package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightd/export"
	"sightd/models"
)

var update = flag.Bool("update", false, "write the golden files anew")

// reported gives what export.Run may report.
func reported() *export.Report {
	interval := [2]float64{0.7, 0.8}
	return &export.Report{
		Bytes:   7_290_000,
		Refused: []string{"half.png: the file ends early", "odd\n.png: no picture"},
		Card: models.Card{
			Name: "mine", Type: "int8", Architecture: "bvlc_googlenet",
			Source:  models.FileCard{Name: "bvlc_googlenet.caffemodel", Format: "caffemodel"},
			Input:   models.InputCard{Type: "UINT8", Size: 224, Pixels: "p", Channels: "bgr", Mean: [3]float64{123, 117, 104}, Std: [3]float64{1, 1, 1}},
			Outputs: []string{"probabilities", "features"},
			Output:  &models.OutputCard{Type: "FLOAT32"},
			Labels:  make([]string, 1000),
			Method:  models.MethodCard{Weights: "int8", Activations: "int8", Steps: []string{"channel equalization", "bias correction"}},

			Agreement:   models.Agreement{Pictures: 200, Top1: 0.985, Interval: [2]float64{0.957, 0.995}, KL: 0.0123},
			Temperature: &models.Temperature{Value: 1.02, FittedTo: models.FittedToLabels, Pictures: 200},
			Accuracy: &models.Accuracy{Pictures: 500, LabelledBy: "file names that start with the class number",
				FloatTop1: 0.744, FloatTop1Interval: interval, Top1: 0.736, Top1Interval: interval,
				FloatTop5: 0.92, FloatTop5Interval: interval, Top5: 0.918, Top5Interval: interval,
				Agreement: 0.99, AgreementInterval: interval, KL: 0.0101, McNemarP: 0.6291},
			Layers: []models.LayerCard{
				{Name: "pool1/norm1", Operator: "LOCAL_RESPONSE_NORMALIZATION", High: 138.71, SNR: 124.71},
				{Name: "conv2/3x3_reduce", Operator: "CONV_2D", High: 350.5, Scale: 1.3744, ZeroPoint: -128, SNR: 40.6},
				{Name: "loss3/classifier", Operator: "FULLY_CONNECTED", Low: -13.78, High: 42.58, SNR: 34.5},
			},
		},
	}
}

// TestWriteReport compares the whole report with a golden file; the file that it is also written to has the same.
func TestWriteReport(t *testing.T) {
	output := filepath.Join(t.TempDir(), "mine.v2.tflite")
	var b bytes.Buffer
	if err := writeReport(&b, export.Options{Output: output}, reported(), true); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(strings.TrimSuffix(output, ".tflite") + ".report.txt")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, b.Bytes()) {
		t.Errorf("the file differs from what was printed:\n%s", file)
	}
	got := strings.ReplaceAll(b.String(), filepath.Dir(output)+"/", "")
	golden := filepath.Join("testdata", "report.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the report isn't the one in %s:\n%s", golden, got)
	}
}

// TestWriteShortReport: no layers, no file, nothing of what wasn't measured.
func TestWriteShortReport(t *testing.T) {
	output := filepath.Join(t.TempDir(), "mine.tflite")
	r := reported()
	r.Card.Agreement, r.Card.Accuracy, r.Card.Temperature, r.Refused = models.Agreement{}, nil, nil, nil
	var b bytes.Buffer
	if err := writeReport(&b, export.Options{Output: output}, r, false); err != nil {
		t.Fatal(err)
	}
	for _, absent := range []string{"agreement", "temperature", "labelled", "left out", "SNR", "report.txt"} {
		if strings.Contains(b.String(), absent) {
			t.Errorf("the report has %q:\n%s", absent, b.String())
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(output), "*")); err != nil || len(left) > 0 {
		t.Errorf("files written: %v, %v", left, err)
	}
	if err := writeReport(&b, export.Options{Output: filepath.Join(output, "none", "x.tflite")}, r, true); err == nil {
		t.Error("a folder that isn't there: want an error")
	}
}

func TestBar(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	b := &bar{w: &out, now: func() time.Time { return now }}
	steps := []struct {
		stage string
		after time.Duration
		done  int
		want  string // what is written, without the codes that clear the line
	}{
		{"reading", 0, 1, ""},
		{"reading", 400 * time.Millisecond, 2, ""},
		{"reading", 100 * time.Millisecond, 3, "reading                      [######################........] 3/4"},
		{"reading", 50 * time.Millisecond, 3, ""}, // too soon
		{"reading", 10 * time.Millisecond, 4, "reading                      [##############################] 4/4"},
		{"verifying", time.Second, 1, ""}, // a new stage: the old line goes
		{"verifying", time.Second, 2, "verifying                    [###############...............] 2/4"},
	}
	for i, s := range steps {
		now = now.Add(s.after)
		out.Reset()
		b.show(s.stage, s.done, 4)
		if got := strings.ReplaceAll(out.String(), "\r\033[K", ""); got != s.want {
			t.Errorf("step %d: got %q, want %q", i, got, s.want)
		}
	}
	out.Reset()
	b.end()
	b.end()
	if got := out.String(); got != "\r\033[K" {
		t.Errorf("end: got %q, want the line cleared once", got)
	}
	// What is no terminal gets nothing.
	quiet := newBar(&out, false)
	out.Reset()
	quiet.show("reading", 4, 4)
	quiet.end()
	if out.Len() > 0 {
		t.Errorf("no terminal: got %q", out.String())
	}
}
