package publish

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"sightd/decide"
)

func TestStatePayload(t *testing.T) {
	for name, s := range map[string]State{
		"state": {
			Best: &decide.Score{Label: "tabby cat", Index: 281, Score: 0.87001}, Smoothed: 0.91234, Since: when.Add(-time.Hour),
			Enabled: true, Seq: 1841, Time: when,
		},
		"state-none":    {Best: &decide.Score{Label: decide.None, Index: decide.NoIndex}, Enabled: true, Time: when},
		"state-group":   {Best: &decide.Score{Label: "cat", Index: decide.NoIndex, Score: 0.93}, Smoothed: 0.9, Since: when, Enabled: true, Seq: 1, Time: when},
		"state-unknown": {Best: &decide.Score{Label: decide.Unknown, Index: decide.NoIndex, Score: 0.3}, Smoothed: 0.2, Since: when, Enabled: true, Time: when},
		"state-named":   {Best: &decide.Score{Label: decide.None, Index: 3, Score: 0.5}, Smoothed: 0.5, Since: when, Time: when}, // a class that is called so
		"state-problem": {Problem: "open /dev/video0:\nno such file", Seq: 7, Time: when},
	} {
		got, err := StatePayload(s, MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", got)
		conforms(t, "state", got)
	}
}

func TestStatePayloadLimit(t *testing.T) {
	long := strings.Repeat("\"", 5000)
	s := State{Best: &decide.Score{Label: long, Index: math.MaxInt32, Score: 0.1234}, Smoothed: 0.4321, Since: when, Problem: long, Seq: math.MaxUint64, Time: when}
	for _, limit := range []int{MaxPayload, 1024, 512} {
		got, err := StatePayload(s, limit)
		if err != nil {
			t.Fatal(err)
		}
		conforms(t, "state", got)
		if len(got) > limit {
			t.Errorf("limit %d: have %d bytes", limit, len(got))
		}
	}
	if _, err := StatePayload(s, 100); !errors.As(err, new(tooLarge)) {
		t.Errorf("want an error of the limit, have %v", err)
	}
	s.Smoothed = float32(math.NaN())
	if _, err := StatePayload(s, MaxPayload); err == nil || errors.As(err, new(tooLarge)) {
		t.Errorf("want an error of NaN, have %v", err)
	}
}

// busyHealth has a value for everything.
func busyHealth() Health {
	degrees := 51.25
	return Health{
		Status: StatusDegraded,
		Checks: []Finding{
			{Name: "model", Status: CheckOK},
			{Name: "outbox", Status: CheckWarn, Detail: "events are kept in memory only: no space left on device"},
		},
		Temperature: &degrees, RSS: 71_303_168, FPS: 1.499, Infer: &Latency{P50: 31.41592, P95: 44.4}, Step: &Latency{P50: 40, P95: 61.239},
		Outbox: OutboxHealth{
			Pending: 17, Bytes: 12_345, Oldest: when.Add(-time.Minute), Dropped: 2, Expired: 1, Degraded: "no space left on device",
		},
		Requests: RequestHealth{Held: 1, HeldMax: 4, Limit: 4, Answered: 600, Late: 3},
		Sources: []SourceHealth{
			{Name: "inbox", Type: "folder", Seen: 2000, Done: 1990, Refused: 5, Ignored: 2, Errors: 1, Pending: 2, Removed: 400},
			{Name: "door", Type: "folder", Problem: "open /srv/door: permission denied"},
			{Name: "yard", Type: "v4l2", Seen: 90_000, Done: 30_000, Dropped: 17, Unchanged: 59_000, Paced: 900, Blind: 70, Stale: 3, Opened: 2, FPS: 14.987},
		},
		MQTT: MQTTHealth{Connects: 6, Unsent: 1}, Uptime: 25*time.Hour + 999*time.Millisecond, Time: when,
	}
}

func TestHealthPayload(t *testing.T) {
	for name, h := range map[string]Health{"health": busyHealth(), "health-none": {Status: StatusOK, Time: when}} {
		got, err := HealthPayload(h, MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", got)
		conforms(t, "health", got)
	}
}

func TestHealthPayloadLimit(t *testing.T) {
	h := busyHealth()
	for range 62 {
		h.Sources = append(h.Sources, SourceHealth{Name: "s", Type: "folder", Problem: strings.Repeat("ß", 2000)})
	}
	for _, limit := range []int{MaxPayload, 32 << 10, 16 << 10} {
		got, err := HealthPayload(h, limit)
		if err != nil {
			t.Fatal(err)
		}
		conforms(t, "health", got)
		if len(got) > limit {
			t.Errorf("limit %d: have %d bytes", limit, len(got))
		}
	}
	if _, err := HealthPayload(h, 1024); !errors.As(err, new(tooLarge)) {
		t.Errorf("want an error of the limit, have %v", err)
	}
	h.FPS = math.Inf(1)
	if _, err := HealthPayload(h, MaxPayload); err == nil || errors.As(err, new(tooLarge)) {
		t.Errorf("want an error of infinity, have %v", err)
	}
}

func BenchmarkStatePayload(b *testing.B) {
	s := State{Best: &decide.Score{Label: "tabby cat", Index: 281, Score: 0.87}, Smoothed: 0.91, Since: when, Enabled: true, Time: when}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := StatePayload(s, MaxPayload); err != nil {
			b.Fatal(err)
		}
	}
}
