package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// testInfo says something in every key.
func testInfo() Info {
	return Info{
		Version: "0.1.0",
		Model:   ModelInfo{Name: "googlenet-int8", SHA256: testModel.SHA256, Labels: []string{"tench", "crane", "crane"}},
		Delegate: DelegateInfo{
			Requested: "auto", Active: "xnnpack", Reason: "reproduces the golden scores", Threads: 4, Nodes: NodeCount{Taken: 88, Total: 88},
			Tried: []DelegateTrial{
				{Delegate: "xnnpack", Threads: 4, Passed: true, MS: 31.41592},
				{Delegate: "cpu", Threads: 4, Passed: true, MS: 241, Reason: "slower"},
				{Delegate: "gpu", Threads: 1, Reason: "killed by\nsignal 11"},
			},
		},
		Board:   "Raspberry Pi 5 Model B Rev 1.0\x00",
		Started: when,
	}
}

func TestInfoPayload(t *testing.T) {
	many := Info{Started: when, Model: ModelInfo{Labels: make([]string, MaxPayload/3+1)}} // "",
	part := Info{Started: when, Delegate: DelegateInfo{Active: "external:/usr/lib/libedgetpu.so.1", Nodes: NodeCount{Taken: -1, Total: 88}}}
	for name, i := range map[string]Info{"info.json": testInfo(), "info-empty.json": {Started: when}, "info-too-many.json": many, "info-part.json": part} {
		got, err := InfoPayload(i, MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, got)
		conforms(t, "info", got)
	}
	if _, err := InfoPayload(testInfo(), 100); !errors.As(err, new(tooLarge)) {
		t.Errorf("without room for the rest either: want an error, have %v", err)
	}
	if m := testInfo().model(); m != testModel {
		t.Errorf("model of the events: want %+v, have %+v", testModel, m)
	}
}

// TestInfoPayloadLimit wants what matters the least to go first, and the smallest payload that can be configured to have room.
func TestInfoPayloadLimit(t *testing.T) {
	i := testInfo()
	long := strings.Repeat("\"", maxText+1)
	i.Delegate.Reason, i.Board, i.Delegate.Tried = long, long, nil
	for n := range MaxTried + 8 {
		i.Delegate.Tried = append(i.Delegate.Tried, DelegateTrial{Delegate: fmt.Sprint("external:/", n, long), Threads: n, MS: math.MaxFloat32, Reason: long})
	}
	i.Model.Labels = make([]string, 1000)
	for k := range i.Model.Labels {
		i.Model.Labels[k] = "tench"
	}
	tried, labels := MaxTried, len(i.Model.Labels)
	for limit := MaxPayload; limit >= 4<<10; limit -= 128 + limit/8 {
		payload, err := InfoPayload(i, limit)
		if err != nil {
			t.Fatalf("limit %d: %v", limit, err)
		}
		var have infoJSON
		if err := json.Unmarshal(payload, &have); err != nil {
			t.Fatal(err)
		}
		d, l := have.Delegate, len(have.Model.Labels)
		switch {
		case len(payload) > limit:
			t.Fatalf("limit %d: have %d bytes", limit, len(payload))
		case l > labels || l != 0 && l != len(i.Model.Labels) || l != 0 && len(d.Tried) < MaxTried:
			t.Fatalf("limit %d: have %d labels and %d trials", limit, l, len(d.Tried))
		case len(d.Tried) > tried || len(d.Tried) == 0 || d.Tried[0].Threads != 0 || d.Threads != 4 || *d.Nodes.Taken != 88:
			t.Fatalf("limit %d: want at most %d trials, the first ones, have %s", limit, tried, payload)
		}
		if cut := len(d.Tried[0].Reason) < maxText; l == 0 && !cut {
			t.Fatalf("limit %d: the labels went before the ends of texts", limit)
		}
		tried, labels = len(d.Tried), l
		conforms(t, "info", payload)
	}
	if tried == MaxTried || labels != 0 {
		t.Errorf("want less at the end, have %d trials, %d labels", tried, labels)
	}
	if n := len(i.Delegate.Tried); n != MaxTried+8 {
		t.Errorf("the caller's description has %d trials left", n)
	}
}
