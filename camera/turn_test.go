package camera_test

import (
	"fmt"
	"testing"

	"gocv.io/x/gocv"

	"sightd/camera"
	"sightd/camera/capture"
)

// turned is what the four quarters become, clockwise from the top left: red, green, blue, white.
func turned(t *testing.T, turn camera.Turn) string {
	t.Helper()
	names := []byte("RGBW")
	for range turn.Rotate / 90 {
		names = []byte{names[3], names[0], names[1], names[2]}
	}
	if turn.Flip == "horizontal" || turn.Flip == "both" {
		names[0], names[1], names[2], names[3] = names[1], names[0], names[3], names[2]
	}
	if turn.Flip == "vertical" || turn.Flip == "both" {
		names[0], names[1], names[2], names[3] = names[3], names[2], names[1], names[0]
	}
	return string(names)
}

func TestTurner(t *testing.T) {
	decoder := newDecoder(t)
	for _, rotate := range []int{0, 90, 180, 270} {
		for _, flip := range []string{"", "horizontal", "vertical", "both"} {
			turn := camera.Turn{Rotate: rotate, Flip: flip}
			t.Run(fmt.Sprintf("%d %s", rotate, flip), func(t *testing.T) {
				turner, err := camera.NewTurner(turn)
				if err != nil {
					t.Fatal(err)
				}
				defer turner.Close() // always nil
				for _, size := range [][2]int{{40, 20}, {40, 20}, {30, 50}} {
					width, height := size[0], size[1]
					mat, err := decoder.DecodeShot(raw(capture.BGR, width, height))
					if err != nil {
						t.Fatal(err)
					}
					upright, err := turner.Apply(mat)
					if err != nil {
						t.Fatal(err)
					}
					if rotate%180 == 90 {
						width, height = height, width
					}
					if upright.Cols() != width || upright.Rows() != height {
						t.Errorf("%v came as %dx%d, want %dx%d", size, upright.Cols(), upright.Rows(), width, height)
					}
					if got, want := quarters(upright), turned(t, turn); got != want {
						t.Errorf("%v: quarters %s, want %s", size, got, want)
					}
					if got := quarters(mat); got != "RGBW" {
						t.Errorf("%v: the picture that was given became %s", size, got)
					}
					copied := upright.Ptr() != mat.Ptr()
					if nothing := turned(t, turn) == "RGBW"; copied == nothing {
						t.Errorf("%v: copied %v, want %v", size, copied, !nothing)
					}
				}
			})
		}
	}
}

func TestTurnerRefuses(t *testing.T) {
	for _, turn := range []camera.Turn{{Rotate: 45}, {Rotate: -90}, {Rotate: 360}, {Flip: "sideways"}, {Rotate: 90, Flip: "Both"}} {
		if err := turn.Check(); err == nil {
			t.Errorf("%+v passes the check, want an error", turn)
		}
		if turner, err := camera.NewTurner(turn); err == nil {
			turner.Close() // always nil
			t.Errorf("%+v makes a Turner, want an error", turn)
		}
	}
	turner, err := camera.NewTurner(camera.Turn{Rotate: 90})
	if err != nil {
		t.Fatal(err)
	}
	defer turner.Close() // always nil
	empty := gocv.NewMat()
	defer empty.Close() // always nil
	for name, mat := range map[string]gocv.Mat{"empty": empty, "none": {}} {
		if _, err := turner.Apply(mat); err == nil {
			t.Errorf("%s: turned, want an error", name)
		}
	}
}

func TestTurnerAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	mat := gocv.NewMatWithSize(240, 320, gocv.MatTypeCV8UC3)
	defer mat.Close() // always nil
	for _, turn := range []camera.Turn{{}, {Rotate: 90}, {Rotate: 180}, {Rotate: 90, Flip: "vertical"}} {
		turner, err := camera.NewTurner(turn)
		if err != nil {
			t.Fatal(err)
		}
		allocations := testing.AllocsPerRun(10, func() {
			if _, err := turner.Apply(mat); err != nil {
				t.Fatal(err)
			}
		})
		turner.Close() // always nil
		if allocations != 0 {
			t.Errorf("%+v: %v allocations, want none", turn, allocations)
		}
	}
}

func BenchmarkTurner(b *testing.B) {
	mat := gocv.NewMatWithSize(480, 640, gocv.MatTypeCV8UC3)
	defer mat.Close() // always nil
	for _, rotate := range []int{90, 180} {
		b.Run(fmt.Sprint(rotate), func(b *testing.B) {
			turner, err := camera.NewTurner(camera.Turn{Rotate: rotate})
			if err != nil {
				b.Fatal(err)
			}
			defer turner.Close() // always nil
			for b.Loop() {
				if _, err := turner.Apply(mat); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
