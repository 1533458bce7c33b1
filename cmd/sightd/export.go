package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"sightd/daemon"
	"sightd/export"
	"sightd/export/graph"
	"sightd/export/weights"
	"sightd/inference"
)

const exportAbout = `Makes a .tflite of GoogLeNet weights, with any number of classes: quantized to int8, or float. What the file holds is told by its
content:
  - a state dict of torchvision's googlenet, saved by torch.save (.pth, .pt) or as .safetensors; auxiliary heads are left out
  - Caffe's bvlc_googlenet.caffemodel, with its local response normalization
The model takes RGB pictures, however the network was trained; the normalization of each one's published weights needs no flag.
The ranges of int8 activations come from the calibration pictures, run by TensorFlow Lite itself. The model card is written
beside the model, as OUT.json.

Examples:
  sightd export googlenet-1378be20.pth -o googlenet.tflite --labels imagenet.txt --calibration pictures/
  sightd export bvlc_googlenet.caffemodel -o bvlc.tflite --labels imagenet.txt --calibration pictures/ --eval labelled/ --report
  sightd export mine.safetensors -o mine.tflite --labels mine.txt --type float16`

// exportFlags are the flags that aren't options of export.Run as they stand.
type exportFlags struct {
	labels, precision, io string
	mean, std, channels   string
	report, quiet         bool
}

func exportCommand(_ context.Context, c *call) error {
	fs := c.flags("export", "WEIGHTS -o OUT.tflite --labels FILE --calibration DIR [flags]", exportAbout)
	o := export.Options{Exporter: "sightd " + version}
	f := addExportFlags(fs, &o)
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(arguments) != 1 {
		return usageError{fmt.Sprintf("want one file of weights, have %d", len(arguments))}
	}
	o.Weights = arguments[0]
	if err := f.apply(&o); err != nil {
		return err
	}
	bar := newBar(c.stderr, f.quiet)
	o.Progress = bar.show
	report, err := export.Run(o)
	bar.end()
	if err != nil {
		return err
	}
	return writeReport(c.stdout, o, report, f.report)
}

// addExportFlags defines the flags.
func addExportFlags(fs *flag.FlagSet, o *export.Options) *exportFlags {
	f := &exportFlags{}
	fs.StringVar(&f.labels, "labels", "", "`FILE` with one label a line, in the order of the classes (required)")
	fs.StringVar(&o.Output, "o", "", "the .tflite `FILE` to write (required)")
	fs.StringVar(&o.Name, "name", "", "the model's `NAME` in its card and in messages; without it that of the file")
	fs.StringVar(&o.Calibration, "calibration", "", fmt.Sprintf("`DIR` of pictures such as the model will see, at least %d; 100 to 500 are good, "+
		"best ones that the network wasn't trained on (required for int8; a float model is compared with its weights on them)", export.MinPictures))
	fs.StringVar(&o.Eval, "eval", "", "`DIR` of labelled pictures, to measure accuracy: a folder for each class, named by label, by class number or so that "+
		"sorted names have the order of the labels; or names that start with the class number, as 007-goose.jpg. Class numbers begin with 0")
	fs.IntVar(&o.Size, "size", 224, "height and width of the input in pixels: 96, 128, 160 … 512")
	fs.StringVar(&f.precision, "type", "int8", "type of the weights: int8 (activations too), float16 or float32 (activations in float32)")
	fs.StringVar(&f.io, "io", "", "type of the input: int8 (pixel-128), uint8 (pixel) or float32 ((pixel-mean)/std); without it int8, or float32 with a float --type")
	fs.BoolVar(&o.IntegerOutput, "integer-output", false, "give scores, and features, as integers of the input's type instead of float32: for devices without float")
	fs.BoolVar(&o.Features, "features", false, "give the 1024 pooled features as output 1")
	fs.StringVar(&f.mean, "mean", "",
		"what was subtracted from the pixels in training: `M` or M,M,M in the order of --channels, for pixels from 0 to 255; or from 0 to 1, as in "+
			"torchvision's transforms, if --std is below 1. Without it what the architecture's published weights use")
	fs.StringVar(&f.std, "std", "", "what they were divided by then: `S` or S,S,S; comes with --mean")
	fs.StringVar(&f.channels, "channels", "", "order of the channels in training: rgb or bgr. Without it that of the architecture's published weights")
	fs.StringVar(&o.Author, "author", "", "`NAME` for the model's metadata and card")
	fs.StringVar(&o.License, "license", "", "`LICENSE` of the model, for its metadata and card")
	fs.BoolVar(&f.report, "report", false, "print each layer's range, scale and signal-to-noise ratio, and write the report to OUT.report.txt")
	fs.IntVar(&o.Threads, "threads", 0, "number of threads for running networks; 0 is one for each core, at most 8")
	fs.BoolVar(&f.quiet, "quiet", false, "print no progress")
	return f
}

// apply checks the flags and sets the options that they mean. o.Weights is set.
func (f *exportFlags) apply(o *export.Options) (err error) {
	o.Precision = export.Precision(f.precision)
	switch o.Precision {
	case export.PrecisionInt8, export.PrecisionFloat16, export.PrecisionFloat32:
	default:
		return usageError{fmt.Sprintf("-type: want int8, float16 or float32, have %q", f.precision)}
	}
	quantized := o.Precision == export.PrecisionInt8
	for _, required := range []struct {
		flag, value string
		needed      bool
	}{{"-o", o.Output, true}, {"-labels", f.labels, true}, {"-calibration", o.Calibration, quantized}} {
		if required.needed && required.value == "" {
			return usageError{required.flag + " is missing"}
		}
	}
	if o.Input, err = inputType(f.io, quantized); err != nil {
		return err
	}
	if o.IntegerOutput && (!quantized || o.Input == inference.Float32) {
		return usageError{fmt.Sprintf("-integer-output: want -type int8 with -io int8 or uint8, have -type %s with input %s", f.precision, o.Input)}
	}
	if err := f.applyTraining(o); err != nil {
		return err
	}
	o.Labels, err = daemon.ReadLabels(f.labels)
	return err
}

// inputType reads --io.
func inputType(io string, quantized bool) (inference.Type, error) {
	types := map[string]inference.Type{"int8": inference.Int8, "uint8": inference.UInt8, "float32": inference.Float32}
	if io == "" {
		io = map[bool]string{true: "int8", false: "float32"}[quantized]
	}
	t, ok := types[io]
	if !ok {
		return t, usageError{fmt.Sprintf("-io: want int8, uint8 or float32, have %q", io)}
	}
	return t, nil
}

// applyTraining reads --mean, --std and --channels. What isn't given stays with the architecture. Without --channels, means and
// deviations are in the architecture's order, for which the weights are looked at.
func (f *exportFlags) applyTraining(o *export.Options) error {
	if f.channels != "" && f.channels != "rgb" && f.channels != "bgr" {
		return usageError{fmt.Sprintf("-channels: want rgb or bgr, have %q", f.channels)}
	}
	bgr := f.channels == "bgr"
	if f.channels != "" {
		o.BGR = &bgr
	}
	if f.mean == "" && f.std == "" {
		return nil
	}
	n, err := normalization(f.mean, f.std)
	if err != nil {
		return usageError{err.Error()}
	}
	if f.channels == "" {
		if bgr, err = trainedOnBGR(o.Weights); err != nil {
			return err
		}
	}
	if bgr {
		n.Mean[0], n.Mean[2] = n.Mean[2], n.Mean[0]
		n.Std[0], n.Std[2] = n.Std[2], n.Std[0]
	}
	o.Normalization = &n
	return nil
}

// trainedOnBGR says whether the published weights of the architecture that a file has were trained on BGR pictures.
func trainedOnBGR(path string) (bool, error) {
	set, err := weights.Open(path)
	if err != nil {
		return false, err
	}
	architecture, err := graph.Recognize(set)
	if err := errors.Join(err, set.Close()); err != nil {
		return false, err
	}
	_, bgr := architecture.Trained()
	return bgr, nil
}

// normalization reads --mean and --std, in their own order.
func normalization(mean, std string) (n graph.Normalization, err error) {
	var errs []error
	read := func(flag, text string) (v [3]float64) {
		if text == "" {
			errs = append(errs, fmt.Errorf("-%s is missing: -mean and -std come together", flag))
			return v
		}
		parts := strings.Split(text, ",")
		if len(parts) != 1 && len(parts) != 3 {
			errs = append(errs, fmt.Errorf("-%s: want one number or three, have %q", flag, text))
			return v
		}
		for i := range v {
			f, err := strconv.ParseFloat(strings.TrimSpace(parts[i%len(parts)]), 64)
			if err != nil {
				errs = append(errs, fmt.Errorf("-%s: want a number, have %q", flag, parts[i%len(parts)]))
			}
			v[i] = f
		}
		return v
	}
	n.Mean, n.Std = read("mean", mean), read("std", std)
	if max(n.Std[0], n.Std[1], n.Std[2]) < 1 && max(n.Mean[0], n.Mean[1], n.Mean[2]) <= 1 {
		// No network is fed pixels of 0 to 255 divided by less than 1: these are for pixels of 0 to 1.
		for i := range 3 {
			n.Mean[i], n.Std[i] = 255*n.Mean[i], 255*n.Std[i]
		}
	}
	return n, errors.Join(errs...)
}
