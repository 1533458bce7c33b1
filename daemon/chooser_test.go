package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sightd/inference"
	"sightd/inference/auction"
	"sightd/inference/tflite/faulty"
)

// external names the delegate in a library, with options such as do=crash&file=/x.
func external(library string, options ...string) inference.Delegate {
	query := url.Values{}
	for i := 0; i+1 < len(options); i += 2 {
		query.Set(options[i], options[i+1])
	}
	return inference.Delegate(inference.External + library + "?" + query.Encode())
}

// openLedger opens the ledger in a folder.
func openLedger(t testing.TB, folder string) *auction.Ledger {
	t.Helper()
	l, warning := auction.OpenLedger(filepath.Join(folder, "delegates.json"), time.Now)
	if warning != "" {
		t.Errorf("ledger: %s", warning)
	}
	return l
}

// choose has the Chooser choose.
func choose(t testing.TB, c *Chooser, o EngineOptions) Choice {
	t.Helper()
	m, err := load(o.Model)
	if err != nil {
		t.Fatal(err)
	}
	choice, err := c.Choose(t.Context(), o, m)
	if err != nil {
		t.Fatal(err)
	}
	return choice
}

// quickOptions runs quickNetwork with a delegate.
func quickOptions(t testing.TB, d inference.Delegate) EngineOptions {
	t.Helper()
	model, labels := quickNetwork(t)
	return EngineOptions{Model: model, Labels: labels, Top: 1, Options: inference.Options{Delegate: d, Threads: 1}}
}

// delegates are those of receipts, in their order.
func delegates(receipts []auction.Receipt) (all []inference.Delegate) {
	for _, r := range receipts {
		all = append(all, r.Delegate)
	}
	return all
}

// TestChooseBad has delegates that crash, hang, put out nonsense and can't be had: each loses with its reason, XNNPACK runs the model,
// and the next start knows that without a trial.
func TestChooseBad(t *testing.T) {
	library := faulty.Build(t)
	for _, test := range []struct {
		delegate inference.Delegate
		timeout  time.Duration
		want     string
	}{
		{external(library, "do", "crash"), 0, "crashed: segmentation fault"},
		{external(library, "do", "crash_create"), 0, "crashed: segmentation fault"},
		{external(library, "do", "hang"), 5 * time.Second, "hung: no answer within 5s, killed"},
		{external(library, "do", "nan"), 0, "prove golden input golf_ball: read output 0: value 0 is NaN"},
		{external(library, "do", "wrong"), 0, "prove golden input golf_ball: score of class "},
		{external(library, "do", "wrong", "after", "1"), 0, "prove golden input parachute: score of class "},
		{external(library, "do", "fail"), 0, "the faulty delegate fails as it was told"},
		{external(library, "do", "fail", "after", "6"), 0, "the faulty delegate fails as it was told"}, // while it is timed
		{external(library, "do", "refuse"), 0, "no such device: the faulty delegate refuses as it was told"},
		{external(library, "do", "fly"), 0, "option do: have fly"},
		{"external:/none/libnone.so", 0, "/none/libnone.so: no such file or directory"},
	} {
		t.Run(strings.TrimPrefix(string(test.delegate), inference.External+library), func(t *testing.T) {
			folder := t.TempDir()
			o := quickOptions(t, test.delegate)
			first := choose(t, &Chooser{Argv: trialProgram(t), Ledger: openLedger(t, folder), Log: quiet, timeout: test.timeout}, o)
			checkLost(t, first, test.delegate, test.want)
			again := choose(t, &Chooser{Argv: []string{"/none/sightd"}, Ledger: openLedger(t, folder), Log: quiet}, o)
			checkLost(t, again, test.delegate, "start a trial: ") // it alone was tried again
			if !slices.EqualFunc(again.Order, first.Order, func(a, b auction.Receipt) bool { return a.Candidate == b.Candidate && a.MS == b.MS }) || again.Key != first.Key {
				t.Errorf("from the ledger: got %#v, want %#v", again, first)
			}
		})
	}
}

// checkLost holds a choice against what must come of a delegate that was asked for and is bad.
func checkLost(t *testing.T, c Choice, bad inference.Delegate, why string) {
	t.Helper()
	if c.Requested != bad || !slices.Equal(delegates(c.Ranked), []inference.Delegate{inference.XNNPACK, inference.CPU, bad}) {
		t.Fatalf("got %#v, want xnnpack before cpu, and %s last", c, bad)
	}
	if lost := c.Ranked[2]; lost.Passed || !strings.Contains(lost.Reason, why) {
		t.Errorf("got %#v, want reason %q", lost, why)
	}
	if !slices.Equal(delegates(c.Order), []inference.Delegate{inference.XNNPACK, inference.CPU}) {
		t.Errorf("%v may run the model, want xnnpack and cpu", delegates(c.Order))
	}
	for _, part := range []string{string(bad), why[:min(len(why), 60)]} {
		if !strings.Contains(c.Trouble, part) || !strings.Contains(c.Reason, part) {
			t.Errorf("trouble %q, reason %q: want %q in both", c.Trouble, c.Reason, part)
		}
	}
	if !strings.HasPrefix(c.Reason, "fastest of 2 that pass: ") {
		t.Errorf("reason %q: want that it is the fastest", c.Reason)
	}
}

// TestChooseHangs has a delegate that doesn't even come up.
// TestChooseAgain has a delegate that was asked for and comes to life: the next start finds out, with one trial.
func TestChooseAgain(t *testing.T) {
	trigger, folder := filepath.Join(t.TempDir(), "trigger"), t.TempDir()
	touch(t, trigger)
	bad := external(faulty.Build(t), "do", "refuse", "file", trigger)
	o := quickOptions(t, bad)
	c := &Chooser{Argv: trialProgram(t), Ledger: openLedger(t, folder), Log: quiet}
	first := choose(t, c, o)
	checkLost(t, first, bad, "no such device")
	if err := os.Remove(trigger); err != nil {
		t.Fatal(err)
	}
	second := choose(t, c, o)
	if second.Order[0].Delegate != bad || second.Trouble != "" || second.Order[1].MS != first.Order[0].MS {
		t.Errorf("got %#v, want the delegate that was asked for, and the others as they were: %#v", second, first)
	}
}

// TestChooseOneThread has a delegate that must be run on the thread that made it.
func TestChooseOneThread(t *testing.T) {
	delegate := external(faulty.Build(t), "one_thread", "1")
	c := choose(t, &Chooser{Argv: trialProgram(t), Log: quiet}, quickOptions(t, delegate))
	if c.Order[0].Delegate != delegate {
		t.Errorf("got %#v, want it used", c)
	}
}

func TestChooseHangs(t *testing.T) {
	c := &Chooser{Argv: trialProgram(t), Log: quiet, timeout: 300 * time.Millisecond}
	bad := external(faulty.Build(t), "do", "hang_create")
	receipts, err := c.Try(t.Context(), quickOptions(t, bad), bad)
	if err != nil || len(receipts) != 1 || receipts[0].Reason != "hung: no answer within 300ms, killed" {
		t.Errorf("got %#v, error %v, want it killed", receipts, err)
	}
}

// TestChooseSlow asks for a delegate that is slow, but right: it is used, the fastest is next, and what it left is told.
func TestChooseSlow(t *testing.T) {
	slow, folder := external(faulty.Build(t), "slow", "20"), t.TempDir()
	o := quickOptions(t, slow)
	for _, argv := range [][]string{trialProgram(t), {"/none/sightd"}} { // the second time out of the ledger
		c := choose(t, &Chooser{Argv: argv, Ledger: openLedger(t, folder), Log: quiet}, o)
		if !slices.Equal(delegates(c.Order), []inference.Delegate{slow, inference.XNNPACK, inference.CPU}) || c.Trouble != "" {
			t.Fatalf("got %#v, want the slow one, xnnpack and cpu", c)
		}
		used := c.Order[0]
		if used.MS < 20 || used.Taken != 1 || used.Total != 4 || !slices.Equal(used.Rest, []string{"CONV_2D", "MEAN", "FULLY_CONNECTED"}) || used.Proven != 4 {
			t.Errorf("got %#v, want more than 20 ms, and SOFTMAX alone of 4 nodes", used)
		}
		if !strings.HasPrefix(c.Reason, "as asked for: ") || !strings.Contains(c.Ranked[1].Reason, "was asked for") {
			t.Errorf("got %#v, want that it was asked for", c)
		}
	}
}

// TestChooseMarked has a delegate that was found to be bad while it ran the model.
func TestChooseMarked(t *testing.T) {
	delegate, folder := external(faulty.Build(t)), t.TempDir()
	o := quickOptions(t, delegate)
	c := &Chooser{Argv: trialProgram(t), Ledger: openLedger(t, folder), Log: quiet}
	choice := choose(t, c, o)
	if choice.Order[0].Delegate != delegate {
		t.Fatalf("got %#v, want the delegate that was asked for", choice)
	}
	c.mark(choice.Key, delegate, errors.New("it burns"))
	c = &Chooser{Argv: []string{"/none/sightd"}, Ledger: openLedger(t, folder), Log: quiet}
	checkLost(t, choose(t, c, o), delegate, "it burns (at 2")
	if got := choose(t, c, o); got.Trouble != fmt.Sprintf("%s is passed over: %s", delegate, got.Ranked[2].Reason) {
		t.Errorf("trouble is %q, want that it is passed over", got.Trouble)
	}

	c.mark(choice.Key, inference.XNNPACK, errors.New("so does this"))
	c.mark(choice.Key, inference.CPU, errors.New("and this"))
	got := choose(t, c, o) // nothing is left: what needs no driver is tried in spite of its marks
	if !slices.Equal(delegates(got.Order), []inference.Delegate{inference.XNNPACK, inference.CPU}) || got.Order[0].Threads != 1 || got.Trouble == "" {
		t.Errorf("got %#v, want xnnpack and cpu in spite of their marks", got)
	}
}

// TestChooseNothingPasses starts no process at all: the model is run, and trouble is told; the next start tries again.
func TestChooseNothingPasses(t *testing.T) {
	folder := t.TempDir()
	o := quickOptions(t, inference.Auto)
	c := choose(t, &Chooser{Argv: []string{"/none/sightd"}, Ledger: openLedger(t, folder), Log: quiet}, o)
	if !slices.Equal(delegates(c.Order), []inference.Delegate{inference.XNNPACK, inference.CPU}) || !strings.Contains(c.Trouble, "/none/sightd") {
		t.Errorf("got %#v, want xnnpack and cpu, and what is wrong", c)
	}
	if kept := openLedger(t, folder).Receipts(c.Key); kept != nil {
		t.Errorf("got %#v in the ledger, want nothing", kept)
	}
}

// TestChooseFixed has delegates that aren't worth a trial.
func TestChooseFixed(t *testing.T) {
	all := []inference.Delegate{inference.XNNPACK, inference.CPU}
	for _, test := range []struct {
		argv    []string
		options inference.Options
		order   []inference.Delegate
		reason  string
	}{
		{[]string{"/none/sightd"}, inference.Options{Delegate: inference.XNNPACK, Threads: 2}, all, "as configured"},
		{[]string{"/none/sightd"}, inference.Options{Delegate: inference.CPU, Threads: 2}, []inference.Delegate{inference.CPU, inference.XNNPACK}, "as configured"},
		{nil, inference.Options{Threads: 2}, all, "nothing was measured"},
		{nil, inference.Options{Delegate: "external:/x.so", Threads: 2}, append([]inference.Delegate{"external:/x.so"}, all...), "nothing was measured"},
	} {
		c := choose(t, &Chooser{Argv: test.argv, Ledger: openLedger(t, t.TempDir()), Log: quiet}, EngineOptions{Options: test.options})
		if !slices.Equal(delegates(c.Order), test.order) || c.Reason != test.reason || c.Trouble != "" || c.Ranked != nil || c.Order[0].Threads != 2 {
			t.Errorf("%+v: got %#v, want %v %s", test.options, c, test.order, test.reason)
		}
	}
}

// TestChooseStopped ends the choice while a delegate hangs.
func TestChooseStopped(t *testing.T) {
	bad := external(faulty.Build(t), "do", "hang")
	o := quickOptions(t, bad)
	m, err := load(o.Model)
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(enough) })
	folder := t.TempDir()
	c, err := (&Chooser{Argv: trialProgram(t), Ledger: openLedger(t, folder), Log: quiet}).Choose(ctx, o, m)
	if !errors.Is(err, enough) || c.Order != nil {
		t.Errorf("got %#v, error %v, want %v", c, err, enough)
	}
	if kept := openLedger(t, folder).Receipts(c.Key); kept != nil {
		t.Errorf("got %#v in the ledger, want nothing of a trial that was cut off", kept)
	}
}

// TestChooserKey changes what a measurement depends on.
func TestChooserKey(t *testing.T) {
	library := faulty.Build(t)
	delegate := external(library)
	c := &Chooser{Log: quiet}
	key := func(d inference.Delegate, threads int, sum string) auction.Key {
		t.Helper()
		k, err := c.key(EngineOptions{Options: inference.Options{Threads: threads}}, d, &loadedModel{sum: sum})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	before := key(delegate, 1, "a")
	if again := key(delegate, 1, "a"); again != before || before.Board == "" || before.Kernel == "" || before.Libraries == "" {
		t.Errorf("got %#v and %+v, want the same, and all of it filled in", before, again)
	}
	for name, other := range map[string]auction.Key{
		"model": key(delegate, 1, "b"), "threads": key(delegate, 2, "a"), "delegate": key(inference.Auto, 1, "a"),
	} {
		if other == before {
			t.Errorf("another %s has the same key", name)
		}
	}
	if err := os.Chtimes(library, time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	if key(delegate, 1, "a") == before {
		t.Error("the library was replaced, and the key is the same")
	}
	if _, err := c.key(EngineOptions{}, "external:x.so", &loadedModel{sum: "a"}); err == nil {
		t.Error("a path that isn't absolute: want an error")
	}
}

// TestChooserTry proves delegates one by one, and ranks all where none is named.
func TestChooserTry(t *testing.T) {
	c := &Chooser{Argv: trialProgram(t), Log: quiet}
	o := quickOptions(t, inference.XNNPACK)
	receipts, err := c.Try(t.Context(), o, inference.CPU, inference.XNNPACK)
	if err != nil || !slices.Equal(delegates(receipts), []inference.Delegate{inference.CPU, inference.XNNPACK}) || !receipts[0].Passed || !receipts[1].Passed {
		t.Errorf("got %#v, error %v, want both to pass, in their order", receipts, err)
	}
	receipts, err = c.Try(t.Context(), o)
	if err != nil || !slices.Equal(delegates(receipts), []inference.Delegate{inference.XNNPACK, inference.CPU}) || receipts[0].Reason != "" {
		t.Errorf("got %#v, error %v, want xnnpack before cpu", receipts, err)
	}
	o.Model = filepath.Join(t.TempDir(), "none.tflite")
	if _, err := c.Try(t.Context(), o); err == nil {
		t.Error("no file: want an error")
	}
}
