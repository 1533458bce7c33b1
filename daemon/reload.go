package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sightd/inference/auction"
	"sightd/inference/tflite"
	"sightd/publish"
)

// openChooser opens what finds out and remembers which delegate is best.
func (d *Daemon) openChooser() {
	d.chooser = &Chooser{Argv: d.opts.Trials, Log: d.log}
	if d.opts.Trials == nil {
		return
	}
	if err := os.MkdirAll(d.config.StateDir, 0o700); err != nil {
		d.log.Warn("each start has to find out which delegate is best", "err", err)
		return
	}
	var warning string
	if d.chooser.Ledger, warning = auction.OpenLedger(filepath.Join(d.config.StateDir, "delegates.json"), d.now); warning != "" {
		d.log.Warn(warning)
	}
	d.chooser.Caches = filepath.Join(d.config.StateDir, "cache")
	if err := os.MkdirAll(d.chooser.Caches, 0o700); err != nil {
		d.log.Warn("starts are slower without XNNPACK's weight cache", "err", err)
		d.chooser.Caches = ""
	}
	died, marked, err := d.chooser.Ledger.Died(auction.BootID())
	switch {
	case err != nil:
		d.log.Warn("delegates that ended the last process aren't known", "err", err)
	case marked != "":
		d.log.Error("delegate is passed over from now on", "delegate", died, "why", marked)
	case died != "":
		d.log.Warn("the last process ended without a stop while this delegate ran the model; at the third time within an hour it is passed over",
			"delegate", died)
	}
}

// openFirst opens the model that the daemon starts with. One that was installed and can't be had makes way for the configured one: a
// board has to start.
func (d *Daemon) openFirst(ctx context.Context) (*network, error) {
	o, err := d.config.Engine()
	if err == nil {
		var n *network
		if n, err = d.openChecked(ctx, o); err == nil || o.Model == d.config.Model.Path {
			return n, err
		}
	}
	if ctx.Err() != nil || errors.Is(err, errHung) {
		return nil, err
	}
	d.log.Error("the installed model can't be used, running the configured one", "err", err)
	n, configuredErr := d.openChecked(ctx, d.config.configured())
	if configuredErr != nil {
		return nil, errors.Join(err, configuredErr)
	}
	n.trouble = fmt.Sprintf("the installed model can't be used: %v", err)
	return n, nil
}

// openChecked opens a model, and makes sure that the live sources can decide on what it says.
func (d *Daemon) openChecked(ctx context.Context, o EngineOptions) (*network, error) {
	n, err := d.openNetwork(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := d.config.checkDecisions(n.engine); err != nil {
		err = errors.Join(fmt.Errorf("use model %s: %w", modelName(o.Model), err), n.engine.Close())
		d.noteUse()
		return nil, err
	}
	return n, nil
}

// errStopping is what a request for another model is answered when it comes too late.
var errStopping = errors.New("sightd stops")

// reloading reads the model again when that is asked for, one time after the other, until ctx ends and d.asks is closed.
func (d *Daemon) reloading(ctx context.Context) {
	for {
		select {
		case <-d.opts.Reload:
			d.reload(ctx) // it has told of its error
		case answer := <-d.asks:
			answer(d.reload(ctx))
		case <-ctx.Done():
			for answer := range d.asks { // requests come for a moment still
				answer(publish.ReloadResult{}, errStopping)
			}
			return
		}
	}
}

// reload opens the model that is to be used now, proves and warms it beside the one in use, and puts it in that one's place between two
// pictures. After an error, which is in the log, the one before goes on.
func (d *Daemon) reload(ctx context.Context) (result publish.ReloadResult, err error) {
	if ctx.Err() != nil {
		return result, errStopping
	}
	defer func() {
		if ctx.Err() != nil && err != nil {
			err = fmt.Errorf("%w: %w", errStopping, err)
		} else if err != nil {
			d.log.Error("the model goes on that was used before", "err", err)
		}
	}()
	defer tflite.Trim() // of the model before, or of the bad one
	begun := d.now()
	before := d.engine()
	o, err := d.config.Engine()
	if err != nil {
		return result, err
	}
	n, err := d.openChecked(ctx, o)
	if err != nil {
		d.noteUse()
		return result, err
	}
	if err := d.hand(ctx, n); err != nil {
		return result, err
	}
	if !n.wanted { // its delegate has failed meanwhile: then another one is the best
		if n, err = d.openChecked(ctx, o); err != nil {
			return result, err
		}
		if err := d.hand(ctx, n); err != nil {
			return result, err
		}
	}
	if !n.wanted {
		return result, fmt.Errorf("use model %s: its delegates fail", modelName(o.Model))
	}
	e := n.engine
	return publish.ReloadResult{
		Model: e.Name, SHA256: e.SHA256, PreviousSHA256: before.SHA256, Changed: e.SHA256 != before.SHA256,
		Delegate: string(e.Delegation().Delegate), Threads: e.Threads(), Proven: e.Proven, Took: d.now().Sub(begun).Round(time.Millisecond),
	}, nil
}

// hand offers a network to the goroutine that judges.
func (d *Daemon) hand(ctx context.Context, n *network) error {
	n.taken = make(chan struct{})
	select {
	case d.heirs <- n:
		<-n.taken
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), n.engine.Close())
	}
}

// succeed puts another network in the place of the one in use, unless its delegate has failed since it was opened. The goroutine that
// judges calls it, between two pictures. An error is that of a delegate that hangs: the process must end.
func (d *Daemon) succeed(n *network) error {
	defer close(n.taken)
	if d.chooser.marked(n.choice.Key, n.engine.Delegation().Delegate) != "" {
		err := d.retire(n)
		d.noteUse()
		return err
	}
	n.wanted = true
	before := d.network.Swap(n)
	d.noteUse()
	d.tellNetwork()
	err := d.retire(before)
	tflite.Trim()
	d.chooser.tidy(n.engine.SHA256, before.engine.SHA256)
	return err
}

// askReload has the model read again for a request, and answers it.
func (d *Daemon) askReload(working context.Context, r *publish.IncomingRequest) error {
	answer := func(result publish.ReloadResult, err error) {
		if err != nil {
			d.answered(r, r.AnswerError(working, err))
			return
		}
		d.answered(r, r.AnswerReload(working, result))
	}
	select {
	case d.asks <- answer:
		return nil
	default:
		return r.AnswerError(working, fmt.Errorf("%d readings of the model are waited for already", cap(d.asks)))
	}
}
