package daemon

import (
	"errors"
	"fmt"
	"slices"

	"sightd/inference"
	"sightd/inference/tflite"
)

// diagnose says why the golden inputs of a model's file are likely to have failed with cause, "" if it can't.
func (e *Engine) diagnose(data []byte, goldens []inference.Golden, tolerance float32, cause error) string {
	if errors.Is(cause, errHung) {
		return ""
	}
	var plain inference.Run
	if e.Delegation().Delegate != inference.CPU {
		run, err := tflite.OpenBytes(data, inference.Options{Delegate: inference.CPU, Threads: e.Threads()})
		if err == nil {
			defer run.Close() // frees C memory; there is nothing to report
			plain = (&Engine{run: run, input: e.input}).scoresOf
		} // else the cause is looked for without it
	}
	return inference.Diagnose(goldens, tolerance, e.scoresOf, plain, e.variants())
}

// normalization is a way in which networks of floats are fed.
type normalization struct {
	name      string
	mean, std [3]float32
}

// usual are the normalizations that frameworks have.
var usual = []normalization{
	{"-1 to 1, (p-127.5)/127.5", [3]float32{127.5, 127.5, 127.5}, [3]float32{127.5, 127.5, 127.5}},
	{"0 to 1, p/255", [3]float32{}, [3]float32{255, 255, 255}},
	{"0 to 255, p", [3]float32{}, [3]float32{1, 1, 1}},
	{"torchvision's, (p/255-mean)/std", [3]float32{123.675, 116.28, 103.53}, [3]float32{58.395, 57.12, 57.375}},
}

// variants are the other ways to fill the input, each with what is wrong if it is the right one.
func (e *Engine) variants() []inference.Variant {
	variants := []inference.Variant{{
		Cause: "the channels are swapped: the network wants blue, green, red",
		Run: func(scores []float32, pixels []byte) error {
			pixels = slices.Clone(pixels)
			for i := 0; i+2 < len(pixels); i += 3 {
				pixels[i], pixels[i+2] = pixels[i+2], pixels[i]
			}
			return e.scoresOf(scores, pixels)
		},
	}}
	if e.input.Type != inference.Float32 {
		return append(variants, inference.Variant{
			Cause: "the input's zero point is off by 128: the network was made for pixels of the other integer type",
			Run: func(scores []float32, pixels []byte) error {
				pixels = slices.Clone(pixels)
				for i := range pixels {
					pixels[i] ^= 0x80 // p-128 for p, and the other way round
				}
				return e.scoresOf(scores, pixels)
			},
		})
	}
	for _, n := range usual {
		in := e.input
		if in.Mean, in.Std = n.mean, n.std; in == e.input {
			continue
		}
		variants = append(variants, inference.Variant{
			Cause: fmt.Sprintf("the scale of the input is wrong: the network wants pixels as %s, and is given (p-%v)/%v",
				n.name, e.input.Mean, e.input.Std),
			Run: func(scores []float32, pixels []byte) error {
				return (&Engine{run: e.run, input: in}).scoresOf(scores, pixels)
			},
		})
	}
	return variants
}
