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
func (tr trial) recovery(slack time.Duration) time.Duration {
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

	first  stated // that tells the fault
	told   time.Duration
	shows  time.Duration // after the fault's end, until it shows something
	heard  stage         // all the time
	errors int           // events since the fault began

	problems []string // each time another one, "" is none
	well     time.Duration
}

// ordeal is a camera for each fault, and one that has none, the yard.
type ordeal struct {
	victims      []*victim
	yard         *cameras.Camera
	photos       []photo
	b            *board
	p            *process
	a            *audience
	began, ended time.Time
}

// TestCameraFaults has a camera for each fault, and one that has none. Each fault is told within its deadline, once, and its end; the
// other camera and a folder go on meanwhile.
func TestCameraFaults(t *testing.T) {
	t.Parallel()
	o := startOrdeal(t)
	o.endure(t)
	said := o.p.String()
	for _, v := range o.victims {
		v.judge(t, labels(o.photos))
		const lost = 4 // as the reason changes
		if n := strings.Count(said, fmt.Sprintf(`"level":"WARN","msg":"live source lost, trying on","source":%q`, v.name)); n > lost || n < btoi(v.offline) {
			t.Errorf("%s: want a warning, at most %d, have %d", v.fault, lost, n)
		}
	}
	o.undisturbed(t)
	if n := len(o.a.heard("inbox").events); n != 2 {
		t.Errorf("want 2 events of the folder, have %d", n)
	}
	o.p.stop(t)
}

// startOrdeal starts the cameras and the daemon, and waits until all is well.
func startOrdeal(t testing.TB) *ordeal {
	t.Helper()
	photos := surePhotos(t, 4)
	o := &ordeal{yard: httpCamera(t, 10, 10, photos...), photos: photos}
	lines := []string{faultSource("yard", o.yard)}
	for _, fault := range cameras.Faults {
		v := &victim{trial: trials[fault], fault: fault, name: strings.ReplaceAll(string(fault), " ", "_"), camera: httpCamera(t, 10, 10, photos...)}
		o.victims = append(o.victims, v)
		lines = append(lines, faultSource(v.name, v.camera))
	}
	o.b = liveBoard(t, prompt, lines...)
	o.p, o.a = o.b.watch(t)
	o.p.line(t, `"msg":"ready`)
	o.a.well(t, "yard")
	for _, v := range o.victims {
		o.a.well(t, v.name)
		o.a.until(t, func() bool { return len(o.a.of(v.name).shown()) > 1 }, func() string { return "want events of " + v.name })
	}
	return o
}

// endure has the faults begin, waits until they are told, has them end and waits until the cameras are well again.
func (o *ordeal) endure(t testing.TB) {
	t.Helper()
	o.began = time.Now()
	for _, v := range o.victims {
		heard := o.a.heard(v.name)
		v.began, v.events, v.states = time.Now(), len(heard.events), len(heard.states)
		suffer(t, v.camera, v.fault)
	}
	o.b.drop(t, 0, "during.jpg", o.photos[0].Data)
	for _, v := range o.victims {
		v.waitTold(t, o.a)
	}
	o.b.drop(t, 0, "later.jpg", o.photos[0].Data)
	o.b.filed(t, "during.jpg", "later.jpg")
	for _, v := range o.victims {
		v.ended = time.Now()
		suffer(t, v.camera, cameras.None)
	}
	for _, v := range o.victims {
		v.waitWell(t, o.a)
	}
	o.ended = time.Now()
	for _, v := range o.victims {
		v.sum(o.a)
	}
}

func faultSource(name string, c *cameras.Camera) string {
	return fmt.Sprintf("name: %s, type: url, url: %q, stall: %v, frozen: %v", name, c.URL(), faultStall, faultFrozen)
}

// waitTold waits until the fault is told.
func (v *victim) waitTold(t testing.TB, a *audience) {
	t.Helper()
	if v.problem == "" {
		return
	}
	a.until(t, func() bool {
		for _, s := range a.of(v.name).states[v.states:] {
			if s.Problem != nil {
				v.first = s
				return true
			}
		}
		return false
	}, func() string { return fmt.Sprintf("want a problem of the camera that is %s", v.fault) })
	v.told = v.first.at.Sub(v.began)
	if v.offline {
		a.until(t, func() bool { return !a.of(v.name).online() }, func() string { return fmt.Sprintf("want the camera that is %s to be offline", v.fault) })
	}
}

// waitWell waits until the camera is said to be well, and shows something again.
func (v *victim) waitWell(t testing.TB, a *audience) {
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
	v.shows = last.Sub(v.ended)
}

// sum sums up what was said of the camera all the time.
func (v *victim) sum(a *audience) {
	v.heard = a.heard(v.name)
	var well time.Time
	for _, s := range v.heard.states {
		problem := orNothing(s.Problem)
		if len(v.problems) == 0 && problem != "" || len(v.problems) > 0 && problem != v.problems[len(v.problems)-1] {
			v.problems = append(v.problems, problem)
			well = s.at
		}
	}
	v.well = well.Sub(v.ended)
	for _, e := range v.heard.events[v.events:] {
		v.errors += btoi(e.Type == "error")
	}
}

// once reports whether the fault was told by one error, and by problems that ended once.
func (v *victim) once() bool {
	n := len(v.problems)
	return v.errors == 1 && n > 1 && v.problems[n-1] == "" && !slices.Contains(v.problems[:n-1], "")
}

// judge looks at what was said of the camera all the time.
func (v *victim) judge(t testing.TB, labels []string) {
	t.Helper()
	for _, e := range v.heard.events[v.events:] {
		switch {
		case e.Type == "error" && orNothing(e.Error) == "":
			t.Errorf("%s: want the reason in an error, have %s", v.fault, e.payload)
		case e.shows() && !slices.Contains(labels, e.label()) && !v.anything:
			t.Errorf("%s: want one of %q, have %s", v.fault, labels, e.payload)
		case e.shows() && e.FrameAgeMS > milliseconds(faultStall):
			t.Errorf("%s: want no picture older than %v to be judged, have %s", v.fault, faultStall, e.payload)
		}
	}
	if v.shows > v.recovery(slack) {
		t.Errorf("%s: want events within %v after it is well, took %v", v.fault, v.recovery(slack), v.shows)
	}
	if v.problem == "" {
		if (len(v.problems) > 0 || v.errors > 0) && !v.anything {
			t.Errorf("%s: want no problem, have %q and %d errors", v.fault, v.problems, v.errors)
		}
		return
	}
	t.Logf("%s: told after %v, problems %q, said to be well after %v, %d errors, asked %d times",
		v.fault, v.told.Round(time.Millisecond), v.problems, v.well.Round(time.Millisecond), v.errors, v.camera.Asked())
	if v.told > v.within+slack {
		t.Errorf("%s: want it told within %v, took %v", v.fault, v.within+slack, v.told)
	}
	if !regexp.MustCompile(v.problem).MatchString(*v.first.Problem) {
		t.Errorf("%s: want a problem like %q, have %q", v.fault, v.problem, *v.first.Problem)
	}
	if v.well > v.recovery(slack) {
		t.Errorf("%s: want it to be said well within %v, took %v", v.fault, v.recovery(slack), v.well)
	}
	if !v.once() {
		t.Errorf("%s: want one error event and a problem that ends once, have %d and %q", v.fault, v.errors, v.problems)
	}
}

// undisturbed checks that the camera without a fault has gone on with its events, one a second, and its pictures.
func (o *ordeal) undisturbed(t testing.TB) {
	t.Helper()
	heard, labels := o.a.heard("yard"), labels(o.photos)
	for _, s := range heard.states {
		if s.Problem != nil {
			t.Errorf("yard: want no problem, have %q", *s.Problem)
		}
	}
	last, n := o.began, 0
	for _, e := range heard.events {
		if e.shows() && !slices.Contains(labels, e.label()) {
			t.Errorf("yard: want one of %q, have %s", labels, e.payload)
		}
		if e.at.Before(o.began) || e.at.After(o.ended) {
			continue
		}
		if gap := e.at.Sub(last); gap > time.Second+slack {
			t.Errorf("yard: want an event each second, have none for %v", gap)
		}
		last = e.at
		n++
	}
	health := o.a.vitals(t).pulse(t, "yard")
	sent := len(o.yard.Sent())
	t.Logf("yard: %d events in %v of faults and their ends; %d pictures sent, %+v", n, o.ended.Sub(o.began).Round(time.Millisecond), sent, health)
	if n == 0 || health.Opened != 1 || health.FPS <= 0 || float64(health.Seen) < 0.9*float64(sent)-10 {
		t.Errorf("yard: want events, one opening and most of %d pictures, have %d and %+v", sent, n, health)
	}
}
