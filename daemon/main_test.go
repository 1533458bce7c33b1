package daemon

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"sightd/export/tflitefile"
	"sightd/inference/auction"
)

// The arguments by which the tests start their own program for another purpose.
const (
	tryArgument = "try-delegate" // tries one, as sightd does
	dieArgument = "run-and-die"  // runs the daemon, see dyingDaemon
)

// TestMain is the program of each trial, too.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	var err error
	switch os.Args[1] {
	case tryArgument:
		err = auction.Inside(func(t Trial) auction.Receipt { return Try(context.Background(), t) })
	case dieArgument:
		err = dyingDaemon(os.Args[2:])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sightd:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// trialProgram starts what tries a delegate.
func trialProgram(t testing.TB) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, tryArgument}
}

var quiet = slog.New(slog.DiscardHandler)

// sampleOnce has a function for each of the drawn pictures: the race detector makes it slow to draw them.
var sampleOnce = map[string]func() ([]byte, error){
	"golf_ball": sync.OnceValues(func() ([]byte, error) { return SamplePNG("golf_ball") }),
	"parachute": sync.OnceValues(func() ([]byte, error) { return SamplePNG("parachute") }),
}

// samplePNG gives the file of a drawn picture, golf_ball or parachute.
func samplePNG(t testing.TB, name string) []byte {
	t.Helper()
	data, err := sampleOnce[name]()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// graph builds a network of floats.
type graph struct{ tflitefile.Model }

// value adds a tensor that is computed.
func (g *graph) value(name string, shape ...int) int {
	g.Tensors = append(g.Tensors, tflitefile.Tensor{Name: name, Type: tflitefile.Float32, Shape: shape})
	return len(g.Tensors) - 1
}

// constant adds a tensor of n elements, which fill gives.
func (g *graph) constant(name string, fill func(i int) float32, shape ...int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	var data []byte
	for i := range n {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(fill(i)))
	}
	g.Tensors = append(g.Tensors, tflitefile.Tensor{Name: name, Type: tflitefile.Float32, Shape: shape, Data: data})
	return len(g.Tensors) - 1
}

// classify adds the mean over height and width, a layer that makes a score of each class, and SOFTMAX: the network's end.
func (g *graph) classify(from, features, classes int, weight, bias func(i int) float32) {
	g.Tensors = append(g.Tensors, tflitefile.Tensor{Name: "axes", Type: tflitefile.Int32, Shape: []int{2}, Data: []byte{1, 0, 0, 0, 2, 0, 0, 0}})
	axes := len(g.Tensors) - 1
	mean, sums, scores := g.value("mean", 1, features), g.value("sums", 1, classes), g.value("scores", 1, classes)
	weights, biases := g.constant("weights", weight, classes, features), g.constant("biases", bias, classes)
	g.Operators = append(g.Operators,
		tflitefile.Operator{Code: tflitefile.OpMean, Inputs: []int{from, axes}, Outputs: []int{mean}, Options: tflitefile.ReducerOptions{}},
		tflitefile.Operator{Code: tflitefile.OpFullyConnected, Inputs: []int{mean, weights, biases}, Outputs: []int{sums}, Options: tflitefile.FullyConnectedOptions{}},
		tflitefile.Operator{Code: tflitefile.OpSoftmax, Inputs: []int{sums}, Outputs: []int{scores}, Options: tflitefile.SoftmaxOptions{Beta: 1}},
	)
	g.Outputs, g.OutputNames = []int{scores}, []string{"scores"}
}

// write writes the network and labels for it, a letter a class, into a folder, and gives their paths. There is no card.
func (g *graph) write(t testing.TB, folder string, classes int) (model, labels string) {
	t.Helper()
	data, err := g.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for i := range classes {
		text += string(rune('a'+i)) + "\n"
	}
	model, labels = filepath.Join(folder, "tiny.tflite"), filepath.Join(folder, "labels.txt")
	for path, content := range map[string][]byte{model: data, labels: []byte(text)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return model, labels
}

// newGraph begins a network whose input is a picture of that side.
func newGraph(side int) *graph {
	g := &graph{tflitefile.Model{Description: "a test", Inputs: []int{0}, InputNames: []string{"image"}}}
	g.value("image", 1, side, side, 3)
	return g
}

// quickNetwork writes a network of three classes that takes some microseconds on XNNPACK, and several times that on the built-in
// kernels.
func quickNetwork(t testing.TB) (model, labels string) {
	t.Helper()
	const side, features, classes = 48, 64, 3
	uneven := func(i int) float32 { return float32((i*i*37+i*11)%101)/50 - 1 }
	g := newGraph(side)
	kernels := g.constant("kernels", uneven, features, 3, 3, 3)
	zeros := g.constant("zeros", func(int) float32 { return 0 }, features)
	found := g.value("found", 1, side, side, features)
	g.Operators = append(g.Operators, tflitefile.Operator{
		Code: tflitefile.OpConv2D, Inputs: []int{0, kernels, zeros}, Outputs: []int{found},
		Options: tflitefile.Conv2DOptions{
			Padding: tflitefile.PaddingSame, StrideW: 1, StrideH: 1, DilationW: 1, DilationH: 1, Activation: tflitefile.ActivationRelu},
	})
	g.classify(found, features, classes, func(i int) float32 { return uneven(i) / 100 }, func(i int) float32 { return float32(i * i) })
	return g.write(t, t.TempDir(), classes)
}

// dazzledNetwork writes a network of two classes that puts out NaN for a picture which is grey on the average, whatever runs it, and the
// second class for a dark one.
func dazzledNetwork(t testing.TB) (model, labels string) {
	t.Helper()
	g := newGraph(16)
	g.classify(0, 3, 2, func(i int) float32 {
		if i < 3 {
			return float32(math.Inf(1)) // times 0 that is NaN
		}
		return 0
	}, func(int) float32 { return 0 })
	return g.write(t, t.TempDir(), 2)
}
