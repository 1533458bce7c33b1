package publish

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAskReload(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	broker := mqttURL(b.Addr())
	var refuse atomic.Bool
	served(t, broker, func(ctx context.Context, r *IncomingRequest) error {
		switch {
		case r.Command == HealthCheck:
			return r.AnswerHealth(ctx, Health{Status: StatusFailing, Time: when})
		case refuse.Load():
			return r.AnswerError(ctx, errors.New("golden input 1: tench has 0.1\x1b[2J, want 0.9"))
		}
		return r.AnswerReload(ctx, testReload)
	})
	if r, err := AskReload(deadline(t), quick(broker, nil)); err != nil || !reflect.DeepEqual(r, testReload) {
		t.Errorf("want %+v, have %+v, %v", testReload, r, err)
	}
	refuse.Store(true)
	r, err := AskReload(deadline(t), quick(broker, nil))
	const want = "the model before goes on: sightd answers: golden input 1: tench has 0.1\ufffd[2J, want 0.9"
	if !errors.Is(err, ErrNotReloaded) || err.Error() != want || !reflect.DeepEqual(r, ReloadResult{}) {
		t.Errorf("want error %q, have %+v, %v", want, r, err)
	}
}

// A model that takes minutes to come up is waited for: the request is sent once, and others are answered in the meantime.
func TestReloadTakesMinutes(t *testing.T) {
	noLeak(t)
	m := newMosquitto(t)
	answers, ask1 := subscribe(t, m.inside(), ResponseTopic(testBase, HealthCheck)), asker(t, m.inside())
	opts := taking(m.url(), 4, nil)
	opts.User, opts.Password = "cam", "right"
	var passed atomic.Int64 // of time, in nanoseconds
	opts.times.now = func() time.Time { return when.Add(time.Duration(passed.Load())) }
	c := start(t, opts)
	listening(t, c)
	asking := m.options(nil)
	asking.times.again, asking.times.answer = time.Millisecond, time.Millisecond // over long before the answer
	type answered struct {
		response Response
		err      error
	}
	got := make(chan answered)
	go func() {
		r, err := ask(deadline(t), asking, question{command: Reload, patient: true}, nil)
		got <- answered{r, err}
	}()
	reload := request(t, c)
	if reload.Command != Reload || reload.Err != nil {
		t.Fatalf("want a reload, have %+v", reload)
	}
	for _, wait := range []time.Duration{time.Second, 3 * time.Minute} {
		passed.Add(int64(wait))
		ask1(RequestTopic(testBase, HealthCheck), nil, false)
		other := request(t, c)
		if other.Command != HealthCheck {
			t.Fatalf("after %v: want a health_check, have %s", wait, other.Command)
		}
		if err := other.AnswerHealth(deadline(t), Health{Status: StatusOK}); err != nil {
			t.Fatal(err)
		}
		if a := answerAt(t, answers, ResponseTopic(testBase, HealthCheck)); a.Status != "ok" {
			t.Errorf("have %+v", a)
		}
	}
	if err := reload.AnswerReload(deadline(t), testReload); err != nil {
		t.Fatal(err)
	}
	a := <-got
	if a.err != nil || a.response.Error != "" {
		t.Fatalf("have %s, %v", mustJSON(t, a.response), a.err)
	}
	if r, err := ParseReload(a.response.Data); err != nil || !reflect.DeepEqual(r, testReload) {
		t.Errorf("want %+v, have %+v, %v", testReload, r, err)
	}
}

func TestAskReloadFails(t *testing.T) {
	noLeak(t)
	b := open(t, listen(t), new(allowAll))
	broker := mqttURL(b.Addr())
	c := start(t, taking(broker, 4, nil))
	listening(t, c)
	failed := make(chan error)
	reload := func(ctx context.Context) {
		_, err := AskReload(ctx, quick(broker, nil))
		failed <- err
	}
	next := func() *IncomingRequest { // the reload, when the question before is answered
		if err := request(t, c).AnswerHealth(deadline(t), Health{Status: StatusOK}); err != nil {
			t.Fatal(err)
		}
		return request(t, c)
	}

	ctx, cancel := context.WithCancel(deadline(t))
	go reload(ctx)
	next().Release()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, have %v", context.Canceled, err)
	}

	go reload(deadline(t))
	r := next()
	if err := r.answer(deadline(t), []byte(`{"data":{},"status":"ok","error":null,"transaction":`+string(r.Transaction)+`}`), nil, false); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil || errors.Is(err, ErrNotReloaded) || !strings.Contains(err.Error(), "want the sha256 of a model") {
		t.Errorf("want an error of the answer, have %v", err)
	}

	go reload(deadline(t)) // and the daemon goes away
	next().Release()
	if err := c.Close(deadline(t)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds it gone
		if err := <-failed; !errors.Is(err, ErrAway) || !strings.Contains(err.Error(), `bridge/state says "offline"`) {
			t.Errorf("want %v, have %v", ErrAway, err)
		}
		go reload(deadline(t))
	}
	<-failed
}
