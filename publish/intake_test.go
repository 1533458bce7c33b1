package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"sightd/decide"
)

const testFleet = "street"

// jpeg is enough of a picture to be asked about: no test here decodes it.
var jpeg = []byte("\xff\xd8\xff\xe0 picture")

// taking are options for a Client that takes n requests at a time.
func taking(broker string, n int, log *slog.Logger) Options {
	opts := quick(broker, log)
	opts.Intake = Intake{Held: n, Bytes: 1 << 20, Fleet: testFleet}
	return opts
}

// asker is who sends requests.
func asker(t *testing.T, broker string) func(topic string, payload []byte, retained bool) {
	t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker(broker).SetClientID("asker-" + Name(t.Name())).SetAutoReconnect(false))
	settle(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(uint(patience.Milliseconds())) })
	return func(topic string, payload []byte, retained bool) {
		t.Helper()
		settle(t, c.Publish(topic, 1, retained, payload))
	}
}

// listening waits until c takes requests.
func listening(t *testing.T, c *Client) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		c.intake.mu.Lock()
		link := c.intake.link
		c.intake.mu.Unlock()
		if link != nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("requests aren't taken")
		}
	}
}

func request(t *testing.T, c *Client) *IncomingRequest {
	t.Helper()
	r, err := c.NextRequest(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// response is what the tests look at of a response.
type response struct {
	Status      string          `json:"status"`
	Error       string          `json:"error"`
	Transaction json.RawMessage `json:"transaction"`
	Data        struct {
		Label   string `json:"label"`
		Healthy bool   `json:"healthy"`
	} `json:"data"`
}

func answerAt(t *testing.T, in <-chan paho.Message, topic string) response {
	t.Helper()
	var r response
	m := next(t, in, topic)
	if err := json.Unmarshal(m.Payload(), &r); err != nil || m.Retained() {
		t.Fatalf("response %s, retained %v: %v", m.Payload(), m.Retained(), err)
	}
	return r
}

func TestRequests(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	broker := mqttURL(b.Addr())
	j, log := newJournal()
	responses, results := subscribe(t, broker, testBase+"/bridge/response/#"), subscribe(t, broker, "sightd/fleet/street/result/+")
	ask := asker(t, broker)
	before := subscribe(t, broker, RequestTopic(testBase, HealthCheck))
	ask(RequestTopic(testBase, HealthCheck), []byte(`{"transaction":"old"}`), true) // not for those who come later
	next(t, before, RequestTopic(testBase, HealthCheck))
	c := start(t, taking(broker, 4, log))
	j.wait(t, 1, "request ignored", "retained=true")
	ctx := deadline(t)

	ask(RequestTopic(testBase, HealthCheck), []byte(`{"transaction":7}`), false)
	r := request(t, c)
	if r.Command != HealthCheck || r.Err != nil {
		t.Fatalf("want a health_check, have %+v", r)
	}
	if err := r.AnswerHealth(ctx, Health{Status: StatusOK}); err != nil {
		t.Fatal(err)
	}
	if a := answerAt(t, responses, ResponseTopic(testBase, HealthCheck)); a.Status != "ok" || string(a.Transaction) != "7" || !a.Data.Healthy {
		t.Errorf("health_check: have %+v", a)
	}

	event := decide.Event{Kind: decide.Classified, ID: "id", Time: when, Source: "request", Top: []decide.Score{{Label: "tench", Score: 0.9}}}
	for _, q := range []struct {
		topic, response string
		payload         []byte
		transaction     string
	}{
		{RequestImageTopic(testBase, "one"), ResponseTopic(testBase, Classify), jpeg, `"one"`},
		{RequestTopic(testBase, Classify), ResponseTopic(testBase, Classify), []byte(`{"image":"/9j/4A==","transaction":"two"}`), `"two"`},
		{FleetRequestTopic(testFleet, "three"), FleetResultTopic(testFleet, "three"), jpeg, `"three"`},
		{FleetRequestTopic(testFleet, "four"), FleetResultTopic(testFleet, "four"), []byte(`{"image":"/9j/4A=="}`), `"four"`},
	} {
		in := responses
		if strings.HasPrefix(q.response, "sightd/fleet/") {
			in = results
		}
		ask(q.topic, q.payload, false)
		r := request(t, c)
		if r.Command != Classify || r.Err != nil || len(r.Image) < 4 {
			t.Fatalf("%s: want a picture, have %+v", q.topic, r)
		}
		if err := r.AnswerEvent(ctx, event); err != nil {
			t.Fatal(err)
		}
		if a := answerAt(t, in, q.response); a.Status != "ok" || string(a.Transaction) != q.transaction || a.Data.Label != "tench" {
			t.Errorf("%s: have %+v", q.topic, a)
		}
	}
}

func TestBadRequestIsAnswered(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	broker := mqttURL(b.Addr())
	in, ask := subscribe(t, broker, testBase+"/bridge/response/#"), asker(t, broker)
	c := start(t, taking(broker, 4, nil))
	listening(t, c)
	ask(RequestTopic(testBase, Classify), []byte(`{"transaction":"t","image":"!"}`), false)
	r := request(t, c)
	if r.Err == nil {
		t.Fatal("want an error of the image, have none")
	}
	if err := r.AnswerError(deadline(t), r.Err); err != nil {
		t.Fatal(err)
	}
	if a := answerAt(t, in, ResponseTopic(testBase, Classify)); a.Status != "error" || !strings.Contains(a.Error, "base64") || string(a.Transaction) != `"t"` {
		t.Errorf("have %+v", a)
	}
}

// What comes after its time is answered with an error, without anybody's work.
func TestLateRequest(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	broker := mqttURL(b.Addr())
	in, ask := subscribe(t, broker, testBase+"/bridge/response/#"), asker(t, broker)
	c := start(t, taking(broker, 4, nil))
	listening(t, c)
	past := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	ask(RequestTopic(testBase, Classify), []byte(`{"transaction":1,"image":"/9j/4A==","expires":"`+past+`"}`), false)
	ask(RequestTopic(testBase, HealthCheck), []byte(`{"transaction":2}`), false)
	r := request(t, c)
	defer r.Release()
	if r.Command != HealthCheck {
		t.Errorf("want the request that isn't late, have %+v", r)
	}
	if a := answerAt(t, in, ResponseTopic(testBase, Classify)); a.Status != "error" || !strings.HasPrefix(a.Error, ErrLate.Error()) {
		t.Errorf("have %+v", a)
	}
	r.Received = r.Received.Add(-requestPatience - time.Second)
	if err := r.tooLate(time.Now()); !errors.Is(err, ErrLate) {
		t.Errorf("after %v in the queue: want %v, have %v", requestPatience, ErrLate, err)
	}
}

// A daemon that is busy takes no more than its limit, whatever the broker would send, and loses nothing.
func TestRequestsAreBounded(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll)) // which has thousands on the way to a client
	broker := mqttURL(b.Addr())
	in, ask := subscribe(t, broker, "sightd/fleet/street/result/+"), asker(t, broker)
	const limit, requests = 3, 40
	c := start(t, taking(broker, limit, nil))
	listening(t, c)
	for i := range requests {
		ask(FleetRequestTopic(testFleet, fmt.Sprint(i)), jpeg, false)
	}
	seen := map[string]bool{}
	for range requests {
		r := request(t, c)
		if held := c.Stats().Requests.Held; held > limit {
			t.Fatalf("want at most %d held, have %d", limit, held)
		}
		if err := r.AnswerError(deadline(t), errors.New(string(r.Transaction))); err != nil {
			t.Fatal(err)
		}
	}
	for range requests {
		select {
		case m := <-in:
			seen[m.Topic()] = true
		case <-deadline(t).Done():
			t.Fatalf("want %d answers, have %d", requests, len(seen))
		}
	}
	if stats := c.Stats().Requests; len(seen) != requests || stats.HeldMax != limit {
		t.Errorf("want %d answers and %d held at most, have %d and %d", requests, limit, len(seen), stats.HeldMax)
	}
}

// One large picture alone may be over the limit of bytes; beside others it waits.
func TestRequestsAreBoundedInBytes(t *testing.T) {
	in := newIntake(Intake{Held: 4, Bytes: 100})
	up := &link{line: &line{down: make(chan struct{})}}
	if !in.acquire(packetOf{up, 1}, 1000) {
		t.Fatal("want a single request of any size to be taken")
	}
	got := make(chan bool)
	go func() { got <- in.acquire(packetOf{up, 2}, 1) }()
	in.release(packetOf{up, 1}, 1000)
	if !<-got {
		t.Fatal("want the next one to be taken when there is room")
	}
	go func() { got <- in.acquire(packetOf{up, 3}, 100) }()
	close(up.down)
	if <-got {
		t.Error("want none to be taken when the connection is gone")
	}
}

// What was not answered when the connection broke comes again, and is answered once.
func TestRequestComesAgain(t *testing.T) {
	noLeak(t)
	m := newMosquitto(t)
	results, ask := subscribe(t, m.inside(), "sightd/fleet/street/result/+"), asker(t, m.inside())
	opts := taking(m.url(), 4, nil)
	opts.User, opts.Password = "cam", "right"
	c := start(t, opts)
	listening(t, c)
	ask(FleetRequestTopic(testFleet, "again"), jpeg, false)
	first := request(t, c)
	first.link.raw.Close()
	<-first.link.down
	if err := first.AnswerError(deadline(t), errors.New("first")); !errors.Is(err, errAbandoned) {
		t.Fatalf("want %v, have %v", errAbandoned, err)
	}
	second := request(t, c)
	if !second.message.Duplicate() {
		t.Error("want the second with DUP, have it without")
	}
	if err := second.AnswerError(deadline(t), errors.New("second")); err != nil {
		t.Fatal(err)
	}
	if a := answerAt(t, results, FleetResultTopic(testFleet, "again")); a.Error != "second" {
		t.Errorf("have %+v", a)
	}
	// Another request is the next thing that comes: the first one was acknowledged.
	ask(FleetRequestTopic(testFleet, "other"), jpeg, false)
	other := request(t, c)
	defer other.Release()
	if string(other.Transaction) != `"other"` || other.message.Duplicate() {
		t.Errorf("want the other request, have %+v", other.Request)
	}
}

// Who has left gets what was set aside for it, and nothing more.
func TestLeave(t *testing.T) {
	noLeak(t)
	m := newMosquitto(t)
	ask := asker(t, m.inside())
	opts := taking(m.url(), 4, nil)
	opts.User, opts.Password = "cam", "right"
	c := start(t, opts)
	listening(t, c)
	ask(FleetRequestTopic(testFleet, "before"), jpeg, false)
	r := request(t, c)
	c.Leave(deadline(t))
	ask(FleetRequestTopic(testFleet, "after"), jpeg, false)
	if err := r.AnswerError(deadline(t), errors.New("answered")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if r, err := c.NextRequest(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("want nothing more, have %+v, %v", r, err)
	}
}
