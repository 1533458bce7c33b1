package daemon

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightd/inference"
	"sightd/inference/auction"
	"sightd/inference/tflite/faulty"
	"sightd/models"
)

// bareModel copies the embedded model, without its card.
func bareModel(t testing.TB) string {
	t.Helper()
	data, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bare.tflite")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTry(t *testing.T) {
	_, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	bare := bareModel(t)
	for _, test := range []struct {
		trial     Trial
		proven    int
		taken     int
		tolerance float32
	}{
		{Trial{Candidate: auction.Candidate{Delegate: inference.CPU, Threads: 1}}, 4, 0, card.Golden.Tolerance},
		{Trial{Candidate: auction.Candidate{Delegate: inference.XNNPACK, Threads: 2}, SHA256: card.File.SHA256}, 4, 88, card.Golden.Tolerance},
		{Trial{Candidate: auction.Candidate{Delegate: inference.XNNPACK, Threads: 1}, Model: bare}, 4, 88, referenceTolerance},
		{Trial{Candidate: auction.Candidate{Delegate: inference.CPU, Threads: 1}, Model: bare}, 0, 0, 0},
	} {
		r := Try(t.Context(), test.trial)
		if !r.Passed || r.Reason != "" || r.Candidate != test.trial.Candidate || r.Proven != test.proven || !(r.Worst >= 0 && r.Worst <= test.tolerance) {
			t.Errorf("%+v: got %#v, want it proven on %d inputs, off by at most %v", test.trial, r, test.proven, test.tolerance)
		}
		if !(r.MS > 0) || !(r.InitMS > 0) || !(r.FirstMS > 0) || r.Runs < trialLeast || r.Runs > trialRuns || r.Total != 88 || r.Taken != test.taken {
			t.Errorf("%+v: got %#v, want times of %d to %d runs, %d of 88 nodes", test.trial, r, trialLeast, trialRuns, test.taken)
		}
	}
}

func TestTryFails(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "odd.tflite")
	if err := os.WriteFile(odd, []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	labels := filepath.Join(dir, "labels.txt")
	if err := os.WriteFile(labels, []byte("a\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	xnnpack := auction.Candidate{Delegate: inference.XNNPACK, Threads: 1}
	for _, test := range []struct {
		name  string
		trial Trial
		want  string
	}{
		{"another file", Trial{Candidate: xnnpack, SHA256: strings.Repeat("0", 64)}, "open model embedded: want the file with sha256 " + strings.Repeat("0", 64)},
		{"no file", Trial{Candidate: xnnpack, Model: filepath.Join(dir, "none.tflite")}, "none.tflite: no such file or directory"},
		{"no model", Trial{Candidate: xnnpack, Model: odd}, "odd.tflite"},
		{"labels of another", Trial{Candidate: xnnpack, Labels: labels}, "have 2 labels, the model has 10 classes"},
		{"no such delegate", Trial{Candidate: auction.Candidate{Delegate: "tpu", Threads: 1}}, `have "tpu"`},
		{"no library", Trial{Candidate: auction.Candidate{Delegate: "external:/none/x.so", Threads: 1}}, "/none/x.so: no such file or directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if r := Try(t.Context(), test.trial); r.Passed || !strings.Contains(r.Reason, test.want) || r.Candidate != test.trial.Candidate || r.Runs != 0 {
				t.Errorf("got %#v, want reason %q", r, test.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := Try(ctx, Trial{Candidate: xnnpack}); r.Passed || !strings.Contains(r.Reason, context.Canceled.Error()) {
		t.Errorf("stopped: got %#v, want it to say so", r)
	}
}

// TestTryWithoutCard proves a model without a card against the built-in kernels.
func TestTryWithoutCard(t *testing.T) {
	bare, library := bareModel(t), faulty.Build(t)
	r := Try(t.Context(), Trial{Candidate: auction.Candidate{Delegate: inference.Delegate(inference.External + library + "?do=wrong"), Threads: 1}, Model: bare})
	if r.Passed || !strings.Contains(r.Reason, "prove golden input golf_ball: score of class ") {
		t.Errorf("wrong scores: got %#v, want them noticed", r)
	}
	r = Try(t.Context(), Trial{Candidate: auction.Candidate{Delegate: inference.Delegate(inference.External + library), Threads: 1}, Model: bare})
	if !r.Passed || r.Proven != 4 || r.Taken != 1 || r.Total != 88 || len(r.Rest) != 87 {
		t.Errorf("right scores: got %#v, want it proven, with 1 of 88 nodes", r)
	}
}

// TestOpenReplaced opens a model whose file was replaced meanwhile.
func TestOpenReplaced(t *testing.T) {
	bare := bareModel(t)
	m, err := load(bare)
	if err != nil {
		t.Fatal(err)
	}
	o := EngineOptions{Model: bare, SHA256: m.sum, Options: inference.Options{Delegate: inference.XNNPACK, Threads: 1}}
	e, err := OpenEngine(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(bare, append(m.data, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	if e, err = OpenEngine(o); err == nil {
		t.Error("the other file is opened: want an error", e.Close())
	} else if !strings.Contains(err.Error(), "it was replaced by one with ") {
		t.Errorf("got error %v, want one of the other file", err)
	}
}
