package daemon

import (
	"context"
	"encoding/json"
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

// job is a picture on its way: a folder's, or that of a request.
type job struct {
	source  *source
	item    *camera.Item
	request *publish.IncomingRequest // then source and item are nil
	met     time.Time                // when it was handed out
	event   decide.Event
	image   []byte // JPEG of it, where snapshots.mqtt says so
}

// errUnread is the error of a file that couldn't be read, or is another one by now: its folder looks at it again.
var errUnread = errors.New("read picture")

// step says what a picture shows: decoded, prepared, classified. Start reading here. A picture that is refused gets an event
// too; an error is errUnread, or a fault of the machine.
func (d *Daemon) step(j *job) error {
	frame, resize, err := d.decode(j)
	if err == nil {
		var r Result
		r, err = d.engine.Classify(frame, resize)
		j.event.Kind, j.event.Top, j.event.InferMS = decide.Classified, append([]decide.Score(nil), r.Top...), r.InferMS
	}
	if err == nil && d.config.Snapshots.MQTT && j.source != nil {
		j.image, err = frame.Thumbnail()
	}
	if refused := (*picture.RefusedError)(nil); errors.As(err, &refused) {
		j.event.Kind, j.event.Error = decide.Refused, refused.Reason
	} else if err != nil {
		return fmt.Errorf("classify %s of %s: %w", j.event.File, j.event.Source, err)
	}
	j.event.Time = d.now()
	j.event.FrameAge = j.event.Time.Sub(j.met)
	d.pace.add(j.event)
	return nil
}

// decode reads the picture from its file or its request, and begins its event.
func (d *Daemon) decode(j *job) (camera.Frame, preprocess.Resize, error) {
	if j.request != nil {
		return d.decodeRequest(j)
	}
	resize := preprocess.Resize(j.source.config.Resize)
	j.event = decide.Event{ID: j.item.ID, Source: j.source.config.Name, File: j.item.File}
	if j.item.Err != nil {
		return camera.Frame{}, resize, j.item.Err
	}
	f, err := j.item.Open()
	if err != nil {
		return camera.Frame{}, resize, fmt.Errorf("%w: %w", errUnread, err)
	}
	defer f.Close() // it was only read
	mat, _, err := d.decoder.ReadFile(f)
	if changed := j.item.Unchanged(f); changed != nil {
		return camera.Frame{}, resize, fmt.Errorf("%w: %w", errUnread, changed)
	}
	if refused := (*picture.RefusedError)(nil); err != nil && !errors.As(err, &refused) {
		err = fmt.Errorf("%w: %w", errUnread, err)
	}
	return camera.Frame{Mat: mat, Time: j.met, Source: j.event.Source, File: j.event.File, ID: j.event.ID}, resize, err
}

// inFlight is how many judged pictures wait to be sent at most. A folder loses nothing by waiting.
const inFlight = 16

// flow moves pictures until ctx ends: one goroutine a folder takes them, and one the requests; one judges them, one sends
// their events in order, and one files what was acknowledged. On the way out each stage finishes what the one before it has
// handed over; what the broker then doesn't acknowledge in time stays in its folder for the next start.
func (d *Daemon) flow(ctx context.Context) error {
	taken := make(chan *job)
	judged := make(chan *job, inFlight)
	all, ctx := errgroup.WithContext(ctx)

	intake, intakeCtx := errgroup.WithContext(ctx)
	for _, s := range d.sources {
		intake.Go(func() error { return d.take(intakeCtx, s, taken) })
	}
	intake.Go(func() error {
		d.takeRequests(intakeCtx, taken)
		return nil
	})
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
	all.Go(func() error {
		d.report(ctx)
		return nil
	})
	all.Go(func() error {
		d.obey(ctx)
		return nil
	})
	return all.Wait()
}

// take hands a folder's pictures on.
func (d *Daemon) take(ctx context.Context, s *source, taken chan<- *job) error {
	for {
		item, err := s.next(ctx)
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
	var requests uint64 // judged
	for j := range taken {
		if fault != nil {
			j.release()
			continue
		}
		err := d.step(j)
		if err == nil {
			if j.source != nil {
				j.source.judged(&j.event)
			} else {
				requests++
				j.event.Seq = requests
			}
			judged <- j // deliver takes all until judged is closed
			continue
		}
		j.release()
		if !errors.Is(err, errUnread) {
			fault = err
			continue
		}
		d.log.Warn("picture is looked at again", "err", err)
	}
	return fault
}

// release gives a picture back that wasn't judged.
func (j *job) release() {
	if j.request != nil {
		j.request.Release()
		return
	}
	j.item.Release()
}

// sent is a folder's picture whose event is on its way.
type sent struct {
	*job
	acknowledged <-chan error
}

// deliver sends events and has those filed that the broker has acknowledged. After ctx has ended it goes on for stopTime.
func (d *Daemon) deliver(ctx context.Context, judged <-chan *job) {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopTime, cancel) })()
	pending := make(chan sent, publish.Window)
	var filing errgroup.Group
	filing.Go(func() error {
		for s := range pending {
			d.await(sending, s)
		}
		return nil
	})
	for j := range judged {
		if j.request != nil {
			d.answer(sending, j)
			continue
		}
		acknowledged, err := d.client.Send(sending, j.event)
		if err != nil {
			d.undelivered(j, err)
			continue
		}
		pending <- sent{j, acknowledged}
	}
	close(pending)
	filing.Wait() // it has no errors
}

// await waits for the acknowledgement and files the picture.
func (d *Daemon) await(sending context.Context, s sent) {
	var err error
	select {
	case err = <-s.acknowledged:
	case <-sending.Done():
		err = sending.Err()
	}
	if err != nil {
		d.undelivered(s.job, err)
		return
	}
	d.show(s.job)
	d.file(s.job)
}

// show publishes the source's state, and its picture if there is one to publish.
func (d *Daemon) show(j *job) {
	if err := d.tellState(j.source); err != nil {
		d.log.Error("tell a source's state", "source", j.event.Source, "err", err)
	}
	if j.image == nil {
		return
	}
	if err := d.client.SetImage(j.event.Source, j.image); err != nil {
		d.log.Warn("picture not published", "file", j.event.File, "err", err)
	}
}

// undelivered gives a picture back whose event didn't arrive, or refuses one whose event can't be made.
func (d *Daemon) undelivered(j *job, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, publish.ErrClosed) {
		d.log.Warn("not delivered before the stop; the picture stays in its folder", "source", j.event.Source, "file", j.event.File)
		j.item.Release()
		return
	}
	d.log.Error("publish", "source", j.event.Source, "file", j.event.File, "err", err)
	j.event.Kind, j.event.Error = decide.Refused, err.Error()
	d.file(j)
}

// file moves a delivered picture out of the way and logs what it was.
func (d *Daemon) file(j *job) {
	var result json.RawMessage
	var err error
	if j.source.config.Results {
		if result, err = publish.EventPayload(j.event, d.model(), publish.MaxPayload); err != nil {
			d.log.Error("make the result beside a picture", "source", j.event.Source, "file", j.event.File, "err", err)
		}
	}
	if j.event.Kind == decide.Refused {
		err = j.item.Refuse(j.event.Error, result) // the folder logs it
	} else {
		best := j.event.Top[0]
		d.log.Info("classified", "source", j.event.Source, "file", j.event.File, "label", best.Label,
			"score", thousandths(best.Score), "infer_ms", j.event.InferMS)
		err = j.item.Done(result)
	}
	if err != nil {
		d.log.Error("file picture", "source", j.event.Source, "file", j.event.File, "err", err)
	}
}

// thousandths is a score as the log shows it.
func thousandths(score float32) float64 { return math.Round(1000*float64(score)) / 1000 }
