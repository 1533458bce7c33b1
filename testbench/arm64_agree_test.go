package testbench

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightd/export/tflitefile"
	"sightd/models"
)

// numAgreeing is how many photos both machines look at.
const numAgreeing = 100

// inputTolerance is what a value of an input tensor may differ by, logitSteps what an int8 logit may, in steps.
const (
	inputTolerance = 1
	logitSteps     = 2
)

// TestArm64Agree compares what arm64 and this machine make of photos: input tensors, and the scores of two models. One is the embedded
// network exported with --integer-output, whose logits are int8: read in front of the softmax, they may differ by two steps. The embedded
// model itself puts out floats, which have no steps: its scores may differ by as much as its card allows. Its logits are told in steps
// of the other's.
//
// The machines don't agree to the bit: of one photo that was followed through the layers, XNNPACK's kernels for x86 and Arm compute one
// of 51,200 int8 values otherwise in the second inception module, by one step, and each module behind it has more of them. The built-in
// kernels agree.
func TestArm64Agree(t *testing.T) {
	program := filepath.Join(filepath.Dir(arm64Program(t)), "agree")
	photos, _ := validationPhotos(t, numAgreeing)
	odd, err := filepath.Glob(filepath.Join(shared(t, "images", "odd"), "*.[jp][pn]g"))
	if err != nil || len(odd) == 0 {
		t.Fatalf("want odd pictures, have %d, %v", len(odd), err)
	}
	odd = append(odd, shared(t, "images", "odd", "photo.webp"))
	arguments, step := agreeModels(t)
	_, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	native := agreeCommand(t)
	for _, test := range []struct {
		name      string
		processor armProcessor
		delegate  string
		pictures  []string
	}{
		{"best processor", bestProcessor, "xnnpack", append(photos, odd...)},
		{"Raspberry Pi 4", raspberryPi4, "xnnpack", photos[:numAgreeing/4]},
		{"Raspberry Pi 4, built-in kernels", raspberryPi4, "cpu", photos[:numAgreeing/10]},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			all := slices.Concat(arguments, []string{"-delegate", test.delegate}, test.pictures)
			here := readAnswers(t, exec.CommandContext(t.Context(), native, all...), len(test.pictures))
			there := readAnswers(t, test.processor.emulator(t).command(t, program, all...), len(test.pictures))
			sums := sums{step: step, tolerance: float64(card.Golden.Tolerance)}
			for i := range here {
				sums.compare(t, here[i], there[i])
			}
			t.Logf("%d pictures, %d of them refused: %d of %d input values differ, by %d at most", len(here), sums.refused, sums.inputs, sums.values, sums.input)
			for i, name := range agreeing {
				t.Logf("%s: logits off by %.2f steps of %.4g at most, scores by %.4f; %d pictures with the same logits",
					name, sums.logit[i], step, sums.score[i], sums.same[i])
			}
		})
	}
}

// agreeing are the models, in agree's order.
var agreeing = [2]string{"embedded model", "--integer-output"}

// agreeModels writes the two models, each with its logits as output 0. step is that of int8 logits.
func agreeModels(t *testing.T) (arguments []string, step float64) {
	t.Helper()
	dir := t.TempDir()
	integer := filepath.Join(dir, "integer.tflite")
	export := exec.CommandContext(t.Context(), sightd(t), "export", shared(t, "weights", "googlenet_imagenette.pth"), "-o", integer,
		"--labels", shared(t, "weights", "imagenette_labels.txt"), "--size", "160", "--integer-output",
		"--calibration", shared(t, "images", "imagenette", "calibration"))
	if said, err := export.CombinedOutput(); err != nil {
		t.Fatalf("export: %v\n%s", err, said)
	}
	data, err := os.ReadFile(integer)
	if err != nil {
		t.Fatal(err)
	}
	embedded, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range [][]byte{embedded, data} {
		m, err := tflitefile.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(m.Operators, func(o tflitefile.Operator) bool { return o.Code == tflitefile.OpSoftmax })
		if at < 0 {
			t.Fatal("want a model with a SOFTMAX")
		}
		logits := m.Operators[at].Inputs[0]
		m.Outputs = slices.Insert(m.Outputs, 0, logits)
		m.OutputNames = slices.Insert(m.OutputNames, 0, "logits")
		m.Metadata = nil // it speaks of other outputs
		if file, err = m.Bytes(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, []string{"float_logits.tflite", "int8_logits.tflite"}[i])
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, "-model", path)
		if q := m.Tensors[logits].Quant; i == 1 && q != nil && len(q.Scale) == 1 {
			step = float64(q.Scale[0])
		}
	}
	if step == 0 {
		t.Fatal("want int8 logits with a scale in the model with --integer-output")
	}
	return arguments, step
}

// agreeCommand builds the command agree for this machine.
func agreeCommand(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agree")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, "./testbench/agree")
	build.Dir = repository(t)
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build agree: %v\n%s", err, said)
	}
	return path
}

// agreeAnswer is a line of what agree writes.
type agreeAnswer struct {
	File, Refused string
	Input         []byte
	Scores        [][]float64 // of each model, here logits
}

func readAnswers(t *testing.T, cmd *exec.Cmd, n int) []agreeAnswer {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	var answers []agreeAnswer
	for line := range bytes.Lines(output) {
		var a agreeAnswer
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != n {
		t.Fatalf("want %d answers of %s, have %d", n, cmd.Path, len(answers))
	}
	return answers
}

// sums are the largest differences so far, of logits (in steps) and scores for each model.
type sums struct {
	step, tolerance       float64
	refused               int
	values, inputs, input int // of the input tensor: all, those that differ, by how much
	logit, score          [2]float64
	same                  [2]int
}

func (s *sums) compare(t *testing.T, here, there agreeAnswer) {
	t.Helper()
	if here.Refused != there.Refused || here.File != there.File || len(here.Input) != len(there.Input) || len(here.Scores) != len(there.Scores) {
		t.Fatalf("%s: want the answer %q with %d values, have of %s %q with %d",
			here.File, here.Refused, len(here.Input), there.File, there.Refused, len(there.Input))
	}
	if here.Refused != "" {
		s.refused++
		return
	}
	for i, v := range here.Input {
		d := int(int8(v)) - int(int8(there.Input[i]))
		d = max(d, -d)
		if s.values++; d != 0 {
			s.inputs++
		}
		if s.input = max(s.input, d); d > inputTolerance {
			t.Fatalf("%s: value %d of the input: want %d within %d, have %d", here.File, i, int8(v), inputTolerance, int8(there.Input[i]))
		}
	}
	for m, name := range agreeing {
		a, b := here.Scores[m], there.Scores[m]
		logit, score := difference(a, b)/s.step, difference(softmax(a), softmax(b))
		s.logit[m], s.score[m] = max(s.logit[m], logit), max(s.score[m], score)
		if logit == 0 {
			s.same[m]++
		}
		// int8 values come as floats, which lose a little
		if m == 1 && !(math.Round(logit) <= logitSteps) || !(score <= s.tolerance) {
			t.Errorf("%s: %s: want int8 logits within %d steps and scores within %g, have %.3f and %.4f", here.File, name, logitSteps, s.tolerance, logit, score)
		}
		sorted := slices.Sorted(slices.Values(a))
		margin := (sorted[len(sorted)-1] - sorted[len(sorted)-2]) / s.step
		if best, other := slices.Index(a, slices.Max(a)), slices.Index(b, slices.Max(b)); best != other && math.Round(margin) > logitSteps {
			t.Errorf("%s: %s: want class %d, by a margin of %.1f steps, have %d", here.File, name, best, margin, other)
		}
	}
}

// difference is the largest between the elements of a and b, which are as many.
func difference(a, b []float64) float64 {
	worst := 0.0
	for i := range a {
		worst = max(worst, math.Abs(a[i]-b[i]))
	}
	return worst
}

func softmax(logits []float64) []float64 {
	scores, sum := make([]float64, len(logits)), 0.0
	for i, v := range logits {
		scores[i] = math.Exp(v - slices.Max(logits))
		sum += scores[i]
	}
	for i := range scores {
		scores[i] /= sum
	}
	return scores
}
