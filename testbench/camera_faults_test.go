package testbench

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sightd/testbench/cameras"
)

// slack is what a deadline may be missed by: the machine has other tests to run.
const slack = 4 * time.Second

// What the cameras of TestCameraFaults are configured with.
const (
	faultStall  = time.Second
	faultFrozen = 2 * time.Second
)

// Deadlines of package live.
const (
	firstPicture = 15 * time.Second // for an opened source's first picture
	blindAfter   = 2 * time.Second
)

// trial is how a camera's fault has to be told.
type trial struct {
	problem  string // a pattern of what is said; "" where the camera isn't at fault
	within   time.Duration
	offline  bool
	hangs    bool // an attempt may last until the deadline of the first picture
	anything bool // may be said meanwhile
}

var trials = map[cameras.Fault]trial{
	cameras.Silent:      {problem: `^no picture for 1s$`, within: faultStall, offline: true, hangs: true},
	cameras.Frozen:      {problem: `frozen`, within: faultFrozen},
	cameras.Black:       {problem: `black`, within: blindAfter},
	cameras.Overexposed: {problem: `overexposed`, within: blindAfter},
	cameras.Closes:      {problem: `clos|end|EOF`, within: faultStall, offline: true},
	cameras.OtherSize:   {},
	cameras.Garbage:     {problem: `boundary|MJPEG|multipart|JPEG|header|picture`, within: faultStall, offline: true},
	cameras.NoAnswer:    {problem: `no|clos|end|EOF`, within: faultStall, offline: true, hangs: true},
	cameras.Failing:     {problem: `500|clos|end|EOF`, within: faultStall, offline: true},
	cameras.Refusing:    {problem: `refused|clos|end|EOF`, within: faultStall, offline: true},
	cameras.Truncated:   {problem: `can't be decoded|cut off|no picture for 1s`, within: faultStall},
	cameras.Torn:        {anything: true}, // decoders make something of it
}

// recovery is how long a camera that is well again may take to be said so: an attempt that hangs has to end, and be made again after a
// wait that has doubled since the fault began; then pictures must come for some seconds.
func (tr trial) recovery() time.Duration {
	d := 8*time.Second + 8*time.Second + slack
	if tr.hangs {
		d += firstPicture
	}
	return d
}

// victim is a camera with a fault.
type victim struct {
	trial
	fault  cameras.Fault
	name   string
	camera *cameras.Camera
	began  time.Time // of the fault
	events int       // before it
	states int
	ended  time.Time // of the fault
}

// TestCameraFaults has a camera for each fault, and one that has none. Each fault is told within its deadline, once, and its end; the
// other camera and a folder go on meanwhile.
func TestCameraFaults(t *testing.T) {
	t.Parallel()
	photos := surePhotos(t, 4)
	yard := httpCamera(t, 10, 10, photos...)
	lines := []string{faultSource("yard", yard)}
	var victims []*victim
	for _, fault := range cameras.Faults {
		v := &victim{trial: trials[fault], fault: fault, name: strings.ReplaceAll(string(fault), " ", "_"), camera: httpCamera(t, 10, 10, photos...)}
		victims = append(victims, v)
		lines = append(lines, faultSource(v.name, v.camera))
	}
	b := liveBoard(t, prompt, lines...)
	p, a := b.watch(t)
	p.line(t, `"msg":"ready`)
	a.well(t, "yard")
	for _, v := range victims {
		a.well(t, v.name)
		a.until(t, func() bool { return len(a.of(v.name).shown()) > 1 }, func() string { return "want events of " + v.name })
	}

	began := time.Now()
	for _, v := range victims {
		heard := a.heard(v.name)
		v.began, v.events, v.states = time.Now(), len(heard.events), len(heard.states)
		suffer(t, v.camera, v.fault)
	}
	b.drop(t, 0, "during.jpg", photos[0].Data)
	for _, v := range victims {
		v.told(t, a)
	}
	b.drop(t, 0, "later.jpg", photos[0].Data)
	b.filed(t, "during.jpg", "later.jpg")
	for _, v := range victims {
		v.ended = time.Now()
		suffer(t, v.camera, cameras.None)
	}
	for _, v := range victims {
		v.recovers(t, a)
	}
	ended := time.Now()
	said := p.String()
	for _, v := range victims {
		v.judge(t, a, labels(photos))
		const lost = 4 // as the reason changes
		if n := strings.Count(said, fmt.Sprintf(`"level":"WARN","msg":"live source lost, trying on","source":%q`, v.name)); n > lost || n < btoi(v.offline) {
			t.Errorf("%s: want a warning, at most %d, have %d", v.fault, lost, n)
		}
	}
	undisturbed(t, a, yard, labels(photos), began, ended)
	if n := len(a.heard("inbox").events); n != 2 {
		t.Errorf("want 2 events of the folder, have %d", n)
	}
	p.stop(t)
}

func faultSource(name string, c *cameras.Camera) string {
	return fmt.Sprintf("name: %s, type: url, url: %q, stall: %v, frozen: %v", name, c.URL(), faultStall, faultFrozen)
}

// told waits until the fault is told.
func (v *victim) told(t testing.TB, a *audience) {
	t.Helper()
	if v.problem == "" {
		return
	}
	var first stated
	a.until(t, func() bool {
		for _, s := range a.of(v.name).states[v.states:] {
			if s.Problem != nil {
				first = s
				return true
			}
		}
		return false
	}, func() string { return fmt.Sprintf("want a problem of the camera that is %s", v.fault) })
	took := first.at.Sub(v.began)
	t.Logf("%s: told after %v: %s", v.fault, took.Round(time.Millisecond), *first.Problem)
	if took > v.within+slack {
		t.Errorf("%s: want it told within %v, took %v", v.fault, v.within+slack, took)
	}
	if !regexp.MustCompile(v.problem).MatchString(*first.Problem) {
		t.Errorf("%s: want a problem like %q, have %q", v.fault, v.problem, *first.Problem)
	}
	if v.offline {
		a.until(t, func() bool { return !a.of(v.name).online() }, func() string { return fmt.Sprintf("want the camera that is %s to be offline", v.fault) })
	}
}

// recovers waits until the camera is said to be well, and shows something again.
func (v *victim) recovers(t testing.TB, a *audience) {
	t.Helper()
	a.well(t, v.name)
	var last time.Time
	a.until(t, func() bool {
		events := a.of(v.name).events
		if i := slices.IndexFunc(events, func(e sighting) bool { return e.shows() && e.at.After(v.ended) }); i >= 0 {
			last = events[i].at
		}
		return !last.IsZero()
	}, func() string { return fmt.Sprintf("want events of the camera that was %s", v.fault) })
	if took := last.Sub(v.ended); took > v.recovery() {
		t.Errorf("%s: want events within %v after it is well, took %v", v.fault, v.recovery(), took)
	}
}

// judge looks at what was said of the camera all the time.
func (v *victim) judge(t testing.TB, a *audience, labels []string) {
	t.Helper()
	heard := a.heard(v.name)
	var problems []string // each time another one
	var well time.Time
	for _, s := range heard.states {
		problem := orNothing(s.Problem)
		if len(problems) == 0 && problem != "" || len(problems) > 0 && problem != problems[len(problems)-1] {
			problems = append(problems, problem)
			well = s.at
		}
	}
	errors := 0
	for _, e := range heard.events[v.events:] {
		switch {
		case e.Type == "error":
			errors++
			if orNothing(e.Error) == "" {
				t.Errorf("%s: want the reason in an error, have %s", v.fault, e.payload)
			}
		case e.shows() && !slices.Contains(labels, e.label()) && !v.anything:
			t.Errorf("%s: want one of %q, have %s", v.fault, labels, e.payload)
		case e.shows() && e.FrameAgeMS > milliseconds(faultStall):
			t.Errorf("%s: want no picture older than %v to be judged, have %s", v.fault, faultStall, e.payload)
		}
	}
	if v.problem == "" {
		if (len(problems) > 0 || errors > 0) && !v.anything {
			t.Errorf("%s: want no problem, have %q and %d errors", v.fault, problems, errors)
		}
		return
	}
	t.Logf("%s: problems %q, said to be well after %v, %d errors, asked %d times", v.fault, problems, well.Sub(v.ended).Round(time.Millisecond), errors, v.camera.Asked())
	if took := well.Sub(v.ended); took > v.recovery() {
		t.Errorf("%s: want it to be said well within %v, took %v", v.fault, v.recovery(), took)
	}
	if errors != 1 {
		t.Errorf("%s: want one error event, have %d", v.fault, errors)
	}
	if n := len(problems); n < 2 || problems[n-1] != "" || slices.Contains(problems[:n-1], "") {
		t.Errorf("%s: want a problem that ends once, have %q", v.fault, problems)
	}
}

// undisturbed checks that the camera without a fault has gone on with its events, one a second, and its pictures.
func undisturbed(t testing.TB, a *audience, camera *cameras.Camera, labels []string, began, ended time.Time) {
	t.Helper()
	heard := a.heard("yard")
	for _, s := range heard.states {
		if s.Problem != nil {
			t.Errorf("yard: want no problem, have %q", *s.Problem)
		}
	}
	last, n := began, 0
	for _, e := range heard.events {
		if e.shows() && !slices.Contains(labels, e.label()) {
			t.Errorf("yard: want one of %q, have %s", labels, e.payload)
		}
		if e.at.Before(began) || e.at.After(ended) {
			continue
		}
		if gap := e.at.Sub(last); gap > time.Second+slack {
			t.Errorf("yard: want an event each second, have none for %v", gap)
		}
		last = e.at
		n++
	}
	health := a.vitals(t).pulse(t, "yard")
	sent := len(camera.Sent())
	t.Logf("yard: %d events in %v of faults and their ends; %d pictures sent, %+v", n, ended.Sub(began).Round(time.Millisecond), sent, health)
	if n == 0 || health.Opened != 1 || health.FPS <= 0 || float64(health.Seen) < 0.9*float64(sent)-10 {
		t.Errorf("yard: want events, one opening and most of %d pictures, have %d and %+v", sent, n, health)
	}
}
