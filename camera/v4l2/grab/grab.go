// Package grab reads a video device through GoCV and hands on its pictures, the newest always. It is what the child process of a
// V4L2 camera does: a driver may never return from a call, and the process that is in it can only be killed. It finds no devices,
// and doesn't open one again: that is for packages v4l2 and live.
package grab

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"syscall"
	"time"

	"gocv.io/x/gocv"
	"golang.org/x/sys/unix"

	"sightd/camera/capture"
	"sightd/camera/v4l2"
)

// Options say what to read, and where to with it.
type Options struct {
	Device string    // a path
	Mode   v4l2.Mode // what to ask for: see v4l2.Prepare for zero values. Of a camera that is faster than FPS, pictures are left out

	// Emit takes a picture, which is its own until it returns. While it runs the device is read on, and the pictures that come
	// meanwhile are dropped but for the newest. An error ends Run.
	Emit func(*capture.Shot) error
	// Log is told in one line what is worth knowing once, such as a mode that differs from what was asked for. It is called by one
	// goroutine at a time.
	Log func(line string)
}

// Run reads the device until ctx ends or Emit says that nobody listens any more (EPIPE), and returns nil; else the error says for
// people in one line why no more pictures come. It waits for the driver a second at most when it ends: a call that hasn't returned by
// then is left behind, with its goroutine, and the process should end.
func Run(ctx context.Context, o Options) error {
	mode, err := v4l2.Prepare(o.Device, o.Mode)
	if err != nil {
		return err
	}
	camera, err := open(o.Device, mode, o.Log)
	if err != nil {
		return err
	}
	g := newGrabber(o, camera)
	g.left = reduction(mode.FPS, camera.rate)
	return g.run(ctx)
}

// Times and numbers of a camera that fails.
const (
	patience   = time.Second      // for what is under way when Run ends
	silence    = 9 * time.Second  // OpenCV gives up a read after 10
	staleAge   = time.Second      // of a picture that has waited in the driver's buffers
	maxStale   = 8                // as many as there may be buffers; if there are more, the clock is another
	maxTorn    = 100              // in a row
	maxRetries = 5                // of reads that fail at once
	retryPause = time.Second / 10 // between them
)

// camera is an open device.
type camera struct {
	read  func(*gocv.Mat) bool
	stamp func() time.Duration // when the picture read last was taken, on CLOCK_MONOTONIC if the driver has it so; 0 unknown
	check func() error         // why reads fail; nil: for no reason that can be seen
	close func() error
	rate  float64 // pictures a second; 0 unknown
}

// grabber hands pictures from the goroutine that reads to the one that emits. There are three: one is being filled, one emitted,
// and one is ready, the newest.
type grabber struct {
	Options
	camera camera
	now    func() time.Time     // differs in tests
	clock  func() time.Duration // CLOCK_MONOTONIC; differs in tests
	left   float64              // seconds between two pictures that are handed on; 0: all are

	empty chan *capture.Shot
	ready chan *capture.Shot // has at most one
	drops atomic.Uint64      // pictures that a newer one was put in place of

	due       time.Time // no picture is handed on before
	monotonic bool      // the stamps are of the same clock as ours
	stale     int       // pictures in a row that were too old
	torn      int       // pictures in a row that weren't whole
}

func newGrabber(o Options, c camera) *grabber {
	g := &grabber{Options: o, camera: c, now: time.Now, clock: clock, empty: make(chan *capture.Shot, 3), ready: make(chan *capture.Shot, 1)}
	for range cap(g.empty) {
		g.empty <- new(capture.Shot)
	}
	return g
}

// clock is CLOCK_MONOTONIC.
func clock() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// reduction is the least time between pictures for a camera that brings more than wanted.
func reduction(want, have float64) float64 {
	if want <= 0 || have > 0 && have < want*1.25 {
		return 0
	}
	return 1 / want
}

// run has the two goroutines work, and closes the camera if they end.
func (g *grabber) run(ctx context.Context) (err error) {
	stop := make(chan struct{})
	ended := make(chan error, 2)
	go func() { ended <- g.reading(stop) }()
	go func() { ended <- g.emitting(stop) }()
	running := 2
	select {
	case err = <-ended:
		running--
	case <-ctx.Done():
	}
	close(stop)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for ; running > 0; running-- {
		select {
		case e := <-ended:
			if err == nil && ctx.Err() == nil {
				err = e
			}
		case <-timer.C:
			return quiet(err) // the camera can't be closed while it is read
		}
	}
	if e := g.camera.close(); err == nil {
		err = e
	}
	return quiet(err)
}

// quiet drops the error that says that nobody listens any more.
func quiet(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// emitting hands on what is ready.
func (g *grabber) emitting(stop <-chan struct{}) error {
	for {
		select {
		case shot := <-g.ready:
			if err := g.Emit(shot); err != nil {
				return err
			}
			g.empty <- shot
		case <-stop:
			return nil
		}
	}
}

// reading takes each picture from the driver as it comes, so that none grows old in its buffers, whether anybody takes them or not.
func (g *grabber) reading(stop <-chan struct{}) error {
	mat := gocv.NewMat()
	defer mat.Close()
	shot := <-g.empty
	last, failures := g.now(), 0
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if !g.camera.read(&mat) {
			failures++
			if err := g.failed(g.now().Sub(last), failures); err != nil {
				return err
			}
			select {
			case <-time.After(retryPause):
			case <-stop:
			}
			continue
		}
		last, failures = g.now(), 0
		if g.old() || !g.wanted(last) {
			continue
		}
		ok, err := g.take(shot, &mat)
		if err != nil {
			return err
		}
		if ok {
			shot.Time = last
			shot = g.hand(shot)
		}
	}
}

// hand makes shot the one that is ready, and returns an empty one.
func (g *grabber) hand(shot *capture.Shot) *capture.Shot {
	select {
	case older := <-g.ready:
		g.drops.Add(1)
		g.ready <- shot
		return older
	default:
	}
	g.ready <- shot // nobody else sends
	return <-g.empty
}

// failed says whether a read that failed is the end. A signal may have interrupted it, and drivers lose a picture now and then.
func (g *grabber) failed(since time.Duration, failures int) error {
	if err := g.camera.check(); err != nil {
		return err
	}
	switch {
	case since >= silence:
		return fmt.Errorf("read %s: no picture for %d s: unplug the camera and plug it in again, try another port or a stronger power supply",
			g.Device, int(since.Seconds()))
	case failures > maxRetries:
		return fmt.Errorf("read %s: the driver gives no picture: \"sudo dmesg | tail\" may say why", g.Device)
	}
	return nil
}

// old reports whether a picture has waited too long, as after the process or the machine was suspended. It is told by the driver's
// stamp, if one has shown before that it is of our clock; many in a row show that it isn't, after all.
func (g *grabber) old() bool {
	stamp := g.camera.stamp()
	age := g.clock() - stamp
	switch {
	case stamp <= 0 || age < 0:
		return false
	case age < staleAge:
		g.monotonic, g.stale = true, 0
		return false
	case !g.monotonic:
		return false
	}
	if g.stale++; g.stale > maxStale {
		g.monotonic, g.stale = false, 0
		return false
	}
	return true
}

// wanted leaves out pictures of a camera that is faster than it should be. A tenth of the interval is allowed for its jitter.
func (g *grabber) wanted(now time.Time) bool {
	if g.left == 0 {
		return true
	}
	interval := time.Duration(math.Min(g.left, 1e6) * float64(time.Second))
	if now.Before(g.due.Add(-interval / 10)) {
		return false
	}
	if g.due = g.due.Add(interval); g.due.Before(now) {
		g.due = now.Add(interval)
	}
	return true
}
