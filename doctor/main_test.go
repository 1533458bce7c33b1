package doctor

import (
	"context"
	"fmt"
	"os"
	"testing"

	"sightd/daemon"
	"sightd/inference/auction"
)

// tryArgument has the tests' own program try a delegate, as sightd does.
const tryArgument = "try-delegate"

// TestMain is the program of each trial, too.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != tryArgument {
		os.Exit(m.Run())
	}
	if err := auction.Inside(func(t daemon.Trial) auction.Receipt { return daemon.Try(context.Background(), t) }); err != nil {
		fmt.Fprintln(os.Stderr, "sightd:", err)
		os.Exit(1)
	}
}

// trialProgram starts what tries a delegate.
func trialProgram(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, tryArgument}
}
