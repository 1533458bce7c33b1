package publish

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

var testReload = ReloadResult{
	Model: "googlenet-int8", SHA256: testModel.SHA256, PreviousSHA256: strings.Repeat("c0de", 16), Delegate: "xnnpack", Threads: 4, Proven: 3,
	Changed: true, Took: 2345 * time.Millisecond,
	Keys: []string{"decide.enter", "sources.door"},
}

func TestReloadResponse(t *testing.T) {
	got, err := ReloadResponse(quote("a-1"), testReload, MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "response-reload.json", got)
	conforms(t, "response", got)
	r, ok := parseResponse(got)
	if back, err := ParseReload(r.Data); err != nil || !ok || !reflect.DeepEqual(back, testReload) {
		t.Errorf("want %+v back, have %+v, %v", testReload, back, err)
	}

	odd := ReloadResult{Model: strings.Repeat("\x00", 5000), SHA256: testModel.SHA256, Delegate: strings.Repeat("\"", 5000), Threads: -1, Proven: -1, Took: -time.Hour}
	transaction := quote(strings.Repeat("\\", maxTransaction))
	for limit := 8 << 10; limit >= 1536; limit -= 64 {
		got, err := ReloadResponse(transaction, odd, limit)
		if err != nil || len(got) > limit {
			t.Fatalf("limit %d: have %d bytes, %v", limit, len(got), err)
		}
		conforms(t, "response", got)
	}
}

func TestParseReloadRefused(t *testing.T) {
	for data, want := range map[string]string{
		``: "unexpected end of JSON input", `null`: `have "null"`, `{}`: `want the sha256 of a model, have "{}"`, `[]`: "cannot unmarshal array",
		`{"sha256":7}`: "cannot unmarshal number",
	} {
		if r, err := ParseReload([]byte(data)); err == nil || !strings.HasPrefix(err.Error(), "read the answer to reload: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want an error with %q, have %+v, %v", data, want, r, err)
		}
	}
}

func TestParseReloadRequest(t *testing.T) {
	for payload, transaction := range map[string]string{"": "", "{}": "", `{"transaction":7,"later":[]}`: "7", `{"source":7}`: ""} {
		r, err := ParseRequest(Reload, []byte(payload), when)
		if err != nil || string(r.Transaction) != transaction || r.Source != "" || r.Image != nil {
			t.Errorf("%q: have %+v, %v", payload, r, err)
		}
	}
	if r, err := ParseRequest(Reload, json.RawMessage(`[]`), when); err == nil {
		t.Errorf("want an error of an array, have %+v", r)
	}
}
