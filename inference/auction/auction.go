// Package auction finds out by measurement what runs a model best: each candidate, a delegate with a number of threads, is tried in a
// process of its own, so that a driver that crashes or hangs harms nobody else. The trial proves and times the model; the fastest that
// passes is used. Receipts tell how each did, and a Ledger keeps them until the model, the libraries, the board or the kernel change.
//
// It opens no models itself: what happens in a trial is its caller's, who starts it with Inside.
package auction

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"sightd/inference"
)

// Candidate is what may run a model.
type Candidate struct {
	Delegate inference.Delegate `json:"delegate"` // never Auto
	Threads  int                `json:"threads"`  // at least 1; of the processor, which may have a part of the graph or nothing to do
}

// String is such as "xnnpack with 2 threads".
func (c Candidate) String() string {
	switch {
	case c.Delegate.HasDriver():
		return string(c.Delegate)
	case c.Threads == 1:
		return fmt.Sprintf("%s with 1 thread", c.Delegate)
	}
	return fmt.Sprintf("%s with %d threads", c.Delegate, c.Threads)
}

// Receipt says how a Candidate did in its trial. In JSON, a Worst that is no number is null.
type Receipt struct {
	Candidate
	Passed  bool     `json:"passed"`             // it ran, and reproduced the golden inputs
	Reason  string   `json:"reason,omitempty"`   // why it isn't used: it failed, or was slower; "" for the one that is used
	MS      float64  `json:"ms,omitempty"`       // median of Invoke in milliseconds; more than 0 where it passed
	InitMS  float64  `json:"init_ms,omitempty"`  // milliseconds until the model was open
	FirstMS float64  `json:"first_ms,omitempty"` // milliseconds of the first Invoke
	Runs    int      `json:"runs,omitempty"`     // number of Invokes that MS is the median of
	Proven  int      `json:"proven"`             // number of golden inputs; 0: the model has none
	Worst   float32  `json:"worst"`              // largest difference from a golden score; NaN where a score was no number
	Total   int      `json:"total,omitempty"`    // Total, Taken and Rest are those of inference.Delegation
	Taken   int      `json:"taken,omitempty"`
	Rest    []string `json:"rest,omitempty"`
	Absent  bool     `json:"absent,omitempty"` // it wasn't even tried: files that it needs aren't there, which the Key would tell if they were
}

// Lost is the Receipt of a candidate that failed.
func Lost(c Candidate, reason string) Receipt { return Receipt{Candidate: c, Reason: reason} }

// Absent is the Receipt of a candidate that isn't tried since files are missing that the Key's Libraries stand for.
func Absent(c Candidate, reason string) Receipt {
	return Receipt{Candidate: c, Reason: reason, Absent: true}
}

// plainReceipt is a Receipt without methods.
type plainReceipt Receipt

// receiptJSON replaces what JSON has no numbers for.
type receiptJSON struct {
	plainReceipt
	Worst *float32 `json:"worst"`
}

// MarshalJSON implements json.Marshaler.
func (r Receipt) MarshalJSON() ([]byte, error) {
	out := receiptJSON{plainReceipt: plainReceipt(r)}
	if w := float64(r.Worst); !math.IsNaN(w) && !math.IsInf(w, 0) {
		out.Worst = &r.Worst
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler. Without a number Worst is NaN.
func (r *Receipt) UnmarshalJSON(text []byte) error {
	var in receiptJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*r = Receipt(in.plainReceipt)
	r.Worst = float32(math.NaN())
	if in.Worst != nil {
		r.Worst = *in.Worst
	}
	return nil
}

// Hold tries the candidates one after the other, so that none disturbs the timing of another. When ctx ends, so does it, with an error
// and the receipts of those that were tried.
func Hold(ctx context.Context, candidates []Candidate, try func(context.Context, Candidate) Receipt) ([]Receipt, error) {
	var receipts []Receipt
	for _, c := range candidates {
		if ctx.Err() != nil {
			return receipts, fmt.Errorf("try %s: %w", c, context.Cause(ctx))
		}
		r := try(ctx, c)
		if ctx.Err() != nil { // what is cut off says nothing of the candidate
			return receipts, fmt.Errorf("try %s: %w", c, context.Cause(ctx))
		}
		r.Candidate = c
		receipts = append(receipts, r)
	}
	return receipts, nil
}
