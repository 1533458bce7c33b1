package export

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightd/export/graph"
	"sightd/export/tflitefile"
	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/models"
	"sightd/models/drawn"
)

// randomWeights writes a state dict of a GoogLeNet for n classes with random weights, as safetensors. edit may change a tensor's values
// or its name.
func randomWeights(t *testing.T, n int, edit func(name string, shape []int, values []float32) string) string {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	header := map[string]any{}
	var data bytes.Buffer
	for _, w := range graph.Torchvision.Wants() {
		shape := slices.Clone(w.Shape)
		size, fan := 1, 1
		for i, d := range shape {
			if d < 0 {
				shape[i] = n
			}
			size *= shape[i]
			if i > 0 {
				fan *= shape[i]
			}
		}
		values := make([]float32, size)
		for i := range values {
			switch {
			case strings.HasSuffix(w.Name, "running_var"), strings.HasSuffix(w.Name, "bn.weight"):
				values[i] = 0.5 + random.Float32()
			default:
				values[i] = float32(random.NormFloat64() * math.Sqrt(2/float64(fan)))
			}
		}
		name := w.Name
		if edit != nil {
			name = edit(w.Name, shape, values)
		}
		start := data.Len()
		data.Write(float32Bytes(values))
		header[name] = map[string]any{"dtype": "F32", "shape": shape, "data_offsets": []int{start, data.Len()}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	path := filepath.Join(t.TempDir(), "weights.safetensors")
	if err := os.WriteFile(path, append(file, data.Bytes()...), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// drawnPictures writes n drawn pictures, each turned and shifted in colour so that no two are alike.
func drawnPictures(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		img, err := drawn.Image(drawn.Names()[i%4], 120+i)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.png", i)), b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// small exports random weights for three classes at the smallest size.
func small(t *testing.T) Options {
	return Options{
		Output:      filepath.Join(t.TempDir(), "out.tflite"),
		Labels:      []string{"one", "two", "three"},
		Calibration: drawnPictures(t, 12),
		Size:        96,
		Precision:   PrecisionInt8,
		Input:       inference.Int8,
		Exporter:    "test",
	}
}

func TestRun(t *testing.T) {
	weights := randomWeights(t, 3, nil)
	for _, test := range []struct {
		name   string
		change func(o *Options)
		input  tflitefile.TensorType
		rest   int // nodes that XNNPACK leaves; -1: not looked at
	}{
		{"int8", func(o *Options) {}, tflitefile.Int8, 0},
		{"uint8 features", func(o *Options) { o.Input, o.Features = inference.UInt8, true }, tflitefile.UInt8, 1},
		{"float32", func(o *Options) { o.Input = inference.Float32 }, tflitefile.Float32, 0},
		{"bgr minus mean", func(o *Options) {
			bgr := true
			o.BGR = &bgr
			o.Normalization = &graph.Normalization{Mean: [3]float64{123, 117, 104}, Std: [3]float64{58, 57, 57}}
		}, tflitefile.Int8, 0},
		{"uint8 scores", func(o *Options) { o.Input, o.IntegerOutput = inference.UInt8, true }, tflitefile.UInt8, 3},
		{"float16 without pictures", func(o *Options) { o.Precision, o.Input, o.Calibration = PrecisionFloat16, inference.Float32, "" }, tflitefile.Float32, 0},
		{"float32 from uint8", func(o *Options) { o.Precision, o.Input = PrecisionFloat32, inference.UInt8 }, tflitefile.UInt8, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := small(t)
			o.Weights = weights
			test.change(&o)
			report, err := Run(o)
			if err != nil {
				t.Fatal(err)
			}
			pictures := 12
			if o.Calibration == "" {
				pictures = 0
			}
			// Random weights hardly tell pictures apart: the agreement only has to be a share.
			if a := report.Card.Agreement; a.Pictures != pictures || a.Top1 < 0 || a.Top1 > 1 {
				t.Errorf("agreement: got %+v, want one over %d pictures", a, pictures)
			}
			checkFile(t, o, test.input, test.rest)
		})
	}
}

// checkFile reads what was written and runs it.
func checkFile(t *testing.T, o Options, input tflitefile.TensorType, rest int) {
	t.Helper()
	data, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	m, err := tflitefile.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Tensors[m.Inputs[0]].Type; got != input {
		t.Errorf("type of the input: got %s, want %s", got, input)
	}
	labels, err := m.Labels()
	if err != nil || !slices.Equal(labels, o.Labels) {
		t.Errorf("labels in the file: got %q, %v, want %q", labels, err, o.Labels)
	}
	if want := 1 + map[bool]int{true: 1}[o.Features]; len(m.Outputs) != want {
		t.Errorf("outputs: got %d, want %d", len(m.Outputs), want)
	}
	text, err := os.ReadFile(CardName(o.Output))
	if err != nil {
		t.Fatal(err)
	}
	card, err := models.ParseCard(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := card.Matches(data); err != nil {
		t.Error(err)
	}
	run, err := tflite.OpenBytes(data, inference.Options{Delegate: inference.XNNPACK})
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close() // frees C memory; there is nothing to report
	if d := run.Delegation(); rest >= 0 && len(d.Rest) != rest {
		t.Errorf("delegation: got %s, want %d nodes left", d, rest)
	}
	goldens, err := card.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	norm, _ := o.normalization(graph.Torchvision)
	_, err = inference.Prove(goldens, 1e-6, func(scores []float32, pixels []byte) error {
		if err := invoke(run, norm, pixels); err != nil {
			return err
		}
		return run.Output(0, scores)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDeadLayer exports a network with a layer that never answers anything but 0: XNNPACK must still take it, and its consumers.
func TestDeadLayer(t *testing.T) {
	o := small(t)
	o.Weights = randomWeights(t, 3, func(name string, _ []int, values []float32) string {
		if name == "inception4a.branch3.0.bn.bias" {
			for i := range values {
				values[i] = -1000
			}
		}
		return name
	})
	if _, err := Run(o); err != nil {
		t.Fatal(err)
	}
	checkFile(t, o, tflitefile.Int8, 0)
}

func TestRunIsDeterministic(t *testing.T) {
	o := small(t)
	o.Weights = randomWeights(t, 3, nil)
	var files [][]byte
	for range 2 {
		if _, err := Run(o); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(o.Output)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two exports of the same weights differ")
	}
}

func TestRunErrors(t *testing.T) {
	good := randomWeights(t, 3, nil)
	edited := func(edit func(name string, shape []int, values []float32) string) func(*Options) {
		return func(o *Options) { o.Weights = randomWeights(t, 3, edit) }
	}
	few := drawnPictures(t, MinPictures-1)
	for _, test := range []struct {
		name   string
		change func(o *Options)
		want   string
	}{
		{"missing tensor", edited(func(name string, _ []int, _ []float32) string {
			return strings.Replace(name, "inception4c.branch2.0.conv.weight", "inception4c.other", 1)
		}), "inception4c.branch2.0.conv.weight"},
		{"extra tensor", edited(func(name string, _ []int, _ []float32) string {
			return strings.Replace(name, "fc.bias", "fc.extra", 1)
		}), "fc.extra"},
		{"wrong shape", edited(func(name string, shape []int, _ []float32) string {
			if name == "conv2.conv.weight" {
				shape[2], shape[0] = shape[0], shape[2]
			}
			return name
		}), "conv2.conv.weight: want shape [64 64 1 1], have [1 64 64 1]"},
		{"NaN", edited(func(name string, _ []int, values []float32) string {
			if name == "inception3a.branch1.bn.bias" {
				values[3] = float32(math.NaN())
			}
			return name
		}), "inception3a.branch1.bn.bias"},
		{"missing file", func(o *Options) { o.Weights = filepath.Join(t.TempDir(), "none.pth") }, "none.pth"},
		{"no weights", func(o *Options) { o.Weights = filepath.Join(o.Calibration, "000.png") }, "000.png"},
		{"few pictures", func(o *Options) { o.Calibration = few }, "want at least 10, have 9"},
		{"no folder", func(o *Options) { o.Calibration = filepath.Join(o.Calibration, "none") }, "none"},
		{"label count", func(o *Options) { o.Labels = []string{"one", "two"} }, "want 3 labels"},
		{"empty label", func(o *Options) { o.Labels = []string{"one", "", "three"} }, "line 2 is empty"},
		{"size", func(o *Options) { o.Size = 100 }, "want a multiple of 32 from 96 to 512, have 100"},
		{"output", func(o *Options) { o.Output += ".bin" }, "want a name that ends in .tflite"},
		{"std", func(o *Options) { o.Normalization = &graph.Normalization{Std: [3]float64{1, 0, 1}} }, "want means from 0 to 255 and stds"},
		{"folder of output", func(o *Options) { o.Output = filepath.Join(t.TempDir(), "none", "out.tflite") }, "none"},
		{"class numbers", func(o *Options) { o.Eval = o.Calibration }, "want class numbers from 0 to 2 at the start of names, have 003.png"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := small(t)
			o.Weights = good
			test.change(&o)
			_, err := Run(o)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
			left, err := filepath.Glob(filepath.Join(filepath.Dir(o.Output), "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("files left behind: %v, %v", left, err)
			}
		})
	}
}
