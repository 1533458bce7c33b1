package daemon

import (
	"context"
	"fmt"
	"os"
	"sync"

	"sightd/camera/capture"
	"sightd/camera/v4l2"
)

// captureCommand is sightd's own command that reads a V4L2 device: see package v4l2.
const captureCommand = "capture-v4l2"

// openCapture is what opens the stream of a live source.
func (d *Daemon) openCapture(c SourceConfig) (capture.Open, error) {
	o := capture.Options{
		Kind: capture.Kind(c.Type), Device: c.Device, URL: c.URL, Pipeline: c.Pipeline, Path: c.Path,
		Width: c.Size.Width, Height: c.Size.Height, FPS: c.FPS, FourCC: c.FourCC, Loop: c.Loop, Pace: true,
		MaxBytes: d.limits().MaxBytes, Log: d.log.With("source", c.Name),
	}
	if o.Kind != capture.V4L2 {
		return capture.New(o)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find sightd's own program: %w", err)
	}
	o.Self = []string{self, captureCommand}
	return openDevice(o)
}

// openDevice finds the device anew each time: a camera that is plugged in again may have another number.
func openDevice(o capture.Options) (capture.Open, error) {
	if _, err := capture.New(o); err != nil {
		return nil, err
	}
	configured := o.Device
	var mu sync.Mutex
	var was *v4l2.Identity
	return func(ctx context.Context) (capture.Stream, error) {
		mu.Lock()
		last := was
		mu.Unlock()
		path, id, err := v4l2.Resolve(configured, last)
		if err != nil {
			return nil, err
		}
		o := o
		o.Device = path
		open, err := capture.New(o)
		if err != nil {
			return nil, err
		}
		stream, err := open(ctx)
		if err == nil {
			mu.Lock()
			was = &id
			mu.Unlock()
		}
		return stream, err
	}, nil
}
