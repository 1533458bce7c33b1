package publish

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The starts of two files, which is all that is looked at.
const (
	jpegFile = "\xff\xd8\xff\xe0 and so on"
	pngFile  = "\x89PNG\r\n\x1a\n and on"
)

func b64(file string) string { return base64.StdEncoding.EncodeToString([]byte(file)) }

func TestParseRequest(t *testing.T) {
	inLines := strings.ReplaceAll(b64(jpegFile), "h", `h\r\n`) + `\n`
	for _, tt := range []struct {
		name, command, payload string
		transaction, image     string
		expires, resize        string
	}{
		{name: "nothing", command: HealthCheck},
		{name: "white space", command: HealthCheck, payload: " \n"},
		{name: "no keys", command: HealthCheck, payload: " {} "},
		{name: "text", command: HealthCheck, payload: `{"transaction":"a/+#\u00e9\""}`, transaction: `"a/+#é\""`},
		{name: "number", command: HealthCheck, payload: `{"transaction": -1.50e+3}`, transaction: `-1.50e+3`},
		{name: "boolean", command: HealthCheck, payload: `{"transaction":false}`, transaction: `false`},
		{name: "null", command: HealthCheck, payload: `{"transaction":null}`},
		{name: "empty text", command: HealthCheck, payload: `{"transaction":""}`, transaction: `""`},
		{name: "other keys", command: HealthCheck, payload: `{"Transaction":1,"image":7,"x":{"y":[]}}`},
		{name: "the last counts", command: HealthCheck, payload: `{"transaction":1,"transaction":2}`, transaction: `2`},
		{name: "unknown command", command: "later", payload: `{"transaction":3,"image":[]}`, transaction: `3`},
		{
			name: "all", command: Classify, transaction: `5`, image: jpegFile, expires: "2026-09-23T10:15:30.5+02:00", resize: "crop",
			payload: `{"transaction":5,"image":"` + b64(jpegFile) + `","expires":"2026-09-23T10:15:30.5+02:00","resize":"crop"}`,
		},
		{name: "nulls", command: Classify, payload: `{"image":"` + b64(pngFile) + `","expires":null,"resize":null}`, image: pngFile},
		{name: "no padding", command: Classify, payload: `{"image":"` + strings.TrimRight(b64(pngFile), "=") + `"}`, image: pngFile},
		{name: "lines", command: Classify, payload: `{"image":"` + inLines + `"}`, image: jpegFile},
		{name: "data URL", command: Classify, payload: `{"image":"data:image/jpeg;base64,` + b64(jpegFile) + `"}`, image: jpegFile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ParseRequest(tt.command, []byte(tt.payload), when)
			if err != nil {
				t.Fatal(err)
			}
			var expires time.Time
			if tt.expires != "" {
				if expires, err = time.Parse(time.RFC3339, tt.expires); err != nil {
					t.Fatal(err)
				}
			}
			if string(r.Transaction) != tt.transaction || string(r.Image) != tt.image || !r.Expires.Equal(expires) || r.Resize != tt.resize {
				t.Errorf("have %+v", r)
			}
			if r.Source != "" || !r.At.IsZero() || r.Span != 0 {
				t.Errorf("want nothing of other commands, have %+v", r)
			}
			if strings.HasPrefix(strings.TrimSpace(tt.payload), "{") && tt.name != "unknown command" && tt.name != "other keys" {
				conforms(t, "request", []byte(tt.payload))
			}
		})
	}
}

func TestParseRequestRefused(t *testing.T) {
	file := b64(jpegFile)
	for _, tt := range []struct{ command, payload, transaction, want string }{
		{HealthCheck, `[]`, ``, `parse request: want a JSON object such as {"transaction":1}, have "[]"`},
		{HealthCheck, `null`, ``, `parse request: want a JSON object such as {"transaction":1}, have "null"`},
		{HealthCheck, `{"transaction":1`, ``, `parse request: want a JSON object such as {"transaction":1}: unexpected end of JSON input`},
		{HealthCheck, `{} {}`, ``, `parse request: want a JSON object such as {"transaction":1}: invalid character '{' after top-level value`},
		{HealthCheck, "{\"a\":\"\xff\"}", ``, `parse request: want a JSON object such as {"transaction":1}, have bytes that are no UTF-8`},
		{HealthCheck, strings.Repeat("a", 70), ``, `parse request: want a JSON object such as {"transaction":1}, have "` + strings.Repeat("a", 64) + `" and 6 bytes more`},
		{Classify, jpegFile, ``, `parse request: want a JSON object such as {"transaction":1}, have a picture: send that to .../request/classify/<transaction>`},
		{HealthCheck, `{"transaction":[1]}`, ``, `parse request: transaction: want a string, a number or a boolean, have "[1]"`},
		{HealthCheck, `{"transaction":{}}`, ``, `parse request: transaction: want a string, a number or a boolean, have "{}"`},
		{HealthCheck, `{"transaction":"\u0000"}`, ``, `parse request: transaction: want at most 128 bytes of printable text, have "\"\\u0000\""`},
		{HealthCheck, `{"transaction":"` + strings.Repeat("é", 65) + `"}`, ``, `parse request: transaction: want at most 128 bytes of printable text, have "\"` + strings.Repeat("é", 31) + `\xc3" and 68 bytes more`},
		{HealthCheck, `{"transaction":` + strings.Repeat("1", 129) + `}`, ``, `parse request: transaction: want at most 128 digits, have 129`},
		{Classify, ``, ``, `parse request: image: want a JPEG or PNG file in base64, have none`},
		{Classify, `{"transaction":1,"image":7}`, `1`, `parse request: image: want a string, have "7"`},
		{Classify, `{"transaction":1,"image":""}`, `1`, `parse request: image: want a JPEG or PNG file, have 0 bytes of something else`},
		{Classify, `{"transaction":1,"image":"R0lGODlh"}`, `1`, `parse request: image: want a JPEG or PNG file, have 6 bytes of something else`},
		{Classify, `{"transaction":1,"image":"` + file + `==="}`, `1`, `parse request: image: want base64: illegal base64 data at input byte 19`},
		{Classify, `{"transaction":1,"image":"data:image/jpeg,` + file + `"}`, `1`, `parse request: image: want a data URL of base64, data:image/jpeg;base64,..., have another`},
		{Classify, `{"transaction":1,"expires":"tomorrow"}`, `1`, `parse request: expires: want a time such as 2026-09-23T10:15:30Z (RFC 3339), have "\"tomorrow\""`},
		{Classify, `{"transaction":1,"expires":7}`, `1`, `parse request: expires: want a string, have "7"`},
		{Classify, `{"transaction":1,"resize":"Crop"}`, `1`, `parse request: resize: want one of squash, crop, letterbox, have "\"Crop\""`},
		{Classify, `{"transaction":1,"resize":false}`, `1`, `parse request: resize: want a string, have "false"`},
	} {
		r, err := ParseRequest(tt.command, []byte(tt.payload), when)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: want error\n%s\nhave\n%v", tt.payload, tt.want, err)
		}
		if string(r.Transaction) != tt.transaction || r.Image != nil {
			t.Errorf("%s: want transaction %s, have %+v", tt.payload, tt.transaction, r)
		}
	}
}

func TestParseImageRequest(t *testing.T) {
	for _, file := range []string{jpegFile, pngFile} {
		r, err := ParseImageRequest(`a"b`, []byte(file))
		if err != nil || string(r.Transaction) != `"a\"b"` || string(r.Image) != file {
			t.Errorf("have %+v, %v", r, err)
		}
	}
	for _, payload := range []string{"", "\xff\xd8", "GIF89a", `{"image":""}`} {
		r, err := ParseImageRequest("7", []byte(payload))
		want := fmt.Sprintf("parse request: want a JPEG or PNG file, have %d bytes of something else", len(payload))
		if err == nil || err.Error() != want || string(r.Transaction) != `"7"` || r.Image != nil {
			t.Errorf("%q: have %+v, %v", payload, r, err)
		}
	}
}

func TestLate(t *testing.T) {
	for _, tt := range []struct {
		expires time.Time
		want    bool
	}{{time.Time{}, false}, {when, false}, {when.Add(time.Second), false}, {when.Add(-time.Nanosecond), true}} {
		if have := (Request{Expires: tt.expires}).Late(when); have != tt.want {
			t.Errorf("expires %v, now %v: have late %v", tt.expires, when, have)
		}
	}
}

func TestParseSet(t *testing.T) {
	for payload, want := range map[string]bool{
		`{"enabled":true}`: true, `{"enabled":false}`: false, ` { "enabled" : true }` + "\n": true, `{"value":true}`: true,
		`{"value":false}`: false, "true": true, "false": false, "ON": true, "OFF": false, "on": true, "Off": false, " TRUE\r\n": true,
	} {
		have, err := ParseSet([]byte(payload))
		if err != nil || have != want {
			t.Errorf("%q: want %v, have %v, %v", payload, want, have, err)
		}
	}
	const want = `parse set: want {"enabled":true}, {"enabled":false}, ON or OFF, have `
	for payload, have := range map[string]string{
		"": "nothing", " ": "nothing", "1": `"1"`, "yes": `"yes"`, `"ON"`: `"\"ON\""`, "null": `"null"`, "[true]": `"[true]"`, "{}": `"{}"`, "{": `"{"`,
		`{"enabled":"ON"}`: `"{\"enabled\":\"ON\"}"`, `{"enabled":1}`: `"{\"enabled\":1}"`, `{"enabled":null}`: `"{\"enabled\":null}"`,
		`{"Enabled":true}`: `"{\"Enabled\":true}"`, `{"enabled":true}x`: `"{\"enabled\":true}x"`,
		`{"enabled":true,"value":false}`:     `"{\"enabled\":true,\"value\":false}"`,
		`{"enabled":true,"transaction":1}`:   `"{\"enabled\":true,\"transaction\":1}"`,
		"{\"\xff\":true}":                    `"{\"\xff\":true}"`,
		"true" + strings.Repeat(" ", 300):    "",
		"true" + strings.Repeat(" x", 300):   `"true` + strings.Repeat(" x", 30) + `" and 540 bytes more`,
		strings.Repeat("{\"enabled\":", 100): `"` + strings.Repeat(`{\"enabled\":`, 5) + `{\"enabled" and 1036 bytes more`,
	} {
		if _, err := ParseSet([]byte(payload)); have == "" && err != nil || have != "" && (err == nil || err.Error() != want+have) {
			t.Errorf("%q: want %s, have %v", payload, want+have, err)
		}
	}
}

// TestSetSchema compares ParseSet with the schema, on JSON.
func TestSetSchema(t *testing.T) {
	for _, payload := range []string{
		`{"enabled":true}`, `{"enabled":false}`, `{"value":true}`, `true`, `false`, `{}`, `null`, `1`, `"ON"`, `{"enabled":1}`,
		`{"enabled":true,"value":true}`, `{"enabled":true,"x":1}`, `[]`,
	} {
		_, err := ParseSet([]byte(payload))
		if schema := validate(t, "set", []byte(payload)); (err == nil) != (schema == nil) {
			t.Errorf("%s: ParseSet says %v, the schema %v", payload, err, schema)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{
		"", "{}", `{"transaction":1}`, `{"transaction":"\ud800"}`, `{"image":"` + b64(jpegFile) + `","transaction": "é"}`,
		`{"source":"door","at":"2026-09-23T10:15:30Z","span_s":60}`, `{"source":"a","at":"14:03:59.5","span_s":1.5e1}`, `{"at":"24:00","source":"é"}`,
		`{"expires":"2026-09-23T10:15:30Z"}`, `{"resize":"crop","image":"data:;base64,/9j/"}`, jpegFile, strings.Repeat("[", 1000),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		for _, command := range []string{HealthCheck, Classify, Explain, Snapshot, Reload} {
			r, err := ParseRequest(command, []byte(payload), when)
			if err == nil && command == Classify && checkImage(r.Image) != nil || len(r.Image) > len(payload) {
				t.Fatalf("have image %q", r.Image)
			}
			if live := command == Explain || command == Snapshot; err == nil && live != ValidSource(r.Source) {
				t.Fatalf("have source %q", r.Source)
			}
			if err == nil && command == Explain && (r.Span < MinSpan || r.Span > MaxSpan || r.At.Year() < 1969 || r.At.Year() > 9999) {
				t.Fatalf("have %v around %v", r.Span, r.At)
			}
			if err != nil && !utf8.ValidString(err.Error()) {
				t.Fatalf("have error %q", err)
			}
			response, err := ResponsePayload(Response{Transaction: r.Transaction}, around)
			if err != nil {
				t.Fatalf("answer with transaction %s: %v", r.Transaction, err)
			}
			conforms(t, "response", response)
		}
	})
}

func FuzzParseSet(f *testing.F) {
	for _, s := range []string{"", "ON", "{\"enabled\":true}", `{"value":null}`, "\xff", "{\"\xff\":true}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		if _, err := ParseSet([]byte(payload)); err == nil && json.Valid([]byte(payload)) {
			conforms(t, "set", []byte(payload))
		}
	})
}

func BenchmarkParseRequest(b *testing.B) {
	payload := []byte(`{"transaction":1,"image":"` + b64(jpegFile+strings.Repeat("x", 100_000)) + `"}`)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseRequest(Classify, payload, when); err != nil {
			b.Fatal(err)
		}
	}
}
