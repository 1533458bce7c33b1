package testbench

import (
	"fmt"
	"image"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"sightd/camera"
	"sightd/daemon"
	"sightd/inference"
)

// measureOverhead compares all that is done with a camera's frame with a bare Invoke.
func measureOverhead(t *testing.T) []figure {
	const rounds, threads, most = 10, 2, 1.10
	photo := gocv.IMRead(imagenetPhotos(t, 0)[0], gocv.IMReadColor)
	t.Cleanup(func() { photo.Close() }) // frees C memory; there is nothing to report
	if err := gocv.Resize(photo, &photo, image.Pt(640, 480), 0, 0, gocv.InterpolationCubic); err != nil {
		t.Fatal(err)
	}
	stepMS, bareMS, ratio, spread := compareRounds(t, rounds, func(t *testing.T) (step, bare func([]float64) error) {
		engine := openEngine(t, daemon.EngineOptions{Top: 5, Options: inference.Options{Delegate: inference.XNNPACK, Threads: threads}})
		m := openBaseline(t, threads)
		return func(times []float64) error {
			for i := range times {
				begin := time.Now()
				if _, err := engine.Classify(camera.Frame{Mat: photo}, ""); err != nil {
					return err
				}
				times[i] = milliseconds(time.Since(begin))
			}
			return nil
		}, bareSide(m)
	})
	return []figure{{what: fmt.Sprintf("frame of 640x480, prepared, Invoke, sorted (Engine.Classify) over a bare Invoke in C, %d threads, p50", threads),
		value:  fmt.Sprintf("%.3f (%.2f over %.2f ms)", ratio, stepMS, bareMS),
		target: fmt.Sprintf("%.2f or less", most), met: ratio <= most, n: rounds * blocks * (blockRuns - 1), spread: spread}}
}
