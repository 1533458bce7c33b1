package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sightd/inference"
	"sightd/inference/auction"
	"sightd/inference/tflite/faulty"
	"sightd/models"
)

// TestBenchAll has a delegate that takes a part of the network, and that was asked for, so that it is used; and one that crashes.
func TestBenchAll(t *testing.T) {
	library := faulty.Build(t)
	const times = `\d+\.\d\d +\d+\.\d\d +\d+\.\d`
	for _, test := range []struct {
		options string
		rows    []string // regular expressions, in their order
	}{
		{"?do=partial", []string{
			`^delegate +threads +Invoke ms +first +init +nodes +off by`,
			`^external:/\S+\?do=partial +1 +` + times + ` +1 of 88 +0\.0\d\d\d +is used$`,
			`^xnnpack +1 +` + times + ` +88 +0\.0\d\d\d +(about as fast|faster|slower)`,
			`^cpu +1 +` + times + ` +88 +0\.0\d\d\d +slower: `,
		}},
		{"?do=crash", []string{
			`^delegate `,
			`^xnnpack +1 +` + times + ` +88 +0\.0\d\d\d +is used$`,
			`^cpu +1 +` + times + ` +88 +0\.0\d\d\d +slower: .* of xnnpack with 1 thread$`,
			`^external:/\S+\?do=crash +1 +- +- +- +- +- +crashed: segmentation fault`,
		}},
	} {
		code, stdout, stderr := sightd(t, nil, "bench", "--all", "--threads", "1", "--delegate", inference.External+library+test.options)
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		if code != exitOK || len(lines) != len(test.rows) {
			t.Fatalf("%s: got %d %q, %d lines, want %d:\n%s", test.options, code, stderr, len(lines), len(test.rows), stdout)
		}
		for i, row := range test.rows {
			if !regexp.MustCompile(row).MatchString(strings.TrimRight(lines[i], " ")) {
				t.Errorf("%s: line %d is %q, want %s", test.options, i, lines[i], row)
			}
		}
	}
}

// TestBenchAllWrong has a card that no delegate agrees with.
func TestBenchAllWrong(t *testing.T) {
	data, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	text, err := card.JSON()
	if err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.tflite")
	text = bytes.Replace(text, []byte(`"tolerance": 0.06`), []byte(`"tolerance": -1`), 1)
	for path, content := range map[string][]byte{wrong: data, strings.TrimSuffix(wrong, ".tflite") + ".json": text} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := sightd(t, nil, "bench", "--all", "--threads", "1", "--delegate", "xnnpack", "--model", wrong)
	if code != exitRefused || !strings.Contains(stderr, "no delegate runs the model right") || strings.Count(stdout, "prove golden input golf_ball") != 2 {
		t.Errorf("got %d %q, want it refused, with two reasons:\n%s", code, stderr, stdout)
	}
	code, _, stderr = sightd(t, nil, "bench", "--all", "--model", wrong+"x")
	if code != exitRefused || !strings.Contains(stderr, "wrong.tflitex") {
		t.Errorf("no file: got %d %q, want it refused", code, stderr)
	}
	if code, _, stderr := sightd(t, nil, "bench", "--all", "--delegate", "tpu"); code != exitUsage || !strings.Contains(stderr, `have "tpu"`) {
		t.Errorf("no delegate: got %d %q, want a usage error", code, stderr)
	}
}

func TestReceiptCells(t *testing.T) {
	for _, test := range []struct {
		receipt auction.Receipt
		want    string
	}{
		{auction.Receipt{Candidate: auction.Candidate{Delegate: inference.CPU}, Total: 88, Proven: 4, Worst: 0.01634}, "88 0.0163"},
		{auction.Receipt{Candidate: auction.Candidate{Delegate: inference.XNNPACK}, Total: 88, Taken: 88, Proven: 4}, "88 0.0000"},
		{auction.Receipt{Candidate: auction.Candidate{Delegate: inference.XNNPACK}, Total: 88, Taken: 80, Proven: 0}, "80 of 88 not proven"},
		{auction.Receipt{Candidate: auction.Candidate{Delegate: inference.GPU}, Total: 88, Taken: inference.Unknown, Proven: 4}, "some of 88 0.0000"},
	} {
		if got := fmt.Sprint(nodes(test.receipt), " ", offBy(test.receipt)); got != test.want {
			t.Errorf("%#v: got %q, want %q", test.receipt, got, test.want)
		}
	}
}
