package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"sightd/daemon"
	"sightd/inference"
	"sightd/inference/auction"
)

// trialMargin is what is left of the time for everything when a trial is given up: what it has started is killed then.
const trialMargin = 3 * time.Second

// delegate has a process of its own try the delegate of o, one with a driver, as sightd does. One of those that are marked isn't used,
// however it does.
func (e *examiner) delegate(ctx context.Context, o daemon.EngineOptions, marked map[inference.Delegate]bool) []Finding {
	d := o.Options.Delegate
	f := Finding{Name: "delegate", Status: Warn, Hint: "sightd falls back to xnnpack, and tries " + string(d) + " again at each start: " +
		"look at what it needs, or set model.delegate to auto"}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, deadline.Add(-trialMargin), errors.New("no answer in the time that doctor has; sightd waits longer"))
		defer cancel()
	}
	candidates := auction.Candidates(auction.ReadHardware(os.DirFS(e.sys)), auction.Request{Delegate: d, Threads: o.Options.Threads})
	o.Options.Threads = candidates[0].Threads // as sightd has it
	chooser := daemon.Chooser{Argv: e.trials, Log: slog.New(slog.DiscardHandler)}
	receipts, err := chooser.Try(ctx, o, d)
	switch {
	case err != nil:
		f.Detail = err.Error()
	case !receipts[0].Passed:
		f.Detail = fmt.Sprintf("%s can't be used: %s", d, receipts[0].Reason)
	default:
		r := receipts[0]
		took := inference.Delegation{Delegate: d, Total: r.Total, Taken: r.Taken, Rest: r.Rest}
		f.Status, f.Hint = OK, ""
		f.Detail = fmt.Sprintf("%s, %s, %.2f ms", took, count(r.Threads, "thread"), r.MS)
		if r.Proven > 0 {
			f.Detail += ", right on " + count(r.Proven, "golden input")
		}
		if marked[d] {
			f.Status, f.Hint = Warn, liftMark(filepath.Join(e.config.StateDir, ledgerName))
			f.Detail = "it works now, but it is marked as bad, and sightd doesn't use it: " + f.Detail
		}
	}
	return []Finding{f}
}
