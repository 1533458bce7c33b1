package camera

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// told collects the problems that a folder's Changed hears of.
func told(o *FolderOptions, f **Folder) *[]string {
	var problems []string
	o.Changed = func() { problems = append(problems, (*f).Stats().Problem) }
	return &problems
}

func wantProblems(t *testing.T, got *[]string, want ...string) {
	t.Helper()
	if !slices.Equal(*got, want) {
		t.Errorf("problems were %q, want %q", *got, want)
	}
	*got = nil
}

func TestProblems(t *testing.T) {
	var f *Folder
	var got *[]string
	s := newStepped(t, func(o *FolderOptions) {
		o.Recursive = true
		got = told(o, &f)
	})
	f = s.Folder
	unprivileged(t)
	s.after(time.Minute)
	wantProblems(t, got)

	must(t, os.Rename(s.dir, s.dir+".away"))
	s.after(time.Minute)
	wantProblems(t, got, "folder is gone")
	if stats := s.Stats(); !stats.Missing || stats.Problem != "folder is gone" || stats.Errors != 1 {
		t.Errorf("stats are %+v", stats)
	}
	must(t, os.Rename(s.dir+".away", s.dir))
	s.after(pollInterval)
	wantProblems(t, got, "")
	if stats := s.Stats(); stats.Missing || stats.Problem != "" {
		t.Errorf("stats are %+v", stats)
	}

	must(t, os.Mkdir(s.dir+"/sub", 0))
	s.after(time.Minute)
	wantProblems(t, got, "can't read directory "+s.dir+"/sub: permission denied")
	must(t, os.Chmod(s.dir+"/sub", 0o700))
	s.after(time.Minute)
	wantProblems(t, got, "")

	// Several at once: the gravest, and each ends by itself.
	s.write("a.jpg", "EIO")
	s.write("b.jpg", "EIO")
	s.after(time.Minute)
	s.wantNext()
	wantProblems(t, got, "pictures can't be read: input/output error")
	s.write("done", "in the way")
	first, second := s.one("c.jpg", "END"), s.one("d.jpg", "END")
	if first.Done(nil) == nil || second.Done(nil) == nil {
		t.Error("no error")
	}
	wantProblems(t, got, "pictures can't be moved to done/: not a directory")
	s.write("a.jpg", "END")
	s.after(2 * time.Minute)
	s.wantNext("a.jpg")[0].Release()
	wantProblems(t, got)
	must(t, os.Remove(s.dir+"/done"))
	s.after(time.Minute)
	wantProblems(t, got, "pictures can't be read: input/output error")
	must(t, os.Remove(s.dir+"/b.jpg"))
	s.after(time.Minute)
	wantProblems(t, got, "")
}

func TestProblemsOfPuttingAway(t *testing.T) {
	for _, test := range []struct {
		after   After
		results bool
		refuse  bool
		want    string
	}{
		{AfterMove, false, false, "pictures can't be moved to done/: permission denied"},
		{AfterMove, true, true, "pictures can't be moved to failed/: permission denied"},
		{AfterKeep, true, false, "results can't be written: permission denied"},
		{AfterDelete, false, false, "pictures can't be deleted: permission denied"},
	} {
		var f *Folder
		var got *[]string
		s := newStepped(t, func(o *FolderOptions) {
			o.After, o.Results, o.StateDir = test.after, test.results, t.TempDir()
			got = told(o, &f)
		})
		f = s.Folder
		item := s.one("a.jpg", "END")
		unprivileged(t)
		must(t, os.Chmod(s.dir, 0o500))
		finish := item.Done
		if test.refuse {
			finish = func(result []byte) error { return item.Refuse("bad", result) }
		}
		if finish(eventOf(t, item, 0)) == nil {
			t.Error("no error")
		}
		wantProblems(t, got, test.want)
		must(t, os.Chmod(s.dir, 0o700))
		s.after(time.Minute)
		wantProblems(t, got, "")
	}
}

func TestProblemsOfMemoryAndWatches(t *testing.T) {
	state := t.TempDir()
	var f *Folder
	var got *[]string
	s := newStepped(t, func(o *FolderOptions) {
		o.After, o.StateDir, o.Poll = AfterKeep, state, PollAuto
		got = told(o, &f)
	})
	f = s.Folder
	s.addWatch = func(string) error { return unix.ENOSPC }
	s.after(time.Minute)
	limit := "all inotify watches are in use: raise fs.inotify.max_user_watches"
	wantProblems(t, got, limit+": polling")
	if stats := s.Stats(); stats.Polled != limit {
		t.Errorf("stats are %+v", stats)
	}
	path := state + "/folder-inbox.processed"
	must(t, os.Remove(path))
	must(t, os.Mkdir(path, 0o777))
	if s.one("a.jpg", "END").Done(nil) == nil {
		t.Error("no error")
	}
	s.after(saveInterval)
	wantProblems(t, got, "processed pictures can't be remembered: is a directory")
	must(t, os.Remove(path))
	s.addWatch = func(string) error { return nil }
	s.after(time.Minute)
	if len(*got) > 1 {
		*got = (*got)[len(*got)-1:] // the journal may be first
	}
	wantProblems(t, got, "")
	if stats := s.Stats(); stats.Polled != "" || stats.Problem != "" {
		t.Errorf("stats are %+v", stats)
	}
}

// A folder that isn't asked loses nothing: pictures wait in it, also more than are remembered, and those that go or change
// meanwhile are neither handed out nor in the way.
func TestNotAsked(t *testing.T) {
	s := newStepped(t, nil)
	s.room = 10
	s.write("0 changes.jpg", "no")
	s.write("0 goes.jpg", "END")
	want := map[string]bool{"0 changes.jpg": true}
	for i := range 40 {
		name := string(rune('a'+i%26)) + string(rune('0'+i/26)) + ".jpg"
		s.write(name, "END")
		want[name] = true
		s.after(time.Minute)
	}
	s.write("0 changes.jpg", "END")
	must(t, os.Remove(s.dir+"/0 goes.jpg"))
	s.after(24 * time.Hour / 16)
	if n := s.Stats().Pending; n != 10 {
		t.Errorf("%d are pending", n)
	}
	for rounds := 0; len(want) > 0 && rounds < 10; rounds++ {
		for item := s.take(); item != nil; item = s.take() {
			if !want[item.File] || item.Err != nil {
				t.Errorf("got %s: %v", item.File, item.Err)
			}
			delete(want, item.File)
			must(t, item.Done(nil))
		}
		s.after(pollInterval + testSettle)
	}
	if len(want) > 0 {
		t.Errorf("not handed out: %v", want)
	}
}
