package publish

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"

	"sightd/decide"
)

// served is a Client that takes requests from broker, and answers each with answer until the test's end.
func served(t *testing.T, broker string, answer func(ctx context.Context, r *IncomingRequest) error) *Client {
	t.Helper()
	c := start(t, taking(broker, 4, nil))
	listening(t, c)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			r, err := c.NextRequest(ctx)
			if err != nil {
				return
			}
			if err := answer(ctx, r); err != nil {
				t.Errorf("answer a request of %s: %v", r.Command, err)
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return c
}

func TestAsk(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	broker := mqttURL(b.Addr())
	moment := when.UTC().Truncate(time.Millisecond)
	entry := record(moment)
	served(t, broker, func(ctx context.Context, r *IncomingRequest) error {
		switch {
		case r.Err != nil:
			return r.AnswerError(ctx, r.Err)
		case r.Command == Explain:
			if !r.At.Equal(moment) || r.Span != 30*time.Second {
				t.Errorf("have at %v and span %v", r.At, r.Span)
			}
			return r.AnswerExplain(ctx, []decide.Entry{entry}, "no picture for 5s")
		case r.Command == Snapshot:
			return r.AnswerSnapshot(ctx, moment, jpeg)
		}
		return r.AnswerError(ctx, errors.New("want a request of something else"))
	})
	for _, tt := range []struct{ command, payload, data, err string }{
		{command: Explain, payload: `{"source":"door","at":"2026-09-23T10:15:30.123Z","span_s":30}`,
			data: `{"source":"door","from":"2026-09-23T10:15:00.123Z","to":"2026-09-23T10:16:00.123Z","truncated":false,"problem":"no picture for 5s","entries":[` +
				string(mustJSON(t, newEntry(&entry))) + `]}`},
		{command: Explain, payload: `{"source":"door","at":"2026-09-23T10:15:30.123Z","span_s":30,"transaction":"mine"}`,
			data: `{"source":"door","from":"2026-09-23T10:15:00.123Z","to":"2026-09-23T10:16:00.123Z","truncated":false,"problem":"no picture for 5s","entries":[` +
				string(mustJSON(t, newEntry(&entry))) + `]}`},
		{command: Snapshot, payload: `{"source":"door"}`, data: `{"source":"door","ts":"2026-09-23T10:15:30.123Z","image":"` + b64(string(jpeg)) + `"}`},
		{command: Snapshot, payload: `{}`, err: "parse request: source: want the name of a source, have none"},
		{command: "later", err: "want a request of something else"},
	} {
		r, err := Ask(deadline(t), quick(broker, nil), tt.command, []byte(tt.payload))
		if err != nil {
			t.Fatalf("%s: %v", tt.command, err)
		}
		if string(r.Data) != tt.data || r.Error != tt.err || len(r.Transaction) != 18 || string(r.Transaction) == `"mine"` {
			t.Errorf("%s: want data %s, error %q, have %s", tt.command, tt.data, tt.err, mustJSON(t, r))
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each stage at which Ask can fail has an error of its own, which says what to look at.
func TestAskFails(t *testing.T) {
	noLeak(t)
	const request = `{"source":"door"}`
	whoever := func(t *testing.T) string { return mqttURL(open(t, listen(t), new(allowAll)).Addr()) }
	for name, tt := range map[string]struct {
		broker  func(t *testing.T) string
		change  func(*Options)
		payload string
		want    []string
	}{
		"payload": {payload: "[]", want: []string{"make a request of snapshot: want a JSON object", `have "[]"`}},
		"options": {change: func(o *Options) { o.Base = "a//b" }, want: []string{"check mqtt.base: want no empty level"}},
		"size":    {change: func(o *Options) { o.MaxPayload = 20 }, want: []string{"make a request of snapshot: want at most 20 bytes"}},
		"nobody listens": {
			broker: func(t *testing.T) string { return "mqtt://" + string(reserve(t)) },
			want:   []string{"connect to 127.0.0.1:", "connection refused: nothing listens there: is the broker running"},
		},
		"password": {
			broker: func(t *testing.T) string {
				w := newWitness()
				w.password = "right"
				return mqttURL(open(t, listen(t), w).Addr())
			},
			want: []string{"log in to 127.0.0.1:", "check mqtt.user and the password"},
		},
		"nothing retained": {
			broker: whoever,
			change: func(o *Options) { o.times.state = 50 * time.Millisecond },
			want: []string{"look for sightd on 127.0.0.1:", "nothing is retained on sightd/test/bridge/state: is mqtt.base (or name) that of the daemon",
				"may a client without a user read that topic"},
		},
		"offline": {
			broker: func(t *testing.T) string {
				broker := whoever(t)
				c := start(t, quick(broker, nil))
				standing(t, c)
				if err := c.Close(deadline(t)); err != nil {
					t.Fatal(err)
				}
				return broker
			},
			want: []string{"look for sightd on 127.0.0.1:", `sightd/test/bridge/state says "offline": sightd isn't running`},
		},
		"no answer": {
			broker: func(t *testing.T) string {
				broker := whoever(t)
				standing(t, start(t, quick(broker, nil))) // it takes no requests
				return broker
			},
			change: func(o *Options) { o.times.answer = 50 * time.Millisecond },
			want:   []string{"wait for the answer to snapshot: no answer within 50ms: is sightd running on this broker under base sightd/test"},
		},
		"no right to read": {
			broker: func(t *testing.T) string { return mqttURL(open(t, listen(t), new(deaf)).Addr()) },
			change: func(o *Options) { o.User = "cam" },
			want:   []string{"subscribe on 127.0.0.1:", `the broker refuses sightd/test/bridge/response/snapshot: let user "cam" read that`},
		},
		"broker hangs up": {
			broker: func(t *testing.T) string {
				return newScripted(t, func(_ int, p *peer) { p.login(0) }).url()
			},
			want: []string{"subscribe to sightd/test/bridge/response/snapshot on 127.0.0.1:", "the connection ended: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts, payload := quick("mqtt://127.0.0.1:1", nil), request
			if tt.broker != nil {
				opts.Broker = tt.broker(t)
			}
			if tt.change != nil {
				tt.change(&opts)
			}
			if tt.payload != "" {
				payload = tt.payload
			}
			r, err := Ask(deadline(t), opts, Snapshot, []byte(payload))
			if err == nil || !containsAll(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("want an error with %q, have %s, %v", tt.want, mustJSON(t, r), err)
			}
		})
	}
}

// deaf lets nobody hear answers.
type deaf struct{ allowAll }

func (*deaf) OnACLCheck(_ *mochi.Client, topic string, write bool) bool {
	return write || !strings.Contains(topic, "/response/")
}

// A daemon that goes away has no answer, and Ask doesn't wait for one.
func TestAskWhileLeaving(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	broker := mqttURL(b.Addr())
	c := start(t, taking(broker, 4, nil))
	listening(t, c)
	failed := make(chan error)
	ask := func(ctx context.Context) {
		_, err := Ask(ctx, quick(broker, nil), HealthCheck, nil)
		failed <- err
	}
	ctx, cancel := context.WithCancel(deadline(t))
	go ask(ctx)
	request(t, c).Release()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, have %v", context.Canceled, err)
	}

	go ask(deadline(t))
	request(t, c).Release()
	if err := c.Close(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil || !strings.Contains(err.Error(), `bridge/state says "offline"`) {
		t.Errorf("want an error of the daemon's end, have %v", err)
	}
}

// A request that came before the daemon heard any is sent again.
func TestAskAgain(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	broker := mqttURL(b.Addr())
	first := true
	served(t, broker, func(ctx context.Context, r *IncomingRequest) error {
		if first {
			first = false
			r.Release()
			return nil
		}
		return r.AnswerHealth(ctx, Health{Status: StatusOK, Time: when})
	})
	opts := quick(broker, nil)
	opts.times.again = time.Millisecond
	if r, err := Ask(deadline(t), opts, HealthCheck, nil); err != nil || r.Error != "" {
		t.Errorf("have %s, %v", mustJSON(t, r), err)
	}
}

// Answers to others, and what is none, are not taken for one's own.
func TestAskHearsItsOwn(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	broker := mqttURL(b.Addr())
	send := asker(t, broker)
	served(t, broker, func(ctx context.Context, r *IncomingRequest) error {
		topic := ResponseTopic(testBase, HealthCheck)
		for _, other := range []string{
			`{"data":{},"status":"ok","error":null,"transaction":"other"}`, `{"data":{},"status":"ok","error":null,"transaction":null}`, "", "null", "[]",
			`{"data":{},"status":"error","error":null,"transaction":` + string(r.Transaction) + `}`,
			`{"data":{},"status":"ok","error":"why","transaction":` + string(r.Transaction) + `}`,
		} {
			send(topic, []byte(other), false)
		}
		return r.AnswerError(ctx, errors.New("mine"))
	})
	for range 2 {
		r, err := Ask(deadline(t), quick(broker, nil), HealthCheck, nil)
		if err != nil || r.Error != "mine" || r.Data != nil {
			t.Errorf("have %s, %v", mustJSON(t, r), err)
		}
	}
}
