package tflitefile

import (
	"cmp"

	flatbuffers "github.com/google/flatbuffers/go"
)

// The tables of the union BuiltinOptions: each type is written by its slots, and read back by the same ones.

func (o Conv2DOptions) write(b builder) flatbuffers.UOffsetT {
	b.StartObject(6)
	b.PrependInt8Slot(0, int8(o.Padding), 0)
	b.PrependInt32Slot(1, int32(o.StrideW), 0)
	b.PrependInt32Slot(2, int32(o.StrideH), 0)
	b.PrependInt8Slot(3, int8(o.Activation), 0)
	b.PrependInt32Slot(4, int32(max(o.DilationW, 1)), 1)
	b.PrependInt32Slot(5, int32(max(o.DilationH, 1)), 1)
	return b.EndObject()
}

func readConv2DOptions(t table) Conv2DOptions {
	return Conv2DOptions{
		Padding:    Padding(t.int8(0)),
		StrideW:    t.int32(1, 0),
		StrideH:    t.int32(2, 0),
		Activation: Activation(t.int8(3)),
		DilationW:  cmp.Or(t.int32(4, 1), 1),
		DilationH:  cmp.Or(t.int32(5, 1), 1),
	}
}

func (o DepthwiseConv2DOptions) write(b builder) flatbuffers.UOffsetT {
	b.StartObject(7)
	b.PrependInt8Slot(0, int8(o.Padding), 0)
	b.PrependInt32Slot(1, int32(o.StrideW), 0)
	b.PrependInt32Slot(2, int32(o.StrideH), 0)
	b.PrependInt32Slot(3, int32(o.DepthMultiplier), 0)
	b.PrependInt8Slot(4, int8(o.Activation), 0)
	b.PrependInt32Slot(5, int32(max(o.DilationW, 1)), 1)
	b.PrependInt32Slot(6, int32(max(o.DilationH, 1)), 1)
	return b.EndObject()
}

func readDepthwiseConv2DOptions(t table) DepthwiseConv2DOptions {
	return DepthwiseConv2DOptions{
		Padding:         Padding(t.int8(0)),
		StrideW:         t.int32(1, 0),
		StrideH:         t.int32(2, 0),
		DepthMultiplier: t.int32(3, 0),
		Activation:      Activation(t.int8(4)),
		DilationW:       cmp.Or(t.int32(5, 1), 1),
		DilationH:       cmp.Or(t.int32(6, 1), 1),
	}
}

func (o Pool2DOptions) write(b builder) flatbuffers.UOffsetT {
	b.StartObject(6)
	b.PrependInt8Slot(0, int8(o.Padding), 0)
	b.PrependInt32Slot(1, int32(o.StrideW), 0)
	b.PrependInt32Slot(2, int32(o.StrideH), 0)
	b.PrependInt32Slot(3, int32(o.FilterWidth), 0)
	b.PrependInt32Slot(4, int32(o.FilterHeight), 0)
	b.PrependInt8Slot(5, int8(o.Activation), 0)
	return b.EndObject()
}

func readPool2DOptions(t table) Pool2DOptions {
	return Pool2DOptions{
		Padding:      Padding(t.int8(0)),
		StrideW:      t.int32(1, 0),
		StrideH:      t.int32(2, 0),
		FilterWidth:  t.int32(3, 0),
		FilterHeight: t.int32(4, 0),
		Activation:   Activation(t.int8(5)),
	}
}

func (o ConcatenationOptions) write(b builder) flatbuffers.UOffsetT {
	b.StartObject(2)
	b.PrependInt32Slot(0, int32(o.Axis), 0)
	b.PrependInt8Slot(1, int8(o.Activation), 0)
	return b.EndObject()
}

func readConcatenationOptions(t table) ConcatenationOptions {
	return ConcatenationOptions{Axis: t.int32(0, 0), Activation: Activation(t.int8(1))}
}

// Slot 1 is weights_format, always the default one.
func (o FullyConnectedOptions) write(b builder) flatbuffers.UOffsetT {
	b.StartObject(4)
	b.PrependInt8Slot(0, int8(o.Activation), 0)
	b.PrependBoolSlot(2, o.KeepNumDims, false)
	b.PrependBoolSlot(3, o.AsymmetricQuantizeInputs, false)
	return b.EndObject()
}

func readFullyConnectedOptions(t table) FullyConnectedOptions {
	return FullyConnectedOptions{
		Activation:               Activation(t.int8(0)),
		KeepNumDims:              t.int8(2) != 0,
		AsymmetricQuantizeInputs: t.int8(3) != 0,
	}
}

func (o SoftmaxOptions) write(b builder) flatbuffers.UOffsetT {
	b.StartObject(1)
	b.PrependFloat32Slot(0, o.Beta, 0)
	return b.EndObject()
}

func readSoftmaxOptions(t table) SoftmaxOptions { return SoftmaxOptions{Beta: t.float32(0)} }

func (o ReducerOptions) write(b builder) flatbuffers.UOffsetT {
	b.StartObject(1)
	b.PrependBoolSlot(0, o.KeepDims, false)
	return b.EndObject()
}

func readReducerOptions(t table) ReducerOptions { return ReducerOptions{KeepDims: t.int8(0) != 0} }

func (o ReshapeOptions) write(b builder) flatbuffers.UOffsetT {
	shape := b.ints(o.NewShape)
	b.StartObject(1)
	b.PrependUOffsetTSlot(0, shape, 0)
	return b.EndObject()
}

func readReshapeOptions(t table) ReshapeOptions { return ReshapeOptions{NewShape: t.ints(0)} }

func (o LocalResponseNormalizationOptions) write(b builder) flatbuffers.UOffsetT {
	b.StartObject(4)
	b.PrependInt32Slot(0, int32(o.Radius), 0)
	b.PrependFloat32Slot(1, o.Bias, 0)
	b.PrependFloat32Slot(2, o.Alpha, 0)
	b.PrependFloat32Slot(3, o.Beta, 0)
	return b.EndObject()
}

func readLocalResponseNormalizationOptions(t table) LocalResponseNormalizationOptions {
	return LocalResponseNormalizationOptions{
		Radius: t.int32(0, 0),
		Bias:   t.float32(1),
		Alpha:  t.float32(2),
		Beta:   t.float32(3),
	}
}

// Slot 1 of AddOptions and SubOptions is pot_scale_int16, which concerns INT16 alone.
func (o AddOptions) write(b builder) flatbuffers.UOffsetT { return b.activation(o.Activation) }

func (o SubOptions) write(b builder) flatbuffers.UOffsetT { return b.activation(o.Activation) }

func (o MulOptions) write(b builder) flatbuffers.UOffsetT { return b.activation(o.Activation) }

// activation is a table with a fused activation function as slot 0.
func (b builder) activation(a Activation) flatbuffers.UOffsetT {
	b.StartObject(1)
	b.PrependInt8Slot(0, int8(a), 0)
	return b.EndObject()
}

func (o SpaceToDepthOptions) write(b builder) flatbuffers.UOffsetT {
	b.StartObject(1)
	b.PrependInt32Slot(0, int32(o.BlockSize), 0)
	return b.EndObject()
}

func (PadOptions) write(b builder) flatbuffers.UOffsetT { return b.empty() }

func (PadV2Options) write(b builder) flatbuffers.UOffsetT { return b.empty() }

func (QuantizeOptions) write(b builder) flatbuffers.UOffsetT { return b.empty() }

func (DequantizeOptions) write(b builder) flatbuffers.UOffsetT { return b.empty() }

func (b builder) empty() flatbuffers.UOffsetT {
	b.StartObject(0)
	return b.EndObject()
}

// readOptions reads the table t as the type with that number in the union; nil if it is not one of this package's.
func readOptions(union byte, t table) Options {
	switch union {
	case unionConv2D:
		return readConv2DOptions(t)
	case unionDepthwiseConv2D:
		return readDepthwiseConv2DOptions(t)
	case unionPool2D:
		return readPool2DOptions(t)
	case unionConcatenation:
		return readConcatenationOptions(t)
	case unionFullyConnected:
		return readFullyConnectedOptions(t)
	case unionSoftmax:
		return readSoftmaxOptions(t)
	case unionReducer:
		return readReducerOptions(t)
	case unionReshape:
		return readReshapeOptions(t)
	case unionLocalResponseNormalization:
		return readLocalResponseNormalizationOptions(t)
	case unionAdd:
		return AddOptions{Activation: Activation(t.int8(0))}
	case unionSub:
		return SubOptions{Activation: Activation(t.int8(0))}
	case unionMul:
		return MulOptions{Activation: Activation(t.int8(0))}
	case unionSpaceToDepth:
		return SpaceToDepthOptions{BlockSize: t.int32(0, 0)}
	case unionPad:
		return PadOptions{}
	case unionPadV2:
		return PadV2Options{}
	case unionQuantize:
		return QuantizeOptions{}
	case unionDequantize:
		return DequantizeOptions{}
	}
	return nil
}
