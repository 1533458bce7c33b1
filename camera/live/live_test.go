package live

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sightd/camera/capture"
)

const frame = time.Second / 60

// A caller that is slower than the source gets the newest picture each time, never a queue of old ones.
func TestNewestPictureForSlowCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pictures = 10_000
		r := rig{next: plays(every(frame, pictures, io.EOF))}
		l := start(t, r.options())
		var shot capture.Shot
		var handed, last uint64
		var oldest time.Duration
		for {
			err := l.Next(t.Context(), &shot)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			oldest = max(oldest, time.Since(shot.Time))
			if shot.Seq <= last {
				t.Fatalf("picture %d after picture %d", shot.Seq, last)
			}
			for _, b := range shot.Data {
				if b != byte(shot.Seq) {
					t.Fatalf("picture %d holds %d: its buffer was written to after it was handed out", shot.Seq, b)
				}
			}
			last = shot.Seq
			handed++
			time.Sleep(30 * time.Millisecond)
		}
		if oldest > frame {
			t.Errorf("oldest picture handed out: %v: want at most %v", oldest, frame)
		}
		s := l.Stats()
		if s.Seen != pictures || last != pictures || s.Stale != 0 || handed+s.Dropped != pictures {
			t.Errorf("%d seen, %d handed out, last %d, %d dropped, %d stale: want them to add up to %d", s.Seen, handed, last, s.Dropped, s.Stale, pictures)
		}
		if handed < pictures/3 || s.Dropped < pictures/3 {
			t.Errorf("%d handed out, %d dropped: want about as many", handed, s.Dropped)
		}
		if len(r.buffers) != 3 {
			t.Errorf("pictures were read into %d buffers: want 3", len(r.buffers))
		}
		if !s.Ended || s.Online || s.Problem != "" || s.Width != 2 || s.Height != 1 || time.Since(s.Last) > time.Second {
			t.Errorf("%+v: want an ended source without a problem", s)
		}
	})
}

func TestPicturesThatNobodyAsksForAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{next: plays(silent(frame, 600))}
		l := start(t, r.options())
		after(10*time.Second + frame)
		if s := l.Stats(); s.Seen != 600 || s.Dropped != 599 {
			t.Errorf("%d seen, %d dropped: want 600, 599", s.Seen, s.Dropped)
		}
		var shot capture.Shot
		if next(t, l, &shot); shot.Seq != 600 {
			t.Errorf("picture %d: want the newest, 600", shot.Seq)
		}
	})
}

func TestStalePicturesAreNotHandedOut(t *testing.T) {
	each := every(time.Second, 0, nil)
	late := func(n uint64, wait func(time.Duration) error) error {
		if n == 1 {
			return wait(4 * time.Second)
		}
		return wait(time.Second)
	}
	tests := []struct {
		name  string
		fake  func() *fake
		idle  time.Duration // before the first Next
		want  uint64        // the picture that it gets; one comes each second
		stale uint64
	}{
		{"fresh", func() *fake { return &fake{play: each} }, 2500 * time.Millisecond, 2, 0},
		{"source fell silent", func() *fake { return &fake{play: silent(time.Second, 2)} }, 4500 * time.Millisecond, 1, 1},
		{"late from the start", func() *fake { return &fake{play: late, old: 2500 * time.Millisecond} }, 0, 0, 7},
		{"recording", func() *fake { return &fake{play: each, replay: true} }, 2500 * time.Millisecond, 2, 0},
		{"time to come", func() *fake { return &fake{play: each, old: -time.Hour} }, 2500 * time.Millisecond, 2, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rig{next: func(int) (*fake, error) { return test.fake(), nil }}
				o := r.options()
				o.Fresh = 2 * time.Second
				l := start(t, o)
				after(test.idle)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+frame)
				defer cancel()
				var shot capture.Shot
				err := l.Next(ctx, &shot)
				if test.want == 0 && !errors.Is(err, context.DeadlineExceeded) || test.want > 0 && err != nil {
					t.Errorf("Next: %v", err)
				}
				if s := l.Stats(); shot.Seq != test.want || s.Stale != test.stale {
					t.Errorf("picture %d, %d stale: want %d, %d", shot.Seq, s.Stale, test.want, test.stale)
				}
			})
		})
	}
}

func TestRecordingEndsOnceAndStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{next: plays(every(time.Second, 3, io.EOF))}
		l := start(t, r.options())
		var shot capture.Shot
		for range 2 {
			for n := uint64(1); n <= 3; n++ {
				if next(t, l, &shot); shot.Seq != n {
					t.Fatalf("picture %d: want %d", shot.Seq, n)
				}
			}
			if err := l.Next(t.Context(), &shot); err != io.EOF {
				t.Fatalf("Next: %v: want EOF", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			if err := l.Next(ctx, &shot); err != context.DeadlineExceeded {
				t.Fatalf("Next after the end: %v: want it to wait", err)
			}
			cancel()
			if s := l.Stats(); !s.Ended || s.Online || s.Problem != "" || s.Failed != 0 {
				t.Errorf("%+v: want it ended, and no problem", s)
			}
			l.SetEnabled(false)
			l.SetEnabled(true)
			synctest.Wait()
			if l.Stats().Ended {
				t.Error("ended after it was switched on again")
			}
		}
		if s := l.Stats(); s.Opened != 3 || s.Seen != 6 {
			t.Errorf("%d opened, %d seen: want 3, 6", s.Opened, s.Seen)
		}
	})
}

// The last picture of a recording comes before its end, also where the caller was busy meanwhile.
func TestLastPictureBeforeEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{next: plays(every(time.Second, 3, io.EOF))}
		l := start(t, r.options())
		after(4 * time.Second)
		var shot capture.Shot
		if next(t, l, &shot); shot.Seq != 3 {
			t.Errorf("picture %d: want 3", shot.Seq)
		}
		if err := l.Next(t.Context(), &shot); err != io.EOF {
			t.Errorf("Next: %v: want EOF", err)
		}
	})
}

func TestNextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{next: plays(silent(time.Second, 0))}
		l := start(t, r.options())
		ctx, cancel := context.WithCancel(t.Context())
		ends := make(chan error, 1)
		go func() { ends <- l.Next(ctx, new(capture.Shot)) }()
		synctest.Wait()
		cancel()
		if err := <-ends; err != context.Canceled {
			t.Errorf("Next: %v: want its context's error", err)
		}
		for range 3 {
			go func() { ends <- l.Next(t.Context(), new(capture.Shot)) }()
		}
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		for range 3 {
			if err := <-ends; !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), "door") {
				t.Errorf("Next: %v: want that door is closed", err)
			}
		}
		if err := l.Next(t.Context(), new(capture.Shot)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
	})
}

func TestStartRefuses(t *testing.T) {
	open := (&rig{}).Open
	for want, o := range map[string]Options{
		"name is empty": {Open: open},
		"open is nil":   {Name: "door"},
		"stall -1s":     {Name: "door", Open: open, Stall: -time.Second},
		"first -1s":     {Name: "door", Open: open, First: -time.Second},
		"fresh -1s":     {Name: "door", Open: open, Fresh: -time.Second},
		"healthy -1s":   {Name: "door", Open: open, Healthy: -time.Second},
	} {
		if _, err := Start(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want an error with %q", err, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	o := Options{Name: "door", Open: (&rig{}).Open}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	if o.Stall != 5*time.Second || o.First != 15*time.Second || o.Fresh != o.Stall || o.Healthy != 10*time.Second {
		t.Errorf("%+v", o)
	}
	o = Options{Name: "door", Open: o.Open, Stall: time.Minute}
	if err := o.complete(); err != nil || o.First != time.Minute || o.Fresh != time.Minute {
		t.Errorf("%+v, %v", o, err)
	}
	for attempt, most := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
		16 * time.Second, 30 * time.Second, 30 * time.Second} {
		for range 100 {
			if d := o.Backoff(attempt); d > most || d <= most*3/4 {
				t.Errorf("attempt %d: %v: want %v less a quarter at most", attempt, d, most)
			}
		}
	}
	if d := o.Backoff(1 << 40); d > 30*time.Second || d < 20*time.Second {
		t.Errorf("late attempt: %v", d)
	}
}

// A picture costs no allocation once the three buffers are there.
func TestNoAllocationPerPicture(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	ask := make(chan struct{})
	r := rig{next: plays(func(uint64, func(time.Duration) error) error { <-ask; return nil })}
	o := r.options()
	o.Stall = time.Hour
	l := start(t, o)
	var shot capture.Shot
	step := func() {
		ask <- struct{}{}
		if err := l.Next(t.Context(), &shot); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations a picture: want none", n)
	}
	close(ask)
}
