package publish

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sightd/decide"
)

// homeAssistant is the name of the schema of Home Assistant's device discovery, beside those of Schemas.
const homeAssistant = "homeassistant-device"

// compiled are the schemas, ready to use.
var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	sources := Schemas()
	device, err := os.ReadFile(filepath.Join("testdata", homeAssistant+".schema.json"))
	if err != nil {
		return nil, err
	}
	sources[homeAssistant] = device
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	ids := make(map[string]string)
	for name, source := range sources {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(source))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		ids[name], _ = doc.(map[string]any)["$id"].(string) // an empty one is refused next
		if err := c.AddResource(ids[name], doc); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	schemas := make(map[string]*jsonschema.Schema)
	for name, id := range ids {
		if schemas[name], err = c.Compile(id); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return schemas, nil
})

// validate is what the schema says against payload.
func validate(t testing.TB, schema string, payload []byte) error {
	t.Helper()
	schemas, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		t.Fatalf("want JSON, have %q: %v", payload, err)
	}
	return schemas[schema].Validate(value)
}

// conforms fails the test unless payload is as the schema wants it.
func conforms(t testing.TB, schema string, payload []byte) {
	t.Helper()
	if err := validate(t, schema, payload); err != nil {
		t.Fatalf("%v: %s", err, payload)
	}
}

// TestSchemasDescribe looks at each part of each schema: a key has a title and a description, and objects that sightd
// publishes have all their keys, and no others.
func TestSchemasDescribe(t *testing.T) {
	for name, source := range Schemas() {
		var schema map[string]any
		if err := json.Unmarshal(source, &schema); err != nil {
			t.Fatal(err)
		}
		if schema["$schema"] != "https://json-schema.org/draft/2020-12/schema" || schema["$id"] != "urn:sightd:"+name {
			t.Errorf("%s: have %v, %v", name, schema["$schema"], schema["$id"])
		}
		describes(t, name, schema, name != "request")
	}
}

func describes(t *testing.T, where string, schema map[string]any, closed bool) {
	t.Helper()
	for _, key := range []string{"title", "description"} {
		if s, _ := schema[key].(string); s == "" {
			t.Errorf("%s: want a %s, have none", where, key)
		}
	}
	if properties, ok := schema["properties"].(map[string]any); ok {
		required, _ := schema["required"].([]any)
		if closed && (schema["additionalProperties"] != false || len(required) != len(properties)) {
			t.Errorf("%s: want all keys, and no others", where)
		}
		for key, property := range properties {
			describes(t, where+"."+key, property.(map[string]any), closed)
		}
	}
	if items, ok := schema["items"].(map[string]any); ok {
		describes(t, where+"[]", items, closed)
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		choices, _ := schema[key].([]any)
		for _, choice := range choices {
			describes(t, where+"|", choice.(map[string]any), closed)
		}
	}
}

// TestSchemasRefuse takes a key away from each payload, and adds one, at every level: a schema that lets that pass would
// not notice when payloads change.
func TestSchemasRefuse(t *testing.T) {
	for file, schema := range map[string]string{
		"event-classified": "event", "event-change": "event", "state": "state", "health": "health", "info": "info",
		"response-classify": "response", "response-health": "response", "response-explain": "response", "response-snapshot": "response",
		"response-reload": "response",
	} {
		payload, err := os.ReadFile(filepath.Join("testdata", file+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var whole any
		if err := json.Unmarshal(payload, &whole); err != nil {
			t.Fatal(err)
		}
		refuses := func(what string) {
			t.Helper()
			changed, err := json.Marshal(whole)
			if err != nil {
				t.Fatal(err)
			}
			if validate(t, schema, changed) == nil {
				t.Errorf("%s: want an error for %s, have none", file, what)
			}
		}
		var walk func(where string, v any)
		walk = func(where string, v any) {
			switch v := v.(type) {
			case []any:
				for _, item := range v {
					walk(where+"[]", item)
				}
			case map[string]any:
				v["new"] = 1
				refuses("a new key in " + where)
				delete(v, "new")
				for _, key := range slices.Collect(maps.Keys(v)) {
					value := v[key]
					delete(v, key)
					refuses(where + " without " + key)
					v[key] = []any{7}
					refuses(where + " with another type of " + key)
					v[key] = value
					walk(where+"."+key, value)
				}
			}
		}
		walk("", whole)
	}
}

// TestPayloadsConform makes payloads of random values.
func TestPayloadsConform(t *testing.T) {
	r := &random{rand.New(rand.NewPCG(1, 2))}
	for range 500 {
		e, m := r.event()
		s := State{Smoothed: r.Float32(), Since: r.time(), Enabled: r.IntN(2) == 0, Problem: r.text(), Seq: r.Uint64() >> 1, Time: when}
		if len(e.Top) > 0 {
			s.Best = &decide.Score{Label: []string{r.text(), decide.Unknown}[r.IntN(2)], Index: r.IntN(3) - 1, Score: r.Float32()}
		}
		limit := 1536 + r.IntN(8000)
		for schema, build := range map[string]func() ([]byte, error){
			"event": func() ([]byte, error) { return EventPayload(e, m, limit) },
			"state": func() ([]byte, error) { return StatePayload(s, limit) },
			"info": func() ([]byte, error) {
				info := Info{Version: r.text(), Model: ModelInfo{Name: r.text(), Labels: []string{r.text()}}, Delegate: r.delegate(), Board: r.text(), Started: when}
				return InfoPayload(info, max(limit, 4<<10))
			},
			"response ": func() ([]byte, error) {
				return ReloadResponse(quote("t"), ReloadResult{Model: r.text(), SHA256: testModel.SHA256, Delegate: r.text(), Threads: r.IntN(9), Proven: r.IntN(9) - 1, Took: time.Duration(r.Int64())}, limit)
			},
			"health":   func() ([]byte, error) { return HealthPayload(r.health(), MaxPayload) },
			"response": func() ([]byte, error) { return ClassifyResponse(quote("t"), e, m, limit) },
		} {
			payload, err := build()
			if err != nil {
				t.Fatalf("%s: %v", schema, err)
			}
			conforms(t, strings.TrimSpace(schema), payload)
		}
	}
}

// random makes values, half of them of what strangers may send.
type random struct{ *rand.Rand }

func (r *random) text() string {
	if r.IntN(2) == 0 {
		return ""
	}
	alphabet := []string{"a", "Z", " ", "\"", "\\", "/", "<", "é", "門", "🐈", "\x00", "\n", "\x7f", "\u0085", "\u2028", "\u200d", "\xff", "\xed\xa0\x80"}
	var b strings.Builder
	for range r.IntN(1 << r.IntN(12)) {
		b.WriteString(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

func (r *random) time() time.Time {
	if r.IntN(2) == 0 {
		return time.Time{}
	}
	return when.Add(time.Duration(r.Int64N(int64(100 * 365 * 24 * time.Hour))))
}

func (r *random) event() (decide.Event, Model) {
	e := decide.Event{Kind: decide.Refused, ID: "01J8Z6", Seq: r.Uint64() >> 1, Time: when, Source: "door", File: r.text(), Error: "x" + r.text(), InferMS: r.Float64() * 1000, FrameAge: time.Duration(r.Int64())}
	if r.IntN(2) == 0 {
		e.Kind, e.Error = decide.Classified, ""
		for range r.IntN(100) {
			e.Top = append(e.Top, decide.Score{Label: r.text(), Index: r.IntN(1000), Score: r.Float32()})
		}
	}
	if r.IntN(2) == 0 {
		e.Kind, e.File = []decide.Kind{decide.Enter, decide.Leave, decide.Change}[r.IntN(3)], ""
		e.Label, e.Smoothed = &decide.Score{Label: r.text(), Index: r.IntN(1000) - 1, Score: r.Float32()}, r.Float32()
		e.Previous, e.Duration = r.text(), time.Duration(r.Int64())
		if e.Error = ""; e.Kind == decide.Leave {
			e.Error = r.text()
		}
	}
	return e, Model{Name: r.text(), SHA256: testModel.SHA256, Delegate: r.text()}
}

func (r *random) delegate() DelegateInfo {
	d := DelegateInfo{Requested: r.text(), Active: r.text(), Reason: r.text(), Threads: r.IntN(9) - 1, Nodes: NodeCount{r.IntN(100) - 20, r.IntN(100) - 1}}
	for range r.IntN(MaxTried+8) >> r.IntN(6) {
		ms := []float64{0, -1, math.NaN(), math.Inf(1), math.MaxFloat64, 1e-9, r.Float64() * 1000}[r.IntN(7)]
		d.Tried = append(d.Tried, DelegateTrial{Delegate: r.text(), Threads: r.IntN(9) - 1, Passed: r.IntN(2) == 0, MS: ms, Reason: r.text()})
	}
	return d
}

func (r *random) health() Health {
	h := Health{
		Status: []Status{StatusOK, StatusDegraded, StatusFailing}[r.IntN(3)],
		RSS:    r.Int64(), FPS: r.Float64() * 100, Uptime: time.Duration(r.Int64()), Time: when,
		Outbox:   OutboxHealth{Pending: r.IntN(1000), Bytes: r.Int64(), Oldest: r.time(), Dropped: r.Uint64() >> 1, Expired: r.Uint64() >> 1, Degraded: r.text()},
		Requests: RequestHealth{Held: r.IntN(9), HeldMax: r.IntN(9), Limit: r.IntN(9), Answered: r.Uint64() >> 1, Late: r.Uint64() >> 1},
		MQTT:     MQTTHealth{Connects: r.Uint64() >> 1, Unsent: r.IntN(9)},
	}
	if r.IntN(2) == 0 {
		degrees := r.Float64()*200 - 100
		h.Temperature, h.Infer, h.Step = &degrees, &Latency{P50: r.Float64() * 100, P95: r.Float64() * 1000}, &Latency{P95: r.Float64()}
	}
	for range r.IntN(5) {
		h.Checks = append(h.Checks, Finding{Name: r.text(), Status: []CheckStatus{CheckOK, CheckWarn, CheckFail}[r.IntN(3)], Detail: r.text()})
		h.Sources = append(h.Sources, SourceHealth{Name: "door", Type: r.text(), Seen: r.Uint64() >> 1, Pending: r.IntN(9), Problem: r.text(),
			Dropped: r.Uint64() >> 1, Unchanged: r.Uint64() >> 1, Paced: r.Uint64() >> 1, Blind: r.Uint64() >> 1, Stale: r.Uint64() >> 1, Opened: r.Uint64() >> 1, FPS: r.Float64() * 60})
	}
	return h
}

// TestSchemaPatterns wants patterns that every language's regular expressions know: Python's, for one, have no classes of Unicode.
func TestSchemaPatterns(t *testing.T) {
	for name, schema := range Schemas() {
		if strings.Contains(string(schema), `\\p`) {
			t.Errorf("%s: want no \\p in a pattern", name)
		}
	}
}
