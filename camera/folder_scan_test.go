package camera

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

const (
	testSettle = 500 * time.Millisecond // the defaults
	testGrace  = 10 * time.Second
)

// stepped is a Folder without a loop: its time stands still until the test moves it.
type stepped struct {
	*Folder
	t   *testing.T
	dir string
	now time.Duration
	log bytes.Buffer
}

// newStepped makes a polled folder, on a new directory unless change sets another.
func newStepped(t *testing.T, change func(*FolderOptions)) *stepped {
	t.Helper()
	s := &stepped{t: t}
	opts := FolderOptions{Name: "inbox", Path: t.TempDir(), Poll: PollOn, Whole: wholeText}
	opts.Log = slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if change != nil {
		change(&opts)
	}
	f, err := newFolder(opts, clock{
		mono: func() time.Duration { return s.now },
		wall: func() time.Time { return time.Date(2026, 9, 23, 10, 15, 30, 0, time.UTC) },
	})
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	s.Folder, s.dir = f, opts.Path
	return s
}

// after moves the time on, through every step that the folder asks for.
func (s *stepped) after(d time.Duration) {
	s.t.Helper()
	end := s.now + d
	for steps := 0; ; steps++ {
		due := s.step(s.now)
		if due > end {
			s.now = end
			s.step(end)
			return
		}
		if steps > 10_000 {
			s.t.Fatalf("10,000 steps within %v", d)
		}
		s.now = max(s.now, due)
	}
}

// take is Next without waiting: nil if there is nothing.
func (s *stepped) take() *Item {
	for {
		e := s.takeReady()
		if e == nil {
			return nil
		}
		if item := s.inspect(e); item != nil {
			return item
		}
	}
}

// wantNext takes the pictures that are ready and compares their names.
func (s *stepped) wantNext(names ...string) (items []*Item) {
	s.t.Helper()
	var got []string
	for item := s.take(); item != nil; item = s.take() {
		got = append(got, item.File)
		items = append(items, item)
	}
	if !slices.Equal(got, names) {
		s.t.Fatalf("at %v: got %q, want %q", s.now, got, names)
	}
	return items
}

func (s *stepped) write(name, content string) { write(s.t, filepath.Join(s.dir, name), content) }

// logged counts the lines that were logged with the text.
func (s *stepped) logged(text string) int { return strings.Count(s.log.String(), text) }

func TestSettle(t *testing.T) {
	s := newStepped(t, nil)
	s.write("a.jpg", "END")
	s.after(testSettle - 1)
	s.wantNext()
	s.after(1)
	s.wantNext("a.jpg")[0].Release()
	s.write("a.jpg", "END, longer")
	s.after(time.Second) // the time of Release; it was seen to change now
	s.wantNext()
	s.after(testSettle)
	if item := s.wantNext("a.jpg")[0]; item.Size != 11 {
		t.Errorf("size is %d", item.Size)
	}
}

// A write that leaves size and modification time as they were is known by its event alone.
func TestEventsRestartSettling(t *testing.T) {
	s := newStepped(t, nil)
	s.write("a.jpg", "END")
	for range 5 {
		s.after(testSettle - 1)
		s.wantNext()
		s.event(fsnotify.Event{Name: s.dir + "/a.jpg", Op: fsnotify.Write}, s.now)
	}
	s.after(testSettle)
	s.event(fsnotify.Event{Name: s.dir + "/a.jpg", Op: fsnotify.Write}, s.now) // it is ready already
	s.wantNext()
	s.after(testSettle)
	s.event(fsnotify.Event{Name: s.dir + "/a.jpg", Op: fsnotify.Chmod}, s.now)
	s.wantNext("a.jpg")
}

func TestOldestFirst(t *testing.T) {
	s := newStepped(t, nil)
	base := time.Unix(1_700_000_000, 0)
	for name, age := range map[string]time.Duration{"c.jpg": 3, "b.jpg": 1, "a.jpg": 2, "e.jpg": 1, "d.jpg": 1e9} {
		s.write(name, "END")
		must(t, os.Chtimes(s.dir+"/"+name, base, base.Add(-age)))
	}
	s.after(testSettle)
	s.wantNext("d.jpg", "c.jpg", "a.jpg", "b.jpg", "e.jpg")
}

func TestIncomplete(t *testing.T) {
	s := newStepped(t, nil)
	s.write("a.jpg", "no end")
	s.after(testGrace - 1)
	s.wantNext()
	s.after(time.Second)
	item := s.wantNext("a.jpg")[0]
	if item.Err == nil || item.Err.Error() != "no end marker" {
		t.Errorf("err is %v", item.Err)
	}
	must(t, item.Refuse(item.Err.Error(), nil))
	if got, want := read(t, s.dir+"/failed/a.jpg.txt"), "2026-09-23T10:15:30Z no end marker\n"; got != want {
		t.Errorf("reason is %q, want %q", got, want)
	}

	// Each change is waited for anew, also where no event tells of it.
	s.write("b.jpg", "no")
	for n := range 4 {
		s.after(testGrace - time.Second)
		s.wantNext()
		s.write("b.jpg", strings.Repeat("no", n+2))
	}
	s.write("b.jpg", "END at last")
	s.after(pollInterval + testSettle)
	if item := s.wantNext("b.jpg")[0]; item.Err != nil {
		t.Error(item.Err)
	}
}

// Nothing is refused while a writer has it open: it would go on writing to the file in failed/.
func TestOpenForWriting(t *testing.T) {
	s := newStepped(t, nil)
	file, err := os.Create(s.dir + "/a.jpg")
	must(t, err)
	_, err = file.WriteString("BAD")
	must(t, err)
	reader, err := os.Open(file.Name())
	must(t, err)
	defer reader.Close()
	if _, known := openForWriting(reader); !known {
		t.Skip("this file system doesn't tell who has files open")
	}
	s.after(10 * testGrace)
	s.wantNext()
	must(t, file.Close())
	s.after(testGrace)
	if item := s.wantNext("a.jpg")[0]; item.Err == nil {
		t.Error("bad picture is whole")
	}
}

func TestWorthWaiting(t *testing.T) {
	for _, test := range []struct{ incomplete, inGrace, open, known, want bool }{
		{incomplete: true, inGrace: true, known: true, want: true},
		{incomplete: true, inGrace: false, known: true, want: false},
		{incomplete: true, inGrace: false, known: false, want: false},
		{incomplete: true, inGrace: false, open: true, known: true, want: true},
		{incomplete: false, inGrace: true, known: true, want: false},
		{incomplete: false, inGrace: true, known: false, want: true},
		{incomplete: false, inGrace: true, open: true, known: true, want: true},
		{incomplete: false, inGrace: false, known: false, want: false},
	} {
		if got := worthWaiting(test.incomplete, test.inGrace, test.open, test.known); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}

// The identity is compared before and after a file is looked into.
func TestChangedWhileLookedInto(t *testing.T) {
	s := newStepped(t, nil)
	changes := 0
	s.opts.Whole = func(file *io.SectionReader) error {
		if changes++; changes <= 2 {
			s.write("a.jpg", strings.Repeat("END", changes+1))
		}
		return wholeText(file)
	}
	s.write("a.jpg", "END")
	for range 2 {
		s.after(testSettle)
		s.wantNext()
	}
	s.after(testSettle)
	s.write("a.jpg", "END, and more") // it was ready
	s.wantNext()
	s.after(testSettle)
	if item := s.wantNext("a.jpg")[0]; item.Size != 13 {
		t.Errorf("size is %d", item.Size)
	}
}

func TestIdentity(t *testing.T) {
	a := identity{dev: 1, ino: 2, size: 3, mtime: unix.Timespec{Sec: 4, Nsec: 5}}
	for _, test := range []struct {
		name                string
		change              func(*identity)
		withInodes, without bool
	}{
		{"nothing", func(*identity) {}, true, true},
		{"device", func(b *identity) { b.dev++ }, false, true},
		{"inode", func(b *identity) { b.ino++ }, false, true},
		{"size", func(b *identity) { b.size++ }, false, false},
		{"seconds", func(b *identity) { b.mtime.Sec++ }, false, false},
		{"nanoseconds", func(b *identity) { b.mtime.Nsec++ }, false, false},
	} {
		b := a
		test.change(&b)
		if a.same(b, true) != test.withInodes || a.same(b, false) != test.without {
			t.Errorf("%s changed: %v, %v", test.name, a.same(b, true), a.same(b, false))
		}
	}
}

func TestGoneBeforeReady(t *testing.T) {
	s := newStepped(t, nil)
	for _, name := range []string{"waits.jpg", "event.jpg", "ready.jpg", "sub.jpg"} {
		s.write(name, "END")
	}
	s.after(testSettle - 1)
	must(t, os.Remove(s.dir+"/waits.jpg"))
	must(t, os.Remove(s.dir+"/event.jpg"))
	s.event(fsnotify.Event{Name: s.dir + "/event.jpg", Op: fsnotify.Remove}, s.now)
	s.after(1)
	must(t, os.Remove(s.dir+"/ready.jpg"))
	s.wantNext("sub.jpg")[0].Release()
	must(t, os.Remove(s.dir+"/sub.jpg"))
	s.after(testGrace)
	s.wantNext()
	if stats := s.Stats(); stats.Pending != 0 || stats.Errors != 0 {
		t.Errorf("stats are %+v", stats)
	}
}
