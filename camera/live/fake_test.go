package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sightd/camera/capture"
)

// play is what a fake stream does in Read, for its picture n, from 1; wait sleeps unless the stream is closed meanwhile.
type play func(n uint64, wait func(time.Duration) error) error

// every brings n pictures, one each period, and then err; n of 0 means for ever.
func every(period time.Duration, n uint64, err error) play {
	return func(i uint64, wait func(time.Duration) error) error {
		if n > 0 && i > n {
			return err
		}
		return wait(period)
	}
}

// silent brings n pictures, one each period, and then none.
func silent(period time.Duration, n uint64) play {
	return func(i uint64, wait func(time.Duration) error) error {
		if i > n {
			return wait(1000 * time.Hour)
		}
		return wait(period)
	}
}

// fake is a stream of pictures of 2x1 pixels that hold their number.
type fake struct {
	rig     *rig
	play    play
	seq     uint64
	old     time.Duration             // how old its pictures are when they come
	replay  bool                      // their times are of another day, and of the wall clock
	sleep   func(time.Duration) error // f.wait, made once
	closing chan struct{}
	once    sync.Once
	hang    chan struct{} // Close waits for it, unless it is nil
	deaf    chan struct{} // so does Read, after Close
}

func (f *fake) wait(d time.Duration) error {
	if d == 0 {
		select {
		case <-f.closing:
			return f.closed()
		default:
			return nil
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-f.closing:
		return f.closed()
	}
}

func (f *fake) closed() error { return fmt.Errorf("read fake: %w", fs.ErrClosed) }

func (f *fake) Read(shot *capture.Shot) error {
	err := f.play(f.seq+1, f.sleep)
	if f.deaf != nil && errors.Is(err, fs.ErrClosed) {
		<-f.deaf
	}
	if err != nil {
		return err
	}
	f.seq++
	if cap(shot.Data) < 6 {
		shot.Data = make([]byte, 6)
	}
	shot.Data = shot.Data[:6]
	for i := range shot.Data {
		shot.Data[i] = byte(f.seq)
	}
	shot.Format, shot.Width, shot.Height, shot.Seq = capture.BGR, 2, 1, f.seq
	shot.Time = time.Now().Add(-f.old)
	if f.replay {
		shot.Time = time.Date(1999, 2, 3, 4, 5, 6, 0, time.UTC) // the bubbles' clock begins in 2000
	}
	f.rig.saw(&shot.Data[0])
	return nil
}

func (f *fake) Close() error {
	first := false
	f.once.Do(func() { first = true; close(f.closing) })
	if f.hang != nil {
		<-f.hang
	}
	if first {
		f.rig.mu.Lock()
		f.rig.open--
		f.rig.mu.Unlock()
	}
	return nil
}

// rig makes fakes and counts them.
type rig struct {
	next func(n int) (*fake, error) // stream n, from 1; nil and no error: Open waits for its context

	mu      sync.Mutex
	tried   int
	at      []time.Time // when Open was called
	open    int         // streams that are open
	most    int         // the most of them at a time
	buffers map[*byte]bool
	calls   int // of changed
	log     bytes.Buffer
}

func (r *rig) Open(ctx context.Context) (capture.Stream, error) {
	r.mu.Lock()
	r.tried++
	n := r.tried
	r.at = append(r.at, time.Now())
	r.mu.Unlock()
	f, err := r.next(n)
	if err != nil {
		return nil, err
	}
	if f == nil {
		<-ctx.Done()
		return nil, fmt.Errorf("open fake: %w", ctx.Err())
	}
	f.rig, f.sleep, f.closing = r, f.wait, make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	r.most = max(r.most, r.open)
	return f, nil
}

func (r *rig) saw(buffer *byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buffers == nil {
		r.buffers = make(map[*byte]bool)
	}
	r.buffers[buffer] = true
}

func (r *rig) changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
}

// Write takes the log.
func (r *rig) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *rig) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

func (r *rig) tries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tried
}

// plays opens streams that do all the same.
func plays(p play) func(int) (*fake, error) {
	return func(int) (*fake, error) { return &fake{play: p}, nil }
}

// options are of an enabled source that opens again after a second.
func (r *rig) options() Options {
	return Options{
		Name: "door", Open: r.Open, Enabled: true, Changed: r.changed,
		Backoff: func(int) time.Duration { return time.Second },
		Log: slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})),
	}
}

// start starts a source that the test closes, unless it has done so.
func start(t *testing.T, o Options) *Live {
	t.Helper()
	l, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// next takes a picture that must come.
func next(t *testing.T, l *Live, shot *capture.Shot) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if err := l.Next(ctx, shot); err != nil {
		t.Fatal(err)
	}
}

// after lets time pass, and all that is due then happen.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wantView checks what Stats says.
func wantView(t *testing.T, l *Live, online bool, problem string) {
	t.Helper()
	if s := l.Stats(); s.Online != online || s.Problem != problem || s.Since.IsZero() != (problem == "") {
		t.Errorf("online %v, problem %q since %v: want %v, %q", s.Online, s.Problem, s.Since, online, problem)
	}
}
