package testbench

import (
	"encoding/json"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// response is an answer of the fleet.
type response struct {
	Data        *event `json:"data"`
	Status      string `json:"status"`
	Error       string `json:"error"`
	Transaction string `json:"transaction"`
}

// requester sends pictures to the fleet and keeps the answers, by the transaction of their topic. Its session survives it.
type requester struct {
	watched
	client  paho.Client
	answers map[string][]response
}

func newRequester(t testing.TB, b *fleetBroker) *requester {
	t.Helper()
	r := &requester{answers: map[string][]response{}, client: login(t, b, office, false)}
	const results = "sightd/fleet/" + street + "/result/"
	settle(t, r.client.Subscribe(results+"+", 1, func(_ paho.Client, m paho.Message) {
		var answer response
		if err := json.Unmarshal(m.Payload(), &answer); err != nil {
			answer.Error = err.Error()
		}
		r.change(func() {
			transaction := strings.TrimPrefix(m.Topic(), results)
			r.answers[transaction] = append(r.answers[transaction], answer)
		})
	}))
	return r
}

// ask sends requests, each with the picture of its transaction, and waits until the broker has them.
func (r *requester) ask(t testing.TB, transactions []string, picture func(transaction string) []byte) {
	t.Helper()
	var tokens []paho.Token
	for _, transaction := range transactions {
		tokens = append(tokens, r.client.Publish("sightd/fleet/"+street+"/classify/"+transaction, 1, false, picture(transaction)))
	}
	for _, token := range tokens {
		settle(t, token)
	}
}

// answered waits until so many of the transactions have an answer, and gives their number.
func (r *requester) answered(t testing.TB, transactions []string, want int) int {
	t.Helper()
	have := 0
	r.until(t, func() bool {
		have = 0
		for _, transaction := range transactions {
			have += btoi(len(r.answers[transaction]) > 0)
		}
		return have >= want
	}, func() string {
		return fmt.Sprintf("want answers to %d of %d requests, have %d", want, len(transactions), have)
	})
	return have
}

// check compares the answers with what classify says of the pictures. It gives the number of those that came again: no request
// has more answers than the broker has sent it to boards.
func (r *requester) check(t testing.TB, b *fleetBroker, want map[string]verdict) (again int) {
	t.Helper()
	b.now(t, members[0])
	r.mu.Lock()
	defer r.mu.Unlock()
	for transaction, v := range want {
		answers := r.answers[transaction]
		if len(answers) == 0 || len(answers) > b.ledger.given[transaction] {
			t.Errorf("%s: want an answer, and no more than the %d times that the broker has sent it, have %d",
				transaction, b.ledger.given[transaction], len(answers))
			continue
		}
		again += len(answers) - 1
		for _, a := range answers {
			if a.Status != "ok" || a.Transaction != transaction || a.Data == nil || a.Data.Source != "request" ||
				a.Data.Label != v.Label || a.Data.Index != v.Index || math.Abs(a.Data.Score-v.Score) > 0.00006 {
				t.Errorf("%s: want %s %.4f as sightd classify says, have %+v with %+v", transaction, v.Label, v.Score, a, a.Data)
			}
		}
	}
	return again
}

// numRequests is how many pictures fleetPictures draws.
const numRequests = 600

// fleetPictures are pictures that all differ, golf balls and parachutes by turns, and what sightd classify says of each. They are
// drawn once.
var fleetPictures struct {
	once         sync.Once
	transactions []string
	data         map[string][]byte
	verdicts     map[string]verdict
}

// requests are the first n of fleetPictures.
func requests(t testing.TB, n int) (transactions []string, picture func(string) []byte, want map[string]verdict) {
	t.Helper()
	p := &fleetPictures
	p.once.Do(func() {
		labels := []string{"golf ball", "parachute"}
		var images []image.Image
		for _, size := range []int{160, 190, 220, 250, 280} {
			images = append(images, drawnImage(t, "golf_ball", size), drawnImage(t, "parachute", size))
		}
		dir := t.TempDir()
		var files []string
		p.data = map[string][]byte{}
		for i := range numRequests {
			transaction := fmt.Sprintf("picture-%03d", i)
			p.data[transaction] = encodeJPEG(t, images[i%len(images)], 35+i/len(images))
			p.transactions = append(p.transactions, transaction)
			files = append(files, filepath.Join(dir, transaction))
			if err := os.WriteFile(files[i], p.data[transaction], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p.verdicts = classify(t, files)
		for i, transaction := range p.transactions {
			if v := p.verdicts[transaction]; v.Label != labels[i%2] {
				t.Fatalf("%s: want a drawn %s to be classified as such, have %+v", transaction, labels[i%2], v)
			}
		}
	})
	if len(p.verdicts) != numRequests {
		t.Fatal("the pictures couldn't be drawn: see the other test's failure")
	}
	want = map[string]verdict{}
	for _, transaction := range p.transactions[:n] {
		want[transaction] = p.verdicts[transaction]
	}
	return p.transactions[:n], func(transaction string) []byte { return p.data[transaction] }, want
}

// requestHealth is what health_check says of a board's requests.
type requestHealth struct {
	Held     int `json:"held"`
	HeldMax  int `json:"held_max"`
	Limit    int `json:"limit"`
	Answered int `json:"answered"`
	Late     int `json:"late"`
}

// healthCheck asks a board how it fares with its requests, and checks that it never held more than it may.
func healthCheck(t testing.TB, b *fleetBroker, name string) requestHealth {
	t.Helper()
	got := make(chan []byte, 10)
	settle(t, b.admin.Subscribe("sightd/"+name+"/bridge/response/health_check", 1, func(_ paho.Client, m paho.Message) { got <- m.Payload() }))
	settle(t, b.admin.Publish("sightd/"+name+"/bridge/request/health_check", 1, false, "{}"))
	var answer struct {
		Data struct {
			Health struct {
				Requests requestHealth `json:"requests"`
			} `json:"health"`
		} `json:"data"`
	}
	select {
	case payload := <-got:
		if err := json.Unmarshal(payload, &answer); err != nil {
			t.Fatalf("%s: health_check answered %s: %v", name, payload, err)
		}
	case <-time.After(patience):
		t.Fatalf("%s: want an answer to health_check, have none", name)
	}
	h := answer.Data.Health.Requests
	if h.Limit < 1 || h.HeldMax < 1 || h.HeldMax > h.Limit || b.inflight == 1 && h.HeldMax > 1 {
		t.Errorf("%s: want between 1 and the limit of requests held at a time, have %+v", name, h)
	}
	return h
}
