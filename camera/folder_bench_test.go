package camera

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	s.opts.Whole = func(*io.SectionReader) error { looks++; return nil }
	drop(t, s.dir, n)
	s.after(testSettle)
	for i := range n {
		item := s.take()
		if want := fmt.Sprintf("%06d.jpg", i); item == nil || item.File != want {
			t.Fatalf("got %+v, want %s", item, want)
		}
		must(t, item.Done(nil))
		if i%1000 == 0 {
			s.after(pollInterval)
		}
	}
	if looks != n {
		t.Errorf("%d looks at %d files", looks, n)
	}
	if stats := s.Stats(); stats != (FolderStats{Seen: n, Done: n, Polled: "as configured"}) {
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

// BenchmarkPicture is what one picture costs from Next to done/, without its content: moved alone; with its result; into a
// done/ of 10,000 files that is always full, so that each has the oldest one removed, in batches.
func BenchmarkPicture(b *testing.B) {
	for _, test := range []struct {
		name    string
		results bool
		full    int
	}{{"move", false, 0}, {"result", true, 0}, {"full", false, 10_000}, {"full result", true, 10_000}} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			dir := b.TempDir()
			var now time.Duration
			opts := FolderOptions{Name: "inbox", Path: dir, Poll: PollOn, Whole: wholeText, Results: test.results}
			opts.Done.MaxFiles = test.full
			f, err := newFolder(opts, clock{mono: func() time.Duration { return now }, wall: time.Now})
			must(b, err)
			drop(b, dir+"/done/before", test.full)
			result := []byte(`{"id":"` + strings.Repeat("x", 400) + `"}`)
			for b.Loop() {
				if len(f.ready.entries) == 0 {
					b.StopTimer()
					if test.full == 0 && f.stats.Done > 0 { // deleting would slow down the making of files
						must(b, os.Rename(dir+"/done", fmt.Sprintf("%s/done before %d", dir, f.stats.Done)))
					}
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
				must(b, item.Done(result))
			}
			must(b, f.Close())
		})
	}
}

// BenchmarkJournal reads the memory of a folder of 100,000 pictures that were kept, and asks it for each.
func BenchmarkJournal(b *testing.B) {
	const n = 100_000
	b.ReportAllocs()
	dir := b.TempDir()
	j, err := openJournal(dir, "inbox", slog.New(slog.DiscardHandler))
	must(b, err)
	at := func(i int) (string, identity) {
		return fmt.Sprintf("camera/%06d.jpg", i), identity{ino: uint64(i), size: int64(i), mtime: unix.Timespec{Sec: int64(i)}}
	}
	for i := range n {
		name, id := at(i)
		r := record{name: name, size: id.size, mtime: id.mtime, ino: id.ino, volume: 1, sum: contentSum{byte(i), 1}}
		j.unsaved = r.appendLine(j.unsaved)
	}
	must(b, j.sync())
	var held uint64
	for b.Loop() {
		before := heapInUse()
		j, err = openJournal(dir, "inbox", slog.New(slog.DiscardHandler))
		must(b, err)
		held = heapInUse() - before
		for i := range n {
			name, id := at(i)
			if _, sure := j.has(name, id, true, 1, 1); !sure {
				b.Fatalf("%s was forgotten", name)
			}
		}
	}
	b.ReportMetric(float64(held)/n, "B/file")
}
