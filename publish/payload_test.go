package publish

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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
			got, err := EventPayload(tt.event, testModel)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "event-"+tt.name+".json", got)
		})
	}
}

func TestInfoPayload(t *testing.T) {
	info := Info{
		Version:  "0.1.0",
		Model:    ModelInfo{Name: "googlenet-int8", SHA256: testModel.SHA256, Labels: []string{"tench", "crane", "crane"}},
		Delegate: DelegateInfo{Requested: "auto", Active: "xnnpack", Reason: "reproduces the golden scores"},
		Board:    "Raspberry Pi 5 Model B Rev 1.0\x00",
		Started:  when,
	}
	got, err := InfoPayload(info)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "info.json", got)

	if got, err = InfoPayload(Info{Started: when}); err != nil {
		t.Fatal(err)
	}
	golden(t, "info-empty.json", got)
	many := Info{Started: when, Model: ModelInfo{Labels: make([]string, MaxPayload/3+1)}} // "",
	if got, err = InfoPayload(many); err != nil {
		t.Fatal(err)
	}
	golden(t, "info-too-many.json", got)
	if m := info.model(); m != testModel {
		t.Errorf("model of the events: want %+v, have %+v", testModel, m)
	}
}

func TestPayloadRefused(t *testing.T) {
	nan := classified("nan", "x.jpg")
	nan.Top[0].Score = float32(math.NaN())
	large := classified("large", strings.Repeat("x", MaxPayload))
	for want, e := range map[string]decide.Event{
		"encode event nan: json: unsupported value: NaN":        nan,
		"encode event large: want at most 262144 bytes, have 2": large,
	} {
		if _, err := EventPayload(e, testModel); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want error %q, have %v", want, err)
		}
	}
}

func FuzzEventPayload(f *testing.F) {
	f.Add("a.jpg", "tabby cat", "", float32(0.5))
	f.Add("\xff\x00\u2028", "\u200b\x7f", strings.Repeat("é", 1000), float32(-1e30))
	f.Fuzz(func(t *testing.T, file, label, text string, score float32) {
		e := decide.Event{Kind: decide.Classified, Source: "s", Time: when, File: file, Error: text}
		e.Top = []decide.Score{{Label: label, Score: score}}
		got, err := EventPayload(e, Model{Name: label})
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
		for _, s := range []*string{back.Label, back.File, back.Error, &back.Model} {
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
		if _, err := EventPayload(e, testModel); err != nil {
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
