package camera

import (
	"os"
	"path"
	"strings"
	"testing"

	"github.com/fsnotify/fsnotify"
)

func TestCheckIgnore(t *testing.T) {
	for pattern, want := range map[string]string{
		"*.png": "", "thumb_*": "", "cam?/[a-z]*.jpg": "", "thumbs/": "", "cam1/raw/": "", `\*.jpg`: "", "Ünïcode ": "", "a..b": "",
		"": "a pattern of a name", "/": "a pattern of a name", "//": "without a leading /", "/x.jpg": "without a leading /",
		"a//b": "no empty name", "./x": "no empty name", "a/../b": "no empty name", "..": "no empty name", "a/./": "no empty name",
		"**/x.jpg": "** has no meaning", "a/**": "** has no meaning",
		"[": "each [ closed", "a[b": "each [ closed", "x[a-]": "each [ closed", `x\`: "each [ closed", `x\/`: "each [ closed",
	} {
		err := CheckIgnore(pattern)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", pattern, err, want)
		}
	}
}

func TestIgnorePatterns(t *testing.T) {
	for _, test := range []struct {
		pattern   string
		file, dir string // names that match, separated by blanks
		not       string // names that neither does
	}{
		{"thumb_*.jpg", "thumb_1.jpg cam1/thumb_.jpg", "", "xthumb_1.jpg thumb_1.jpeg thumb_1.jpg/x"},
		{"?.png", "a.png ü.png d/\xff.png", "", "ab.png A.PNG"},
		{"[a-c]*", "a b.jpg x/c", "", "d.jpg a/d.jpg"},
		{"cam1/*.jpg", "cam1/a.jpg", "", "a.jpg x/cam1/a.jpg cam1/x/a.jpg"},
		{"raw/", "", "raw cam1/raw", "raw.jpg raws"},
		{"cam?/raw/", "", "cam1/raw", "raw cam1/x/raw"},
		{`\[x\].jpg`, "[x].jpg", "", "x.jpg"},
	} {
		if err := CheckIgnore(test.pattern); err != nil {
			t.Error(err)
		}
		p := newIgnorePatterns([]string{test.pattern})
		for want, names := range map[string]string{"file": test.file, "directory": test.dir, "nothing": test.not} {
			for _, name := range strings.Fields(names) {
				if p.file(name) != (want == "file") || p.directory(name) != (want == "directory") {
					t.Errorf("%q, %q: file %v, directory %v", test.pattern, name, p.file(name), p.directory(name))
				}
			}
		}
	}
}

func TestIgnore(t *testing.T) {
	s := newStepped(t, func(o *FolderOptions) {
		o.Recursive, o.Ignore = true, []string{"thumb_*", "cam1/*.png", "raw/", "cam2/old*/"}
	})
	for _, name := range []string{
		"thumb_a.jpg", "cam1/thumb_b.jpg", "cam1/c.png", "raw/d.jpg", "cam1/raw/e/f.jpg", "cam2/old1/g.jpg",
		"cam1/h.jpg", "h.png", "i/cam1/j.png", "old1/k.jpg",
	} {
		s.write(name, "END "+name)
		s.event(fsnotify.Event{Name: s.dir + "/" + path.Dir(name), Op: fsnotify.Create}, s.now)
		if !strings.Contains(name, "raw/") && !strings.Contains(name, "cam2/old1/") { // those directories are never watched
			s.event(fsnotify.Event{Name: s.dir + "/" + name, Op: fsnotify.Create | fsnotify.Write}, s.now)
		}
	}
	s.after(testGrace)
	want := map[string]bool{"cam1/h.jpg": true, "h.png": true, "i/cam1/j.png": true, "old1/k.jpg": true}
	for item := s.take(); item != nil; item = s.take() {
		if !want[item.File] {
			t.Errorf("got %s", item.File)
		}
		delete(want, item.File)
		must(t, item.Done(nil))
	}
	if len(want) > 0 {
		t.Errorf("not handed out: %v", want)
	}
	if stats := s.Stats(); stats.Ignored != 3 || stats.Pending != 0 {
		t.Errorf("stats are %+v", stats)
	}
	if n := s.logged("msg=ignored"); n != 3 {
		t.Errorf("logged %d times:\n%s", n, &s.log)
	}
	must(t, os.Rename(s.dir+"/thumb_a.jpg", s.dir+"/a.jpg"))
	s.after(testGrace)
	s.wantNext("a.jpg")
}

func FuzzCheckIgnore(f *testing.F) {
	f.Add("cam?/[a-z]*.jpg", "cam1/x.jpg")
	f.Add(`\`, "x")
	f.Add("[^]-a]/", "\xff/")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if CheckIgnore(pattern) != nil {
			return
		}
		if _, err := path.Match(strings.TrimSuffix(pattern, "/"), name); err != nil {
			t.Errorf("%q passes, and then %v", pattern, err)
		}
		p := newIgnorePatterns([]string{pattern})
		if p.file(name) && p.directory(name) {
			t.Errorf("%q is both", pattern)
		}
	})
}
