package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"sightd/models"
	"sightd/publish"
)

// judgement is what a test looks at of an event.
type judgement struct {
	EventType string  `json:"event_type"`
	Label     *string `json:"label"`
	Error     *string `json:"error"`
	File      string  `json:"file"`
	Model     string  `json:"model"`
	SHA256    string  `json:"model_sha"`
}

func (e judgement) String() string {
	label, problem := "-", "-"
	if e.Label != nil {
		label = *e.Label
	}
	if e.Error != nil {
		problem = *e.Error
	}
	return fmt.Sprintf("%s of %s, %s, by %s (%s)", e.EventType, label, problem, e.Model, e.SHA256)
}

// listen has a client of its own take each message of a topic, in order.
func (r *running) listen(t *testing.T, topic string, take func(payload []byte)) {
	t.Helper()
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(strings.Replace(r.url, "mqtt:", "tcp:", 1)).
		SetClientID(fmt.Sprint("listener-", strings.ReplaceAll(topic, "/", "-"))).SetAutoReconnect(false).SetOrderMatters(true))
	await(t, client.Connect())
	t.Cleanup(func() { client.Disconnect(0) })
	await(t, client.Subscribe(topic, 1, func(_ mqtt.Client, m mqtt.Message) { take(m.Payload()) }))
}

// judgements are the events of a source from now on. There must be fewer than a thousand.
func (r *running) judgements(t *testing.T, source string) <-chan judgement {
	t.Helper()
	events := make(chan judgement, 1000)
	r.listen(t, publish.EventTopic(testBase, source), func(payload []byte) {
		var e judgement
		if err := json.Unmarshal(payload, &e); err != nil {
			t.Errorf("event %s: %v", payload, err)
		}
		events <- e
	})
	return events
}

func nextOf(t *testing.T, events <-chan judgement) judgement {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatal("no event comes")
		return judgement{}
	}
}

// reload has the model read again, waits for the answer, and wants parts in it.
func (r *running) reload(t *testing.T, transaction string, parts ...string) string {
	t.Helper()
	r.hears(t)
	r.send(t, publish.RequestTopic(testBase, publish.Reload), fmt.Sprintf(`{"transaction":%q}`, transaction))
	answer := r.until(t, publish.ResponseTopic(testBase, publish.Reload), fmt.Sprintf(`"transaction":%q`, transaction))
	for _, part := range parts {
		if !strings.Contains(answer, part) {
			t.Errorf("reload %s: want %s in the answer, have %s", transaction, part, answer)
		}
	}
	return answer
}

// defaultSum is the embedded model's.
func defaultSum(t testing.TB) string {
	t.Helper()
	_, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	return card.File.SHA256
}

// TestReload has the model replaced by request and by Options.Reload. A bad one leaves the old one running.
func TestReload(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	c := testConfig(t)
	c.MQTT.Discovery = "homeassistant"
	inbox := c.Sources[0].Path
	reload := make(chan struct{})
	r := runReloading(t, c, reload)
	events := r.judgements(t, "inbox")
	info := publish.InfoTopic(testBase)
	r.until(t, info, defaultSum(t))
	pictures := 0
	judged := func(sum, label string) {
		t.Helper()
		pictures++
		file := fmt.Sprint(pictures, ".png")
		drop(t, inbox, "golf_ball", file)
		if e := nextOf(t, events); e.File != file || e.Label == nil || *e.Label != label || e.SHA256 != sum {
			t.Errorf("want %s to be a %s by %s, have %v", file, label, sum, e)
		}
	}
	judged(defaultSum(t), "golf ball")
	r.reload(t, "same", `"status":"ok"`, `"changed":false`, defaultSum(t), `"proven":4`)

	first, firstSum := newModel(t, "first", "")
	use(t, c, first)
	judged(defaultSum(t), "golf ball") // nobody has told it yet
	r.reload(t, "first", `"status":"ok"`, `"model":"first"`, `"sha256":"`+firstSum+`"`, `"previous_sha256":"`+defaultSum(t)+`"`,
		`"changed":true`, `"delegate":"xnnpack"`, `"proven":4`)
	r.until(t, info, `"name":"first"`, firstSum)
	judged(firstSum, "golf ball")

	second, secondSum := newModel(t, "second", "other ")
	use(t, c, second)
	reload <- struct{}{}
	r.until(t, info, `"name":"second"`, secondSum, "other golf ball")
	kept := make(chan string, 10)
	r.listen(t, info, func(payload []byte) { kept <- string(payload) })
	select { // who comes later knows too
	case text := <-kept:
		if !strings.Contains(text, secondSum) {
			t.Errorf("retained: want the second model, have %s", text)
		}
	case <-time.After(patience):
		t.Error("bridge/info isn't retained")
	}
	judged(secondSum, "other golf ball")
	r.until(t, publish.HealthTopic(testBase), `"name":"delegate","status":"ok"`)

	o, err := c.Engine()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"garbage": "garbage", "gone": ""} {
		err := os.Remove(o.Model)
		if err == nil && text != "" {
			err = os.WriteFile(o.Model, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		r.reload(t, name, `"status":"error"`, filepath.Base(o.Model))
		judged(secondSum, "other golf ball")
		if err := os.WriteFile(o.Model, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(installedFile(c.StateDir), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.reload(t, "no json", `"status":"error"`, "model.json")
	judged(secondSum, "other golf ball")
	use(t, c, "")
	r.reload(t, "configured", `"status":"ok"`, defaultSum(t))
	judged(defaultSum(t), "golf ball")
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	settle(t, goroutines)
}

// TestStartWithBadModel starts with an installed model that can't be had: the configured one is run, and health says so until it can.
func TestStartWithBadModel(t *testing.T) {
	for name, spoil := range map[string]func(c Config, file string) error{
		"gone":    func(_ Config, file string) error { return os.Remove(file) },
		"another": func(_ Config, file string) error { return os.WriteFile(file, []byte("another"), 0o600) },
		"no json": func(c Config, _ string) error { return os.WriteFile(installedFile(c.StateDir), []byte("{"), 0o600) },
		"a bad card": func(_ Config, file string) error {
			return os.WriteFile(strings.TrimSuffix(file, ".tflite")+".json", []byte("{}"), 0o600)
		},
		"an odd file": func(c Config, _ string) error {
			return os.WriteFile(installedFile(c.StateDir), []byte(`{"file":"/etc/passwd","sha256":"x"}`), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t)
			good, sum := newModel(t, "good", "")
			use(t, c, good)
			o, err := c.Engine()
			if err == nil {
				err = spoil(c, o.Model)
			}
			if err != nil {
				t.Fatal(err)
			}
			r := runWith(t, c)
			r.until(t, publish.InfoTopic(testBase), defaultSum(t), "the installed model can't be used")
			r.until(t, publish.HealthTopic(testBase), `"name":"delegate","status":"warn"`, "the installed model can't be used")
			use(t, c, good)
			r.reload(t, "good", `"status":"ok"`, sum)
			r.send(t, publish.RequestTopic(testBase, publish.HealthCheck), `{"transaction":"h"}`)
			r.until(t, publish.ResponseTopic(testBase, publish.HealthCheck), `"transaction":"h"`, `"name":"delegate","status":"ok"`)
		})
	}
}

// TestStartWithUnfitLabels starts with an installed model whose labels the rules don't fit any more.
func TestStartWithUnfitLabels(t *testing.T) {
	c := liveConfig(t, recording(t, 5, "golf_ball"))
	other, sum := newModel(t, "other", "other ")
	use(t, c, other)
	c.Decide.Labels = map[string]LabelConfig{"golf ball": {}}
	r := runWith(t, c)
	r.until(t, publish.InfoTopic(testBase), defaultSum(t), "golf ball")
	r.reload(t, "again", `"status":"error"`, `decide.labels[\"golf ball\"]`)
	r.until(t, publish.InfoTopic(testBase), defaultSum(t))
	if wants(t, c) != sum {
		t.Error("want the choice kept: it is up to the user")
	}
}

// TestManyReloads asks for more readings than wait: each request is answered.
func TestManyReloads(t *testing.T) {
	const asked = 12
	reload := make(chan struct{}, 1)
	r := runReloading(t, testConfig(t), reload)
	r.hears(t)
	answers := make(chan string, asked)
	r.listen(t, publish.ResponseTopic(testBase, publish.Reload), func(payload []byte) { answers <- string(payload) })
	for i := range asked {
		r.client.Publish(publish.RequestTopic(testBase, publish.Reload), 1, false, fmt.Sprintf(`{"transaction":%d}`, i))
		select {
		case reload <- struct{}{}:
		default:
		}
	}
	done := 0
	for range asked {
		select {
		case answer := <-answers:
			if strings.Contains(answer, `"status":"ok"`) {
				done++
			} else if !strings.Contains(answer, "4 readings of the model are waited for already") {
				t.Errorf("want it done, or that others wait, have %s", answer)
			}
		case <-time.After(patience):
			t.Fatal("a request isn't answered")
		}
	}
	if done < 4 {
		t.Errorf("want at least those done that wait, have %d", done)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// TestReloadStops stops while the model is read, and while readings are waited for.
func TestReloadStops(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	reload := make(chan struct{}, 1)
	r := runReloading(t, testConfig(t), reload)
	r.hears(t)
	reload <- struct{}{}
	for i := range 5 {
		await(t, r.client.Publish(publish.RequestTopic(testBase, publish.Reload), 1, false, fmt.Sprintf(`{"transaction":%d}`, i)))
	}
	begun := time.Now()
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("the stop took %v", time.Since(begun))
	settle(t, goroutines)
}

// TestReloadTooLate answers requests that come while sightd stops, until no more can come.
func TestReloadTooLate(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	d := &Daemon{asks: make(chan func(publish.ReloadResult, error), 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.reloading(ctx, func(error) {})
	}()
	for range 3 {
		answers := make(chan error, 1)
		d.asks <- func(_ publish.ReloadResult, err error) { answers <- err }
		select {
		case err := <-answers:
			if !errors.Is(err, errStopping) {
				t.Errorf("want %v, have %v", errStopping, err)
			}
		case <-time.After(patience):
			t.Fatal("a request isn't answered")
		}
	}
	close(d.asks)
	<-ended
}
