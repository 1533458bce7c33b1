package page

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"sightd/decide"
	"sightd/publish"
)

// noon is the time of the tests.
var noon = time.Date(2026, 9, 23, 12, 0, 0, 0, time.UTC)

// hostile is what strangers may call a label.
const hostile = "<script>alert(\"1\")</script> & \\ 'x'\n\u202e\xff{{.}}"

// calm is a board that is well.
func calm() Status {
	celsius := 48.31
	return Status{
		Name: "porch",
		Info: publish.Info{
			Version: "0.1.0",
			Model:   publish.ModelInfo{Name: "googlenet-imagenette-int8", SHA256: strings.Repeat("3f2a", 16), Labels: []string{"tench", "church"}},
			Delegate: publish.DelegateInfo{
				Requested: "auto", Active: "xnnpack", Reason: "XNNPACK runs 91 of 91 nodes; the fastest of those that are right", Threads: 3,
				Nodes: publish.NodeCount{Taken: 91, Total: 91},
				Tried: []publish.DelegateTrial{{Delegate: "xnnpack", Threads: 3, Passed: true, MS: 21.25}, {Delegate: "gpu", Reason: "no device"}},
			},
			Board: "Raspberry Pi 4 Model B Rev 1.4", Started: noon.Add(-76 * time.Hour),
		},
		Health: publish.Health{
			Status: publish.StatusOK,
			Checks: []publish.Finding{
				{Name: "model", Status: publish.CheckOK, Detail: "proven on 8 golden inputs"}, {Name: "outbox", Status: publish.CheckOK},
				{Name: "source door", Status: publish.CheckOK}, {Name: "source inbox", Status: publish.CheckOK},
			},
			Temperature: &celsius, RSS: 61 << 20, FPS: 4.97, Infer: &publish.Latency{P50: 21.4, P95: 25.25}, Step: &publish.Latency{P50: 28, P95: 36.5},
			Outbox:   publish.OutboxHealth{Pending: 2, Bytes: 4096, Oldest: noon.Add(-time.Second), Dropped: 3, Expired: 4},
			Requests: publish.RequestHealth{Held: 1, HeldMax: 4, Limit: 16, Answered: 17, Late: 2},
			Sources: []publish.SourceHealth{
				{Name: "door", Type: "v4l2", Seen: 1234567, Done: 40102, Dropped: 21, Unchanged: 90001, Paced: 1101000, Blind: 5, Stale: 6, Opened: 2, Errors: 1, FPS: 4.97},
				{Name: "inbox", Type: "folder", Seen: 14, Done: 11, Refused: 2, Ignored: 1, Pending: 7, Removed: 8},
			},
			MQTT: publish.MQTTHealth{Connects: 5, Unsent: 2}, Uptime: 76 * time.Hour, Time: noon,
		},
		Sources: []Source{
			{Name: "door", Available: publish.Online, State: publish.State{
				Best: &decide.Score{Label: "English springer", Index: 1, Score: 0.87}, Smoothed: 0.91, Since: noon.Add(-4 * time.Minute), Enabled: true}},
			{Name: "inbox", Available: publish.Online, State: publish.State{
				Best: &decide.Score{Label: "church", Index: 4, Score: 0.97}, Smoothed: 0.97, Since: noon.Add(-3 * time.Hour), Enabled: true}},
		},
		Broker: "mqtt://192.168.1.10", Limit: publish.MaxPayload, Connected: true, Classified: 40130, Heat: 1,
	}
}

// troubled is a board on which everything has gone wrong.
func troubled() Status {
	s := calm()
	s.Health.Status, s.Connected, s.Heat = publish.StatusFailing, false, 3.5
	s.Health.Outbox.Degraded = "no space left on device"
	s.Health.Checks = []publish.Finding{
		{Name: "delegate", Status: publish.CheckFail, Detail: hostile},
		{Name: "outbox", Status: publish.CheckWarn, Detail: "in memory only: no space left on device"},
		{Name: "heat", Status: publish.CheckWarn, Detail: "live sources are looked at 3.5 times as seldom: the board has 81 °C and slows itself down at 85 °C"},
	}
	s.Health.Sources[0].Problem = "no picture for 5s"
	s.Sources[0].Available = publish.Offline
	s.Sources[0].State.Unseen = true
	s.Sources[1].Available = publish.Disabled
	s.Sources[1].State.Best.Label = hostile + strings.Repeat("very long ", 200)
	s.Name = hostile
	s.Info.Board, s.Info.Version, s.Info.Model.Name, s.Info.Delegate.Reason = hostile, hostile, hostile, hostile
	s.Broker = hostile
	return s
}

// fresh is a board that has just been started and knows nothing.
func fresh() Status {
	return Status{Name: "new", Health: publish.Health{Status: publish.StatusDegraded, Time: noon}, Heat: 1, Limit: publish.MaxPayload}
}

// crowded has n cameras.
func crowded(n int) Status {
	s := calm()
	s.Health.Sources, s.Sources = nil, nil
	for i := range n {
		h, shown := calm().Health.Sources[0], calm().Sources[0]
		h.Name = fmt.Sprintf("camera-%02d", i)
		shown.Name = h.Name
		s.Health.Sources, s.Sources = append(s.Health.Sources, h), append(s.Sources, shown)
	}
	return s
}

func TestText(t *testing.T) {
	for _, test := range []struct{ have, want string }{
		{"plain", "plain"},
		{"a\nb\x00c\u2028d", "a�b�c�d"},
		{"a\xff\xfeb", "a�b"},
		{strings.Repeat("x", maxText), strings.Repeat("x", maxText)},
		{strings.Repeat("x", maxText+1), strings.Repeat("x", maxText) + "…"},
		{strings.Repeat("x", maxText-1) + "ä", strings.Repeat("x", maxText-1) + "…"},
	} {
		if got := text(test.have); got != test.want {
			t.Errorf("%.20q: want %q, have %q", test.have, test.want, got)
		}
	}
}

func TestLabel(t *testing.T) {
	for _, test := range []struct {
		best  *decide.Score
		label string
		score float64
	}{
		{nil, "", -1},
		{&decide.Score{Label: decide.None, Index: decide.NoIndex}, "", -1},
		{&decide.Score{Label: decide.Unknown, Index: decide.NoIndex}, decide.Unknown, -1},
		{&decide.Score{Label: "dogs", Index: decide.NoIndex, Score: 0.25}, "dogs", 0.5},
		{&decide.Score{Label: decide.None, Index: 3, Score: 0.25}, decide.None, 0.5}, // a class may be called so
	} {
		s := source{state: publish.State{Best: test.best, Smoothed: 0.5}}
		if label, score := s.label(); label != test.label || math.Abs(score-test.score) > 1e-6 {
			t.Errorf("%+v: want %q with %v, have %q with %v", test.best, test.label, test.score, label, score)
		}
	}
}
