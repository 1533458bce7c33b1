package outbox

import "slices"

// span is the numbers from from up to, not including, to.
type span struct{ from, to uint64 }

// ranges is a set of numbers: all below floor, and those in above, which are in order, apart from each other and from
// the floor.
type ranges struct {
	floor uint64
	above []span
}

// add puts the numbers from from up to, not including, to into the set.
func (r *ranges) add(from, to uint64) {
	from = max(from, r.floor)
	if from >= to {
		return
	}
	// The spans that touch the new one become one with it.
	i, _ := slices.BinarySearchFunc(r.above, from, func(s span, n uint64) int {
		if s.to < n {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(r.above) && r.above[j].from <= to; j++ {
		from, to = min(from, r.above[j].from), max(to, r.above[j].to)
	}
	if from == r.floor {
		r.floor = to
		r.above = slices.Delete(r.above, 0, j)
		return
	}
	r.above = slices.Replace(r.above, i, j, span{from, to})
}

// addAll puts all numbers of o into the set.
func (r *ranges) addAll(o ranges) {
	r.add(0, o.floor)
	for _, s := range o.above {
		r.add(s.from, s.to)
	}
}

// after is the lowest number of at least n that is not in the set.
func (r *ranges) after(n uint64) uint64 {
	n = max(n, r.floor)
	i, _ := slices.BinarySearchFunc(r.above, n, func(s span, n uint64) int {
		if s.to <= n {
			return -1
		}
		return 1
	})
	if i < len(r.above) && r.above[i].from <= n {
		return r.above[i].to
	}
	return n
}

// top is above all numbers of the set.
func (r *ranges) top() uint64 {
	if n := len(r.above); n > 0 {
		return r.above[n-1].to
	}
	return r.floor
}

func (r *ranges) has(n uint64) bool { return r.after(n) != n }

// missing counts the numbers from from up to, not including, to that are not in the set.
func (r *ranges) missing(from, to uint64) uint64 {
	from = max(from, r.floor)
	if from >= to {
		return 0
	}
	n := to - from
	for _, s := range r.above {
		if a, b := max(s.from, from), min(s.to, to); a < b {
			n -= b - a
		}
	}
	return n
}
