package testbench

import (
	"testing"

	"sightd/camera"
	"sightd/daemon"
	"sightd/preprocess"
)

// decodeDrawn decodes a drawn JPEG of size by size pixels until the test's end.
func decodeDrawn(t testing.TB, size int) camera.Frame {
	t.Helper()
	decoder := camera.NewDecoder(testLimits)
	t.Cleanup(func() {
		if err := decoder.Close(); err != nil {
			t.Error(err)
		}
	})
	mat, _, err := decoder.Decode(drawnJPEG(t, "golf_ball", size))
	if err != nil {
		t.Fatal(err)
	}
	return camera.Frame{Mat: mat}
}

// allocations counts what Classify allocates on the Go heap for a frame.
func allocations(t testing.TB, engine *daemon.Engine, frame camera.Frame, resize preprocess.Resize) float64 {
	t.Helper()
	return testing.AllocsPerRun(20, func() {
		if _, err := engine.Classify(frame, resize); err != nil {
			t.Fatal(err)
		}
	})
}

func TestClassifyAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	engine := openEngine(t, daemon.EngineOptions{Top: 5})
	for name, size := range map[string]int{"shrink": 400, "grow": 100} {
		frame := decodeDrawn(t, size)
		for _, resize := range []preprocess.Resize{preprocess.Squash, preprocess.Centre, preprocess.Letterbox} {
			t.Run(name+"/"+string(resize), func(t *testing.T) {
				if n := allocations(t, engine, frame, resize); n != 0 {
					t.Errorf("want no allocation on the Go heap, have %v a frame", n)
				}
			})
		}
	}
}
