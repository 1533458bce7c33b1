package preprocess_test

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gocv.io/x/gocv"

	"sightd/camera"
	"sightd/inference"
	"sightd/preprocess"
)

// sizes are those of pictures and inputs, of which no side grows.
var sizes = []struct{ from, to image.Point }{
	{image.Pt(1, 1), image.Pt(1, 1)},
	{image.Pt(2, 1), image.Pt(1, 1)},
	{image.Pt(7, 5), image.Pt(7, 5)},
	{image.Pt(160, 160), image.Pt(160, 160)},
	{image.Pt(161, 163), image.Pt(160, 160)},
	{image.Pt(500, 375), image.Pt(160, 160)},
	{image.Pt(375, 500), image.Pt(224, 224)},
	{image.Pt(640, 480), image.Pt(160, 160)},
	{image.Pt(639, 479), image.Pt(96, 97)},
	{image.Pt(1008, 756), image.Pt(160, 160)},
	{image.Pt(31, 29), image.Pt(3, 29)},
	{image.Pt(29, 31), image.Pt(28, 5)},
	{image.Pt(62, 620), image.Pt(1, 10)},      // by 62
	{image.Pt(63, 63), image.Pt(1, 1)},        // by 63
	{image.Pt(1900, 640), image.Pt(10, 10)},   // by 190
	{image.Pt(3, 65535), image.Pt(3, 160)},    // by 410
	{image.Pt(2048, 1536), image.Pt(96, 160)}, // by 21
}

// pictures draws what is hard to average: noise, levels that are all alike, and stripes of the two ends.
var pictures = map[string]func(x, y int) [3]uint8{
	"noise": func(int, int) [3]uint8 {
		return [3]uint8{uint8(rand.Uint32()), uint8(rand.Uint32()), uint8(rand.Uint32())}
	},
	"white": func(int, int) [3]uint8 { return [3]uint8{255, 255, 255} },
	"black": func(int, int) [3]uint8 { return [3]uint8{} },
	"even":  func(int, int) [3]uint8 { return [3]uint8{1, 127, 254} },
	"stripes": func(x, y int) [3]uint8 {
		return [3]uint8{uint8(255 * (x % 2)), uint8(255 * (y % 2)), uint8(255 * ((x + y) % 2))}
	},
}

// covered are the pixels of a side of n that pixel i of m covers, and how much of each.
func covered(i, m, n int) (first int, parts []float64) {
	from, to := float64(i)*float64(n)/float64(m), float64(i+1)*float64(n)/float64(m)
	first = int(from)
	for x := first; float64(x) < to-1e-9; x++ {
		parts = append(parts, math.Min(to, float64(x+1))-math.Max(from, float64(x)))
	}
	return first, parts
}

// average is the exact average of what a pixel covers of a picture, in RGB.
func average(bgr []byte, from image.Point, x, y int, to image.Point) (rgb [3]float64) {
	x0, columns := covered(x, to.X, from.X)
	y0, rows := covered(y, to.Y, from.Y)
	area := 0.
	for dy, row := range rows {
		for dx, column := range columns {
			for c := range rgb {
				rgb[c] += row * column * float64(bgr[3*((y0+dy)*from.X+x0+dx)+2-c])
			}
			area += row * column
		}
	}
	for c := range rgb {
		rgb[c] /= area
	}
	return rgb
}

// TestShrinkIsTheAverage compares some of the pixels with exact averages, and all with OpenCV's.
func TestShrinkIsTheAverage(t *testing.T) {
	for _, size := range sizes {
		for name, draw := range pictures {
			t.Run(fmt.Sprintf("%v to %v/%s", size.from, size.to, name), func(t *testing.T) {
				f := frame(t, size.from.X, size.from.Y, draw)
				got := apply(t, uint8Input(size.to.X, size.to.Y), preprocess.Squash, f)
				bgr, err := f.Mat.DataPtrUint8()
				if err != nil {
					t.Fatal(err)
				}
				worst := 0.
				for i := 0; i < len(got)/3; i += 1 + len(got)/9000 {
					x, y := i%size.to.X, i/size.to.X
					for c, want := range average(bgr, size.from, x, y, size.to) {
						worst = math.Max(worst, math.Abs(float64(got[3*i+c])-want))
					}
				}
				if worst > 0.55 {
					t.Errorf("off from the exact average by %.3f, want at most 0.55", worst)
				}
				other := openCV(t, f.Mat, size.to)
				for i := range got {
					if d := int(got[i]) - int(other[i]); d < -1 || d > 1 {
						t.Fatalf("value %d is %d, OpenCV's %d", i, got[i], other[i])
					}
				}
			})
		}
	}
}

// openCV shrinks a picture by area and turns it to RGB.
func openCV(t testing.TB, mat gocv.Mat, to image.Point) []byte {
	t.Helper()
	resized, rgb := gocv.NewMat(), gocv.NewMat()
	defer resized.Close() // always nil
	defer rgb.Close()     // always nil
	if err := gocv.Resize(mat, &resized, to, 0, 0, gocv.InterpolationArea); err != nil {
		t.Fatal(err)
	}
	if err := gocv.CvtColor(resized, &rgb, gocv.ColorBGRToRGB); err != nil {
		t.Fatal(err)
	}
	return rgb.ToBytes()
}

// TestShrinkTakesRegions has a picture that is a part of another, as a Mat and as a crop: nothing around it may count.
func TestShrinkTakesRegions(t *testing.T) {
	inner := image.Rect(13, 7, 13+75, 7+60)
	whole := frame(t, 100, 80, func(x, y int) [3]uint8 {
		if image.Pt(x, y).In(inner) {
			return texture(x, y)
		}
		return [3]uint8{255, 0, 255}
	})
	region := whole.Mat.Region(inner)
	defer region.Close() // always nil
	for _, typ := range []inference.Type{inference.UInt8, inference.Int8, inference.Float32} {
		for _, resize := range []preprocess.Resize{preprocess.Squash, preprocess.Centre, preprocess.Letterbox} {
			for _, size := range []image.Point{{75, 60}, {32, 31}, {7, 50}} {
				in := preprocess.Input{Width: size.X, Height: size.Y, Type: typ, Mean: [3]float32{1, 2, 3}, Std: [3]float32{4, 5, 6}}
				cut := frame(t, inner.Dx(), inner.Dy(), func(x, y int) [3]uint8 { return texture(x+inner.Min.X, y+inner.Min.Y) })
				if want := apply(t, in, resize, cut); !slices.Equal(apply(t, in, resize, camera.Frame{Mat: region}), want) {
					t.Errorf("%s, %s to %v: a region isn't what a picture of it is", typ, resize, size)
				}
			}
		}
	}
}

// TestShrinkTakesTurns changes the sizes from picture to picture: what an earlier one left must not show.
func TestShrinkTakesTurns(t *testing.T) {
	transform, err := preprocess.New(uint8Input(33, 21), preprocess.Letterbox)
	if err != nil {
		t.Fatal(err)
	}
	defer transform.Close() // always nil
	dst := make([]byte, 33*21*3)
	for range 2 {
		for _, size := range []image.Point{{330, 210}, {40, 500}, {34, 21}, {33, 21}, {2000, 30}, {5, 9}, {64 * 33, 64 * 21}, {330, 21}, {41, 500}} {
			f := frame(t, size.X, size.Y, texture)
			if err := transform.Apply(dst, f); err != nil {
				t.Fatal(err)
			}
			if want := apply(t, uint8Input(33, 21), preprocess.Letterbox, f); !slices.Equal(dst, want) {
				t.Errorf("%v: another tensor than from a new Transform", size)
			}
		}
	}
}

// BenchmarkShrink has the kernel beside OpenCV's three passes, which it replaced: shrink, turn to RGB, convert.
func BenchmarkShrink(b *testing.B) {
	for _, size := range []image.Point{{500, 375}, {640, 480}, {1008, 756}} {
		for _, side := range []int{160, 224} {
			f := frame(b, size.X, size.Y, texture)
			in := preprocess.Input{Width: side, Height: side, Type: inference.Int8}
			dst := make([]byte, side*side*3)
			b.Run(fmt.Sprintf("%dx%d to %d/kernel", size.X, size.Y, side), func(b *testing.B) {
				transform, err := preprocess.New(in, preprocess.Squash)
				if err != nil {
					b.Fatal(err)
				}
				defer transform.Close() // always nil
				b.ReportAllocs()
				for b.Loop() {
					if err := transform.Apply(dst, f); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("%dx%d to %d/OpenCV", size.X, size.Y, side), func(b *testing.B) {
				resized, rgb := gocv.NewMat(), gocv.NewMat()
				defer resized.Close() // always nil
				defer rgb.Close()     // always nil
				b.ReportAllocs()
				for b.Loop() {
					if err := gocv.Resize(f.Mat, &resized, image.Pt(side, side), 0, 0, gocv.InterpolationArea); err != nil {
						b.Fatal(err)
					}
					if err := gocv.CvtColor(resized, &rgb, gocv.ColorBGRToRGB); err != nil {
						b.Fatal(err)
					}
					pixels, err := rgb.DataPtrUint8()
					if err != nil {
						b.Fatal(err)
					}
					if err := in.Fill(dst, pixels); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
