package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"math"
	"time"

	"golang.org/x/sync/errgroup"

	"sightd/camera"
	"sightd/camera/picture"
	"sightd/decide"
	"sightd/preprocess"
	"sightd/publish"
)

// job is a picture on its way: a folder's, a live source's, or that of a request.
type job struct {
	source  *source
	item    *camera.Item             // of a folder
	watcher *watcher                 // of a live source, which waits for the answer
	frame   camera.Frame             // of a live source: it is decoded already
	request *publish.IncomingRequest // then source is nil
	met     time.Time                // when it was handed out, or came from a camera
	took    time.Duration            // to be judged
	event   decide.Event
	engine  *Engine // that has judged it
	image   []byte  // JPEG of it, where snapshots.mqtt says so

	// done is closed when a picture that no live source waits for is judged, or isn't to be: fate says why.
	done chan struct{}
	fate error
}

var (
	// errUnread is the error of a file that couldn't be read, or is another one by now: its folder looks at it again.
	errUnread = errors.New("read picture")

	// errStale is the error of a live picture whose turn came too late for it to tell what is to be seen now.
	errStale = errors.New("picture is stale")

	// errStopped is what a live source is answered when nothing is judged any more.
	errStopped = errors.New("pictures are judged no more")
)

// step says what a picture shows: decoded, prepared, classified. Start reading here. A picture that is refused gets an event
// too; an error is errUnread, or a fault of the machine.
func (d *Daemon) step(j *job, l *lane) error {
	begun := d.now()
	frame, view, err := d.decode(j, l)
	if err == nil {
		err = l.classify(j, frame, view)
	}
	if err == nil && d.config.Snapshots.MQTT && j.item != nil {
		j.image, err = d.thumbnail(frame)
	}
	if refused := (*picture.RefusedError)(nil); errors.As(err, &refused) {
		j.event.Kind, j.event.Error = decide.Refused, refused.Reason
	} else if err != nil {
		return fmt.Errorf("classify %s of %s: %w", j.event.File, j.event.Source, err)
	}
	j.event.Time = d.now()
	j.event.FrameAge, j.took = j.event.Time.Sub(j.met), j.event.Time.Sub(begun)
	d.pace.add(j.event)
	return nil
}

// take keeps what the network said. A live source's decisions are made of all scores, by its own goroutine.
func (j *job) take(r Result) {
	j.event.Kind, j.event.InferMS, j.engine = decide.Classified, r.InferMS, r.engine
	if r.engine != nil { // nil after an error
		j.event.Model = r.engine.Model()
	}
	if j.watcher != nil {
		j.watcher.scores = append(j.watcher.scores[:0], r.Scores...)
		return
	}
	j.event.Top = append([]decide.Score(nil), r.Top...)
}

// decode reads the picture from its file or its request, where it isn't decoded yet, and begins its event.
func (d *Daemon) decode(j *job, l *lane) (camera.Frame, View, error) {
	switch {
	case j.request != nil:
		return d.decodeRequest(j, l)
	case j.watcher != nil && d.now().Sub(j.met) > j.source.config.Stall:
		return j.frame, j.source.config.view(), errStale
	case j.watcher != nil:
		j.event = decide.Event{Source: j.source.config.Name}
		return j.frame, j.source.config.view(), nil
	}
	resize := View{Resize: preprocess.Resize(j.source.config.Resize)}
	j.event = decide.Event{ID: j.item.ID, Source: j.source.config.Name, File: j.item.File}
	if j.item.Err != nil {
		return camera.Frame{}, resize, j.item.Err
	}
	l.decoder.Enough = d.enough(resize, d.config.Snapshots.MQTT)
	mat, _, err := j.item.Decode(l.decoder)
	if refused := (*picture.RefusedError)(nil); err != nil && !errors.As(err, &refused) {
		err = fmt.Errorf("%w: %w", errUnread, err)
	}
	return camera.Frame{Mat: mat, Time: j.met, Source: j.event.Source, File: j.event.File, ID: j.event.ID}, resize, err
}

// enough says to a decoder how much the network needs of a picture in that view, and a thumbnail of it, where one is made.
func (d *Daemon) enough(v View, thumbnail bool) func(image.Point) bool {
	e := d.engine()
	return func(size image.Point) bool {
		return e.Enough(v, size) && (!thumbnail || size.Y >= camera.ThumbnailHeight)
	}
}

// inFlight is how many pictures of folders may be on their way, from their folder to the broker's acknowledgement. A folder loses
// nothing by waiting, and while the broker is away its pictures must not stand in the way of cameras.
const inFlight = 16 + publish.Window

// flow moves pictures until ctx ends: one goroutine a source takes them, and one the requests; one judges them, with lanes beside it
// while many wait (see judge), so that all sources have their turn. Live sources hear what was said of their picture, and go on from
// there (see watch). For the others one sends their events in the order in which they were taken, and one files what was acknowledged. On the way out each stage
// finishes what the one before it has handed over; what the broker then doesn't acknowledge in time stays in its folder for the
// next start. With another configuration in d.renewal it ends, too, to be called again.
func (d *Daemon) flow(ctx context.Context) error {
	taken := make(chan *job)              // by live sources, which wait for the answer
	queued := make(chan *job, queuedJobs) // of folders and requests
	d.asks = make(chan func(publish.ReloadResult, error), 4)
	judged := make(chan *job, inFlight+heldRequests) // there is always room
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	all, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() {
		if !renewing(ctx) && d.end != nil { // nil: in tests
			d.end()
		}
	})()

	intake, intakeCtx := errgroup.WithContext(ctx)
	for _, s := range d.sources {
		if s.watcher != nil {
			intake.Go(func() error { return d.watch(intakeCtx, s.watcher, taken) })
			continue
		}
		intake.Go(func() error { return d.take(intakeCtx, s, queued) })
	}
	intake.Go(func() error {
		d.lookAfter(intakeCtx)
		return nil
	})
	intake.Go(func() error {
		d.takeRequests(intakeCtx, queued)
		return nil
	})
	all.Go(func() error {
		defer close(taken)
		defer close(queued)
		return intake.Wait()
	})
	all.Go(func() error {
		defer close(judged)
		return d.judge(taken, queued, judged, stop)
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
		d.reloading(ctx, stop)
		return nil
	})
	all.Go(func() error {
		d.obey(ctx)
		return nil
	})
	return all.Wait()
}

// take hands a folder's pictures on, as many as may be on their way.
func (d *Daemon) take(ctx context.Context, s *source, queued chan<- *job) error {
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
		case d.flights <- struct{}{}: // freed by landed
		case <-ctx.Done():
			item.Release()
			return nil
		}
		select {
		case queued <- &job{source: s, item: item, met: d.now(), done: make(chan struct{})}:
		case <-ctx.Done():
			item.Release()
			d.landed()
			return nil
		}
	}
}

// sent is a folder's picture whose event is on its way.
type sent struct {
	*job
	acknowledged <-chan error
}

// deliver sends events and has those filed that the broker has acknowledged. After ctx has ended it goes on for stopTime, or renewTime.
func (d *Daemon) deliver(ctx context.Context, judged <-chan *job) {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if renewing(ctx) {
			time.AfterFunc(renewTime, cancel)
		} else {
			time.AfterFunc(stopTime, cancel)
		}
	})()
	pending := make(chan sent, publish.Window)
	var filing errgroup.Group
	filing.Go(func() error {
		for s := range pending {
			d.await(sending, s)
		}
		return nil
	})
	for j := range judged {
		<-j.done
		if j.fate != nil {
			d.release(j)
			continue
		}
		d.number(j)
		if j.request != nil {
			d.answer(sending, j)
			continue
		}
		acknowledged, err := d.client.Send(sending, j.event)
		if err != nil {
			d.undelivered(j, err)
			d.landed()
			continue
		}
		pending <- sent{j, acknowledged}
	}
	close(pending)
	filing.Wait() // it has no errors
}

// number takes the event of a picture that was judged into its source's state, and numbers it.
func (d *Daemon) number(j *job) {
	if j.source != nil {
		j.source.judged(&j.event)
		return
	}
	d.requests++
	j.event.Seq = d.requests
}

// await waits for the acknowledgement and files the picture.
func (d *Daemon) await(sending context.Context, s sent) {
	defer d.landed()
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
	defer d.service.begin("publishing what " + s.job.source.config.Name + " shows").idle()
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
		d.log.Warn("not delivered in time; the picture stays in its folder", "source", j.event.Source, "file", j.event.File)
		j.item.Release()
		return
	}
	d.log.Error("publish", "source", j.event.Source, "file", j.event.File, "err", err)
	j.event.Kind, j.event.Error = decide.Refused, err.Error()
	d.file(j)
}

// file moves a delivered picture out of the way and logs what it was.
func (d *Daemon) file(j *job) {
	defer d.service.begin("putting a picture of " + j.source.config.Name + " away").idle()
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
