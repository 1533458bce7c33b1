package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightd/inference"
	"sightd/inference/auction"
	"sightd/publish"
)

// TestHang has a delegate that never comes back: the daemon ends with an error, for what started it to start it again, the picture stays,
// and the next start judges it without the delegate.
func TestHang(t *testing.T) {
	c, trigger := faultyConfig(t, "hang")
	keep(t, c)
	inbox := c.Sources[0].Path
	ended := make(chan error, 1)
	ready := func(string) {
		touch(t, trigger)
		drop(t, inbox, "parachute", "a.png")
	}
	go func() {
		ended <- Run(context.Background(), c, Options{Log: quiet, Trials: trialProgram(t), Ready: ready, leastLimit: 3 * time.Second})
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, errHung) || !strings.Contains(err.Error(), "classify a.png of inbox: invoke: no answer within 3s") ||
			!strings.Contains(err.Error(), c.Model.Delegate+" is passed over from the next start on") {
			t.Errorf("got error %v, want %v of a.png, and that the delegate is passed over", err, errHung)
		}
	case <-time.After(patience):
		t.Fatal("the daemon doesn't end")
	}
	if _, err := os.Stat(filepath.Join(inbox, "a.png")); err != nil {
		t.Errorf("a.png: want it to stay, have %v", err)
	}
	r := checkPassedOver(t, c, "no answer within 3s")
	r.until(t, publish.SourceStateTopic(testBase, "inbox"), `"label":"parachute"`) // the event may have come before the witness
	waitFor(t, filepath.Join(inbox, "done", "a.png"))
}

// TestHangAtStart has a delegate that has run the model before and now hangs when it is proven.
func TestHangAtStart(t *testing.T) {
	c, trigger := faultyConfig(t, "hang")
	keep(t, c)
	touch(t, trigger)
	err := Run(t.Context(), c, Options{Log: quiet, Trials: trialProgram(t), leastLimit: 200 * time.Millisecond})
	if !errors.Is(err, errHung) || !strings.Contains(err.Error(), "no answer within 500ms") { // a hundred times what it took when it was tried
		t.Fatalf("got error %v, want %v", err, errHung)
	}
	checkPassedOver(t, c, "no answer within 500ms")
}

// dyingDaemon runs the daemon until its delegate ends the process. It is a process of TestDeath, and its arguments are a folder for the
// state, one for pictures, a delegate and its trigger. There is a picture for the folder beside it, with its name and .png.
func dyingDaemon(arguments []string) error {
	if len(arguments) != 4 {
		return fmt.Errorf("want 4 arguments, have %q", arguments)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := Default()
	c.Name, c.MQTT.Listen = "test", "127.0.0.1:0"
	c.StateDir, c.Sources[0].Path, c.Model.Delegate, c.Model.Threads = arguments[0], arguments[1], arguments[2], 1
	var readyErr error
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	err = Run(ctx, c, Options{Log: quiet, Trials: []string{self, tryArgument}, Ready: func(string) {
		readyErr = errors.Join(os.WriteFile(arguments[3], nil, 0o600), os.Rename(arguments[1]+".png", filepath.Join(arguments[1], "a.png")))
	}})
	return errors.Join(err, readyErr, errors.New("the daemon lives"))
}

// TestDeath has a delegate that ends the daemon's process, at a picture or when it is proven. At the third time it is passed over, and
// the picture is judged.
func TestDeath(t *testing.T) {
	c, trigger := faultyConfig(t, "crash")
	keep(t, c)
	self := trialProgram(t)[0]
	if err := os.WriteFile(c.Sources[0].Path+".png", samplePNG(t, "golf_ball"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if why := marked(t, c, inference.Delegate(c.Model.Delegate)); why != "" {
			t.Errorf("start %d: the delegate is marked already: %s", i+1, why)
		}
		out, err := exec.Command(self, dieArgument, c.StateDir, c.Sources[0].Path, c.Model.Delegate, trigger).CombinedOutput()
		if failed := (*exec.ExitError)(nil); !errors.As(err, &failed) || !bytes.Contains(out, []byte("SIGSEGV")) {
			t.Fatalf("start %d: got error %v, want a crash:\n%s", i+1, err, out)
		}
	}
	r := checkPassedOver(t, c, "died 3 times within an hour")
	r.until(t, publish.SourceStateTopic(testBase, "inbox"), `"label":"golf ball"`) // the event may have come before the witness
	waitFor(t, filepath.Join(c.Sources[0].Path, "done", "a.png"))
}

// TestHangAtFree has a delegate that fails and then never comes back when it is freed: that is told like any other hang.
func TestHangAtFree(t *testing.T) {
	c, trigger := faultyConfig(t, "fail")
	c.Model.Delegate += "&hang_destroy=1"
	keep(t, c)
	ended := make(chan error, 1)
	ready := func(string) {
		touch(t, trigger)
		drop(t, c.Sources[0].Path, "parachute", "a.png")
	}
	go func() {
		ended <- Run(context.Background(), c, Options{Log: quiet, Trials: trialProgram(t), Ready: ready, leastLimit: time.Second})
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, errHung) || !strings.Contains(err.Error(), "close: no answer within 1s") {
			t.Errorf("got error %v, want %v when it is freed", err, errHung)
		}
	case <-time.After(patience):
		t.Fatal("the daemon doesn't end")
	}
	r := checkPassedOver(t, c, "no answer within 1s")
	r.until(t, publish.SourceStateTopic(testBase, "inbox"), `"label":"parachute"`)
	waitFor(t, filepath.Join(c.Sources[0].Path, "done", "a.png"))
}

// TestSucceedMarked offers a network whose delegate has failed since it was opened.
func TestSucceedMarked(t *testing.T) {
	c := testConfig(t)
	c.Model.Delegate = "external:/none.so"
	key := auction.Key{Model: "a", Board: "b"}
	d := &Daemon{config: c, log: quiet, now: time.Now, chooser: &Chooser{Ledger: openLedger(t, c.StateDir), Log: quiet}}
	now := &network{engine: &Engine{run: &named{delegate: inference.XNNPACK}}}
	d.network.Store(now)
	run := &named{delegate: "external:/none.so"}
	heir := &network{engine: &Engine{run: run}, choice: Choice{Key: key}, taken: make(chan struct{})}
	d.chooser.mark(key, run.delegate, errors.New("it burns"))
	if err := d.succeed(heir); err != nil {
		t.Error(err)
	}
	<-heir.taken
	if heir.wanted || d.network.Load() != now || run.closed != 1 {
		t.Errorf("wanted: %v, closed %d times: want it turned away and freed", heir.wanted, run.closed)
	}
}

// named is a Classifier that names its delegate.
type named struct {
	scripted
	delegate inference.Delegate
}

func (n *named) Delegation() inference.Delegation { return inference.Delegation{Delegate: n.delegate} }

// TestStateInUse starts a second daemon in the state directory of the first: it touches nothing there.
func TestStateInUse(t *testing.T) {
	c, _ := faultyConfig(t, "partial")
	keep(t, c)
	_, _, stop := start(t, c, Options{Trials: trialProgram(t)})
	if !inUse(t, c) {
		t.Error("want the delegate noted as in use")
	}
	other := c
	other.Sources = nil
	if err := Run(t.Context(), other, Options{Log: quiet, Trials: trialProgram(t)}); err == nil || !strings.Contains(err.Error(), "outbox") {
		t.Errorf("the second daemon: got error %v, want one of the outbox", err)
	}
	if !inUse(t, c) {
		t.Error("after the second daemon: want the delegate still noted as in use")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if inUse(t, c) {
		t.Error("after the stop: want no delegate in use")
	}
}
