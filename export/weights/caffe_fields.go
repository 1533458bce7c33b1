package weights

// A layerFormat says which fields of a layer's message hold what. The numbers are those of caffe.proto.
type layerFormat struct {
	name, kind, bottom, top, blobs uint64
	enum                           bool // the type is a number, not text

	parameters map[uint64]*parameterTable
}

// layerFormats are the two formats of a layer, by the field of the NetParameter that holds them: "layers", a
// V1LayerParameter, until 2015, and "layer", a LayerParameter, since. The format before them (V0LayerParameter) is older than
// GoogLeNet and not read.
var layerFormats = map[uint64]*layerFormat{
	2: {
		bottom: 2, top: 3, name: 4, kind: 5, blobs: 6, enum: true,
		parameters: map[uint64]*parameterTable{
			9:  concatParameters,
			10: convolutionParameters,
			17: innerProductParameters,
			18: lrnParameters,
			19: poolingParameters,
			30: reluParameters,
		},
	},
	100: {
		name: 1, kind: 2, bottom: 3, top: 4, blobs: 7,
		parameters: map[uint64]*parameterTable{
			104: concatParameters,
			106: convolutionParameters,
			117: innerProductParameters,
			118: lrnParameters,
			121: poolingParameters,
			123: reluParameters,
		},
	},
}

// v1Types are the names of the layer types that the first format numbers.
var v1Types = [...]string{
	"", "Accuracy", "BNLL", "Concat", "Convolution",
	"Data", "Dropout", "EuclideanLoss", "Flatten", "HDF5Data",
	"HDF5Output", "Im2col", "ImageData", "InfogainLoss", "InnerProduct",
	"LRN", "MultinomialLogisticLoss", "Pooling", "ReLU", "Sigmoid",
	"Softmax", "SoftmaxWithLoss", "Split", "TanH", "WindowData",
	"Eltwise", "Power", "SigmoidCrossEntropyLoss", "HingeLoss", "MemoryData",
	"ArgMax", "Threshold", "DummyData", "Slice", "MVN",
	"AbsVal", "Silence", "ContrastiveLoss", "Exp", "Deconvolution",
}

// A parameterTable names the fields of a message of parameters that are kept.
type parameterTable struct {
	message string
	names   map[uint64]string
}

var (
	concatParameters = &parameterTable{"concat_param", map[uint64]string{
		1: "concat_dim", 2: "axis",
	}}
	convolutionParameters = &parameterTable{"convolution_param", map[uint64]string{
		1: "num_output", 2: "bias_term", 3: "pad", 4: "kernel_size", 5: "group", 6: "stride",
		9: "pad_h", 10: "pad_w", 11: "kernel_h", 12: "kernel_w", 13: "stride_h", 14: "stride_w",
		16: "axis", 18: "dilation",
	}}
	innerProductParameters = &parameterTable{"inner_product_param", map[uint64]string{
		1: "num_output", 2: "bias_term", 5: "axis", 6: "transpose",
	}}
	lrnParameters = &parameterTable{"lrn_param", map[uint64]string{
		1: "local_size", 2: "alpha", 3: "beta", 4: "norm_region", 5: "k",
	}}
	poolingParameters = &parameterTable{"pooling_param", map[uint64]string{
		1: "pool", 2: "kernel_size", 3: "stride", 4: "pad", 5: "kernel_h", 6: "kernel_w", 7: "stride_h", 8: "stride_w",
		9: "pad_h", 10: "pad_w", 12: "global_pooling", 13: "round_mode",
	}}
	reluParameters = &parameterTable{"relu_param", map[uint64]string{
		1: "negative_slope",
	}}
)

// sides are the lists that may have one value for the height and one for the width, with what the names of these begin with.
var sides = map[string]string{
	"convolution_param.pad":         "convolution_param.pad",
	"convolution_param.kernel_size": "convolution_param.kernel",
	"convolution_param.stride":      "convolution_param.stride",
	"convolution_param.dilation":    "convolution_param.dilation",
}
