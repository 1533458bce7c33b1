package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightd/export/tflitefile"
	"sightd/models"
	"sightd/publish"
)

// place is a configuration, and what is in it.
type place struct {
	file, state string
	listen      string // of the embedded broker
}

// newPlace writes a configuration.
func newPlace(t *testing.T, listen string) place {
	t.Helper()
	dir := t.TempDir()
	p := place{file: filepath.Join(dir, "sightd.yaml"), state: filepath.Join(dir, "state"), listen: listen}
	text := fmt.Sprintf("version: 1\nname: test\nstate_dir: %q\nmqtt: {listen: %q}\n", p.state, listen)
	if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// installed is what state_dir says of the model in use, "" for nothing.
func (p place) installed(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.state, "model.json"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

// reloads runs a Client in the place of the daemon until the test's end, which answers each request for another model with answer.
func reloads(t *testing.T, answer func() (publish.ReloadResult, error)) place {
	t.Helper()
	broker, err := publish.Listen("127.0.0.1:0", publish.ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	options := publish.Options{
		Broker: "mqtt://" + broker.Addr().String(), ClientID: "sightd-test-1", Base: "sightd/test", Intake: publish.Intake{Held: 2, Bytes: 1 << 20},
	}
	client, err := publish.New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			r, err := client.NextRequest(ctx)
			if err != nil {
				return
			}
			if r.Command == publish.HealthCheck {
				err = r.AnswerHealth(ctx, publish.Health{})
			} else if result, failed := answer(); failed != nil {
				err = r.AnswerError(ctx, failed)
			} else {
				err = r.AnswerReload(ctx, result)
			}
			if err != nil && ctx.Err() == nil {
				t.Errorf("answer: %v", err)
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
		if err := client.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return newPlace(t, broker.Addr().String())
}

// ownModel writes the embedded model under another name, and its card, and gives its sha256.
func ownModel(t *testing.T, name string) (path, sum string) {
	t.Helper()
	data, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	file, err := tflitefile.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	file.Description = name
	var b bytes.Buffer
	if _, err := file.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	sum = models.Sum(b.Bytes())
	card.Name, card.File.SHA256 = name, sum
	text, err := card.JSON()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "my model.tflite")
	for name, text := range map[string][]byte{path: b.Bytes(), strings.TrimSuffix(path, ".tflite") + ".json": text} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path, sum
}

func TestModelUse(t *testing.T) {
	good, sum := ownModel(t, "mine")
	_, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	result := publish.ReloadResult{
		Model: "mine", SHA256: sum, PreviousSHA256: card.File.SHA256, Delegate: "xnnpack", Threads: 3, Proven: 4, Changed: true, Took: 1234 * time.Millisecond,
	}
	bad := filepath.Join(t.TempDir(), "bad.tflite")
	if err := os.WriteFile(bad, []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	notAsked := errors.New("it must not be asked")
	other := result
	other.Model, other.SHA256 = "sightd's own", card.File.SHA256
	for _, test := range []struct {
		name    string
		model   []string
		answer  publish.ReloadResult
		refuse  error
		code    int
		changed bool
		want    []string
	}{
		{"good", []string{good}, result, nil, exitOK, true, []string{"sightd runs mine (sha256 " + sum + ") now: xnnpack with 3 threads, right on 4 golden inputs, after 1.234s"}},
		{"refused", []string{good}, result, errors.New("every delegate\nfails"), exitRefused, false, []string{"the model before goes on", "every delegate", "fails"}},
		{"another state_dir", []string{good}, other, nil, exitRefused, false, []string{"but runs sightd's own (sha256 " + card.File.SHA256 + "), not mine", "another state_dir (here "}},
		{"bad", []string{bad}, result, notAsked, exitRefused, false, []string{"open model " + bad}},
		{"none", []string{bad + "2"}, result, notAsked, exitRefused, false, []string{"no such file"}},
		{"the configured one", nil, other, nil, exitOK, false, []string{"sightd runs googlenet-int8 (sha256 " + card.File.SHA256 + ") now"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := reloads(t, func() (publish.ReloadResult, error) {
				if test.refuse == notAsked {
					t.Error("want the daemon not asked")
				}
				return test.answer, test.refuse
			})
			code, stdout, stderr := sightd(t, nil, append([]string{"model", "use", "-c", p.file}, test.model...)...)
			if code != test.code {
				t.Errorf("exit code: got %d, want %d", code, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(stdout+stderr, strings.ReplaceAll(want, "googlenet-int8", card.Name)) {
					t.Errorf("output lacks %q:\n%s%s", want, stdout, stderr)
				}
			}
			if have := p.installed(t); (have != "") != test.changed || test.changed && !strings.Contains(have, sum) {
				t.Errorf("want it changed: %v, have %s", test.changed, have)
			}
		})
	}
}

// TestModelUseUndo takes back what the daemon refuses: the model before is used, not the configured one.
func TestModelUseUndo(t *testing.T) {
	first, firstSum := ownModel(t, "first")
	second, secondSum := ownModel(t, "second")
	answers := make(chan error, 1)
	p := reloads(t, func() (publish.ReloadResult, error) {
		return publish.ReloadResult{Model: "first", SHA256: firstSum}, <-answers
	})
	answers <- nil
	if code, stdout, stderr := sightd(t, nil, "model", "use", first, "-c", p.file); code != exitOK || !strings.Contains(stdout, "not proven: it has no card") {
		t.Fatalf("got %d %s%s", code, stdout, stderr)
	}
	before := p.installed(t)
	for _, model := range [][]string{{second}, nil} {
		answers <- errors.New("it is broken")
		if code, stdout, stderr := sightd(t, nil, append([]string{"model", "use", "-c", p.file}, model...)...); code != exitRefused {
			t.Errorf("%s: got %d %s%s", model, code, stdout, stderr)
		}
		if have := p.installed(t); have != before || strings.Contains(have, secondSum) {
			t.Errorf("%s: want the model before, %s, have %s", model, before, have)
		}
	}
}

// TestModelUseWithoutDaemon has the next start run the model.
func TestModelUseWithoutDaemon(t *testing.T) {
	good, sum := ownModel(t, "mine")
	p := newPlace(t, "127.0.0.1:1") // nobody listens there
	code, stdout, stderr := sightd(t, nil, "model", "use", good, "-c", p.file)
	if code != exitOK || !strings.Contains(stdout, "mine (sha256 "+sum+") is run from the next start on.") || !strings.Contains(stdout, "SIGHUP") {
		t.Errorf("got %d %s%s", code, stdout, stderr)
	}
	if have := p.installed(t); !strings.Contains(have, sum) {
		t.Errorf("want it written down, have %s", have)
	}
	code, stdout, stderr = sightd(t, nil, "model", "use", "-c", p.file)
	if code != exitOK || !strings.Contains(stdout, "is run from the next start on") || p.installed(t) != "" {
		t.Errorf("the configured one: got %d %s%s", code, stdout, stderr)
	}
	if code, _, _ = sightd(t, nil, "model", "use", good, good); code != exitUsage {
		t.Errorf("two files: got %d, want %d", code, exitUsage)
	}
}

// TestModelUseInterrupted is stopped while the daemon tries delegates: that goes on, so that nothing is taken back.
func TestModelUseInterrupted(t *testing.T) {
	good, sum := ownModel(t, "mine")
	ctx, cancel := context.WithCancel(context.Background())
	release := make(chan struct{})
	p := reloads(t, func() (publish.ReloadResult, error) {
		cancel()
		<-release
		return publish.ReloadResult{Model: "mine", SHA256: sum}, nil
	})
	err := modelUse(ctx, io.Discard, p.file, good)
	close(release)
	if err == nil || !strings.Contains(err.Error(), "it may run mine (sha256 "+sum+") soon") {
		t.Errorf("want to be told that it may run soon, have %v", err)
	}
	if have := p.installed(t); !strings.Contains(have, sum) {
		t.Errorf("want it written down, have %s", have)
	}
}
