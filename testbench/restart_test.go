package testbench

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestCleanRestarts stops the daemon with SIGTERM, three times amid its work. The embedded broker ends with it, so the results
// beside the pictures are the judge: each picture is classified once, and what was heard of it is what is written there.
func TestCleanRestarts(t *testing.T) {
	t.Parallel()
	const stops = 3
	pictures := numberedJPEGs(t, 300)
	b := newFolderBoard(t, embedded, "results: true")
	done := filepath.Join(b.inbox, "done")
	names := slices.Sorted(maps.Keys(pictures))
	classified, heard := map[string]int{}, map[string]told{}
	for run, dropped := 0, 0; run <= stops; run++ {
		p, url := b.run(t)
		r := record(t, url)
		before := dropped
		for ; dropped < len(names)*(run+1)/(stops+1); dropped++ {
			b.drop(t, dropped, names[dropped], pictures[names[dropped]])
		}
		want := 2 * dropped // with their results
		if run < stops {
			want -= rand.IntN(2 * (dropped - before))
		}
		eventually(t, func() bool { return len(list(t, done)) >= want }, func() string {
			return fmt.Sprintf("done/: want %d files, have %d", want, len(list(t, done)))
		})
		p.stop(t)
		r.leave()
		for line := range strings.Lines(p.String()) {
			var said struct{ Msg, File string }
			if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "classified" {
				classified[said.File]++
			}
		}
		for _, e := range r.all() {
			if before, twice := heard[e.File]; twice {
				t.Errorf("want one event a picture, have %s and %s", before.payload, e.payload)
			}
			heard[e.File] = e
		}
	}
	if inbox := list(t, b.inbox); len(inbox) > 0 {
		t.Errorf("want an empty folder, have %q", inbox)
	}
	for _, name := range names {
		var result told
		text, err := os.ReadFile(filepath.Join(done, name+".json"))
		if err == nil {
			err = json.Unmarshal(text, &result)
		}
		if err != nil || result.File != name || result.Type != "classified" {
			t.Errorf("result of %s: %s, %v", name, text, err)
		}
		if e, ok := heard[name]; ok && strings.TrimSpace(string(text)) != e.payload {
			t.Errorf("%s: the result %s is not the event %s", name, text, e.payload)
		}
		if _, err := os.Stat(filepath.Join(done, name)); err != nil || classified[name] != 1 {
			t.Errorf("%s: want it classified once and in done/, have %d times, %v", name, classified[name], err)
		}
	}
	t.Logf("%d pictures, %d stops, %d events heard", len(names), stops, len(heard))
}

// TestOutboxSurvives has a folder vanish while there has never been a broker, and kills the daemon. That the folder was gone is
// told all the same when the broker is there, with the time when it happened.
func TestOutboxSurvives(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t)
	r := record(t, m.url)
	m.stop(t)
	b := newBoard(t, fmt.Sprintf("broker: %q", m.url))
	p, _ := b.run(t)
	aside := filepath.Join(b.dir, "aside")
	if err := os.Rename(b.inbox, aside); err != nil {
		t.Fatal(err)
	}
	const gone = `"error":"folder is gone"`
	var accepted string // as the outbox has it
	eventually(t, func() bool {
		accepted = regexp.MustCompile(`{"event_type":"error"[^}]*` + gone + `[^}]*}`).FindString(b.outbox(t))
		return accepted != ""
	}, func() string { return "want an event in the outbox with " + gone })
	p.signal(t, syscall.SIGKILL)

	p, _ = b.run(t) // its first statement of health is retained until there is a broker
	if !m.start(t) {
		t.Fatalf("mosquitto doesn't start again:\n%s", m.process)
	}
	first := r.event(t, "the folder", func(e told) bool { return e.Error == "folder is gone" })
	if want := strings.Replace(accepted, `"replayed":false`, `"replayed":true`, 1); first.payload != want || !first.Replayed {
		t.Errorf("want %s\nhave %s", want, first.payload)
	}
	if first.Type != "error" || first.Source != "inbox" || first.File != "" || first.Label != "" {
		t.Errorf("want an error of inbox without a file and a label, have %s", first.payload)
	}
	r.says(t, "bridge/health", `"outbox":{"pending":1,`, `"oldest":"`)
	eventually(t, func() bool { return r.health(t).Outbox.Pending == 0 }, func() string { return "the outbox isn't emptied" })
	b.drop(t, 0, "afterwards.jpg", drawnJPEG(t, "golf_ball", 100)) // the folder was made again at the start
	r.of(t, "afterwards.jpg")
	if all := r.all(); len(all) != 2 {
		t.Errorf("want 2 events, have %+v", all)
	}
	p.stop(t)
}

// outbox is what the files of the outbox hold.
func (b *board) outbox(t testing.TB) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(b.dir, "state", "outbox", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
