package export

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"sightd/export/graph"
	"sightd/export/quantize"
	"sightd/export/tflitefile"
	"sightd/inference"
)

// forms lists the ways to write a network.
func forms() []Options {
	var all []Options
	for _, p := range []Precision{PrecisionInt8, PrecisionFloat16, PrecisionFloat32} {
		for _, input := range []inference.Type{inference.Int8, inference.UInt8, inference.Float32} {
			for _, features := range []bool{false, true} {
				all = append(all, Options{Precision: p, Input: input, Features: features})
				if p == PrecisionInt8 {
					all = append(all, Options{Precision: p, Input: input, Features: features, IntegerOutput: true})
				}
			}
		}
	}
	return all
}

func describeForm(o Options) string {
	text := fmt.Sprintf("%s %s", o.Precision, o.Input)
	if o.IntegerOutput {
		text += " integer"
	}
	if o.Features {
		text += " features"
	}
	return text
}

// checkForm compares a model with what its options ask for: names, types and shapes, and which nodes XNNPACK leaves.
func checkForm(t *testing.T, g *graph.Graph, o Options, m *tflitefile.Model) {
	t.Helper()
	run := openModel(t, m)
	spec := run.Spec()
	if !slices.Equal(m.InputNames, []string{inputName}) || m.Tensors[m.Inputs[0]].Name != inputName {
		t.Errorf("the input is called %q and %q, want %q", m.InputNames, m.Tensors[m.Inputs[0]].Name, inputName)
	}
	if spec.Input.Type != o.Input || !slices.Equal(spec.Input.Shape, []int{1, g.Size, g.Size, 3}) {
		t.Errorf("the input is %s", spec.Input)
	}
	n, _ := g.Architecture.Trained()
	p := n.Pixels()
	wantScale, wantZero := float32(p.Scale), p.Zero
	switch o.Input {
	case inference.Int8:
		wantZero -= 128
	case inference.Float32:
		wantScale, wantZero = 0, 0
	}
	if spec.Input.Scale != wantScale || spec.Input.ZeroPoint != wantZero {
		t.Errorf("the input has scale %g and zero point %d, want %g and %d", spec.Input.Scale, spec.Input.ZeroPoint, wantScale, wantZero)
	}

	names, channels, outType := []string{outputName}, []int{g.Classes}, inference.Float32
	if o.Features {
		names, channels = append(names, featuresName), append(channels, g.Op(graph.Features).Channels)
	}
	if o.IntegerOutput {
		if outType = o.Input; outType == inference.Float32 {
			outType = inference.Int8
		}
	}
	if !slices.Equal(m.OutputNames, names) || len(spec.Outputs) != len(names) {
		t.Fatalf("the outputs are %q, want %q", m.OutputNames, names)
	}
	for i, out := range spec.Outputs {
		if out.Type != outType || !slices.Equal(out.Shape, []int{1, channels[i]}) {
			t.Errorf("output %d is %s, want %s [1,%d]", i, out, outType, channels[i])
		}
	}
	if zero := map[inference.Type]int{inference.Int8: -128}[outType]; o.IntegerOutput && (spec.Outputs[0].Scale != 1.0/256 || spec.Outputs[0].ZeroPoint != zero) {
		t.Errorf("the scores are %s, want 256 steps from 0 to 1", spec.Outputs[0])
	}

	// What XNNPACK has no kernel for: int8 and uint8 into each other, and SOFTMAX of int8.
	var rest []string
	integers := o.Precision == PrecisionInt8 && o.Input == inference.UInt8
	if integers {
		rest = append(rest, "QUANTIZE")
	}
	if o.IntegerOutput {
		rest = append(rest, "SOFTMAX")
		for range names {
			if integers {
				rest = append(rest, "QUANTIZE")
			}
		}
	}
	d := run.Delegation()
	if d.Delegate != inference.XNNPACK || !slices.Equal(d.Rest, rest) || d.Total != len(m.Operators) {
		t.Errorf("%s, want all of %d nodes but %v", d, len(m.Operators), rest)
	}
}

var update = flag.Bool("update", false, "write the list in testdata anew")

// operatorsOf lists the operators of a model with the types of their outputs, those that follow each other and are the same once.
func operatorsOf(m *tflitefile.Model) string {
	var list []string
	for i := 0; i < len(m.Operators); {
		line := func(i int) string {
			return fmt.Sprintf("%s %s", m.Operators[i].Code, m.Tensors[m.Operators[i].Outputs[0]].Type)
		}
		n := 1
		for i+n < len(m.Operators) && line(i+n) == line(i) {
			n++
		}
		if text := line(i); n > 1 {
			list = append(list, fmt.Sprintf("%d %s", n, text))
		} else {
			list = append(list, text)
		}
		i += n
	}
	return strings.Join(list, ", ")
}

// TestOperators compares the operators that small networks are written as with those in testdata.
func TestOperators(t *testing.T) {
	const golden = "testdata/forms.txt"
	var text strings.Builder
	for _, a := range []graph.Architecture{graph.Torchvision, graph.BVLC} {
		c := calibrateOn(t, smallNet(a, 1), randomPictures(4, smallSize, 3))
		for _, o := range forms() {
			fmt.Fprintf(&text, "%s %s: %s\n", a, describeForm(o), operatorsOf(c.write(t, o)))
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("%s: the operators have changed: have\n%s", golden, text.String())
	}
}

// TestForms writes small networks in every form, and compares their scores and features with the float network's.
func TestForms(t *testing.T) {
	for _, a := range []graph.Architecture{graph.Torchvision, graph.BVLC} {
		c := calibrateOn(t, smallNet(a, 1), randomPictures(24, smallSize, 3))
		for _, o := range forms() {
			t.Run(fmt.Sprintf("%s %s", a, describeForm(o)), func(t *testing.T) {
				m := c.write(t, o)
				checkForm(t, c.g, o, m)
				most := map[Precision]float64{PrecisionFloat32: 1e-5, PrecisionFloat16: 3e-3, PrecisionInt8: 0.05}[o.Precision]
				if a == graph.Torchvision && o.Input != inference.Float32 { // the border's pixel is half a pixel beside the mean
					most = max(most, 5e-3)
				}
				if o.IntegerOutput {
					most += 1.0 / 256
				}
				c.compare(t, o, m, most)
			})
		}
	}
}

// compare runs a model on the pictures that its network was calibrated on, and compares scores and features with the float
// network's. No score may differ by more than most.
func (c *calibrated) compare(t *testing.T, o Options, m *tflitefile.Model, most float64) {
	t.Helper()
	run := openModel(t, m)
	at := slices.Index(c.float.layers, graph.Features)
	signal, noise := 0.0, 0.0
	for i, s := range c.p.samples {
		scores := answer(t, run, c.norm, s.pixels, 0)
		if d, _ := difference(t, scores, c.seen.scores[i]); d > most {
			t.Errorf("picture %d: scores %v, float %v, differ by more than %g", i, scores, c.seen.scores[i], most)
		}
		if !o.Features {
			continue
		}
		have := answer(t, run, c.norm, s.pixels, 1)
		if err := invoke(c.float.runs[0], c.norm, s.pixels); err != nil {
			t.Fatal(err)
		}
		want, err := c.float.runs[0].Floats(1 + at)
		if err != nil {
			t.Fatal(err)
		}
		s, n := compareValues(want, have, nil)
		signal, noise = signal+s, noise+n
	}
	least := map[Precision]float64{PrecisionFloat32: 45, PrecisionFloat16: 45, PrecisionInt8: 28}[o.Precision]
	if o.Features && decibels(signal, noise) < least {
		t.Errorf("the features are %g dB above their noise, want %g", decibels(signal, noise), least)
	}
}

// TestFeaturesAreUndivided shows that the features of the float network come out although their channels are divided in the int8 one.
func TestFeaturesAreUndivided(t *testing.T) {
	c := calibrateOn(t, smallNet(graph.BVLC, 2), randomPictures(24, smallSize, 4))
	o := Options{Precision: PrecisionInt8, Input: inference.Int8, Features: true}
	b, err := o.buildInt8(c.g, c.norm, c.seen)
	if err != nil {
		t.Fatal(err)
	}
	factors := b.f.plan.Factors[graph.Features]
	if len(factors) == 0 || slices.Min(factors) > 0.5 {
		t.Fatalf("the features have the factors %v: the test needs some that are small", factors)
	}
	c.compare(t, o, c.write(t, o), 1)
	o.IntegerOutput = true // with one scale for all features, nothing could multiply them again
	if b, err = o.buildInt8(c.g, c.norm, c.seen); err != nil || b.f.plan.Factors[graph.Features] != nil {
		t.Errorf("integer features have the factors %v, error %v, want none", b.f.plan.Factors[graph.Features], err)
	}
}

// TestInputsAgree feeds the same pictures to files with different types of input: from INT8 to UINT8 nothing may change, and with FLOAT32 no
// more than the input's rounding.
func TestInputsAgree(t *testing.T) {
	for _, a := range []graph.Architecture{graph.Torchvision, graph.BVLC} {
		c := calibrateOn(t, smallNet(a, 3), randomPictures(12, smallSize, 5))
		for _, o := range []Options{{Precision: PrecisionInt8}, {Precision: PrecisionInt8, IntegerOutput: true}, {Precision: PrecisionFloat32}} {
			var runs [3][][]float32
			for i, input := range []inference.Type{inference.Int8, inference.UInt8, inference.Float32} {
				o.Input = input
				run := openModel(t, c.write(t, o))
				for _, s := range c.p.samples {
					runs[i] = append(runs[i], answer(t, run, c.norm, s.pixels, 0))
				}
			}
			for i := range c.p.samples {
				if !slices.Equal(runs[0][i], runs[1][i]) {
					t.Errorf("%s %s, picture %d: INT8 %v, UINT8 %v", a, describeForm(o), i, runs[0][i], runs[1][i])
				}
				if d, _ := difference(t, runs[2][i], runs[0][i]); d > 0.06 || o.Precision == PrecisionFloat32 && d > 5e-3 {
					t.Errorf("%s %s, picture %d: INT8 %v, FLOAT32 %v", a, describeForm(o), i, runs[0][i], runs[2][i])
				}
			}
		}
	}
}

// TestBorder compares the first convolution over plain pixels, border included, with the float network's on normalized ones. BVLC's means are
// whole pixels, so that both must agree; torchvision's mean is 127.5, and the border 127.
func TestBorder(t *testing.T) {
	for _, test := range []struct {
		a    graph.Architecture
		most float64 // of the largest value
	}{{graph.BVLC, 1e-5}, {graph.Torchvision, 0.02}} {
		c := calibrateOn(t, smallNet(test.a, 4), randomPictures(4, smallSize, 6))
		want := openModel(t, c.write(t, Options{Precision: PrecisionFloat32, Input: inference.Float32}, graph.FirstConv))
		for _, o := range []Options{{Precision: PrecisionFloat32, Input: inference.UInt8}, {Precision: PrecisionFloat32, Input: inference.Int8},
			{Precision: PrecisionInt8, Input: inference.Int8}, {Precision: PrecisionInt8, Input: inference.UInt8},
			{Precision: PrecisionInt8, Input: inference.Float32}} {
			if o.Precision == PrecisionInt8 && test.a != graph.BVLC {
				continue // its first convolution is int8
			}
			have := openModel(t, c.write(t, o, graph.FirstConv))
			for i, s := range c.p.samples {
				d, largest := difference(t, answer(t, have, c.norm, s.pixels, 1), answer(t, want, c.norm, s.pixels, 1))
				if d > test.most*largest {
					t.Errorf("%s %s, picture %d: the first convolution differs by %g of %g", test.a, describeForm(o), i, d, largest)
				}
			}
		}
	}
}

// TestBorderPixels looks at an int8 border itself, of pixels and of blocks of them: the picture's pixels inside, each channel's mean around
// them.
func TestBorderPixels(t *testing.T) {
	c := calibrateOn(t, smallNet(graph.BVLC, 5), randomPictures(2, smallSize, 7))
	value := graph.FirstConv + "/pad"
	for _, test := range []struct {
		without map[step]bool
		border  int // before the picture
		place   func(i int) (y, x int)
	}{
		{map[step]bool{stepFront: true, stepBlocks: true}, 3, func(i int) (y, x int) { const side = smallSize + 6; return i / 3 / side, i / 3 % side }},
		{map[step]bool{stepFront: true}, 4, func(i int) (y, x int) {
			const side = smallSize/2 + 3
			return i/12/side*2 + i%12/6, i/12%side*2 + i%6/3
		}},
	} {
		o := Options{Precision: PrecisionInt8, Input: inference.UInt8, without: test.without}
		run := openModel(t, c.write(t, o, value))
		for _, s := range c.p.samples {
			for i, v := range answer(t, run, c.norm, s.pixels, 1) {
				y, x := test.place(i)
				y, x, ch := y-test.border, x-test.border, i%3
				want := c.norm.Mean[ch]
				if y >= 0 && y < smallSize && x >= 0 && x < smallSize {
					want = float64(s.pixels[(y*smallSize+x)*3+ch])
				}
				if pixel := float64(v) + 115; pixel != want { // 115 is the pixel of the real value 0
					t.Fatalf("without %v: pixel %d,%d channel %d is %g, want %g", test.without, y, x, ch, pixel, want)
				}
			}
		}
	}
	without := Options{Precision: PrecisionInt8, Input: inference.UInt8, without: map[step]bool{stepFront: true, stepBorder: true}}
	if have := answer(t, openModel(t, c.write(t, without, value)), c.norm, c.p.samples[0].pixels, 1); have[0] != 0 {
		t.Errorf("without a border of its own it is %g, want 0", have[0])
	}
}

func TestWriteErrors(t *testing.T) {
	g := smallNet(graph.BVLC, 6)
	if m, err := write(g, form{input: inference.Int32}); err == nil || m != nil || err.Error() != "write the input: want INT8, UINT8 or FLOAT32, have INT32" {
		t.Errorf("an INT32 input: %v, error %v", m, err)
	}
	g.Ops[1].Kind = "DEPTHWISE_CONV_2D"
	if m, err := Float(g, nil); err == nil || m != nil || err.Error() != "write conv1/7x7_s2: operator DEPTHWISE_CONV_2D is not known" {
		t.Errorf("an unknown operator: %v, error %v", m, err)
	}
	g = smallNet(graph.Torchvision, 6)
	c := calibrateOn(t, g, randomPictures(2, smallSize, 8))
	g.Ops[1].Weights[0] = float32(math.NaN())
	if b, err := (&Options{Input: inference.Int8}).buildInt8(g, c.norm, c.seen); err == nil || b != nil ||
		!strings.HasPrefix(err.Error(), "conv1/7x7_s2: quantize weights: channel 0: want a finite scale") {
		t.Errorf("a NaN in the weights: error %v", err)
	}
	delete(c.seen.seen, "conv2/3x3")
	if b, err := (&Options{Input: inference.Int8}).buildInt8(smallNet(graph.Torchvision, 6), c.norm, c.seen); err == nil || b != nil ||
		err.Error() != "choose ranges: nothing was seen of conv2/3x3" {
		t.Errorf("a layer that was not seen: error %v", err)
	}
}

// TestNormalizedParams holds the normalized pixels of a FLOAT32 input.
func TestNormalizedParams(t *testing.T) {
	for _, test := range []struct {
		n    graph.Normalization
		want quantize.Params
	}{
		{graph.Symmetric, quantize.Activation(-1, 1)},
		{graph.Normalization{Mean: [3]float64{123, 117, 104}, Std: [3]float64{1, 1, 1}}, quantize.Activation(-123, 151)},
		{graph.Normalization{Mean: [3]float64{0, 0, 0}, Std: [3]float64{255, 51, 255}}, quantize.Activation(0, 5)},
	} {
		if have := normalizedParams(test.n); have != test.want {
			t.Errorf("%v: have %+v, want %+v", test.n, have, test.want)
		}
	}
}
