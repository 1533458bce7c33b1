// Package export makes a quantized .tflite file of GoogLeNet weights, with its model card:
//
//	read -> graph -> fold -> calibrate -> quantize -> write -> verify
//
// Run has these stages one after the other: it is where to start reading. The weights are a torchvision state dict; the ranges of
// activations are those that TensorFlow Lite itself computes on the calibration pictures; the written file is opened in
// TensorFlow Lite and compared with the float network. Nothing is downloaded, nothing is run in Python, and nothing of the
// weights file is executed.
package export

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"sightd/export/graph"
	"sightd/export/quantize"
	"sightd/export/tflitefile"
	"sightd/export/weights"
	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/models"
)

// MinPictures is the smallest number of calibration pictures: fewer say too little about the ranges of activations.
const MinPictures = 10

// Options say what to export.
type Options struct {
	Weights     string // the state dict: .pth or .safetensors
	Output      string // the .tflite to write; its card lies beside it with .json instead of .tflite
	Name        string // "" is the output's name without .tflite
	Labels      []string
	Calibration string // folder of pictures
	Eval        string // folder with a folder of pictures for each class, "" for none
	Size        int    // height and width of the input

	Input    inference.Type // INT8, UINT8 or FLOAT32
	Features bool

	Normalization graph.Normalization // red, green, blue
	BGR           bool                // the network was trained on BGR pictures

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
	set, err := weights.Open(o.Weights)
	if err != nil {
		return nil, err
	}
	g, err := graph.GoogLeNet(set, o.Size)
	if err := errors.Join(err, set.Close()); err != nil {
		return nil, err
	}
	if o.BGR {
		g.SwapChannels()
	}
	if len(o.Labels) != g.Classes {
		return nil, fmt.Errorf("match labels to weights: want %d labels, as %s has classes, have %d", g.Classes, o.Weights, len(o.Labels))
	}
	calibration, evaluation, err := o.readPictures(g.Classes)
	if err != nil {
		return nil, err
	}

	float, err := openFloat(g, o.Normalization, layersOf(g), o.Threads)
	if err != nil {
		return nil, err
	}
	defer float.run.Close() // frees C memory; there is nothing to report
	seen, err := calibrate(float, calibration, o.progress("calibrating"))
	if err != nil {
		return nil, err
	}
	m, err := o.quantize(g, seen)
	if err != nil {
		return nil, err
	}
	m.Metadata = o.metadata()
	data, err := m.Bytes()
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", o.Output, err)
	}
	card, err := o.verify(float, data, calibration, evaluation)
	if err != nil {
		return nil, fmt.Errorf("verify the written model: %w", err)
	}
	o.describe(card, set, data, calibration)
	if err := o.write(data, card); err != nil {
		return nil, err
	}
	report := &Report{Card: *card, Bytes: int64(len(data)), Refused: calibration.refused}
	if evaluation != nil {
		report.Refused = append(report.Refused, evaluation.refused...)
	}
	return report, nil
}

// check refuses options that can't be meant.
func (o *Options) check() error {
	if err := graph.CheckSize(o.Size); err != nil {
		return err
	}
	if filepath.Ext(o.Output) != ".tflite" {
		return fmt.Errorf("output: want a name that ends in .tflite, have %q", o.Output)
	}
	if o.Input != inference.Int8 && o.Input != inference.UInt8 && o.Input != inference.Float32 {
		return fmt.Errorf("type of the input: want int8, uint8 or float32, have %s", o.Input)
	}
	for i := range 3 {
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
	if o.Calibration == "" {
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

// readPictures reads both folders.
func (o *Options) readPictures(classes int) (calibration, evaluation *pictures, err error) {
	calibration, err = readPictures(o.Calibration, o.Size, 0, o.progress("reading calibration pictures"))
	if err != nil {
		return nil, nil, err
	}
	if n := len(calibration.samples); n < MinPictures {
		return nil, nil, fmt.Errorf("read calibration pictures in %s: want at least %d, have %d (%d refused)",
			o.Calibration, MinPictures, n, len(calibration.refused))
	}
	if o.Eval != "" {
		evaluation, err = readPictures(o.Eval, o.Size, classes, o.progress("reading labelled pictures"))
	}
	return calibration, evaluation, err
}

// quantize chooses the int8 network's numbers and writes it. A float32 input takes the picture as the network was trained on it; the
// others take plain pixels, which the first convolution is changed for.
func (o *Options) quantize(g *graph.Graph, seen map[string]*quantize.Range) (*tflitefile.Model, error) {
	var input quantize.Params
	if o.Input == inference.Float32 {
		low, high := math.Inf(1), math.Inf(-1)
		for i := range 3 {
			low = min(low, (0-o.Normalization.Mean[i])/o.Normalization.Std[i])
			high = max(high, (255-o.Normalization.Mean[i])/o.Normalization.Std[i])
		}
		input = quantize.Activation(low, high)
	} else {
		p := o.Normalization.Pixels()
		g = g.TakePixels(o.Normalization, p)
		input = quantize.Params{Scale: float32(p.Scale), ZeroPoint: p.Zero - 128}
	}
	params, err := quantize.Activations(g, seen, input)
	if err != nil {
		return nil, err
	}
	return Int8(g, params, o.Input, o.Features)
}

// verify opens the written file as a user's program would, and compares it with the float network.
func (o *Options) verify(float *floatNetwork, data []byte, calibration, evaluation *pictures) (*models.Card, error) {
	run, err := tflite.OpenBytes(data, inference.Options{Delegate: inference.Auto, Threads: o.Threads})
	if err != nil {
		return nil, err
	}
	defer run.Close() // frees C memory; there is nothing to report
	card := &models.Card{}
	c, err := compare(float, run, o.Normalization, calibration, o.progress("verifying"))
	if err != nil {
		return nil, err
	}
	card.Agreement = models.Agreement{Pictures: c.pictures, Top1: share(c.agree, c.pictures)}
	if evaluation != nil {
		if c, err = compare(float, run, o.Normalization, evaluation, o.progress("evaluating")); err != nil {
			return nil, err
		}
		card.Accuracy = &models.Accuracy{
			Pictures:  c.labelled,
			FloatTop1: share(c.floatRight, c.labelled),
			Top1:      share(c.right, c.labelled),
			Agreement: share(c.agree, c.pictures),
		}
	}
	card.Golden, err = goldens(run, o.Normalization, o.Size)
	return card, err
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
