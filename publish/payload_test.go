package publish

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	paho "github.com/eclipse/paho.mqtt.golang"

	"sightd/decide"
)

var update = flag.Bool("update", false, "write the golden files anew")

// when is the time of all test events: not in UTC, and with more than milliseconds.
var when = time.Date(2026, 9, 23, 12, 15, 30, 123_999_999, time.FixedZone("CEST", 2*60*60))

var testModel = Model{Name: "googlenet-int8", SHA256: strings.Repeat("3f2a", 16), Delegate: "xnnpack"}

func classified(id, file string) decide.Event {
	return decide.Event{
		Kind: decide.Classified, ID: id, Seq: 1841, Time: when, Source: "inbox", File: file, InferMS: 31.41592, FrameAge: 42_400 * time.Microsecond,
		Top: []decide.Score{{Label: "tabby cat", Index: 281, Score: 0.87001}, {Label: "tiger <cat>", Index: 282, Score: 0.06}},
	}
}

// liveEvent is what a camera's events are like.
func liveEvent(kind decide.Kind) decide.Event {
	return decide.Event{
		Kind: kind, ID: "01J8Z6", Seq: 1841, Time: when, Source: "door", InferMS: 31.41592, FrameAge: 42_400 * time.Microsecond,
		Top:   []decide.Score{{Label: "tabby cat", Index: 281, Score: 0.87001}, {Label: "tiger <cat>", Index: 282, Score: 0.06}},
		Label: &decide.Score{Label: "tabby cat", Index: 281, Score: 0.87001}, Smoothed: 0.91234,
	}
}

// liveEvents are events of a camera, by the name of their golden file.
func liveEvents() map[string]decide.Event {
	enter, change, leave, blind := liveEvent(decide.Enter), liveEvent(decide.Change), liveEvent(decide.Leave), liveEvent(decide.Leave)
	change.Previous, change.Duration = decide.Unknown, 92_345*time.Millisecond
	change.Label = &decide.Score{Label: "cat", Index: decide.NoIndex, Score: 0.93001}
	leave.Previous, leave.Duration = "tabby cat", time.Hour
	leave.Top = []decide.Score{{Label: "vase", Index: 883, Score: 0.4}}
	leave.Label.Score, leave.Smoothed = 0.01, 0.2
	blind.Previous, blind.Duration, blind.Top, blind.Error = "cat", -time.Second, nil, "no picture for 5 s:\nno such device"
	blind.Label = &decide.Score{Label: "cat", Index: decide.NoIndex}
	lost := liveEvent(decide.Change)
	lost.Previous, lost.Label = "line\nbreak", &decide.Score{Label: decide.Unknown, Index: decide.NoIndex, Score: 0.3}
	named := liveEvent(decide.Enter)
	named.Label = &decide.Score{Label: decide.Unknown, Index: 7, Score: 0.9} // a class that is called so
	return map[string]decide.Event{"enter": enter, "change": change, "leave": leave, "leave-blind": blind, "unknown": lost, "named": named}
}

func TestLiveEventPayload(t *testing.T) {
	for name, e := range liveEvents() {
		got, err := EventPayload(e, testModel, MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "event-"+name+".json", got)
		conforms(t, "event", got)
	}
	for _, kind := range []decide.Kind{decide.Enter, decide.Leave, decide.Change} {
		e := liveEvent(kind)
		e.Label = nil
		if _, err := EventPayload(e, testModel, MaxPayload); err == nil || !strings.Contains(err.Error(), `want a label with "`+string(kind)) {
			t.Errorf("%s without a label: want an error, have %v", kind, err)
		}
	}
}

// A key that says something else by the kind of event is not allowed to say anything.
func TestEventSchemaRefuses(t *testing.T) {
	for name, change := range map[string]struct{ kind, from, to string }{
		"an enter with an error":    {"enter", `"error":null`, `"error":"why"`},
		"a leave without a label":   {"leave", `"label":"tabby cat","index":281,"score":0.01`, `"label":null,"index":281,"score":0.01`},
		"an error without a reason": {"enter", `"event_type":"enter"`, `"event_type":"error"`},
		"a negative index":          {"enter", `"label":"tabby cat","index":281,"score":0.87,"smoothed"`, `"label":"tabby cat","index":-1,"score":0.87,"smoothed"`},
	} {
		payload, err := EventPayload(liveEvents()[change.kind], testModel, MaxPayload)
		if err != nil || strings.Count(string(payload), change.from) != 1 {
			t.Fatalf("%s: want %s once in %s, %v", name, change.from, payload, err)
		}
		if validate(t, "event", []byte(strings.Replace(string(payload), change.from, change.to, 1))) == nil {
			t.Errorf("want an error for %s, have none", name)
		}
	}
}

func TestEventPayload(t *testing.T) {
	refused := decide.Event{
		Kind: decide.Refused, ID: "01J8Z6", Seq: 2, Time: when, Source: "inbox", File: "a/b.jpg", Error: "decode a/b.jpg: no end marker",
	}
	odd := classified("odd", "line\nbreak \x1b[31m\xff\xfe Käse \u2028.jpg")
	odd.Top = []decide.Score{{Label: "a\x00b", Index: 0, Score: 1}}
	odd.InferMS, odd.FrameAge = 0, 0
	long := refused
	long.Error = strings.Repeat("ä", 2000)
	bare := decide.Event{Kind: decide.Classified, ID: "no-labels", Time: when, Source: "inbox"}

	for _, tt := range []struct {
		name  string
		event decide.Event
	}{
		{"classified", classified("01J8Z6", "cats/0007.jpg")},
		{"error", refused},
		{"unprintable", odd},
		{"long", long},
		{"empty", bare},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := EventPayload(tt.event, testModel, MaxPayload)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "event-"+tt.name+".json", got)
			conforms(t, "event", got)
		})
	}
}

// An event names the model that judged it, whatever is in use when it is sent.
func TestEventNamesItsModel(t *testing.T) {
	noLeak(t)
	broker := mosquittoWith(t, "LISTENER\nallow_anonymous true\n").url()
	in, ask, ctx := subscribe(t, broker, testBase+"/#"), asker(t, broker), deadline(t)
	c := start(t, taking(broker, 4, nil))
	listening(t, c)
	later := c.opts.Info
	later.Model, later.Delegate.Active = ModelInfo{Name: "later", SHA256: strings.Repeat("c0de", 16)}, "gpu"
	if err := c.SetInfo(later); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ named, want Model }{
		{Model{}, later.model()},
		{testModel, testModel},
		{Model{Name: "only this"}, Model{Name: "only this"}},
	} {
		e := classified("id", "x.jpg")
		e.Model = tt.named
		if err := c.Publish(ctx, e); err != nil {
			t.Fatal(err)
		}
		ask(RequestImageTopic(testBase, "1"), jpeg, false)
		if err := request(t, c).AnswerEvent(ctx, e); err != nil {
			t.Fatal(err)
		}
		for seen := 0; seen < 2; {
			var m paho.Message
			select {
			case m = <-in:
			case <-ctx.Done():
				t.Fatal("want an event and an answer, have less")
			}
			var have struct {
				eventJSON
				Data eventJSON `json:"data"`
			}
			event := m.Topic() == EventTopic(testBase, "inbox")
			if !event && m.Topic() != ResponseTopic(testBase, Classify) {
				continue
			}
			seen++
			if err := json.Unmarshal(m.Payload(), &have); err != nil {
				t.Fatal(err)
			}
			v := have.Data
			if event {
				v = have.eventJSON
			}
			if model := (Model{Name: v.Model, SHA256: v.ModelSHA, Delegate: v.Delegate}); model != tt.want {
				t.Errorf("%s: want %+v, have %+v", m.Topic(), tt.want, model)
			}
		}
	}
}

func TestEventPayloadRefused(t *testing.T) {
	nan := classified("nan", "x.jpg")
	nan.Top[0].Score = float32(math.NaN())
	large := classified(strings.Repeat("x", 1000), "x.jpg")
	for want, e := range map[string]decide.Event{
		"encode event nan: json: unsupported value: NaN":                                 nan,
		"encode event " + strings.Repeat("x", 32) + "…: want at most 1024 bytes, have 1": large,
	} {
		if _, err := EventPayload(e, testModel, 1024); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want error %q, have %v", want, err)
		}
	}
}

// TestEventPayloadLimit lowers the limit byte by byte: entries of top go first, then the ends of texts.
func TestEventPayloadLimit(t *testing.T) {
	e := classified("01J8Z6", "deep/"+strings.Repeat("é/", 300)+"0007.jpg")
	for i := range 20 {
		e.Top = append(e.Top, decide.Score{Label: strings.Repeat("\"", i), Index: i})
	}
	e.Error = strings.Repeat("\\ü", 300)
	full, err := EventPayload(e, testModel, MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	entries := len(e.Top)
	for limit := len(full); limit >= 600; limit-- {
		payload, err := EventPayload(e, testModel, limit)
		if err != nil {
			t.Fatalf("limit %d: %v", limit, err)
		}
		var have eventJSON
		if err := json.Unmarshal(payload, &have); err != nil {
			t.Fatal(err)
		}
		cut := *have.Error != e.Error || *have.File != e.File
		switch {
		case len(payload) > limit || !utf8.Valid(payload):
			t.Fatalf("limit %d: have %d bytes", limit, len(payload))
		case len(have.Top) > entries || len(have.Top) == 0 || *have.Label != "tabby cat":
			t.Fatalf("limit %d: want at most %d entries of top, have %s", limit, entries, payload)
		case cut && len(have.Top) > 1:
			t.Fatalf("limit %d: a text is cut, and top has %d entries", limit, len(have.Top))
		case !cut && len(have.Top) < entries && limit-len(payload) > 100:
			t.Fatalf("limit %d: an entry more would have fitted, have %d bytes", limit, len(payload))
		case !strings.HasSuffix(*have.File, "/0007.jpg"):
			t.Fatalf("limit %d: want the end of the file's path, have %s", limit, *have.File)
		}
		entries = len(have.Top)
	}
	if len(e.Top) != 22 {
		t.Errorf("the caller's event has %d entries left", len(e.Top))
	}
}

// TestEventPayloadAlwaysFits is what EventPayload promises for 1 KiB, and for live sources 1280 bytes.
func TestEventPayloadAlwaysFits(t *testing.T) {
	long := strings.Repeat("\"", 5000)
	e := decide.Event{
		Kind: decide.Classified, ID: strings.Repeat("f", 64), Seq: math.MaxUint64, Time: when, Source: strings.Repeat("s", 64),
		File: long, Error: long, InferMS: 123456789.12, FrameAge: math.MaxInt64,
	}
	for range 100 {
		e.Top = append(e.Top, decide.Score{Label: long, Index: math.MaxInt32, Score: 0.1234})
	}
	payload, err := EventPayload(e, Model{Name: long, SHA256: testModel.SHA256, Delegate: long}, 1024)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(payload))
	e.Kind, e.Previous, e.Duration, e.Smoothed = decide.Leave, long, math.MaxInt64, 0.4321
	e.Label = &decide.Score{Label: long, Index: math.MaxInt32, Score: 0.1234}
	if payload, err = EventPayload(e, Model{Name: long, SHA256: testModel.SHA256, Delegate: long}, 1280); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes of a live source", len(payload))
}

func TestReplayed(t *testing.T) {
	first, err := EventPayload(classified("01J8Z6", `"replayed":false}`), testModel, MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(first)
	again := replayed(first)
	if !bytes.Equal(first, before) {
		t.Fatalf("want the payload left alone, have %s", first)
	}
	var one, two eventJSON
	for payload, into := range map[string]*eventJSON{string(first): &one, string(again): &two} {
		if err := json.Unmarshal([]byte(payload), into); err != nil {
			t.Fatal(err)
		}
	}
	if one.Replayed || !two.Replayed {
		t.Errorf("want replayed false and then true, have %v and %v", one.Replayed, two.Replayed)
	}
	if two.Replayed = false; !reflect.DeepEqual(one, two) {
		t.Errorf("want nothing else changed, have\n%s\n%s", first, again)
	}
	conforms(t, "event", again)
	for _, other := range []string{"", "{}", string(again), string(first) + " ", `{"replayed":false,"a":1}`} {
		if have := replayed([]byte(other)); string(have) != other {
			t.Errorf("want %s as it is, have %s", other, have)
		}
	}
}

func FuzzEventPayload(f *testing.F) {
	f.Add("a.jpg", "tabby cat", "", float32(0.5))
	f.Add("\xff\x00\u2028", "\u200b\x7f", strings.Repeat("é", 1000), float32(-1e30))
	f.Fuzz(func(t *testing.T, file, label, text string, score float32) {
		e := decide.Event{Kind: decide.Classified, Source: "s", Time: when, File: file, Error: text}
		e.Top = []decide.Score{{Label: label, Score: score}}
		if score > 0.5 {
			e.Kind, e.Label, e.Previous = decide.Leave, &decide.Score{Label: text, Index: decide.NoIndex, Score: score}, label
		}
		got, err := EventPayload(e, Model{Name: label}, MaxPayload)
		if err != nil {
			return // not a number, or too large
		}
		var back eventJSON
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("not JSON: %v: %q", err, got)
		}
		if len(got) > MaxPayload || !utf8.Valid(got) || bytes.ContainsFunc(got, unprintable) {
			t.Fatalf("want at most %d bytes of printable UTF-8, have %q", MaxPayload, got)
		}
		for _, s := range []*string{back.Label, back.File, back.Error, &back.Model, &back.Previous} {
			if s != nil && strings.ContainsFunc(*s, unprintable) {
				t.Fatalf("want printable text, have %q", *s)
			}
		}
	})
}

func BenchmarkEventPayload(b *testing.B) {
	e := classified("01J8Z6", "cats/0007.jpg")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EventPayload(e, testModel, MaxPayload); err != nil {
			b.Fatal(err)
		}
	}
}

// golden compares got with a file of testdata, which -update writes.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got = append(bytes.Clone(got), '\n')
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: want\n%s\nhave\n%s", path, want, got)
	}
}
