package testbench

import (
	"fmt"
	"image"
	"testing"
	"time"

	"sightd/camera"
	"sightd/daemon"
	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/models"
	"sightd/models/drawn"
	"sightd/preprocess"
	"sightd/testbench/baseline"
)

const (
	rounds    = 20 // in each of which the models are opened anew
	blocks    = 8  // of each side in a round, by turns
	blockRuns = 20 // in a block, of which the first is left out: it runs beside the other side's threads that spin out
)

// interleave runs two sides in alternating blocks. A side writes the milliseconds of blockRuns runs. It gives the medians of both.
func interleave(t *testing.T, a, b func(times []float64) error) (medianA, medianB float64) {
	t.Helper()
	var allA, allB []float64
	times := make([]float64, blockRuns)
	for block := range 2 * blocks {
		side, all := a, &allA
		if block%4 == 1 || block%4 == 2 { // A B B A: a drift in time hits both alike
			side, all = b, &allB
		}
		if err := side(times); err != nil {
			t.Fatal(err)
		}
		*all = append(*all, times[1:]...)
	}
	return median(allA), median(allB)
}

// compareRounds opens two sides rounds times and gives the medians and the ratio a/b of their medians, each the median over the rounds.
func compareRounds(t *testing.T, rounds int, open func(t *testing.T) (a, b func(times []float64) error)) (msA, msB, ratio float64, spread string) {
	t.Helper()
	var allA, allB, ratios []float64
	for i := range rounds {
		t.Run(fmt.Sprint("round ", i), func(t *testing.T) { // a subtest closes what it has opened
			a, b := open(t)
			medianA, medianB := interleave(t, a, b)
			allA, allB, ratios = append(allA, medianA), append(allB, medianB), append(ratios, medianA/medianB)
		})
	}
	if len(ratios) == 0 {
		t.FailNow()
	}
	return median(allA), median(allB), median(ratios), fmt.Sprintf("%.3f to %.3f over %d rounds", quantile(ratios, 0), quantile(ratios, 1), len(ratios))
}

// openBaseline opens the default model without Go.
func openBaseline(t *testing.T, threads int) *baseline.Model {
	t.Helper()
	data, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	m, err := baseline.Open(data, threads, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// bareSide gives the milliseconds of Invoke alone, as C takes them.
func bareSide(m *baseline.Model) func([]float64) error {
	durations := make([]time.Duration, blockRuns)
	return func(times []float64) error {
		if err := m.Run(durations[:len(times)]); err != nil {
			return err
		}
		for i := range times {
			times[i] = milliseconds(durations[i])
		}
		return nil
	}
}

// aloneSides invoke the default model through sightd's Classifier and through C, on the same input.
func aloneSides(t *testing.T) (goSide, cSide func([]float64) error) {
	data, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	c, err := tflite.OpenBytes(data, inference.Options{Delegate: inference.XNNPACK})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() }) // frees C memory; there is nothing to report
	m := openBaseline(t, c.Threads())
	copy(c.Input(), m.Input())
	return func(times []float64) error {
		for i := range times {
			start := time.Now()
			if err := c.Invoke(); err != nil {
				return err
			}
			times[i] = milliseconds(time.Since(start))
		}
		return nil
	}, bareSide(m)
}

// stepSides classify a frame as the daemon does, and prepare the same frame for C.
func stepSides(t *testing.T) (goSide, cSide func([]float64) error) {
	engine := openEngine(t, daemon.EngineOptions{Top: 5, Options: inference.Options{Delegate: inference.XNNPACK}})
	m := openBaseline(t, engine.Threads())
	spec := engine.Spec().Input
	transform, err := preprocess.New(preprocess.Input{Height: spec.Shape[1], Width: spec.Shape[2], Type: spec.Type}, preprocess.Squash)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transform.Close() }) // frees C memory; there is nothing to report
	frame := decodeDrawn(t, 480)
	one := make([]time.Duration, 1)
	return engineSide(engine, frame), func(times []float64) error {
		for i := range times {
			if err := transform.Apply(m.Input(), frame); err != nil {
				return err
			}
			if err := m.Run(one); err != nil {
				return err
			}
			times[i] = milliseconds(one[0])
		}
		return nil
	}
}

// engineSide gives the milliseconds of Invoke that the daemon publishes.
func engineSide(engine *daemon.Engine, frame camera.Frame) func([]float64) error {
	return func(times []float64) error {
		for i := range times {
			result, err := engine.Classify(frame, "")
			if err != nil {
				return err
			}
			times[i] = result.InferMS
		}
		return nil
	}
}

// delegateSides run the daemon's way with the built-in kernels and with XNNPACK.
func delegateSides(t *testing.T) (plain, xnnpack func([]float64) error) {
	frame := decodeDrawn(t, 480)
	cpu := openEngine(t, daemon.EngineOptions{Top: 5, Options: inference.Options{Delegate: inference.CPU}})
	x := openEngine(t, daemon.EngineOptions{Top: 5, Options: inference.Options{Delegate: inference.XNNPACK}})
	return engineSide(cpu, frame), engineSide(x, frame)
}

// measureInvoke compares Invoke in Go and in C, and XNNPACK with the built-in kernels.
func measureInvoke(t *testing.T) []figure {
	runs := rounds * blocks * (blockRuns - 1)
	goMS, cMS, alone, aloneSpread := compareRounds(t, rounds, aloneSides)
	daemonMS, bareMS, step, stepSpread := compareRounds(t, rounds, stepSides)
	const fewer = 3 // the built-in kernels are slow
	plainMS, xMS, ratio, ratioSpread := compareRounds(t, fewer, delegateSides)

	engine := openEngine(t, daemon.EngineOptions{})
	d := engine.Delegation()
	return []figure{
		{what: fmt.Sprintf("Invoke, alone: go-tflite over C, %d threads", engine.Threads()), value: fmt.Sprintf("%.3f (%.2f over %.2f ms)", alone, goMS, cMS),
			target: "1.03 or less", met: alone <= 1.03, n: runs, spread: aloneSpread},
		{what: fmt.Sprintf("Invoke, in a step: the daemon's over C, %d threads", engine.Threads()), value: fmt.Sprintf("%.3f (%.2f over %.2f ms)", step, daemonMS, bareMS),
			target: "1.03 or less", met: step <= 1.03, n: runs, spread: stepSpread},
		{what: "Invoke: built-in kernels over XNNPACK", value: fmt.Sprintf("%.1f (%.1f over %.2f ms)", ratio, plainMS, xMS),
			n: fewer * blocks * (blockRuns - 1), spread: ratioSpread},
		{what: "nodes that XNNPACK takes", value: fmt.Sprintf("%d of %d", d.Taken, d.Total), target: "all but a named few", met: d.Taken == d.Total, n: 1},
	}
}

// measureStep measures what the daemon does with a picture of 500x375.
func measureStep(t *testing.T) []figure {
	img, err := drawn.Image("golf_ball", 500)
	if err != nil {
		t.Fatal(err)
	}
	file := encodeJPEG(t, img.SubImage(image.Rect(0, 60, 500, 435)), 90)
	engine := openEngine(t, daemon.EngineOptions{Top: 5})
	decoder := camera.NewDecoder(testLimits)
	defer decoder.Close() // frees C memory; there is nothing to report
	const warmup, n = 20, 500
	var frame camera.Frame
	times := map[string][]float64{}
	for i := range warmup + n {
		start := time.Now()
		mat, _, err := decoder.Decode(file)
		if err != nil {
			t.Fatal(err)
		}
		frame = camera.Frame{Mat: mat}
		decoded := time.Now()
		result, err := engine.Classify(frame, "")
		if err != nil {
			t.Fatal(err)
		}
		if i < warmup {
			continue
		}
		whole, decode := milliseconds(time.Since(start)), milliseconds(decoded.Sub(start))
		times["whole"] = append(times["whole"], whole)
		times["decode"] = append(times["decode"], decode)
		times["Invoke"] = append(times["Invoke"], result.InferMS)
		times["prepare, sort"] = append(times["prepare, sort"], whole-decode-result.InferMS)
	}
	var figures []figure
	for _, part := range []string{"decode", "prepare, sort", "Invoke", "whole"} {
		v := times[part]
		figures = append(figures, figure{
			what:  fmt.Sprintf("step of a 500x375 JPEG of %d kB: %s", len(file)/1000, part),
			value: fmt.Sprintf("p50 %.2f ms, p95 %.2f ms", median(v), quantile(v, 0.95)), n: n,
			spread: fmt.Sprintf("%.2f to %.2f ms", quantile(v, 0), quantile(v, 1)),
		})
	}
	heap := allocations(t, engine, frame, "")
	return append(figures, figure{what: "allocations on the Go heap, preprocessing and inference", value: fmt.Sprintf("%v a frame", heap),
		target: "0", met: heap == 0, n: 20, command: "go test -run TestClassifyAllocatesNothing ./testbench"})
}
