package camera

import (
	"bytes"
	"image/jpeg"
	"testing"

	"gocv.io/x/gocv"
)

func TestThumbnail(t *testing.T) {
	for _, test := range []struct{ rows, cols, wantRows, wantCols int }{
		{1080, 1920, 270, 480},
		{270, 100, 270, 100},
		{90, 3000, 90, 3000},
		{5000, 1, 270, 1},
	} {
		mat := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(20, 120, 220, 0), test.rows, test.cols, gocv.MatTypeCV8UC3) // blue, green, red
		data, err := Frame{Mat: mat}.Thumbnail()
		mat.Close()
		if err != nil {
			t.Errorf("%dx%d: %v", test.cols, test.rows, err)
			continue
		}
		img, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%dx%d: %v", test.cols, test.rows, err)
			continue
		}
		if b := img.Bounds(); b.Dy() != test.wantRows || b.Dx() != test.wantCols {
			t.Errorf("%dx%d: want %dx%d, have %v", test.cols, test.rows, test.wantCols, test.wantRows, b)
		}
		if r, g, b, _ := img.At(0, 0).RGBA(); r>>8 < 210 || g>>8 < 110 || g>>8 > 130 || b>>8 > 30 {
			t.Errorf("%dx%d: want the colour 220 120 20, have %d %d %d", test.cols, test.rows, r>>8, g>>8, b>>8)
		}
	}
	if _, err := (Frame{Mat: gocv.NewMat()}).Thumbnail(); err == nil {
		t.Error("want an error of an empty picture, have none")
	}
}

func BenchmarkThumbnail(b *testing.B) {
	mat := gocv.NewMatWithSize(375, 500, gocv.MatTypeCV8UC3)
	defer mat.Close() // it is freed, which can't fail
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Frame{Mat: mat}).Thumbnail(); err != nil {
			b.Fatal(err)
		}
	}
}
