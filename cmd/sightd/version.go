package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"gocv.io/x/gocv"

	"sightd/inference/tflite"
)

// version is sightd's, set by the linker; commit is that of its source.
var (
	version = "0.1.0"
	commit  = ""
)

func versionCommand(_ context.Context, c *call) error {
	fs := c.flags("version", "", "Prints the versions of sightd, TensorFlow Lite, OpenCV and Go.")
	if _, err := c.parse(fs); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stdout, "sightd %s\ncommit %s\nTensorFlow Lite %s\nOpenCV %s\nGo %s %s/%s\n",
		version, sourceCommit(), tflite.Version(), gocv.OpenCVVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// sourceCommit is the commit that make passed, or what the Go tool has stamped.
func sourceCommit() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
