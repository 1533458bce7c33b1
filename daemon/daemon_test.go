package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"sightd/publish"
)

// patience bounds what a test waits for; one that passes never waits it out.
const patience = 30 * time.Second

// testConfig watches a temporary folder and opens the embedded broker on a free port.
func testConfig(t *testing.T) Config {
	c := Default()
	c.Name = "test"
	c.StateDir = t.TempDir()
	c.MQTT.Listen = "127.0.0.1:0"
	c.Sources[0].Path = filepath.Join(t.TempDir(), "inbox")
	c.Sources[0].Settle = 20 * time.Millisecond
	return c
}

// message is what a test looks at of an event.
type message struct {
	EventType string  `json:"event_type"`
	ID        string  `json:"id"`
	Seq       int     `json:"seq"`
	Label     *string `json:"label"`
	Error     *string `json:"error"`
	File      string  `json:"file"`
}

// start runs the daemon and subscribes to its topics. stop ends it and gives Run's error.
func start(t *testing.T, c Config, opts Options) (events chan message, states chan string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	opts.Log = slog.New(slog.DiscardHandler)
	opts.Ready = func(broker string) { ready <- broker }
	go func() { ended <- Run(ctx, c, opts) }()
	var broker string
	select {
	case broker = <-ready:
	case err := <-ended:
		t.Fatalf("the daemon ended: %v", err)
	case <-time.After(patience):
		t.Fatal("the daemon isn't ready")
	}
	events, states = make(chan message, 100), make(chan string, 10)
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(strings.Replace(broker, "mqtt:", "tcp:", 1)).SetClientID("judge").
		SetAutoReconnect(false).SetOrderMatters(true))
	await(t, client.Connect())
	await(t, client.Subscribe("sightd/test/inbox/event", 1, func(_ mqtt.Client, m mqtt.Message) {
		var e message
		if err := json.Unmarshal(m.Payload(), &e); err != nil {
			t.Errorf("event %s: %v", m.Payload(), err)
		}
		events <- e
	}))
	await(t, client.Subscribe(publish.StateTopic("sightd/test"), 1, func(_ mqtt.Client, m mqtt.Message) { states <- string(m.Payload()) }))
	return events, states, func() error {
		defer client.Disconnect(0)
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return errors.New("the daemon doesn't end")
		}
	}
}

func await(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("MQTT: %v", token.Error())
	}
}

func next(t *testing.T, events chan message) message {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatal("no event comes")
		return message{}
	}
}

func TestRun(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	c := testConfig(t)
	inbox := c.Sources[0].Path
	events, states, stop := start(t, c, Options{Version: "test"})
	if got := <-states; got != publish.Online {
		t.Errorf("bridge/state: got %q, want %q", got, publish.Online)
	}
	for i, name := range []string{"golf_ball", "parachute"} {
		data, err := SamplePNG(name)
		if err != nil {
			t.Fatal(err)
		}
		file := name + ".png"
		if err := os.WriteFile(filepath.Join(inbox, file), data, 0o666); err != nil {
			t.Fatal(err)
		}
		e := next(t, events)
		want := strings.ReplaceAll(name, "_", " ")
		if e.EventType != "classified" || e.Label == nil || *e.Label != want || e.File != file || e.Seq != i+1 || len(e.ID) != 26 {
			t.Errorf("got event %+v, want %s of %s", e, want, file)
		}
		waitFor(t, filepath.Join(inbox, "done", file))
	}
	if err := os.WriteFile(filepath.Join(inbox, "bad.jpg"), []byte("no picture"), 0o666); err != nil {
		t.Fatal(err)
	}
	if e := next(t, events); e.EventType != "error" || e.Error == nil || e.Label != nil || e.File != "bad.jpg" {
		t.Errorf("got event %+v, want an error of bad.jpg", e)
	}
	waitFor(t, filepath.Join(inbox, "failed", "bad.jpg.txt"))
	reason, err := os.ReadFile(filepath.Join(inbox, "failed", "bad.jpg.txt"))
	if err != nil || !strings.Contains(string(reason), "no JPEG, PNG or WebP") {
		t.Errorf("reason: got %q, %v", reason, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	settle(t, goroutines)
}

// waitFor waits until a file is there: a picture is moved after its event was acknowledged, which its subscriber doesn't see.
func waitFor(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s doesn't come", path)
		}
	}
}

// settle waits until no more goroutines run than before: some of paho's outlive its client for a moment.
func settle(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("goroutines: %d before, %d after\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
	}
}

func TestRunSample(t *testing.T) {
	c := testConfig(t)
	_, _, stop := start(t, c, Options{Sample: true})
	for _, name := range []string{"golf_ball.png", "parachute.png"} {
		waitFor(t, filepath.Join(c.Sources[0].Path, "done", name))
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestRunWithoutBroker stops while the broker is away: nothing is published, so the picture stays.
func TestRunWithoutBroker(t *testing.T) {
	c := testConfig(t)
	c.MQTT.Broker = "mqtt://127.0.0.1:1" // nobody listens there
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, c, Options{Log: slog.New(slog.DiscardHandler), Sample: true, Ready: func(string) { cancel() }})
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the daemon doesn't end")
	}
	for _, name := range []string{"golf_ball.png", "parachute.png"} {
		if _, err := os.Stat(filepath.Join(c.Sources[0].Path, name)); err != nil {
			t.Errorf("%s: want it to stay, have %v", name, err)
		}
	}
}

func TestRunErrors(t *testing.T) {
	taken, err := publish.Listen("127.0.0.1:0", publish.ListenOptions{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() // the test's own broker
	for _, test := range []struct {
		name   string
		change func(c *Config)
		want   string
	}{
		{"model", func(c *Config) { c.Model.Path = "/none.tflite" }, "/none.tflite"},
		{"port", func(c *Config) { c.MQTT.Listen = taken.Addr().String() }, "mqtt.listen"},
		{"password", func(c *Config) { c.MQTT.User, c.MQTT.PasswordFile = "u", "/none" }, "mqtt.password_file"},
		{"folder", func(c *Config) { c.Sources[0].Path = "/proc/none/inbox" }, "/proc/none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			goroutines := runtime.NumGoroutine()
			c := testConfig(t)
			test.change(&c)
			err := Run(context.Background(), c, Options{Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %v, want one line with %q", err, test.want)
			}
			settle(t, goroutines)
		})
	}
}

// TestWatchCommand keeps the hint that the daemon prints true.
func TestWatchCommand(t *testing.T) {
	for broker, want := range map[string]string{
		"mqtt://127.0.0.1:1883": "mosquitto_sub -h 127.0.0.1 -p 1883 -t 'sightd/x/#' -v",
		"mqtt://example":        "mosquitto_sub -h example -t 'sightd/x/#' -v",
	} {
		if got := watchCommand(broker, "sightd/x"); got != want {
			t.Errorf("%s: got %s, want %s", broker, got, want)
		}
	}
}

func TestReadLabels(t *testing.T) {
	file := filepath.Join(t.TempDir(), "labels.txt")
	for _, test := range []struct{ text, want string }{
		{"a\nb\n", `["a" "b"]`},
		{"\ufeffa\r\nb", `["a" "b"]`},
		{"a\n\nb\n", `["a" "" "b"]`},
		{"", "is empty"},
		{"\n", "is empty"},
	} {
		if err := os.WriteFile(file, []byte(test.text), 0o666); err != nil {
			t.Fatal(err)
		}
		labels, err := ReadLabels(file)
		got := fmt.Sprintf("%q", labels)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%q: got %s, want %s", test.text, got, test.want)
		}
	}
	if _, err := ReadLabels(t.TempDir()); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a folder: got %v, want %v", err, syscall.EISDIR)
	}
}
