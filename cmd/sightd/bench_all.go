package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"sightd/inference/auction"
)

// benchAll holds the daemon's choice of a delegate, and prints how each did.
func benchAll(ctx context.Context, w io.Writer, m *modelFlags) error {
	o, err := m.options(1)
	if err != nil {
		return err
	}
	chooser, err := newChooser()
	if err != nil {
		return err
	}
	ranked, err := chooser.Try(ctx, o)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "delegate\tthreads\tInvoke ms\tfirst\tinit\tnodes\toff by\t")
	for i, r := range ranked {
		why := printable(r.Reason)
		if i == 0 && r.Passed {
			why = "is used"
		}
		if !r.Passed {
			fmt.Fprintf(t, "%s\t%d\t-\t-\t-\t-\t-\t%s\n", printable(string(r.Delegate)), r.Threads, why)
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f\t%.1f\t%s\t%s\t%s\n", printable(string(r.Delegate)), r.Threads, r.MS, r.FirstMS, r.InitMS, nodes(r), offBy(r), why)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(ranked) == 0 || !ranked[0].Passed {
		return errors.New("no delegate runs the model right")
	}
	return nil
}

// nodes is how many of the graph's nodes the delegate runs.
func nodes(r auction.Receipt) string {
	if !delegation(r).Partial() {
		return fmt.Sprintf("%d", r.Total)
	}
	if r.Taken < 0 {
		return fmt.Sprintf("some of %d", r.Total)
	}
	return fmt.Sprintf("%d of %d", r.Taken, r.Total)
}

// offBy is the largest difference from a golden score.
func offBy(r auction.Receipt) string {
	if r.Proven == 0 {
		return "not proven"
	}
	return fmt.Sprintf("%.4f", r.Worst)
}
