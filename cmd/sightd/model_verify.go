package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"sightd/daemon"
	"sightd/inference"
	"sightd/inference/auction"
)

// modelVerify proves the model on each delegate. All are tried; the error has those that failed.
func modelVerify(ctx context.Context, w io.Writer, path, list string, threads int) error {
	_, card, _, err := readModel(path)
	if err != nil {
		return err
	}
	if card == nil {
		return fmt.Errorf("verify %s: it has no card beside it, and so no golden inputs: export it again", path)
	}
	delegates, err := parseDelegates(list)
	if err != nil {
		return err
	}
	chooser, err := newChooser()
	if err != nil {
		return err
	}
	receipts, err := chooser.Try(ctx, daemon.EngineOptions{Model: path, Options: inference.Options{Threads: threads}}, delegates...)
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range receipts {
		if !r.Passed && list == "" && r.Delegate == inference.GPU { // nobody has asked for it, and no board needs it
			fmt.Fprintf(w, "%-8s isn't used: %s\n", r.Delegate, printable(r.Reason))
			continue
		}
		if !r.Passed {
			failed = append(failed, fmt.Errorf("delegate %s: %s", r.Delegate, printable(r.Reason)))
			continue
		}
		fmt.Fprintf(w, "%-8s right on %d golden inputs, off by %.4f at most, tolerance %.4f (%s)\n",
			r.Delegate, r.Proven, r.Worst, card.Golden.Tolerance, delegation(r))
	}
	return errors.Join(failed...)
}

// delegation is how much of the graph a delegate took.
func delegation(r auction.Receipt) inference.Delegation {
	return inference.Delegation{Delegate: r.Delegate, Total: r.Total, Taken: r.Taken, Rest: r.Rest}
}

// parseDelegates reads a list with commas; "" is all that this machine may have.
func parseDelegates(list string) ([]inference.Delegate, error) {
	if list == "" {
		return daemon.Delegates(), nil
	}
	var delegates []inference.Delegate
	for name := range strings.SplitSeq(list, ",") {
		d, err := inference.ParseDelegate(name)
		if err == nil && d == inference.Auto {
			err = errors.New("auto is none of its own")
		}
		if err != nil {
			return nil, usageError{"-delegate: " + err.Error()}
		}
		delegates = append(delegates, d)
	}
	return delegates, nil
}

// newChooser makes what tries delegates, and remembers nothing.
func newChooser() (*daemon.Chooser, error) {
	self, err := trials()
	return &daemon.Chooser{Argv: self, Log: slog.New(slog.DiscardHandler)}, err
}
