package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sightd/inference"
	"sightd/inference/auction"
)

// Trial says what a process of its own is to try: one delegate on one model.
type Trial struct {
	auction.Candidate
	Model       string `json:"model"`        // path of a .tflite; "" is the embedded model
	Labels      string `json:"labels"`       // path of a file with a label a line; "" takes those inside the model
	SHA256      string `json:"sha256"`       // of the file
	WeightCache string `json:"weight_cache"` // see inference.Options
}

const (
	// trialWarmUps are runs that aren't measured, beside those of the golden inputs.
	trialWarmUps = 2

	// trialRuns and trialTime bound what is measured: as many runs, or as many as fit, but at least trialLeast.
	trialRuns  = 50
	trialTime  = 400 * time.Millisecond
	trialLeast = 5
)

// Try opens the model with the delegate, proves it, and measures Invoke. A driver may crash or hang in it, which ends the process, or
// has it killed: a process of its own is what it is for.
func Try(ctx context.Context, t Trial) auction.Receipt {
	r := auction.Receipt{Candidate: t.Candidate}
	begun := time.Now()
	e, err := OpenEngine(EngineOptions{
		Model: t.Model, Labels: t.Labels, SHA256: t.SHA256, Reference: true,
		Options: inference.Options{Delegate: t.Delegate, Threads: t.Threads, WeightCache: t.WeightCache},
	})
	if err != nil {
		r.Reason = err.Error()
		return r
	}
	r.InitMS, r.Proven, r.Worst = since(begun), e.Proven, e.Worst
	d := e.Delegation()
	r.Threads, r.Total, r.Taken, r.Rest = e.Threads(), d.Total, d.Taken, d.Rest
	times, err := e.measure(ctx)
	if err = errors.Join(err, e.Close()); err != nil {
		r.Reason = fmt.Sprintf("measure delegate %s: %v", t.Delegate, err)
		return r
	}
	r.FirstMS = times[0]
	times = times[1:]
	slices.Sort(times)
	r.MS, r.Runs, r.Passed = times[(len(times)-1)/2], len(times), true
	return r
}

// measure gives the milliseconds of Invoke: of the first run, and of those that count.
func (e *Engine) measure(ctx context.Context) ([]float64, error) {
	var times []float64
	var begun time.Time
	for n := 0; n < 1+trialWarmUps+trialRuns; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if n == 1+trialWarmUps {
			begun = time.Now()
		}
		if n >= 1+trialWarmUps+trialLeast && time.Since(begun) > trialTime {
			break
		}
		start := time.Now()
		if err := e.run.Invoke(); err != nil {
			return nil, err
		}
		if n == 0 || n > trialWarmUps {
			times = append(times, since(start))
		}
		if err := e.run.Output(0, e.scores); err != nil {
			return nil, err
		}
	}
	return times, nil
}

func since(t time.Time) float64 { return milliseconds(time.Since(t)) }
