// Package export makes a quantized .tflite file of GoogLeNet weights, with its model card:
//
//	read -> graph -> fold -> calibrate -> quantize -> write -> verify
//
// Run has these stages one after the other: it is where to start reading. The weights are torchvision's or Caffe's; the ranges of
// activations are those that TensorFlow Lite itself computes on the calibration pictures; the written file is opened in
// TensorFlow Lite and compared with the float network. Nothing is downloaded, nothing is run in Python, and nothing of the
// weights file is executed.
package export

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"sightd/export/graph"
	"sightd/export/weights"
	"sightd/inference"
	"sightd/models"
)

// MinPictures is the smallest number of calibration pictures: fewer say too little about the ranges of activations.
const MinPictures = 10

// Options say what to export.
type Options struct {
	Weights     string // torchvision's GoogLeNet (.pth, .safetensors) or Caffe's (.caffemodel): the content decides
	Output      string // the .tflite to write; its card lies beside it with .json instead of .tflite
	Name        string // "" is the output's name without .tflite
	Labels      []string
	Calibration string // folder of pictures
	Eval        string // folder of labelled pictures: a folder for each class, or names that start with the class number; "" for none
	Size        int    // height and width of the input

	Precision     Precision      // of weights and activations
	Input         inference.Type // INT8, UINT8 or FLOAT32
	IntegerOutput bool           // scores as int8 or uint8 instead of float32
	Features      bool

	Normalization *graph.Normalization // red, green, blue; nil: as the architecture's published weights were trained
	BGR           *bool                // whether the network was trained on BGR pictures; nil: as those were

	Author, License string // for the metadata

	without map[step]bool // steps of the int8 method that are left out

	Threads  int    // of the float network, 0: chosen
	Exporter string // for the card: "sightd 0.1.0"

	// Progress is told what is being done and how far it is; nil for nobody.
	Progress func(stage string, done, total int)
}

// Report says what was made.
type Report struct {
	Card    models.Card
	Bytes   int64
	Refused []string // calibration and evaluation pictures that were left out: "FILE: reason"
}

// Run exports. The two files are written whole or not at all.
func Run(o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	made := &made{}
	float, evaluation, err := o.prepare(made)
	if err != nil {
		return nil, err
	}
	defer closeBoth(float.runs)
	if err := o.make(made, float, evaluation); err != nil {
		return nil, err
	}
	card := o.card(made)
	if err := o.write(made.data, card); err != nil {
		return nil, err
	}
	return &Report{Card: *card, Bytes: int64(len(made.data)), Refused: made.refused}, nil
}

// prepare opens the float network and reads the pictures, side by side.
func (o *Options) prepare(made *made) (float *floatNetwork, evaluation *folder, err error) {
	var group errgroup.Group
	group.Go(func() (err error) {
		if err := o.readNetwork(made); err != nil {
			return err
		}
		var layers []string
		if o.Precision == PrecisionInt8 {
			layers = layersOf(made.g, floatOps(made.g, form{int8: true, integer: o.IntegerOutput}))
		}
		float, err = openFloat(made.g, made.norm, layers, o.Threads)
		return err
	})
	group.Go(func() (err error) {
		made.calibration, evaluation, err = o.readPictures()
		return err
	})
	if err := group.Wait(); err != nil {
		if float != nil {
			closeBoth(float.runs)
		}
		return nil, nil, err
	}
	return float, evaluation, nil
}

// readNetwork reads the weights into a graph that takes RGB.
func (o *Options) readNetwork(made *made) (err error) {
	if made.set, err = weights.Open(o.Weights); err != nil {
		return err
	}
	made.g, err = graph.GoogLeNet(made.set, o.Size)
	if err := errors.Join(err, made.set.Close()); err != nil {
		return err
	}
	if made.norm, made.bgr = o.normalization(made.g.Architecture); made.bgr {
		made.g.SwapChannels()
	}
	if len(o.Labels) != made.g.Classes {
		return fmt.Errorf("match labels to weights: want %d labels, as %s has classes, have %d", made.g.Classes, o.Weights, len(o.Labels))
	}
	return nil
}

// make builds the network in the form that is asked for, writes it to memory and measures it.
func (o *Options) make(made *made, float *floatNetwork, evaluation *folder) (err error) {
	var b *built
	var seen *observed
	if o.Precision == PrecisionInt8 {
		if seen, err = calibrate(float, made.g, made.calibration, o.progress("calibrating")); err != nil {
			return err
		}
		if b, err = o.buildInt8(made.g, made.norm, seen); err != nil {
			return err
		}
		made.weights, made.activations = "int8, symmetric, one scale for each output channel", "int8, one scale for a tensor"
		for _, s := range o.stepsOf(b) {
			made.steps = append(made.steps, string(s))
		}
	} else {
		b = o.buildFloat(made.g, made.norm)
		made.weights, made.activations = string(o.Precision), "float32"
	}
	var written network
	defer func() { closeBoth(written.runs) }()
	if o.Precision == PrecisionInt8 {
		figures, err := measureNoise(float, b, seen, made.calibration, o.Threads)
		if err != nil {
			return err
		}
		made.layers = layerCards(figures)
	}
	if written, err = o.writeModel(made, b); err != nil {
		return err
	}
	if err := o.verify(made, float, written, seen); err != nil || evaluation == nil {
		return err
	}
	e, refused, err := evaluateFolder(evaluation, o.Size, float.network, written, o.progress("evaluating"))
	if err != nil {
		return err
	}
	made.accuracy = e.accuracyCard(evaluation.rule)
	made.refused = append(made.refused, refused...)
	return nil
}

// writeModel writes the model to memory and opens it as a user's program would.
func (o *Options) writeModel(made *made, b *built) (network, error) {
	m, err := b.model(nil)
	if err != nil {
		return network{}, err
	}
	o.addMetadata(m, made.g.Architecture, made.norm)
	if made.data, err = m.Bytes(); err != nil {
		return network{}, fmt.Errorf("write %s: %w", o.Output, err)
	}
	runs, err := openTwice(made.data, o.Threads)
	if err != nil {
		return network{}, fmt.Errorf("open the written model: %w", err)
	}
	return network{runs, made.norm}, nil
}

// normalization gives what the options say of the network's input, or what is known of its architecture.
func (o *Options) normalization(a graph.Architecture) (norm graph.Normalization, bgr bool) {
	norm, bgr = a.Trained()
	if o.Normalization != nil {
		norm = *o.Normalization
	}
	if o.BGR != nil {
		bgr = *o.BGR
	}
	return norm, bgr
}

// check refuses options that can't be meant.
func (o *Options) check() error {
	if err := graph.CheckSize(o.Size); err != nil {
		return err
	}
	if filepath.Ext(o.Output) != ".tflite" {
		return fmt.Errorf("output: want a name that ends in .tflite, have %q", o.Output)
	}
	switch {
	case o.Precision != PrecisionInt8 && o.Precision != PrecisionFloat16 && o.Precision != PrecisionFloat32:
		return fmt.Errorf("precision: want %s, %s or %s, have %q", PrecisionInt8, PrecisionFloat16, PrecisionFloat32, o.Precision)
	case o.IntegerOutput && (o.Precision != PrecisionInt8 || o.Input == inference.Float32):
		return fmt.Errorf("integer output: want an int8 network with an input of int8 or uint8, have %s with %s", o.Precision, o.Input)
	}
	if o.Input != inference.Int8 && o.Input != inference.UInt8 && o.Input != inference.Float32 {
		return fmt.Errorf("type of the input: want int8, uint8 or float32, have %s", o.Input)
	}
	for i := range 3 {
		if o.Normalization == nil {
			break
		}
		m, s := o.Normalization.Mean[i], o.Normalization.Std[i]
		if !(m >= 0 && m <= 255) || !(s >= 0.001 && s <= 1000) {
			return fmt.Errorf("normalization: want means from 0 to 255 and stds from 0.001 to 1000, both for pixels from 0 to 255, have mean %g and std %g", m, s)
		}
	}
	for i, l := range o.Labels {
		if l == "" {
			return fmt.Errorf("labels: line %d is empty", i+1)
		}
	}
	if o.Precision == PrecisionInt8 && o.Calibration == "" {
		return errors.New("calibration: want a folder of pictures such as the network will see")
	}
	return nil
}

func (o *Options) progress(stage string) func(done, total int) {
	return func(done, total int) {
		if o.Progress != nil {
			o.Progress(stage, done, total)
		}
	}
}

// readPictures reads the calibration pictures and lists the labelled ones; nil for those that aren't asked for.
func (o *Options) readPictures() (calibration *pictures, evaluation *folder, err error) {
	if o.Eval != "" {
		if evaluation, err = labelledFolder(o.Eval, o.Labels); err != nil {
			return nil, nil, err
		}
	}
	if o.Calibration == "" {
		return nil, evaluation, nil
	}
	f, err := calibrationFolder(o.Calibration, o.Labels)
	if err != nil {
		return nil, nil, err
	}
	if calibration, err = f.read(o.Size, o.progress("reading calibration pictures")); err != nil {
		return nil, nil, err
	}
	if n := len(calibration.samples); n < MinPictures {
		return nil, nil, fmt.Errorf("read calibration pictures in %s: want at least %d, have %d (%d refused)",
			o.Calibration, MinPictures, n, len(calibration.refused))
	}
	return calibration, evaluation, nil
}

// verify compares the written network with the float one on calibration pictures, and runs the golden inputs.
func (o *Options) verify(made *made, float *floatNetwork, written network, seen *observed) (err error) {
	if p := made.calibration; p != nil {
		made.refused = p.refused
		samples, want := p.samples, [][]float32(nil)
		if seen != nil {
			samples, want = spread(samples, maxVerified), spread(seen.scores, maxVerified)
		} else if want, err = float.scores(samples, o.progress("running the float network")); err != nil {
			return fmt.Errorf("verify the written model: %w", err)
		}
		have, err := written.scores(samples, o.progress("verifying"))
		if err != nil {
			return fmt.Errorf("verify the written model: %w", err)
		}
		e, t, err := evaluateSamples(samples, want, have)
		if err != nil {
			return fmt.Errorf("verify the written model: %w", err)
		}
		made.agreement, made.temperature = e.agreementCard(), t
	}
	made.golden, err = goldens(written.runs[0], made.norm, o.Size)
	return err
}

// maxVerified is how many of the calibration pictures the written file is compared on: they were seen before, and say less than others would
// (Options.Eval).
const maxVerified = 32

// spread gives at most n of the values, evenly spread over them.
func spread[T any](values []T, n int) []T {
	if len(values) <= n {
		return values
	}
	out := make([]T, n)
	for i := range out {
		out[i] = values[i*len(values)/n]
	}
	return out
}

// write writes the model and its card beside their final names and renames both when both are there.
func (o *Options) write(data []byte, card *models.Card) error {
	text, err := card.JSON()
	if err != nil {
		return err
	}
	cardName := CardName(o.Output)
	for name, content := range map[string][]byte{o.Output: data, cardName: text} {
		if err := writeSynced(name+".part", content); err != nil {
			return errors.Join(err, removeParts(o.Output, cardName))
		}
	}
	for _, name := range []string{cardName, o.Output} {
		if err := os.Rename(name+".part", name); err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", name, err), removeParts(o.Output, cardName))
		}
	}
	return nil
}

// CardName is where the card of a .tflite file lies.
func CardName(model string) string {
	return model[:len(model)-len(filepath.Ext(model))] + ".json"
}

func writeSynced(name string, data []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// removeParts removes what an export that failed has begun to write.
func removeParts(names ...string) error {
	var errs []error
	for _, name := range names {
		if err := os.Remove(name + ".part"); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
