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
	fs.StringVar(&m.delegate, "delegate", "auto", "what runs the model: auto, cpu or xnnpack")
	fs.IntVar(&m.threads, "threads", 0, "number of threads; 0 is one for each core, at most 4")
	return m
}

// open opens the model. A delegate or number of threads that doesn't exist is a usage error.
func (m *modelFlags) open(top int) (*daemon.Engine, error) {
	switch d := inference.Delegate(m.delegate); d {
	case inference.Auto, inference.CPU, inference.XNNPACK:
	default:
		return nil, usageError{"-delegate: want auto, cpu or xnnpack, have \"" + m.delegate + "\""}
	}
	return daemon.OpenEngine(daemon.EngineOptions{
		Model:   m.model,
		Labels:  m.labels,
		Options: inference.Options{Delegate: inference.Delegate(m.delegate), Threads: m.threads},
		Top:     top,
	})
}
