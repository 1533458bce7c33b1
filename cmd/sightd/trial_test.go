package main

import (
	"context"
	"os"
	"strings"
	"testing"
)

// TestMain is sightd itself where it is started to try a delegate.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == trialName {
		os.Exit(Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestTrialArguments(t *testing.T) {
	if code, _, stderr := sightd(t, nil, trialName, "gpu"); code != exitUsage || !strings.Contains(stderr, `want no arguments, have "gpu"`) {
		t.Errorf("got %d %q, want a usage error", code, stderr)
	}
	if _, stdout, _ := sightd(t, nil, "help"); strings.Contains(stdout, trialName) {
		t.Errorf("help tells of %s, which nobody is to type:\n%s", trialName, stdout)
	}
}
