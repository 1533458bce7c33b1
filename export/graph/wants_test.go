package graph

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestWants counts tensors and parameters. torchvision states 6,624,904 parameters for 1000 classes without auxiliary heads;
// a batch norm's running mean and variance are none. Caffe's model has 6,998,552.
func TestWants(t *testing.T) {
	for _, test := range []struct {
		a       Architecture
		tensors int // 57 convolutions and the classifier's 2
		classes map[int]int
	}{
		{Torchvision, 57*5 + 2, map[int]int{1000: 6_624_904, 10: 5_610_154}},
		{BVLC, 57*2 + 2, map[int]int{1000: 6_998_552, 10: 5_983_802}},
	} {
		wants := test.a.Wants()
		if len(wants) != test.tensors {
			t.Errorf("%s: %d tensors, want %d", test.a, len(wants), test.tensors)
		}
		seen := map[string]bool{}
		for classes, want := range test.classes {
			have := 0
			for _, s := range tensorsOf(test.a, classes) {
				seen[s.name] = true
				if !strings.Contains(s.name, ".running_") {
					have += s.size()
				}
			}
			if have != want {
				t.Errorf("%s, %d classes: %d parameters, want %d", test.a, classes, have, want)
			}
		}
		if len(seen) != len(wants) {
			t.Errorf("%s: %d names for %d tensors", test.a, len(seen), len(wants))
		}
	}
}

// shared gives the path of something beside the checkout. Without it the test is skipped; in CI it must be there.
func shared(t *testing.T, path string) string {
	t.Helper()
	full := filepath.Join("..", "..", "..", "shared", path)
	if _, err := os.Stat(full); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("skipped: this test needs %s: %v", full, err)
	}
	return full
}

// TestRealFiles reads published weights: the table must have their names and shapes, no more and no less.
func TestRealFiles(t *testing.T) {
	for _, test := range []struct {
		file    string
		a       Architecture
		classes int
	}{
		{"bvlc_googlenet.caffemodel", BVLC, 1000},
		{"googlenet_imagenette.pth", Torchvision, 10},
		{"googlenet_imagenette.safetensors", Torchvision, 10},
	} {
		t.Run(test.file, func(t *testing.T) {
			set := openFile(t, shared(t, "weights/"+test.file))
			want := map[string]bool{}
			for _, s := range tensorsOf(test.a, test.classes) {
				want[s.name] = true
				if have, ok := set.Shape(s.name); !ok || !slices.Equal(have, s.shape) {
					t.Errorf("%s: the file has shape %v, want %v", s.name, have, s.shape)
				}
			}
			for _, name := range set.Names() {
				if !want[name] && !test.a.Dropped(name) {
					t.Errorf("%s is in the file and not in the table", name)
				}
			}
			g, err := GoogLeNet(set, 96)
			if err != nil {
				t.Fatal(err)
			}
			if g.Architecture != test.a || g.Classes != test.classes {
				t.Errorf("have %s for %d classes, want %s for %d", g.Architecture, g.Classes, test.a, test.classes)
			}
		})
	}
}

func TestDropped(t *testing.T) {
	for a, names := range map[Architecture]map[string]bool{
		Torchvision: {
			"aux1.conv.conv.weight":                      true,
			"aux2.fc2.bias":                              true,
			"conv1.bn.num_batches_tracked":               true,
			"inception3a.branch1.bn.num_batches_tracked": true,
			"aux1":                     false,
			"aux3.fc1.weight":          false,
			"auxiliary.fc1.weight":     false,
			"net.aux1.fc1.weight":      false,
			"num_batches_tracked":      false,
			"conv1.bn.running_mean":    false,
			"conv1.num_batches_tracke": false,
			"loss1/conv.weight":        false,
			"fc.weight":                false,
			"":                         false,
		},
		BVLC: {
			"loss1/conv.weight":            true,
			"loss1/classifier.bias":        true,
			"loss2/fc.weight":              true,
			"loss3/classifier.weight":      false,
			"loss1.weight":                 false,
			"loss2":                        false,
			"net/loss1/conv.weight":        false,
			"loss11/conv.weight":           false,
			"aux1.conv.conv.weight":        false,
			"conv1.bn.num_batches_tracked": false,
			"":                             false,
		},
	} {
		for name, want := range names {
			if a.Dropped(name) != want {
				t.Errorf("%s: Dropped(%q) is %t, want %t", a, name, !want, want)
			}
		}
		for _, w := range a.Wants() {
			if a.Dropped(w.Name) {
				t.Errorf("%s: %s is wanted and dropped", a, w.Name)
			}
		}
	}
}

// named gives tensors of one zero with those names.
func named(names ...string) []stored {
	var tensors []stored
	for _, name := range names {
		tensors = append(tensors, stored{name: name, shape: []int{1}})
	}
	return tensors
}

// firstOf gives the first n tensors that the architecture wants, with one zero each.
func firstOf(a Architecture, n int) []stored {
	var names []string
	for _, w := range a.Wants()[:n] {
		names = append(names, w.Name)
	}
	return named(names...)
}

func TestRecognize(t *testing.T) {
	resnet := named("conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.conv1.weight", "fc.weight", "fc.bias")
	for _, test := range []struct {
		name    string
		tensors []stored
		want    Architecture
		err     string
	}{
		{"torchvision", tensorsOf(Torchvision, 10), Torchvision, ""},
		{"torchvision with its heads", append(tensorsOf(Torchvision, 10), extras[Torchvision]...), Torchvision, ""},
		{"BVLC", tensorsOf(BVLC, 10), BVLC, ""},
		{"half of torchvision", firstOf(Torchvision, 144), Torchvision, ""},
		{"less than half of torchvision", firstOf(Torchvision, 143), "", "have 143 tensors of another network: "},
		{"half of BVLC", firstOf(BVLC, 58), BVLC, ""},
		{"half of BVLC and some of torchvision", append(firstOf(BVLC, 58), firstOf(Torchvision, 58)...), BVLC, ""},
		{"less than half of BVLC", firstOf(BVLC, 57), "", "have 57 tensors of another network: conv1/7x7_s2.bias, "},
		{"of another network of torch", resnet, "", "want torchvision's googlenet (conv1.conv.weight, conv1.bn.weight, …) or " +
			"Caffe's bvlc_googlenet (conv1/7x7_s2.weight, conv1/7x7_s2.bias, …), have 6 tensors of another network: bn1.bias, bn1.weight, conv1.weight, …"},
		{"two tensors", named("a", "b"), "", "have 2 tensors of another network: a, b"},
	} {
		set := open(t, test.tensors)
		have, err := Recognize(set)
		if test.err == "" {
			if err != nil || have != test.want {
				t.Errorf("%s: have %q, error %v, want %q", test.name, have, err, test.want)
			}
			continue
		}
		if err == nil || have != "" || !strings.HasPrefix(err.Error(), "recognize weights "+set.Path+": ") || !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: have %q, error %v, want %q", test.name, have, err, test.err)
		}
		if g, err := GoogLeNet(set, 96); err == nil || g != nil || !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: GoogLeNet gives %v, error %v, want %q", test.name, g, err, test.err)
		}
	}
}

// TestTrained compares with what the published networks' own code does: torchvision's transform_input after its preset's
// normalization, and the mean of BVLC's solver, blue, green, red.
func TestTrained(t *testing.T) {
	n, bgr := Torchvision.Trained()
	for c, preset := range [3]struct{ mean, std float64 }{{0.485, 0.229}, {0.456, 0.224}, {0.406, 0.225}} {
		for _, p := range []float64{0, 100, 255} {
			x := (p/255 - preset.mean) / preset.std
			want := x*(preset.std/0.5) + (preset.mean-0.5)/0.5
			if have := (p - n.Mean[c]) / n.Std[c]; math.Abs(have-want) > 1e-12 || bgr {
				t.Errorf("torchvision: channel %d of pixel %g is %g, want %g in RGB, have BGR %t", c, p, have, want, bgr)
			}
		}
	}
	n, bgr = BVLC.Trained()
	if want := (Normalization{Mean: [3]float64{123, 117, 104}, Std: [3]float64{1, 1, 1}}); n != want || !bgr {
		t.Errorf("BVLC: have %v, BGR %t, want %v in BGR", n, bgr, want)
	}
}

func TestGoogLeNetErrors(t *testing.T) {
	edit := func(name string, change func(s *stored)) func([]stored) []stored {
		return func(tensors []stored) []stored {
			change(find(t, tensors, name))
			return tensors
		}
	}
	shape := func(name string, to ...int) func([]stored) []stored {
		return edit(name, func(s *stored) { s.shape = to })
	}
	data := func(name string, to ...float32) func([]stored) []stored {
		return edit(name, func(s *stored) { s.data = to })
	}
	nan := float32(math.NaN())
	for _, test := range []struct {
		name   string
		a      Architecture
		change func(tensors []stored) []stored
		want   string // a part of the error
	}{
		{"renamed", Torchvision, edit("inception4b.branch3.1.bn.bias", func(s *stored) { s.name = "bn5.bias" }),
			"missing 1 of the network's 287 tensors: inception4b.branch3.1.bn.bias; has 1 that the network does not have: bn5.bias"},
		{"shape", Torchvision, shape("conv1.conv.weight", 64, 3, 7, 6), "conv1.conv.weight: want shape [64 3 7 7], have [64 3 7 6]"},
		{"NHWC", Torchvision, shape("conv3.conv.weight", 192, 3, 3, 64), "conv3.conv.weight: want shape [192 64 3 3], have [192 3 3 64]"},
		{"classes", Torchvision, shape("fc.bias", 4), "fc.bias: want shape [3], have [4]"},
		{"a true 5x5", Torchvision, shape("inception3a.branch3.1.conv.weight", 32, 16, 5, 5),
			"inception3a.branch3.1.conv.weight: want shape [32 16 3 3], have [32 16 5 5]"},
		{"NaN", Torchvision, data("conv1.conv.weight", 0, nan, 0), "conv1.conv.weight: element 1 is NaN, want a finite float32"},
		{"variance", Torchvision, data("conv2.bn.running_var", 0, 0, -1), "conv2.bn.running_var: element 2 is -1, want a variance from 0"},
		{"overflow", Torchvision, func(s []stored) []stored {
			return data("conv2.bn.running_mean", 1)(data("conv2.bn.weight", 3e38)(s))
		}, "fold the batch norm conv2.bn: want values that float32 can hold"},
		{"BVLC, renamed", BVLC, edit("inception_4b/5x5.bias", func(s *stored) { s.name = "inception_4b/5x5.blob2" }),
			"missing 1 of the network's 116 tensors: inception_4b/5x5.bias; has 1 that the network does not have: inception_4b/5x5.blob2"},
		{"BVLC, a 3x3", BVLC, shape("inception_3a/5x5.weight", 32, 16, 3, 3), "inception_3a/5x5.weight: want shape [32 16 5 5], have [32 16 3 3]"},
		{"BVLC, classes", BVLC, shape("loss3/classifier.bias", 4), "loss3/classifier.bias: want shape [3], have [4]"},
		{"BVLC, NaN", BVLC, data("conv2/3x3.bias", 0, 0, nan), "conv2/3x3.bias: element 2 is NaN, want a finite float32"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, err := GoogLeNet(open(t, test.change(tensorsOf(test.a, 3))), 96)
			if err == nil || g != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("have error %v, want %q", err, test.want)
			}
		})
	}
}
