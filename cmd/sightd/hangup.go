package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// hangups makes SIGHUP a wish to have the model read again, told on the channel. A SIGHUP that says that the terminal is gone ends the
// context instead: nobody is there any more. It doesn't where SIGHUP is ignored, as with nohup. stop ends both. terminal is hasTerminal.
func hangups(ctx context.Context, terminal func() bool) (_ context.Context, reload <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	had := !signal.Ignored(syscall.SIGHUP) && terminal()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	wishes := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-signals:
				if had && !terminal() {
					cancel()
					return
				}
				select {
				case wishes <- struct{}{}:
				default: // there is one already
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, wishes, func() {
		cancel()
		<-done
		signal.Stop(signals)
	}
}

// hasTerminal reports whether the process has a controlling terminal.
func hasTerminal() bool {
	f, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	f.Close() // nothing was read or written
	return true
}
