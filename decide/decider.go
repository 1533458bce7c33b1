package decide

import (
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	// memory is how long a look is evidence. Slower sources than k looks in it have to be looked at sooner when Wants says
	// so, or need a smaller k.
	memory = 5 * time.Minute

	settled = 1e-4 // a smoothed score that is as near to its look's is set to it

	maxGap  = 10 * 365 * 24 * time.Hour  // longer ones between two calls count as so long
	maxTime = 250 * 365 * 24 * time.Hour // the clock of a Decider ends here
)

// nobody is the entity of no vote and of no label.
const nobody = -1

// Look is a picture of a live source that was classified.
type Look struct {
	Time   time.Time
	Seq    uint64    // of the picture, for its Record
	Scores []float32 // probabilities of all classes, 0 to 1; read, but not kept
}

// State is what a source shows.
type State struct {
	Score              // of the last look; Label is None or Unknown, with NoIndex, where no label is shown
	Seen     bool      // there is a look, and no loss since: else Score's Score is 0, which says nothing
	Smoothed float32   // its score over several looks, up to the last one
	Since    time.Time // when it entered, or was changed to; zero before the first call
	Missing  bool      // the last pictures don't show it any more, or there are none; it leaves after hold
}

// Decider decides what one live source shows. It is not safe for use by several goroutines.
//
// Times need not be monotonic: one that is before the last call's counts as no time passed. Schedules are read in the
// location of the times given.
type Decider struct {
	rules   Rules
	labels  []string
	all     entities
	day     *table
	periods []period
	inverse float64 // of the temperature

	clock    time.Duration // the time that passed from the first call on, never back
	last     time.Time     // of the last call
	started  bool
	evidence time.Duration // clock of the last look, or of the last picture that was like it
	looked   time.Duration // clock of the last look
	fresh    bool          // there is a look, and no loss since
	problem  string        // of the last loss

	scores     []float32 // of the classes in the last look
	x          []float32 // of the entities; the same memory without groups
	smoothed   []float32
	calibrated []float32
	ballots    []ballot // of the last n looks, those before the oldest are nobody's
	next       int      // the oldest of them

	vote    int           // the last look's, or nobody
	label   int           // the entity that is shown, or nobody
	unknown bool          // Unknown is shown, where no label is
	since   time.Time     // when that began
	began   time.Duration // the same on the clock

	misses  int           // looks in a row that didn't see the label
	missed  time.Duration // clock of the first of them
	missing bool          // rule 3, or a loss
	gone    time.Duration // clock of when it went missing

	left   []time.Duration // clock of when each entity left; never: below 0
	record Record
	events [1]Event
}

type ballot struct {
	vote int
	at   time.Duration
}

// New checks the rules and makes a Decider that shows None. labels has one for each class. temperature is what the model's
// scores were calibrated with: p^(1/temperature), made to sum up to 1, is the calibrated probability; 0 and 1 leave
// the scores as they are. New keeps labels and what the rules point to.
func New(r Rules, labels []string, temperature float64) (*Decider, error) {
	if err := r.Check(labels); err != nil {
		return nil, err
	}
	if n := len(labels) + len(r.Groups); n > maxEntities {
		return nil, fmt.Errorf("make decider: want at most %d labels and groups, have %d", maxEntities, n)
	}
	d := &Decider{rules: r, labels: labels, all: newEntities(r, labels), label: nobody, vote: nobody}
	if err := d.SetTemperature(temperature); err != nil {
		return nil, fmt.Errorf("make decider: %w", err)
	}
	d.day = newTable(r, labels, d.all, nil)
	for _, p := range r.Schedule {
		d.periods = append(d.periods, newPeriod(p, newTable(r, labels, d.all, &p)))
	}
	n := len(d.all.names)
	d.scores = make([]float32, len(labels))
	d.x = d.scores
	if d.all.of != nil {
		d.x = make([]float32, n)
	}
	d.smoothed, d.calibrated = make([]float32, n), make([]float32, n)
	d.left = slices.Repeat([]time.Duration{-1}, n)
	d.ballots = slices.Repeat([]ballot{{vote: nobody}}, r.Confirm[1])
	return d, nil
}

// SetTemperature has the looks from now on calibrated with another temperature: those of another model with the same labels. See New.
func (d *Decider) SetTemperature(temperature float64) error {
	if temperature == 0 {
		temperature = 1
	}
	if !(temperature >= 0.05 && temperature <= 20) {
		return fmt.Errorf("want a temperature from 0.05 to 20, have %g", temperature)
	}
	d.inverse = 1 / temperature
	return nil
}

// Observe takes a look, and returns what it makes happen: nothing or one event, whose Kind, Time, Top, Label, Smoothed,
// Previous and Duration are filled. The slice is valid until the next call; what its event points to is the caller's.
//
// The smoothed score is s*past + (1-s)*score with s = Smoothing, once a look; where looks are rarer than one a second, s
// is taken to the power of the seconds between them, so that a look long ago weighs nothing. It starts anew with the first
// look, after Lost, and when nothing was known for 5 minutes. A vote counts for 5 minutes.
//
// Scores that are no probabilities count as 0 or 1, missing ones as 0; surplus ones are left out.
func (d *Decider) Observe(l Look) []Event {
	d.advance(l.Time)
	t := d.table(l.Time)
	weight := d.weight()
	d.read(l.Scores)
	k := d.rank(t, weight)
	verdict := d.judge(t, k)
	d.evidence, d.looked, d.fresh = d.clock, d.clock, true
	d.vote = verdict.vote
	d.ballots[d.next] = ballot{d.vote, d.clock}
	d.next = (d.next + 1) % len(d.ballots)
	d.see(t)
	before, shown := d.label, d.code()
	events := d.settle(l.Time, t)
	if d.label == nobody {
		d.nothing(l.Time, d.rules.Unknown.Mode != UnknownOff)
	}
	d.explain(l, t, k, verdict, before, shown, events)
	return events
}

// Idle says that there is no look at now. With Unchanged, a picture was left out because it is like the last look's: that
// look's evidence stands, for what is shown and for what isn't. With any other gate time passes, no more. The events that
// come of that are as those of Observe.
//
// A caller that calls Idle with Unchanged has to ask Wants before.
func (d *Decider) Idle(now time.Time, why Gate) []Event {
	d.advance(now)
	t := d.table(now)
	if why == Unchanged && d.fresh {
		d.evidence = d.clock
		if d.misses > 0 && d.longMissed() {
			d.miss()
		}
	}
	before, shown := d.label, d.code()
	events := d.settle(now, t)
	if d.label == nobody && d.fresh {
		d.nothing(now, d.rules.Unknown.Mode != UnknownOff)
	}
	d.explainSkip(now, why, before, shown, events)
	return events
}

// Lost says that at now nothing can be seen, and why: the gate is for the Record, problem for the event's Error. Votes and
// smoothed scores are forgotten. When that lasts for hold, what is shown leaves; Unknown becomes None. Observe ends it.
func (d *Decider) Lost(now time.Time, why Gate, problem string) []Event {
	d.advance(now)
	d.forget()
	d.problem = problem
	d.miss()
	before, shown := d.label, d.code()
	var events []Event
	if d.clock-d.gone >= d.rules.Hold {
		events = d.settle(now, d.table(now))
		d.nothing(now, false)
	}
	d.explainSkip(now, why, before, shown, events)
	return events
}

// Quit ends what is shown at once, because nothing more will be said of it: its labels are another model's. problem is for the event's
// Error.
func (d *Decider) Quit(now time.Time, problem string) []Event {
	d.advance(now)
	d.forget()
	d.problem = problem
	if d.label == nobody {
		d.nothing(now, false)
		return nil
	}
	return d.event(Leave, now, nobody)
}

// Wants reports whether a look is wanted at now, though nothing may have moved and none may be due: there is no evidence, or
// more looks like the last may change what is shown. A picture should then be classified as soon as there is one.
func (d *Decider) Wants(now time.Time) bool {
	clock := d.clock + d.passed(now)
	t := d.table(now)
	if !d.fresh || clock-d.looked >= memory {
		return true
	}
	if l := d.label; l != nobody && !d.missing && (d.misses > 0 || d.x[l] < t.stay[l] || !t.allow[l]) {
		return true // it may go missing
	}
	for _, b := range d.ballots {
		if b.vote == nobody || b.vote == d.label || clock-b.at > memory {
			continue
		}
		if gate := d.blocked(t, b.vote, clock).gate; gate == Confirming || gate == SmoothedBelow {
			return true
		}
	}
	return false
}

// State is what is shown after the last call.
func (d *Decider) State() State {
	s := State{Score: Score{Label: None, Index: NoIndex}, Seen: d.fresh, Since: d.since}
	switch {
	case d.label != nobody:
		s.Score = d.score(d.label)
		s.Smoothed = d.smoothed[d.label]
		s.Missing = d.missing
	case d.unknown:
		s.Label = Unknown
	}
	return s
}

// passed is the time from the last call to now.
func (d *Decider) passed(now time.Time) time.Duration {
	if !d.started {
		return 0
	}
	return min(max(now.Sub(d.last), 0), maxGap, maxTime-d.clock)
}

func (d *Decider) advance(now time.Time) {
	if !d.started {
		d.started, d.since = true, now
	} else {
		d.clock += d.passed(now)
	}
	d.last = now
}

// table is that of a time of day.
func (d *Decider) table(now time.Time) *table {
	for i := range d.periods {
		if d.periods[i].on(now) {
			return d.periods[i].table
		}
	}
	return d.day
}

// weight is that of the past in the smoothed score of a look now.
func (d *Decider) weight() float32 {
	gap := d.clock - d.evidence
	switch {
	case !d.fresh || gap > memory:
		return 0
	case gap <= time.Second:
		return float32(d.rules.Smoothing)
	}
	return float32(math.Pow(d.rules.Smoothing, gap.Seconds()))
}

// forget drops all that looks have told.
func (d *Decider) forget() {
	if !d.fresh {
		return
	}
	d.fresh, d.vote, d.misses = false, nobody, 0
	for i := range d.ballots {
		d.ballots[i].vote = nobody
	}
	clear(d.x)
	clear(d.scores)
}
