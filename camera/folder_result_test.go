package camera

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// eventOf is a result as a caller gives it; n tells one try from another.
func eventOf(t testing.TB, it *Item, n int) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"id": it.ID, "source": "inbox", "file": it.File, "n": n})
	must(t, err)
	return text
}

// wantResult compares a result file.
func wantResult(t *testing.T, path string, it *Item, n int) {
	t.Helper()
	if got, want := read(t, path), string(eventOf(t, it, n))+"\n"; got != want {
		t.Errorf("%s is %s, want %s", path, got, want)
	}
}

func withResults(t *testing.T, after After) *stepped {
	return newStepped(t, func(o *FolderOptions) { o.Results, o.Recursive, o.After, o.StateDir = true, true, after, t.TempDir() })
}

func TestResultBesideMoved(t *testing.T) {
	s := withResults(t, AfterMove)
	for i := range 4 {
		suffix := ""
		if i > 0 {
			suffix = fmt.Sprintf("-%d", i)
		}
		done := s.one("sub/x.jpg", fmt.Sprint("END ", i))
		must(t, done.Done(eventOf(t, done, i)))
		wantResult(t, s.dir+"/done/sub/x"+suffix+".jpg.json", done, i)
		refused := s.one("y.jpg", fmt.Sprint("BAD ", i))
		must(t, refused.Refuse("bad", eventOf(t, refused, i)))
		wantResult(t, s.dir+"/failed/y"+suffix+".jpg.json", refused, i)
		if got := read(t, s.dir+"/failed/y"+suffix+".jpg"); got != fmt.Sprint("BAD ", i) {
			t.Errorf("y%s.jpg is %q", suffix, got)
		}
	}
	must(t, s.one("none.jpg", "END").Done(nil))
	if got := files(t, s.dir); len(got) != 4*2+4*3+1 {
		t.Errorf("files are %q", got)
	}
}

func TestResultWithoutOption(t *testing.T) {
	s := newStepped(t, nil)
	item := s.one("x.jpg", "END")
	must(t, item.Done(eventOf(t, item, 0)))
	wantFiles(t, s.dir, "done/x.jpg")
}

func TestResultBesideKept(t *testing.T) {
	s := withResults(t, AfterKeep)
	first := s.one("sub/x.jpg", "END")
	must(t, first.Done(eventOf(t, first, 1)))
	wantFiles(t, s.dir, "sub/x.jpg", "sub/x.jpg.json")
	wantResult(t, s.dir+"/sub/x.jpg.json", first, 1)
	second := s.one("sub/x.jpg", "END again")
	must(t, second.Done(eventOf(t, second, 2)))
	wantResult(t, s.dir+"/sub/x.jpg.json", second, 2)

	// What others have put there stays, and the picture is processed without a result.
	for name, theirs := range map[string]string{"a.jpg": `{"title": "a"}`, "b.jpg": "no JSON", "c.jpg": `{"id": 5}`} {
		s.write(name+".json", theirs)
		item := s.one(name, "END")
		if err := item.Done(eventOf(t, item, 0)); !errors.Is(err, errForeign) {
			t.Errorf("%s: got %v", name, err)
		}
		if got := read(t, s.dir+"/"+name+".json"); got != theirs {
			t.Errorf("%s.json is %q", name, got)
		}
	}
	must(t, os.Symlink("sub/x.jpg.json", s.dir+"/d.jpg.json"))
	item := s.one("d.jpg", "END")
	if err := item.Done(eventOf(t, item, 0)); !errors.Is(err, errForeign) {
		t.Errorf("got %v", err)
	}
	item = s.one(strings.Repeat("x", 251)+".jpg", "END")
	if err := item.Done(eventOf(t, item, 0)); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("got %v", err)
	}
	wantResult(t, s.dir+"/sub/x.jpg.json", second, 2)
	s.after(time.Hour)
	s.wantNext()
	if stats := s.Stats(); stats.Pending != 0 || stats.Errors != 5 || stats.Problem != "" {
		t.Errorf("stats are %+v", stats)
	}
}

func TestResultOfDeleted(t *testing.T) {
	s := withResults(t, AfterDelete)
	var items []*Item
	for i := range 3 {
		item := s.one("sub/x.jpg", fmt.Sprint("END ", i))
		must(t, item.Done(eventOf(t, item, i)))
		items = append(items, item)
	}
	must(t, s.one("y.jpg", "END").Done(nil))
	wantFiles(t, s.dir, "done/sub/x-1.jpg.json", "done/sub/x-2.jpg.json", "done/sub/x.jpg.json")
	for i, suffix := range []string{"", "-1", "-2"} {
		wantResult(t, s.dir+"/done/sub/x"+suffix+".jpg.json", items[i], i)
	}
}

// A crash after the result was written and before its picture was put away: the picture comes again, and has one result.
func TestResultAfterCrash(t *testing.T) {
	for _, after := range []After{AfterMove, AfterKeep, AfterDelete} {
		for _, left := range []string{"own", "empty", "part"} {
			t.Run(fmt.Sprint(after, left), func(t *testing.T) {
				s := withResults(t, after)
				item := s.one("x.jpg", "END")
				place := s.dir + "/done/"
				if after == AfterKeep {
					place = s.dir + "/"
				}
				switch left {
				case "own":
					write(t, place+"x.jpg.json", string(eventOf(t, item, 1)))
				case "empty":
					write(t, place+"x.jpg.json", "")
				case "part":
					write(t, place+".sightd-"+item.ID+".json", "{")
				}
				must(t, item.Done(eventOf(t, item, 2)))
				wantResult(t, place+"x.jpg.json", item, 2)
				want := map[After][]string{
					AfterMove: {"done/x.jpg", "done/x.jpg.json"}, AfterKeep: {"x.jpg", "x.jpg.json"}, AfterDelete: {"done/x.jpg.json"},
				}
				wantFiles(t, s.dir, want[after]...)
			})
		}
	}
}

// A result without a picture that is another's, and a picture without a result, keep their names.
func TestResultOfAnother(t *testing.T) {
	for name, theirs := range map[string]string{
		"other id": `{"id":"01HF7YAT05QNQ6Q5FDGKNJ5DBM","source":"inbox","file":"x.jpg"}`,
		"text":     "mine",
		"huge":     `{"id":"` + strings.Repeat("x", maxResult) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := withResults(t, AfterMove)
			s.write("done/x.jpg.json", theirs)
			s.write("done/x-1.jpg", "theirs")
			must(t, os.Mkdir(s.dir+"/done/x-2.jpg.json", 0o777))
			item := s.one("x.jpg", "END")
			// The picture was put back from done/ once: its own result is beside another picture.
			s.write("done/x-3.jpg", "copy")
			s.write("done/x-3.jpg.json", string(eventOf(t, item, 1))+"\n")
			must(t, item.Done(eventOf(t, item, 2)))
			wantFiles(t, s.dir, "done/x-1.jpg", "done/x-3.jpg", "done/x-3.jpg.json", "done/x-4.jpg", "done/x-4.jpg.json", "done/x.jpg.json")
			wantResult(t, s.dir+"/done/x-3.jpg.json", item, 1)
			wantResult(t, s.dir+"/done/x-4.jpg.json", item, 2)
			if got := read(t, s.dir+"/done/x.jpg.json"); got != theirs {
				t.Errorf("x.jpg.json is %q", got)
			}
		})
	}
}

// The result is there before its picture is, under a name that only it has.
func TestResultComesFirst(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/.sightd-ID.json", "{}\n")
	d, err := os.Open(dir)
	must(t, err)
	defer d.Close()
	r := &result{text: []byte("{}"), id: "ID"}
	tries := 0
	got, err := inFreeName(d, "x.jpg", nameMax, r, func(got string) error {
		must(t, r.place(d, got))
		if wantFiles(t, dir, got+".json"); tries == 2 {
			return nil
		}
		tries++
		write(t, dir+"/"+got, "somebody else's") // in that very moment
		defer os.Remove(dir + "/" + got)
		must(t, r.retract(d, got))
		return unix.EEXIST
	})
	if got != "x-1.jpg" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestResultIsTakenBack(t *testing.T) {
	s := withResults(t, AfterMove)
	item := s.one("x.jpg", "END")
	s.write("x.jpg", "END, another one")
	must(t, item.Done(eventOf(t, item, 1)))
	wantFiles(t, s.dir, "x.jpg")

	// Another file comes between the check and the move.
	dir := t.TempDir()
	write(t, dir+"/done/a.jpg", "new")
	write(t, dir+"/done/a.jpg.json", "{}")
	from, err := os.Open(dir)
	must(t, err)
	defer from.Close()
	to, err := os.Open(dir + "/done")
	must(t, err)
	defer to.Close()
	r := &result{id: "ID"}
	src := source{dir: from, base: "a.jpg", inodes: true, itemID: "ID"}
	if _, err := src.verify(to, "a.jpg", r); !errors.Is(err, ErrFileChanged) {
		t.Errorf("got %v", err)
	}
	must(t, r.discard(to))
	must(t, r.discard(to))
	wantFiles(t, dir, "a.jpg")
}

// A result that can't be written is tried again; its picture stays where it is, and isn't handed out again.
func TestResultFails(t *testing.T) {
	for _, after := range []After{AfterMove, AfterKeep, AfterDelete} {
		t.Run(string(after), func(t *testing.T) {
			s := withResults(t, after)
			item := s.one("sub/x.jpg", "END")
			part := s.dir + "/sub/.sightd-" + item.ID + ".json"
			if after != AfterKeep {
				part = s.dir + "/done/sub/.sightd-" + item.ID + ".json"
			}
			must(t, os.MkdirAll(part, 0o777)) // in the way
			if err := item.Done(eventOf(t, item, 1)); err == nil || !strings.Contains(err.Error(), "result") {
				t.Errorf("got %v", err)
			}
			s.after(time.Hour)
			s.wantNext()
			if stats := s.Stats(); stats.Pending != 1 || stats.Problem == "" || s.held == 0 {
				t.Errorf("stats are %+v, held %d", stats, s.held)
			}
			wantFiles(t, s.dir, "sub/x.jpg")
			must(t, os.Remove(part))
			s.after(time.Minute)
			s.wantNext()
			if stats := s.Stats(); stats.Pending != 0 || stats.Problem != "" || s.held != 0 {
				t.Errorf("stats are %+v, held %d", stats, s.held)
			}
			if got := files(t, s.dir); len(got) == 0 || !strings.HasSuffix(got[len(got)-1], "sub/x.jpg.json") {
				t.Errorf("files are %q", got)
			}
		})
	}
}

// Results that can't be written don't fill the memory.
func TestResultsHeldAreBounded(t *testing.T) {
	s := withResults(t, AfterMove)
	s.write("done", "in the way")
	text := make([]byte, 1<<20)
	for i := range 40 {
		s.write(fmt.Sprintf("%02d.jpg", i), "END")
	}
	s.after(testSettle)
	taken := 0
	for item := s.take(); item != nil; item = s.take() {
		if item.Done(text) == nil {
			t.Fatal("no error")
		}
		taken++
	}
	if want := maxHeld/len(text) + 1; taken != want {
		t.Errorf("%d were handed out, want %d", taken, want)
	}
	must(t, os.Remove(s.dir+"/done"))
	s.after(time.Minute)
	for item := s.take(); item != nil; item = s.take() {
		must(t, item.Done(nil))
		taken++
	}
	if taken != 40 {
		t.Errorf("%d were handed out", taken)
	}
}

func TestResultOfOddNames(t *testing.T) {
	for _, after := range []After{AfterMove, AfterKeep} {
		s := withResults(t, after)
		for _, name := range []string{"with blank's \"quotes\".jpg", "line\nbreak.jpg", "ünïcode ✓.jpg", "\xff\xfe.jpg", "-rf *.jpg", `a\b.jpg`} {
			s.write(name, "END")
			s.after(pollInterval + testSettle)
			item := s.take()
			must(t, item.Done(eventOf(t, item, 1)))
			path := s.dir + "/done/" + name + ".json"
			if after == AfterKeep {
				path = s.dir + "/" + name + ".json"
			}
			wantResult(t, path, item, 1)
		}
	}
	s := withResults(t, AfterMove)
	long := strings.Repeat("ü", 125) + "x.jpg" // 255 bytes
	for range 2 {
		item := s.one(long, "END")
		must(t, item.Done(eventOf(t, item, 1)))
	}
	cut := "done/" + strings.Repeat("ü", 122)
	wantFiles(t, s.dir, cut+"-1.jpg", cut+"-1.jpg.json", cut+"ü.jpg", cut+"ü.jpg.json")
}
