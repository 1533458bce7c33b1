package camera

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// drop makes n small pictures in a folder.
func drop(t testing.TB, dir string, n int) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o777))
	for i := range n {
		write(t, fmt.Sprintf("%s/%06d.jpg", dir, i), "END")
	}
}

// A full folder is emptied with a number of looks at the file system that grows like the number of files.
func TestFullFolder(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 20,000 files")
	}
	const n = 20_000
	looks := 0
	s := newStepped(t, nil)
	s.opts.Whole = func(*os.File) error { looks++; return nil }
	drop(t, s.dir, n)
	s.after(testSettle)
	for i := range n {
		item := s.take()
		if want := fmt.Sprintf("%06d.jpg", i); item == nil || item.File != want {
			t.Fatalf("got %+v, want %s", item, want)
		}
		must(t, item.Done())
		if i%1000 == 0 {
			s.after(pollInterval)
		}
	}
	if looks != n {
		t.Errorf("%d looks at %d files", looks, n)
	}
	if stats := s.Stats(); stats != (FolderStats{Seen: n, Done: n}) {
		t.Errorf("stats are %+v", stats)
	}
}

// BenchmarkScan finds files, lets them settle, and looks for new ones among them; B/file is what is kept in memory.
func BenchmarkScan(b *testing.B) {
	for _, n := range []int{1_000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			dir := b.TempDir()
			drop(b, dir, n)
			var held uint64
			for b.Loop() {
				before := heapInUse()
				var now time.Duration
				opts := FolderOptions{Name: "inbox", Path: dir, Poll: PollOn, Whole: wholeText}
				f, err := newFolder(opts, clock{mono: func() time.Duration { return now }, wall: time.Now})
				must(b, err)
				for now < 2*time.Second {
					now = f.step(now)
				}
				held = heapInUse() - before
				if got := len(f.ready.entries); got != n {
					b.Fatalf("%d files are ready", got)
				}
				must(b, f.Close())
			}
			b.ReportMetric(float64(held)/float64(n), "B/file")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/file")
		})
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// BenchmarkPicture is what one picture costs from Next to done/, without its content.
func BenchmarkPicture(b *testing.B) {
	b.ReportAllocs()
	dir := b.TempDir()
	var now time.Duration
	opts := FolderOptions{Name: "inbox", Path: dir, Poll: PollOn, After: AfterMove, Whole: wholeText}
	f, err := newFolder(opts, clock{mono: func() time.Duration { return now }, wall: time.Now})
	must(b, err)
	for b.Loop() {
		if len(f.ready.entries) == 0 {
			b.StopTimer()
			must(b, os.RemoveAll(dir+"/done"))
			drop(b, dir, 1000)
			for range 4 {
				now = f.step(now)
			}
			b.StartTimer()
		}
		item := f.inspect(f.takeReady())
		if item == nil {
			b.Fatal("no picture")
		}
		must(b, item.Done())
	}
	must(b, f.Close())
}
