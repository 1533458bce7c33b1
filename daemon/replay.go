package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/oklog/ulid/v2"

	"sightd/camera/capture"
	"sightd/camera/picture"
	"sightd/decide"
	"sightd/inference"
	"sightd/publish"
)

// ReplayOptions say what is replayed.
type ReplayOptions struct {
	Path   string    // a folder of pictures, or a video
	Source string    // name of the live source whose crop, rotate, motion and so on count; "": the configuration's first, if there is one
	FPS    float64   // pictures a second that the recording has or, of a video, is looked at; 0: a folder's files tell by their times, a video is looked at 5 times
	Start  time.Time // of the recording; zero: when its first file was modified
	Log    *slog.Logger

	// Event is told of each event as it falls. An error ends the replay.
	Event func(decide.Event, publish.Model) error
}

// ReplayResult sums a replay up.
type ReplayResult struct {
	Source                                                 string // whose settings counted; "": the default ones
	Pictures, Classified, Unchanged, Blind, Refused, Paced uint64
	First, Last                                            time.Time      // of the pictures
	State                                                  decide.State   // at the end
	Entries                                                []decide.Entry // what became of the pictures; of a long recording, of the last ones
	Model                                                  publish.Model
}

// Replay decides on a recording what the daemon would have decided on a camera that saw it, with the same code and a clock of its
// own: a picture comes when it was taken, and nothing is waited for. It publishes nothing and changes nothing.
func Replay(ctx context.Context, config Config, o ReplayOptions) (result ReplayResult, err error) {
	c, err := replaySource(config, o.Source)
	if err != nil {
		return result, err
	}
	result.Source = c.Name
	engine, err := OpenEngine(EngineOptions{
		Model: config.Model.Path, Labels: config.Model.Labels, Top: config.Decide.Top,
		Options: inference.Options{Delegate: inference.Delegate(config.Model.Delegate), Threads: config.Model.Threads},
	})
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	result.Model = engine.Model()
	watched, err := newObserver(c, config.Decide, engine, config.Limits.picture())
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, watched.close()) }()
	open, err := capture.New(capture.Options{
		Kind: capture.Replay, Path: o.Path, FPS: o.FPS, Start: o.Start, MaxBytes: config.Limits.picture().MaxBytes, Log: o.Log,
	})
	if err != nil {
		return result, err
	}
	stream, err := open(ctx)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	defer context.AfterFunc(ctx, func() { stream.Close() })() // ends Read; what it says is said above
	r := replay{observer: watched, engine: engine, opts: o, result: &result}
	for {
		switch err := stream.Read(&r.shot); {
		case ctx.Err() != nil:
			return result, ctx.Err()
		case errors.Is(err, io.EOF):
			result.State = watched.decider.State()
			result.Entries = watched.ring.Around(result.First, result.Last.Sub(result.First), math.MaxInt)
			return result, nil
		case err != nil:
			return result, err
		}
		if err := r.step(); err != nil {
			return result, err
		}
	}
}

// replaySource is the live source of that name, or the first one, or one with all defaults.
func replaySource(config Config, name string) (SourceConfig, error) {
	for _, c := range config.Sources {
		if c.Live() && (name == "" || c.Name == name) {
			return c, nil
		}
	}
	if name != "" {
		return SourceConfig{}, fmt.Errorf("replay as source %q: the configuration has no live source of that name", name)
	}
	return defaultSource(TypeReplay), nil
}

// replay is one at work.
type replay struct {
	*observer
	engine *Engine
	opts   ReplayOptions
	result *ReplayResult
	shot   capture.Shot
}

// step does with a picture what the daemon does: see Daemon.glance.
func (r *replay) step() error {
	now, n := r.shot.Time, r.result
	if n.Pictures++; n.Pictures == 1 {
		n.First = now
	}
	n.Last = now
	if !r.mayLook(now, 1) {
		n.Paced++
		return nil
	}
	_, gate, err := r.see(&r.shot, now)
	if refused := (*picture.RefusedError)(nil); errors.As(err, &refused) {
		n.Refused++
		return nil
	} else if err != nil {
		return err
	}
	var events []decide.Event
	var infer float64
	switch gate {
	case decide.Decided:
		result, err := r.engine.ClassifyView(r.frame, r.config.view())
		if err != nil {
			return err
		}
		n.Classified++
		r.scores, infer = append(r.scores[:0], result.Scores...), result.InferMS
		events = r.decide(now)
	case decide.Unchanged:
		n.Unchanged++
		events = r.skip(now, gate)
	default:
		n.Blind++
		events = r.lose(now, gate, gate.String())
	}
	for _, e := range events {
		e.ID, e.Source, e.File, e.InferMS = ulid.MustNewDefault(e.Time).String(), n.Source, r.shot.File, infer
		if err := r.opts.Event(e, n.Model); err != nil {
			return err
		}
	}
	return nil
}
