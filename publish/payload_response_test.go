package publish

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"sightd/decide"
)

func TestResponses(t *testing.T) {
	e := classified("01J8Z6", "")
	e.Source = "request"
	refused := decide.Event{Kind: decide.Refused, ID: "01J8Z7", Time: when, Source: "request", Error: "decode the picture: no end marker"}
	failing := busyHealth()
	failing.Status = StatusFailing
	for name, build := range map[string]func() ([]byte, error){
		"response-classify": func() ([]byte, error) { return ClassifyResponse(quote("a-1"), e, testModel, MaxPayload) },
		"response-refused":  func() ([]byte, error) { return ClassifyResponse(json.RawMessage("23"), refused, testModel, MaxPayload) },
		"response-health":   func() ([]byte, error) { return HealthResponse(nil, busyHealth(), MaxPayload) },
		"response-failing":  func() ([]byte, error) { return HealthResponse(json.RawMessage("true"), failing, MaxPayload) },
		"response-error": func() ([]byte, error) {
			return ErrorResponse(json.RawMessage("1e400"), errors.New("unknown command \x1b[31m"), MaxPayload)
		},
		"response-empty": func() ([]byte, error) { return ResponsePayload(Response{}, MaxPayload) },
	} {
		t.Run(name, func(t *testing.T) {
			got, err := build()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", got)
			conforms(t, "response", got)
		})
	}
}

// TestResponseLimit gives responses of every kind, with the largest transaction there is, ever less room.
func TestResponseLimit(t *testing.T) {
	transaction := quote(strings.Repeat("\\", maxTransaction))
	e := classified("01J8Z6", strings.Repeat("x", 5000))
	for limit := 20_000; limit >= 1536; limit -= 64 {
		for kind, build := range map[string]func() ([]byte, error){
			"ok": func() ([]byte, error) { return ClassifyResponse(transaction, e, testModel, limit) },
			"error": func() ([]byte, error) {
				return ErrorResponse(transaction, errors.New(strings.Repeat("ü", 5000)), limit)
			},
		} {
			got, err := build()
			if err != nil {
				t.Fatalf("limit %d: %s: %v", limit, kind, err)
			}
			conforms(t, "response", got)
			var have responseJSON
			if err := json.Unmarshal(got, &have); err != nil {
				t.Fatal(err)
			}
			if len(got) > limit || have.Status != kind || string(have.Transaction) != string(transaction) {
				t.Fatalf("limit %d: %s: have %d bytes: %s", limit, kind, len(got), got)
			}
		}
	}
}

// TestResponseTooLarge wants an answer for who waits, even if it can't be the one that was asked for.
func TestResponseTooLarge(t *testing.T) {
	data := quote(strings.Repeat("x", 1000))
	got, err := ResponsePayload(Response{Data: data, Transaction: json.RawMessage("7")}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"data":null,"status":"error","error":"answer is too large: want at most 1000 bytes, have 1054","transaction":7}`
	if string(got) != want {
		t.Errorf("want %s, have %s", want, got)
	}
	for name, r := range map[string]Response{
		"no room for an error": {Data: data, Transaction: quote(strings.Repeat("x", 100))},
		"no JSON":              {Data: json.RawMessage("{")},
	} {
		if got, err := ResponsePayload(r, 100); err == nil {
			t.Errorf("%s: want an error, have %s", name, got)
		}
	}
}
