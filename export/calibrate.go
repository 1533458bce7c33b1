package export

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"sightd/export/graph"
	"sightd/export/quantize"
	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/preprocess"
)

// floatNetwork is the float network: what the int8 network is made after and compared with.
type floatNetwork struct {
	network
	layers []string // output 1+i is the value of layers[i]
}

// openFloat writes the graph as a float .tflite in memory and opens it, with the values of layers as outputs. Close it.
func openFloat(g *graph.Graph, norm graph.Normalization, layers []string, threads int) (*floatNetwork, error) {
	m, err := Float(g, layers)
	if err != nil {
		return nil, fmt.Errorf("write the float network: %w", err)
	}
	data, err := m.Bytes()
	if err != nil {
		return nil, fmt.Errorf("write the float network: %w", err)
	}
	runs, err := openTwice(data, threads)
	if err != nil {
		return nil, fmt.Errorf("open the float network: %w", err)
	}
	return &floatNetwork{network{runs, norm}, layers}, nil
}

// openTwice opens a model for inHalves, each on half of the threads.
func openTwice(data []byte, threads int) (runs [2]*tflite.Classifier, err error) {
	if threads == 0 {
		threads = min(runtime.NumCPU(), maxThreads)
	}
	options := inference.Options{Delegate: inference.Auto, Threads: max(threads/2, 1)}
	var wait sync.WaitGroup
	var errs [2]error
	for i := range runs {
		wait.Go(func() { runs[i], errs[i] = tflite.OpenBytes(data, options) })
	}
	wait.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		closeBoth(runs)
		return runs, err
	}
	return runs, nil
}

// maxThreads is how many threads are used if the options name none.
const maxThreads = 8

// closeBoth frees C memory; there is nothing to report.
func closeBoth(runs [2]*tflite.Classifier) {
	for _, run := range runs {
		if run != nil {
			run.Close()
		}
	}
}

// inHalves calls do for each of n pictures: with 0 for the first, third, fifth …, and side by side with that, with 1 for the others. The
// first error stops both.
func inHalves(n int, progress func(done, total int), do func(half, i int) error) error {
	var wait sync.WaitGroup
	var lock sync.Mutex
	var errs [2]error
	done, failed := 0, false
	for half := range 2 {
		wait.Go(func() {
			for i := half; i < n; i += 2 {
				err := do(half, i)
				lock.Lock()
				done++
				if errs[half] = err; err != nil {
					failed = true
				} else {
					progress(done, n)
				}
				stop := failed
				lock.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wait.Wait()
	return errors.Join(errs[:]...)
}

// invoke writes plain pixels to the input as its type asks for, and runs the network.
func invoke(run *tflite.Classifier, norm graph.Normalization, pixels []byte) error {
	spec := run.Spec().Input
	in := preprocess.Input{Height: spec.Shape[1], Width: spec.Shape[2], Type: spec.Type}
	for c := range 3 {
		in.Mean[c], in.Std[c] = float32(norm.Mean[c]), float32(norm.Std[c])
	}
	if err := in.Fill(run.Input(), pixels); err != nil {
		return err
	}
	return run.Invoke()
}

// calibrate runs the float network over the pictures, and notes what the values of its layers are.
func calibrate(f *floatNetwork, g *graph.Graph, p *pictures, progress func(done, total int)) (*observed, error) {
	n := len(p.samples)
	out := &observed{seen: map[string]*quantize.Seen{}, scores: make([][]float32, n), logits: make([][]float32, n)}
	seen := make([]*quantize.Seen, len(f.layers))
	for i, layer := range f.layers {
		shape := f.runs[0].Spec().Outputs[i+1].Shape
		seen[i] = quantize.NewSeen(shape[len(shape)-1])
		seen[i].Sampled = !g.Op(layer).Computes()
		out.seen[layer] = seen[i]
	}
	return out, inHalves(n, progress, func(half, i int) error {
		run := f.runs[half]
		if err := invoke(run, f.norm, p.samples[i].pixels); err != nil {
			return fmt.Errorf("calibrate with %s: %w", p.samples[i].file, err)
		}
		for j, layer := range f.layers {
			values, err := run.Floats(1 + j)
			if err != nil {
				return fmt.Errorf("calibrate with %s: %s: %w", p.samples[i].file, layer, err)
			}
			seen[j].Include(i, values)
			if layer == graph.Classifier {
				out.logits[i] = slices.Clone(values)
			}
		}
		out.scores[i] = make([]float32, len(out.logits[i]))
		return run.Output(0, out.scores[i])
	})
}

// layersOf names the values that calibration looks at: those that become int8, and the max pools that layers read, whose means differ
// from those of what they pool. float names the operators that are computed in float.
func layersOf(g *graph.Graph, float map[string]bool) []string {
	var names []string
	for i := range g.Ops {
		op := &g.Ops[i]
		if !op.Computes() && op.Kind != graph.MaxPool {
			continue
		}
		if float[op.Name] && (op.Kind == graph.Conv || op.Kind == graph.MaxPool) {
			continue
		}
		names = append(names, op.Name)
	}
	return names
}
