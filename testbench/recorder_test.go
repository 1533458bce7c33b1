package testbench

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// base is what the topics of a board begin with.
const base = "sightd/bench/"

// told is an event with all that is asked of repeats and of files.
type told struct {
	event
	Time     string `json:"ts"`
	Replayed bool   `json:"replayed"`

	payload string
	again   bool // the broker says that it has sent it before (DUP)
}

// recorder is a client that keeps every message below sightd/, in order. It can publish, too.
type recorder struct {
	watched
	client   paho.Client
	payloads map[string][]string // by topic, without base
	events   []told
	files    map[string]int // number of events
	bad      []string       // payloads that are no events
	requests int            // and marks, so that each has a number
}

// record connects a recorder. Its session survives the broker's absence.
func record(t testing.TB, url string) *recorder {
	t.Helper()
	r := &recorder{payloads: map[string][]string{}, files: map[string]int{}}
	r.client = paho.NewClient(paho.NewClientOptions().AddBroker(url).SetClientID("testbench-recorder").
		SetCleanSession(false).SetResumeSubs(true).SetMaxReconnectInterval(time.Second).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { r.receive(m) }))
	settle(t, r.client.Connect())
	t.Cleanup(func() {
		r.leave()
		for _, payload := range r.bad {
			t.Errorf("bad event: %s", payload)
		}
	})
	settle(t, r.client.Subscribe("sightd/#", 1, nil))
	return r
}

func (r *recorder) receive(m paho.Message) {
	topic, payload := strings.TrimPrefix(m.Topic(), base), string(m.Payload())
	r.change(func() {
		r.payloads[topic] = append(r.payloads[topic], payload)
		if !strings.HasSuffix(topic, "/event") {
			return
		}
		e := told{payload: payload, again: m.Duplicate()}
		if err := json.Unmarshal(m.Payload(), &e); err != nil || m.Retained() {
			r.bad = append(r.bad, fmt.Sprintf("%s (retained: %v)", payload, m.Retained()))
		}
		r.events = append(r.events, e)
		r.files[e.File]++
	})
}

// leave disconnects. What was recorded stays.
func (r *recorder) leave() { r.client.Disconnect(250) }

// send publishes to a topic below base.
func (r *recorder) send(t testing.TB, topic, payload string) {
	t.Helper()
	settle(t, r.client.Publish(base+topic, 1, false, payload))
}

// mark publishes a message and waits for it: what the broker got before has come by then.
func (r *recorder) mark(t testing.TB) {
	t.Helper()
	r.requests++
	payload := fmt.Sprint("mark ", r.requests)
	r.send(t, "mark", payload)
	r.says(t, "mark", payload)
}

// says waits until a payload of a topic below base has all of parts, and returns the first one that has.
func (r *recorder) says(t testing.TB, topic string, parts ...string) (found string) {
	t.Helper()
	r.until(t, func() bool {
		found = r.find(topic, parts...)
		return found != ""
	}, func() string { return fmt.Sprintf("want %s to say %q, have %q", topic, parts, r.payloads[topic]) })
	return found
}

// find is says without waiting, "" where there is none. The caller holds mu.
func (r *recorder) find(topic string, parts ...string) string {
	for _, payload := range r.payloads[topic] {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(payload, part)
		}
		if all {
			return payload
		}
	}
	return ""
}

// event waits for the first event that is wanted.
func (r *recorder) event(t testing.TB, what string, wanted func(told) bool) (found told) {
	t.Helper()
	r.until(t, func() bool {
		for _, e := range r.events {
			if wanted(e) {
				found = e
				return true
			}
		}
		return false
	}, func() string { return fmt.Sprintf("want an event of %s, have %d others", what, len(r.events)) })
	return found
}

// of waits for the first event of a file.
func (r *recorder) of(t testing.TB, file string) told {
	t.Helper()
	return r.event(t, file, func(e told) bool { return e.File == file })
}

// all are the events so far.
func (r *recorder) all() []told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[:len(r.events):len(r.events)]
}

// once checks that there was one event of each of the files, and none of others.
func (r *recorder) once(t testing.TB, files ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, file := range files {
		if r.files[file] != 1 {
			t.Errorf("want one event of %q, have %d", file, r.files[file])
		}
	}
	if len(r.files) != len(files) {
		t.Errorf("want events of %d files, have %v", len(files), r.files)
	}
}

// health is what is asked of the bridge's health.
type health struct {
	Status string
	Outbox struct {
		Pending int
		Oldest  *string
	}
	Sources []struct {
		Name                                          string
		Seen, Done, Refused, Ignored, Pending, Errors int
		Removed                                       int
		Problem                                       *string
	}
}

// health asks the daemon how it fares, again after a second: what is asked before it listens to requests is lost.
func (r *recorder) health(t testing.TB) health {
	t.Helper()
	r.requests++
	transaction := fmt.Sprintf(`"transaction":"testbench-%d"`, r.requests)
	var asked time.Time
	var text string
	eventually(t, func() bool {
		if time.Since(asked) > time.Second {
			asked = time.Now()
			r.send(t, "bridge/request/health_check", "{"+transaction+"}")
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		text = r.find("bridge/response/health_check", transaction)
		return text != ""
	}, func() string { return "want an answer to a health_check" })
	var response struct{ Data struct{ Health health } }
	if err := json.Unmarshal([]byte(text), &response); err != nil || len(response.Data.Health.Sources) == 0 {
		t.Fatalf("health_check answered %s: %v", text, err)
	}
	return response.Data.Health
}
