package camera

import (
	"io"
	"sync"
	"time"
)

// works are since when the file system has been asked for something, for each who asks: the loop, and each call of Next.
type works struct {
	mu    sync.Mutex
	since map[any]time.Duration // of clock.mono
}

// begin notes that who asks for something, or for the next thing.
func (w *works) begin(who any, now time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since == nil {
		w.since = map[any]time.Duration{}
	}
	w.since[who] = now
}

// end notes that who asks for nothing.
func (w *works) end(who any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.since, who)
}

// Busy is for how long the Folder's own goroutine, or a Next, has waited for an answer of the file system; 0 where none does. It never
// waits itself: a file system that hangs, as one of the network may for ever, is known by it. What items do isn't in it.
func (f *Folder) Busy() time.Duration {
	now := f.clock.mono()
	f.works.mu.Lock()
	defer f.works.mu.Unlock()
	var longest time.Duration
	for _, since := range f.works.since {
		longest = max(longest, now-since)
	}
	return longest
}

// steady is a file that tells of each ReadAt: a large one takes its time.
type steady struct {
	io.ReaderAt
	tell func()
}

func (s steady) ReadAt(p []byte, at int64) (int, error) {
	s.tell()
	return s.ReaderAt.ReadAt(p, at)
}
