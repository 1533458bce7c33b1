package testbench

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"sightd/camera"
	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/models"
	"sightd/preprocess"
)

// stages is the processor time of a picture's two stages in milliseconds: read, decode and prepare; and Invoke on one thread.
type stages struct{ prepare, invoke float64 }

// bound is how many pictures a second so many cores could do, did they nothing else.
func (s stages) bound(cores int) float64 { return float64(cores) * 1000 / (s.prepare + s.invoke) }

// worker has what the two stages need.
type worker struct {
	decoder   *camera.Decoder // as the daemon has it
	transform *preprocess.Transform
	run       *tflite.Classifier
	scores    []float32
}

// newWorker opens a model with a quantized input, on one thread; "" is the embedded one.
func newWorker(t testing.TB, model string) *worker {
	t.Helper()
	data, _, err := models.Default()
	if model != "" {
		data, err = os.ReadFile(model)
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{decoder: camera.NewDecoder(testLimits)}
	t.Cleanup(func() { w.decoder.Close() }) // frees C memory; there is nothing to report
	if w.run, err = tflite.OpenBytes(data, inference.Options{Delegate: inference.XNNPACK, Threads: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.run.Close() }) // likewise
	w.scores = make([]float32, w.run.Spec().NumClasses())
	spec := w.run.Spec().Input
	w.transform, err = preprocess.New(preprocess.Input{Height: spec.Shape[1], Width: spec.Shape[2], Type: spec.Type}, preprocess.Squash)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.transform.Close() }) // likewise
	w.decoder.Enough = w.transform.Enough
	return w
}

// prepare reads, decodes and prepares a picture.
func (w *worker) prepare(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	mat, _, err := w.decoder.ReadFile(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return w.transform.Apply(w.run.Input(), camera.Frame{Mat: mat})
}

// best invokes the network on what is prepared, and gives the best class.
func (w *worker) best() (int, error) {
	if err := w.run.Invoke(); err != nil {
		return 0, err
	}
	err := w.run.Output(0, w.scores)
	return argmax(w.scores), err
}

// judge does both stages, and adds their processor time. The caller's goroutine has a thread of its own.
func (w *worker) judge(file string, s *stages) error {
	begin, err := threadTime()
	if err != nil {
		return err
	}
	if err := w.prepare(file); err != nil {
		return err
	}
	prepared, err := threadTime()
	if err != nil {
		return err
	}
	if err := w.run.Invoke(); err != nil {
		return err
	}
	end, err := threadTime()
	s.prepare += milliseconds(prepared - begin)
	s.invoke += milliseconds(end - prepared)
	return err
}

// threadTime is the processor time of the calling thread.
func threadTime() (time.Duration, error) {
	var used unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &used); err != nil {
		return 0, fmt.Errorf("read the thread's processor time: %w", err)
	}
	return time.Duration(used.Nano()), nil
}

// measureStages has workers share the files, all at the same time, and gives the mean of a picture's stages.
func measureStages(t testing.TB, workers []*worker, files []string) stages {
	t.Helper()
	sums := make([]stages, len(workers))
	var all errgroup.Group
	for i, w := range workers {
		all.Go(func() error {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for k := i; k < len(files); k += len(workers) {
				if err := w.judge(files[k], &sums[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	var mean stages
	for _, s := range sums {
		mean.prepare += s.prepare / float64(len(files))
		mean.invoke += s.invoke / float64(len(files))
	}
	return mean
}

const leastShare = 0.92 // of the bound

// measureBound compares what a folder gets through with what the two stages' own processor time allows, each measured in each round. A
// process may be some percent faster or slower all its life, by where its memory lies, so each round has a daemon and workers of its own.
func measureBound(t *testing.T) []figure {
	const rounds, many = 9, 2000
	cores := runtime.NumCPU()
	dir := smallPhotos(t, imagenetPhotos(t, 0))
	twice, files := doubled(t, dir), paths(t, dir)
	var single, busy []stages
	var command, daemon []used
	var peak float64
	for round := range rounds {
		if !t.Run(fmt.Sprint(round+1), func(t *testing.T) {
			workers := make([]*worker, cores)
			for i := range workers {
				workers[i] = newWorker(t, "")
			}
			measureStages(t, workers, files) // the first pictures are slower
			l := startBacklog(t, files)
			l.burst(t, many/10) // likewise
			single = append(single, measureStages(t, workers[:1], files))
			command = append(command, folderCost(t, dir, twice))
			busy = append(busy, measureStages(t, workers, files))
			cost, _ := l.burst(t, many)
			daemon = append(daemon, cost)
			peak = max(peak, memoryMB(t, l.p.cmd.Process.Pid, "VmHWM:"))
			l.p.stop(t)
		}) {
			t.FailNow()
		}
	}
	figures := boundFigures(cores, len(files), single, busy, way{"`sightd classify DIR`", "", len(files), command},
		way{"watched folder, embedded broker", fmt.Sprintf(", %d at once, from the first move to the last event at a client", many), many, daemon})
	return append(figures,
		figure{what: "`sightd classify DIR`: peak of the resident memory", value: fmt.Sprintf("%.1f MB", folderPeak(t, twice)), n: 1},
		figure{what: "watched folder: peak of the resident memory", value: fmt.Sprintf("%.1f MB", peak), n: rounds})
}

// column takes something of each round.
func column[T any](rounds []T, of func(T) float64) (values []float64) {
	for _, r := range rounds {
		values = append(values, of(r))
	}
	return values
}

// way is how a folder is got through.
type way struct {
	name, about string
	n           int // pictures of a round
	costs       []used
}

// boundFigures are the rows of measureBound, of its rounds, each of so many pictures for the stages.
func boundFigures(cores, pictures int, single, busy []stages, ways ...way) (figures []figure) {
	row := func(what string, n int, values []float64, format string) {
		figures = append(figures, figure{what: what, value: fmt.Sprintf(format, median(values)), n: n * len(values),
			spread: fmt.Sprintf(format+" to "+format+" over %d rounds", quantile(values, 0), quantile(values, 1), len(values))})
	}
	kinds := []struct {
		name   string
		stages []stages
	}{{"one core busy", single}, {"all cores busy", busy}}
	for _, k := range kinds {
		row("500-px photo, processor time of reading, decoding and preparing, "+k.name, pictures, column(k.stages, func(s stages) float64 { return s.prepare }), "%.3f ms")
		row("500-px photo, processor time of Invoke on one thread, "+k.name, pictures, column(k.stages, func(s stages) float64 { return s.invoke }), "%.3f ms")
		row("bound: cores over the sum of the two, "+k.name, pictures, column(k.stages, func(s stages) float64 { return s.bound(cores) }), "%.0f a second")
	}
	for _, w := range ways {
		rates := inverse(column(w.costs, func(u used) float64 { return u.wall }))
		row(w.name+": photos a second"+w.about, w.n, rates, "%.0f")
		row(w.name+": processor time of a photo", w.n, column(w.costs, func(u used) float64 { return u.cpu }), "%.2f ms")
		for _, k := range kinds {
			shares := over(rates, column(k.stages, func(s stages) float64 { return s.bound(cores) }))
			share := median(shares)
			figures = append(figures, figure{what: w.name + ": share of the bound with " + k.name, value: fmt.Sprintf("%.1f %%", 100*share),
				target: fmt.Sprintf("%.0f %% or more", 100*leastShare), met: share >= leastShare, n: w.n * len(shares),
				spread: fmt.Sprintf("%.1f to %.1f %% over %d rounds", 100*quantile(shares, 0), 100*quantile(shares, 1), len(shares))})
		}
	}
	return figures
}
