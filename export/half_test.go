package export

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"sightd/export/graph"
	"sightd/export/tflitefile"
	"sightd/inference"
)

// widen gives the number that half-precision bits stand for (IEEE 754-2008, 3.4).
func widen(h uint16) float64 {
	sign := 1 - 2*float64(h>>15)
	exponent, fraction := int(h>>10&31), float64(h&1023)
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// TestFloat16 turns every half-precision number there and back, and rounds numbers between each and the next one.
func TestFloat16(t *testing.T) {
	for bits := range 1 << 16 {
		h := uint16(bits)
		v := widen(h)
		if math.IsNaN(v) {
			if have := float16(float32(v)); !math.IsNaN(widen(have)) {
				t.Fatalf("NaN became %#04x", have)
			}
			continue
		}
		if have := float16(float32(v)); have != h {
			t.Fatalf("%g is %#04x, became %#04x", v, h, have)
		}
		if next := widen(h + 1); h&0x7fff < 0x7bff {
			for part, want := range map[float64]uint16{0.25: h, 0.499: h, 0.501: h + 1, 0.75: h + 1, 0.5: h + h&1} {
				if have := float16(float32(v + part*(next-v))); have != want {
					t.Fatalf("%g of the way from %g to %g became %#04x, want %#04x", part, v, next, have, want)
				}
			}
		}
	}
	for _, test := range []struct {
		v    float64
		want uint16
	}{
		{0, 0}, {math.Copysign(0, -1), 0x8000}, {1, 0x3c00}, {-2, 0xc000}, {65504, 0x7bff},
		{65519.99, 0x7bff}, {65520, 0x7c00}, {-65520, 0xfc00}, {1e30, 0x7c00}, {math.Inf(1), 0x7c00}, {math.Inf(-1), 0xfc00},
		{0x1p-14, 0x0400}, {0x1p-24, 0x0001}, {0x1p-25, 0}, {0x1.000002p-25, 1}, {0x1.8p-24, 2}, {0x1p-149, 0}, {-0x1p-149, 0x8000},
		{0x1.ff8p-15, 0x3ff}, {0x1.ffcp-15, 0x400}, {0x1.ffep-15, 0x400}, {0x1.ffep0, 0x4000}, {0x1.ffdp0, 0x3fff}, {0x1.002p0, 0x3c00}, {0x1.006p0, 0x3c02},
	} {
		if have := float16(float32(test.v)); have != test.want {
			t.Errorf("%g became %#04x, want %#04x", test.v, have, test.want)
		}
	}
}

// TestHalves reads the weights of a float16 file back.
func TestHalves(t *testing.T) {
	g := smallNet(graph.Torchvision, 7)
	m, err := write(g, form{half: true, input: inference.Float32})
	if err != nil {
		t.Fatal(err)
	}
	op := g.Op("inception_3a/5x5")
	i := slices.IndexFunc(m.Tensors, func(x tflitefile.Tensor) bool {
		return x.Type == tflitefile.Float16 && strings.HasPrefix(x.Name, op.Name+"/weights")
	})
	if i < 0 || !slices.Equal(m.Tensors[i].Shape, []int{8, 5, 5, 4}) || len(m.Tensors[i].Data) != 2*len(op.Weights) {
		t.Fatalf("the weights of %s are not there as FLOAT16", op.Name)
	}
	for j, w := range op.Weights {
		have := widen(binary.LittleEndian.Uint16(m.Tensors[i].Data[2*j:]))
		if d := math.Abs(have - float64(w)); d > 0x1p-11*math.Abs(float64(w))+0x1p-25 {
			t.Fatalf("weight %d is %g, want %g", j, have, w)
		}
	}
}
