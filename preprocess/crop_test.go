package preprocess_test

import (
	"bytes"
	"fmt"
	"image"
	"math"
	"testing"

	"sightd/camera"
	"sightd/inference"
	"sightd/preprocess"
)

func TestCropCheck(t *testing.T) {
	for _, crop := range []preprocess.Crop{preprocess.Whole, {0.2, 0.1, 0.8, 0.3}, {0, 0, 1e-9, 1e-9}, {0.999, 0.999, 1, 1}} {
		if err := crop.Check(); err != nil {
			t.Errorf("%v: %v", crop, err)
		}
	}
	nan, inf := math.NaN(), math.Inf(1)
	for _, crop := range []preprocess.Crop{
		{}, {0, 0, 0, 1}, {0.5, 0, 0.5, 1}, {0.6, 0, 0.5, 1}, {0, 0.6, 1, 0.5}, {-0.1, 0, 1, 1}, {0, -1e-9, 1, 1}, {0, 0, 1.1, 1}, {0, 0, 1, 2},
		{nan, 0, 1, 1}, {0, nan, 1, 1}, {0, 0, nan, 1}, {0, 0, 1, nan}, {0, 0, inf, 1}, {-inf, 0, 1, 1},
	} {
		if err := crop.Check(); err == nil {
			t.Errorf("%v passes, want an error", crop)
		}
		if transform, err := preprocess.NewCropped(uint8Input(8, 8), preprocess.Squash, crop); err == nil {
			transform.Close()
			t.Errorf("%v makes a Transform, want an error", crop)
		}
	}
}

func TestCropRectangle(t *testing.T) {
	for _, test := range []struct {
		crop preprocess.Crop
		size image.Point
		want image.Rectangle
	}{
		{preprocess.Whole, image.Pt(640, 480), image.Rect(0, 0, 640, 480)},
		{preprocess.Whole, image.Pt(1, 1), image.Rect(0, 0, 1, 1)},
		{preprocess.Crop{0.25, 0.5, 0.75, 1}, image.Pt(640, 480), image.Rect(160, 240, 480, 480)},
		{preprocess.Crop{0.1, 0.1, 0.2, 0.2}, image.Pt(3, 3), image.Rect(0, 0, 1, 1)},
		{preprocess.Crop{0.5, 0.5, 0.5000001, 0.5000001}, image.Pt(100, 100), image.Rect(50, 50, 51, 51)},
		{preprocess.Crop{0.9999, 0.9999, 1, 1}, image.Pt(10, 10), image.Rect(9, 9, 10, 10)},
		{preprocess.Crop{0, 0.334, 1, 0.666}, image.Pt(7, 3), image.Rect(0, 1, 7, 2)},
	} {
		if got := test.crop.Rectangle(test.size); got != test.want {
			t.Errorf("%v of %v is %v, want %v", test.crop, test.size, got, test.want)
		}
	}
}

func FuzzCropRectangle(f *testing.F) {
	f.Add(0., 0., 1., 1., 640, 480)
	f.Add(0.999999, 0., 1., 1e-12, 1, 1)
	f.Fuzz(func(t *testing.T, x1, y1, x2, y2 float64, width, height int) {
		crop := preprocess.Crop{X1: x1, Y1: y1, X2: x2, Y2: y2}
		if crop.Check() != nil || width < 1 || height < 1 || width > 65535 || height > 65535 {
			return
		}
		if part := crop.Rectangle(image.Pt(width, height)); part.Empty() || !part.In(image.Rect(0, 0, width, height)) {
			t.Errorf("%v of %dx%d is %v", crop, width, height, part)
		}
	})
}

// TestCropIsCutFirst compares a crop of a picture with a picture of that crop alone, for each rule.
func TestCropIsCutFirst(t *testing.T) {
	whole := frame(t, 160, 120, texture)
	cut := frame(t, 80, 30, func(x, y int) [3]uint8 { return texture(x+40, y+60) })
	for _, resize := range []preprocess.Resize{preprocess.Squash, preprocess.Centre, preprocess.Letterbox} {
		transform, err := preprocess.NewCropped(uint8Input(32, 24), resize, preprocess.Crop{0.25, 0.5, 0.75, 0.75})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 32*24*3)
		if err := transform.Apply(got, whole); err != nil {
			t.Errorf("%s: %v", resize, err)
		}
		transform.Close()
		if want := apply(t, uint8Input(32, 24), resize, cut); !bytes.Equal(got, want) {
			t.Errorf("%s: a crop isn't what a picture of it is", resize)
		}
	}
}

// TestCropOfSmallPictures has areas of less than a pixel.
func TestCropOfSmallPictures(t *testing.T) {
	for _, crop := range []preprocess.Crop{{0, 0, 1e-6, 1e-6}, {0.999999, 0.999999, 1, 1}, {0.4, 0, 0.6, 1}} {
		for _, resize := range []preprocess.Resize{preprocess.Squash, preprocess.Centre, preprocess.Letterbox} {
			transform, err := preprocess.NewCropped(uint8Input(16, 16), resize, crop)
			if err != nil {
				t.Fatal(err)
			}
			dst := make([]byte, 16*16*3)
			for _, size := range []int{1, 2, 3, 50} {
				if err := transform.Apply(dst, frame(t, size, size, texture)); err != nil {
					t.Errorf("%s, %v of %d pixels: %v", resize, crop, size, err)
				}
			}
			transform.Close()
		}
	}
}

func TestCropAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	for _, resize := range []preprocess.Resize{preprocess.Squash, preprocess.Centre, preprocess.Letterbox} {
		in := preprocess.Input{Width: 64, Height: 64, Type: inference.Int8}
		transform, err := preprocess.NewCropped(in, resize, preprocess.Crop{0.1, 0.2, 0.7, 0.9})
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]byte, 64*64*3)
		frames := []camera.Frame{frame(t, 160, 120, texture), frame(t, 300, 2, texture), frame(t, 9, 7, texture)}
		allocations := testing.AllocsPerRun(20, func() {
			for _, f := range frames {
				if err := transform.Apply(dst, f); err != nil {
					t.Fatal(err)
				}
			}
		})
		if allocations != 0 {
			t.Errorf("%s: %v allocations, want none", resize, allocations)
		}
		transform.Close()
	}
}

func ExampleCrop() {
	door := preprocess.Crop{X1: 0.25, Y1: 0, X2: 0.5, Y2: 1}
	fmt.Println(door.Rectangle(image.Pt(640, 480)), door == preprocess.Whole)
	// Output: (160,0)-(320,480) false
}
