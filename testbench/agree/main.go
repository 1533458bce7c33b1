// Command agree writes what sightd makes of pictures, to be compared with what it makes of them on another machine: for each
// picture, a JSON object on a line with the input tensor and the scores of each model, or why the picture is refused. It decodes, prepares
// and runs them with sightd's own packages. It compares nothing.
//
//	agree [-delegate D] [-threads N] [-model FILE]... PICTURE...
//
// A model of the empty name is the embedded one. Models have a quantized input, all of the same size and type.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"sightd/camera"
	"sightd/camera/picture"
	"sightd/daemon"
	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/preprocess"
)

// answer is a line of the output.
type answer struct {
	File       string      `json:"file"`
	Refused    string      `json:"refused,omitempty"`
	Input      []byte      `json:"input,omitempty"`
	Scores     [][]float32 `json:"scores,omitempty"`     // of each model
	Delegation []string    `json:"delegation,omitempty"` // what ran each
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "agree:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	var files []string
	delegate := flag.String("delegate", string(inference.XNNPACK), "what runs the models: xnnpack or cpu")
	threads := flag.Int("threads", 1, "number of threads")
	flag.Func("model", "a .tflite `FILE`, \"\" for the embedded model; may be given more than once", func(path string) error {
		files = append(files, path)
		return nil
	})
	flag.Parse()
	if len(files) == 0 {
		files = []string{""}
	}
	m := &machine{decoder: camera.NewDecoder(picture.DefaultLimits)}
	defer func() { err = errors.Join(err, m.close()) }()
	for _, path := range files {
		if err := m.open(path, inference.Options{Delegate: inference.Delegate(*delegate), Threads: *threads}); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(os.Stdout)
	lines := json.NewEncoder(out)
	for _, file := range flag.Args() {
		a, err := m.answer(file)
		if err == nil {
			err = lines.Encode(a)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return out.Flush()
}

// machine is what sightd classifies pictures with.
type machine struct {
	decoder   *camera.Decoder
	transform *preprocess.Transform
	models    []*tflite.Classifier
}

// open opens a model. The first one's input is what pictures are prepared for.
func (m *machine) open(path string, o inference.Options) error {
	data, _, err := daemon.ReadModel(path)
	if err != nil {
		return err
	}
	c, err := tflite.OpenBytes(data, o)
	if err != nil {
		return fmt.Errorf("open model %q: %w", path, err)
	}
	m.models = append(m.models, c)
	first, in := m.models[0].Spec().Input, c.Spec().Input
	if in.Scale == 0 || in.Type != first.Type || in.NumElements() != first.NumElements() {
		return fmt.Errorf("open model %q: want a quantized input like that of the first model, %s, have %s", path, first, in)
	}
	if m.transform != nil {
		return nil
	}
	m.transform, err = preprocess.New(preprocess.Input{Height: in.Shape[1], Width: in.Shape[2], Type: in.Type}, preprocess.Squash)
	return err
}

// answer decodes a picture and runs every model on it.
func (m *machine) answer(file string) (answer, error) {
	f, err := os.Open(file)
	if err != nil {
		return answer{}, err
	}
	defer f.Close() // it was only read
	a := answer{File: file}
	mat, _, err := m.decoder.ReadFile(f)
	if refused := (*picture.RefusedError)(nil); errors.As(err, &refused) {
		a.Refused = refused.Error()
		return a, nil
	}
	if err != nil {
		return a, err
	}
	a.Input = make([]byte, len(m.models[0].Input()))
	if err := m.transform.Apply(a.Input, camera.Frame{Mat: mat, File: file}); err != nil {
		return a, err
	}
	for _, c := range m.models {
		copy(c.Input(), a.Input)
		scores := make([]float32, c.Spec().NumClasses())
		if err := errors.Join(c.Invoke(), c.Output(0, scores)); err != nil {
			return a, err
		}
		a.Scores = append(a.Scores, scores)
		a.Delegation = append(a.Delegation, c.Delegation().String())
	}
	return a, nil
}

func (m *machine) close() error {
	err := m.decoder.Close()
	if m.transform != nil {
		err = errors.Join(err, m.transform.Close())
	}
	for _, c := range m.models {
		err = errors.Join(err, c.Close())
	}
	return err
}
