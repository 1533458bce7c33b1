package publish

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"sightd/decide"
)

// record is what became of a picture.
func record(at time.Time) decide.Entry {
	return decide.Entry{
		Time: at, Until: at, Seq: 9001, Count: 1, Gate: decide.Confirming,
		Top:      []decide.Score{{Label: "cats", Index: decide.NoIndex, Score: 0.87}, {Label: "vase", Index: 883, Score: 0.06}},
		Smoothed: 0.81, Have: 0.81, Limit: 0.6, Votes: 2, Confirm: [2]int{3, 5}, Left: 1.5, Before: decide.Unknown, Shown: decide.Unknown, Absent: 0.25,
	}
}

// records are n entries, a second apart, with the middle one at when.
func records(n int) []decide.Entry {
	all := make([]decide.Entry, n)
	for i := range all {
		all[i] = record(when.Add(time.Duration(i-n/2) * time.Second))
	}
	return all
}

// answer is what an answer to explain is read as.
func answer(t *testing.T, payload []byte) Explanation {
	t.Helper()
	r, ok := parseResponse(payload)
	if !ok || r.Error != "" {
		t.Fatalf("want an answer without an error, have %s", payload)
	}
	e, err := ParseExplanation(r.Data)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestExplainResponse(t *testing.T) {
	e := Explanation{
		Source: "door", At: when, From: when.Add(-time.Minute), To: when.Add(time.Minute), Problem: "it answers with a web page", Entries: records(2),
	}
	run := decide.Entry{Time: when.Add(time.Second), Until: when.Add(time.Minute), Count: 17, Gate: decide.Unchanged, Confirm: [2]int{3, 5}, Before: decide.None, Shown: decide.None}
	e.Entries = append(e.Entries, run)
	for name, e := range map[string]Explanation{"response-explain": e, "response-explain-none": {Source: "door", From: when, To: when}} {
		got, err := ExplainResponse(quote("a-1"), e, MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", got)
		conforms(t, "response", got)
		back := answer(t, got)
		if back.Truncated || back.Source != "door" || back.Problem != e.Problem || len(back.Entries) != len(e.Entries) || !back.From.Equal(e.From.Truncate(time.Millisecond)) {
			t.Errorf("%s: read back as %+v", name, back)
		}
		for i, have := range back.Entries {
			want := e.Entries[i]
			want.Time, want.Until, want.Reason = have.Time, have.Until, want.Why()
			want.Top = append([]decide.Score{}, want.Top...)
			if !reflect.DeepEqual(have, want) || !have.Until.Equal(e.Entries[i].Until.Truncate(time.Millisecond)) {
				t.Errorf("%s: want\n%+v, have\n%+v", name, want, have)
			}
		}
	}
}

// TestExplainResponseGates has each gate, and what comes of odd labels and of what can't be told.
func TestExplainResponseGates(t *testing.T) {
	e := Explanation{Source: "door", At: when, From: when, To: when}
	for gate := decide.Gate(0); ; gate++ {
		if _, err := gate.MarshalText(); err != nil {
			e.Entries = []decide.Entry{{Gate: gate}}
			got, err := ExplainResponse(nil, e, MaxPayload)
			if err != nil || !strings.Contains(string(got), `"status":"error","error":"encode entry 0: `) {
				t.Errorf("gate %d: want an answer with an error, have %s, %v", gate, got, err)
			}
			break
		}
		e.Entries = records(1)
		e.Entries[0].Gate, e.Entries[0].Before, e.Entries[0].Shown, e.Entries[0].Top[0].Label = gate, "\x1b[31m", strings.Repeat("é", 2000), "a\nb"
		got, err := ExplainResponse(nil, e, MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		conforms(t, "response", got)
		if back := answer(t, got); back.Entries[0].Gate != gate || back.Entries[0].Top[0].Label != "a\uFFFDb" {
			t.Errorf("gate %v: have %s", gate, got)
		}
	}
	e.Entries = records(1)
	e.Entries[0].Have = math.NaN()
	if got, err := ExplainResponse(nil, e, MaxPayload); err != nil || !strings.Contains(string(got), "unsupported value: NaN") {
		t.Errorf("want an answer with an error of NaN, have %s, %v", got, err)
	}
}

// TestExplainResponseLimit lowers the limit: those entries go first that are the furthest from the moment.
func TestExplainResponseLimit(t *testing.T) {
	const n = 41
	for at, last := range map[time.Duration]int{0: n / 2, -time.Hour: 0, time.Hour: n - 1, 3 * time.Second: n/2 + 3} {
		e := Explanation{Source: "door", At: when.Add(at), From: when, To: when, Entries: records(n)}
		before := n
		for limit := 24_000; limit >= 1024; limit -= 240 {
			got, err := ExplainResponse(quote(strings.Repeat("\\", maxTransaction)), e, limit)
			if err != nil {
				t.Fatalf("limit %d: %v", limit, err)
			}
			back := answer(t, got)
			have := len(back.Entries)
			if len(got) > limit || have > before || back.Truncated != (have < n) {
				t.Fatalf("limit %d: have %d bytes with %d entries after %d, truncated %v", limit, len(got), have, before, back.Truncated)
			}
			if before = have; have == 0 {
				continue
			}
			first := int(back.Entries[0].Time.Sub(when.Add(-n/2*time.Second)).Round(time.Second) / time.Second)
			if last < first || last >= first+have {
				t.Fatalf("at %v, limit %d: want entry %d kept, have %d to %d", at, limit, last, first, first+have-1)
			}
			if at == 0 && have < n && (last-first > have/2 || last-first < (have-1)/2) {
				t.Fatalf("limit %d: want %d entries around %d, have %d to %d", limit, have, last, first, first+have-1)
			}
		}
		if before > 3 {
			t.Errorf("at %v: the smallest limit left %d entries", at, before)
		}
	}
}

// TestExplainResponseProblem has a problem that takes more than there is room for: it is cut, and the answer is no error.
func TestExplainResponseProblem(t *testing.T) {
	for _, limit := range []int{MaxPayload, 4096, 1024} {
		e := Explanation{Source: "door", At: when, From: when, To: when, Problem: "\x1b" + strings.Repeat("\"", 3000), Entries: records(1)}
		got, err := ExplainResponse(nil, e, limit)
		if err != nil {
			t.Fatal(err)
		}
		conforms(t, "response", got)
		if back := answer(t, got); len(got) > limit || len(back.Problem) < 32 || len(back.Problem) > maxText+len("…") {
			t.Errorf("limit %d: have %d bytes, with %d of the problem", limit, len(got), len(back.Problem))
		}
	}
}

func TestExplainResponseMost(t *testing.T) {
	for n, truncated := range map[int]bool{MaxEntries: false, MaxEntries + 1: true} {
		got, err := ExplainResponse(nil, Explanation{Source: "door", At: when, From: when, To: when, Entries: records(n)}, 4*MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		if back := answer(t, got); len(back.Entries) != MaxEntries || back.Truncated != truncated {
			t.Errorf("%d entries: have %d, truncated %v", n, len(back.Entries), back.Truncated)
		}
	}
}

func TestParseExplanationRefused(t *testing.T) {
	got, err := ExplainResponse(nil, Explanation{Source: "door", At: when, From: when, To: when, Entries: records(1)}, MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := parseResponse(got)
	for from, to := range map[string]string{
		`"from":"2026`: `"from":"x2026`, `"ts":"2026`: `"ts":"x2026`, `"confirming"`: `"daring"`, `"count":1`: `"count":"1"`, `"entries":[`: `"entries":[7,`,
	} {
		if strings.Count(string(r.Data), from) != 1 {
			t.Fatalf("want %s once in %s", from, r.Data)
		}
		e, err := ParseExplanation([]byte(strings.Replace(string(r.Data), from, to, 1)))
		if err == nil || !strings.HasPrefix(err.Error(), "read the answer to explain: ") {
			t.Errorf("%s: want an error, have %+v, %v", to, e, err)
		}
	}
	for _, data := range []string{"", "null", "[]", "{}"} {
		if e, err := ParseExplanation(json.RawMessage(data)); err == nil {
			t.Errorf("%q: want an error, have %+v", data, e)
		}
	}
}

func FuzzParseExplanation(f *testing.F) {
	got, err := ExplainResponse(nil, Explanation{Source: "door", At: when, From: when, To: when, Entries: records(2)}, MaxPayload)
	if err != nil {
		f.Fatal(err)
	}
	r, _ := parseResponse(got)
	f.Add([]byte(r.Data))
	f.Add([]byte(`{"from":"2026-09-23T10:15:30Z","to":"2026-09-23T10:15:30Z","entries":[{"top":[{"label":"\u0000"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseExplanation(data)
		if err != nil {
			return
		}
		for _, entry := range e.Entries {
			if s := entry.String(); strings.ContainsFunc(s, unprintable) {
				t.Fatalf("want printable text, have %q", s)
			}
		}
	})
}
