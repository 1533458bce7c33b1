package main

import (
	"slices"
	"strings"
	"testing"

	"sightd/daemon"
	"sightd/inference"
	"sightd/inference/tflite/faulty"
)

// TestModelVerifyBad proves the model on delegates of which one crashes, one is wrong, one can't be had and two are right.
func TestModelVerifyBad(t *testing.T) {
	external := inference.External + faulty.Build(t)
	list := strings.Join([]string{external + "?do=crash", "xnnpack", external + "?do=wrong", external + "?do=partial", external + "?do=refuse"}, ",")
	code, stdout, stderr := sightd(t, nil, "model", "verify", "--threads", "1", "--delegate", list)
	if code != exitRefused {
		t.Errorf("got exit code %d, want %d", code, exitRefused)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "xnnpack  right on 4 golden inputs, off by 0.0") ||
		!strings.HasPrefix(lines[1], external+"?do=partial right on 4 golden inputs, off by 0.0") || !strings.Contains(lines[1], "1 of 88 nodes (left to the processor: ") {
		t.Errorf("got %q, want xnnpack and the delegate that takes a part", stdout)
	}
	for _, want := range []string{
		"delegate " + external + "?do=crash: crashed: segmentation fault",
		"delegate " + external + "?do=wrong: open model embedded: prove golden input golf_ball: score of class ",
		"no such device: the faulty delegate refuses as it was told",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("got %q, want %q in it", stderr, want)
		}
	}
}

func TestParseDelegates(t *testing.T) {
	for _, test := range []struct {
		list string
		want []inference.Delegate
		err  string
	}{
		{"", daemon.Delegates(), ""},
		{"gpu,cpu", []inference.Delegate{inference.GPU, inference.CPU}, ""},
		{"external:/x.so?a=b&c=d,xnnpack", []inference.Delegate{"external:/x.so?a=b&c=d", inference.XNNPACK}, ""},
		{"auto", nil, "-delegate: auto is none of its own"},
		{"cpu,", nil, `-delegate: want auto, cpu, `},
		{"cpu,tpu", nil, `have "tpu"`},
		{"external:x.so", nil, "absolute path"},
	} {
		got, err := parseDelegates(test.list)
		if test.err == "" {
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%q: got %v, error %v, want %v", test.list, got, err, test.want)
			}
			continue
		}
		if _, usage := err.(usageError); !usage || !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q: got error %v, want a usage error with %q", test.list, err, test.err)
		}
	}
	if all := daemon.Delegates(); !slices.Equal(all[:2], []inference.Delegate{inference.CPU, inference.XNNPACK}) {
		t.Errorf("got %v, want cpu and xnnpack first", all)
	}
}
