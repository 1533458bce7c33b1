package tflitefile

// The two schemas' fixed values.
const (
	modelIdentifier    = "TFL3"
	modelVersionNumber = 3

	metadataIdentifier    = "M001"
	metadataParserVersion = "1.0.0" // the oldest reader of every field that is written

	subgraphName = "main"
	signatureKey = "serving_default"

	// Names of entries in Model.metadata.
	metadataEntry   = "TFLITE_METADATA"
	minRuntimeEntry = "min_runtime_version"
	minRuntimeSize  = 16 // bytes of that entry's buffer

	// placeholderCode stands in the one-byte field deprecated_builtin_code for operators above it.
	placeholderCode = 127

	// bufferAlignment is that of constant data, from the file's start.
	bufferAlignment = 16
)

// Slots of the model's tables: the fields in the schema's order. The last constant of each block is the number of
// slots to write; fields after it, and those named _, are never written.
const (
	slotModelVersion = iota
	slotModelOperatorCodes
	slotModelSubgraphs
	slotModelDescription
	slotModelBuffers
	_ // metadata_buffer
	slotModelMetadata
	slotModelSignatureDefs
	numModelSlots
)

const (
	slotOperatorCodeDeprecated = iota
	slotOperatorCodeCustom
	slotOperatorCodeVersion
	slotOperatorCodeBuiltin
	numOperatorCodeSlots
)

const (
	slotSubgraphTensors = iota
	slotSubgraphInputs
	slotSubgraphOutputs
	slotSubgraphOperators
	slotSubgraphName
	numSubgraphSlots
)

const (
	slotTensorShape = iota
	slotTensorType
	slotTensorBuffer
	slotTensorName
	slotTensorQuantization
	_ // is_variable
	_ // sparsity
	_ // shape_signature
	slotTensorHasRank
	numTensorSlots
)

const (
	_ = iota // min
	_        // max
	slotQuantizationScale
	slotQuantizationZeroPoint
	_ // details_type
	_ // details
	slotQuantizationDimension
	numQuantizationSlots
)

const (
	slotBufferData = iota
	numBufferSlots
	slotBufferOffset = numBufferSlots // of data after the flatbuffer, in files of more than 2 GB: only read
)

const (
	slotOperatorCodeIndex = iota
	slotOperatorInputs
	slotOperatorOutputs
	slotOperatorOptionsType
	slotOperatorOptions
	numOperatorSlots
)

const (
	slotEntryName = iota
	slotEntryBuffer
	numEntrySlots
)

const (
	slotSignatureInputs = iota
	slotSignatureOutputs
	slotSignatureKey
	_ // deprecated_tag
	slotSignatureSubgraph
	numSignatureSlots
)

const (
	slotTensorMapName = iota
	slotTensorMapIndex
	numTensorMapSlots
)

// Slots of the metadata's tables.
const (
	slotMetadataName = iota
	slotMetadataDescription
	slotMetadataVersion
	slotMetadataSubgraphs
	slotMetadataAuthor
	slotMetadataLicense
	slotMetadataFiles
	slotMetadataMinParserVersion
	numMetadataSlots
)

const (
	_ = iota // name
	_        // description
	slotSubgraphMetadataInputs
	slotSubgraphMetadataOutputs
	numSubgraphMetadataSlots
)

const (
	slotTensorMetadataName = iota
	slotTensorMetadataDescription
	_ // dimension_names
	slotTensorMetadataContent
	slotTensorMetadataProcessUnits
	slotTensorMetadataStats
	slotTensorMetadataFiles
	numTensorMetadataSlots
)

const (
	slotContentType = iota
	slotContentProperties
	numContentSlots
)

const (
	slotImageColorSpace = iota
	slotImageSize
	numImageSlots
)

const (
	slotImageSizeWidth = iota
	slotImageSizeHeight
	numImageSizeSlots
)

const (
	slotProcessUnitType = iota
	slotProcessUnitOptions
	numProcessUnitSlots
)

const (
	slotNormalizationMean = iota
	slotNormalizationStd
	numNormalizationSlots
)

const (
	slotStatsMax = iota // before min in the schema
	slotStatsMin
	numStatsSlots
)

const (
	slotFileName = iota
	_            // description
	slotFileType
	numFileSlots
)

// Enumeration values of the metadata schema.
const (
	contentFeature = 1 // ContentProperties
	contentImage   = 2

	processNormalization = 1 // ProcessUnitOptions

	colorSpaceUnknown   = 0 // ColorSpaceType
	colorSpaceRGB       = 1
	colorSpaceGrayscale = 2

	fileUnknown    = 0 // AssociatedFileType
	fileAxisLabels = 2
)
