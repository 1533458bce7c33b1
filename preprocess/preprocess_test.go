package preprocess_test

import (
	"encoding/binary"
	"fmt"
	"image"
	"math"
	"testing"

	"gocv.io/x/gocv"

	"sightd/camera"
	"sightd/inference"
	"sightd/preprocess"
)

// frame draws a picture, by a function that gives the pixel as red, green, blue.
func frame(t testing.TB, width, height int, draw func(x, y int) [3]uint8) camera.Frame {
	t.Helper()
	mat := gocv.NewMatWithSize(height, width, gocv.MatTypeCV8UC3)
	t.Cleanup(func() { mat.Close() })
	bgr, err := mat.DataPtrUint8()
	if err != nil {
		t.Fatal(err)
	}
	for y := range height {
		for x := range width {
			rgb := draw(x, y)
			copy(bgr[3*(y*width+x):], []uint8{rgb[2], rgb[1], rgb[0]})
		}
	}
	return camera.Frame{Mat: mat}
}

// texture has no two pixels alike near each other.
func texture(x, y int) [3]uint8 {
	return [3]uint8{uint8(x*7 + y*13), uint8(x*x + 3*y), uint8(255 - x*5 + y*y)}
}

func apply(t testing.TB, in preprocess.Input, r preprocess.Resize, f camera.Frame) []byte {
	t.Helper()
	transform, err := preprocess.New(in, r)
	if err != nil {
		t.Fatal(err)
	}
	defer transform.Close()
	dst := make([]byte, in.Width*in.Height*3*in.Type.Size())
	if err := transform.Apply(dst, f); err != nil {
		t.Fatal(err)
	}
	return dst
}

func uint8Input(width, height int) preprocess.Input {
	return preprocess.Input{Width: width, Height: height, Type: inference.UInt8}
}

// wantPixels compares a tensor with a function of its pixels, to within a step, which is what builds of OpenCV for
// different processors differ by.
func wantPixels(t *testing.T, got []byte, width int, want func(x, y, c int) float64) {
	t.Helper()
	wrong := 0
	for i, p := range got {
		x, y, c := i/3%width, i/3/width, i%3
		if w := want(x, y, c); math.Abs(float64(p)-w) > 1 {
			if wrong++; wrong <= 5 {
				t.Errorf("pixel %d,%d channel %d is %d, want %.2f", x, y, c, p, w)
			}
		}
	}
	if wrong > 5 {
		t.Errorf("%d values in all", wrong)
	}
}

// boxMean is what INTER_AREA should make of texture, for whole factors.
func boxMean(x0, y0, fx, fy int) func(x, y, c int) float64 {
	return func(x, y, c int) float64 {
		sum := 0
		for dy := range fy {
			for dx := range fx {
				sum += int(texture(x0+x*fx+dx, y0+y*fy+dy)[c])
			}
		}
		return float64(sum) / float64(fx*fy)
	}
}

func TestSquashShrinks(t *testing.T) {
	for _, factors := range [][2]int{{1, 1}, {2, 2}, {3, 5}, {4, 1}} {
		fx, fy := factors[0], factors[1]
		t.Run(fmt.Sprintf("%dx%d", fx, fy), func(t *testing.T) {
			got := apply(t, uint8Input(32, 24), preprocess.Squash, frame(t, 32*fx, 24*fy, texture))
			wantPixels(t, got, 32, boxMean(0, 0, fx, fy))
		})
	}
}

// TestSquashGrows takes two pixels to eight: centres are aligned, so the outer ones repeat and the inner ones blend.
func TestSquashGrows(t *testing.T) {
	f := frame(t, 2, 1, func(x, y int) [3]uint8 { return [3]uint8{uint8(160 * x), 40, 200} })
	got := apply(t, uint8Input(8, 3), preprocess.Squash, f)
	wantPixels(t, got, 8, func(x, _, c int) float64 {
		blend := math.Min(math.Max((float64(x)+0.5)/4-0.5, 0), 1)
		return []float64{160 * blend, 40, 200}[c]
	})
}

// TestSquashMixed shrinks the one axis and grows the other: every column counts.
func TestSquashMixed(t *testing.T) {
	stripes := func(x, y int) [3]uint8 {
		if x%10 == 9 {
			return [3]uint8{250, 100, uint8(200 * y)}
		}
		return [3]uint8{0, 100, uint8(200 * y)}
	}
	got := apply(t, uint8Input(30, 8), preprocess.Squash, frame(t, 300, 2, stripes))
	wantPixels(t, got, 30, func(_, y, c int) float64 {
		blend := math.Min(math.Max((float64(y)+0.5)/4-0.5, 0), 1)
		return []float64{25, 100, 200 * blend}[c]
	})
}

func TestCrop(t *testing.T) {
	tests := []struct {
		width, height   int // of the picture
		inWidth, inHigh int
		x0, y0, factor  int // where the crop starts, and by what it shrinks
	}{
		{64, 64, 28, 28, 4, 4, 2},     // 56 of 64
		{96, 64, 28, 28, 20, 4, 2},    // 56 of the short side, in the middle of the long one
		{64, 128, 28, 28, 4, 36, 2},   // likewise upright
		{64, 128, 28, 14, 4, 50, 2},   // an input that is no square
		{256, 341, 56, 56, 16, 58, 4}, // 224, as for ImageNet
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%dx%d", tt.width, tt.height), func(t *testing.T) {
			got := apply(t, uint8Input(tt.inWidth, tt.inHigh), preprocess.Centre, frame(t, tt.width, tt.height, texture))
			wantPixels(t, got, tt.inWidth, boxMean(tt.x0, tt.y0, tt.factor, tt.factor))
		})
	}
}

func TestLetterbox(t *testing.T) {
	transform, err := preprocess.New(uint8Input(40, 40), preprocess.Letterbox)
	if err != nil {
		t.Fatal(err)
	}
	defer transform.Close()
	tests := []struct {
		width, height int
		x0, x1        int // columns and rows of the picture in the input
		y0, y1        int
	}{
		{160, 80, 0, 40, 10, 30},
		{80, 160, 10, 30, 0, 40},
		{80, 80, 0, 40, 0, 40},
		{400, 2, 0, 40, 19, 20}, // never less than a row
		{80, 160, 10, 30, 0, 40},
	}
	dst := make([]byte, 40*40*3)
	for _, tt := range tests {
		colour := [3]uint8{200, 30, 90}
		f := frame(t, tt.width, tt.height, func(int, int) [3]uint8 { return colour })
		if err := transform.Apply(dst, f); err != nil {
			t.Fatal(err)
		}
		wantPixels(t, dst, 40, func(x, y, c int) float64 {
			if x < tt.x0 || x >= tt.x1 || y < tt.y0 || y >= tt.y1 {
				return 128
			}
			return float64(colour[c])
		})
	}
}

func TestEnough(t *testing.T) {
	tests := []struct {
		resize preprocess.Resize
		crop   preprocess.Crop
		size   image.Point
		want   bool
	}{
		{preprocess.Squash, preprocess.Whole, image.Pt(320, 320), true},
		{preprocess.Squash, preprocess.Whole, image.Pt(319, 4000), false},
		{preprocess.Squash, preprocess.Whole, image.Pt(4000, 319), false},
		{preprocess.Squash, preprocess.Whole, image.Pt(1, 1), false},
		{preprocess.Squash, preprocess.Crop{X1: 0.25, Y1: 0, X2: 0.75, Y2: 1}, image.Pt(640, 320), true},
		{preprocess.Squash, preprocess.Crop{X1: 0.25, Y1: 0, X2: 0.75, Y2: 1}, image.Pt(637, 320), false},
		{preprocess.Centre, preprocess.Whole, image.Pt(366, 366), true}, // 7/8 of it are 320
		{preprocess.Centre, preprocess.Whole, image.Pt(365, 1000), false},
		{preprocess.Letterbox, preprocess.Whole, image.Pt(320, 160), true}, // comes to 160x80
		{preprocess.Letterbox, preprocess.Whole, image.Pt(318, 159), false},
		{preprocess.Letterbox, preprocess.Whole, image.Pt(80, 320), true}, // 40x160
		{preprocess.Letterbox, preprocess.Whole, image.Pt(79, 316), false},
	}
	for _, tt := range tests {
		transform, err := preprocess.NewCropped(uint8Input(160, 160), tt.resize, tt.crop)
		if err != nil {
			t.Fatal(err)
		}
		if got := transform.Enough(tt.size); got != tt.want {
			t.Errorf("%s, %v: %v are enough: %v, want %v", tt.resize, tt.crop, tt.size, got, tt.want)
		}
		transform.Close() // always nil
	}
}

func TestTypes(t *testing.T) {
	f := frame(t, 50, 40, texture)
	in := uint8Input(20, 10)
	plain := apply(t, in, preprocess.Squash, f)

	in.Type = inference.Int8
	for i, got := range apply(t, in, preprocess.Squash, f) {
		if want := int8(int(plain[i]) - 128); int8(got) != want {
			t.Fatalf("int8 value %d is %d, want %d", i, int8(got), want)
		}
	}
	in.Type, in.Mean, in.Std = inference.Float32, [3]float32{123.675, 116.28, 103.53}, [3]float32{58.395, 57.12, 57.375}
	floats := apply(t, in, preprocess.Squash, f)
	for i, p := range plain {
		got := math.Float32frombits(binary.NativeEndian.Uint32(floats[4*i:]))
		want := (float64(p) - float64(in.Mean[i%3])) / float64(in.Std[i%3])
		if math.Abs(float64(got)-want) > 1e-6 {
			t.Fatalf("float value %d is %v, want %v", i, got, want)
		}
	}
}

// TestApplyChecksLength gives Apply tensors of the wrong size, which it must leave alone.
func TestApplyChecksLength(t *testing.T) {
	in := preprocess.Input{Width: 8, Height: 8, Type: inference.Float32, Std: [3]float32{1, 1, 1}}
	transform, err := preprocess.New(in, preprocess.Squash)
	if err != nil {
		t.Fatal(err)
	}
	defer transform.Close()
	f := frame(t, 9, 9, texture)
	for _, size := range []int{0, 8 * 8 * 3, 8*8*3*4 - 1, 8*8*3*4 + 1} {
		dst := make([]byte, size)
		if err := transform.Apply(dst, f); err == nil {
			t.Errorf("%d bytes were accepted, want an error", size)
		}
		for i, b := range dst {
			if b != 0 {
				t.Fatalf("%d bytes: byte %d was written", size, i)
			}
		}
	}
}

func TestApplyChecksFrame(t *testing.T) {
	transform, err := preprocess.New(uint8Input(8, 8), preprocess.Squash)
	if err != nil {
		t.Fatal(err)
	}
	defer transform.Close()
	grey, empty := gocv.NewMatWithSize(9, 9, gocv.MatTypeCV8UC1), gocv.NewMat()
	defer grey.Close()
	defer empty.Close()
	for name, mat := range map[string]gocv.Mat{"grey": grey, "empty": empty, "none": {}} {
		if err := transform.Apply(make([]byte, 8*8*3), camera.Frame{Mat: mat}); err == nil {
			t.Errorf("%s: accepted, want an error", name)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	float := preprocess.Input{Width: 8, Height: 8, Type: inference.Float32, Std: [3]float32{1, 0, 1}}
	tests := []struct {
		name   string
		in     preprocess.Input
		resize preprocess.Resize
	}{
		{"no width", uint8Input(0, 8), preprocess.Squash},
		{"negative height", uint8Input(8, -8), preprocess.Squash},
		{"type", preprocess.Input{Width: 8, Height: 8, Type: inference.Int32}, preprocess.Squash},
		{"standard deviation", float, preprocess.Squash},
		{"resize", uint8Input(8, 8), "stretch"},
	}
	for _, tt := range tests {
		if transform, err := preprocess.New(tt.in, tt.resize); err == nil {
			transform.Close()
			t.Errorf("%s: accepted, want an error", tt.name)
		}
	}
}

func TestApplyAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	for _, r := range []preprocess.Resize{preprocess.Squash, preprocess.Centre, preprocess.Letterbox} {
		for _, typ := range []inference.Type{inference.UInt8, inference.Int8, inference.Float32} {
			in := preprocess.Input{Width: 64, Height: 64, Type: typ, Std: [3]float32{1, 1, 1}}
			transform, err := preprocess.New(in, r)
			if err != nil {
				t.Fatal(err)
			}
			dst := make([]byte, 64*64*3*typ.Size())
			frames := []camera.Frame{frame(t, 160, 120, texture), frame(t, 300, 2, texture), frame(t, 9, 7, texture)}
			allocs := testing.AllocsPerRun(50, func() {
				for _, f := range frames {
					if err := transform.Apply(dst, f); err != nil {
						t.Fatal(err)
					}
				}
			})
			if allocs != 0 {
				t.Errorf("%s, %s: %v allocations, want none", r, typ, allocs)
			}
			transform.Close()
		}
	}
}

func BenchmarkApply(b *testing.B) {
	for _, size := range [][2]int{{640, 480}, {4000, 3000}} {
		for _, typ := range []inference.Type{inference.UInt8, inference.Int8, inference.Float32} {
			b.Run(fmt.Sprintf("%dx%d/%s", size[0], size[1], typ), func(b *testing.B) {
				in := preprocess.Input{Width: 224, Height: 224, Type: typ, Std: [3]float32{1, 1, 1}}
				transform, err := preprocess.New(in, preprocess.Squash)
				if err != nil {
					b.Fatal(err)
				}
				defer transform.Close()
				f := frame(b, size[0], size[1], texture)
				dst := make([]byte, 224*224*3*typ.Size())
				b.ReportAllocs()
				for b.Loop() {
					if err := transform.Apply(dst, f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
