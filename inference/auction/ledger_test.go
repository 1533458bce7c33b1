package auction

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sightd/inference"
)

// clock is a clock that is set by hand.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock() *clock { return &clock{time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)} }

func openLedger(t *testing.T, path string, c *clock) *Ledger {
	t.Helper()
	l, warning := OpenLedger(path, c.now)
	if warning != "" {
		t.Fatal(warning)
	}
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var key = Key{Model: "abc", Libraries: "2.20 0123", Board: "Pi 5", Kernel: "6.12", Requested: "auto", Cores: 4}

func ranked(ms float64) []Receipt {
	return []Receipt{
		{Candidate: Candidate{inference.XNNPACK, 4}, Passed: true, MS: ms, Runs: 50, Proven: 3, Worst: 0.01, Total: 88, Taken: 88},
		{Candidate: Candidate{inference.CPU, 4}, Passed: true, MS: 9 * ms, Runs: 50, Reason: "slower"},
		Lost(Candidate{npu, 4}, "crashed"),
	}
}

func TestLedgerKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auction.json")
	l := openLedger(t, path, newClock())
	if got := l.Receipts(key); got != nil {
		t.Errorf("a new one has %v, want nothing", got)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("there is a file before anything was kept")
	}
	other := key
	other.Requested = "gpu"
	must(t, l.Keep(key, ranked(1)))
	must(t, l.Keep(other, ranked(2)))
	must(t, l.Keep(key, ranked(3)))
	for _, l := range []*Ledger{l, openLedger(t, path, newClock())} {
		if got := l.Receipts(key); !reflect.DeepEqual(got, ranked(3)) {
			t.Errorf("got %+v, want those that were kept last", got)
		}
		if got := l.Receipts(other); !reflect.DeepEqual(got, ranked(2)) {
			t.Errorf("of another request: got %+v", got)
		}
	}
	l.Receipts(key)[0].MS = 99
	if got := l.Receipts(key)[0].MS; got != 3 {
		t.Errorf("the ledger's own receipt was changed: %v ms, want 3", got)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("file: %v, error %v, want mode 0600", info, err)
	}
	if _, err := os.Stat(path + ".new"); err == nil {
		t.Error("the file that was written first is left")
	}
}

// TestLedgerKey changes each part of the key.
func TestLedgerKey(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "auction.json"), newClock())
	must(t, l.Keep(key, ranked(1)))
	must(t, l.Mark(key, inference.GPU, "hung"))
	if reason, _ := l.Marked(key, inference.XNNPACK); reason != "" {
		t.Errorf("another delegate is marked: %s", reason)
	}
	parts := reflect.TypeFor[Key]()
	for i := range parts.NumField() {
		other := key
		if field := reflect.ValueOf(&other).Elem().Field(i); field.Kind() == reflect.String {
			field.SetString(field.String() + "x")
		} else {
			field.SetInt(field.Int() + 1)
		}
		name := parts.Field(i).Name
		if got := l.Receipts(other); got != nil {
			t.Errorf("%s is another: got %v, want nothing", name, got)
		}
		reason, _ := l.Marked(other, inference.GPU)
		if want := name == "Requested" || name == "Threads" || name == "Cores"; (reason != "") != want {
			t.Errorf("%s is another: got mark %q, want one: %t", name, reason, want)
		}
	}
}

func TestLedgerForgetsTheOldest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auction.json")
	l := openLedger(t, path, newClock())
	model := func(i int) Key {
		k := key
		k.Model = fmt.Sprint(i)
		return k
	}
	for i := range mostMarks + 1 {
		must(t, l.Keep(model(i), ranked(float64(i+1))))
		must(t, l.Mark(model(i), inference.GPU, "hung"))
		if i == mostMarks-1 { // the first comes behind all others
			must(t, l.Mark(model(0), inference.GPU, "hung again"))
		}
	}
	l = openLedger(t, path, newClock())
	for i := range mostMarks + 1 {
		if got := l.Receipts(model(i)); (got != nil) != (i > mostMarks-mostEntries) {
			t.Errorf("entry %d of %d: got %v", i, mostMarks+1, got)
		}
		if reason, _ := l.Marked(model(i), inference.GPU); (reason == "") != (i == 1) {
			t.Errorf("mark %d of %d: got %q", i, mostMarks+1, reason)
		}
	}
}

func TestLedgerMarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auction.json")
	c := newClock()
	l := openLedger(t, path, c)
	must(t, l.Mark(key, inference.GPU, "hung:\nno answer \x1b[0m"+strings.Repeat("!", 1000)))
	must(t, l.Mark(key, npu, ""))
	first := c.t
	c.t = c.t.Add(time.Minute)
	must(t, l.Mark(key, npu, "again"))
	l = openLedger(t, path, c)
	reason, since := l.Marked(key, inference.GPU)
	if !strings.HasPrefix(reason, "hung: no answer ?[0m!!") || len(reason) > wordsBytes || !since.Equal(first) {
		t.Errorf("got %q at %v, want a reason that was cleaned, at %v", reason, since, first)
	}
	if reason, since := l.Marked(key, npu); reason != "again" || !since.Equal(c.t) {
		t.Errorf("got %q at %v, want the last one, at %v", reason, since, c.t)
	}
	must(t, l.Mark(key, npu, ""))
	if reason, _ := l.Marked(key, npu); reason == "" {
		t.Error("a mark without a reason is none")
	}
}

// TestLedgerDeaths plays starts and ends of sightd, each of which opens the file anew.
func TestLedgerDeaths(t *testing.T) {
	const died = "sightd died 3 times within an hour while gpu ran the model"
	type start struct {
		after    time.Duration // since the last one
		boot     string
		died     inference.Delegate // in the run before
		marked   string
		delegate inference.Delegate // that runs the model then
		leave    bool               // it ends as it should
	}
	const gpu, ten = inference.GPU, 10 * time.Minute
	for _, test := range []struct {
		name   string
		starts []start
	}{
		{"three times", []start{
			{0, "a", "", "", gpu, false}, {ten, "a", gpu, "", gpu, false}, {ten, "a", gpu, "", gpu, false},
			{ten, "a", gpu, died, "xnnpack", false}, {ten, "a", "", "", gpu, false}, {ten, "a", gpu, "", gpu, false},
		}},
		{"clean ends", []start{
			{0, "a", "", "", gpu, true}, {ten, "a", "", "", gpu, true}, {ten, "a", "", "", gpu, true},
			{ten, "a", "", "", gpu, true},
		}},
		{"power cuts", []start{
			{0, "a", "", "", gpu, false}, {ten, "b", "", "", gpu, false}, {ten, "c", "", "", gpu, false},
			{ten, "d", "", "", gpu, false},
		}},
		{"a power cut between", []start{
			{0, "a", "", "", gpu, false}, {ten, "a", gpu, "", gpu, false}, {ten, "a", gpu, "", gpu, false},
			{ten, "b", "", "", gpu, false}, {ten, "b", gpu, "", gpu, false},
		}},
		{"seldom", []start{
			{0, "a", "", "", gpu, false}, {ten, "a", gpu, "", gpu, false}, {4 * ten, "a", gpu, "", gpu, false},
			{3 * ten, "a", gpu, "", gpu, false}, {ten, "a", gpu, died, gpu, false},
		}},
		{"the clock is set", []start{
			{0, "a", "", "", gpu, false}, {ten, "a", gpu, "", gpu, false}, {ten, "a", gpu, "", gpu, false},
			{1e6 * time.Hour, "a", gpu, "", gpu, false}, {-ten, "a", gpu, "", gpu, false}, {-ten, "a", gpu, died, gpu, false},
		}},
		{"a clean end between", []start{
			{0, "a", "", "", gpu, false}, {ten, "a", gpu, "", gpu, true}, {ten, "a", "", "", gpu, false},
			{ten, "a", gpu, "", gpu, false}, {ten, "a", gpu, died, gpu, false},
		}},
		{"two delegates", []start{
			{0, "a", "", "", gpu, false}, {ten, "a", gpu, "", npu, false}, {ten, "a", npu, "", gpu, false},
			{ten, "a", gpu, "", gpu, false}, {ten, "a", gpu, died, gpu, false},
		}},
		{"plain ones", []start{
			{0, "a", "", "", "xnnpack", false}, {ten, "a", "", "", "cpu", false}, {ten, "a", "", "", "xnnpack-fp16", false},
			{ten, "a", "", "", "", false},
		}},
		{"boot not known", []start{
			{0, "", "", "", gpu, false}, {ten, "", "", "", gpu, false}, {ten, "", "", "", gpu, false},
			{ten, "", "", "", gpu, false},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "auction.json")
			c := newClock()
			for i, s := range test.starts {
				c.t = c.t.Add(s.after)
				l := openLedger(t, path, c)
				delegate, marked, err := l.Died(s.boot)
				if err != nil || delegate != s.died || marked != s.marked {
					t.Errorf("start %d: got delegate %q, mark %q, error %v, want %q, %q", i, delegate, marked, err, s.died, s.marked)
				}
				reason, _ := l.Marked(key, inference.GPU)
				if s.marked != "" && reason != s.marked {
					t.Errorf("start %d: marked as %q, want %q", i, reason, s.marked)
				}
				must(t, l.Enter(key, s.delegate, s.boot))
				if s.leave {
					must(t, l.Leave())
				}
			}
		})
	}
}

// TestLedgerWritesSeldom shows that nothing is written where nothing changes.
func TestLedgerWritesSeldom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auction.json")
	l := openLedger(t, path, newClock())
	unchanged := func(what string, err error) {
		t.Helper()
		must(t, err)
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: the file was written", what)
		}
	}
	unchanged("Leave of nothing", l.Leave())
	_, _, err := l.Died("a")
	unchanged("Died of nothing", err)
	unchanged("Enter of a plain one", l.Enter(key, inference.XNNPACK, "a"))
	must(t, l.Enter(key, inference.GPU, "a"))
	must(t, os.Remove(path))
	unchanged("Enter again", l.Enter(key, inference.GPU, "a"))
	must(t, l.Enter(key, inference.XNNPACK, "a"))
	if l = openLedger(t, path, newClock()); l.state.InUse != nil {
		t.Errorf("in use is %+v behind Enter of a plain one, want nothing", l.state.InUse)
	}
}

func TestLedgerDamaged(t *testing.T) {
	folder := t.TempDir()
	good := openLedger(t, filepath.Join(folder, "good.json"), newClock())
	must(t, good.Keep(key, ranked(1)))
	must(t, good.Mark(key, npu, "crashed"))
	whole, err := os.ReadFile(good.path)
	must(t, err)
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "unexpected end of JSON input"},
		{"half", string(whole[:len(whole)/2]), "unexpected end of JSON input"},
		{"zeros", strings.Repeat("\x00", 100), "invalid character"},
		{"another program's", `{"sources": {}}`, "want version 1, have 0"},
		{"of later", strings.Replace(string(whole), `"version": 1`, `"version": 2`, 1), "want version 1, have 2"},
		{"of another kind", `{"version": 1, "entries": 5}`, "cannot unmarshal number"},
		{"delegates", strings.Replace(string(whole), `"delegate": "xnnpack"`, `"delegate": "quantum"`, 1), `receipt of delegate "quantum"`},
		{"auto", strings.Replace(string(whole), `"delegate": "xnnpack"`, `"delegate": "auto"`, 1), `receipt of delegate "auto"`},
		{"not ranked", strings.Replace(string(whole), `"passed": true`, `"passed": false`, 1), "aren't ranked"},
		{"no time", strings.Replace(string(whole), `"ms": 1,`, "", 1), "aren't ranked"},
		{"passed untried", strings.Replace(string(whole), `"passed": true`, `"absent": true, "passed": true`, 1), "which passed and wasn't tried"},
		{"no reason", strings.Replace(string(whole), `"reason": "crashed",
      "at"`, `"at"`, 1), "without a reason"},
		{"huge", string(whole) + strings.Repeat(" ", stateBytes), "want at most"},
		{"many", `{"version": 1, "entries": [{}` + strings.Repeat(", {}", mostEntries) + "]}", "have 17, 0 and 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(folder, "damaged.json")
			must(t, os.WriteFile(path, []byte(test.text), 0o600))
			l, warning := OpenLedger(path, newClock().now)
			if !strings.HasPrefix(warning, "what was measured of delegates before is forgotten: read "+path) || !strings.Contains(warning, test.want) {
				t.Errorf("got warning %q, want %q", warning, test.want)
			}
			if got := l.Receipts(key); got != nil {
				t.Errorf("got %v, want nothing", got)
			}
			must(t, l.Keep(key, ranked(5)))
			if got := openLedger(t, path, newClock()).Receipts(key); !reflect.DeepEqual(got, ranked(5)) {
				t.Errorf("got %v of the file that was written anew", got)
			}
		})
	}
	if _, warning := OpenLedger(folder, newClock().now); !strings.Contains(warning, "is a directory") {
		t.Errorf("a folder: got warning %q", warning)
	}
}

// TestLedgerCannotSave shows that what can't be written is known nevertheless.
func TestLedgerCannotSave(t *testing.T) {
	l, warning := OpenLedger(filepath.Join(t.TempDir(), "no", "such", "auction.json"), newClock().now)
	if warning != "" {
		t.Errorf("a file that isn't there: %s", warning)
	}
	for what, err := range map[string]error{
		"Keep": l.Keep(key, ranked(1)), "Mark": l.Mark(key, npu, "crashed"), "Enter": l.Enter(key, npu, "a"), "Leave": l.Leave(),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "save what was measured of delegates: open ") {
			t.Errorf("%s: got error %v, want one", what, err)
		}
	}
	if reason, _ := l.Marked(key, npu); reason != "crashed" || l.Receipts(key) == nil {
		t.Error("what wasn't saved is forgotten")
	}
}

func FuzzParseState(f *testing.F) {
	l, _ := OpenLedger(filepath.Join(f.TempDir(), "auction.json"), newClock().now)
	for _, err := range []error{l.Keep(key, ranked(1)), l.Mark(key, npu, "crashed"), l.Enter(key, npu, "a")} {
		if err != nil {
			f.Fatal(err)
		}
	}
	text, err := fs.ReadFile(os.DirFS(filepath.Dir(l.path)), "auction.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":1,"entries":[{"receipts":[{"delegate":"cpu","worst":null}]}],"deaths":[{"at":"2026-05-04T03:02:01Z","boot":"a"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseState(text)
		if err != nil {
			return
		}
		once, err := json.Marshal(s)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		again, err := parseState(once)
		if err != nil {
			t.Fatalf("what was written can't be read: %v", err)
		}
		if twice, err := json.Marshal(again); err != nil || string(twice) != string(once) {
			t.Errorf("written again it is\n%s, not\n%s", twice, once)
		}
	})
}
