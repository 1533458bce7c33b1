package export

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightd/export/graph"
	"sightd/export/quantize"
	"sightd/export/weights"
	"sightd/inference"
)

// randomGoogLeNet reads a whole network for 10 classes at 96 pixels from a file with random weights.
func randomGoogLeNet(t *testing.T, a graph.Architecture) *graph.Graph {
	t.Helper()
	r := rand.New(rand.NewPCG(16, 17))
	header, data := map[string]any{}, []byte(nil)
	for _, w := range a.Wants() {
		shape, size := slices.Clone(w.Shape), 1
		for i := range shape {
			if shape[i] == weights.Classes {
				shape[i] = 10
			}
			size *= shape[i]
		}
		start := len(data)
		for range size {
			v := r.NormFloat64() * math.Sqrt(2/float64(size/shape[0]))
			switch {
			case strings.HasSuffix(w.Name, "running_var"), strings.HasSuffix(w.Name, "bn.weight"):
				v = 0.5 + r.Float64()
			case len(shape) == 1:
				v = 0.1 * r.NormFloat64()
			}
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
		}
		header[w.Name] = map[string]any{"dtype": "F32", "shape": shape, "data_offsets": []int{start, len(data)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "weights.safetensors")
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	if err := os.WriteFile(path, append(file, data...), 0o666); err != nil {
		t.Fatal(err)
	}
	set, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close() // it was only read
	g, err := graph.GoogLeNet(set, 96)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestGoogLeNetForms writes whole networks in the forms that differ in more than TestForms shows: under the race detector only as int8 with a
// UINT8 input and float scores. Nothing is equalized, which takes the longest.
func TestGoogLeNetForms(t *testing.T) {
	for _, a := range []graph.Architecture{graph.Torchvision, graph.BVLC} {
		c := calibrateOn(t, randomGoogLeNet(t, a), randomPictures(4, 96, 18))
		for _, o := range forms() {
			if o.Precision != PrecisionInt8 && (o.Features || o.Input == inference.UInt8) ||
				raceEnabled && (o.Precision != PrecisionInt8 || o.Input != inference.UInt8 || o.Features || o.IntegerOutput) {
				continue
			}
			o.without = map[step]bool{stepEqualize: true}
			t.Run(fmt.Sprintf("%s %s", a, describeForm(o)), func(t *testing.T) {
				checkForm(t, c.g, o, c.write(t, o))
			})
		}
	}
}

// TestStepsOf names the steps of each form.
func TestStepsOf(t *testing.T) {
	always := []step{stepEqualize, stepRound, stepBias}
	nets := map[graph.Architecture]*calibrated{}
	for _, a := range []graph.Architecture{graph.Torchvision, graph.BVLC} {
		nets[a] = calibrateOn(t, smallNet(a, 13), randomPictures(4, smallSize, 20))
	}
	for _, test := range []struct {
		a    graph.Architecture
		o    Options
		want []step
	}{
		{graph.Torchvision, Options{Input: inference.Int8}, append([]step{stepBlocks}, append(always, stepLogits)...)}, // 127 all around
		{graph.Torchvision, Options{Input: inference.Float32}, append([]step{stepBlocks}, append(always, stepLogits)...)},
		{graph.BVLC, Options{Input: inference.Float32}, append([]step{stepFront}, append(always, stepLogits)...)},
		{graph.BVLC, Options{Input: inference.UInt8}, append([]step{stepFront, stepBorder}, append(always, stepLogits)...)},
		{graph.BVLC, Options{Input: inference.Int8, IntegerOutput: true}, append([]step{stepFront, stepBorder}, append(always, stepRange)...)},
		{graph.BVLC, Options{Input: inference.Int8, without: map[step]bool{stepBorder: true, stepRound: true}},
			[]step{stepFront, stepEqualize, stepBias, stepLogits}},
	} {
		if have := test.o.stepsOf(nets[test.a].build(t, test.o)); !slices.Equal(have, test.want) {
			t.Errorf("%s %s: have %q, want %q", test.a, describeForm(test.o), have, test.want)
		}
	}
}

// TestWithout leaves out each step: the file must differ from that of all steps, and its scores must still be near the float network's.
func TestWithout(t *testing.T) {
	for _, a := range []graph.Architecture{graph.Torchvision, graph.BVLC} {
		c := calibrateOn(t, smallNet(a, 14), randomPictures(16, smallSize, 19))
		for _, o := range []Options{{Input: inference.Int8}, {Input: inference.Int8, IntegerOutput: true}} {
			o.Precision = PrecisionInt8
			all, err := c.write(t, o).Bytes()
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range o.stepsOf(c.build(t, o)) {
				o.without = map[step]bool{s: true}
				m := c.write(t, o)
				data, err := m.Bytes()
				if err != nil {
					t.Fatal(err)
				}
				if slices.Equal(data, all) {
					t.Errorf("%s without %s: the file is the same", a, s)
				}
				c.compare(t, o, m, 0.2)
			}
		}
	}
}

// TestShiftLogits shows that the logits end at 0, and keep their distances.
func TestShiftLogits(t *testing.T) {
	g := smallNet(graph.Torchvision, 15)
	shared := g.Op(graph.Classifier).Bias
	before := slices.Clone(shared)
	plan := &quantize.Plan{Params: map[string]quantize.Params{}}
	logits := [][]float32{{3, -5, 0, 1, 2}, {-1, 15, -5, 0, 4}}
	high, span := quantize.Logits(logits)
	shiftLogits(g, plan, logits)
	for i, b := range g.Op(graph.Classifier).Bias {
		if want := before[i] - float32(high); b != want || shared[i] != before[i] {
			t.Errorf("bias %d is %g, want %g; the array that was given has %g, had %g", i, b, want, shared[i], before[i])
		}
	}
	if have, want := plan.Params[graph.Classifier], (quantize.Params{Scale: float32(span / 255), ZeroPoint: 127}); have != want || high < 15 {
		t.Errorf("have %+v below %g, want %+v", have, high, want)
	}
}
