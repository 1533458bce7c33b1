package decide

import (
	"cmp"
	"slices"
	"sync"
	"time"
	"unsafe"
)

// DefaultRing is the size of a Ring in bytes that holds the looks of an hour at 9 a second. What is left out between
// them, because nothing moved or nothing was seen, takes one Record a run.
const DefaultRing = 2 << 20

// Ring keeps the last Records of a Decider. One goroutine may add while others read.
type Ring struct {
	names   []string
	index   []int
	confirm [2]int
	most    int

	mu      sync.RWMutex
	records []Record
	oldest  int // once there are most
}

// NewRing makes a Ring of at most so many bytes for d's Records. It takes them as it needs them.
func NewRing(bytes int, d *Decider) *Ring {
	most := max(bytes/int(unsafe.Sizeof(Record{})), 1)
	return &Ring{names: d.all.names, index: d.all.index, confirm: d.rules.Confirm, most: most}
}

// Add keeps r. The oldest makes room for it. It goes into the last one's run if both are of pictures that were left out for
// the same reason.
func (g *Ring) Add(r Record) {
	if r.gate == Waiting || r.count == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if last := g.newest(); last != nil && last.joins(&r) {
		last.until, last.absent = r.until, r.absent
		last.count = max(last.count, last.count+r.count) // stays at the most
		return
	}
	if len(g.records) < g.most {
		g.records = append(g.records, r)
		return
	}
	g.records[g.oldest] = r
	g.oldest = (g.oldest + 1) % g.most
}

// newest is nil where there is none.
func (g *Ring) newest() *Record {
	switch {
	case len(g.records) == 0:
		return nil
	case g.oldest == 0:
		return &g.records[len(g.records)-1]
	}
	return &g.records[g.oldest-1]
}

// joins reports whether next, of the same source, goes on with the run.
func (r *Record) joins(next *Record) bool {
	return r.gate.skip() && next.gate == r.gate && next.shown == r.shown && next.before == r.shown && next.time >= r.until
}

// Around is what became of the pictures from at-span to at+span, oldest first, with the times in at's location. Of more
// than most, those nearest to at are returned.
func (g *Ring) Around(at time.Time, span time.Duration, most int) []Entry {
	from, to := at.Add(-span).UnixNano(), at.Add(span).UnixNano()
	var found []Record
	g.mu.RLock()
	for i := range g.records {
		r := &g.records[(g.oldest+i)%len(g.records)]
		if r.until >= from && r.time <= to {
			found = append(found, *r)
		}
	}
	g.mu.RUnlock()
	found = nearest(found, at.UnixNano(), max(most, 0))
	entries := make([]Entry, len(found))
	for i := range found {
		entries[i] = g.entry(&found[i], at.Location())
	}
	return entries
}

// nearest keeps the most records that are nearest to at, in their order.
func nearest(records []Record, at int64, most int) []Record {
	if len(records) <= most {
		return records
	}
	order := make([]int, len(records))
	for i := range order {
		order[i] = i
	}
	distance := func(i int) int64 { return max(records[i].time-at, at-records[i].until, 0) }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(distance(a), distance(b)) })
	slices.Sort(order[:most])
	out := make([]Record, most)
	for i, from := range order[:most] {
		out[i] = records[from]
	}
	return out
}

// entry says r in words.
func (g *Ring) entry(r *Record, where *time.Location) Entry {
	e := Entry{
		Time: time.Unix(0, r.time).In(where), Until: time.Unix(0, r.until).In(where), Seq: r.seq, Count: int(r.count),
		Gate: r.gate, Shown: g.shown(r.shown), Before: g.shown(r.before), Absent: seconds(r.absent), Top: []Score{},
		Have: decimals(r.have), Limit: decimals(r.limit), Left: seconds(r.left), Votes: int(r.votes), Confirm: g.confirm,
	}
	for _, b := range r.best {
		if int(b.entity) < len(g.names) {
			e.Top = append(e.Top, Score{Label: g.names[b.entity], Index: g.index[b.entity], Score: float32(decimals(b.score))})
		}
	}
	if len(e.Top) > 0 {
		e.Smoothed = decimals(r.smoothed)
	}
	return e
}

func (g *Ring) shown(code uint16) string {
	switch {
	case int(code) < len(g.names):
		return g.names[code]
	case code == unknownCode:
		return Unknown
	}
	return None
}
