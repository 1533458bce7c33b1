package auction

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"sightd/inference"
)

func TestReceiptJSON(t *testing.T) {
	full := Receipt{
		Candidate: Candidate{inference.GPU, 4}, Passed: true, MS: 4.25, InitMS: 300, FirstMS: 9, Runs: 50, Proven: 3, Worst: 0.0125,
		Total: 88, Taken: inference.Unknown, Rest: []string{"SOFTMAX"},
	}
	text, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"delegate":"gpu","threads":4,"passed":true,"ms":4.25,"init_ms":300,"first_ms":9,"runs":50,"proven":3,` +
		`"total":88,"taken":-1,"rest":["SOFTMAX"],"worst":0.0125}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	var back Receipt
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, full) {
		t.Errorf("got %+v back, error %v, want %+v", back, err, full)
	}
	for _, worst := range []float64{math.NaN(), math.Inf(1)} {
		text, err := json.Marshal(Receipt{Reason: "broken", Worst: float32(worst)})
		if err != nil || !strings.Contains(string(text), `"worst":null`) {
			t.Errorf("worst difference %v: got %s, error %v, want null", worst, text, err)
		}
		if err := json.Unmarshal(text, &back); err != nil || back.Worst == back.Worst || back.Reason != "broken" || back.MS != 0 {
			t.Errorf("worst difference %v: got %+v back, error %v, want NaN", worst, back, err)
		}
	}
	absent := Absent(Candidate{inference.GPU, 1}, "no libLiteRt.so")
	text, err = json.Marshal(absent)
	if want := `{"delegate":"gpu","threads":1,"passed":false,"reason":"no libLiteRt.so","proven":0,"absent":true,"worst":0}`; err != nil || string(text) != want {
		t.Errorf("got  %s, error %v\nwant %s", text, err, want)
	}
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, absent) {
		t.Errorf("got %+v back, error %v, want %+v", back, err, absent)
	}
	if err := json.Unmarshal([]byte(`{"passed": 1}`), &back); err == nil {
		t.Error("passed 1: want an error")
	}
}

func TestHold(t *testing.T) {
	candidates := []Candidate{{inference.XNNPACK, 1}, {inference.GPU, 4}, {inference.CPU, 4}}
	busy := false
	receipts, err := Hold(t.Context(), candidates, func(_ context.Context, c Candidate) Receipt {
		if busy {
			t.Error("two at once")
		}
		busy = true
		defer func() { busy = false }()
		return Lost(Candidate{c.Delegate, 99}, "tried "+string(c.Delegate))
	})
	if err != nil || len(receipts) != 3 {
		t.Fatalf("got %v, error %v, want 3 receipts", receipts, err)
	}
	for i, r := range receipts {
		if want := "tried " + string(candidates[i].Delegate); r.Candidate != candidates[i] || r.Reason != want {
			t.Errorf("receipt %d is %+v, want that of %v", i, r, candidates[i])
		}
	}
}

func TestHoldIsEnded(t *testing.T) {
	candidates := []Candidate{{inference.XNNPACK, 1}, {inference.GPU, 4}, {inference.CPU, 4}}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	var tried []Candidate
	receipts, err := Hold(ctx, candidates, func(_ context.Context, c Candidate) Receipt {
		if tried = append(tried, c); len(tried) == 2 {
			cancel(enough)
		}
		return Lost(c, "stopped")
	})
	if !errors.Is(err, enough) || err.Error() != "try gpu: enough" {
		t.Errorf("got error %v, want that of the context", err)
	}
	if len(tried) != 2 || len(receipts) != 1 || receipts[0].Candidate != candidates[0] {
		t.Errorf("tried %v, got %v, want the receipt of the first alone", tried, receipts)
	}
	receipts, err = Hold(ctx, candidates, func(context.Context, Candidate) Receipt {
		t.Error("tried behind the end")
		return Receipt{}
	})
	if err == nil || len(receipts) != 0 {
		t.Errorf("got %v, error %v, want an error alone", receipts, err)
	}
}
