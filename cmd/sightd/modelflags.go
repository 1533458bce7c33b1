package main

import (
	"flag"

	"sightd/daemon"
	"sightd/inference"
)

// modelFlags are the flags of every command that runs a model.
type modelFlags struct {
	model, labels, delegate string
	threads                 int
}

func addModelFlags(fs *flag.FlagSet) *modelFlags {
	m := &modelFlags{}
	fs.StringVar(&m.model, "model", "", "the .tflite `FILE` to run; without it the embedded model")
	fs.StringVar(&m.labels, "labels", "", "`FILE` with one label a line; without it the labels inside the model")
	fs.StringVar(&m.delegate, "delegate", "auto", "what runs the model: "+inference.Delegates+"; auto is xnnpack, or else cpu")
	fs.IntVar(&m.threads, "threads", 0, "number of threads; 0 is one for each core, at most 4")
	return m
}

// open opens the model. See options.
func (m *modelFlags) open(top int) (*daemon.Engine, error) {
	o, err := m.options(top)
	if err != nil {
		return nil, err
	}
	return daemon.OpenEngine(o)
}

// options says what is to be run. A delegate that doesn't exist is a usage error.
func (m *modelFlags) options(top int) (daemon.EngineOptions, error) {
	delegate, err := inference.ParseDelegate(m.delegate)
	if err != nil {
		return daemon.EngineOptions{}, usageError{"-delegate: " + err.Error()}
	}
	return daemon.EngineOptions{
		Model:   m.model,
		Labels:  m.labels,
		Options: inference.Options{Delegate: delegate, Threads: m.threads},
		Top:     top,
	}, nil
}
