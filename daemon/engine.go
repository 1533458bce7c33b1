package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"sightd/camera"
	"sightd/decide"
	"sightd/inference"
	"sightd/inference/litert"
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

	// SHA256 is what the model's file must have, in hexadecimal; "" is any. A file may be replaced while it is in use.
	SHA256 string

	// Reference has a model without a card proven against TensorFlow Lite's built-in kernels, which are slow; else it isn't proven.
	Reference bool

	// Limit is how long a delegate with a driver, one that isn't TensorFlow Lite's own, may take for a picture, or to be freed; to come
	// up it has openLimit at least. What takes longer is an error that wraps errHung; what it has is freed if it comes back. 0 waits for ever.
	Limit time.Duration

	opens  time.Duration   // in the place of openLimit; 0: that
	ends   <-chan struct{} // closed when all ends: such a delegate then has endLimit at most; nil: never
	loaded *loadedModel    // what is at Model; nil: it is read
}

// Engine is a model ready to classify: opened, proven on its golden inputs, with its preprocessing and its labels. It is used by one
// goroutine at a time and must be closed.
type Engine struct {
	Name   string // of the model
	SHA256 string // of its file, hex
	Labels []string
	Proven int     // number of golden inputs that it was proven on; 0 for a model without a card
	Worst  float32 // by which a score of those was off at most

	// Temperature makes the scores honest: see models.Temperature. 1 where the card has none, and where it has one below 1, by which
	// labels of training pictures make a model too sure of itself.
	Temperature float64

	run        inference.Classifier
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

	engine *Engine // that says it
}

// OpenEngine opens a model and proves it on the golden inputs of its card, where it has one. For the delegate auto it takes XNNPACK,
// or where that can't be had the built-in kernels: what is fastest is found out by a Chooser.
func OpenEngine(o EngineOptions) (*Engine, error) {
	m := o.loaded
	if m == nil {
		var err error
		if m, err = load(o.Model); err != nil {
			return nil, err
		}
	}
	if o.SHA256 != "" && m.sum != o.SHA256 {
		return nil, fmt.Errorf("open model %s: want the file with sha256 %s, it was replaced by one with %s", modelName(o.Model), o.SHA256, m.sum)
	}
	if m.card != nil {
		go m.goldens()    // they are drawn while the model is opened
		defer m.goldens() // and that has ended when this has
	}
	run, guard, err := openGuarded(m.data, o)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", modelName(o.Model), err)
	}
	if models.Embedded(m.data) {
		if err := models.Forget(); err != nil {
			return nil, errors.Join(err, run.Close())
		}
	}
	e := &Engine{
		SHA256:     m.sum,
		run:        run,
		transforms: map[View]*preprocess.Transform{},
		input:      inputOf(run.Spec().Input, m.file),
		scores:     make([]float32, run.Spec().NumClasses()),
	}
	e.top = make([]decide.Score, min(max(o.Top, 1), len(e.scores)))
	e.Temperature = 1
	if m.card != nil && m.card.Temperature != nil {
		e.Temperature = max(1, m.card.Temperature.Value)
	}
	if e.Name = strings.TrimSuffix(filepath.Base(o.Model), ".tflite"); m.card != nil {
		e.Name = m.card.Name
	}
	e.Labels, err = modelLabels(o.Labels, m.file, m.card, len(e.scores))
	if err == nil {
		err = e.prove(m, o.Reference)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open model %s: %w", modelName(o.Model), err), e.Close())
	}
	if guard != nil {
		guard.limit = o.Limit
	}
	return e, nil
}

// openGuarded opens a model's file, with a delegate that needs a driver under guard, which then has openLimit at least for each call.
func openGuarded(data []byte, o EngineOptions) (inference.Classifier, *guarded, error) {
	if !o.Options.Delegate.HasDriver() {
		run, err := openClassifier(data, o.Options)
		return run, nil, err
	}
	limit := o.Limit
	if limit > 0 {
		limit = max(limit, cmp.Or(o.opens, openLimit))
	}
	g, err := guard(limit, o.ends, func() (inference.Classifier, error) { return openClassifier(data, o.Options) })
	if err != nil {
		return nil, nil, err
	}
	return g, g, nil
}

// openClassifier opens a model's file with what runs the delegate.
func openClassifier(data []byte, o inference.Options) (inference.Classifier, error) {
	if o.Delegate != inference.GPU {
		if models.Embedded(data) {
			return tflite.OpenConstant(data, o)
		}
		return tflite.OpenBytes(data, o)
	}
	dir, err := tflite.Dir()
	if err != nil {
		return nil, err
	}
	return litert.OpenBytes(data, o, dir)
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
		return Result{}, &delegateError{err}
	}
	took := time.Since(start)
	if err := e.run.Output(0, e.scores); err != nil {
		return Result{}, &delegateError{err}
	}
	n := decide.Top(e.top, e.scores, e.Labels)
	return Result{Scores: e.scores, Top: e.top[:n], InferMS: math.Round(took.Seconds()*1e6) / 1e3, engine: e}, nil
}

// Enough says whether a picture of that size, upright, may stand for a larger one that it is a reduced form of: see preprocess.Enough. It
// may be asked while the Engine is used, or closed.
func (e *Engine) Enough(view View, size image.Point) bool {
	view = view.complete()
	return preprocess.Enough(e.input, view.Resize, view.Crop, size)
}

// complete puts what zero values stand for in their place.
func (v View) complete() View {
	if v.Resize == "" {
		v.Resize = preprocess.Squash
	}
	if v.Crop == (preprocess.Crop{}) {
		v.Crop = preprocess.Whole
	}
	return v
}

// transform gives the preprocessing for a view, made at its first use.
func (e *Engine) transform(view View) (*preprocess.Transform, error) {
	view = view.complete()
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

// Lanes is how many of many pictures are best judged at a time, each on one thread: as many as o has threads for one, and no more than
// there are cores. (GOMAXPROCS isn't their number: main has Go use more. Nor are Engine.Threads: one thread may have been the faster way to
// judge one picture.)
func (o EngineOptions) Lanes() int { return min(tflite.Threads(o.Options.Threads), runtime.NumCPU()) }

// Beside are the options of another Engine of the model that e runs as o says, on one thread.
func (o EngineOptions) Beside(e *Engine) EngineOptions {
	o.Options.Delegate, o.Options.Threads, o.SHA256 = e.Delegation().Delegate, 1, e.SHA256
	return o
}

// Spec describes the model's tensors.
func (e *Engine) Spec() inference.Spec { return e.run.Spec() }

// Close frees the model and the preprocessing. A delegate that hangs keeps the model's memory, which it uses, until it comes back.
func (e *Engine) Close() error {
	err := e.run.Close()
	for _, t := range e.transforms {
		err = errors.Join(err, t.Close())
	}
	clear(e.transforms)
	return err
}
