package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightd/models"
)

func TestModel(t *testing.T) {
	data, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	text, err := card.JSON()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bare := write("bare.tflite", data)
	carded := write("carded.tflite", data)
	write("carded.json", text)
	wrong := write("wrong.tflite", data)
	write("wrong.json", bytes.Replace(text, []byte(`"tolerance": 0.06`), []byte(`"tolerance": -1`), 1))
	full := write("full.tflite", data)
	more := *card
	more.Type, more.Architecture = "int8", "torchvision"
	more.Method.Steps = []string{"channel equalization", "bias correction"}
	more.Agreement.Interval, more.Agreement.KL = [2]float64{0.981, 0.999}, 0.0021
	more.Accuracy = &models.Accuracy{Pictures: 100, Top1: 0.9, FloatTop1: 0.91, Top5: 0.98, FloatTop5: 0.99, McNemarP: 0.75}
	more.Temperature = &models.Temperature{Value: 1.043, FittedTo: models.FittedToLabels, Pictures: 238}
	more.Layers = []models.LayerCard{{Name: "conv1/7x7_s2", SNR: 40}, {Name: "inception_3a/1x1", SNR: 31.5}}
	if text, err = more.JSON(); err != nil {
		t.Fatal(err)
	}
	write("full.json", text)
	odd := write("odd.tflite", []byte("no model"))

	for _, test := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"info embedded", []string{"info"}, exitOK, []string{card.File.SHA256, "image INT8 [1 160 160 3] scale 0.007843138 zero point -1",
			"88: 1 ADD, 9 CONCATENATION, 57 CONV_2D, 1 DEQUANTIZE, 1 FULLY_CONNECTED, 13 MAX_POOL_2D, 1 MEAN, 2 MUL, 1 PAD, 1 SOFTMAX, 1 SPACE_TO_DEPTH",
			"10: tench, English springer", "googlenet_imagenette.pth (pytorch zip)", "golden       4 inputs"}},
		{"info of all", []string{"info", full}, exitOK, []string{"int8, GoogLeNet (torchvision)", "channel equalization, bias correction",
			"(95 %: 98.1 to 99.9); KL divergence of the scores 0.0021 nats", "top-5: 98.00 %, float 99.00 %; McNemar's p for top-1: 0.750",
			"1.043, fitted to the labels of 238 calibration pictures", "2 in the card; the least signal-to-noise ratio is 31.5 dB, of inception_3a/1x1"}},
		{"info without a card", []string{"info", bare}, exitOK, []string{"none beside it"}},
		{"dump", []string{"dump", bare}, exitOK, []string{`"conv1/7x7_s2" INT8 [1,80,80,64]`, "CONV_2D v3", `file "labels.txt"`}},
		{"verify embedded", []string{"verify", "--delegate", "cpu,xnnpack"}, exitOK, []string{"cpu      right on 4 golden inputs, off by 0.0",
			"xnnpack  right on 4 golden inputs, off by 0.0", " at most, tolerance 0.0600 (xnnpack, 88 of 88 nodes)"}},
		{"verify a file", []string{"verify", carded, "--delegate", "xnnpack", "--threads", "1"}, exitOK, []string{"xnnpack  right on 4"}},
		{"verify without a card", []string{"verify", bare}, exitRefused, []string{"has no card beside it"}},
		{"verify wrong scores", []string{"verify", wrong}, exitRefused, []string{"delegate cpu: ", "delegate xnnpack: ", "prove golden input golf_ball"}},
		{"verify a delegate that isn't", []string{"verify", "--delegate", "tpu"}, exitUsage, []string{`have "tpu"`}},
		{"info of no model", []string{"info", odd}, exitRefused, []string{"odd.tflite"}},
		{"dump of no model", []string{"dump", odd}, exitRefused, []string{"odd.tflite"}},
		{"dump of no file", []string{"dump", filepath.Join(dir, "none")}, exitRefused, []string{"none"}},
		{"nothing", nil, exitUsage, []string{"want info, dump, verify or use"}},
		{"another word", []string{"show"}, exitUsage, []string{`have "show"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := sightd(t, nil, append([]string{"model"}, test.args...)...)
			if code != test.code {
				t.Errorf("exit code: got %d, want %d", code, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(stdout+stderr, want) {
					t.Errorf("output lacks %q:\n%s%s", want, stdout, stderr)
				}
			}
		})
	}
}
