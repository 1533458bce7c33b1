package outbox

import (
	"errors"
	"fmt"
	"time"
)

// searchBytes bounds the bytes of which a checksum is made in the search for records behind a damaged one.
const searchBytes = 64 << 20

// survey is what was found in a segment's bytes.
type survey struct {
	header header
	next   uint64    // number after the last message, the header's first if there is none
	done   ranges    // acknowledgements, and numbers between the messages that belong to none
	totals totals    // the newest
	newest time.Time // latest acceptance
	end    int       // of the last good record

	tail  error  // why what is behind end is no record; nil if nothing is
	above uint64 // number after a message that can't be read: one was found behind end, or acknowledged; 0: none
}

// errStale is of a record from before the segment was begun anew.
var errStale = errors.New("want a number above those before, have an old record")

// surveySegment reads the bytes of a segment behind the header h. Messages of numbers from bound on belong to another.
func surveySegment(h header, b []byte, bound uint64) survey {
	v := survey{header: h, next: h.first, totals: h.totals, end: headerSize}
	chain, started := uint32(0), false
	for v.end < len(b) {
		r, err := parseRecord(b[v.end:])
		if err == nil && r.kind == kindAcks {
			err = v.acks(r)
		} else if err == nil {
			var m message
			m, err = r.message(h.first)
			switch {
			case err != nil:
			case m.number < v.next:
				err = errStale
			case m.number >= bound:
				return v
			case r.kind == kindPacked && (!started || m.chain != chain):
				err = fmt.Errorf("message %d: want the message before it, have another or none", m.number)
			default:
				chain, started = r.sum, true
				v.message(m)
			}
		}
		if err != nil {
			v.tail = err
			v.above = search(b[v.end:], h.first, v.next)
			break
		}
		v.end += r.size()
	}
	return v
}

func (v *survey) message(m message) {
	v.done.add(v.next, m.number)
	v.next = m.number + 1
	if m.accepted.After(v.newest) {
		v.newest = m.accepted
	}
}

func (v *survey) acks(r record) error {
	done, t, err := r.acks()
	if err != nil {
		return err
	}
	v.done.addAll(done)
	v.next = max(v.next, done.floor)
	v.totals.atLeast(t)
	return nil
}

// search looks in b, which begins with a record that is none, for messages of at least the number next, and for
// acknowledgements of them. It returns the number after the highest one, or 0. If looking takes too long, it assumes one.
func search(b []byte, first, next uint64) uint64 {
	above := uint64(0)
	for i, work := 0, 0; i < len(b); {
		size, err := recordSize(b[i:])
		if err != nil || size > len(b)-i {
			i++
			continue
		}
		if work += size; work > searchBytes {
			return max(above, next+1)
		}
		r, err := parseRecord(b[i:])
		if err != nil {
			i++
			continue
		}
		i += size
		if r.kind == kindAcks {
			if done, _, err := r.acks(); err == nil && done.floor > next {
				above = max(above, done.floor)
			}
		} else if m, err := r.message(first); err == nil && m.number >= next {
			above = max(above, m.number+1)
		}
	}
	return above
}
