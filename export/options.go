package export

// Precision is the type of a network's weights and activations.
type Precision string

// The precisions that can be written.
const (
	PrecisionInt8    Precision = "int8"
	PrecisionFloat16 Precision = "float16" // weights; activations are float32
	PrecisionFloat32 Precision = "float32"
)
