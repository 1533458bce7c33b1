package daemon

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sightd/camera"
	"sightd/decide"
	"sightd/export/tflitefile"
	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/models"
	"sightd/preprocess"
	"sightd/publish"
)

// EngineOptions say which model to run and how.
type EngineOptions struct {
	Model   string // path of a .tflite; "" is the embedded model
	Labels  string // path of a file with a label a line; "" takes those inside the model, or of the card beside it
	Options inference.Options
	Top     int // how many labels a Result has at most
}

// Engine is a model ready to classify: opened, proven on its golden inputs, with its preprocessing and its labels. It is used by one
// goroutine at a time and must be closed.
type Engine struct {
	Name   string // of the model
	SHA256 string // of its file, hex
	Labels []string
	Proven int // number of golden inputs that it was proven on; 0 for a model without a card

	// Temperature makes the scores honest: see models.Temperature. 1 where the card has none, and where it has one below 1, by which
	// labels of training pictures make a model too sure of itself.
	Temperature float64

	run        *tflite.Classifier
	transforms map[View]*preprocess.Transform
	input      preprocess.Input
	scores     []float32
	top        []decide.Score
}

// View says which part of a picture the network sees, and how that comes to have the input's shape. The zero value is the whole
// picture, squashed.
type View struct {
	Resize preprocess.Resize // "": squash
	Crop   preprocess.Crop   // the zero value: all of it
}

// Result is what the model says of a picture. Its slices belong to the Engine and are valid until its next call.
type Result struct {
	Scores  []float32      // of all classes, as the model puts them out
	Top     []decide.Score // best first
	InferMS float64        // milliseconds of Invoke
}

// OpenEngine opens a model and proves it on the golden inputs of its card, where it has one.
func OpenEngine(o EngineOptions) (*Engine, error) {
	data, card, err := ReadModel(o.Model)
	if err != nil {
		return nil, err
	}
	file, err := tflitefile.Read(data)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", modelName(o.Model), err)
	}
	run, err := tflite.OpenBytes(data, o.Options)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", modelName(o.Model), err)
	}
	e := &Engine{
		run:        run,
		transforms: map[View]*preprocess.Transform{},
		input:      inputOf(run.Spec().Input, file),
		scores:     make([]float32, run.Spec().NumClasses()),
	}
	e.top = make([]decide.Score, min(max(o.Top, 1), len(e.scores)))
	e.Temperature = 1
	if card != nil && card.Temperature != nil {
		e.Temperature = max(1, card.Temperature.Value)
	}
	if card != nil {
		e.Name, e.SHA256 = card.Name, card.File.SHA256 // ReadModel has compared it with the file's
	} else {
		e.Name, e.SHA256 = strings.TrimSuffix(filepath.Base(o.Model), ".tflite"), models.Sum(data)
	}
	e.Labels, err = modelLabels(o.Labels, file, card, len(e.scores))
	if err := errors.Join(err, e.prove(card)); err != nil {
		return nil, errors.Join(fmt.Errorf("open model %s: %w", modelName(o.Model), err), e.Close())
	}
	return e, nil
}

// modelName names a model for people.
func modelName(path string) string {
	if path == "" {
		return "embedded"
	}
	return path
}

// ReadModel reads a model's file and its card: the embedded one for "", or the .json beside the .tflite. A model without a card is run without
// proof.
func ReadModel(path string) ([]byte, *models.Card, error) {
	if path == "" {
		return models.Default()
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open model: %w", err)
	}
	text, err := os.ReadFile(strings.TrimSuffix(path, ".tflite") + ".json")
	if errors.Is(err, os.ErrNotExist) {
		return data, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open model %s: %w", path, err)
	}
	card, err := models.ParseCard(text)
	if err == nil {
		err = card.Matches(data)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open model %s: the .json beside it isn't its card (export again, or move it away): %w", path, err)
	}
	return data, card, nil
}

// inputOf says what the input tensor wants. A float input is normalized as the file's metadata says, (p-127.5)/127.5 where it doesn't.
func inputOf(spec inference.TensorSpec, file *tflitefile.Model) preprocess.Input {
	in := preprocess.Input{Height: spec.Shape[1], Width: spec.Shape[2], Type: spec.Type}
	for c := range 3 {
		in.Mean[c], in.Std[c] = 127.5, 127.5
	}
	if file.Metadata == nil || file.Metadata.Input.Normalization == nil {
		return in
	}
	n := file.Metadata.Input.Normalization
	for c := range 3 {
		if len(n.Mean) > 0 && len(n.Std) > 0 {
			in.Mean[c], in.Std[c] = n.Mean[min(c, len(n.Mean)-1)], n.Std[min(c, len(n.Std)-1)]
		}
	}
	return in
}

// modelLabels takes the labels of a model's classes from a file, else from the model's metadata, else from its card.
func modelLabels(path string, file *tflitefile.Model, card *models.Card, classes int) (labels []string, err error) {
	switch {
	case path != "":
		labels, err = ReadLabels(path)
	case file.Metadata != nil:
		labels, err = file.Labels()
	case card != nil:
		labels = card.Labels
	}
	if err != nil {
		return nil, err
	}
	if len(labels) == 0 {
		return nil, errors.New("the model has no labels inside: name a file with one label a line")
	}
	return labels, decide.CheckLabels(labels, classes)
}

// ReadLabels reads a file with a label a line. A newline at its end is no label.
func ReadLabels(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read labels: %w", err)
	}
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil, fmt.Errorf("read labels: %s is empty", path)
	}
	return strings.Split(text, "\n"), nil
}

// prove runs the card's golden inputs.
func (e *Engine) prove(card *models.Card) error {
	if card == nil {
		return nil
	}
	goldens, err := card.Goldens()
	if err != nil {
		return err
	}
	if card.Input.Size != e.input.Width || card.Input.Size != e.input.Height {
		return fmt.Errorf("prove the model: its card says size %d, its file %dx%d", card.Input.Size, e.input.Width, e.input.Height)
	}
	_, err = inference.Prove(goldens, card.Golden.Tolerance, func(scores []float32, pixels []byte) error {
		if err := e.input.Fill(e.run.Input(), pixels); err != nil {
			return err
		}
		if err := e.run.Invoke(); err != nil {
			return err
		}
		return e.run.Output(0, scores)
	})
	if err == nil {
		e.Proven = len(goldens)
	}
	return err
}

// Classify is ClassifyView of the whole picture.
func (e *Engine) Classify(f camera.Frame, resize preprocess.Resize) (Result, error) {
	return e.ClassifyView(f, View{Resize: resize})
}

// ClassifyView prepares the frame, runs the network and sorts its scores. It allocates nothing on the Go heap once each view was used.
func (e *Engine) ClassifyView(f camera.Frame, view View) (Result, error) {
	t, err := e.transform(view)
	if err != nil {
		return Result{}, err
	}
	if err := t.Apply(e.run.Input(), f); err != nil {
		return Result{}, fmt.Errorf("prepare picture: %w", err)
	}
	start := time.Now()
	if err := e.run.Invoke(); err != nil {
		return Result{}, err
	}
	took := time.Since(start)
	if err := e.run.Output(0, e.scores); err != nil {
		return Result{}, err
	}
	n := decide.Top(e.top, e.scores, e.Labels)
	return Result{Scores: e.scores, Top: e.top[:n], InferMS: math.Round(took.Seconds()*1e6) / 1e3}, nil
}

// transform gives the preprocessing for a view, made at its first use.
func (e *Engine) transform(view View) (*preprocess.Transform, error) {
	if view.Resize == "" {
		view.Resize = preprocess.Squash
	}
	if view.Crop == (preprocess.Crop{}) {
		view.Crop = preprocess.Whole
	}
	if t := e.transforms[view]; t != nil {
		return t, nil
	}
	t, err := preprocess.NewCropped(e.input, view.Resize, view.Crop)
	if err != nil {
		return nil, err
	}
	e.transforms[view] = t
	return t, nil
}

// Model names the model as events do.
func (e *Engine) Model() publish.Model {
	return publish.Model{Name: e.Name, SHA256: e.SHA256, Delegate: string(e.Delegation().Delegate)}
}

// Delegation says what runs the model.
func (e *Engine) Delegation() inference.Delegation { return e.run.Delegation() }

// Threads is the number of threads that the model runs on.
func (e *Engine) Threads() int { return e.run.Threads() }

// Spec describes the model's tensors.
func (e *Engine) Spec() inference.Spec { return e.run.Spec() }

// Close frees the model and the preprocessing.
func (e *Engine) Close() error {
	err := e.run.Close()
	for _, t := range e.transforms {
		err = errors.Join(err, t.Close())
	}
	clear(e.transforms)
	return err
}
