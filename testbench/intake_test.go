package testbench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// configure replaces a part of the board's configuration.
func (b *board) configure(t testing.TB, old, with string) {
	t.Helper()
	file := filepath.Join(b.dir, "sightd.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("want %q in the configuration, have %s", old, text)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, with, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newFolderBoard is newBoard with more keys of its folder, in YAML's flow style.
func newFolderBoard(t testing.TB, mqtt, keys string) *board {
	t.Helper()
	b := newBoard(t, mqtt)
	b.configure(t, "settle: 200ms", "settle: 200ms, "+keys)
	return b
}

// stop stops the daemon in order.
func (p *process) stop(t testing.TB) {
	t.Helper()
	if state := p.signal(t, syscall.SIGTERM); state.ExitCode() != 0 {
		t.Errorf("after SIGTERM: want exit status 0, have %v", state)
	}
}

// refused checks that a file is in failed/, with the reason that its event gives.
func (b *board) refused(t testing.TB, e told) {
	t.Helper()
	if e.Type != "error" || e.Error == "" || e.Label != "" {
		t.Errorf("%s: want an error with its reason and no label, have %s", e.File, e.payload)
	}
	file := filepath.Join(b.inbox, "failed", e.File)
	var reason []byte
	eventually(t, func() bool {
		reason, _ = os.ReadFile(file + ".txt") // there is none yet
		return len(reason) > 0
	}, func() string {
		return fmt.Sprintf("want the reason in %s.txt, have %q", file, list(t, filepath.Dir(file)))
	})
	if _, err := os.Stat(file); err != nil || !strings.Contains(string(reason), e.Error) {
		t.Errorf("%s: want it in failed/ with the reason %q, have %q, %v", e.File, e.Error, reason, err)
	}
}

// TestWriters has files written that take 10 s, by a writer that keeps them open and by one that opens them anew, and files
// that are never finished. Each is classified when it is whole; half a picture is refused, when nobody has it open.
func TestWriters(t *testing.T) {
	t.Parallel()
	const takes, grace = 10 * time.Second, 10 * time.Second
	b := newBoard(t, embedded)
	b.configure(t, "format: json", "format: json, level: debug")
	p, url := b.run(t)
	r := record(t, url)
	data := drawnJPEG(t, "parachute", 300)

	held, err := os.Create(filepath.Join(b.inbox, "held.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close() // it is closed below; here for a test that fails
	if _, err := held.Write(data[:len(data)/2]); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	b.drop(t, 1, "half.jpg", data[:len(data)/2])
	var finished [2]time.Time // before the last part was written
	ended := make(chan error, 2)
	go func() { ended <- writeSlowly(filepath.Join(b.inbox, "open.jpg"), data, takes, 100, true, &finished[0]) }()
	go func() { ended <- writeSlowly(filepath.Join(b.inbox, "anew.jpg"), data, takes, 10, false, &finished[1]) }()
	b.drop(t, 0, "other.jpg", data)
	r.of(t, "other.jpg") // they are in nobody's way
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"open.jpg", "anew.jpg"} {
		e := r.of(t, name)
		if e.Type != "classified" || e.Label != "parachute" || e.at(t).Before(finished[i].Truncate(time.Millisecond)) {
			t.Errorf("%s: want a parachute when it is whole, at %v, have %s", name, finished[i], e.payload)
		}
	}
	half := r.of(t, "half.jpg")
	if waited := half.at(t).Sub(begun); waited < grace-time.Second {
		t.Errorf("half.jpg: want it refused after %v, have %v", grace, waited)
	}
	b.refused(t, half)

	if strings.Contains(p.String(), `"folder is polled"`) {
		t.Skip("this file system doesn't tell who has files open")
	}
	p.line(t, `"picture isn't whole yet"`, "held.jpg", `"written":true`) // after the grace
	if _, err := os.Stat(held.Name()); err != nil {
		t.Errorf("want the file that is open in its place: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	b.refused(t, r.of(t, "held.jpg"))
	b.filed(t, "other.jpg", "open.jpg", "anew.jpg")
	p.stop(t)
	r.once(t, "other.jpg", "open.jpg", "anew.jpg", "half.jpg", "held.jpg")
}

// at is the event's time.
func (e told) at(t testing.TB) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, e.Time)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// writeSlowly writes a file in so many parts, to a file that it keeps open or opens anew for each.
func writeSlowly(path string, data []byte, takes time.Duration, parts int, open bool, last *time.Time) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	tick := time.NewTicker(takes / time.Duration(parts-1))
	defer tick.Stop()
	size := (len(data) + parts - 1) / parts
	for n := 0; n < len(data); n += size {
		if n > 0 {
			<-tick.C
		}
		*last = time.Now()
		if _, err := file.Write(data[n:min(n+size, len(data))]); err != nil {
			return err
		}
		if open {
			continue
		}
		if err := file.Close(); err != nil {
			return err
		}
		if file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err != nil {
			return err
		}
	}
	return file.Close()
}

// TestRenamedAtOnce moves 500 files into the folder at once.
func TestRenamedAtOnce(t *testing.T) {
	t.Parallel()
	b := newBoard(t, embedded)
	p, url := b.run(t)
	r := record(t, url)
	var names []string
	pictures := numberedJPEGs(t, 500)
	for name, data := range pictures {
		if err := os.WriteFile(filepath.Join(b.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(b.dir, name), filepath.Join(b.inbox, name)); err != nil {
			t.Fatal(err)
		}
	}
	r.until(t, func() bool { return len(r.files) >= len(names) }, func() string {
		return fmt.Sprintf("want events of %d files, have %d", len(names), len(r.files))
	})
	b.filed(t, names...)
	p.stop(t)
	r.once(t, names...)
	for _, e := range r.all() {
		if e.Type != "classified" {
			t.Errorf("%s: want it classified, have %s", e.File, e.payload)
		}
	}
}

// TestNames drops pictures with names that need escapes: the event has what can be shown, and done/ the name as it is.
func TestNames(t *testing.T) {
	t.Parallel()
	shown := map[string]string{
		"a picture.jpg":                   "a picture.jpg",
		`it's "quoted" & <b>bold \$1.jpg`: `it's "quoted" & <b>bold \$1.jpg`,
		"line\nend\ttab.jpg":              `line\nend\ttab.jpg`,
		"Grüße 猫 🙂.jpg":                   "Grüße 猫 🙂.jpg",
		"latin1 \xe4.jpg":                 `latin1 \xe4.jpg`,
		"hidden \u202egpj.exe.jpg":        `hidden \u202egpj.exe.jpg`,
		"-rf.jpg":                         "-rf.jpg",
		"+ # $SYS.jpg":                    "+ # $SYS.jpg",
		strings.Repeat("n", 251) + ".JPG": strings.Repeat("n", 251) + ".JPG",
	}
	b := newBoard(t, embedded)
	p, url := b.run(t)
	r := record(t, url)
	var names, files []string
	for name, file := range shown {
		b.drop(t, len(names), name, drawnJPEG(t, "parachute", 100+len(names)))
		names, files = append(names, name), append(files, file)
	}
	for _, file := range files {
		if e := r.of(t, file); e.Type != "classified" || e.Label != "parachute" {
			t.Errorf("%s: want a parachute, have %s", file, e.payload)
		}
	}
	b.filed(t, names...)
	p.stop(t)
	r.once(t, files...)
}

// TestUnreadable drops a file that the daemon may not read: that is told once, others are classified, and when it may be read
// so is the file.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	b := newBoard(t, embedded)
	sightd(t) // built with all that root may
	if os.Getuid() == 0 {
		// This goroutine's thread, and what is started by it, can't read everybody's files from now on. As the goroutine
		// never unlocks it, the thread ends with the test.
		runtime.LockOSThread()
		for _, capability := range []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH} {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
				t.Skipf("root reads all files, and can't give that up here: %v", err)
			}
		}
	}
	p, url := b.run(t)
	r := record(t, url)
	data := drawnJPEG(t, "parachute", 100)
	closed := filepath.Join(b.dir, "closed.jpg")
	if err := os.WriteFile(closed, data, 0); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(b.inbox, "closed.jpg")
	if err := os.Rename(closed, moved); err != nil {
		t.Fatal(err)
	}
	const problem = "pictures can't be read: permission denied"
	if e := r.of(t, ""); e.Type != "error" || e.Error != problem || e.Source != "inbox" {
		t.Errorf("want the error %q, have %s", problem, e.payload)
	}
	r.says(t, "inbox/state", `"problem":"`+problem+`"`)
	b.drop(t, 0, "other.jpg", data)
	r.of(t, "other.jpg")
	b.list(t, "closed.jpg", "done/other.jpg")
	var h health
	eventually(t, func() bool {
		h = r.health(t)
		return h.Status == "degraded" && h.Sources[0].Pending == 1 && h.Sources[0].Problem != nil && *h.Sources[0].Problem == problem
	}, func() string { return fmt.Sprintf("want a degraded board with a picture that waits, have %+v", h) })
	if err := os.Chmod(moved, 0o400); err != nil {
		t.Fatal(err)
	}
	if e := r.of(t, "closed.jpg"); e.Type != "classified" || e.Label != "parachute" {
		t.Errorf("want a parachute, have %s", e.payload)
	}
	b.list(t, "done/closed.jpg", "done/other.jpg")
	eventually(t, func() bool { return r.health(t).Sources[0].Problem == nil }, func() string { return "the problem doesn't end" })
	p.stop(t)
	r.once(t, "", "closed.jpg", "other.jpg")
}

// list waits until the folder has exactly these files, done/ and failed/ included.
func (b *board) list(t testing.TB, want ...string) {
	t.Helper()
	var have []string
	same := func() bool {
		have = nil
		err := filepath.WalkDir(b.inbox, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				have = append(have, strings.TrimPrefix(path, b.inbox+"/"))
			}
			return err
		})
		return err == nil && strings.Join(have, "\n") == strings.Join(want, "\n")
	}
	eventually(t, same, func() string { return fmt.Sprintf("want the files %q, have %q", want, have) })
}

// content is what is in a file of the folder.
func (b *board) content(t testing.TB, name string, want []byte) {
	t.Helper()
	have, err := os.ReadFile(filepath.Join(b.inbox, name))
	if err != nil || !bytes.Equal(have, want) {
		t.Errorf("%s: want the %d bytes that were written, have %d, %v", name, len(want), len(have), err)
	}
}
