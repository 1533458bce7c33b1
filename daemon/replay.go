package daemon

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"

	"sightd/camera"
	"sightd/camera/capture"
	"sightd/camera/picture"
	"sightd/camera/view"
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

	// Scores is a file in which the scores and the thumbnails of all pictures are kept, if there is none, and else read in place of the
	// recording: other rules are then decided upon within seconds. "": none.
	Scores string

	// Event is told of each event as it falls. An error ends the replay.
	Event func(decide.Event, publish.Model) error
}

// ReplayResult sums a replay up.
type ReplayResult struct {
	Source                                                 string // whose settings counted; "": the default ones
	Pictures, Classified, Unchanged, Blind, Refused, Paced uint64
	First, Last                                            time.Time      // of the pictures
	Kept                                                   bool           // the scores were kept ones
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
	r := replay{observer: watched, engine: engine, opts: o, result: &result, seed: maphash.MakeSeed()}
	if err := r.run(ctx, config.Limits.picture()); err != nil {
		return result, err
	}
	result.State = watched.decider.State()
	result.Entries = watched.ring.Around(result.First, result.Last.Sub(result.First), math.MaxInt)
	return result, nil
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

	keep      *scoresWriter // nil: scores aren't kept
	seed      maphash.Seed
	sum       uint64 // of the last picture's bytes
	different uint64 // pictures that weren't the same as those before
	refused   bool   // the last of them can't be decoded
}

// run decides upon all pictures, or upon the scores that were kept of them.
func (r *replay) run(ctx context.Context, limits picture.Limits) (err error) {
	if r.opts.Scores == "" {
		return r.pictures(ctx, limits)
	}
	of, err := r.scoresOf()
	if err != nil {
		return err
	}
	kept, err := openScores(r.opts.Scores, of)
	if err != nil {
		return err
	}
	if kept != nil {
		defer func() { err = errors.Join(err, kept.close()) }()
		return r.again(ctx, kept)
	}
	if r.keep, err = newScoresWriter(r.opts.Scores, of); err != nil {
		return err
	}
	if err := r.pictures(ctx, limits); err != nil {
		return errors.Join(err, r.keep.drop())
	}
	return r.keep.finish()
}

// pictures decides upon all pictures of the recording.
func (r *replay) pictures(ctx context.Context, limits picture.Limits) (err error) {
	open, err := capture.New(capture.Options{
		Kind: capture.Replay, Path: r.opts.Path, FPS: r.opts.FPS, Start: r.opts.Start, MaxBytes: limits.MaxBytes, Log: r.opts.Log,
	})
	if err != nil {
		return err
	}
	stream, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	defer context.AfterFunc(ctx, func() { stream.Close() })() // ends Read; what it says is said above
	for {
		switch err := stream.Read(&r.shot); {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if r.keep != nil {
			err = r.record()
		} else if r.paced(r.shot.Time) {
			err = r.picture()
		}
		if err != nil {
			return err
		}
	}
}

// again decides upon scores that were kept.
func (r *replay) again(ctx context.Context, kept *scoresReader) error {
	r.result.Kept = true
	var s scored
	for ctx.Err() == nil {
		switch err := kept.read(&s); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := r.recorded(&s); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// paced counts a picture, and reports whether fps and interval let it be looked at.
func (r *replay) paced(taken time.Time) bool {
	n := r.result
	if n.Pictures++; n.Pictures == 1 {
		n.First = taken
	}
	n.Last = taken
	if r.mayLook(taken, 1) {
		return true
	}
	n.Paced++
	return false
}

// picture does with the last picture what the daemon does: see Daemon.glance.
func (r *replay) picture() error {
	now := r.shot.Time
	_, gate, err := r.see(&r.shot, now)
	if refused := (*picture.RefusedError)(nil); errors.As(err, &refused) {
		r.result.Refused++
		return nil
	}
	infer := 0.
	if err == nil && gate == decide.Decided {
		infer, err = r.classify()
	}
	if err != nil {
		return err
	}
	return r.settle(now, gate, r.shot.File, infer)
}

// classify has the network see the last picture.
func (r *replay) classify() (inferMS float64, err error) {
	result, err := r.engine.ClassifyView(r.frame, r.config.view())
	r.scores = append(r.scores[:0], result.Scores...)
	return result.InferMS, err
}

// record keeps what there is to know of the last picture, whatever the rules want to know, and decides upon it.
func (r *replay) record() error {
	s := scored{Time: r.shot.Time, Seq: r.shot.Seq, File: r.shot.File}
	sum := maphash.Bytes(r.seed, r.shot.Data)
	s.Same = s.Seq > 1 && sum == r.sum
	if r.sum = sum; !s.Same {
		mat, err := r.decode(&r.shot)
		if refused := (*picture.RefusedError)(nil); errors.As(err, &refused) {
			s.Refused = true
		} else if err != nil {
			return err
		} else {
			r.frame = camera.Frame{Mat: mat}
			if s.InferMS, err = r.classify(); err != nil {
				return err
			}
			s.Thumb, s.Scores = r.thumb[:], r.scores
		}
	}
	if err := r.keep.write(&s); err != nil {
		return err
	}
	return r.recorded(&s)
}

// recorded decides upon what was kept of a picture.
func (r *replay) recorded(s *scored) error {
	if !s.Same {
		r.different++
		r.refused = s.Refused
		copy(r.thumb[:], s.Thumb)
		r.scores = append(r.scores[:0], s.Scores...)
	}
	if !r.paced(s.Time) {
		return nil
	}
	if r.refused {
		r.result.Refused++
		return nil
	}
	var look view.Look
	if r.eye.Identical(strconv.AppendUint(nil, r.different, 10), s.Time) {
		look = r.eye.Again(s.Time)
	} else {
		look = r.eye.Look(&r.thumb, s.Time)
	}
	r.frame.Seq = s.Seq
	return r.settle(s.Time, r.gate(look, s.Time), s.File, s.InferMS)
}

// settle decides upon a picture that came to a gate.
func (r *replay) settle(now time.Time, gate decide.Gate, file string, inferMS float64) error {
	n := r.result
	var events []decide.Event
	switch gate {
	case decide.Decided:
		n.Classified++
		events = r.decide(now)
	case decide.Unchanged:
		n.Unchanged++
		events = r.skip(now, gate)
	default:
		n.Blind++
		events = r.lose(now, gate, gate.String())
	}
	for _, e := range events {
		e.ID, e.Source, e.File, e.InferMS = ulid.MustNewDefault(e.Time).String(), n.Source, file, inferMS
		if err := r.opts.Event(e, n.Model); err != nil {
			return err
		}
	}
	return nil
}

// scoresOf says what the scores of this replay depend on.
func (r *replay) scoresOf() (scoresOf, error) {
	path, err := filepath.Abs(r.opts.Path)
	if err != nil {
		return scoresOf{}, fmt.Errorf("find the recording: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return scoresOf{}, fmt.Errorf("find the recording: %w", err)
	}
	c := r.config
	return scoresOf{
		Version: scoresVersion, Recording: path, Changed: info.ModTime().UTC().Format(time.RFC3339Nano), FPS: r.opts.FPS,
		Start: r.opts.Start.UTC().Format(time.RFC3339Nano), Model: r.engine.SHA256, Crop: c.Crop, Resize: c.Resize, Rotate: c.Rotate,
		Flip: c.Flip,
	}, nil
}
