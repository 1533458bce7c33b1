package export

import (
	"fmt"

	"sightd/export/graph"
	"sightd/export/quantize"
	"sightd/export/tflitefile"
	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/preprocess"
)

// floatNetwork is the float network in TensorFlow Lite, with the values of its layers as outputs: what the int8 network is made after
// and compared with.
type floatNetwork struct {
	run    *tflite.Classifier
	norm   graph.Normalization
	layers []string // output 1+i is the value of layers[i]
	values [][]float32
}

// openFloat writes the graph as a float .tflite in memory and opens it.
func openFloat(g *graph.Graph, norm graph.Normalization, layers []string, threads int) (*floatNetwork, error) {
	m, err := Float(g, layers)
	if err != nil {
		return nil, fmt.Errorf("write the float network: %w", err)
	}
	run, err := open(m, threads)
	if err != nil {
		return nil, fmt.Errorf("open the float network: %w", err)
	}
	f := &floatNetwork{run: run, norm: norm, layers: layers}
	for _, spec := range run.Spec().Outputs {
		f.values = append(f.values, make([]float32, spec.NumElements()))
	}
	return f, nil
}

func open(m *tflitefile.Model, threads int) (*tflite.Classifier, error) {
	data, err := m.Bytes()
	if err != nil {
		return nil, err
	}
	return tflite.OpenBytes(data, inference.Options{Delegate: inference.Auto, Threads: threads})
}

// scores runs the network on plain pixels. The slice is valid until the next call.
func (f *floatNetwork) scores(pixels []byte) ([]float32, error) {
	if err := invoke(f.run, f.norm, pixels); err != nil {
		return nil, err
	}
	return f.values[0], f.run.Output(0, f.values[0])
}

// observe runs the network on plain pixels and shows each layer's values.
func (f *floatNetwork) observe(pixels []byte, show func(layer string, values []float32)) error {
	if err := invoke(f.run, f.norm, pixels); err != nil {
		return err
	}
	for i, layer := range f.layers {
		if err := f.run.Output(i+1, f.values[i+1]); err != nil {
			return fmt.Errorf("%s: %w", layer, err)
		}
		show(layer, f.values[i+1])
	}
	return nil
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

// calibrate runs the float network over the pictures and notes the range of each layer's values.
func calibrate(f *floatNetwork, p *pictures, progress func(done, total int)) (map[string]*quantize.Range, error) {
	seen := map[string]*quantize.Range{}
	for _, layer := range f.layers {
		seen[layer] = &quantize.Range{}
	}
	include := func(layer string, values []float32) { seen[layer].Include(values) }
	for i, s := range p.samples {
		if err := f.observe(s.pixels, include); err != nil {
			return nil, fmt.Errorf("calibrate with %s: %w", s.file, err)
		}
		progress(i+1, len(p.samples))
	}
	return seen, nil
}

// layersOf names the values that calibration looks at: those of convolutions, the pooled features and the logits. All others
// share their range.
func layersOf(g *graph.Graph) []string {
	var names []string
	for _, op := range g.Ops {
		switch op.Kind {
		case graph.Conv, graph.Mean, graph.FullyConnected:
			names = append(names, op.Name)
		}
	}
	return names
}
