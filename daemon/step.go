package daemon

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sync/errgroup"

	"sightd/camera"
	"sightd/camera/picture"
	"sightd/decide"
	"sightd/preprocess"
	"sightd/publish"
)

// job is a folder's picture on its way.
type job struct {
	source *source
	item   *camera.Item
	met    time.Time // when it was handed out
	event  decide.Event
}

// errUnread is the error of a file that couldn't be read, or is another one by now: its folder looks at it again.
var errUnread = errors.New("read picture")

// step says what a picture shows: decoded, prepared, classified. Start reading here. A picture that is refused gets an event
// too; an error is errUnread, or a fault of the machine.
func (d *Daemon) step(j *job) error {
	j.event = decide.Event{ID: j.item.ID, Source: j.source.config.Name, File: j.item.File}
	frame, err := d.decode(j)
	if err == nil {
		var r Result
		r, err = d.engine.Classify(frame, preprocess.Resize(j.source.config.Resize))
		j.event.Kind, j.event.Top, j.event.InferMS = decide.Classified, append([]decide.Score(nil), r.Top...), r.InferMS
	}
	if refused := (*picture.RefusedError)(nil); errors.As(err, &refused) {
		j.event.Kind, j.event.Error = decide.Refused, refused.Reason
	} else if err != nil {
		return fmt.Errorf("classify %s of %s: %w", j.item.File, j.event.Source, err)
	}
	j.source.seq++
	j.event.Seq, j.event.Time = j.source.seq, d.now()
	j.event.FrameAge = j.event.Time.Sub(j.met)
	return nil
}

// decode reads the picture's file.
func (d *Daemon) decode(j *job) (camera.Frame, error) {
	if j.item.Err != nil {
		return camera.Frame{}, j.item.Err
	}
	f, err := j.item.Open()
	if err != nil {
		return camera.Frame{}, fmt.Errorf("%w: %w", errUnread, err)
	}
	defer f.Close() // it was only read
	mat, _, err := d.decoder.ReadFile(f)
	if refused := (*picture.RefusedError)(nil); err != nil && !errors.As(err, &refused) {
		err = fmt.Errorf("%w: %w", errUnread, err)
	}
	return camera.Frame{Mat: mat, Time: j.met, Source: j.source.config.Name, File: j.item.File, ID: j.item.ID}, err
}

// inFlight is how many judged pictures wait for the broker at most. A folder loses nothing by waiting.
const inFlight = 16

// flow moves pictures until ctx ends: one goroutine a folder takes them, one judges them, one delivers them in order. On the
// way out each stage finishes what the one before it has handed over; what the broker then doesn't acknowledge in time stays in
// its folder for the next start.
func (d *Daemon) flow(ctx context.Context) error {
	taken := make(chan *job)
	judged := make(chan *job, inFlight)
	all, ctx := errgroup.WithContext(ctx)

	intake, intakeCtx := errgroup.WithContext(ctx)
	for _, s := range d.sources {
		intake.Go(func() error { return d.take(intakeCtx, s, taken) })
	}
	all.Go(func() error {
		defer close(taken)
		return intake.Wait()
	})
	all.Go(func() error {
		defer close(judged)
		return d.judge(taken, judged)
	})
	all.Go(func() error {
		d.deliver(ctx, judged)
		return nil
	})
	return all.Wait()
}

// take hands a folder's pictures on.
func (d *Daemon) take(ctx context.Context, s *source, taken chan<- *job) error {
	for {
		item, err := s.folder.Next(ctx)
		if ctx.Err() != nil {
			if item != nil {
				item.Release()
			}
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case taken <- &job{source: s, item: item, met: d.now()}:
		case <-ctx.Done():
			item.Release()
			return nil
		}
	}
}

// judge steps with what was taken. After a fault of the machine it gives back what still comes.
func (d *Daemon) judge(taken <-chan *job, judged chan<- *job) error {
	var fault error
	for j := range taken {
		if fault != nil {
			j.item.Release()
			continue
		}
		err := d.step(j)
		if err == nil {
			judged <- j // deliver takes all until judged is closed
			continue
		}
		j.item.Release()
		if !errors.Is(err, errUnread) {
			fault = err
			continue
		}
		d.log.Warn("picture is looked at again", "err", err)
	}
	return fault
}

// deliver publishes events and, once the broker has acknowledged one, files its picture. After ctx has ended it goes on for
// stopTime.
func (d *Daemon) deliver(ctx context.Context, judged <-chan *job) {
	publishing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopTime, cancel) })()
	for j := range judged {
		if err := d.client.Publish(publishing, j.event); errors.Is(err, context.Canceled) || errors.Is(err, publish.ErrClosed) {
			d.log.Warn("not delivered before the stop; the picture stays in its folder", "source", j.event.Source, "file", j.event.File)
			j.item.Release()
			continue
		} else if err != nil {
			d.log.Error("publish", "source", j.event.Source, "file", j.event.File, "err", err)
			j.event.Kind, j.event.Error = decide.Refused, err.Error()
		}
		d.file(j)
	}
}

// file moves a delivered picture out of the way and logs what it was.
func (d *Daemon) file(j *job) {
	var err error
	if j.event.Kind == decide.Refused {
		err = j.item.Refuse(j.event.Error) // the folder logs it
	} else {
		best := j.event.Top[0]
		d.log.Info("classified", "source", j.event.Source, "file", j.event.File, "label", best.Label,
			"score", math.Round(1000*float64(best.Score))/1000, "infer_ms", j.event.InferMS)
		err = j.item.Done()
	}
	if err != nil {
		d.log.Error("file picture", "source", j.event.Source, "file", j.event.File, "err", err)
	}
}
