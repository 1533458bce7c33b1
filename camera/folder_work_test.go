package camera

import (
	"io"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestBusy has a file system that takes its time for each answer.
func TestBusy(t *testing.T) {
	var s *stepped
	var seen []time.Duration
	slow := func(by time.Duration) {
		s.now += by
		seen = append(seen, s.Busy())
	}
	s = newStepped(t, func(o *FolderOptions) {
		o.Poll = PollAuto
		o.Whole = func(*io.SectionReader) error {
			slow(7 * time.Second)
			return nil
		}
	})
	s.addWatch = func(string) error {
		slow(20 * time.Second)
		return nil
	}
	s.write("a.jpg", "END")
	if busy := s.Busy(); busy != 0 {
		t.Errorf("busy for %v before anything was asked", busy)
	}
	s.step(s.now)
	if busy := s.Busy(); busy != 0 {
		t.Errorf("busy for %v after a scan", busy)
	}
	s.after(testGrace)
	seen = seen[:1] // of the first scan
	s.wantNext("a.jpg")
	if want := []time.Duration{20 * time.Second, 7 * time.Second}; !slices.Equal(seen, want) {
		t.Errorf("busy for %v, want %v", seen, want)
	}
	s.now += time.Hour
	if busy := s.Busy(); busy != 0 {
		t.Errorf("busy for %v though nothing is asked", busy)
	}
}

// TestBusyGoesOn counts from the last answer: a large folder, and a large file, take their time.
func TestBusyGoesOn(t *testing.T) {
	s := newStepped(t, nil)
	for range 10 {
		s.works.begin(s.Folder, s.now)
		s.now += time.Second
	}
	s.works.begin(s, s.now) // another who asks
	s.now += time.Second
	if busy := s.Busy(); busy != 2*time.Second {
		t.Errorf("busy for %v, want 2s", busy)
	}
	s.works.end(s.Folder)
	if busy := s.Busy(); busy != time.Second {
		t.Errorf("busy for %v, want 1s", busy)
	}
	s.works.end(s)
}

// TestBusyTogether is asked while pictures come.
func TestBusyTogether(t *testing.T) {
	dir := t.TempDir()
	f := watched(t, options(dir))
	var asking sync.WaitGroup
	end := make(chan struct{})
	asking.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				if f.Busy() > time.Hour {
					t.Error("busy for an hour")
				}
			}
		}
	})
	for _, name := range []string{"a.jpg", "b.jpg", "c.jpg"} {
		write(t, dir+"/"+name, "END")
		must(t, next(t, f).Done(nil))
	}
	close(end)
	asking.Wait()
}
