package camera

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// One file that takes 10 s, written in parts that come later than Settle or earlier, to a file that stays open or is opened
// for each part, with events or without.
func TestTenSecondWriter(t *testing.T) {
	for _, pause := range []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second} {
		for _, open := range []bool{true, false} {
			t.Run(fmt.Sprint(pause, open), func(t *testing.T) {
				s := newStepped(t, nil)
				path := s.dir + "/slow.jpg"
				file, err := os.Create(path)
				must(t, err)
				parts := int(10 * time.Second / pause)
				for i := range parts {
					part := strings.Repeat("x", 1000)
					if i == parts-1 {
						part = "END"
					}
					_, err := file.WriteString(part)
					must(t, err)
					if !open {
						must(t, file.Close())
						file, err = os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
						must(t, err)
					}
					if i < parts-1 {
						s.after(pause)
						s.wantNext()
					}
				}
				must(t, file.Close())
				s.after(pollInterval + testSettle)
				item := s.wantNext("slow.jpg")[0]
				if item.Err != nil || item.Size != int64(1000*(parts-1)+3) {
					t.Errorf("got %+v", item)
				}
				must(t, item.Done(nil))
				wantFiles(t, s.dir, "done/slow.jpg")
			})
		}
	}
}

// A writer that stops half-way for ever: while it has the file open, the file waits, without being in anybody's way; once
// it is dead, the file is refused.
func TestWriterThatStops(t *testing.T) {
	s := newStepped(t, nil)
	file, err := os.Create(s.dir + "/half.jpg")
	must(t, err)
	_, err = file.WriteString("half of it")
	must(t, err)
	reader, err := os.Open(file.Name())
	must(t, err)
	_, known := openForWriting(reader)
	must(t, reader.Close())
	if !known {
		t.Skip("this file system doesn't tell who has files open")
	}
	s.after(time.Hour)
	s.wantNext()
	must(t, s.one("other.jpg", "END").Done(nil))
	must(t, file.Close())
	s.after(2 * testGrace)
	item := s.wantNext("half.jpg")[0]
	if item.Err == nil {
		t.Fatal("half a picture is whole")
	}
	must(t, item.Refuse(item.Err.Error(), nil))
	wantFiles(t, s.dir, "done/other.jpg", "failed/half.jpg", "failed/half.jpg.txt")
}

// What is moved into the folder was whole elsewhere: it doesn't settle.
func TestMovedIn(t *testing.T) {
	s := newStepped(t, nil)
	s.after(testSettle)
	moveIn := func(name, content string) {
		part := s.dir + "/." + name
		write(t, part, content)
		must(t, os.Chtimes(part, time.Unix(1_700_000_000, 0), time.Unix(1_700_000_000, 0)))
		must(t, os.Rename(part, s.dir+"/"+name))
	}
	moveIn("a.jpg", "END")
	s.touch("a.jpg", s.now, true)
	s.after(0)
	must(t, s.wantNext("a.jpg")[0].Done(nil))

	moveIn("bad.jpg", "BAD") // nobody writes to it: at once too
	s.touch("bad.jpg", s.now, true)
	s.after(0)
	must(t, s.wantNext("bad.jpg")[0].Refuse("bad", nil))

	moveIn("b.jpg", "no end")
	s.touch("b.jpg", s.now, true)
	s.after(testSettle)
	s.wantNext()
	s.write("b.jpg", "END")
	s.after(pollInterval + testSettle)
	must(t, s.wantNext("b.jpg")[0].Done(nil))

	// Its writer has moved it before closing it, and isn't done yet.
	moveIn("open.jpg", "END of the thumbnail")
	writer, err := os.OpenFile(s.dir+"/open.jpg", os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	s.touch("open.jpg", s.now, true)
	s.after(0)
	s.wantNext()
	_, err = writer.WriteString("END")
	must(t, err)
	s.after(testSettle)
	s.wantNext()
	must(t, writer.Close())
	s.after(testSettle)
	s.wantNext("open.jpg")
}

// 500 files renamed into the folder at once, from another directory of its file system.
func TestBurstOfRenames(t *testing.T) {
	const n = 500
	for _, poll := range []Poll{PollAuto, PollOn} {
		t.Run(string(poll), func(t *testing.T) {
			dir, away := t.TempDir(), t.TempDir()
			opts := options(dir)
			opts.Poll, opts.Results = poll, true
			f := watched(t, opts)
			drop(t, away, n)
			for i := range n {
				name := fmt.Sprintf("/%06d.jpg", i)
				must(t, os.Rename(away+name, dir+name))
			}
			seen := map[string]bool{}
			for range n {
				item := next(t, f)
				if seen[item.ID] {
					t.Fatalf("%s was handed out twice", item.File)
				}
				seen[item.ID] = true
				must(t, item.Done(eventOf(t, item, 1)))
			}
			if stats := f.Stats(); stats != (FolderStats{Seen: n, Done: n, Polled: stats.Polled}) {
				t.Errorf("stats are %+v", stats)
			}
			if left := files(t, dir); len(left) != 2*n {
				t.Errorf("%d files", len(left))
			}
		})
	}
}

// A file that is replaced while the caller reads it: what was opened stays what it was, and the new one is its own picture.
func TestReplacedWhileRead(t *testing.T) {
	s := newStepped(t, nil)
	item := s.one("a.jpg", "END old")
	file, err := item.Open()
	must(t, err)
	defer file.Close()
	write(t, s.dir+"/.part", "END new one")
	must(t, os.Rename(s.dir+"/.part", s.dir+"/a.jpg"))
	half := make([]byte, 100)
	n, err := file.Read(half)
	must(t, err)
	if got := string(half[:n]); got != "END old" {
		t.Errorf("read %q", got)
	}
	must(t, item.Done(nil))
	s.after(pollInterval + testSettle)
	again := s.wantNext("a.jpg")[0]
	if again.ID == item.ID {
		t.Error("both have the same ID")
	}
	must(t, again.Done(nil))
	wantFiles(t, s.dir, "done/a.jpg")
}
