package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sightd/inference"
	"sightd/inference/auction"
	"sightd/inference/tflite"
	"sightd/publish"
)

// openChooser opens what finds out and remembers which delegate is best.
func (d *Daemon) openChooser() {
	d.chooser = &Chooser{Argv: d.opts.Trials, Log: d.log, trying: func(on inference.Delegate) {
		d.service.starting("finding out what runs the model best: trying "+string(on), startTime)
	}}
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
		if n, err = d.openChecked(ctx, d.config, o); err == nil || o.Model == d.config.Model.Path {
			return n, err
		}
	}
	if ctx.Err() != nil || errors.Is(err, errHung) {
		return nil, err
	}
	d.log.Error("the installed model can't be used, running the configured one", "err", err)
	n, configuredErr := d.openChecked(ctx, d.config, d.config.configured())
	if configuredErr != nil {
		return nil, errors.Join(err, configuredErr)
	}
	n.trouble = fmt.Sprintf("the installed model can't be used: %v", err)
	return n, nil
}

// openChecked opens a model, and makes sure that the live sources of c can decide on what it says.
func (d *Daemon) openChecked(ctx context.Context, c Config, o EngineOptions) (*network, error) {
	n, err := d.openNetwork(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := c.checkDecisions(n.engine); err != nil {
		err = errors.Join(fmt.Errorf("use model %s: %w", modelName(o.Model), err), n.engine.Close())
		d.noteUse()
		return nil, err
	}
	return n, nil
}

// errStopping is what a request is answered when it comes too late, and errRenewing when it comes while the configuration changes.
var (
	errStopping = errors.New("sightd stops")
	errRenewing = errors.New("sightd takes another configuration over: ask again")
)

// reloading reads configuration and model again when that is asked for, one time after the other, until ctx ends and d.asks is closed.
// Another configuration ends the flow by stop, to be taken over when that stands still.
func (d *Daemon) reloading(ctx context.Context, stop context.CancelCauseFunc) {
	for ctx.Err() == nil { // else a signal is left to the next flow
		var answer func(publish.ReloadResult, error)
		select {
		case <-d.opts.Reload:
			answer = func(publish.ReloadResult, error) {} // it is told in the log
		case answer = <-d.asks:
			if answer == nil { // it is closed: all ends
				return
			}
		case <-ctx.Done():
			continue
		}
		result, next, err := d.reload(ctx)
		if next != nil {
			next.answer = answer
			d.renewal = next
			stop(errRenewing)
			continue
		}
		answer(result, err)
	}
	why := errStopping
	if renewing(ctx) {
		why = errRenewing
	}
	for answer := range d.asks { // requests come for a moment still
		answer(publish.ReloadResult{}, why)
	}
}

// reload reads the configuration again, and opens the model that is to be used now, which is proven and warmed beside the one in use. With
// the same configuration it puts it in that one's place between two pictures; another one is given back, to be taken over. After an error,
// which is in the log and in bridge/health, all goes on as before.
func (d *Daemon) reload(ctx context.Context) (result publish.ReloadResult, next *renewal, err error) {
	if ctx.Err() != nil {
		return result, nil, errStopping
	}
	d.log.Info("reading configuration and model again")
	d.service.reloading()
	defer func() {
		if ctx.Err() != nil && err != nil {
			err = fmt.Errorf("%w: %w", errStopping, err)
		} else if next == nil {
			d.reloaded(err)
			d.service.started()
		}
	}()
	defer tflite.Trim() // of the model before, or of the bad one
	begun := d.now()
	config, keys, err := d.reread()
	if err != nil {
		return result, nil, err
	}
	o, err := config.Engine()
	if err != nil {
		return result, nil, err
	}
	n, err := d.openChecked(ctx, config, o)
	if err != nil {
		d.noteUse()
		return result, nil, err
	}
	if len(keys) > 0 {
		return result, &renewal{config: config, keys: keys, network: n, was: d.engine().SHA256, begun: begun}, nil
	}
	before := d.engine().SHA256
	if err := d.hand(ctx, n); err != nil {
		return result, nil, err
	}
	if !n.wanted { // its delegate has failed meanwhile: then another one is the best
		if n, err = d.openChecked(ctx, config, o); err != nil {
			return result, nil, err
		}
		if err := d.hand(ctx, n); err != nil {
			return result, nil, err
		}
	}
	if !n.wanted {
		return result, nil, fmt.Errorf("use model %s: its delegates fail", modelName(o.Model))
	}
	return d.reloadResult(n.engine, before, begun), nil, nil
}

// reloadResult is what is told of a model that took over from the one with sha256 before.
func (d *Daemon) reloadResult(e *Engine, before string, begun time.Time) publish.ReloadResult {
	return publish.ReloadResult{
		Model: e.Name, SHA256: e.SHA256, PreviousSHA256: before, Changed: e.SHA256 != before,
		Delegate: string(e.Delegation().Delegate), Threads: e.Threads(), Proven: e.Proven, Took: d.now().Sub(begun).Round(time.Millisecond),
	}
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
	d.cores.Lock()
	defer d.cores.Unlock()
	d.judging.busy()
	defer d.judging.idle()
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
		ctx, cancel := context.WithTimeout(context.WithoutCancel(working), stopTime) // the flow may have ended meanwhile
		defer cancel()
		if err != nil {
			d.answered(r, r.AnswerError(ctx, err))
			return
		}
		d.answered(r, r.AnswerReload(ctx, result))
	}
	select {
	case d.asks <- answer:
		return nil
	default:
		return r.AnswerError(working, fmt.Errorf("%d readings of the model are waited for already", cap(d.asks)))
	}
}
