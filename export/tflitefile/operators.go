package tflitefile

import "fmt"

// BuiltinOperator is an operator's number in the schema of the file.
type BuiltinOperator int32

// The operators that this package writes, and OpCustom, which it only reads.
const (
	OpAdd                        BuiltinOperator = 0
	OpAveragePool2D              BuiltinOperator = 1
	OpConcatenation              BuiltinOperator = 2
	OpConv2D                     BuiltinOperator = 3
	OpDepthwiseConv2D            BuiltinOperator = 4
	OpDequantize                 BuiltinOperator = 6
	OpFullyConnected             BuiltinOperator = 9
	OpLocalResponseNormalization BuiltinOperator = 13
	OpMaxPool2D                  BuiltinOperator = 17
	OpMul                        BuiltinOperator = 18
	OpReshape                    BuiltinOperator = 22
	OpSoftmax                    BuiltinOperator = 25
	OpSpaceToDepth               BuiltinOperator = 26
	OpCustom                     BuiltinOperator = 32
	OpPad                        BuiltinOperator = 34
	OpMean                       BuiltinOperator = 40
	OpSub                        BuiltinOperator = 41
	OpPadV2                      BuiltinOperator = 60
	OpSqrt                       BuiltinOperator = 75
	OpRsqrt                      BuiltinOperator = 76
	OpQuantize                   BuiltinOperator = 114
)

// String gives the operator's name in the schema, like CONV_2D; BuiltinOperator(n) for one unknown here.
func (c BuiltinOperator) String() string {
	if c >= 0 && int(c) < len(operatorNames) {
		return operatorNames[c]
	}
	return fmt.Sprintf("BuiltinOperator(%d)", int32(c))
}

// OperatorVersion is the version that the operator at index i is written with: its Version, or where that is 0 the
// lowest one that covers its tensors:
//
//	operator                          float  int8   else
//	CONV_2D, DEPTHWISE_CONV_2D        1      3      DEPTHWISE_CONV_2D with dilation, not int8: 2
//	FULLY_CONNECTED                   1      4      5 with KeepNumDims, 6 with two inputs, float with INT8 weights: 3, or 9 with
//	                                                AsymmetricQuantizeInputs
//	MUL                               1      2      3 if the scales' in1*in2/out is 1 or more
//	PAD, PADV2                        1      2      4 above rank 4
//	DEQUANTIZE                        -      2      uint8: 1, float16: 3
//	the pools, CONCATENATION, MEAN,
//	SOFTMAX, ADD, SUB, RSQRT,
//	SPACE_TO_DEPTH                    1      2      -
//	RESHAPE, QUANTIZE, L.R.N.         1      1      -
//	SQRT                              1      -      -
//
// The type that decides is that of input 0. UINT8 counts as float. The numbers are those that TensorFlow's converter
// gives (tensorflow/lite/tools/versioning/op_version.cc). Without a tensor as input 0 it is 1.
func (m *Model) OperatorVersion(i int) int {
	op := m.Operators[i]
	if op.Version != 0 {
		return op.Version
	}
	x := m.tensorAt(op.Inputs, 0)
	if x == nil {
		return 1
	}
	version := 1
	if x.Type == Int8 {
		version = 2
	}
	switch op.Code {
	case OpConv2D, OpDepthwiseConv2D:
		return convolutionVersion(x, op.Options)
	case OpFullyConnected:
		options, _ := op.Options.(FullyConnectedOptions) // other options: as if none were set
		w := m.tensorAt(op.Inputs, 1)
		switch {
		case options.AsymmetricQuantizeInputs:
			return 9
		case len(op.Inputs) == 2:
			return 6
		case options.KeepNumDims:
			return 5
		case x.Type == Int8:
			return 4
		case w != nil && w.Type == Int8:
			return 3
		}
	case OpMul:
		if m.mulRescalesUp(op) {
			return 3
		}
	case OpPad, OpPadV2:
		if len(x.Shape) > 4 {
			return 4
		}
	case OpDequantize:
		if x.Type == Float16 {
			return 3
		}
	case OpReshape, OpQuantize, OpLocalResponseNormalization:
		return 1
	}
	return version
}

// tensorAt gives the tensor that is number i in a list of indices, nil if there is none.
func (m *Model) tensorAt(list []int, i int) *Tensor {
	if i >= len(list) || list[i] < 0 || list[i] >= len(m.Tensors) {
		return nil
	}
	return &m.Tensors[list[i]]
}

func convolutionVersion(x *Tensor, options Options) int {
	if x.Type == Int8 {
		return 3
	}
	if o, ok := options.(DepthwiseConv2DOptions); ok && (o.DilationW > 1 || o.DilationH > 1) {
		return 2
	}
	return 1
}

// mulRescalesUp tells whether a quantized MUL's result has to be multiplied by 1 or more to get to the output's scale.
func (m *Model) mulRescalesUp(op Operator) bool {
	var scales [3]float64
	for i, t := range []*Tensor{m.tensorAt(op.Inputs, 0), m.tensorAt(op.Inputs, 1), m.tensorAt(op.Outputs, 0)} {
		if t == nil || t.Quant == nil || len(t.Quant.Scale) != 1 {
			return false
		}
		scales[i] = float64(t.Quant.Scale[0])
	}
	return scales[0]*scales[1]/scales[2] >= 1
}

// operatorNames are the names in the schema, by number.
var operatorNames = [...]string{
	"ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE",
	"EMBEDDING_LOOKUP", "FLOOR", "FULLY_CONNECTED", "HASHTABLE_LOOKUP", "L2_NORMALIZATION", "L2_POOL_2D",
	"LOCAL_RESPONSE_NORMALIZATION", "LOGISTIC", "LSH_PROJECTION", "LSTM", "MAX_POOL_2D", "MUL", "RELU", "RELU_N1_TO_1",
	"RELU6", "RESHAPE", "RESIZE_BILINEAR", "RNN", "SOFTMAX", "SPACE_TO_DEPTH", "SVDF", "TANH", "CONCAT_EMBEDDINGS",
	"SKIP_GRAM", "CALL", "CUSTOM", "EMBEDDING_LOOKUP_SPARSE", "PAD", "UNIDIRECTIONAL_SEQUENCE_RNN", "GATHER",
	"BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "TRANSPOSE", "MEAN", "SUB", "DIV", "SQUEEZE",
	"UNIDIRECTIONAL_SEQUENCE_LSTM", "STRIDED_SLICE", "BIDIRECTIONAL_SEQUENCE_RNN", "EXP", "TOPK_V2", "SPLIT",
	"LOG_SOFTMAX", "DELEGATE", "BIDIRECTIONAL_SEQUENCE_LSTM", "CAST", "PRELU", "MAXIMUM", "ARG_MAX", "MINIMUM", "LESS",
	"NEG", "PADV2", "GREATER", "GREATER_EQUAL", "LESS_EQUAL", "SELECT", "SLICE", "SIN", "TRANSPOSE_CONV",
	"SPARSE_TO_DENSE", "TILE", "EXPAND_DIMS", "EQUAL", "NOT_EQUAL", "LOG", "SUM", "SQRT", "RSQRT", "SHAPE", "POW",
	"ARG_MIN", "FAKE_QUANT", "REDUCE_PROD", "REDUCE_MAX", "PACK", "LOGICAL_OR", "ONE_HOT", "LOGICAL_AND", "LOGICAL_NOT",
	"UNPACK", "REDUCE_MIN", "FLOOR_DIV", "REDUCE_ANY", "SQUARE", "ZEROS_LIKE", "FILL", "FLOOR_MOD", "RANGE",
	"RESIZE_NEAREST_NEIGHBOR", "LEAKY_RELU", "SQUARED_DIFFERENCE", "MIRROR_PAD", "ABS", "SPLIT_V", "UNIQUE", "CEIL",
	"REVERSE_V2", "ADD_N", "GATHER_ND", "COS", "WHERE", "RANK", "ELU", "REVERSE_SEQUENCE", "MATRIX_DIAG", "QUANTIZE",
	"MATRIX_SET_DIAG", "ROUND", "HARD_SWISH", "IF", "WHILE", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5",
	"SCATTER_ND", "SELECT_V2", "DENSIFY", "SEGMENT_SUM", "BATCH_MATMUL", "PLACEHOLDER_FOR_GREATER_OP_CODES", "CUMSUM",
	"CALL_ONCE", "BROADCAST_TO", "RFFT2D", "CONV_3D", "IMAG", "REAL", "COMPLEX_ABS", "HASHTABLE", "HASHTABLE_FIND",
	"HASHTABLE_IMPORT", "HASHTABLE_SIZE", "REDUCE_ALL", "CONV_3D_TRANSPOSE", "VAR_HANDLE", "READ_VARIABLE",
	"ASSIGN_VARIABLE", "BROADCAST_ARGS", "RANDOM_STANDARD_NORMAL", "BUCKETIZE", "RANDOM_UNIFORM", "MULTINOMIAL", "GELU",
	"DYNAMIC_UPDATE_SLICE", "RELU_0_TO_1", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_SUM",
	"ATAN2", "UNSORTED_SEGMENT_MIN", "SIGN", "BITCAST", "BITWISE_XOR", "RIGHT_SHIFT",
}
