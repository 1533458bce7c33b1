package decide

import (
	"math"
	"time"
)

// read keeps the scores, of classes and of entities.
func (d *Decider) read(scores []float32) {
	n := min(len(scores), len(d.scores))
	clear(d.scores[n:])
	kept := d.scores[:n]
	for i, s := range scores[:n] {
		if !(s > 0) { // NaN too
			s = 0
		}
		kept[i] = min(s, 1)
	}
	if d.all.of == nil {
		return
	}
	x := d.x
	clear(x)
	for i, e := range d.all.of {
		x[e] += d.scores[i]
	}
	for i := range len(d.rules.Groups) {
		d.x[i] = min(d.x[i], 1)
	}
}

// ranking has the best entities of a look, or nobody.
type ranking struct {
	best    [3]int
	allowed int // the best that may be decided upon
}

// rank smooths the scores and finds the best.
func (d *Decider) rank(t *table, past float32) ranking {
	k := ranking{best: [3]int{nobody, nobody, nobody}, allowed: nobody}
	var first, second, third, allowed float32 = -1, -1, -1, -1
	smoothed, allow := d.smoothed[:len(d.x)], t.allow[:len(d.x)]
	for e, x := range d.x {
		s := smoothed[e]
		if gap := x - s; gap < settled && gap > -settled {
			s = x
		} else {
			s = x - past*gap
		}
		smoothed[e] = s
		if x > allowed && allow[e] {
			allowed, k.allowed = x, e
		}
		switch {
		case x <= third:
		case x > first:
			first, second, third = x, first, second
			k.best = [3]int{e, k.best[0], k.best[1]}
		case x > second:
			second, third = x, second
			k.best[1], k.best[2] = e, k.best[1]
		default:
			third, k.best[2] = x, e
		}
	}
	return k
}

// verdict is what a look says of an entity, and the gate that keeps it from being shown.
type verdict struct {
	vote        int // or nobody
	of          int // the entity that the gate is about, or nobody
	gate        Gate
	have, limit float32       // the scores that were compared
	votes       int           // of it in the last n looks
	left        time.Duration // for how long the gate lasts yet
}

// judge finds whom a look votes for.
func (d *Decider) judge(t *table, k ranking) verdict {
	best := k.allowed
	if best == nobody {
		return verdict{vote: nobody, of: k.best[0], gate: Denied}
	}
	v := verdict{vote: nobody, of: best, have: d.x[best], limit: t.enter[best]}
	if v.have < v.limit {
		v.gate = BelowEnter
		if first := k.best[0]; first != best && d.x[first] >= t.enter[first] {
			v = verdict{vote: nobody, of: first, gate: Denied}
		}
		return v
	}
	// What is shown already need not be known well: only rule 3 makes it leave.
	if d.rules.Unknown.Mode == UnknownOff || best == d.label {
		v.vote = best
		return v
	}
	score, margin := float32(d.rules.Unknown.Score), float32(d.rules.Unknown.Margin)
	if d.rules.Unknown.Mode == UnknownAuto {
		score, margin = min(autoScore, v.limit), autoMargin
	}
	y := d.calibrate()
	second := float32(0)
	for e, s := range y {
		if s > second && e != best && t.allow[e] {
			second = s
		}
	}
	switch {
	case y[best] < score:
		v.gate, v.have, v.limit = UnknownScore, y[best], score
	case y[best]-second < margin:
		v.gate, v.have, v.limit = UnknownMargin, max(y[best]-second, 0), margin
	default:
		v.vote = best
	}
	return v
}

// calibrate returns the calibrated probability of each entity.
func (d *Decider) calibrate() []float32 {
	if d.inverse == 1 {
		return d.x
	}
	y := d.calibrated
	clear(y)
	sum := float32(0)
	for i, s := range d.scores {
		if s == 0 {
			continue
		}
		p := float32(math.Exp(d.inverse * math.Log(float64(s))))
		sum += p
		if d.all.of != nil {
			i = int(d.all.of[i])
		}
		y[i] += p
	}
	if sum > 0 {
		for e := range y {
			y[e] /= sum
		}
	}
	return y
}

// see is rule 3.
func (d *Decider) see(t *table) {
	if d.label == nobody {
		d.missing, d.misses = false, 0
		return
	}
	l := d.label
	if t.allow[l] && max(d.x[l], d.smoothed[l]) >= t.stay[l] && (d.vote == nobody || d.vote == l) {
		d.missing, d.misses = false, 0
		return
	}
	if d.misses == 0 {
		d.missed = d.clock
	}
	d.misses++
	if d.misses >= len(d.ballots) || d.misses > 1 && d.longMissed() {
		d.miss()
	}
}

// longMissed reports whether looks are so rare that n of them would take too long: a second one is enough then.
func (d *Decider) longMissed() bool {
	return d.clock-d.missed >= max(d.rules.Hold, time.Second)
}

// miss begins the hold.
func (d *Decider) miss() {
	if !d.missing {
		d.missing, d.gone = true, d.clock
	}
}

// votes counts those for an entity in the last n looks.
func (d *Decider) votes(of int, clock time.Duration) int {
	n := 0
	for _, b := range d.ballots {
		if b.vote == of && clock-b.at <= memory {
			n++
		}
	}
	return n
}

// blocked is the gate that keeps an entity that a look voted for from being shown; Decided for none.
func (d *Decider) blocked(t *table, of int, clock time.Duration) verdict {
	v := verdict{vote: of, of: of, votes: d.votes(of, clock), have: d.smoothed[of], limit: t.enter[of]}
	cooling := d.rules.Cooldown - (clock - d.left[of])
	switch {
	case !t.allow[of]:
		v.gate = Denied
	case t.off:
		v.gate = ScheduleOff
	case d.left[of] >= 0 && cooling > 0:
		v.gate, v.left = CoolingDown, cooling
	case v.votes < d.rules.Confirm[0]:
		v.gate = Confirming
	case v.have < v.limit:
		v.gate = SmoothedBelow
	case d.label == nobody:
	case !d.missing:
		v.gate, v.left = Holding, d.rules.Hold
	case clock-d.gone < d.rules.Hold:
		v.gate, v.left = Holding, d.rules.Hold-(clock-d.gone)
	}
	return v
}

// settle is rules 2 and 4: it makes the event that is due.
func (d *Decider) settle(now time.Time, t *table) []Event {
	if d.label != nobody && !(d.missing && d.clock-d.gone >= d.rules.Hold) {
		return nil
	}
	enters := d.vote != nobody && d.vote != d.label && d.blocked(t, d.vote, d.clock).gate == Decided
	switch {
	case d.label == nobody && enters:
		return d.event(Enter, now, d.vote)
	case d.label == nobody:
		return nil
	case enters:
		return d.event(Change, now, d.vote)
	}
	return d.event(Leave, now, nobody)
}

// event says that from now on the entity next is shown, or nobody.
func (d *Decider) event(kind Kind, now time.Time, next int) []Event {
	about := next
	if next == nobody {
		about = d.label
	}
	e := Event{Kind: kind, Time: now, Smoothed: d.smoothed[about], Previous: d.State().Label, Duration: d.clock - d.began}
	label := d.score(about)
	e.Label = &label
	if d.fresh {
		e.Top = make([]Score, min(d.rules.Top, len(d.scores)))
		Top(e.Top, d.scores, d.labels)
	} else {
		e.Error = d.problem
	}
	if d.label != nobody {
		d.left[d.label] = d.clock
	}
	d.label, d.since, d.began = next, now, d.clock
	d.unknown, d.missing, d.misses = false, false, 0
	d.events[0] = e
	return d.events[:]
}

// nothing says that no label is shown, but Unknown or None.
func (d *Decider) nothing(now time.Time, unknown bool) {
	if d.unknown != unknown {
		d.unknown, d.since, d.began = unknown, now, d.clock
	}
}

// score is an entity's in the last look.
func (d *Decider) score(e int) Score {
	return Score{Label: d.all.names[e], Index: d.all.index[e], Score: d.x[e]}
}
