package daemon

import (
	"cmp"
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

	"sightd/camera/capture"
	"sightd/camera/picture"
	"sightd/camera/view"
	"sightd/decide"
	"sightd/publish"
)

// ReplayOptions say what is replayed.
type ReplayOptions struct {
	Path   string    // a folder of pictures, or a video
	Source string    // name of the live source whose crop, rotate, motion and so on count; "": the configuration's first, if there is one
	FPS    float64   // pictures a second that the recording has or, of a video, is looked at; 0: a folder's files tell by their times, a video is looked at 5 times
	Start  time.Time // of the recording; zero: when a folder's first file was modified, or a video, less its length
	Log    *slog.Logger

	// Scores is a file in which the scores and the thumbnails of all pictures are kept, if there is none, and else read in place of the
	// recording, which may be gone then: other rules are decided upon within seconds. "": none.
	Scores string

	// Event is told of each event as it falls. An error ends the replay.
	Event func(decide.Event, publish.Model) error
	// Refused is told of each picture that can't be decoded, by its number from 1 and, in a folder, its file. nil: nobody is.
	Refused func(seq uint64, file, reason string)
	// Seen is told after each picture what all comes to so far, without State and Entries. nil: nobody is.
	Seen func(ReplayResult)
}

// ReplayResult sums a replay up.
type ReplayResult struct {
	Source                                                 string // whose settings counted; "": the default ones
	Pictures, Classified, Unchanged, Blind, Refused, Paced uint64
	First, Last                                            time.Time      // of the pictures
	Kept                                                   bool           // the scores were kept ones
	State                                                  decide.State   // at the end
	Entries                                                []decide.Entry // what became of the pictures
	Cut                                                    bool           // of the last pictures alone: there were too many
	Model                                                  publish.Model
}

// Replay decides on a recording what the daemon would have decided on a camera that saw it, with the same code and a clock of its
// own: a picture comes when it was taken, and nothing is waited for. It publishes nothing and changes nothing. The result holds with an
// error, too, without State and Entries.
func Replay(ctx context.Context, config Config, o ReplayOptions) (result ReplayResult, err error) {
	c, err := replaySource(config, o.Source)
	if err != nil {
		return result, err
	}
	result.Source = c.Name
	model, err := config.Engine()
	if err != nil {
		return result, err
	}
	engine, err := OpenEngine(model)
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
	kept := 0
	for _, e := range result.Entries {
		kept += e.Count
	}
	result.Cut = kept < r.explained
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
		return SourceConfig{}, fmt.Errorf("decide as for source %q: the configuration has no live source of that name", name)
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

	refusedRun int    // pictures in a row that couldn't be decoded
	told       uint64 // events
	explained  int    // pictures that were decided upon

	keep      *scoresWriter // nil: scores aren't kept
	seed      maphash.Seed
	sum       uint64 // of the last picture's bytes
	different uint64 // pictures that weren't the same as those before
	refused   string // why the last of them can't be decoded
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
		if err := r.checkTime(); err != nil {
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
		r.seen()
	}
}

// seen says what it comes to so far.
func (r *replay) seen() {
	if r.opts.Seen != nil {
		r.opts.Seen(*r.result)
	}
}

// checkTime refuses files whose times can't be those of the pictures: they run backwards.
func (r *replay) checkTime() error {
	back := r.result.Last.Sub(r.shot.Time)
	if r.opts.FPS > 0 || back < time.Second { // several programs that write files may be late by less
		return nil
	}
	return fmt.Errorf("go by the times of the files: %q was modified %v before the one in front of it: --fps says how many pictures a second there are",
		r.shot.File, back.Round(time.Millisecond))
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
		r.seen()
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
	look, gate, err := r.see(&r.shot, now)
	if refused := (*picture.RefusedError)(nil); errors.As(err, &refused) {
		return r.refuse(now, r.shot.Seq, r.shot.File, refused.Reason)
	}
	infer := 0.
	if err == nil && gate == decide.Decided {
		infer, err = r.classify()
	}
	if err != nil {
		return err
	}
	return r.settle(now, look, gate, r.shot.File, infer)
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
		err := r.decode(&r.shot)
		if refused := (*picture.RefusedError)(nil); errors.As(err, &refused) {
			s.Refused = refused.Reason
		} else if err != nil {
			return err
		} else {
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
	if r.refused != "" {
		return r.refuse(s.Time, s.Seq, s.File, r.refused)
	}
	var look view.Look
	if r.eye.Identical(strconv.AppendUint(nil, r.different, 10), s.Time) {
		look = r.eye.Again(s.Time)
	} else {
		look = r.eye.Look(&r.thumb, s.Time)
	}
	r.frame.Seq = s.Seq
	return r.settle(s.Time, look, r.gate(look, s.Time), s.File, s.InferMS)
}

// refuse does with a picture that can't be decoded what watcher.refuse and Daemon.miss do.
func (r *replay) refuse(now time.Time, seq uint64, file, reason string) error {
	r.result.Refused++
	if r.opts.Refused != nil {
		r.opts.Refused(seq, file, reason)
	}
	problem := undecodable(reason)
	if r.refusedRun++; r.refusedRun < manyRefused || !r.lost(problem, now) {
		return nil
	}
	return r.tell(r.lose(now, decide.CameraLost, problem), file, 0)
}

// settle decides upon a picture that came to a gate. What can't be seen is a loss under the conditions of Daemon.miss.
func (r *replay) settle(now time.Time, look view.Look, gate decide.Gate, file string, inferMS float64) error {
	n := r.result
	r.refusedRun = 0
	var events []decide.Event
	switch {
	case gate == decide.Decided:
		n.Classified++
		events = r.decide(now)
	case gate == decide.Unchanged:
		n.Unchanged++
		events = r.skip(now, gate)
	case r.lost(look.Problem, now):
		n.Blind++
		events = r.lose(now, gate, look.Problem)
	default:
		n.Blind++
		events = r.skip(now, gate)
	}
	return r.tell(events, file, inferMS)
}

// tell tells of what was decided upon a picture.
func (r *replay) tell(events []decide.Event, file string, inferMS float64) error {
	r.explained++
	for _, e := range events {
		r.told++
		e.ID, e.Seq, e.Source = eventID(e.Time), r.told, cmp.Or(r.result.Source, TypeReplay)
		e.File, e.InferMS = file, inferMS
		if err := r.opts.Event(e, r.result.Model); err != nil {
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
	c := r.config
	of := scoresOf{
		Version: scoresVersion, Recording: path, FPS: r.opts.FPS, Model: r.engine.SHA256,
		Crop: c.Crop, Resize: c.Resize, Rotate: c.Rotate, Flip: c.Flip,
	}
	switch info, err := os.Stat(path); {
	case err == nil:
		of.Changed = timeOf(info.ModTime())
	case !errors.Is(err, os.ErrNotExist):
		return scoresOf{}, fmt.Errorf("find the recording: %w", err)
	}
	if !r.opts.Start.IsZero() {
		of.Start = timeOf(r.opts.Start)
	}
	return of, nil
}
