package testbench

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// sighting is an event of a live source.
type sighting struct {
	Type       string   `json:"event_type"`
	ID         string   `json:"id"`
	Seq        int      `json:"seq"`
	Time       string   `json:"ts"`
	Source     string   `json:"source"`
	Label      *string  `json:"label"`
	Index      *int     `json:"index"`
	Score      *float64 `json:"score"`
	Smoothed   *float64 `json:"smoothed"`
	Previous   string   `json:"previous"`
	FrameAgeMS float64  `json:"frame_age_ms"`
	DurationS  float64  `json:"duration_s"`
	File       *string  `json:"file"`
	Error      *string  `json:"error"`

	payload string
	at      time.Time // when it arrived here
}

// label is what the sighting is about, "" for nothing.
func (s sighting) label() string { return orNothing(s.Label) }

// shows reports whether the source shows something else from the sighting on.
func (s sighting) shows() bool { return s.Type == "enter" || s.Type == "change" }

func orNothing(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// stated is a source's state.
type stated struct {
	Label   *string `json:"label"`
	Enabled bool    `json:"enabled"`
	Problem *string `json:"problem"`

	at time.Time
}

// available is what was said of a source's availability.
type available struct {
	what string
	at   time.Time
}

// stage is what was heard of a source.
type stage struct {
	events    []sighting
	states    []stated
	available []available
	images    [][]byte
}

// audience is a client that hears everything, whatever its topic, and can ask. Its maps may be read in until alone.
type audience struct {
	watched
	client  paho.Client
	sources map[string]*stage
	answers map[string]string // by transaction
	loud    []string          // messages that hold a picture: topics
	bad     []string          // payloads that aren't what they should be
	asked   int
}

func listen(t testing.TB, url string) *audience {
	t.Helper()
	a := &audience{sources: map[string]*stage{}, answers: map[string]string{}}
	a.client = paho.NewClient(paho.NewClientOptions().AddBroker(url).SetClientID("testbench-audience").
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { a.receive(m, time.Now()) }))
	settle(t, a.client.Connect())
	t.Cleanup(func() {
		a.client.Disconnect(250)
		for _, payload := range a.bad {
			t.Errorf("bad message: %s", payload)
		}
	})
	settle(t, a.client.Subscribe("#", 1, nil))
	return a
}

func (a *audience) receive(m paho.Message, at time.Time) {
	payload := m.Payload()
	topic, ours := strings.CutPrefix(m.Topic(), base)
	a.change(func() {
		if holdsPicture(payload) {
			a.loud = append(a.loud, m.Topic())
		}
		levels := strings.Split(topic, "/")
		switch {
		case !ours || len(levels) < 2:
		case levels[0] == "bridge" && levels[1] == "response":
			var r struct{ Transaction string }
			a.read(payload, &r)
			a.answers[r.Transaction] = string(payload)
		case levels[0] != "bridge":
			a.hear(levels[0], levels[1], m, at)
		}
	})
}

// hear keeps what is said of a source.
func (a *audience) hear(source, what string, m paho.Message, at time.Time) {
	s := a.sources[source]
	if s == nil {
		s = &stage{}
		a.sources[source] = s
	}
	switch what {
	case "event":
		e := sighting{payload: string(m.Payload()), at: at}
		a.read(m.Payload(), &e)
		if m.Retained() {
			a.bad = append(a.bad, "retained event: "+e.payload)
		}
		s.events = append(s.events, e)
	case "state":
		state := stated{at: at}
		a.read(m.Payload(), &state)
		s.states = append(s.states, state)
	case "availability":
		s.available = append(s.available, available{string(m.Payload()), at})
	case "image":
		s.images = append(s.images, m.Payload())
	}
}

func (a *audience) read(payload []byte, v any) {
	if err := json.Unmarshal(payload, v); err != nil {
		a.bad = append(a.bad, fmt.Sprintf("%s: %v", payload, err))
	}
}

// of is what was heard of a source so far. The caller has locked a, or is in until.
func (a *audience) of(source string) stage {
	if s := a.sources[source]; s != nil {
		return *s
	}
	return stage{}
}

// heard is a copy of what was heard of a source so far.
func (a *audience) heard(source string) stage {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.of(source)
	return stage{slices.Clone(s.events), slices.Clone(s.states), slices.Clone(s.available), slices.Clone(s.images)}
}

// shown are the labels that a source has come to show, in order.
func (s stage) shown() (labels []string) {
	for _, e := range s.events {
		if e.shows() {
			labels = append(labels, e.label())
		}
	}
	return labels
}

// problem is a source's problem as its last state says, "" for none.
func (s stage) problem() string {
	if len(s.states) == 0 {
		return ""
	}
	return orNothing(s.states[len(s.states)-1].Problem)
}

// online reports whether a source was said to be there last.
func (s stage) online() bool {
	return len(s.available) > 0 && s.available[len(s.available)-1].what == "online"
}

// well waits until these sources are there and have no problem.
func (a *audience) well(t testing.TB, sources ...string) {
	t.Helper()
	for _, source := range sources {
		a.until(t, func() bool { s := a.of(source); return s.online() && len(s.states) > 0 && s.problem() == "" }, func() string {
			s := a.of(source)
			return fmt.Sprintf("want %s to be online without a problem, have %v, %q", source, s.available, s.problem())
		})
	}
}

// reply is the answer to a request.
type reply struct {
	Data   json.RawMessage `json:"data"`
	Status string          `json:"status"`
	Error  string          `json:"error"`
}

// ask asks the daemon, again after some seconds: what is asked before it listens is lost. keys are a request's, without its transaction.
func (a *audience) ask(t testing.TB, command string, keys map[string]any) reply {
	t.Helper()
	request := map[string]any{}
	for key, value := range keys {
		request[key] = value
	}
	var asked time.Time
	var answer, transaction string
	eventually(t, func() bool {
		a.mu.Lock()
		answer = a.answers[transaction]
		a.mu.Unlock()
		if answer == "" && time.Since(asked) > 3*time.Second {
			asked = time.Now()
			a.asked++
			transaction = fmt.Sprint("audience-", a.asked)
			request["transaction"] = transaction
			payload, err := json.Marshal(request)
			if err != nil {
				t.Fatal(err)
			}
			settle(t, a.client.Publish(base+"bridge/request/"+command, 1, false, payload))
		}
		return answer != ""
	}, func() string { return "want an answer to " + command })
	var r reply
	if err := json.Unmarshal([]byte(answer), &r); err != nil {
		t.Fatalf("%s answered %s: %v", command, answer, err)
	}
	return r
}

// vitals is what is asked of the bridge's health here.
type vitals struct {
	StepMS  *spread `json:"step_ms"`
	InferMS *spread `json:"infer_ms"`
	Sources []pulse `json:"sources"`
}

// spread is of milliseconds.
type spread struct{ P50, P95 float64 }

// pulse is how a source fares.
type pulse struct {
	Name                                                                         string
	Seen, Done, Refused, Errors, Dropped, Unchanged, Paced, Blind, Stale, Opened uint64
	FPS                                                                          float64
	Problem                                                                      *string
}

// vitals asks the daemon how it fares.
func (a *audience) vitals(t testing.TB) vitals {
	t.Helper()
	r := a.ask(t, "health_check", nil)
	var data struct{ Health vitals }
	if err := json.Unmarshal(r.Data, &data); err != nil || len(data.Health.Sources) == 0 {
		t.Fatalf("health_check answered %s %s %s: %v", r.Status, r.Error, r.Data, err)
	}
	return data.Health
}

// pulse is how a source fares.
func (v vitals) pulse(t testing.TB, source string) pulse {
	t.Helper()
	for _, p := range v.Sources {
		if p.Name == source {
			return p
		}
	}
	t.Fatalf("want %s in the bridge's health, have %+v", source, v.Sources)
	return pulse{}
}

// problem waits until a source has a problem like a pattern.
func (a *audience) problem(t testing.TB, source, pattern string) {
	t.Helper()
	like := regexp.MustCompile(pattern)
	a.until(t, func() bool {
		return slices.ContainsFunc(a.of(source).states, func(s stated) bool { return s.Problem != nil && like.MatchString(*s.Problem) })
	}, func() string {
		var problems []string
		for _, s := range a.of(source).states {
			problems = append(problems, orNothing(s.Problem))
		}
		return fmt.Sprintf("%s: want a problem like %q, have %q", source, pattern, problems)
	})
}
