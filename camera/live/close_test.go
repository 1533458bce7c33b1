package live

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What can't be ended is left behind: the source comes up again, Close returns, and no more than two streams are lost like that.
func TestStreamThatCannotBeEnded(t *testing.T) {
	for name, hang := range map[string]func(f *fake, release chan struct{}){
		"Close hangs": func(f *fake, release chan struct{}) { f.hang = release },
		"Read hangs":  func(f *fake, release chan struct{}) { f.deaf = release },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				r := rig{next: func(n int) (*fake, error) {
					f := &fake{play: silent(frame, 60)}
					if n <= 2 {
						hang(f, release)
					}
					return f, nil
				}}
				l := start(t, r.options())
				after(60*frame + 5*time.Second)
				wantView(t, l, false, "no picture for 5s")
				after(5*time.Second - time.Nanosecond)
				if s := l.Stats(); s.Stuck != 0 || r.tries() != 1 {
					t.Errorf("%d stuck, %d tries: want 0, 1", s.Stuck, r.tries())
				}
				after(1100*time.Millisecond + frame)
				if s := l.Stats(); s.Stuck != 1 || r.tries() != 2 || s.Seen < 61 {
					t.Errorf("%d stuck, %d tries, %d seen: want 1, 2, 61 or more", s.Stuck, r.tries(), s.Seen)
				}
				after(time.Hour)
				if s := l.Stats(); s.Stuck != 2 || r.tries() != 2 {
					t.Errorf("%d stuck, %d tries: want 2, 2", s.Stuck, r.tries())
				}
				wantView(t, l, false, "2 streams of it can't be ended: waiting for one of them")
				close(release)
				after(2 * time.Second)
				if s := l.Stats(); s.Stuck != 0 || r.tries() != 3 {
					t.Errorf("%d stuck, %d tries: want 0, 3", s.Stuck, r.tries())
				}
				if log := r.logged(); strings.Count(log, "can't be ended, leaving it behind") != 2 {
					t.Errorf("log: %s", log)
				}
			})
		})
	}
}

// Close doesn't wait for ever, whatever hangs.
func TestCloseIsBounded(t *testing.T) {
	tests := []struct {
		name string
		next func(release chan struct{}) (*fake, error)
	}{
		{"Open hangs", func(release chan struct{}) (*fake, error) {
			<-release
			return &fake{play: silent(0, 0)}, nil // late, and yet it must be closed
		}},
		{"Open hangs and fails", func(release chan struct{}) (*fake, error) { <-release; return nil, errRefused }},
		{"Close hangs", func(release chan struct{}) (*fake, error) { return &fake{play: silent(frame, 1), hang: release}, nil }},
		{"Read hangs", func(release chan struct{}) (*fake, error) { return &fake{play: silent(frame, 1), deaf: release}, nil }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				r := rig{next: func(int) (*fake, error) { return test.next(release) }}
				l, err := Start(r.options())
				if err != nil {
					t.Fatal(err)
				}
				after(time.Second)
				began := time.Now()
				err = l.Close()
				if err == nil || !strings.Contains(err.Error(), "close live source door: 1 of its streams did not end within 5s") {
					t.Errorf("Close: %v", err)
				}
				if took := time.Since(began); took != 5*time.Second {
					t.Errorf("Close took %v: want 5s", took)
				}
				close(release)
				synctest.Wait()
				if err := l.Close(); err != nil || r.open != 0 || l.Stats().Stuck != 0 {
					t.Errorf("in the end: %v, %d open, %d stuck: want nothing left", err, r.open, l.Stats().Stuck)
				}
			})
		})
	}
}

// Close comes at once in every state of a source whose streams can be ended.
func TestCloseInEachState(t *testing.T) {
	for name, next := range map[string]func() (*fake, error){
		"opening":     func() (*fake, error) { return nil, nil },
		"waiting":     func() (*fake, error) { return nil, errRefused },
		"silent":      func() (*fake, error) { return &fake{play: silent(0, 0)}, nil },
		"babbling":    func() (*fake, error) { return &fake{play: every(100*time.Microsecond, 0, nil)}, nil },
		"online":      func() (*fake, error) { return &fake{play: every(frame, 0, nil)}, nil },
		"fell silent": func() (*fake, error) { return &fake{play: silent(frame, 1)}, nil },
	} {
		for _, at := range []time.Duration{0, time.Nanosecond, 50 * time.Millisecond, 5500 * time.Millisecond} {
			t.Run(fmt.Sprint(name, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := rig{next: func(int) (*fake, error) { return next() }}
					l := start(t, r.options())
					if at > 0 {
						after(at)
					}
					began := time.Now()
					closes := make(chan error, 3)
					for range 3 {
						go func() { closes <- l.Close() }()
					}
					for range 3 {
						if err := <-closes; err != nil {
							t.Error(err)
						}
					}
					if time.Since(began) != 0 || r.open != 0 {
						t.Errorf("Close took %v, %d open", time.Since(began), r.open)
					}
					l.SetEnabled(false)
					l.SetEnabled(true)
					l.Restart("late")
					l.Complain("late")
					after(time.Hour)
					wantView(t, l, false, "")
					if r.open != 0 {
						t.Error("opened after Close")
					}
				})
			})
		}
	}
}
