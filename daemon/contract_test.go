package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sightd/publish"
)

const testBase = "sightd/test"

// witness is a client of the daemon's broker that keeps the last message of each topic, and holds all against their schemas.
type witness struct {
	client  mqtt.Client
	schemas map[string]*jsonschema.Schema

	mu   sync.Mutex
	last map[string]string // topic -> payload
	all  []string          // topics, in order
	more chan struct{}
}

// running is a daemon under test.
type running struct {
	*witness
	url  string // of its broker
	stop func() error
}

// runWith runs the daemon with a witness.
func runWith(t *testing.T, c Config) *running { return runReloading(t, c, nil) }

// runReloading runs the daemon with a witness and Options.Reload.
func runReloading(t *testing.T, c Config, reload <-chan struct{}) *running {
	t.Helper()
	return runOptions(t, c, Options{Reload: reload})
}

// runOptions runs the daemon with a witness, and with those of the options that are given.
func runOptions(t *testing.T, c Config, o Options) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	o.Version, o.Log, o.Ready = "test", slog.New(slog.DiscardHandler), func(url string) { ready <- url }
	go func() { ended <- Run(ctx, c, o) }()
	var url string
	select {
	case url = <-ready:
	case err := <-ended:
		t.Fatalf("the daemon ended: %v", err)
	case <-time.After(patience):
		t.Fatal("the daemon isn't ready")
	}
	r := &running{witness: watch(t, url), url: url}
	stop := sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			r.client.Disconnect(0)
			return err
		case <-time.After(patience):
			return errors.New("the daemon doesn't end")
		}
	})
	r.stop = stop
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func watch(t *testing.T, url string) *witness {
	t.Helper()
	w := &witness{schemas: schemas(t), last: map[string]string{}, more: make(chan struct{})}
	w.client = mqtt.NewClient(mqtt.NewClientOptions().AddBroker(strings.Replace(url, "mqtt:", "tcp:", 1)).SetClientID("witness").
		SetAutoReconnect(false).SetOrderMatters(true))
	await(t, w.client.Connect())
	await(t, w.client.Subscribe("#", 1, func(_ mqtt.Client, m mqtt.Message) { w.take(t, m) }))
	return w
}

// schemas are those of the payloads, by name.
func schemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	ids := map[string]string{}
	for name, text := range publish.Schemas() {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = doc.(map[string]any)["$id"].(string)
		if err := c.AddResource(ids[name], doc); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]*jsonschema.Schema{}
	for name, id := range ids {
		all[name] = c.MustCompile(id)
	}
	return all
}

// schemaOf names the schema of a topic, "" for plain text and for what others publish.
func schemaOf(topic string) string {
	level := strings.Split(topic, "/")
	last := level[len(level)-1]
	switch {
	case topic == publish.StateTopic(testBase) || last == "availability":
		return ""
	case strings.HasPrefix(topic, testBase+"/bridge/response/"):
		return "response"
	case strings.HasPrefix(topic, testBase+"/"):
		return map[string]string{"info": "info", "health": "health", "state": "state", "event": "event"}[last]
	}
	return ""
}

func (w *witness) take(t *testing.T, m mqtt.Message) {
	if name := schemaOf(m.Topic()); name != "" {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Payload()))
		if err == nil {
			err = w.schemas[name].Validate(value)
		}
		if err != nil {
			t.Errorf("%s: %s: %v", m.Topic(), m.Payload(), err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last[m.Topic()] = string(m.Payload())
	w.all = append(w.all, m.Topic())
	close(w.more)
	w.more = make(chan struct{})
}

// until waits until the last message of a topic has all of parts, and returns it.
func (w *witness) until(t *testing.T, topic string, parts ...string) string {
	t.Helper()
	late := time.After(patience)
	for {
		w.mu.Lock()
		payload, known := w.last[topic]
		more := w.more
		w.mu.Unlock()
		for _, part := range parts {
			known = known && strings.Contains(payload, part)
		}
		if known {
			return payload
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("%s: want %q in it, have %s", topic, parts, payload)
		}
	}
}

func (w *witness) send(t *testing.T, topic, payload string) {
	t.Helper()
	await(t, w.client.Publish(topic, 1, false, payload))
}

// drop puts a drawn picture into a folder, whole at once.
func drop(t *testing.T, folder, name, file string) {
	t.Helper()
	err := os.WriteFile(filepath.Join(folder, "."+file), samplePNG(t, name), 0o666)
	if err == nil {
		err = os.Rename(filepath.Join(folder, "."+file), filepath.Join(folder, file))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestContract sees every kind of message once: the witness holds each against its schema.
func TestContract(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	c := testConfig(t)
	c.Snapshots.MQTT = true
	inbox := c.Sources[0].Path
	r := runWith(t, c)
	r.until(t, publish.StateTopic(testBase), publish.Online)
	r.until(t, publish.InfoTopic(testBase), `"version":"test"`)
	r.until(t, publish.HealthTopic(testBase), `"status":"ok"`, "proven on 4 golden inputs")
	r.until(t, publish.AvailabilityTopic(testBase, "inbox"), publish.Online)
	state := publish.SourceStateTopic(testBase, "inbox")
	r.until(t, state, `"label":null`, `"enabled":true`)

	drop(t, inbox, "golf_ball", "a.png")
	r.until(t, publish.EventTopic(testBase, "inbox"), `"classified"`, `"file":"a.png"`)
	r.until(t, state, `"label":"golf ball"`, `"seq":1`)
	r.until(t, publish.ImageTopic(testBase, "inbox"), "\xff\xd8\xff")
	if err := os.WriteFile(filepath.Join(inbox, "bad.jpg"), []byte("no picture"), 0o666); err != nil {
		t.Fatal(err)
	}
	r.until(t, publish.EventTopic(testBase, "inbox"), `"error"`, `"file":"bad.jpg"`)
	r.until(t, state, `"label":"golf ball"`, `"seq":2`) // what is shown is the last picture

	picture, err := SamplePNG("parachute")
	if err != nil {
		t.Fatal(err)
	}
	r.send(t, publish.RequestImageTopic(testBase, "tx-1"), string(picture))
	r.until(t, publish.ResponseTopic(testBase, publish.Classify), `"transaction":"tx-1"`, `"label":"parachute"`, `"source":"request"`)
	asked, err := json.Marshal(map[string]any{"transaction": 2, "image": picture})
	if err != nil {
		t.Fatal(err)
	}
	r.send(t, publish.RequestTopic(testBase, publish.Classify), string(asked))
	r.until(t, publish.ResponseTopic(testBase, publish.Classify), `"transaction":2`, `"label":"parachute"`)
	r.send(t, publish.RequestImageTopic(testBase, "tx-3"), string(picture[:len(picture)/2]))
	r.until(t, publish.ResponseTopic(testBase, publish.Classify), `"transaction":"tx-3"`, `"status":"error"`)
	r.send(t, publish.RequestTopic(testBase, publish.HealthCheck), `{"transaction":4}`)
	r.until(t, publish.ResponseTopic(testBase, publish.HealthCheck), `"transaction":4`, `"healthy":true`)
	r.send(t, publish.RequestTopic(testBase, "frobnicate"), `{"transaction":5}`)
	r.until(t, publish.ResponseTopic(testBase, "frobnicate"), `"transaction":5`, `"status":"error"`, "health_check")

	if err := r.stop(); err != nil {
		t.Error(err)
	}
	settle(t, goroutines)
}

// TestSwitch switches a source off and on. What is dropped meanwhile waits, also over a restart.
func TestSwitch(t *testing.T) {
	c := testConfig(t)
	inbox := c.Sources[0].Path
	available, state := publish.AvailabilityTopic(testBase, "inbox"), publish.SourceStateTopic(testBase, "inbox")
	events := publish.EventTopic(testBase, "inbox")
	r := runWith(t, c)
	drop(t, inbox, "golf_ball", "first.png")
	r.until(t, state, `"label":"golf ball"`)
	r.send(t, publish.SetTopic(testBase, "inbox"), `{"enabled":false}`)
	r.until(t, available, publish.Disabled)
	r.until(t, state, `"enabled":false`, `"label":"golf ball"`)
	drop(t, inbox, "parachute", "second.png")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	r = runWith(t, c)
	r.until(t, available, publish.Disabled)
	r.until(t, state, `"enabled":false`, `"label":"golf ball"`) // as it was at the stop
	r.send(t, publish.SetTopic(testBase, "nobody"), "ON")
	r.send(t, publish.SetTopic(testBase, "inbox"), "ON")
	r.until(t, available, publish.Online)
	r.until(t, events, `"file":"second.png"`)
	r.until(t, state, `"enabled":true`, `"label":"parachute"`)
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, topic := range r.all {
		if topic == events {
			n++
		}
	}
	if n != 1 {
		t.Errorf("want one event after the restart, have %d", n)
	}
}

// TestDiscovery follows a source that comes and goes, and discovery that is switched off.
func TestDiscovery(t *testing.T) {
	c := testConfig(t)
	topic := func(source string) string {
		return publish.DiscoveryTopic(publish.DefaultDiscovery, publish.DiscoveryID("test", source))
	}
	bridge := publish.DiscoveryTopic(publish.DefaultDiscovery, publish.BridgeDiscoveryID("test"))
	porch := c.Sources[0]
	porch.Name, porch.Path = "porch", filepath.Join(t.TempDir(), "porch")
	both := c
	both.Sources = append([]SourceConfig{porch}, c.Sources...)
	for i, step := range []struct {
		config    Config
		announced []string
		withdrawn []string
	}{
		{both, []string{bridge, topic("inbox"), topic("porch")}, nil},
		{c, []string{bridge, topic("inbox")}, []string{topic("porch")}},
		{c, []string{bridge, topic("inbox")}, nil},
		{func() Config { off := c; off.MQTT.Discovery = ""; return off }(), nil, []string{bridge, topic("inbox")}},
		{func() Config { off := c; off.MQTT.Discovery = ""; return off }(), nil, nil},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			broker := newBroker(t)
			step.config.MQTT.Broker = broker
			for _, topic := range step.withdrawn { // as an earlier start has left it
				retain(t, broker, topic, "{}")
			}
			r := runWith(t, step.config)
			r.until(t, publish.HealthTopic(testBase))
			for _, topic := range step.announced {
				r.until(t, topic, `"origin"`)
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			if have := retained(t, broker, "homeassistant/#"); !slices.Equal(have, step.announced) {
				t.Errorf("want %q retained, have %q", step.announced, have)
			}
		})
	}
}

// retained are the topics below filter that the broker has retained, sorted.
func retained(t *testing.T, broker, filter string) []string {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(broker).SetClientID("reader"))
	await(t, c.Connect())
	defer c.Disconnect(0)
	const last = "last"
	messages := make(chan mqtt.Message, 100)
	// In one packet: the embedded broker refuses a SUBSCRIBE whose identifier one of its own messages has at that moment.
	await(t, c.SubscribeMultiple(map[string]byte{filter: 1, last: 1}, func(_ mqtt.Client, m mqtt.Message) { messages <- m }))
	await(t, c.Publish(last, 1, false, ".")) // comes behind what is retained
	var topics []string
	for m := range messages {
		if m.Topic() == last {
			slices.Sort(topics)
			return topics
		}
		topics = append(topics, m.Topic())
	}
	return nil
}

// newBroker is a broker of the test's own.
func newBroker(t *testing.T) string {
	t.Helper()
	b, err := publish.Listen("127.0.0.1:0", publish.ListenOptions{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return "mqtt://" + b.Addr().String()
}

func retain(t *testing.T, broker, topic, payload string) {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(broker).SetClientID("retainer"))
	await(t, c.Connect())
	defer c.Disconnect(0)
	await(t, c.Publish(topic, 1, true, payload))
}

// TestImagesAreWithdrawn follows a picture that was published, and isn't any more.
func TestImagesAreWithdrawn(t *testing.T) {
	c := testConfig(t)
	c.MQTT.Broker, c.Snapshots.MQTT = newBroker(t), true
	image := publish.ImageTopic(testBase, "inbox")
	r := runWith(t, c)
	drop(t, c.Sources[0].Path, "golf_ball", "a.png")
	r.until(t, image, "\xff\xd8\xff")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if have := retained(t, c.MQTT.Broker, image); len(have) != 1 {
		t.Fatalf("want the picture retained, have %q", have)
	}
	c.Snapshots.MQTT = false
	r = runWith(t, c)
	r.until(t, publish.HealthTopic(testBase))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if have := retained(t, c.MQTT.Broker, image); len(have) != 0 {
		t.Errorf("want no picture retained, have %q", have)
	}
}
