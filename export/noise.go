package export

import (
	"fmt"
	"math"

	"sightd/export/quantize"
)

// noisePictures is how many pictures the layers of both networks are compared on.
const noisePictures = 4

// layerFigures says how a layer came through.
type layerFigures struct {
	name, operator string
	float          bool            // computed in float
	low, high      float64         // of what it answered on the calibration pictures
	params         quantize.Params // of its int8 values; zero if they stay float
	snr            float64         // decibels
}

// measureNoise runs both networks on the first calibration pictures with the values of all layers as outputs, and gives the signal-to-noise
// ratio of each layer:
//
//	10*log10(sum of squares of the float network's values / sum of squares of the differences)
//
// It is what a layer inherits from those before it and adds itself.
func measureNoise(float *floatNetwork, b *built, seen *observed, p *pictures, threads int) ([]layerFigures, error) {
	alone := *b
	alone.f.features = false // an output may be there once only
	m, err := alone.model(float.layers)
	if err != nil {
		return nil, err
	}
	data, err := m.Bytes()
	if err != nil {
		return nil, err
	}
	runs, err := openTwice(data, threads)
	if err != nil {
		return nil, err
	}
	defer closeBoth(runs)
	first := len(m.Outputs) - len(float.layers)
	type sums struct{ signal, noise float64 }
	halves := [2][]sums{make([]sums, len(float.layers)), make([]sums, len(float.layers))}
	err = inHalves(min(noisePictures, len(p.samples)), func(_, _ int) {}, func(half, i int) error {
		if err := invoke(float.runs[half], float.norm, p.samples[i].pixels); err != nil {
			return err
		}
		if err := invoke(runs[half], float.norm, p.samples[i].pixels); err != nil {
			return err
		}
		for j, layer := range float.layers {
			want, err := float.runs[half].Floats(1 + j)
			if err != nil {
				return err
			}
			have, err := runs[half].Floats(first + j)
			if err != nil {
				return err
			}
			signal, noise := compareValues(want, have, b.f.plan.Factors[layer])
			halves[half][j].signal += signal
			halves[half][j].noise += noise
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("compare the layers: %w", err)
	}
	figures, inFloat := make([]layerFigures, 0, len(float.layers)), floatOps(b.g, b.f)
	for j, layer := range float.layers {
		op := b.g.Op(layer)
		if !op.Computes() {
			continue
		}
		l := layerFigures{name: layer, operator: string(op.Kind), float: inFloat[layer], params: b.f.plan.Params[layer]}
		l.low, l.high = seen.seen[layer].Bounds()
		l.snr = decibels(halves[0][j].signal+halves[1][j].signal, halves[0][j].noise+halves[1][j].noise)
		figures = append(figures, l)
	}
	return figures, nil
}

// compareValues gives the sums of squares of want, and of how far have, multiplied by its channels' factors, is from it.
func compareValues(want, have []float32, factors []float64) (signal, noise float64) {
	for i, w := range want {
		h := float64(have[i])
		if factors != nil {
			h *= factors[i%len(factors)]
		}
		d := h - float64(w)
		signal += float64(w) * float64(w)
		noise += d * d
	}
	return signal, noise
}

// maxDecibels stands for no noise at all: float32 has no better.
const maxDecibels = 150

// decibels gives a ratio of powers; that of nothing to nothing is maxDecibels.
func decibels(signal, noise float64) float64 {
	if noise == 0 {
		return maxDecibels
	}
	if signal == 0 {
		return -maxDecibels
	}
	return min(max(10*math.Log10(signal/noise), -maxDecibels), maxDecibels)
}
