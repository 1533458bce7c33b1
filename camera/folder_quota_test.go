package camera

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lies adds up the regular files below dir.
func lies(t testing.TB, dir string) (l load) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				l = l.plus(load{info.Size(), 1})
			}
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return l
}

func within(t *testing.T, dir string, q Quota) {
	t.Helper()
	if l := lies(t, dir); !q.holds(l) {
		t.Fatalf("%s has %d bytes in %d files, the quota is %+v", dir, l.bytes, l.files, q)
	}
}

// Pictures of many sizes: the quota holds after each, the newest are there, with what belongs to them.
func TestQuota(t *testing.T) {
	for _, q := range []Quota{{MaxFiles: 20}, {MaxBytes: 5000}, {MaxBytes: 5000, MaxFiles: 20}, {MaxFiles: 3}} {
		for _, results := range []bool{false, true} {
			t.Run(fmt.Sprint(q, results), func(t *testing.T) {
				s := newStepped(t, func(o *FolderOptions) { o.Results, o.Done, o.Failed, o.Recursive = results, q, q, true })
				for i := range 60 {
					name := fmt.Sprintf("sub%d/%02d.jpg", i%3, i)
					item := s.one(name, "END"+strings.Repeat("x", 50*(i%7)))
					last, bad := s.dir+"/done/"+name, s.dir+"/failed/"+name
					must(t, item.Done(eventOf(t, item, i)))
					within(t, s.dir+"/done", q)
					item = s.one(name, "BAD"+strings.Repeat("x", 50*(i%7)))
					must(t, item.Refuse("bad", eventOf(t, item, i)))
					within(t, s.dir+"/failed", q)
					want := []string{last, bad, bad + ".txt"}
					if results {
						want = append(want, last+".json", bad+".json")
					}
					for _, path := range want {
						if _, err := os.Stat(path); err != nil {
							t.Error(err)
						}
					}
				}
				kept := lies(t, s.dir)
				stats := s.Stats()
				made := uint64(60 * 3)
				if results {
					made += 2 * 60
				}
				if stats.RemovedFiles != made-uint64(kept.files) || stats.RemovedBytes == 0 || stats.Errors != 0 {
					t.Errorf("of %d files %d are there: %+v", made, kept.files, stats)
				}
				for _, name := range files(t, s.dir) {
					if picture := strings.TrimSuffix(strings.TrimSuffix(name, ".json"), ".txt"); !present(s.dir + "/" + picture) {
						t.Errorf("%s is there without its picture", name)
					}
				}
			})
		}
	}
}

func present(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// The oldest go first, by the time when they were filed, not by their own; and a few more than must.
func TestQuotaRemovesTheOldest(t *testing.T) {
	s := newStepped(t, func(o *FolderOptions) { o.Done = Quota{MaxFiles: 20} })
	for i := range 20 {
		s.write("x", "END")
		at := time.Unix(int64(2_000_000_000-i), 0) // the later filed, the older
		must(t, os.Chtimes(s.dir+"/x", at, at))
		name := fmt.Sprintf("%02d.jpg", i)
		must(t, os.Rename(s.dir+"/x", s.dir+"/"+name))
		s.after(pollInterval + testSettle)
		must(t, s.wantNext(name)[0].Done(nil))
	}
	if n := lies(t, s.dir).files; n != 20 {
		t.Fatalf("%d files", n)
	}
	must(t, s.one("20.jpg", "END").Done(nil))
	var want []string
	for i := 3; i <= 20; i++ { // 90 %
		want = append(want, fmt.Sprintf("done/%02d.jpg", i))
	}
	wantFiles(t, s.dir, want...)
	if n := s.logged("removed the oldest files"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// Everything regular counts, and nothing else is removed; what isn't below the directory least of all.
func TestQuotaOfWhatOthersPut(t *testing.T) {
	away := t.TempDir()
	write(t, away+"/precious.jpg", "precious")
	s := newStepped(t, func(o *FolderOptions) { o.Done = Quota{MaxFiles: 4} })
	s.write("done/deep/er/0.jpg", "")
	s.write("done/1.txt", "no reason")
	s.write("done/2.jpg.json", "no picture")
	s.write("done/3.jpg", "linked")
	must(t, os.Link(s.dir+"/done/3.jpg", away+"/3.jpg"))
	must(t, os.Symlink(away, s.dir+"/done/dir"))
	must(t, os.Symlink(away+"/precious.jpg", s.dir+"/done/link.jpg"))
	must(t, os.Symlink(away+"/precious.jpg", s.dir+"/done/4.jpg.json"))
	must(t, unix.Mkfifo(s.dir+"/done/fifo.jpg", 0o666))
	s.write("done/4.jpg", "with a link in its result's place") // five files: it was full before
	for i := 5; i < 9; i++ {
		must(t, s.one(fmt.Sprintf("%d.jpg", i), "END").Done(nil))
	}
	wantFiles(t, s.dir, "done/4.jpg.json", "done/5.jpg", "done/6.jpg", "done/7.jpg", "done/8.jpg", "done/dir", "done/fifo.jpg", "done/link.jpg")
	wantFiles(t, away, "3.jpg", "precious.jpg")
	if !present(s.dir + "/done/deep/er") {
		t.Error("a directory was removed")
	}
	// What a person removes makes room.
	must(t, os.Remove(s.dir+"/done/7.jpg"))
	must(t, os.Remove(s.dir+"/done/8.jpg"))
	must(t, s.one("9.jpg", "END").Done(nil))
	must(t, s.one("a.jpg", "END").Done(nil))
	within(t, s.dir+"/done", Quota{MaxFiles: 4 + 2}) // links and FIFO don't count
	if got := files(t, s.dir+"/done"); len(got) != 4+4 || got[1] != "5.jpg" {
		t.Errorf("files are %q", got)
	}
}

// A picture that the quota can't hold at all goes, and nothing else for it.
func TestQuotaOfLargePicture(t *testing.T) {
	q := Quota{MaxBytes: 300}
	s := newStepped(t, func(o *FolderOptions) { o.Done, o.Failed, o.Results = q, q, true })
	small := s.one("small.jpg", "END")
	must(t, small.Done(eventOf(t, small, 1)))
	large := s.one("large.jpg", "END"+strings.Repeat("x", 300))
	must(t, large.Done(eventOf(t, large, 1)))
	wantFiles(t, s.dir, "done/large.jpg.json", "done/small.jpg", "done/small.jpg.json")
	bad := s.one("bad.jpg", "BAD"+strings.Repeat("x", 300))
	must(t, bad.Refuse("bad", []byte(strings.Repeat("x", 300))))
	wantFiles(t, s.dir, "done/large.jpg.json", "done/small.jpg", "done/small.jpg.json")
	if n := s.logged("larger than the quota"); n != 2 {
		t.Errorf("logged %d times", n)
	}
	if stats := s.Stats(); stats.RemovedFiles != 2 || stats.RemovedBytes != 2*303 || stats.Pending != 0 {
		t.Errorf("stats are %+v", stats)
	}
}

// Results alone, of pictures that are deleted.
func TestQuotaOfResults(t *testing.T) {
	q := Quota{MaxFiles: 10}
	s := newStepped(t, func(o *FolderOptions) { o.Done, o.Results, o.After = q, true, AfterDelete })
	for i := range 50 {
		item := s.one(fmt.Sprintf("%d.jpg", i), "END")
		must(t, item.Done(eventOf(t, item, i)))
		within(t, s.dir, q)
	}
}

func TestQuotaWithoutRoom(t *testing.T) {
	s := newStepped(t, func(o *FolderOptions) { o.Done = Quota{MaxFiles: 3} })
	for i := range 3 {
		s.write(fmt.Sprintf("done/sub/%d.jpg", i), "")
	}
	unprivileged(t)
	must(t, os.Chmod(s.dir+"/done/sub", 0o500))
	err := s.one("x.jpg", "END").Done(nil)
	if !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "make room in done") {
		t.Errorf("got %v", err)
	}
	s.after(time.Hour)
	s.wantNext()
	if problem := s.Stats().Problem; problem != "pictures can't be moved to done/: permission denied" {
		t.Errorf("problem is %q", problem)
	}
	must(t, os.Chmod(s.dir+"/done/sub", 0o700))
	s.after(2 * time.Minute)
	wantFiles(t, s.dir, "done/sub/1.jpg", "done/sub/2.jpg", "done/x.jpg")
}

// A large done/ is read when it is full, not for each picture.
func TestQuotaOfManyFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 30,000 files")
	}
	const n = 30_000 // more than are remembered at a time
	q := Quota{MaxFiles: n}
	s := newStepped(t, func(o *FolderOptions) { o.Done = q })
	drop(t, s.dir+"/done/a", n)
	must(t, s.one("x.jpg", "END").Done(nil))
	if got := lies(t, s.dir).files; got != n-n/10 {
		t.Errorf("%d files are left", got)
	}
	s.toDone.quota.MaxFiles = 10 // as after a change of the configuration
	must(t, s.one("y.jpg", "END").Done(nil))
	wantLast := files(t, s.dir)
	if len(wantLast) != 9 || wantLast[8] != "done/y.jpg" || wantLast[7] != "done/x.jpg" {
		t.Errorf("files are %q", wantLast)
	}
}

func TestQuotaOptions(t *testing.T) {
	for _, q := range []Quota{{MaxBytes: -1}, {MaxFiles: -1}, {MaxFiles: 1}, {MaxFiles: 2}} {
		for _, set := range []func(*FolderOptions){
			func(o *FolderOptions) { o.Done = q }, func(o *FolderOptions) { o.Failed = q },
		} {
			opts := options(t.TempDir())
			set(&opts)
			if f, err := OpenFolder(opts); err == nil || !strings.Contains(err.Error(), "quota of ") {
				t.Errorf("%+v: got %v, %v", q, f, err)
			}
		}
	}
}
