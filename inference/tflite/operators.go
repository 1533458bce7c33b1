package tflite

import "fmt"

// Codes of the schema's BuiltinOperator that sightd treats specially.
const (
	addCode            = 0
	concatenationCode  = 2
	convCode           = 3
	depthwiseCode      = 4
	dequantizeCode     = 6
	fullyConnectedCode = 9
	maxPoolCode        = 17
	mulCode            = 18
	reshapeCode        = 22
	softmaxCode        = 25
	spaceToDepthCode   = 26
	padCode            = 34
	meanCode           = 40
	delegateCode       = 51 // the node that a delegate made
	sqrtCode           = 75
	rsqrtCode          = 76
	quantizeCode       = 114
)

// operatorNames holds the schema's BuiltinOperator for the operators that image classifiers are made of.
var operatorNames = map[int]string{
	0:   "ADD",
	1:   "AVERAGE_POOL_2D",
	2:   "CONCATENATION",
	3:   "CONV_2D",
	4:   "DEPTHWISE_CONV_2D",
	5:   "DEPTH_TO_SPACE",
	6:   "DEQUANTIZE",
	8:   "FLOOR",
	9:   "FULLY_CONNECTED",
	11:  "L2_NORMALIZATION",
	12:  "L2_POOL_2D",
	13:  "LOCAL_RESPONSE_NORMALIZATION",
	14:  "LOGISTIC",
	17:  "MAX_POOL_2D",
	18:  "MUL",
	19:  "RELU",
	20:  "RELU_N1_TO_1",
	21:  "RELU6",
	22:  "RESHAPE",
	23:  "RESIZE_BILINEAR",
	25:  "SOFTMAX",
	26:  "SPACE_TO_DEPTH",
	28:  "TANH",
	32:  "CUSTOM",
	34:  "PAD",
	36:  "GATHER",
	37:  "BATCH_TO_SPACE_ND",
	38:  "SPACE_TO_BATCH_ND",
	39:  "TRANSPOSE",
	40:  "MEAN",
	41:  "SUB",
	42:  "DIV",
	43:  "SQUEEZE",
	45:  "STRIDED_SLICE",
	47:  "EXP",
	48:  "TOPK_V2",
	49:  "SPLIT",
	50:  "LOG_SOFTMAX",
	51:  "DELEGATE",
	53:  "CAST",
	54:  "PRELU",
	55:  "MAXIMUM",
	56:  "ARG_MAX",
	57:  "MINIMUM",
	59:  "NEG",
	60:  "PADV2",
	65:  "SLICE",
	67:  "TRANSPOSE_CONV",
	69:  "TILE",
	70:  "EXPAND_DIMS",
	73:  "LOG",
	74:  "SUM",
	75:  "SQRT",
	76:  "RSQRT",
	77:  "SHAPE",
	78:  "POW",
	80:  "FAKE_QUANT",
	82:  "REDUCE_MAX",
	83:  "PACK",
	88:  "UNPACK",
	89:  "REDUCE_MIN",
	92:  "SQUARE",
	94:  "FILL",
	97:  "RESIZE_NEAREST_NEIGHBOR",
	98:  "LEAKY_RELU",
	99:  "SQUARED_DIFFERENCE",
	100: "MIRROR_PAD",
	101: "ABS",
	102: "SPLIT_V",
	104: "CEIL",
	106: "ADD_N",
	111: "ELU",
	114: "QUANTIZE",
	116: "ROUND",
	117: "HARD_SWISH",
	118: "IF",
	119: "WHILE",
	123: "SELECT_V2",
	124: "DENSIFY",
	126: "BATCH_MATMUL",
	128: "CUMSUM",
	129: "CALL_ONCE",
	130: "BROADCAST_TO",
	145: "BROADCAST_ARGS",
	150: "GELU",
	152: "RELU_0_TO_1",
}

// name gives the operator's name as the schema has it; a custom operator has that of its own.
func (n node) name() string {
	if n.custom != "" {
		return n.custom
	}
	if name, ok := operatorNames[n.code]; ok {
		return name
	}
	return fmt.Sprintf("operator %d", n.code)
}
