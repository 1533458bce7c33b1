package auction

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sightd/inference"
)

func TestLedgerStale(t *testing.T) {
	const day = 24 * time.Hour
	xnnpack := Receipt{Candidate: Candidate{inference.XNNPACK, 2}, Passed: true, MS: 2, Runs: 9}
	gpu := Receipt{Candidate: Candidate{inference.GPU, 2}, Passed: true, MS: 1, Runs: 9}
	noGPU, badGPU := Absent(gpu.Candidate, "no libLiteRt.so"), Lost(gpu.Candidate, "no Vulkan device")
	half := xnnpack // passes with one number of threads
	half.Delegate = inference.XNNPACKFP16
	badHalf := Lost(Candidate{inference.XNNPACKFP16, 4}, "hung")
	for _, test := range []struct {
		name      string
		requested inference.Delegate
		receipts  []Receipt
		age       time.Duration
		want      bool
	}{
		{"all pass", inference.Auto, []Receipt{gpu, xnnpack}, 1000 * day, false},
		{"one fails", inference.Auto, []Receipt{xnnpack, badGPU}, 0, false},
		{"one fails, a day ago", inference.Auto, []Receipt{xnnpack, badGPU}, day, false},
		{"one fails, longer ago", inference.Auto, []Receipt{xnnpack, badGPU}, day + 1, true},
		{"one fails, the clock was set back a little", inference.Auto, []Receipt{xnnpack, badGPU}, -day, false},
		{"one fails, the clock was set back", inference.Auto, []Receipt{xnnpack, badGPU}, -day - 1, true},
		{"one is absent", inference.Auto, []Receipt{xnnpack, noGPU}, 1000 * day, false},
		{"one is absent and one fails", inference.Auto, []Receipt{xnnpack, noGPU, badHalf}, day + 1, true},
		{"the requested one fails", inference.GPU, []Receipt{xnnpack, badGPU}, 0, true},
		{"the requested one is absent", inference.GPU, []Receipt{xnnpack, noGPU}, 1000 * day, false},
		{"the requested one passes", inference.GPU, []Receipt{gpu, xnnpack}, 1000 * day, false},
		{"another than the requested one fails", npu, []Receipt{xnnpack, badGPU}, 0, false},
		{"a number of threads of the requested one fails", inference.XNNPACKFP16, []Receipt{half, xnnpack, badHalf}, day, false},
		{"a number of threads of the requested one fails, longer ago", inference.XNNPACKFP16, []Receipt{half, xnnpack, badHalf}, day + 1, true},
		{"no delegate in the key", "", []Receipt{xnnpack, badGPU}, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			path, c := filepath.Join(t.TempDir(), "auction.json"), newClock()
			k := key
			k.Requested = string(test.requested)
			l := openLedger(t, path, c)
			if l.Stale(k) {
				t.Error("what isn't there is stale")
			}
			must(t, l.Keep(k, test.receipts))
			c.t = c.t.Add(test.age)
			for name, l := range map[string]*Ledger{"kept": l, "read": openLedger(t, path, c)} {
				if got := l.Stale(k); got != test.want {
					t.Errorf("%s: got stale %t, want %t", name, got, test.want)
				}
				if l.Receipts(k) == nil {
					t.Errorf("%s: the receipts are gone", name)
				}
			}
			must(t, l.Keep(k, []Receipt{gpu}))
			if l.Stale(k) {
				t.Error("stale, though it was measured anew and passed")
			}
		})
	}
}

// TestLedgerWithoutTime reads a file of before, which doesn't say when it was measured.
func TestLedgerWithoutTime(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "auction.json"), newClock()
	l := openLedger(t, path, c)
	must(t, l.Keep(key, ranked(1)))
	text, err := os.ReadFile(path)
	must(t, err)
	without := regexp.MustCompile(`(?m)^ *"at": .*\n`).ReplaceAllString(string(text), "")
	if without == string(text) || strings.Contains(without, "2026") {
		t.Fatalf("the time isn't left out of\n%s", without)
	}
	for _, test := range []struct {
		written time.Duration // ago
		want    bool
	}{{23 * time.Hour, false}, {25 * time.Hour, true}, {-1000 * time.Hour, false}} {
		must(t, os.WriteFile(path, []byte(without), 0o600))
		at := c.t.Add(-test.written)
		must(t, os.Chtimes(path, time.Time{}, at))
		l := openLedger(t, path, c)
		if got := l.Stale(key); got != test.want {
			t.Errorf("written %v ago: got stale %t, want %t", test.written, got, test.want)
		}
		must(t, l.Mark(key, npu, "hung")) // which writes the file
		if got := openLedger(t, path, c).Stale(key); got != test.want {
			t.Errorf("written %v ago, and again: got stale %t, want %t", test.written, got, test.want)
		}
	}
}

func TestLedgerMarksExpire(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "auction.json"), newClock()
	l := openLedger(t, path, c)
	marked := func(when string, d inference.Delegate, want string) {
		t.Helper()
		for name, l := range map[string]*Ledger{"kept": l, "read": openLedger(t, path, c)} {
			if got, since := l.Marked(key, d); got != want || since.IsZero() != (want == "") {
				t.Errorf("%s, %s: got mark %q of %v, want %q", when, name, got, since, want)
			}
		}
	}
	must(t, l.Mark(key, npu, "hung"))
	c.t = c.t.Add(7 * 24 * time.Hour)
	must(t, l.Mark(key, inference.GPU, "crashed"))
	marked("a week later", npu, "hung")
	c.t = c.t.Add(1)
	marked("later than that", npu, "")
	marked("later than that", inference.GPU, "crashed")
	if len(l.state.Marks) != 2 {
		t.Errorf("got %d marks before anything is saved, want both", len(l.state.Marks))
	}
	must(t, l.Keep(key, ranked(1)))
	text, err := os.ReadFile(path)
	must(t, err)
	if strings.Contains(string(text), "hung") || len(l.state.Marks) != 1 {
		t.Errorf("the mark that has expired is still there:\n%s", text)
	}
	c.t = c.t.AddDate(-56, 0, 0) // as on a board without a battery for its clock
	must(t, l.Leave())
	must(t, l.Keep(key, ranked(1)))
	marked("in the past", inference.GPU, "crashed")
}
