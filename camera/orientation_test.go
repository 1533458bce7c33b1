package camera_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"

	"gocv.io/x/gocv"

	"sightd/camera/internal/handmade"
)

// corners is a picture of four quarters: red, green, blue and white, clockwise from the top left.
func corners(width, height int) *image.RGBA {
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			c := color.RGBA{R: 255, A: 255}
			switch right, low := x >= width/2, y >= height/2; {
			case right && low:
				c = color.RGBA{B: 255, A: 255}
			case right:
				c = color.RGBA{G: 255, A: 255}
			case low:
				c = color.RGBA{R: 255, G: 255, B: 255, A: 255}
			}
			picture.SetRGBA(x, y, c)
		}
	}
	return picture
}

// quarters names the colours of the quarters of a Mat, clockwise from the top left.
func quarters(mat gocv.Mat) string {
	names := ""
	rows, cols := mat.Rows(), mat.Cols()
	for _, at := range [][2]int{{rows / 4, cols / 4}, {rows / 4, 3 * cols / 4}, {3 * rows / 4, 3 * cols / 4}, {3 * rows / 4, cols / 4}} {
		pixel := mat.GetVecbAt(at[0], at[1])
		b, g, r := pixel[0], pixel[1], pixel[2]
		switch {
		case b > 200 && g > 200 && r > 200:
			names += "W"
		case r > 200:
			names += "R"
		case g > 200:
			names += "G"
		case b > 200:
			names += "B"
		default:
			names += "?"
		}
	}
	return names
}

// TestOrientation stores a picture with every EXIF orientation, in every format. The quarters are named after what EXIF
// says of row 0 and column 0.
func TestOrientation(t *testing.T) {
	const width, height = 64, 32
	want := []string{"", "RGBW", "GRWB", "BWRG", "WBGR", "RWBG", "WRGB", "BGRW", "GBWR"}
	var jpg, pic bytes.Buffer
	if err := jpeg.Encode(&jpg, corners(width, height), nil); err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(&pic, corners(width, height)); err != nil {
		t.Fatal(err)
	}
	bgr, err := gocv.IMDecode(pic.Bytes(), gocv.IMReadColor)
	if err != nil {
		t.Fatal(err)
	}
	defer bgr.Close()
	webp, err := gocv.IMEncodeWithParams(".webp", bgr, []int{gocv.IMWriteWebpQuality, 90})
	if err != nil {
		t.Fatal(err)
	}
	defer webp.Close()

	decoder := newDecoder(t)
	for orientation := 1; orientation <= 8; orientation++ {
		exif := handmade.EXIF(binary.LittleEndian, orientation)
		files := map[string][]byte{
			"JPEG": insert(jpg.Bytes(), 2, handmade.APP1(exif)),
			"PNG":  insert(pic.Bytes(), 8+25, handmade.Chunk("eXIf", exif)),
			"WebP": handmade.RIFF(webp.GetBytes()[12:], handmade.RIFFChunk("EXIF", exif)),
		}
		for format, file := range files {
			mat, header, err := decoder.Decode(file)
			if err != nil {
				t.Fatalf("%s, orientation %d: %v", format, orientation, err)
			}
			if header.Width != width || header.Height != height || header.Orientation != orientation {
				t.Errorf("%s, orientation %d: header %+v", format, orientation, header)
			}
			wantCols := width
			if header.Turned() {
				wantCols = height
			}
			if got := quarters(mat); got != want[orientation] || mat.Cols() != wantCols {
				t.Errorf("%s, orientation %d: quarters %s, %d wide, want %s, %d wide",
					format, orientation, got, mat.Cols(), want[orientation], wantCols)
			}
		}
	}
}

func insert(file []byte, at int, part []byte) []byte {
	return append(append(bytes.Clone(file[:at]), part...), file[at:]...)
}
