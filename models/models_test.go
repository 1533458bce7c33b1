package models

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"sightd/export/tflitefile"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// TestDump shows in a text what the embedded model consists of, so that a change of it can be reviewed.
func TestDump(t *testing.T) {
	data, _, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	m, err := tflitefile.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := tflitefile.Dump(&got, m); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "default.dump")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the embedded model isn't the one in %s: after make model, run this test with -update and look at the difference", golden)
	}
}

func TestDefaultCard(t *testing.T) {
	data, card, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	if err := card.Matches(data); err != nil {
		t.Error(err)
	}
	if err := card.Matches(append([]byte{0}, data...)); err == nil || !strings.Contains(err.Error(), card.File.SHA256) {
		t.Errorf("another file: got error %v, want one with both sums", err)
	}
	if len(card.Labels) != 10 || card.Input.Size != 160 || card.Input.Type != "INT8" || len(card.Outputs) != 2 || card.Accuracy == nil {
		t.Errorf("got card %+v, want 10 classes at 160, INT8, probabilities and features, measured accuracy", card)
	}
	goldens, err := card.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range goldens {
		if len(g.Pixels) != 3*160*160 || len(g.Scores) != 10 {
			t.Errorf("golden input %s: got %d pixel values, %d scores", g.Name, len(g.Pixels), len(g.Scores))
		}
	}
	text, err := card.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, defaultCard) {
		t.Error("the card written again differs from the file")
	}
}

func TestParseCardErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "read model card"},
		{"[]", "read model card"},
		{"{}", "input.size: want 1 to 4096, have 0"},
		{`{"input":{"size":1e9}}`, "input.size"},
		{`{"input":{"size":96},"golden":{"inputs":[` + strings.Repeat("{},", 64) + `{}]}}`, "want at most 64, have 65"},
	} {
		if _, err := ParseCard([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", test.text, err, test.want)
		}
	}
	card, err := ParseCard([]byte(`{"input":{"size":32},"golden":{"inputs":[{"name":"unicorn"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := card.Goldens(); err == nil || !strings.Contains(err.Error(), `"unicorn"`) {
		t.Errorf("a picture that can't be drawn: got error %v, want one with its name", err)
	}
}

// FuzzParseCard never panics, and what it accepts can be written.
func FuzzParseCard(f *testing.F) {
	f.Add(defaultCard)
	f.Add([]byte(`{"input":{"size":96},"golden":{"tolerance":1e-3,"inputs":[{"name":"noise","scores":[1,0]}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		card, err := ParseCard(data)
		if err != nil {
			return
		}
		text, err := card.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseCard(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if back, err := again.JSON(); err != nil || !bytes.Equal(back, text) {
			t.Errorf("want %s again, have %s, %v", text, back, err)
		}
	})
}

// TestCardKeys pins the names that other programs read, and that a card with all of them is read back as it was written.
func TestCardKeys(t *testing.T) {
	interval := [2]float64{0.25, 0.75}
	card := Card{
		Name: "n", Type: "int8", Architecture: "torchvision", Author: "a", License: "l",
		Input:       InputCard{Size: 96},
		Output:      &OutputCard{Type: "FLOAT32"},
		Method:      MethodCard{Steps: []string{"bias correction"}, Pictures: 200, PicturesSHA: "12ab"},
		Agreement:   Agreement{Pictures: 200, Top1: 0.5, Interval: interval, KL: 0.01},
		Temperature: &Temperature{Value: 1.02, FittedTo: FittedToLabels, Pictures: 200},
		Accuracy: &Accuracy{Pictures: 500, LabelledBy: "names", FloatTop1: 0.5, FloatTop1Interval: interval, Top1: 0.5, Top1Interval: interval,
			FloatTop5: 0.5, FloatTop5Interval: interval, Top5: 0.5, Top5Interval: interval, Agreement: 0.5, AgreementInterval: interval, KL: 0.01, McNemarP: 1},
		Layers: []LayerCard{{Name: "conv1/7x7_s2", Operator: "CONV_2D", Low: -1, High: 5, Scale: 0.5, ZeroPoint: -128, SNR: 38}},
	}
	text, err := card.JSON()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "card.json")
	if *update {
		if err := os.WriteFile(golden, text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("the card isn't written as in %s:\n%s", golden, text)
	}
	back, err := ParseCard(want)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*back, card) {
		t.Errorf("read back: got %+v, want %+v", *back, card)
	}
}

// TestForget has the embedded file's memory given back: it is the same when it is read again.
func TestForget(t *testing.T) {
	data, card, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	resident := func() (n int) {
		skip := (os.Getpagesize() - int(uintptr(unsafe.Pointer(unsafe.SliceData(data)))%uintptr(os.Getpagesize()))) % os.Getpagesize()
		text, err := os.ReadFile("/proc/self/smaps")
		if err != nil {
			t.Fatal(err)
		}
		at, inside := uintptr(unsafe.Pointer(&data[skip])), false
		for line := range strings.Lines(string(text)) {
			var from, to uintptr
			if _, err := fmt.Sscanf(line, "%x-%x ", &from, &to); err == nil {
				inside = from <= at && at < to
			}
			if inside {
				if _, err := fmt.Sscanf(line, "Rss: %d kB", &n); err == nil {
					return n << 10
				}
			}
		}
		t.Fatal("want the memory that the embedded model lies in, found none")
		return 0
	}
	if err := card.Matches(data); err != nil {
		t.Fatal(err)
	}
	before := resident()
	if err := Forget(); err != nil {
		t.Fatal(err)
	}
	if after := resident(); before-after < len(data)*9/10 {
		t.Errorf("got %d bytes resident before and %d after, want most of %d given back", before, after, len(data))
	}
	if err := card.Matches(data); err != nil {
		t.Errorf("after that: %v", err)
	}
}
