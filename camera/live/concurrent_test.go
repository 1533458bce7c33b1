package live

import (
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"sightd/camera/capture"
)

// Everything at once, on the real clock, for the race detector: the counts must add up, and nothing may be left open.
func TestEverythingAtOnce(t *testing.T) {
	r := rig{}
	r.next = func(n int) (*fake, error) {
		switch n % 5 {
		case 0:
			return nil, errRefused
		case 1:
			return &fake{play: every(10*time.Microsecond, 200, errRefused)}, nil
		case 2:
			return &fake{play: silent(10*time.Microsecond, 20)}, nil
		case 3:
			return &fake{play: every(0, 1000, io.EOF)}, nil
		}
		return &fake{play: every(100*time.Microsecond, 0, nil)}, nil
	}
	o := r.options()
	o.Stall, o.First = 2*time.Millisecond, 4*time.Millisecond
	o.Backoff = func(int) time.Duration { return 100 * time.Microsecond }
	l, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	var all, takers sync.WaitGroup
	var mu sync.Mutex
	var handed uint64
	for range 2 {
		takers.Go(func() {
			var shot capture.Shot
			for {
				switch err := l.Next(t.Context(), &shot); {
				case errors.Is(err, os.ErrClosed):
					return
				case err == nil:
					mu.Lock()
					handed++
					mu.Unlock()
				case err != io.EOF:
					t.Error(err)
					return
				}
			}
		})
	}
	for _, do := range []func(i int){
		func(int) { l.Stats() },
		func(i int) { l.Complain([]string{"", "black", "frozen"}[i%3]) },
		func(i int) { l.SetEnabled(i%50 != 0) },
		func(i int) {
			if i%100 == 0 {
				l.Restart("garbage")
			}
		},
	} {
		all.Go(func() {
			for i := 0; r.tries() < 300; i++ {
				do(i)
				time.Sleep(10 * time.Microsecond) // leaves the processor to the others
			}
		})
	}
	all.Wait()
	for range 3 {
		all.Go(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	takers.Wait()
	if s := l.Stats(); s.Seen != handed+s.Dropped+s.Stale || s.Stuck != 0 || r.open != 0 || r.most != 1 {
		t.Errorf("%d handed out, %d open, at most %d, of %+v: want the counts to add up, and one stream at a time", handed, r.open, r.most, s)
	}
}
