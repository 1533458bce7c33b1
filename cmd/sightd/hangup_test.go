package main

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const patience = 30 * time.Second

func TestHangups(t *testing.T) {
	for _, test := range []struct {
		name          string
		ignored       bool // as nohup has it
		before, after bool // whether there is a terminal
		ends          bool
	}{
		{"a service", false, false, false, false},
		{"on a terminal", false, true, true, false},
		{"its terminal is gone", false, true, false, true},
		{"nohup, its terminal is gone", true, true, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.ignored {
				signal.Ignore(syscall.SIGHUP)
			}
			var there atomic.Bool
			there.Store(test.before)
			ctx, reload, stop := hangups(context.Background(), there.Load)
			kept := make(chan os.Signal, 1)
			signal.Notify(kept, syscall.SIGHUP) // it must not end the tests when nobody else asks for it
			defer signal.Reset(syscall.SIGHUP)
			there.Store(test.after)
			if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			select {
			case <-reload:
				if test.ends {
					t.Error("want it to end, it reloads")
				}
			case <-ctx.Done():
				if !test.ends {
					t.Error("want it to reload, it ends")
				}
			case <-time.After(patience):
				t.Error("nothing comes of it")
			}
			stop()
			if ctx.Err() == nil {
				t.Error("want the context ended after stop")
			}
		})
	}
}

// TestHangupsEnd ends with the context that it was given.
func TestHangupsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	within, _, stop := hangups(ctx, func() bool { return true })
	cancel()
	select {
	case <-within.Done():
	case <-time.After(patience):
		t.Error("want it to end with what it is in")
	}
	stop()
}
