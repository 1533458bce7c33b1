package daemon

import (
	"context"
	"errors"
)

const (
	// queuedJobs is how many pictures of folders and requests wait for the judge, who knows by them that there are more to come. Each
	// folder's next one waits behind them, so that all have their turn.
	queuedJobs = 8

	// manyJobs is how many pictures in a row must have had another one behind them for lanes to be worth opening.
	manyJobs = 8
)

// judge says of pictures what they show: of those of live sources, of a single one and of the first ones of many on all threads, one
// after the other; of many that wait on lanes, side by side. judged has those of folders and requests in the order in which they came.
// A fault of the machine ends all by stop; what still comes then is given back.
func (d *Daemon) judge(taken, queued <-chan *job, judged chan<- *job, stop context.CancelCauseFunc) error {
	alone := &lane{d: d, decoder: d.decoder, work: d.judging}
	side := newLanes(d, stop)
	defer side.close()
	defer d.judging.idle()
	row := 0
	for {
		d.judging.idle()
		j, more, err := d.nextJob(&taken, &queued, side.fault() == nil)
		if err != nil {
			side.fail(err)
			continue
		}
		if !more {
			side.close()
			return side.fault()
		}
		if j.watcher == nil {
			judged <- j // there is always room
		}
		if len(queued) > 0 || side.busy() {
			row++
		} else {
			row = 0
		}
		if j.watcher == nil && row >= manyJobs && side.hand(j) {
			continue
		}
		d.judging.busy()
		side.judge(alone, j)
	}
}

// nextJob waits for a picture, and while there is none takes the network that is to be used from now on. A channel that is closed becomes
// nil; without both there are no more.
func (d *Daemon) nextJob(taken, queued *<-chan *job, sound bool) (j *job, more bool, err error) {
	heirs := d.heirs
	if !sound {
		heirs = nil // it would run on a machine that fails
	}
	for *taken != nil || *queued != nil {
		select { // else pictures that never end would keep it out
		case n := <-heirs:
			if err := d.succeed(n); err != nil {
				return nil, true, err
			}
		default:
		}
		select {
		case n := <-heirs:
			if err := d.succeed(n); err != nil {
				return nil, true, err
			}
		case j, more = <-*taken:
			if more {
				return j, true, nil
			}
			*taken = nil
		case j, more = <-*queued:
			if more {
				return j, true, nil
			}
			*queued = nil
		}
	}
	return nil, false, nil
}

// settle says what became of a picture: err is that of its step.
func (d *Daemon) settle(j *job, err error) {
	if errors.Is(err, errUnread) {
		d.log.Warn("picture is looked at again", "err", err)
	}
	if j.watcher != nil {
		j.watcher.answer <- err
		return
	}
	j.fate = err
	close(j.done)
}

// release gives a folder's or a request's picture back that wasn't judged.
func (d *Daemon) release(j *job) {
	if j.request != nil {
		j.request.Release()
		return
	}
	j.item.Release()
	d.landed()
}

// landed makes room for another of a folder's pictures.
func (d *Daemon) landed() { <-d.flights }
