package testbench

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// board is a folder with sightd's configuration, its state and a watched folder.
type board struct {
	dir, inbox  string
	environment []string // more of it, for use
}

// embedded is the configuration of the embedded broker, on any free port.
const embedded = `listen: "127.0.0.1:0"`

// fixedModel has the daemon start without finding out which delegate is best: tests of something else have no time for it.
const fixedModel = "model: {delegate: xnnpack, threads: 2}\n"

// newBoard makes a board that is called "bench". mqtt is what the configuration says of MQTT, in one line of YAML.
func newBoard(t testing.TB, mqtt string) *board {
	t.Helper()
	dir := t.TempDir()
	b := &board{dir: dir, inbox: filepath.Join(dir, "inbox")}
	if err := os.Mkdir(b.inbox, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("version: 1\nname: bench\n"+fixedModel+"mqtt: {%s}\nlog: {format: json}\n"+
		"sources:\n  - {name: inbox, type: folder, path: ./inbox, settle: 200ms}\n", mqtt)
	if err := os.WriteFile(filepath.Join(dir, "sightd.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// run starts the daemon and waits until it watches the folder. It gives the URL of its broker.
func (b *board) run(t testing.TB) (p *process, broker string) {
	t.Helper()
	p, broker = b.launch(t)
	p.line(t, `"msg":"ready`)
	return p, broker
}

// launch starts the daemon and waits only for its embedded broker, where it has one.
func (b *board) launch(t testing.TB) (p *process, broker string) {
	t.Helper()
	p = start(t, b.dir, sightd(t), "run", "-c", "sightd.yaml")
	config, err := os.ReadFile(filepath.Join(b.dir, "sightd.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(config), embedded) {
		broker = p.field(t, "embedded broker is listening", "broker")
	}
	return p, broker
}

// drop puts a picture into the watched folder: moved there, copied, or written in two parts, by turns.
func (b *board) drop(t testing.TB, turn int, name string, data []byte) {
	t.Helper()
	to := filepath.Join(b.inbox, name)
	var err error
	switch turn % 3 {
	case 0:
		from := filepath.Join(b.dir, name)
		if err = os.WriteFile(from, data, 0o600); err == nil {
			err = os.Rename(from, to)
		}
	case 1:
		err = os.WriteFile(to, data, 0o600)
	case 2:
		var f *os.File
		if f, err = os.Create(to); err != nil {
			break
		}
		for _, part := range [][]byte{data[:len(data)/2], data[len(data)/2:]} {
			if _, err = f.Write(part); err != nil {
				break
			}
			if err = f.Sync(); err != nil {
				break
			}
		}
		if closed := f.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// dropFiles drops files under their own names, and returns those.
func (b *board) dropFiles(t testing.TB, files []string) []string {
	t.Helper()
	names := make([]string, len(files))
	for i, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names[i] = filepath.Base(file)
		b.drop(t, i, names[i], data)
	}
	return names
}

// last drops a picture behind all others and waits for its event: what could come twice has come by then.
func (b *board) last(t testing.TB, s *subscriber) string {
	t.Helper()
	const name = "zz_last.jpg"
	b.drop(t, 0, name, drawnJPEG(t, "golf_ball", 200))
	s.until(t, func() bool { return len(s.events[name]) > 0 }, func() string { return "no event of the last picture" })
	return name
}

// filed waits until the watched folder is empty and done/ holds exactly these files.
func (b *board) filed(t testing.TB, names ...string) {
	t.Helper()
	want := slices.Sorted(slices.Values(names))
	inbox, done := []string(nil), []string(nil)
	eventually(t, func() bool {
		inbox, done = list(t, b.inbox), list(t, filepath.Join(b.inbox, "done"))
		return len(inbox) == 0 && len(done) >= len(want)
	}, func() string {
		return fmt.Sprintf("want no files in the watched folder and %d in done/, have %q and %d", len(want), inbox, len(done))
	})
	if !slices.Equal(done, want) {
		t.Errorf("done/: want %q, have %q", want, done)
	}
}

// list lists the files of a folder, sorted; those of a folder that isn't there are none.
func list(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// verdict is a line of sightd classify --json.
type verdict struct {
	File  string  `json:"file"`
	Label string  `json:"label"`
	Index int     `json:"index"`
	Score float64 `json:"score"`
	Error string  `json:"error"`
}

// classify runs sightd classify on files. The result is by their base names.
func classify(t testing.TB, files []string) map[string]verdict {
	t.Helper()
	cmd := exec.Command(sightd(t), append([]string{"classify", "--json"}, files...)...)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("sightd classify: %v", err)
	}
	verdicts := map[string]verdict{}
	for line := range strings.Lines(string(output)) {
		var v verdict
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("sightd classify --json wrote %s: %v", line, err)
		}
		verdicts[filepath.Base(v.File)] = v
	}
	if len(verdicts) != len(files) {
		t.Fatalf("sightd classify: want verdicts on %d files, have %d", len(files), len(verdicts))
	}
	return verdicts
}

// check compares the events with what classify says: each file has at least one, or exactly one with once; all of a file have the same
// id, and no others have that.
func (s *subscriber) check(t testing.TB, once bool, want map[string]verdict) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, payload := range s.bad {
		t.Errorf("bad event: %s", payload)
	}
	ids := map[string]string{}
	for file, events := range s.events {
		v, ok := want[file]
		if !ok {
			t.Errorf("event of %s, which nobody dropped", file)
			continue
		}
		if other, taken := ids[events[0].ID]; taken || events[0].ID == "" {
			t.Errorf("%s and %s: want ids of their own, have %q", file, other, events[0].ID)
		}
		ids[events[0].ID] = file
		if once && len(events) != 1 {
			t.Errorf("%s: want 1 event, have %d", file, len(events))
		}
		for _, e := range events {
			if e.ID != events[0].ID {
				t.Errorf("%s: want the same id in a repeat, have %s and %s", file, events[0].ID, e.ID)
			}
			// scores have four decimals in an event
			if e.Type != "classified" || e.Source != "inbox" || e.Label != v.Label || e.Index != v.Index || math.Abs(e.Score-v.Score) > 0.00006 {
				t.Errorf("%s: want %s %.4f as sightd classify says, have %+v", file, v.Label, v.Score, e)
			}
		}
	}
	for file := range want {
		if len(s.events[file]) == 0 {
			t.Errorf("no event of %s", file)
		}
	}
}
