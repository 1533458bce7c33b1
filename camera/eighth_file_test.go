package camera_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"testing"

	"sightd/camera/internal/handmade"
)

// TestEighthUpright compares files of each orientation at an eighth of their size with those in full.
func TestEighthUpright(t *testing.T) {
	var file bytes.Buffer
	if err := jpeg.Encode(&file, corners(64, 48), nil); err != nil {
		t.Fatal(err)
	}
	small, full := newDecoder(t), newDecoder(t)
	small.Enough = func(image.Point) bool { return true }
	full.Enough = func(image.Point) bool { return false }
	for orientation := 1; orientation <= 8; orientation++ {
		data := insert(file.Bytes(), 2, handmade.APP1(handmade.EXIF(binary.LittleEndian, orientation)))
		got, header, err := small.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		want, wantHeader, err := full.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if header != wantHeader || got.Cols() != want.Cols()/8 || got.Rows() != want.Rows()/8 {
			t.Fatalf("orientation %d: %v from %+v, want an eighth of %v from %+v", orientation, got.Size(), header, want.Size(), wantHeader)
		}
		if have, colours := quarters(got), quarters(want); have != colours {
			t.Errorf("orientation %d: quarters %s, want %s", orientation, have, colours)
		}
	}
}

func TestEighthAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, corners(640, 480), nil); err != nil {
		t.Fatal(err)
	}
	decoder := newDecoder(t)
	decoder.Enough = func(image.Point) bool { return true }
	allocations := testing.AllocsPerRun(20, func() {
		if _, _, err := decoder.Decode(file.Bytes()); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
}
