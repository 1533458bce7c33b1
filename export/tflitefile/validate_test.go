package tflitefile

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestValidateAcceptsTestNets(t *testing.T) {
	for name, m := range map[string]*Model{"float": newFloatNet().model, "int8": newInt8Net().model} {
		if err := m.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// invalid is a rule of Validate with a change to a valid model that breaks it.
type invalid struct {
	name   string
	change func(*Model)
	want   string // the whole error, after "validate model: "
}

func wantInvalid(t *testing.T, build func() *Model, rules []invalid) {
	t.Helper()
	for _, rule := range rules {
		m := build()
		rule.change(m)
		err := m.Validate()
		if err == nil {
			t.Errorf("%s: no error: want %q", rule.name, rule.want)
			continue
		}
		if have := strings.TrimPrefix(err.Error(), "validate model: "); have != rule.want {
			t.Errorf("%s:\nhave %s\nwant %s", rule.name, have, rule.want)
		}
	}
}

func TestValidateTensors(t *testing.T) {
	wantInvalid(t, func() *Model { return newInt8Net().model }, []invalid{
		{"no name", func(m *Model) { m.Tensors[3].Name = "" }, "tensor 3: want a name, have none"},
		{"a name twice", func(m *Model) { m.Tensors[3].Name = "image" },
			`tensor 3: name "image": want one that no other tensor has`},
		{"type", func(m *Model) { m.Tensors[16].Type = 5 },
			`tensor 16 "logits": type STRING: want FLOAT32, FLOAT16, INT8, UINT8, INT16, INT32 or INT64`},
		{"a dimension of 0", func(m *Model) { m.Tensors[16].Shape[1] = 0 },
			`tensor 16 "logits": shape [1,0]: want dimensions of 1 and more`},
		{"an overflowing shape", func(m *Model) { m.Tensors[16].Shape = []int{1 << 40, 1 << 40} },
			`tensor 16 "logits": shape [1099511627776,1099511627776]: want less than 2 GB`},
		{"too few bytes", func(m *Model) { m.Tensors[7].Data = m.Tensors[7].Data[:7] },
			`tensor 7 "side/bias": data of 7 bytes: want 8 for INT32 [2]`},
		{"int8 without quantization", func(m *Model) { m.Tensors[4].Quant = nil },
			`tensor 4 "conv": type INT8: want a quantization, have none`},
		{"float with quantization", func(m *Model) { m.Tensors[16].Quant = perTensor(1, 0) },
			`tensor 16 "logits": type FLOAT32: want no quantization, have one`},
		{"fewer zero points than scales", func(m *Model) { m.Tensors[2].Quant.ZeroPoint = nil },
			`tensor 2 "conv/weights": 4 scales and 0 zero points: want as many of both, and at least 1`},
		{"no scales", func(m *Model) { m.Tensors[4].Quant = &Quantization{} },
			`tensor 4 "conv": 0 scales and 0 zero points: want as many of both, and at least 1`},
		{"a dimension that isn't", func(m *Model) { m.Tensors[2].Quant.Dimension = 4 },
			`tensor 2 "conv/weights": quantized dimension 4: want one of shape [4,3,3,3]`},
		{"scales of another dimension", func(m *Model) { m.Tensors[2].Quant.Dimension = 1 },
			`tensor 2 "conv/weights": 4 scales: want 1, or one for each index along dimension 1 of shape [4,3,3,3]`},
		{"channels of a computed tensor", func(m *Model) { m.Tensors[4].Quant = perChannel0([]float32{1, 1, 1, 1}) },
			`tensor 4 "conv": 4 scales: want 1 for a computed tensor`},
		{"a scale of 0", func(m *Model) { m.Tensors[7].Quant.Scale[1] = 0 },
			`tensor 7 "side/bias": scale 0 at 1: want a positive, finite one`},
		{"a scale of NaN", func(m *Model) { m.Tensors[7].Quant.Scale[0] = float32(math.NaN()) },
			`tensor 7 "side/bias": scale NaN at 0: want a positive, finite one`},
		{"an infinite scale", func(m *Model) { m.Tensors[7].Quant.Scale[0] = float32(math.Inf(1)) },
			`tensor 7 "side/bias": scale +Inf at 0: want a positive, finite one`},
		{"int8 zero point", func(m *Model) { m.Tensors[5].Quant = perTensor(1, -129) },
			`tensor 5 "pool": zero point -129 at 0: want one in [-128,127] for INT8`},
		{"uint8 zero point", func(m *Model) { m.Tensors[0].Quant = perTensor(1, -1) },
			`tensor 0 "image": zero point -1 at 0: want one in [0,255] for UINT8`},
		{"int32 zero point", func(m *Model) { m.Tensors[7].Quant.ZeroPoint[1] = 1 },
			`tensor 7 "side/bias": zero point 1 at 1: want one in [0,0] for INT32`},
	})
}

func TestValidateGraph(t *testing.T) {
	wantInvalid(t, func() *Model { return newInt8Net().model }, []invalid{
		{"no inputs", func(m *Model) { m.Inputs = nil }, "0 inputs and 2 outputs: want at least 1 of each"},
		{"no outputs", func(m *Model) { m.Outputs = nil }, "1 inputs and 0 outputs: want at least 1 of each"},
		{"an input outside", func(m *Model) { m.Inputs[0] = 17 }, "input is tensor 17: want one of 17"},
		{"a constant as input", func(m *Model) { m.Inputs[0] = 2 }, `input "conv/weights" is a constant`},
		{"an input twice", func(m *Model) { m.Inputs = []int{0, 0} }, `input "image" occurs twice`},
		{"an operator's input outside", func(m *Model) { m.Operators[3].Inputs[0] = 17 },
			`operator 3 CONV_2D to "side": input is tensor 17: want one of 17, or -1`},
		{"used before it is computed", func(m *Model) { m.Operators[1], m.Operators[2] = m.Operators[2], m.Operators[1] },
			`operator 1 MAX_POOL_2D to "pool": input "conv" isn't computed yet`},
		{"an operator's output outside", func(m *Model) { m.Operators[3].Outputs[0] = -1 },
			`operator 3 CONV_2D: output is tensor -1: want one of 17`},
		{"a constant as output", func(m *Model) { m.Operators[3].Outputs[0] = 6 },
			`operator 3 CONV_2D to "side/weights": output "side/weights" is a constant`},
		{"computed twice", func(m *Model) { m.Operators[3].Outputs[0] = 5 },
			`operator 3 CONV_2D to "pool": output "pool" already is the output of operator 2 MAX_POOL_2D to "pool"`},
		{"an input as output", func(m *Model) { m.Operators[3].Outputs[0] = 0 },
			`operator 3 CONV_2D to "image": output "image" already is an input`},
		{"an output outside", func(m *Model) { m.Outputs[1] = -1 }, "output is tensor -1: want one of 17"},
		{"an output that nothing computes", func(m *Model) { m.Operators = m.Operators[:8] },
			`output "logits" isn't computed by any operator`},
		{"an output that is an input", func(m *Model) { m.Outputs[0] = 0 },
			`output "image" isn't computed by any operator`},
		{"an output twice", func(m *Model) { m.Outputs[1] = 16 }, `output "logits" occurs twice`},
		{"a long run time version", func(m *Model) { m.MinRuntime = "1234567890.123456" },
			`minimum run time "1234567890.123456": want at most 16 bytes`},
		{"names of inputs alone", func(m *Model) { m.InputNames = []string{"image"} }, "signature names 0 outputs: want 2"},
		{"a name twice", func(m *Model) { m.InputNames, m.OutputNames = []string{"x"}, []string{"y", "y"} },
			`signature name "y" of outputs: want one that isn't empty and occurs once`},
		{"an empty name", func(m *Model) { m.InputNames, m.OutputNames = []string{""}, []string{"y", "z"} },
			`signature name "" of inputs: want one that isn't empty and occurs once`},
	})
}

func TestValidateInt8Operators(t *testing.T) {
	conv, fc := `operator 1 CONV_2D to "conv": `, `operator 6 FULLY_CONNECTED to "logits_int8": `
	concat := `operator 4 CONCATENATION to "concat": `
	convOptions := func(m *Model, change func(*Conv2DOptions)) {
		o := m.Operators[1].Options.(Conv2DOptions)
		change(&o)
		m.Operators[1].Options = o
	}
	wantInvalid(t, func() *Model { return newInt8Net().model }, []invalid{
		{"an unknown operator", func(m *Model) { m.Operators[1].Code = 117 },
			`operator 1 HARD_SWISH to "conv": operator HARD_SWISH isn't one that can be written`},
		{"a negative version", func(m *Model) { m.Operators[1].Version = -1 },
			conv + "version -1: want 1 or more, or 0 to have it chosen"},
		{"too few inputs", func(m *Model) { m.Operators[1].Inputs = []int{1} }, conv + "1 inputs: want 2 to 3"},
		{"too many inputs", func(m *Model) { m.Operators[2].Inputs = []int{4, 4} },
			`operator 2 MAX_POOL_2D to "pool": 2 inputs: want 1`},
		{"nothing to concatenate", func(m *Model) { m.Operators[4].Inputs = nil }, concat + "0 inputs: want at least 1"},
		{"two outputs", func(m *Model) {
			m.Tensors = append(m.Tensors, Tensor{Name: "more"})
			m.Operators[1].Outputs = []int{4, 17}
		},
			conv + "2 outputs: want 1"},
		{"absent weights", func(m *Model) { m.Operators[1].Inputs[1] = -1 }, conv + "input 1 is absent"},
		{"other options", func(m *Model) { m.Operators[1].Options = AddOptions{} },
			conv + "options tflitefile.AddOptions: want tflitefile.Conv2DOptions"},
		{"a pointer to options", func(m *Model) { m.Operators[1].Options = &Conv2DOptions{} },
			conv + "options *tflitefile.Conv2DOptions: want tflitefile.Conv2DOptions"},
		{"no options", func(m *Model) { m.Operators[2].Options = nil },
			`operator 2 MAX_POOL_2D to "pool": options <nil>: want tflitefile.Pool2DOptions`},
		{"stride 0", func(m *Model) { convOptions(m, func(o *Conv2DOptions) { o.StrideH = 0 }) },
			conv + "stride 1x0: want 1x1 or more"},
		{"padding", func(m *Model) { convOptions(m, func(o *Conv2DOptions) { o.Padding = 2 }) },
			conv + "padding Padding(2): want SAME or VALID"},
		{"activation", func(m *Model) { convOptions(m, func(o *Conv2DOptions) { o.Activation = 6 }) },
			conv + "activation Activation(6): want one of the schema"},
		{"dilation", func(m *Model) { convOptions(m, func(o *Conv2DOptions) { o.DilationW = -1 }) },
			conv + "dilation -1x1: want 1x1 or more"},
		{"output shape", func(m *Model) { convOptions(m, func(o *Conv2DOptions) { o.StrideW = 2 }) },
			conv + "output of shape [1,6,6,4]: want [1,6,3,4]"},
		{"channels", func(m *Model) { m.Tensors[2].Shape = []int{4, 3, 9, 1} },
			conv + `input "image_int8" of shape [1,6,6,3], weights "conv/weights" of shape [4,3,9,1]: want NHWC and OHWI with the same channels`},
		{"bias shape", func(m *Model) { m.Tensors[3].Shape = []int{4, 1} },
			conv + `bias "conv/bias" of shape [4,1]: want [4]`},
		{"float bias", func(m *Model) { m.Tensors[3].Type, m.Tensors[3].Quant = Float32, nil },
			conv + `"conv/bias" of type FLOAT32: want INT32`},
		{"bias without quantization", func(m *Model) { m.Tensors[3].Quant = nil },
			conv + `bias "conv/bias" with 0 scales: want 4, as weights "conv/weights" have`},
		{"bias with one scale", func(m *Model) { m.Tensors[3].Quant = perTensor(1, 0) },
			conv + `bias "conv/bias" with 1 scales: want 4, as weights "conv/weights" have`},
		{"bias scale", func(m *Model) { m.Tensors[3].Quant.Scale[0] = 0.25 },
			conv + `bias "conv/bias" with scale 0.25 at 0: want 7.843137543429336e-05, input scale times weight scale`},
		{"weights of -128", func(m *Model) { m.Tensors[2].Data[5] = 0x80 },
			conv + `weights "conv/weights" hold -128 at 5: want values in [-127,127]`},
		{"weights' zero point", func(m *Model) { m.Tensors[2].Quant.ZeroPoint[3] = 1 },
			conv + `weights "conv/weights" with zero point 1 at 3: want 0`},
		{"weights' dimension", func(m *Model) {
			m.Tensors[12].Shape, m.Tensors[12].Quant.Dimension = []int{3, 6}, 1
			m.Tensors[12].Quant.Scale = make6(0.01)
			m.Tensors[12].Quant.ZeroPoint = make([]int64, 6)
		},
			fc + `weights "fc/weights" with quantized dimension 1: want 0`},
		{"float output", func(m *Model) { m.Operators[8].Code = OpSoftmax; m.Operators[8].Options = SoftmaxOptions{Beta: 1} },
			`operator 8 SOFTMAX to "logits": "logits" of type FLOAT32: want INT8`},
		{"inputs that the weights don't divide", func(m *Model) { m.Tensors[12].Shape = []int{2, 9}; m.Tensors[12].Quant = perTensor(1, 0) },
			fc + `input "mean" of shape [1,6], weights "fc/weights" of shape [2,9]: want weights [units,inputs]`},
		{"pool that changes the scale", func(m *Model) { m.Tensors[5].Quant = perTensor(0.06, -128) },
			`operator 2 MAX_POOL_2D to "pool": input "conv" has scales [0.05] and zero points [-128]: want those of the output, [0.06] and [-128]`},
		{"pool without filter", func(m *Model) { m.Operators[2].Options = Pool2DOptions{StrideW: 2, StrideH: 2, FilterWidth: 3} },
			`operator 2 MAX_POOL_2D to "pool": filter 3x0: want 1x1 or more`},
		{"concat of unlike scales", func(m *Model) { m.Tensors[8].Quant = perTensor(0.05, -127) },
			concat + `input "side" has scales [0.05] and zero points [-127]: want those of the output, [0.05] and [-128]`},
		{"concat activation", func(m *Model) { m.Operators[4].Options = ConcatenationOptions{Axis: 3, Activation: ActivationRelu} },
			concat + "activation RELU: want NONE"},
		{"concat axis", func(m *Model) { m.Operators[4].Options = ConcatenationOptions{Axis: 4} },
			concat + "axis 4: want one of shape [1,3,3,4]"},
		{"concat along another axis", func(m *Model) { m.Operators[4].Options = ConcatenationOptions{Axis: 0} },
			concat + `input "side" of shape [1,3,3,2]: want that of "pool", [1,3,3,4], but for axis 0`},
		{"mean's axes computed", func(m *Model) { m.Operators[5].Inputs[1] = 9 },
			`operator 5 MEAN to "mean": "concat" of type INT8: want an INT32 constant`},
		{"mean's axes outside", func(m *Model) { m.Tensors[10].Data = intData(1, 4) },
			`operator 5 MEAN to "mean": axes [1,4]: want different ones of shape [1,3,3,6]`},
		{"mean's axis twice", func(m *Model) { m.Tensors[10].Data = intData(1, -3) },
			`operator 5 MEAN to "mean": axes [1,-3]: want different ones of shape [1,3,3,6]`},
		{"softmax scale", func(m *Model) { m.Tensors[15].Quant = perTensor(1.0/255, -128) },
			`operator 7 SOFTMAX to "probabilities_int8": output scale 0.003921569 and zero point -128: want 1/256 and -128 for INT8`},
		{"softmax zero point", func(m *Model) { m.Tensors[15].Quant = perTensor(1.0/256, 0) },
			`operator 7 SOFTMAX to "probabilities_int8": output scale 0.00390625 and zero point 0: want 1/256 and -128 for INT8`},
		{"softmax beta", func(m *Model) { m.Operators[7].Options = SoftmaxOptions{} },
			`operator 7 SOFTMAX to "probabilities_int8": beta 0: want a positive one`},
		{"dequantize to int8", func(m *Model) { m.Tensors[16].Type, m.Tensors[16].Quant = Int8, perTensor(1, 0) },
			`operator 8 DEQUANTIZE to "logits": "logits" of type INT8: want FLOAT32`},
		{"quantize to another shape", func(m *Model) { m.Tensors[0].Shape = []int{1, 6, 3, 6} },
			`operator 0 QUANTIZE to "image_int8": output of shape [1,6,6,3]: want [1,6,3,6]`},
	})
}

func make6(v float32) []float32 { return []float32{v, v, v, v, v, v} }

func TestValidateFloatOperators(t *testing.T) {
	for _, test := range []struct {
		of     string // an operator case
		change func(*Model)
		want   string
	}{
		{"depthwise with two outputs a channel", func(m *Model) { m.Tensors[1].Shape = []int{2, 1, 1, 2} },
			`operator 0 DEPTHWISE_CONV_2D to "y": input "x" of shape [1,3,1,1], weights "w" of shape [2,1,1,2]: want NHWC and 1HWC with a multiple of the channels`},
		{"depthwise with two outputs a channel", func(m *Model) {
			m.Operators[0].Options = DepthwiseConv2DOptions{StrideW: 1, StrideH: 1, DepthMultiplier: 3}
		}, `operator 0 DEPTHWISE_CONV_2D to "y": depth multiplier 3: want 2`},
		{"fully connected keeping dimensions", func(m *Model) { m.Tensors[0].Shape = []int{1, 2, 4} },
			`operator 0 FULLY_CONNECTED to "y": input "x" of shape [1,2,4]: want a last dimension of 2`},
		{"reshape", func(m *Model) { m.Tensors[0].Shape = []int{5} },
			`operator 0 RESHAPE to "y": input "x" of shape [5]: want as many elements as the output's [1,4]`},
		{"reshape", func(m *Model) { m.Operators[0].Options = ReshapeOptions{NewShape: []int{-1, -1}} },
			`operator 0 RESHAPE to "y": new shape [-1,-1]: want the output's [1,4], one dimension may be -1`},
		{"reshape", func(m *Model) { m.Tensors[1].Data = intData(1, 4) },
			`operator 0 RESHAPE to "y": shape "shape" of [1,4]: want that of the options, [-1,4]`},
		{"pad", func(m *Model) { m.Tensors[1].Shape = []int{4} },
			`operator 0 PAD to "y": paddings "widths" of shape [4]: want [2,2]`},
		{"pad", func(m *Model) { m.Tensors[1].Data = intData(0, 1, -2, 4) },
			`operator 0 PAD to "y": paddings [0,1,-2,4]: want 0 or more each`},
		{"pad", func(m *Model) { m.Tensors[1].Data = intData(0, 0, 2, 0) },
			`operator 0 PAD to "y": output of shape [2,4]: want [1,4]`},
		{"pad with a value", func(m *Model) { m.Tensors[2].Shape, m.Tensors[2].Data = []int{2}, floatData(1, 2) },
			`operator 0 PADV2 to "y": value "value" of shape [2]: want one element`},
		{"sub", func(m *Model) { m.Tensors[0].Shape = []int{2, 3} },
			`operator 0 SUB to "y": inputs of shapes [2,3] and [1,2]: want dimensions that are equal or 1`},
		{"mul", func(m *Model) { m.Tensors[1] = ints("c", nil, 2) },
			`operator 0 MUL to "y": "c" of type INT32: want FLOAT32`},
		{"add with activation", func(m *Model) { m.Tensors[2].Shape = []int{3} },
			`operator 0 ADD to "y": output of shape [3]: want [1,3]`},
		{"local response normalization", func(m *Model) {
			m.Operators[0].Options = LocalResponseNormalizationOptions{Radius: -1}
		}, `operator 0 LOCAL_RESPONSE_NORMALIZATION to "y": radius -1: want 0 or more`},
		{"local response normalization", func(m *Model) { m.Tensors[0].Shape = []int{3} },
			`operator 0 LOCAL_RESPONSE_NORMALIZATION to "y": input "x" of shape [3]: want NHWC`},
		{"rsqrt", func(m *Model) { m.Operators[0].Options = PadOptions{} },
			`operator 0 RSQRT to "y": options tflitefile.PadOptions: want none`},
		{"max pool with unlike filter sides", func(m *Model) { m.Tensors[0].Shape = []int{1, 3, 2, 1} },
			`operator 0 MAX_POOL_2D to "y": output of shape [1,2,2,1]: want [1,2,0,1]`},
		{"average pool over the border", func(m *Model) { m.Tensors[0].Shape = []int{3, 3} },
			`operator 0 AVERAGE_POOL_2D to "y": input "x" of shape [3,3]: want NHWC`},
	} {
		cases := operatorCases()
		i := slices.IndexFunc(cases, func(c operatorCase) bool { return c.name == test.of })
		if i < 0 {
			t.Fatalf("no operator case %q", test.of)
		}
		wantInvalid(t, cases[i].model, []invalid{{test.of, test.change, test.want}})
	}
}

func TestValidateMetadata(t *testing.T) {
	wantInvalid(t, func() *Model { return newFloatNet().model }, []invalid{
		{"too few outputs", func(m *Model) { m.Metadata.Outputs = nil },
			"metadata of 1 input and 0 outputs: want the model's 1 and 1"},
		{"no name of the input", func(m *Model) { m.Metadata.Input.Name = "" },
			`metadata of input "": name is empty: its readers want one`},
		{"no name of the output", func(m *Model) { m.Metadata.Outputs[0].Name = "" },
			`metadata of output 0 "": name is empty: its readers want one`},
		{"another size", func(m *Model) { m.Metadata.Input.Image.Width = 9 },
			`metadata of input "image": image of RGB 9x8: want that of shape [1,8,8,3]`},
		{"another color space", func(m *Model) { m.Metadata.Input.Image.ColorSpace = Grayscale },
			`metadata of input "image": image of GRAYSCALE 8x8: want that of shape [1,8,8,3]`},
		{"no color space", func(m *Model) { m.Metadata.Input.Image.ColorSpace = UnknownColorSpace },
			`metadata of input "image": color space UNKNOWN: want RGB or GRAYSCALE`},
		{"float image without normalization", func(m *Model) { m.Metadata.Input.Normalization = nil },
			`metadata of input "image": normalization is absent: want one for an image of type FLOAT32`},
		{"two means", func(m *Model) { m.Metadata.Input.Normalization.Mean = []float32{1, 2} },
			`metadata of input "image": normalization of 2 means and 1 deviations: want 1 or 3 of each`},
		{"a deviation of 0", func(m *Model) { m.Metadata.Input.Normalization.Std[0] = 0 },
			`metadata of input "image": normalization by deviation 0 at 0: want a positive one`},
		{"statistics", func(m *Model) { m.Metadata.Input.Stats.Max = nil },
			`metadata of input "image": statistics of 1 least and 0 greatest values: want 1 or 3 of each`},
		{"no label file", func(m *Model) { m.Metadata.Files = nil },
			`metadata of output 0 "probabilities": read labels: want associated file "labels.txt", have 0 others`},
		{"too few labels", func(m *Model) { m.Metadata.Files[0].Data = []byte("a\nb\n") },
			`metadata of output 0 "probabilities": label file "labels.txt" has 2 lines: want 5, the last dimension of shape [1,5]`},
		{"labels in Latin-1", func(m *Model) { m.Metadata.Files[0].Data = []byte("a\nb\n\xe9\nd\ne") },
			`metadata of output 0 "probabilities": label file "labels.txt": line 3 is "\xe9": want UTF-8`},
		{"a file twice", func(m *Model) { m.Metadata.Files[1].Name = "labels.txt" },
			`associated file "labels.txt" occurs twice`},
		{"a file in a folder", func(m *Model) { m.Metadata.Files[1].Name = "../card" },
			`associated file "../card": want a name without folders`},
		{"many files", func(m *Model) { m.Metadata.Files = make([]AssociatedFile, 65) },
			"65 associated files: want at most 64"},
		{"large files", func(m *Model) { m.Metadata.Files[1].Data = make([]byte, maxFileBytes) },
			`associated files of 16777250 bytes up to "card.json": want at most 16777216`},
	})
}
