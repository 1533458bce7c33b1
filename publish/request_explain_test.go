package publish

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseExplain(t *testing.T) {
	at := func(s string) time.Time {
		t.Helper()
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tt := range []struct {
		payload string
		at      time.Time
		span    time.Duration
	}{
		{`{"source":"door"}`, when, time.Minute},
		{`{"source":"door","at":null,"span_s":null}`, when, time.Minute},
		{`{"source":"door","at":"2026-09-23T14:03:00Z","span_s":60}`, at("2026-09-23T14:03:00Z"), time.Minute},
		{`{"source":"door","at":"2026-09-23T14:03:00.25+02:00","span_s":1.5}`, at("2026-09-23T12:03:00.25Z"), 1500 * time.Millisecond},
		{`{"source":"door","at":"12:15","span_s":1}`, at("2026-09-23T10:15:00Z"), time.Second},
		{`{"source":"door","at":"12:16","span_s":3600}`, at("2026-09-22T10:16:00Z"), time.Hour},
		{`{"source":"door","at":"9:05:07","span_s":3.6e3}`, at("2026-09-23T07:05:07Z"), time.Hour},
		{`{"source":"door","at":"12:15:30"}`, at("2026-09-23T10:15:30Z"), time.Minute},
		{`{"source":"door","at":"12:15:31"}`, at("2026-09-22T10:15:31Z"), time.Minute},
		{`{"source":"door","at":"0:00"}`, at("2026-09-22T22:00:00Z"), time.Minute},
	} {
		payload := strings.Replace(tt.payload, "{", `{"transaction":1,`, 1)
		r, err := ParseRequest(Explain, []byte(payload), when)
		if err != nil || string(r.Transaction) != "1" || r.Source != "door" || !r.At.Equal(tt.at) || r.Span != tt.span {
			t.Errorf("%s: want %v around %v, have %+v, %v", payload, tt.span, tt.at, r, err)
		}
		conforms(t, "request", []byte(payload))
	}

	r, err := ParseRequest(Snapshot, []byte(`{"source":"a-1_","at":7,"span_s":"x"}`), when)
	if err != nil || r.Source != "a-1_" || !r.At.IsZero() || r.Span != 0 {
		t.Errorf("snapshot: have %+v, %v", r, err)
	}
}

// A time of day of yesterday is that, also where the day before had another offset, or a month ends.
func TestParseAtAcrossDays(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for _, tt := range []struct{ now, at, want string }{
		{"2026-03-01T08:00:00+01:00", "23:59:59", "2026-02-28T23:59:59+01:00"},
		{"2026-01-01T08:00:00+01:00", "9:00", "2025-12-31T09:00:00+01:00"},
		{"2026-03-29T12:00:00+02:00", "13:00", "2026-03-28T13:00:00+01:00"}, // the clock went forward in between
		{"2026-10-25T12:00:00+01:00", "13:00", "2026-10-24T13:00:00+02:00"}, // and back
	} {
		now, err := time.Parse(time.RFC3339, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		have, err := ParseAt(tt.at, now.In(berlin))
		if err != nil || have.Format(time.RFC3339) != tt.want {
			t.Errorf("%s at %s: want %s, have %v, %v", tt.at, tt.now, tt.want, have, err)
		}
	}
}

func TestParseExplainRefused(t *testing.T) {
	const (
		wantSource = "parse request: source: want 1 to 64 of a-z, 0-9, _ and -, have %q"
		wantTime   = "parse request: at: want a time such as 2026-09-23T10:15:30Z (RFC 3339), 14:03 or 14:03:05, have %q"
		wantSpan   = "parse request: span_s: want a number of seconds from 1 to 3600, have %q"
	)
	door := func(rest string) string { return `{"transaction":1,"source":"door",` + rest + `}` }
	for payload, want := range map[string]string{
		``:                                             "parse request: source: want the name of a source, have none",
		`{"transaction":1}`:                            "parse request: source: want the name of a source, have none",
		`{"transaction":1,"source":null}`:              "parse request: source: want the name of a source, have none",
		`{"transaction":1,"source":7}`:                 `parse request: source: want a string, have "7"`,
		`{"transaction":1,"source":""}`:                fmt.Sprintf(wantSource, `""`),
		`{"transaction":1,"source":"Door"}`:            fmt.Sprintf(wantSource, `"Door"`),
		`{"transaction":1,"source":"a/b"}`:             fmt.Sprintf(wantSource, `"a/b"`),
		`{"transaction":1,"source":"a\n"}`:             fmt.Sprintf(wantSource, `"a\n"`),
		`{"transaction":1,"source":"bridge"}`:          fmt.Sprintf(wantSource, `"bridge"`),
		door(`"at":7`):                                 `parse request: at: want a string, have "7"`,
		door(`"at":""`):                                fmt.Sprintf(wantTime, ""),
		door(`"at":"24:00"`):                           fmt.Sprintf(wantTime, "24:00"),
		door(`"at":"14:60"`):                           fmt.Sprintf(wantTime, "14:60"),
		door(`"at":"2:03 PM"`):                         fmt.Sprintf(wantTime, "2:03 PM"),
		door(`"at":"2026-09-23"`):                      fmt.Sprintf(wantTime, "2026-09-23"),
		door(`"at":"2026-09-23T10:15:30"`):             fmt.Sprintf(wantTime, "2026-09-23T10:15:30"),
		door(`"at":"1969-12-31T00:00:00Z"`):            fmt.Sprintf(wantTime, "1969-12-31T00:00:00Z"),
		door(`"at":"9999-01-01T00:00:00Z"`):            fmt.Sprintf(wantTime, "9999-01-01T00:00:00Z"),
		door(`"at":"` + strings.Repeat("1", 65) + `"`): fmt.Sprintf(wantTime, strings.Repeat("1", 64)) + " and 1 bytes more",
		door(`"span_s":0`):                             fmt.Sprintf(wantSpan, "0"),
		door(`"span_s":0.999`):                         fmt.Sprintf(wantSpan, "0.999"),
		door(`"span_s":-60`):                           fmt.Sprintf(wantSpan, "-60"),
		door(`"span_s":3600.001`):                      fmt.Sprintf(wantSpan, "3600.001"),
		door(`"span_s":1e400`):                         fmt.Sprintf(wantSpan, "1e400"),
		door(`"span_s":"60"`):                          fmt.Sprintf(wantSpan, `"60"`),
		door(`"span_s":true`):                          fmt.Sprintf(wantSpan, "true"),
		door(`"span_s":[60]`):                          fmt.Sprintf(wantSpan, "[60]"),
	} {
		r, err := ParseRequest(Explain, []byte(payload), when)
		if err == nil || err.Error() != want {
			t.Errorf("%s: want error\n%s\nhave\n%v", payload, want, err)
		}
		if payload != "" && string(r.Transaction) != "1" {
			t.Errorf("%s: want the transaction, have %+v", payload, r)
		}
		if strings.Contains(want, "source: want 1 to") && !strings.Contains(payload, "bridge") && validate(t, "request", []byte(payload)) == nil {
			t.Errorf("%s: want an error of the schema, have none", payload)
		}
	}
	if _, err := ParseRequest(Snapshot, []byte(`{"source":"a b"}`), when); err == nil || err.Error() != fmt.Sprintf(wantSource, `"a b"`) {
		t.Errorf("snapshot: have %v", err)
	}
}
