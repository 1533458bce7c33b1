package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"sightd/camera/capture"
)

var errRefused = errors.New("connection refused by 192.0.2.7:554")

// A source that misses its deadlines in every way is found out in time, closed, and opened again.
func TestDeadlines(t *testing.T) {
	tests := []struct {
		name    string
		first   func() (*fake, error) // what the first Open returns; those after it are well
		at      time.Duration         // when the problem comes up
		problem string
		seen    uint64
	}{
		{"open waits", func() (*fake, error) { return nil, nil }, 15 * time.Second, "not opened within 15s", 0},
		{"open fails", func() (*fake, error) { return nil, errRefused }, 0, errRefused.Error(), 0},
		{"open ends", func() (*fake, error) { return nil, io.EOF }, 0, "EOF", 0},
		{"never a picture", func() (*fake, error) { return &fake{play: silent(0, 0)}, nil }, 15 * time.Second, "no first picture within 15s", 0},
		{"late first picture", func() (*fake, error) { return &fake{play: silent(14*time.Second, 1)}, nil }, 19 * time.Second, "no picture for 5s", 1},
		{"falls silent", func() (*fake, error) { return &fake{play: silent(frame, 60)}, nil }, 60*frame + 5*time.Second, "no picture for 5s", 60},
		{"too slow", func() (*fake, error) {
			return &fake{play: func(n uint64, wait func(time.Duration) error) error {
				return wait(time.Duration(n) * 2 * time.Second)
			}}, nil
		}, 11 * time.Second, "no picture for 5s", 2},
		{"dies", func() (*fake, error) { return &fake{play: every(time.Second, 3, errRefused)}, nil }, 3 * time.Second, errRefused.Error(), 3},
		{"dies at once", func() (*fake, error) { return &fake{play: every(time.Second, 0, nil)}, errRefused }, 0, errRefused.Error(), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rig{next: func(n int) (*fake, error) {
					if n == 1 {
						return test.first()
					}
					return &fake{play: every(100*time.Millisecond, 0, nil)}, nil
				}}
				l := start(t, r.options())
				if test.at > 0 {
					after(test.at - time.Nanosecond)
					if s := l.Stats(); s.Problem != "" || s.Failed != 0 || s.Online != (test.seen > 0) {
						t.Errorf("before the deadline: %+v", s)
					}
				}
				after(time.Nanosecond)
				wantView(t, l, false, test.problem)
				if s := l.Stats(); s.Failed != 1 || s.Seen != test.seen {
					t.Errorf("%d failed, %d seen: want 1, %d", s.Failed, s.Seen, test.seen)
				}
				after(time.Second + 50*time.Millisecond) // the backoff
				wantView(t, l, false, test.problem)
				if r.tries() != 2 || r.open != 1 || r.most != 1 {
					t.Errorf("%d tries, %d open, at most %d: want 2, 1, 1", r.tries(), r.open, r.most)
				}
				after(1100 * time.Millisecond)
				wantView(t, l, true, "")
			})
		})
	}
}

// The waits grow until a stream was healthy, and then begin anew.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts []int
		r := rig{}
		r.next = func(n int) (*fake, error) {
			switch {
			case n == 4:
				return &fake{play: every(time.Second, 9, errRefused)}, nil // not for long enough
			case n == 7:
				return &fake{play: every(time.Second, 12, errRefused)}, nil
			}
			return nil, errRefused
		}
		o := r.options()
		o.Backoff = func(attempt int) time.Duration {
			attempts = append(attempts, attempt)
			return time.Duration(attempt+1) * time.Second
		}
		l := start(t, o)
		for r.tries() < 9 {
			after(time.Second)
		}
		l.Close()
		if want := "[0 1 2 3 4 5 0 1 2]"; fmt.Sprint(attempts) != want {
			t.Errorf("attempts %v: want %v", attempts, want)
		}
		if gap := r.at[3].Sub(r.at[2]); gap != 3*time.Second {
			t.Errorf("%v between the third and the fourth try: want 3s", gap)
		}
		if gap := r.at[8].Sub(r.at[7]); gap != 2*time.Second {
			t.Errorf("%v between the last two tries: want 2s", gap)
		}
	})
}

// Pictures that are complained about don't make a stream healthy: the waits between restarts grow.
func TestRestartsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{next: plays(every(100*time.Millisecond, 0, nil))}
		var attempts []int
		o := r.options()
		o.Backoff = func(attempt int) time.Duration { attempts = append(attempts, attempt); return time.Second }
		l := start(t, o)
		after(time.Minute)
		for range 3 {
			l.Complain("frozen")
			after(30 * time.Second)
			l.Restart("frozen for 30s")
			wantView(t, l, false, "frozen for 30s")
			l.Restart("again") // there is no stream
			after(1050 * time.Millisecond)
			l.Restart("too early") // it has brought no picture
		}
		after(time.Minute)
		wantView(t, l, true, "frozen")
		l.Complain("")
		wantView(t, l, true, "")
		after(11 * time.Second)
		l.Restart("")
		after(0)
		if want := "[0 1 2 0]"; fmt.Sprint(attempts) != want {
			t.Errorf("attempts %v: want %v", attempts, want)
		}
		wantView(t, l, false, "failed without saying why")
		if s := l.Stats(); s.Failed != 4 || s.Opened != 4 {
			t.Errorf("%d failed, %d opened: want 4, 4", s.Failed, s.Opened)
		}
	})
}

func TestRestartDropsTheWaitingPicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{next: plays(silent(time.Second, 3))}
		l := start(t, r.options())
		after(3500 * time.Millisecond)
		l.Restart("garbage")
		var shot capture.Shot
		if next(t, l, &shot); shot.Seq != 1 {
			t.Errorf("picture %d: want the first of the new stream", shot.Seq)
		}
		if s := l.Stats(); s.Seen != 4 || s.Dropped != 3 {
			t.Errorf("%d seen, %d dropped: want 4, 3", s.Seen, s.Dropped)
		}
	})
}

// A thousand openings leave nothing behind; synctest fails for a goroutine that stays.
func TestThousandOpenings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{}
		r.next = func(n int) (*fake, error) {
			switch n % 4 {
			case 0:
				return &fake{play: every(frame, 5, errRefused)}, nil
			case 1:
				return &fake{play: silent(frame, 2)}, nil
			case 2:
				return &fake{play: silent(0, 0)}, nil
			}
			return &fake{play: every(frame, 1, fmt.Errorf("exit status %d", n))}, nil
		}
		l := start(t, r.options())
		var shot capture.Shot
		var handed uint64
		for l.Stats().Opened < 1000 {
			next(t, l, &shot)
			handed++
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		s := l.Stats()
		if r.open != 0 || r.most != 1 {
			t.Errorf("%d streams are open, at most %d were: want 0, 1", r.open, r.most)
		}
		if s.Seen != handed+s.Dropped+s.Stale {
			t.Errorf("%d seen, %d handed out, %d dropped, %d stale: want them to add up", s.Seen, handed, s.Dropped, s.Stale)
		}
		if len(r.buffers) != 3 {
			t.Errorf("pictures were read into %d buffers: want 3", len(r.buffers))
		}
	})
}

func TestSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{next: plays(every(time.Second, 0, nil))}
		o := r.options()
		o.Enabled = false
		l := start(t, o)
		after(time.Hour)
		if r.tries() != 0 {
			t.Error("opened while it is switched off")
		}
		l.SetEnabled(true)
		after(2500 * time.Millisecond)
		wantView(t, l, true, "")
		l.Complain("black")
		l.SetEnabled(false)
		wantView(t, l, false, "")
		synctest.Wait()
		if r.open != 0 {
			t.Error("open while it is switched off")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := l.Next(ctx, new(capture.Shot)); err != context.DeadlineExceeded {
			t.Errorf("Next: %v: want it to wait", err)
		}
		if s := l.Stats(); s.Failed != 0 || s.Seen != 2 || s.Dropped != 2 {
			t.Errorf("%+v: want nothing failed, 2 seen, 2 dropped", s)
		}
		l.SetEnabled(true)
		wantView(t, l, false, "black")
		var shot capture.Shot
		if next(t, l, &shot); shot.Seq != 1 {
			t.Errorf("picture %d: want 1", shot.Seq)
		}
	})
}

// Switching on opens at once, whatever wait was in progress.
func TestSwitchedOnDuringBackoff(t *testing.T) {
	for name, gap := range map[string]time.Duration{"at once": 0, "later": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rig{next: func(int) (*fake, error) { return nil, errRefused }}
				o := r.options()
				var attempts []int
				o.Backoff = func(attempt int) time.Duration { attempts = append(attempts, attempt); return time.Hour }
				l := start(t, o)
				after(time.Hour + time.Second)
				wantView(t, l, false, errRefused.Error())
				l.SetEnabled(false)
				wantView(t, l, false, "")
				if gap > 0 {
					after(gap)
				}
				l.SetEnabled(true)
				after(0)
				if r.tries() != 3 || fmt.Sprint(attempts) != "[0 1 0]" {
					t.Errorf("%d tries, attempts %v: want 3, [0 1 0]", r.tries(), attempts)
				}
			})
		})
	}
}

// A source that is switched off and on while its stream is being ended is opened as soon as that is done, and not before.
func TestSwitchedOnWhileEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := rig{next: func(n int) (*fake, error) {
			f := &fake{play: silent(time.Second, 1)}
			if n == 1 {
				f.hang = release
			}
			return f, nil
		}}
		o := r.options()
		o.Backoff = func(attempt int) time.Duration {
			t.Errorf("waits after failure %d", attempt)
			return time.Hour
		}
		l := start(t, o)
		after(6 * time.Second)
		wantView(t, l, false, "no picture for 5s")
		l.SetEnabled(false)
		l.SetEnabled(true)
		after(2 * time.Second)
		if r.tries() != 1 {
			t.Error("opened before the stream before has ended")
		}
		close(release)
		synctest.Wait()
		if r.tries() != 2 || r.most != 1 {
			t.Errorf("%d tries, at most %d open: want 2, 1", r.tries(), r.most)
		}
		after(time.Second)
		wantView(t, l, true, "")
	})
}

func TestSwitchingStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{}
		r.next = func(n int) (*fake, error) {
			switch n % 3 {
			case 0:
				return nil, nil
			case 1:
				return nil, errRefused
			}
			return &fake{play: every(10*time.Millisecond, 0, nil)}, nil
		}
		l := start(t, r.options())
		for i := range 1000 {
			l.SetEnabled(i%2 == 1)
			if i%7 == 0 {
				after(time.Duration(i) * time.Millisecond)
			}
		}
		synctest.Wait()
		if r.most > 1 {
			t.Errorf("%d streams were open at a time", r.most)
		}
		for tries := 0; !l.Stats().Online; tries++ {
			if tries == 100 {
				t.Fatalf("%+v: want it online after the storm", l.Stats())
			}
			after(time.Second)
		}
		l.SetEnabled(false)
		synctest.Wait()
		if r.open != 0 {
			t.Error("open while it is switched off")
		}
	})
}
