package doctor

import (
	"context"
	"encoding/json"
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

// file writes a configuration with its folders in dir.
func file(t *testing.T, dir, more string) string {
	t.Helper()
	path := filepath.Join(dir, "sightd.yaml")
	write(t, path, fmt.Sprintf("name: test\nstate_dir: %s/state\nsources: [{name: inbox, path: %s/inbox}]\n%s", dir, dir, more))
	return path
}

// names are those of the findings, each once, in their order.
func names(r Report) string {
	var list []string
	for _, f := range r.Findings {
		if len(list) == 0 || list[len(list)-1] != f.Name {
			list = append(list, f.Name)
		}
	}
	return strings.Join(list, ", ")
}

func TestExamine(t *testing.T) {
	const (
		board = "service, libraries, user, cpu, memory, descriptors, clock, temperature, power, disks"
		rest  = "model, decide, delegates, state_dir, state_dir disk, outbox, source inbox, source inbox watch, source inbox disk, inotify, broker port"
	)
	for _, test := range []struct {
		name, config string
		env          []string
		change       func(*system)
		status       Status
		names        string
		want         string // among the findings
	}{
		{"right", "", nil, nil, OK, "configuration, " + board + ", " + rest, "ok configuration: sightd.yaml: 1 source, the broker inside sightd on 127.0.0.1:1883 -> "},
		{"warning", "", nil, func(s *system) { s.adjtimex = func(*unix.Timex) (int, error) { return unix.TIME_ERROR, nil } }, Warn,
			"configuration, " + board + ", " + rest, "warn clock: "},
		{"failure", "", nil, func(s *system) { s.statfs = room(0, 0, 0) }, Fail, "configuration, " + board + ", " + rest, "fail state_dir disk: "},
		{"wrong keys", "mqtt: {brokr: x, qos: 2}\n", nil, nil, Fail, "configuration, " + board,
			"fail configuration: FILE:4:8: mqtt.brokr: unknown key; did you mean mqtt.broker? -> correct it (sightd config check tells the same); model, folders, state_dir and broker are looked at with a right one\n" +
				"fail configuration: FILE:4:18: mqtt.qos: 2 is not supported by this version; use 0 or 1 -> correct it (sightd config check tells the same)"},
		{"wrong variable", "", []string{"SIGHTD_LOG_LEVEL=loud"}, nil, Fail, "configuration, " + board, "fail configuration: SIGHTD_LOG_LEVEL: log.level: want debug"},
		{"variable", "", []string{"SIGHTD_MQTT_LISTEN=127.0.0.1:1999"}, nil, OK, "configuration, " + board + ", " + rest, "the broker inside sightd on 127.0.0.1:1999"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := recorded(t, nil)
			if test.change != nil {
				test.change(s)
			}
			path := file(t, t.TempDir(), test.config)
			r := Examine(context.Background(), Options{File: path, Env: test.env, Libraries: "some 1.0", system: s})
			have := strings.ReplaceAll(told(r.Findings), path, "FILE")
			have = strings.ReplaceAll(have, "FILE: 1", "sightd.yaml: 1")
			if r.Status != test.status || names(r) != test.names || !strings.Contains(have, test.want) {
				t.Errorf("got %s, %s:\n%s\nwant %s, %s, with\n%s", r.Status, names(r), have, test.status, test.names, test.want)
			}
		})
	}
	r := Examine(context.Background(), Options{File: "/none.yaml", system: recorded(t, nil)})
	want(t, r.Findings[:1], "fail configuration: no such file -> config init")
	if !strings.Contains(told(Examine(context.Background(), Options{Env: []string{"SIGHTD_MODEL_DELEGATE=x"}, system: recorded(t, nil)}).Findings), "fail configuration: SIGHTD_MODEL_DELEGATE") {
		t.Error("without a file the variables don't count")
	}
}

// TestExamineChangesNothing looks at every file and folder before and after, with everything missing and with everything there.
func TestExamineChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := file(t, dir, "")
	look := func() string {
		var b strings.Builder
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			fmt.Fprintln(&b, path, info.Mode(), info.Size(), info.ModTime())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, when := range []string{"nothing there", "all there"} {
		if when == "all there" {
			write(t, dir+"/inbox/done/a.jpg", "x")
			write(t, dir+"/inbox/b.jpg", "x")
			write(t, dir+"/state/outbox/lock", "")
			write(t, dir+"/state/outbox/0000000000000001.log", "x")
		}
		before := look()
		if r := Examine(context.Background(), Options{File: path, system: recorded(t, nil)}); r.Status != OK {
			t.Errorf("%s: got\n%s", when, told(r.Findings))
		}
		if after := look(); after != before {
			t.Errorf("%s: before\n%s\nafter\n%s", when, before, after)
		}
	}
}

func TestReportJSON(t *testing.T) {
	r := report([]Finding{{"a", OK, "fine", ""}, {"b c", Warn, "two\nlines\r\n", "do < this\xff"}, {"d", OK, "", ""}}, asUser)
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"status":"warn","findings":[{"name":"a","status":"ok","detail":"fine","hint":""},` +
		`{"name":"b c","status":"warn","detail":"two; lines","hint":"do \u003c this` + "\ufffd" + `"},{"name":"d","status":"ok","detail":"","hint":""}]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, test := range []struct {
		findings []Status
		want     Status
	}{{nil, OK}, {[]Status{OK, Warn}, Warn}, {[]Status{Fail, Warn, OK}, Fail}, {[]Status{Warn, Fail}, Fail}} {
		var list []Finding
		for _, s := range test.findings {
			list = append(list, Finding{Status: s})
		}
		if got := report(list, asUser).Status; got != test.want {
			t.Errorf("%v: got %s, want %s", test.findings, got, test.want)
		}
	}
}

// TestExamineHangs has a configuration that never ends, and a file system that never answers.
func TestExamineHangs(t *testing.T) {
	t.Run("configuration", func(t *testing.T) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // a reader that is left behind ends
			if f, err := os.OpenFile(fifo, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
				f.Close()
			}
		})
		r := Examine(context.Background(), Options{File: fifo, system: recorded(t, nil), patience: 200 * time.Millisecond})
		want(t, r.Findings[:1], "fail configuration: no answer within 200ms -> hangs")
		if strings.Contains(names(r), "model") {
			t.Errorf("got %s, want nothing of what no configuration names", names(r))
		}
	})
	t.Run("folder", func(t *testing.T) {
		s, release := recorded(t, nil), make(chan struct{})
		s.polled = func(string) (string, bool, error) { <-release; return "", false, nil }
		ctx, cancel := context.WithCancelCause(context.Background())
		asked := make(chan struct{})
		s.bind = func(string) error { close(asked); return nil }
		go func() {
			<-asked
			cancel(errors.New("interrupted"))
		}()
		r := Examine(ctx, Options{File: file(t, t.TempDir(), ""), system: s})
		found := told(r.Findings)
		for _, name := range []string{"source inbox", "inotify"} {
			if !strings.Contains(found, "fail "+name+": interrupted -> what it looks at hangs") {
				t.Errorf("got\n%s\nwant that %s hangs", found, name)
			}
		}
		close(release)
	})
}
