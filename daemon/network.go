package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sightd/camera"
	"sightd/camera/picture"
	"sightd/inference"
	"sightd/inference/auction"
	"sightd/publish"
)

// network is the model in use: the engine that runs it, what else could, and what went wrong. It isn't changed once it is in use: a
// successor takes its place.
type network struct {
	engine  *Engine
	options EngineOptions // as configured, with the sha256 of the file
	choice  Choice
	rest    []auction.Receipt // what else may run the model, best first
	trouble string            // why it isn't run as it should be; "": it is

	taken  chan struct{} // closed when it is in use, or isn't wanted; nil for the first
	wanted bool          // it is in use; valid when taken is closed
}

// about is what is published of the delegate.
func (n *network) about() publish.DelegateInfo {
	d := n.engine.Delegation()
	info := publish.DelegateInfo{
		Requested: string(n.choice.Requested), Active: string(d.Delegate), Reason: n.reason(), Threads: n.engine.Threads(),
		Nodes: publish.NodeCount{Taken: d.Taken, Total: d.Total},
	}
	for _, r := range n.choice.Ranked {
		info.Tried = append(info.Tried, publish.DelegateTrial{
			Delegate: string(r.Delegate), Threads: r.Threads, Passed: r.Passed, MS: r.MS, Reason: r.Reason,
		})
	}
	return info
}

// reason says why the active delegate runs the model, and how much of it.
func (n *network) reason() string { return n.engine.Delegation().String() + "; " + n.why() }

// why says why the active delegate runs the model.
func (n *network) why() string {
	if n.trouble != "" {
		return n.trouble
	}
	return n.choice.Reason
}

// The daemon knows a delegate that hangs by a time that no sound one takes: a hundred times what it took when it was tried, and at least
// leastLimit.
const (
	leastLimit = 10 * time.Second
	limitTimes = 100
)

// limit is how long a delegate may take for a picture.
func (d *Daemon) limit(r auction.Receipt) time.Duration {
	return max(cmp.Or(d.opts.leastLimit, leastLimit), time.Duration(limitTimes*r.MS*float64(time.Millisecond)))
}

// openNetwork opens the model with the best delegate that it can be had with. The error has what is wrong with each.
func (d *Daemon) openNetwork(ctx context.Context, o EngineOptions) (*network, error) {
	m, err := load(o.Model)
	if err != nil {
		return nil, err
	}
	choice, err := d.chooser.Choose(ctx, o, m)
	if err != nil {
		return nil, err
	}
	o.SHA256, o.loaded, o.Options.WeightCache, o.ends = m.sum, m, d.chooser.cache(m.sum), d.ends
	return d.openNext(&network{options: o, choice: choice, rest: choice.Order, trouble: choice.Trouble})
}

// openNext gives a network like n that is run by the first of n.rest that can be had, of which there must be one. What can't is its
// trouble. A delegate that hangs is marked, and the error wraps errHung: nothing but the end of the process helps. What was read of the
// model is kept while a delegate with a driver runs it: the file may be another when that fails.
func (d *Daemon) openNext(n *network) (*network, error) {
	next := *n
	var errs []error
	for i, r := range n.rest {
		next.rest = n.rest[i+1:]
		o := n.options
		o.Options.Delegate, o.Options.Threads, o.Limit = r.Delegate, r.Threads, d.limit(r)
		o.opens = d.opts.leastLimit
		d.chooser.enter(n.choice.Key, r.Delegate)
		d.service.starting("opening the model on "+string(r.Delegate), startTime)
		engine, err := OpenEngine(o)
		if err == nil {
			if next.engine = engine; !r.Delegate.HasDriver() {
				next.options.loaded = nil
			}
			return &next, nil
		}
		if errors.Is(err, errHung) {
			d.chooser.mark(n.choice.Key, r.Delegate, err)
		}
		if errors.Is(err, errHung) || errors.Is(err, errAbandoned) {
			return nil, err
		}
		d.noteUse()
		errs = append(errs, err)
		if next.trouble == "" {
			next.trouble = err.Error()
		}
		d.log.Warn("delegate can't be had", "delegate", r.Delegate, "err", err)
	}
	return nil, errors.Join(errs...)
}

// noteUse notes which delegate runs the model now, so that one that takes the process with it is known for that.
func (d *Daemon) noteUse() {
	if n := d.network.Load(); n != nil && n.engine.Delegation().Delegate.HasDriver() {
		d.chooser.enter(n.choice.Key, n.engine.Delegation().Delegate)
	} else {
		d.chooser.leave()
	}
}

// closeNetwork frees the engine when all ends. What hangs then is no reason to pass it over: the next start sees.
func (d *Daemon) closeNetwork(n *network) error {
	err := n.engine.Close()
	d.chooser.leave()
	return err
}

// retire frees an engine that isn't used any more. An error is that of a delegate that hangs: it is marked, and the process must end.
func (d *Daemon) retire(n *network) error {
	err := n.engine.Close()
	if errors.Is(err, errHung) {
		d.chooser.mark(n.choice.Key, n.engine.Delegation().Delegate, err)
		return err
	}
	if err != nil {
		d.log.Error("free a delegate", "delegate", n.engine.Delegation().Delegate, "err", err)
	}
	return nil
}

// engine is the engine in use. Who holds d.cores alone runs it; others may ask what it is.
func (d *Daemon) engine() *Engine { return d.network.Load().engine }

// classify runs the network on a picture. When its delegate fails, the next best takes over, and has the same picture. The caller holds
// d.cores alone.
func (d *Daemon) classify(f camera.Frame, v View) (Result, error) {
	n := d.network.Load()
	r, err := n.engine.ClassifyView(f, v)
	var failure *delegateError
	if err == nil || !errors.As(err, &failure) {
		return r, err
	}
	return d.fallBack(n, f, v, failure)
}

// fallBack has the next best run the network. A delegate that hangs is marked: the process must end, and the next start passes it over.
// A picture for which XNNPACK or the built-in kernels say what is no number, or another delegate and the next best, is refused: it is the
// network's doing, and the delegate goes on.
func (d *Daemon) fallBack(n *network, f camera.Frame, v View, failure *delegateError) (Result, error) {
	failed := n.engine.Delegation().Delegate
	if errors.Is(failure, errHung) {
		d.chooser.mark(n.choice.Key, failed, failure)
		return Result{}, fmt.Errorf("%w: %s is passed over from the next start on", failure, failed)
	}
	noNumber := errors.Is(failure, inference.ErrNotANumber)
	trusted := failed == inference.XNNPACK || failed == inference.CPU // to compute what the network says
	if noNumber && (trusted || len(n.rest) == 0 || d.now().Before(d.vouched)) {
		return Result{}, noNumbers()
	}
	if len(n.rest) == 0 || errors.Is(failure, errAbandoned) {
		return Result{}, failure
	}
	d.log.Error("delegate failed, trying the next best", "delegate", failed, "err", failure)
	d.acting.extend(time.Duration(len(n.rest)) * startTime)
	next, err := d.openNext(n)
	if err != nil {
		return Result{}, errors.Join(failure, err)
	}
	r, err := next.engine.ClassifyView(f, v)
	if noNumber && errors.Is(err, inference.ErrNotANumber) {
		d.noteUse()
		d.vouched = d.now().Add(vouchTime)
		return Result{}, errors.Join(noNumbers(), next.engine.Close())
	}
	d.chooser.mark(n.choice.Key, failed, failure)
	next.trouble = fmt.Sprintf("%s failed at %s: %v", failed, d.now().UTC().Format(time.RFC3339), failure)
	next.choice.Ranked = blamed(n.choice.Ranked, failed, next.trouble)
	d.network.Store(next)
	d.noteUse()
	d.tellNetwork()
	if err := d.retire(n); err != nil {
		return Result{}, err
	}
	if errors.As(err, &failure) {
		return d.fallBack(next, f, v, failure)
	}
	return r, err
}

// vouchTime is for how long a delegate's scores that are no numbers are believed, once the next best said the same of a picture.
const vouchTime = time.Minute

// blamed are receipts of which those of a delegate that has failed since say so.
func blamed(ranked []auction.Receipt, failed inference.Delegate, why string) []auction.Receipt {
	ranked = slices.Clone(ranked)
	for i := range ranked {
		if ranked[i].Delegate == failed {
			ranked[i].Passed, ranked[i].Reason = false, why
		}
	}
	return ranked
}

// noNumbers refuses a picture whose scores are no numbers.
func noNumbers() error {
	return &picture.RefusedError{Reason: "the network puts out what is no number for it"}
}

// delegateError is what goes wrong in a delegate, not in a picture and not in its preparation.
type delegateError struct{ error }

func (e *delegateError) Unwrap() error { return e.error }

// tellNetwork publishes and logs what runs the model.
func (d *Daemon) tellNetwork() {
	n := d.network.Load()
	e := n.engine
	d.log.Info("model is run", "model", e.Name, "sha256", e.SHA256, "delegate", e.Delegation().String(), "threads", e.Threads())
	if err := d.client.SetInfo(d.info()); err != nil {
		d.log.Error("tell what runs the model", "err", err)
	}
	if _, err := d.announceNow(); err != nil {
		d.log.Error("tell Home Assistant what runs the model", "err", err)
	}
	signal(d.look) // health has it, too
}
