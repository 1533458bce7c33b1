package main

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightd/export"
	"sightd/export/graph"
	"sightd/inference"
)

func TestNormalization(t *testing.T) {
	imagenet := graph.Normalization{Mean: [3]float64{123.675, 116.28, 103.53}, Std: [3]float64{58.395, 57.12, 57.375}}
	for _, test := range []struct {
		name, mean, std string
		want            graph.Normalization
	}{
		{"three numbers", "127.5,127.5,127.5", "127.5,127.5,127.5", graph.Symmetric},
		{"one number", "127.5", "127.5", graph.Symmetric},
		{"torchvision's half", "0.5", "0.5", graph.Symmetric},
		{"torchvision's ImageNet", "0.485, 0.456, 0.406", "0.229,0.224,0.225", imagenet},
		{"the same for 0 to 255", "123.675,116.28,103.53", "58.395,57.12,57.375", imagenet},
		{"pixels as they are", "0", "1", graph.Normalization{Std: [3]float64{1, 1, 1}}},
		{"Caffe's", "104,117,123", "1", graph.Normalization{Mean: [3]float64{104, 117, 123}, Std: [3]float64{1, 1, 1}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := normalization(test.mean, test.std)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if math.Abs(got.Mean[i]-test.want.Mean[i]) > 1e-9 || math.Abs(got.Std[i]-test.want.Std[i]) > 1e-9 {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			}
		})
	}
	for _, wrong := range [][2]string{{"1,2", "1"}, {"1", "x"}, {"", "1"}} {
		if _, err := normalization(wrong[0], wrong[1]); err == nil {
			t.Errorf("%q: want an error", wrong)
		}
	}
}

// exportOptions reads a command line as exportCommand does.
func exportOptions(t *testing.T, args ...string) (export.Options, error) {
	t.Helper()
	labels := filepath.Join(t.TempDir(), "labels.txt")
	if err := os.WriteFile(labels, []byte("a\nb\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := &call{args: append([]string{"w.pth", "-o", "o.tflite", "--labels", labels}, args...), stdout: &out, stderr: &out}
	fs := c.flags("export", "", "")
	var o export.Options
	f := addExportFlags(fs, &o)
	arguments, err := c.parse(fs)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	o.Weights = arguments[0]
	return o, f.apply(&o)
}

func TestExportTypes(t *testing.T) {
	for _, test := range []struct {
		args      []string
		precision export.Precision
		input     inference.Type
		integer   bool
	}{
		{[]string{"--calibration", "c"}, export.PrecisionInt8, inference.Int8, false},
		{[]string{"--calibration", "c", "--io", "uint8", "--integer-output"}, export.PrecisionInt8, inference.UInt8, true},
		{[]string{"--calibration", "c", "--io", "float32"}, export.PrecisionInt8, inference.Float32, false},
		{[]string{"--type", "float32"}, export.PrecisionFloat32, inference.Float32, false},
		{[]string{"--type", "float16", "--io", "int8"}, export.PrecisionFloat16, inference.Int8, false},
	} {
		o, err := exportOptions(t, test.args...)
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		if o.Precision != test.precision || o.Input != test.input || o.IntegerOutput != test.integer {
			t.Errorf("%q: got %s, %s, integers %v", test.args, o.Precision, o.Input, o.IntegerOutput)
		}
		if o.Normalization != nil || o.BGR != nil {
			t.Errorf("%q: got normalization %v, BGR %v, want those of the architecture", test.args, o.Normalization, o.BGR)
		}
		if len(o.Labels) != 2 || o.Size != 224 {
			t.Errorf("%q: got %d labels, size %d", test.args, len(o.Labels), o.Size)
		}
	}
}

func TestExportTraining(t *testing.T) {
	o, err := exportOptions(t, "--calibration", "c", "--channels", "bgr", "--mean", "104,117,123", "--std", "1", "--author", "A", "--license", "L")
	if err != nil {
		t.Fatal(err)
	}
	if o.BGR == nil || !*o.BGR || o.Normalization == nil || o.Normalization.Mean != [3]float64{123, 117, 104} || o.Author != "A" || o.License != "L" {
		t.Errorf("got %+v", o)
	}
	o, err = exportOptions(t, "--calibration", "c", "--channels", "rgb")
	if err != nil || o.BGR == nil || *o.BGR || o.Normalization != nil {
		t.Errorf("the order of channels alone: got BGR %v, normalization %v, error %v", o.BGR, o.Normalization, err)
	}
	// Without an order, the weights are looked at.
	if _, err = exportOptions(t, "--calibration", "c", "--mean", "0.5", "--std", "0.5"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("weights that aren't there: got error %v", err)
	}
}

func TestExportUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "-calibration is missing"},
		{[]string{"--type", "int4"}, `-type: want int8, float16 or float32, have "int4"`},
		{[]string{"--calibration", "c", "--io", "int4"}, `-io: want int8, uint8 or float32, have "int4"`},
		{[]string{"--type", "float32", "--integer-output"}, "-integer-output: want -type int8 with -io int8 or uint8, have -type float32 with input FLOAT32"},
		{[]string{"--calibration", "c", "--io", "float32", "--integer-output"}, "-integer-output: want -type int8 with -io int8 or uint8"},
		{[]string{"--calibration", "c", "--mean", "1"}, "-std is missing"},
		{[]string{"--calibration", "c", "--std", "1"}, "-mean is missing"},
		{[]string{"--calibration", "c", "--channels", "grb"}, `-channels: want rgb or bgr, have "grb"`},
		{[]string{"--calibration", "c", "--channels", "rgb", "--mean", "1,2", "--std", "1"}, "-mean: want one number or three"},
	} {
		_, err := exportOptions(t, test.args...)
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(usage.text, test.want) {
			t.Errorf("%q: got error %v, want one of usage with %q", test.args, err, test.want)
		}
	}
}

// TestTrainedOnBGR looks at real weights of both architectures.
func TestTrainedOnBGR(t *testing.T) {
	for name, want := range map[string]bool{"googlenet_imagenette.safetensors": false, "bvlc_googlenet.caffemodel": true} {
		path := filepath.Join("..", "..", "..", "shared", "weights", name)
		if _, err := os.Stat(path); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skipf("skipped: this test needs %s: %v", path, err)
		}
		if got, err := trainedOnBGR(path); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
}
