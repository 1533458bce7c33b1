package tflitefile

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/mattn/go-tflite"
)

// interpret opens the file's bytes in TensorFlow Lite, calls feed with the allocated interpreter, and runs it.
func interpret(t *testing.T, data []byte, feed func(*tflite.Interpreter)) *tflite.Interpreter {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.tflite")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	model := tflite.NewModelFromFile(path)
	if model == nil {
		t.Fatal("TensorFlow Lite refuses the file")
	}
	t.Cleanup(model.Delete)
	options := tflite.NewInterpreterOptions()
	t.Cleanup(options.Delete)
	interpreter := tflite.NewInterpreter(model, options)
	if interpreter == nil {
		t.Fatal("TensorFlow Lite makes no interpreter for the model")
	}
	t.Cleanup(interpreter.Delete)
	if status := interpreter.AllocateTensors(); status != tflite.OK {
		t.Fatalf("allocate tensors: status %d", status)
	}
	feed(interpreter)
	if status := interpreter.Invoke(); status != tflite.OK {
		t.Fatalf("invoke: status %d", status)
	}
	return interpreter
}

// runFloat runs a model with one float input and gives copies of its float outputs.
func runFloat(t *testing.T, data []byte, feed []float32) [][]float32 {
	t.Helper()
	interpreter := interpret(t, data, func(interpreter *tflite.Interpreter) {
		input := interpreter.GetInputTensor(0).Float32s()
		if len(input) != len(feed) {
			t.Fatalf("input of %d elements: want %d", len(input), len(feed))
		}
		copy(input, feed)
	})
	var outputs [][]float32
	for i := range interpreter.GetOutputTensorCount() {
		outputs = append(outputs, append([]float32(nil), interpreter.GetOutputTensor(i).Float32s()...))
	}
	return outputs
}

func wantClose(t *testing.T, have, want []float32, tolerance float64) {
	t.Helper()
	if len(have) != len(want) {
		t.Fatalf("%d values %v: want %d, %v", len(have), have, len(want), want)
	}
	for i := range have {
		if !(math.Abs(float64(have[i]-want[i])) <= tolerance) {
			t.Errorf("value %d is %g: want %g (all: %v, want %v)", i, have[i], want[i], have, want)
		}
	}
}

func narrow(values []float64) []float32 {
	y := make([]float32, len(values))
	for i, v := range values {
		y[i] = float32(v)
	}
	return y
}

func TestFloatNetInTensorFlowLite(t *testing.T) {
	n := newFloatNet()
	data := mustBytes(t, n.model)
	r := rand.New(rand.NewPCG(5, 6))
	for range 4 {
		pixels := randomFloats(r, 8*8*3)
		wantClose(t, runFloat(t, data, pixels)[0], narrow(n.compute(pixels)), 1e-5)
	}
}

func TestInt8NetInTensorFlowLite(t *testing.T) {
	n := newInt8Net()
	data := mustBytes(t, n.model)
	r := rand.New(rand.NewPCG(7, 8))
	step := float64(int8Logits.Scale[0])
	seen := make(map[float32]bool)
	for range 8 {
		pixels := make([]byte, 6*6*3)
		for i := range pixels {
			pixels[i] = byte(r.IntN(256))
		}
		interpreter := interpret(t, data, func(interpreter *tflite.Interpreter) {
			input := interpreter.GetInputTensor(0)
			if input.Name() != "image" || input.Type() != tflite.UInt8 {
				t.Fatalf("input %q of type %s: want image of type UInt8", input.Name(), input.Type())
			}
			copy(input.UInt8s(), pixels)
		})
		logits := interpreter.GetOutputTensor(0).Float32s()
		// One step for each rounding that may fall to the other side.
		wantClose(t, logits, narrow(n.compute(pixels)), 1.01*step)
		for _, v := range logits {
			seen[v] = true
		}
		probabilities := interpreter.GetOutputTensor(1)
		if q := probabilities.QuantizationParams(); q.Scale != 1.0/256 || q.ZeroPoint != -128 {
			t.Errorf("output 1 has scale %g and zero point %d: want 1/256 and -128", q.Scale, q.ZeroPoint)
		}
		var have []float32
		for _, q := range probabilities.Int8s() {
			have = append(have, float32(int(q)+128)/256)
		}
		wantClose(t, have, narrow(softmax(wide(logits))), 1.01/256)
	}
	if len(seen) < 6 {
		t.Errorf("the logits took %d values: the net doesn't tell its inputs apart", len(seen))
	}
}
