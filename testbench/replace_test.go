package testbench

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
)

// version is a picture that has a name for a while.
type version struct {
	label string
	data  []byte
}

func twoVersions(t testing.TB) (first, second version) {
	t.Helper()
	return version{"golf ball", drawnJPEG(t, "golf_ball", 200)}, version{"parachute", drawnJPEG(t, "parachute", 300)}
}

// replace is what happens to a file that the daemon has found: another one is moved into its place or written over it, or it is
// deleted.
var replace = map[string]func(t testing.TB, b *board, name string, by []byte){
	"moved over": func(t testing.TB, b *board, name string, by []byte) { b.drop(t, 0, name, by) },
	"written over": func(t testing.TB, b *board, name string, by []byte) {
		if err := os.WriteFile(filepath.Join(b.inbox, name), by, 0o600); err != nil {
			t.Fatal(err)
		}
	},
	"deleted": func(t testing.TB, b *board, name string, _ []byte) {
		if err := os.Remove(filepath.Join(b.inbox, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	},
}

// TestReplacedWhileRead replaces a file between its opening and the reading, which is held up: what is said of a picture is never that of
// another one, and the one that came is classified.
func TestReplacedWhileRead(t *testing.T) {
	t.Parallel()
	for how, replace := range replace {
		t.Run("looked into, "+how, func(t *testing.T) {
			t.Parallel()
			replacedWhileRead(t, how, replace, 0, 1)
		})
		// One that isn't kept in memory is read to see whether it is whole, in pieces of 32 KiB for its SHA-256, and to be classified.
		t.Run("classified, "+how, func(t *testing.T) {
			t.Parallel()
			replacedWhileRead(t, how, replace, 128<<10+1, 1+5+1)
		})
	}
}

// replacedWhileRead replaces a picture, of so many bytes at least, during the given read.
func replacedWhileRead(t *testing.T, how string, replace func(testing.TB, *board, string, []byte), bytes, read int) {
	first, second := twoVersions(t)
	for _, v := range []*version{&first, &second} {
		v.data = append(v.data, make([]byte, max(0, bytes-len(v.data)))...) // what is behind its end is no fault
	}
	b := newBoard(t, embedded)
	p, url := b.run(t)
	r := record(t, url)
	const name = "x.jpg"
	path := filepath.Join(b.inbox, name)
	trace, why := attach(t, p, "-P", path, "-e", "trace=pread64", "-e", "inject=pread64:delay_enter=1s")
	if trace == nil {
		t.Skipf("reading can't be held up: %s", why)
	}
	b.drop(t, 0, name, first.data)
	trace.until(t, func() bool {
		return strings.Count(strings.Join(trace.lines, "\n")+string(trace.part), "pread64(") >= read
	}, func() string { return fmt.Sprintf("want the file read %d times", read) })
	replace(t, b, name, second.data)

	left := second
	if how == "deleted" {
		b.list(t)
		left = first
	} else {
		b.list(t, "done/"+name)
		b.content(t, "done/"+name, second.data)
		want := b.id(t, name)
		r.event(t, second.label, func(e told) bool { return e.ID == want })
	}
	p.stop(t)
	for _, e := range r.all() {
		wanted := first
		if how != "deleted" && e.ID == b.id(t, name) {
			wanted = left
		}
		if e.Type != "classified" || e.Label != wanted.label {
			t.Errorf("want %q, have %s", wanted.label, e.payload)
		}
	}
	t.Logf("%d events", len(r.all()))
}

// TestReplacedInTime replaces many files while the daemon works on them, each at another point of its way.
func TestReplacedInTime(t *testing.T) {
	t.Parallel()
	first, second := twoVersions(t)
	for how, replace := range replace {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := newBoard(t, embedded)
			p, url := b.run(t)
			r := record(t, url)
			var names []string
			for i := range 40 {
				names = append(names, fmt.Sprintf("x%02d.jpg", i))
				b.drop(t, 0, names[i], first.data)
			}
			r.of(t, names[0])
			for _, name := range names {
				replace(t, b, name, second.data)
			}
			b.drop(t, 0, "zz_last.jpg", first.data)
			r.of(t, "zz_last.jpg")
			eventually(t, func() bool { return len(list(t, b.inbox)) == 0 }, func() string {
				return fmt.Sprintf("want an empty folder, have %q", list(t, b.inbox))
			})
			p.stop(t)
			labels := map[string][]string{} // by file
			for _, e := range r.all() {
				if e.Type != "classified" {
					t.Errorf("want no error, have %s", e.payload)
				}
				labels[e.File] = append(labels[e.File], e.Label)
			}
			for _, name := range names {
				if how != "deleted" && !slices.Contains(labels[name], second.label) {
					t.Errorf("%s: want an event of the %s that came last, have %q", name, second.label, labels[name])
				}
			}
			for _, name := range list(t, filepath.Join(b.inbox, "done")) {
				if file := strings.Replace(name, "-1.jpg", ".jpg", 1); len(labels[file]) == 0 {
					t.Errorf("%s is in done/: want an event", name)
				}
			}
			t.Logf("%d events of %d names", len(r.all()), len(names)+1)
		})
	}
}

// id is the id of a picture in done/ that was filed under its own name, as camera.Item documents it.
func (b *board) id(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(b.inbox, "done", name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	content := sha256.Sum256(data)
	sum := sha256.Sum256(append(fmt.Appendf(nil, "inbox\x00%s\x00%d\x00", name, len(data)), content[:]...))
	var id ulid.ULID
	binary.BigEndian.PutUint64(id[:8], uint64(info.ModTime().UnixMilli())<<16)
	copy(id[6:], sum[:])
	return id.String()
}
