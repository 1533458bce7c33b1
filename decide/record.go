package decide

import (
	"math"
	"time"
)

// Record is what became of one picture, or of a run of pictures that were left out for the same reason: 64 bytes without
// pointers. A Ring of the same Decider reads it.
type Record struct {
	time, until int64  // Unix ns of the first and the last
	seq         uint64 // of the first
	count       uint32
	left        uint32 // ms for which the gate lasts yet
	absent      uint32 // ms for which what is shown was missing, at least 1; 0: it isn't
	best        [3]ranked
	smoothed    uint16 // of best[0], which is what the gate is about; the others follow by score
	have, limit uint16 // scores that were compared
	before      uint16 // entity that was shown before, noneCode or unknownCode
	shown       uint16 // and after it
	gate        Gate
	votes       uint8
}

// ranked is an entity with its score, in steps of 1/65535.
type ranked struct{ entity, score uint16 }

// Codes of what is shown where it is no entity. noneCode also stands for no entity in best.
const (
	noneCode    = math.MaxUint16
	unknownCode = math.MaxUint16 - 1
)

// Record is that of the last call of Observe, Idle or Lost.
func (d *Decider) Record() Record { return d.record }

// code is what is shown.
func (d *Decider) code() uint16 {
	switch {
	case d.label != nobody:
		return uint16(d.label)
	case d.unknown:
		return unknownCode
	}
	return noneCode
}

// explain makes the Record of a look. before is the entity that was shown before it, and shown its code.
func (d *Decider) explain(l Look, t *table, k ranking, v verdict, before int, shown uint16, events []Event) {
	switch {
	case len(events) > 0:
		v = d.happened(events[0].Kind, before)
	case before != nobody && v.of == before && v.gate != Denied:
		v = verdict{of: before, gate: Shown, have: d.x[before], limit: t.stay[before]}
		if d.misses > 0 {
			v.gate = BelowStay
		}
	case v.vote != nobody:
		v = d.blocked(t, v.vote, d.clock)
	}
	r := d.skipped(l.Time, v.gate, shown)
	r.seq, r.votes = l.Seq, uint8(v.votes)
	r.have, r.limit = quantize(v.have), quantize(v.limit)
	r.left = milliseconds(v.left)
	d.name(&r, v.of)
	at := 1
	for _, e := range k.best {
		if e != nobody && e != v.of && at < len(r.best) {
			r.best[at] = ranked{uint16(e), quantize(d.x[e])}
			at++
		}
	}
	d.record = r
}

// explainSkip makes the Record of a picture that wasn't classified.
func (d *Decider) explainSkip(now time.Time, why Gate, before int, shown uint16, events []Event) {
	if len(events) == 0 {
		d.record = d.skipped(now, why, shown)
		return
	}
	v := d.happened(events[0].Kind, before)
	r := d.skipped(now, v.gate, shown)
	if d.fresh { // else there is no score
		d.name(&r, v.of)
	}
	d.record = r
}

// happened is the verdict of an event.
func (d *Decider) happened(kind Kind, before int) verdict {
	switch kind {
	case Enter:
		return verdict{of: d.label, gate: Entered}
	case Change:
		return verdict{of: d.label, gate: Changed}
	}
	return verdict{of: before, gate: Left}
}

// skipped is a Record that names no entity but what is shown.
func (d *Decider) skipped(now time.Time, gate Gate, before uint16) Record {
	ns := now.UnixNano()
	r := Record{time: ns, until: ns, count: 1, gate: gate, before: before, shown: d.code()}
	for i := range r.best {
		r.best[i].entity = noneCode
	}
	if d.missing && d.label != nobody {
		r.absent = max(milliseconds(d.clock-d.gone), 1)
	}
	return r
}

// name says which entity the gate is about.
func (d *Decider) name(r *Record, e int) {
	if e != nobody {
		r.best[0] = ranked{uint16(e), quantize(d.x[e])}
		r.smoothed = quantize(d.smoothed[e])
	}
}

func quantize(score float32) uint16 {
	return uint16(math.Round(float64(min(max(score, 0), 1)) * math.MaxUint16))
}

func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), math.MaxUint32))
}
