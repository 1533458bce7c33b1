package main

import (
	"context"
	"fmt"
	"os"

	"sightd/daemon"
	"sightd/inference/auction"
)

const trialAbout = `Tries a delegate for the sightd that has started this, which says on standard input what is to be tried, and gets what came of it on
file descriptor 3. A driver may crash or hang: then this process ends, or can be killed.`

// trialName is the command that sightd starts to try a delegate.
const trialName = "try-delegate"

func trialCommand(ctx context.Context, c *call) error {
	fs := c.flags(trialName, "", trialAbout)
	arguments, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(arguments) > 0 {
		return usageError{fmt.Sprintf("want no arguments, have %q", arguments[0])}
	}
	return auction.Inside(func(t daemon.Trial) auction.Receipt { return daemon.Try(ctx, t) })
}

// trials starts what tries a delegate.
func trials() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find sightd's own program: %w", err)
	}
	return []string{self, trialName}, nil
}
